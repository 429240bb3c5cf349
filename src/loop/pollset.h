/* pollset.h: what a loop waits for, and whom it serves first. Private to this room.
 *
 * endpoint   a socket that is watched
 * few        endpoints that are no crowd: API connections, other nodes, stores. They have an epoll set of their own, within the one of all
 * held       the loop serves its few and its mail only, until it is its turn to serve a crowd (crowd.c)
 * rest       for a moment after a busy crowd was served only the few and mail are waited for */
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

/* How often the crowd is served. */
struct crowd_pace {
    bool rests;         /* no sooner than due_ms */
    uint32_t streak;    /* servings that each came soon after the one before */
    uint64_t served_ms; /* the last time that one of it had something */
    uint64_t due_ms;
    uint64_t few_said_ms; /* the last time that one of the few had something */
};

int pollset_init(struct loop *loop);
void pollset_destroy(struct loop *loop);
/* Wait for sockets, mail or, at most wait_ms (-1: for ever), time; then begin a turn, run the mail and tell whose socket is ready. */
void pollset_wait(struct loop *loop, int wait_ms);
/* 0 or PETREL_E_IO (no memory for one more in the kernel). events: EPOLLIN, EPOLLOUT; errors are always told. */
int pollset_add(struct loop *loop, enum pollset_part part, struct endpoint *endpoint, uint32_t events);
/* Leave all but the few, and mail, until it is let go. */
void pollset_hold(struct loop *loop, bool held);
/* Between two servings of the crowd, wait for the few and mail alone. */
void pollset_rest(struct loop *loop, bool rests);
void pollset_change(struct loop *loop, enum pollset_part part, struct endpoint *endpoint, uint32_t events);
void pollset_remove(struct loop *loop, enum pollset_part part, struct endpoint *endpoint);

/* turnstile: may be NULL. */
void crowd_init(struct loop *loop, struct turnstile *turnstile);
/* What was ready, or as much of it as a turn takes, has been served: so many connections, and a listener or not. */
void crowd_served(struct loop *loop, uint32_t count, bool accepted);
/* How long the crowd still rests, as of the turn's begin or, between turns, the last one's end: at most wait_ms (-1: for ever). */
int crowd_rest_ms(const struct loop *loop, int wait_ms);
/* The loop ends: others may have its place. */
void crowd_leave(struct loop *loop);
/* Whether mail may wait until the crowd has rested: nobody needs to wake the loop for it. */
bool crowd_gathers_mail(const struct loop *loop);
void crowd_destroy(struct loop *loop);

#endif
