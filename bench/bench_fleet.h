/* bench_fleet.h: the devices: as many as wanted, in processes of their own, each with its own descriptors.
 *
 * worker   a forked process that holds a share of the devices and does what the fleet's order says
 * apart    devices, the last ones, that share no worker with the others: what they see is counted apart
 * order    what the workers are to do now; what they did stands in memory that all share
 * number   of a message: it travels in its data, and the fleet counts how often each number came
 *
 * A device comes back by itself, as libpetrel does: when it was cut off, after a random moment; when the server told it to come later,
 * after the wait it was told and a random part that doubles. One that is refused for good (3500 and above) stays away.
 *
 * Read: bench_fleet.c (the parent's side), bench_device.c (a worker). */
#ifndef PETREL_BENCH_BENCH_FLEET_H
#define PETREL_BENCH_BENCH_FLEET_H

#include "bench.h"
#include "bench_latency.h"

#include <stdatomic.h>
#include <sys/epoll.h>

#define BENCH_WORKERS_MAX 128
#define BENCH_DEVICES_PER_WORKER 15000 /* below the hard limit of descriptors that Debian's containers have */
#define BENCH_WHY_MAX 120
#define BENCH_HEARTBEAT_S 240 /* as servers tell clients */

enum bench_order {
    BENCH_WAIT, /* take what comes, ack it, send heartbeats */
    BENCH_CONNECT, /* connect those that are not, a bounded number in flight; all read again; heartbeats when it takes long */
    BENCH_STORM, /* drop the connections of the devices before cut_end at once; done when all are back */
    BENCH_CHURN, /* as WAIT, but devices go and come back at `churn` a second, and those apart read only by turns */
    BENCH_LEAVE,
};

/* Written by the worker, read by the parent. */
struct bench_worker {
    _Atomic(uint32_t) order_done; /* the serial of the newest order that is done */
    _Atomic(uint32_t) connected;  /* now */
    _Atomic(uint64_t) connects;   /* in all */
    _Atomic(uint64_t) refused;    /* connects, and sessions, that the server ended with the advice to come again */
    _Atomic(uint64_t) failed;     /* those that ended otherwise, but for our own cuts */
    _Atomic(uint64_t) gone;       /* of the failed, devices that were refused for good */
    _Atomic(uint64_t) churned;    /* sessions that left in CHURN */
    _Atomic(uint64_t) pushes;
    _Atomic(uint64_t) backwards; /* pushes at or before the session's position, broadcasts it had: duplicates */
    _Atomic(uint64_t) gaps;      /* messages that a GAP says are lost, at most */
    _Atomic(uint64_t) beats;     /* PINGs sent */
    _Atomic(uint64_t) pongs;
    _Atomic(uint64_t) broadcasts; /* pushes of them, each one once */
    struct bench_latency
        connect;               /* from the first SYN to the session; the others likewise are the last to be written */
    struct bench_latency push; /* from the message's sending to its arrival */
    struct bench_latency pong;
    struct bench_latency broadcast;
    char why[BENCH_WHY_MAX]; /* of the last failure */
};

/* Written by the parent. */
struct bench_fleet_shared {
    _Atomic(uint32_t) order;
    _Atomic(uint32_t) order_serial;
    _Atomic(uint64_t) beat_us; /* each session sends a PING in so long; 0: none */
    _Atomic(uint32_t) cut_end;
    _Atomic(uint32_t) churn; /* devices a second, of all that are not apart */
    struct bench_worker workers[BENCH_WORKERS_MAX];
};

struct bench_fleet_config {
    uint32_t devices;
    uint32_t apart;      /* of them */
    bool slow;           /* those apart have small buffers, so that a server notices when they do not read */
    uint64_t numbers;    /* of messages to single devices: from 0 to this */
    uint32_t broadcasts; /* at most; their numbers are the next */
};

struct bench_fleet {
    struct bench *bench;
    struct bench_fleet_config config;
    struct bench_fleet_shared *shared;
    int parent; /* the process that forked the workers */
    uint32_t workers_count;
    uint32_t workers_apart; /* the last of them */
    int pids[BENCH_WORKERS_MAX];
    _Atomic(uint8_t) *seen;       /* how often each number came; shared */
    uint32_t heard_words;         /* of a device, in heard */
    uint64_t *heard;              /* a bit for each device and broadcast; written by the device's worker; shared */
    _Atomic(uint32_t) *spread_us; /* by broadcast and worker: from its sending to its last arrival; shared */
};

struct bench_fleet_sums {
    uint64_t connected, connects, refused, failed, gone, churned, pushes, backwards, gaps, beats, pongs, broadcasts;
    struct bench_latency connect, push, pong, broadcast;
    struct bench_latency push_apart; /* to those apart; `push` is that to the others */
    const char *why;                 /* NULL: nothing failed */
};

/* Fork workers for the devices. Dies when memory is out. */
void bench_fleet_open(struct bench *bench, const struct bench_fleet_config *config);
/* Have all workers do it; bench_fleet_await() until they have, at most so long, with progress. false: they have not. */
void bench_fleet_order(struct bench_fleet *fleet, enum bench_order order);
bool bench_fleet_is_done(const struct bench_fleet *fleet);
bool bench_fleet_await(struct bench_fleet *fleet, uint32_t seconds);
/* Within which all devices should be connected: with TLS both ends' handshakes may share few cores. */
uint32_t bench_fleet_connect_seconds(const struct bench_fleet *fleet);
/* Connect all devices, then WAIT. Dies when they can't be. */
void bench_fleet_connect(struct bench_fleet *fleet);
struct bench_fleet_sums bench_fleet_sum(const struct bench_fleet *fleet);
/* How many devices did not hear this broadcast, and how long it took to the last that did. */
uint32_t bench_fleet_missing(const struct bench_fleet *fleet, uint32_t broadcast);
uint32_t bench_fleet_spread_us(const struct bench_fleet *fleet, uint32_t broadcast);
/* Whether this process is the one that opened the fleet, not a worker. */
bool bench_fleet_is_parent(const struct bench_fleet *fleet);
void bench_fleet_close(struct bench_fleet **fleet);
/* epoll_wait() for workers with sessions; `before`: what it last gave. Phones wake nobody on the server's machine: a worker that had
 * little to do rests first, so that the server is not charged for waking it at each packet; a millisecond, or so long that all
 * workers together look some 10,000 times a second at most. */
int bench_fleet_poll(const struct bench_fleet *fleet, int epoll_fd, struct epoll_event *events, int max, int timeout_ms,
                     int before);

/* The data of a message, and back: its number and when it was sent. text has room for BENCH_STAMP_BYTES. */
#define BENCH_STAMP_BYTES 33
void bench_stamp_write(char *text, uint64_t number, uint64_t sent_us);
bool bench_stamp_read(const char *text, size_t len, uint64_t *number, uint64_t *sent_us);

/* bench_device.c: the worker's whole life; devices first .. first + count - 1. Never returns. */
_Noreturn void bench_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count);

#endif
