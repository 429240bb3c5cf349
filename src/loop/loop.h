/* loop.h: an event loop and what hangs on it. Loop per thread, shared nothing.
 *
 * loop      one thread's mailbox, its timing wheel, its epoll set of streams, in which it sleeps, its shared read buffer
 * mail      how another thread says something to a loop (mailbox.h)
 * task      work put off to later in the same turn or the next
 * turn      one pass: mailbox, timers, sockets; then what was written in it is flushed, once per stream
 *
 * Everything here is called on the loop's own thread unless it says "any thread". An object made on a loop lives and dies
 * on it. A loop with own_descriptors opens what it uses itself: a descriptor means nothing on another loop, and what other threads
 * had open when its thread began is closed there, but for wake-ups. Read next: timer.h, mailbox.h, stream.h, listener.h, worker.h. */
#ifndef PETREL_LOOP_LOOP_H
#define PETREL_LOOP_LOOP_H

#include "base/clock.h"
#include "base/list.h"
#include "base/rng.h"

#include <stdbool.h>

struct loop;
struct turnstile;

struct loop_config {
    uint16_t index;             /* 0 is the loop of the main thread */
    const struct clock *clock;  /* NULL: clock_system() */
    uint32_t read_buffer_bytes; /* the buffer all streams read into, 4 KiB or more; 0: 64 KiB */
    bool opens_low_ports;       /* its thread keeps what lets it, until capabilities_shed(); else it begins with that */
    bool own_descriptors;       /* its thread gets a table of its own, with the process's limit anew */
    struct turnstile
        *crowds; /* of loops with more sockets ready than a turn serves, which of them do; NULL: all. Outlives it */
};

/* Make a loop with all its handles. Called by the main thread, before any other thread runs. 0, or PETREL_E_IO. */
int loop_new(struct loop **out, const struct loop_config *config);

/* Run turns on the calling thread, which owns the loop from here on, until loop_stop() was called and every stream,
 * listener and signal on it has closed. */
void loop_run(struct loop *loop);

/* Let loop_run() return when what is open has closed: who opened things closes them. Any thread; may be called twice. */
void loop_stop(struct loop *loop);

/* After loop_run() has returned, or instead of it. Mail not yet run is run first. NULL inside is fine. */
void loop_free(struct loop **loop);

/* Run loop_run() on a thread of its own named name (at most 15 bytes). 0 or PETREL_E_IO. Main thread. */
int loop_start_thread(struct loop *loop, const char *name);
/* Wait for that thread to end. Main thread. */
void loop_join_thread(struct loop *loop);

uint16_t loop_index(const struct loop *loop);
const struct clock *loop_clock(const struct loop *loop);
struct rng *loop_rng(struct loop *loop);
/* Monotonic milliseconds as of the start of this turn. */
uint64_t loop_now_ms(const struct loop *loop);
/* Wall clock milliseconds, read once per turn. */
uint64_t loop_wall_ms(struct loop *loop);
/* The longest turn since the last call, in ms; the reader of a stall of over 1 s marks its links dirty. */
uint64_t loop_take_longest_turn_ms(struct loop *loop);

/* How long what the last turn served had waited, at most, when the turn ended: its length, and that of the turns before it while
 * more sockets were ready than one turn serves. In ms. */
uint64_t loop_lag_ms(const struct loop *loop);

/* A piece of work that its owner embeds. Zero-initialise. */
struct loop_task {
    struct list node;
    void (*run)(struct loop_task *task);
    bool queued;
};

/* Run task->run once, after the current callback returns and before the loop sleeps. Queued twice is queued once. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Take it back; nothing happens if it is not queued. */
void loop_undefer(struct loop_task *task);
/* The same, but after all other work of the turn, just before streams are flushed: for batches. */
void loop_at_turn_end(struct loop *loop, struct loop_task *task);

#endif
