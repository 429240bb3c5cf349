/* loops.h: loops on threads of their own for the contract suites, and ways for the test's thread to act on them and to wait.
 *
 * cmocka's assertions longjmp, so they belong to the test's thread: what loops find is written down, counted in a tally, and
 * looked at after tally_wait(). */
#ifndef PETREL_TESTS_CONTRACT_LOOPS_H
#define PETREL_TESTS_CONTRACT_LOOPS_H

#include "loop/loop.h"
#include "loop/mailbox.h"

#include <pthread.h>

#define LOOPS_MAX 257

/* A count that threads add to and the test waits for. */
struct loops_tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t value;
};

void loops_tally_init(struct loops_tally *tally);
void loops_tally_destroy(struct loops_tally *tally);
/* Any thread; what it wrote before is seen by whoever waits. */
void loops_tally_add(struct loops_tally *tally, uint64_t more);
/* Wait until the value is at least this; false after a minute. */
bool loops_tally_wait(struct loops_tally *tally, uint64_t at_least);
uint64_t loops_tally_get(struct loops_tally *tally);

struct loops {
    size_t count;
    struct loop *loops[LOOPS_MAX];
};

/* Make them; abort when that fails. */
void loops_open(struct loops *loops, size_t count);
/* A thread for each. */
void loops_start(struct loops *loops);
/* Run call(ctx) on the loop's thread and wait until it has returned. */
void loops_run_on(struct loops *loops, size_t index, void (*call)(void *ctx), void *ctx);
/* Keeps a loop's thread away from its mail and its sockets, once closed and until it is opened. */
struct loops_gate {
    struct mail mail;
    struct loops *loops;
    size_t index;
    struct loops_tally entered;
    struct loops_tally open;
};

/* The loop's thread stands at the gate when this returns. */
void loops_gate_close(struct loops_gate *gate, struct loops *loops, size_t index);
/* It is through, and has taken its mail of the meantime. */
void loops_gate_open(struct loops_gate *gate);

/* Stop one, wait for its thread. */
void loops_stop_one(struct loops *loops, size_t index);
void loops_stop(struct loops *loops);
/* After loops_stop(). */
void loops_free(struct loops *loops);

#endif
