/* outbox.h: what a stream has still to write. It exists only while there is something, so an idle stream pays nothing.
 *
 * A queue of segments, each a piece of a reference-counted buf. Small copies that follow each other share a chunk, a buf
 * that nobody else has yet. */
#ifndef PETREL_LOOP_OUTBOX_H
#define PETREL_LOOP_OUTBOX_H

#include "base/buf.h"
#include "loop/timer.h"

#include <sys/uio.h>

struct outbox_segment {
    struct buf *buf;
    uint32_t at;
    uint32_t len;
};

#define OUTBOX_INLINE 4

struct outbox {
    struct stream *stream;
    struct timer deadline; /* of a flushing close; the stream's */
    size_t queued;         /* bytes */
    struct buf *chunk;     /* the last segment's buf, while copies may still be added to it */
    uint32_t chunk_used;
    uint32_t head; /* segments[head] is the first to go */
    uint32_t tail; /* one after the last */
    uint32_t cap;
    struct outbox_segment *segments; /* inline_segments, or allocated */
    struct outbox_segment inline_segments[OUTBOX_INLINE];
};

struct outbox *outbox_new(struct stream *stream);
/* Drop what is queued. NULL is fine. */
void outbox_free(struct outbox *out);

/* Take a reference to buf. */
void outbox_push(struct outbox *out, struct buf *buf);
void outbox_push_copy(struct outbox *out, struct bytes data);

/* The first segments, at most max; returns how many. */
size_t outbox_peek(const struct outbox *out, struct iovec *vectors, size_t max);
/* The kernel took the first count bytes. */
void outbox_consume(struct outbox *out, size_t count);

#endif
