/* loop_rig.h: a loop on a thread of its own, and a test on the main thread that waits on conditions.
 *
 * What runs on the loop counts with loop_rig_bump(); the test waits for the count. Assertions are the main thread's. */
#ifndef PETREL_TESTS_LOOP_RIG_H
#define PETREL_TESTS_LOOP_RIG_H

#include "loop/loop.h"

#include <pthread.h>

struct loop_rig {
    struct loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

void loop_rig_start(struct loop_rig *rig);
void loop_rig_start_with(struct loop_rig *rig, const struct loop_config *config);
/* Stop, join and free. Whatever is open is closed first by the test. */
void loop_rig_stop(struct loop_rig *rig);

/* Run fn(arg) on the loop and wait until it has returned. */
void loop_rig_call(struct loop_rig *rig, void (*fn)(void *arg), void *arg);
/* Let the loop take a few whole turns, so that what it would do by itself it has done. */
void loop_rig_turns(struct loop_rig *rig);

/* Any thread: add to a count that a test waits for, or read it. */
void loop_rig_bump(struct loop_rig *rig, int *count);
int loop_rig_read(struct loop_rig *rig, const int *count);
/* Whether *count reaches least in half a minute. Any thread but the loop's. */
bool loop_rig_await(struct loop_rig *rig, const int *count, int least);
/* Fail the test when it does not. Main thread. */
void loop_rig_wait(struct loop_rig *rig, const int *count, int least);

/* A connected, blocking client socket on 127.0.0.1, whose reads fail after half a minute. */
int loop_rig_connect(uint16_t port);
/* Read until the peer's FIN; the number of bytes, or -1 with errno. The first max go into out. */
long loop_rig_read_all(int fd, void *out, size_t max);

#endif
