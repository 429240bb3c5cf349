/* bench_fleet.h: the devices: as many as wanted, in processes of their own, each with its own descriptors.
 *
 * worker   a forked process that holds a share of the devices and does what the fleet's order says
 * order    what the workers are to do now; what they did stands in memory that all share
 * number   of a message: it travels in its data, and the fleet counts how often each number came
 *
 * Read: bench_fleet.c (the parent's side), bench_device.c (a worker). */
#ifndef PETREL_BENCH_BENCH_FLEET_H
#define PETREL_BENCH_BENCH_FLEET_H

#include "bench.h"
#include "bench_latency.h"

#include <stdatomic.h>

#define BENCH_WORKERS_MAX 128
#define BENCH_DEVICES_PER_WORKER 15000 /* below the hard limit of descriptors that Debian's containers have */
#define BENCH_WHY_MAX 120

enum bench_order {
    BENCH_WAIT,    /* take what comes, ack it */
    BENCH_CONNECT, /* connect those that are not */
    BENCH_BEAT,    /* each session sends one PING, spread over beat_us */
    BENCH_CUT,     /* drop all connections at once; then BENCH_CONNECT brings them back */
    BENCH_LEAVE,
};

/* Written by the worker, read by the parent. */
struct bench_worker {
    _Atomic(uint32_t) order_done; /* the serial of the newest order that is done */
    _Atomic(uint32_t) connected;  /* now */
    _Atomic(uint64_t) connects;   /* in all */
    _Atomic(uint64_t) failed;     /* connects that failed, sessions that were lost */
    _Atomic(uint64_t) pushes;
    _Atomic(uint64_t) backwards; /* pushes at or before the session's position: duplicates */
    _Atomic(uint64_t) gaps;      /* messages that a GAP says are lost, at most */
    _Atomic(uint64_t) pongs;
    _Atomic(uint64_t) broadcasts; /* pushes of them */
    struct bench_latency connect; /* read when its order is done */
    struct bench_latency push;    /* from the message's sending to its arrival */
    struct bench_latency pong;
    struct bench_latency broadcast;
    char why[BENCH_WHY_MAX]; /* of the last failure */
};

/* Written by the parent. */
struct bench_fleet_shared {
    _Atomic(uint32_t) order;
    _Atomic(uint32_t) order_serial;
    _Atomic(uint64_t) beat_us;
    struct bench_worker workers[BENCH_WORKERS_MAX];
};

struct bench_fleet {
    struct bench *bench;
    struct bench_fleet_shared *shared;
    int parent; /* the process that forked the workers */
    uint32_t workers_count;
    int pids[BENCH_WORKERS_MAX];
    uint32_t devices;
    uint64_t numbers;       /* room in seen */
    _Atomic(uint8_t) *seen; /* how often each number came; shared */
};

struct bench_fleet_sums {
    uint64_t connected, connects, failed, pushes, backwards, gaps, pongs, broadcasts;
    struct bench_latency connect, push, pong, broadcast;
    const char *why; /* NULL: nothing failed */
};

/* Fork workers for that many devices; numbers: messages that will be told apart. Dies when memory is out. */
void bench_fleet_open(struct bench *bench, uint32_t devices, uint64_t numbers);
/* Have all workers do it; bench_fleet_await() until they have, at most so long, with progress. false: they have not. */
void bench_fleet_order(struct bench_fleet *fleet, enum bench_order order);
bool bench_fleet_await(struct bench_fleet *fleet, uint32_t seconds);
struct bench_fleet_sums bench_fleet_sum(const struct bench_fleet *fleet);
/* Whether this process is the one that opened the fleet, not a worker. */
bool bench_fleet_is_parent(const struct bench_fleet *fleet);
void bench_fleet_close(struct bench_fleet **fleet);

/* The data of a message, and back: its number and when it was sent. text has room for BENCH_STAMP_BYTES. */
#define BENCH_STAMP_BYTES 33
void bench_stamp_write(char *text, uint64_t number, uint64_t sent_us);
bool bench_stamp_read(const char *text, size_t len, uint64_t *number, uint64_t *sent_us);

/* bench_device.c: the worker's whole life; devices first .. first + count - 1. Never returns. */
_Noreturn void bench_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count);

#endif
