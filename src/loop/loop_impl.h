/* loop_impl.h: what the files of this room share; nobody else includes it.
 *
 * A turn: the loop wakes in pollset_wait(), which runs the mail and then lets the sockets that are ready say what they have; then
 * loop.c ends the turn: timers that are due, deferred tasks, turn-end tasks, one flush per written stream, and what was closed is
 * freed. Nothing is freed anywhere else, so no event of a turn meets freed memory. */
#ifndef PETREL_LOOP_LOOP_IMPL_H
#define PETREL_LOOP_LOOP_IMPL_H

#include "base/object.h"
#include "base/slab.h"
#include "loop/address.h"
#include "loop/listener.h"
#include "loop/mailbox.h"
#include "loop/pollset.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "loop/turnstile.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOOP_MAGIC OBJECT_MAGIC('L', 'O', 'O', 'P')
#define STREAM_MAGIC OBJECT_MAGIC('S', 'T', 'R', 'M')
#define LISTENER_MAGIC OBJECT_MAGIC('L', 'S', 'T', 'N')
#define WAKEUP_MAGIC OBJECT_MAGIC('W', 'A', 'K', 'E')
#define FEW_MAGIC OBJECT_MAGIC('F', 'E', 'W', 'S')
#define ALARM_MAGIC OBJECT_MAGIC('A', 'L', 'R', 'M')
#define SIGNALS_MAGIC OBJECT_MAGIC('S', 'I', 'G', 'S')

/* Kinds of owners, told apart by their callbacks, that the streams of a loop may have. */
#define LOOP_STREAM_KINDS_MAX 32
/* How often the memory that the busiest moment needed is let go of. */
#define LOOP_TRIM_MS 2000

#define TIMER_LEVELS 6 /* of 64 slots each: 2^36 ticks, 17 years from the loop's start */
#define TIMER_LEVEL_BITS 6
#define TIMER_SLOTS 64

enum mailbox_sleep { MAILBOX_AWAKE, MAILBOX_RESTING /* urgent mail alone wakes it */, MAILBOX_ASLEEP };
enum mailbox_mail { MAILBOX_EMPTY, MAILBOX_FILLED, MAILBOX_URGENT };
struct mailbox {
    atomic_int sleep;  /* enum mailbox_sleep: whether the loop waits for sockets, and for what mail it is woken */
    atomic_int filled; /* enum mailbox_mail: what is in it; written under lock */
    pthread_mutex_t lock;
    struct mail *first, *last; /* under lock */
    struct endpoint wakeup;    /* an eventfd */
    atomic_uint posting;       /* threads that are inside mailbox_post_chain() */
};

struct timer_wheel {
    uint64_t base_ms; /* tick 0 */
    uint64_t tick;    /* everything up to this tick has fired */
    /* A bit per slot that may hold a timer. Stopping a timer leaves its bit; who looks finds the slot empty. */
    uint64_t occupied[TIMER_LEVELS];
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

/* What a turn of a single socket looks at stands together and first: between two of them, others have had the cache. */
struct loop {
    uint32_t magic;
    uint16_t index;
    bool in_turn;
    bool has_thread;
    bool opens_low_ports;
    bool own_descriptors;
    bool held;       /* only the few and mail are waited for */
    bool crowd_in;   /* it serves a crowd, with a place among those that do, since then */
    bool backlogged; /* since since_ms more sockets have been ready than a turn serves */
    bool drained;    /* this turn serves all that were ready as it began */
    atomic_bool stopping;
    int epoll_fd;        /* in which streams, listeners, the mailbox's wake-up and the signals stand */
    struct endpoint few; /* in it, an epoll set of those streams and listeners that are no crowd */
    const struct clock *clock;
    size_t open;       /* streams, listeners, signal watches */
    uint64_t now_ms;   /* as of the turn's begin */
    uint64_t wall_ms;  /* as of when it was asked for first; 0: not in this turn */
    uint64_t ended_ms; /* when the last turn did */
    uint64_t longest_turn_ms;
    uint64_t lag_ms; /* of the turn that ended last */
    uint64_t since_ms;
    uint64_t trimmed_ms;
    struct alarm alarm;
    struct mailbox mailbox;
    struct list deferred, turn_end;              /* loop_task, in order */
    struct list unflushed;                       /* outboxes of streams written to in this turn */
    struct stream *closing_first, *closing_last; /* wait for on_closed */
    struct list closed_listeners;
    uint8_t *read_buffer;
    size_t read_buffer_size;
    struct crowd_pace pace;
    uint64_t crowd_since_ms;
    struct turnstile_pass *crowd_pass; /* NULL: it needs no place */
    const struct stream_ops *stream_ops[LOOP_STREAM_KINDS_MAX];
    struct timer_wheel wheel;

    struct tls_loop *tls;        /* NULL until a stream speaks TLS */
    const struct stream *newest; /* being given away; NULL: none is */
    union address newest_peer;   /* accept's word for whose it is */
    struct signals *signals;     /* NULL until the first watch */
    struct slab streams;
    struct slab outboxes;
    struct slab chunks;
    struct rng rng;
    pthread_t thread;
};

/* First thing once the loop is awake: reads the clock once per turn. */
void loop_turn_begin(struct loop *loop);

/* Each destroy follows its init, also one that failed; the pollset's come first and last. */
int mailbox_init(struct loop *loop);
void mailbox_destroy(struct loop *loop);
/* Run all mail that has been posted so far; whether there was any. */
bool mailbox_run(struct loop *loop);
/* Before the loop waits, RESTING or ASLEEP: true when there is no mail that ends such a sleep, and who posts some from here on wakes it. */
bool mailbox_sleep(struct loop *loop, enum mailbox_sleep sleep);
/* Whether or not the loop is asleep, its next wait ends at once. Any thread. */
void mailbox_wake(struct loop *loop);
/* Post a chain that ends in last, with at most one wake-up. */
void mailbox_post_chain(struct loop *to, struct mail *first, struct mail *last, bool urgent);

void timer_wheel_init(struct loop *loop);
/* Fire what is due at the turn's begin. */
void timer_wheel_advance(struct loop *loop);
/* When the wheel next has something to do, in the loop's monotonic ms; UINT64_MAX: never. */
uint64_t timer_wheel_next_ms(struct loop *loop);

/* A stream on an open, connected, non-blocking descriptor, which it owns from here on; NULL when the kernel has no room
 * for one more in the pollset, and the descriptor stays the caller's. */
struct stream *stream_new(struct loop *loop, enum pollset_part part, int fd);
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

/* A signal may have come. */
void signal_on_events(struct signals *signals);
/* Every watch is closed. NULL is fine. */
void signal_free(struct signals *signals);

void listener_on_events(struct listener *listener);
void listener_free_closed(struct loop *loop);

#endif
