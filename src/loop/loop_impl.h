/* loop_impl.h: what the files of this room share; nobody else includes it.
 *
 * A turn: uv_run() lets the callbacks of mailbox, timer, pollset and signal run, each of which calls loop_turn_begin();
 * then loop.c ends the turn: timers that are due, deferred tasks, turn-end tasks, one flush per written stream, and what
 * was closed is freed. Nothing is freed anywhere else, so no event of a turn meets freed memory. */
#ifndef PETREL_LOOP_LOOP_IMPL_H
#define PETREL_LOOP_LOOP_IMPL_H

#include "base/object.h"
#include "base/slab.h"
#include "loop/listener.h"
#include "loop/mailbox.h"
#include "loop/stream.h"
#include "loop/timer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#define LOOP_MAGIC OBJECT_MAGIC('L', 'O', 'O', 'P')
#define STREAM_MAGIC OBJECT_MAGIC('S', 'T', 'R', 'M')
#define LISTENER_MAGIC OBJECT_MAGIC('L', 'S', 'T', 'N')

/* Kinds of owners, told apart by their callbacks, that the streams of a loop may have. */
#define LOOP_STREAM_KINDS_MAX 32
/* How often the memory that the busiest moment needed is let go of. */
#define LOOP_TRIM_MS 2000

#define TIMER_LEVELS 6 /* of 64 slots each: 2^36 ticks, 17 years from the loop's start */
#define TIMER_LEVEL_BITS 6
#define TIMER_SLOTS 64

/* What stands in a pollset; the first member of stream and listener, told apart by the magic number. */
struct endpoint {
    uint32_t magic;
    int fd;
};

struct mailbox {
    pthread_mutex_t lock;
    struct mail *first; /* under lock, as is last */
    struct mail *last;
    uv_async_t wakeup;
};

struct timer_wheel {
    uv_timer_t alarm;
    uint64_t alarm_ms; /* when the alarm is set to ring, on the loop's clock; UINT64_MAX: it is not */
    uint64_t base_ms;  /* tick 0 */
    uint64_t tick;     /* everything up to this tick has fired */
    /* A bit per slot that may hold a timer. Stopping a timer leaves its bit; who looks finds the slot empty. */
    uint64_t occupied[TIMER_LEVELS];
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

struct loop {
    uint32_t magic;
    uint16_t index;
    bool in_turn;
    bool has_thread;
    bool own_descriptors;
    atomic_bool stopping;
    const struct clock *clock;
    struct rng rng;
    uv_loop_t uv;

    struct mailbox mailbox;
    struct timer_wheel wheel;
    struct list deferred;         /* loop_task, in order */
    struct list turn_end;         /* loop_task, in order */
    struct list unflushed;        /* outboxes of streams written to in this turn */
    struct stream *closing_first; /* streams that wait for on_closed */
    struct stream *closing_last;
    struct list closed_listeners;

    uv_poll_t sockets; /* watches epoll_fd, in which streams and listeners stand */
    int epoll_fd;
    size_t open; /* streams, listeners, signal watches */

    struct slab streams;
    struct slab outboxes;
    struct slab chunks;
    uint64_t trimmed_ms;
    const struct stream_ops *stream_ops[LOOP_STREAM_KINDS_MAX];
    struct tls_loop *tls; /* NULL until a stream speaks TLS */

    uint64_t now_ms; /* both as of the turn's begin */
    uint64_t wall_ms;
    uint64_t longest_turn_ms;
    uint8_t *read_buffer;
    size_t read_buffer_size;
    pthread_t thread;
};

/* First thing in every callback from libuv: reads the clocks once per turn. */
void loop_turn_begin(struct loop *loop);

/* Each destroy follows its init, also one that failed, once libuv has let go of the handles. */
int mailbox_init(struct loop *loop);
void mailbox_destroy(struct loop *loop);
/* Run all mail that has been posted so far; whether there was any. */
bool mailbox_run(struct loop *loop);
/* Post a chain that ends in last, with at most one wake-up. */
void mailbox_post_chain(struct loop *to, struct mail *first, struct mail *last);

void timer_wheel_init(struct loop *loop);
/* Fire what is due at the turn's begin. */
void timer_wheel_advance(struct loop *loop);
/* When the wheel next has something to do, in the loop's monotonic ms; UINT64_MAX: never. */
uint64_t timer_wheel_next_ms(struct loop *loop);
/* Set the alarm to that, or silence it. */
void timer_wheel_sleep(struct loop *loop);

int pollset_init(struct loop *loop);
void pollset_destroy(struct loop *loop);
/* 0 or PETREL_E_IO (no memory for one more in the kernel). events: EPOLLIN, EPOLLOUT; errors are always told. */
int pollset_add(struct loop *loop, struct endpoint *endpoint, uint32_t events);
void pollset_change(struct loop *loop, struct endpoint *endpoint, uint32_t events);
void pollset_remove(struct loop *loop, struct endpoint *endpoint);

/* A stream on an open, connected, non-blocking descriptor, which it owns from here on; NULL when the kernel has no room
 * for one more in the pollset, and the descriptor stays the caller's. */
struct stream *stream_new(struct loop *loop, int fd);
void stream_on_events(struct stream *stream, uint32_t events);
/* Whether accept's callee did what it must: attach or close. */
bool stream_is_adopted(const struct stream *stream);
void stream_slabs_init(struct loop *loop);
void stream_slabs_reset(struct loop *loop);
/* Let go of what streams that are gone, or no longer busy, took. */
void stream_slabs_trim(struct loop *loop);
/* The turn's end: write what was queued; tell the owners of closed streams and free them. */
void stream_flush_all(struct loop *loop);
void stream_free_closed(struct loop *loop);

void listener_on_events(struct listener *listener);
void listener_free_closed(struct loop *loop);

#endif
