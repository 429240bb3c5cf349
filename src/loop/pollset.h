/* pollset.h: what a loop waits for, and whom it serves first. Private to this room.
 *
 * endpoint   a socket that is watched
 * few        endpoints that are no crowd: API connections, other nodes, stores. They have an epoll set of their own, within the one of all
 * held       the loop serves its few and its mail only, until it is its turn to serve a crowd (crowd.c) */
#ifndef PETREL_LOOP_POLLSET_H
#define PETREL_LOOP_POLLSET_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct turnstile;

/* What stands in a pollset; the first member of what it is of, told apart by the magic number. */
struct endpoint {
    uint32_t magic;
    int fd;
};

/* Wakes the loop where it has long to sleep. A time limit of epoll_wait() is set and taken back whenever a socket is ready; this is set
 * once for all of them. */
struct alarm {
    struct endpoint endpoint; /* a timerfd */
    uint64_t at_ms;           /* when it rings; past: it has */
};

/* Where an endpoint stands: the few are told of first whenever more are ready than a turn serves. */
enum pollset_part { POLLSET_OF_ALL, POLLSET_OF_FEW };

int pollset_init(struct loop *loop);
void pollset_destroy(struct loop *loop);
/* Wait for sockets, mail or, at most wait_ms (-1: for ever), time; then begin a turn, run the mail and tell whose socket is ready. */
void pollset_wait(struct loop *loop, int wait_ms);
/* 0 or PETREL_E_IO (no memory for one more in the kernel). events: EPOLLIN, EPOLLOUT; errors are always told. */
int pollset_add(struct loop *loop, enum pollset_part part, struct endpoint *endpoint, uint32_t events);
/* Leave all but the few, and mail, until it is let go. */
void pollset_hold(struct loop *loop, bool held);
void pollset_change(struct loop *loop, enum pollset_part part, struct endpoint *endpoint, uint32_t events);
void pollset_remove(struct loop *loop, enum pollset_part part, struct endpoint *endpoint);

/* turnstile: may be NULL. */
void crowd_init(struct loop *loop, struct turnstile *turnstile);
/* What was ready, or as much of it as a turn takes, has been served. */
void crowd_served(struct loop *loop);
/* The loop ends: others may have its place. */
void crowd_leave(struct loop *loop);
void crowd_destroy(struct loop *loop);

#endif
