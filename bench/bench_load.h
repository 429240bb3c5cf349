/* bench_load.h: messages at a rate, broadcasts now and then; and whether each came, once.
 *
 * number   of a message: those to single devices count from 0, broadcasts from `numbers` */
#ifndef PETREL_BENCH_BENCH_LOAD_H
#define PETREL_BENCH_BENCH_LOAD_H

#include "bench_senders.h"

#define BENCH_LOAD_RATE_MAX 200000 /* no machine takes more from us: what numbers are there for */

/* Where a message goes. */
struct bench_aim {
    uint32_t user; /* its number */
    uint32_t bytes;
};

struct bench_load {
    struct bench *bench;
    struct bench_senders *senders;
    uint32_t rate;     /* messages a second to single devices; 0: as many as go */
    uint32_t every_ms; /* from one broadcast to the next; 0: none */
    uint64_t numbers;
    uint32_t broadcasts_max;
    struct bench_aim (*aim)(const struct bench_load *load, uint64_t number);
    uint64_t start_us;
    uint64_t next; /* number */
    uint64_t
        forgone; /* messages that were due while all senders waited for answers, over a second's worth: they are not made up for */
    uint32_t broadcasts; /* begun */
};

/* What came of it, at the devices of bench->fleet. */
struct bench_outcome {
    uint64_t accepted; /* of those to single devices */
    uint64_t delivered;
    uint64_t lost; /* answered 2xx and not there */
    uint64_t duplicates;
    uint64_t broadcasts; /* answered 2xx */
    uint64_t broadcasts_delivered;
    uint64_t broadcasts_lost;
    double broadcasts_seconds; /* from the sending of each to its last arrival, in all */
};

/* Room for so many numbers and broadcasts as rate and every_ms, or BENCH_LOAD_RATE_MAX, make in so many seconds. The caller has set
 * bench, aim, rate and every_ms. The fleet is opened with the same numbers and broadcasts_max, before or after. */
void bench_load_plan(struct bench_load *load, uint32_t seconds);
/* Open the senders; time begins. */
void bench_load_start(struct bench_load *load);
/* Send what is due, take answers for a moment. */
void bench_load_turn(struct bench_load *load);
/* Until nothing is under way. */
void bench_load_finish(struct bench_load *load);
/* Wait at most so long for what is not there yet. */
struct bench_outcome bench_load_await(const struct bench_load *load, uint32_t seconds);
void bench_load_close(struct bench_load *load);

#endif
