/* outbox.h: what a stream has still to write. It exists only while there is something, so an idle stream pays nothing; it and
 * its chunks come from slabs of the loop, so a steady flow of small frames allocates nothing.
 *
 * A queue of segments, each a piece of a reference-counted buf, or of a chunk, which small copies that follow each other
 * share. Where TLS is spoken, those are what is to be sealed, and what was sealed and not taken by the kernel is held before them. */
#ifndef PETREL_LOOP_OUTBOX_H
#define PETREL_LOOP_OUTBOX_H

#include "base/buf.h"
#include "base/slab.h"
#include "loop/timer.h"

#include <sys/uio.h>

/* What a copy of a small frame takes, which then has room for those that follow in the turn. */
#define OUTBOX_CHUNK_BYTES 512

struct outbox_segment {
    struct buf *buf; /* NULL: a piece of a chunk */
    uint8_t *data;   /* the buf's, or the chunk */
    uint32_t at;
    uint32_t len;
};

#define OUTBOX_INLINE 4

struct outbox {
    struct stream *stream;
    struct slab *chunks;
    struct list node;      /* in the loop's unflushed list */
    struct timer deadline; /* of a flushing close; the stream's */
    uint64_t moved_ms;     /* when the kernel last took bytes, or there were none */
    size_t queued;         /* bytes of segments */
    struct bytebuf held;   /* sealed bytes, which go before all segments */
    size_t held_at;        /* the first of them to go */
    uint32_t head;         /* segments[head] is the first to go */
    uint32_t tail;         /* one after the last */
    uint32_t cap;
    struct outbox_segment *segments; /* inline_segments, or allocated */
    struct outbox_segment inline_segments[OUTBOX_INLINE];
};

/* Of slabs of struct outbox and of OUTBOX_CHUNK_BYTES. */
struct outbox *outbox_new(struct slab *outboxes, struct slab *chunks, struct stream *stream);
/* Drop what is queued. NULL is fine. */
void outbox_free(struct outbox *out);

/* Take a reference to buf. */
void outbox_push(struct outbox *out, struct buf *buf);
void outbox_push_copy(struct outbox *out, struct bytes data);

/* All that is to be written. */
static inline size_t outbox_size(const struct outbox *out)
{
    return out->queued + (out->held.len - out->held_at);
}

/* Add sealed bytes behind those that are held. */
void outbox_hold(struct outbox *out, struct bytes sealed);
struct bytes outbox_held(const struct outbox *out);
/* The kernel took the first count of them, at now_ms. */
void outbox_release(struct outbox *out, size_t count, uint64_t now_ms);
/* Copy the first bytes of the segments, at most max, and drop them. Returns how many. */
size_t outbox_take(struct outbox *out, uint8_t *to, size_t max, uint64_t now_ms);

/* The first segments, at most max; returns how many. */
size_t outbox_peek(const struct outbox *out, struct iovec *vectors, size_t max);
/* The kernel took the first count bytes, at now_ms. */
void outbox_consume(struct outbox *out, size_t count, uint64_t now_ms);

#endif
