#include "loop/outbox.h"

#include "base/object.h"

#include <stdlib.h>

/* A copy of a small frame takes an allocation of half a KiB, which then has room for those that follow in the turn. */
#define OUTBOX_CHUNK_BYTES (512 - sizeof(struct buf))

struct outbox *outbox_new(struct stream *stream)
{
    struct outbox *out = object_zalloc(sizeof *out);
    out->stream = stream;
    out->segments = out->inline_segments;
    out->cap = OUTBOX_INLINE;
    return out;
}

void outbox_free(struct outbox *out)
{
    if (out == NULL)
        return;
    timer_stop(&out->deadline);
    for (uint32_t i = out->head; i < out->tail; i++)
        buf_unref(out->segments[i].buf);
    if (out->segments != out->inline_segments)
        free(out->segments);
    free(out);
}

static void grow(struct outbox *out)
{
    uint32_t cap = out->cap * 2;
    if (out->segments != out->inline_segments) {
        out->segments = object_realloc(out->segments, cap * sizeof *out->segments);
    } else {
        out->segments = object_alloc(cap * sizeof *out->segments);
        memcpy(out->segments, out->inline_segments, sizeof out->inline_segments);
    }
    out->cap = cap;
}

/* Takes over the caller's reference. */
static void push_segment(struct outbox *out, struct buf *buf, uint32_t len)
{
    if (out->tail == out->cap) {
        if (out->head < out->cap / 2)
            grow(out);
        out->tail -= out->head;
        memmove(out->segments, out->segments + out->head, out->tail * sizeof *out->segments);
        out->head = 0;
    }
    out->segments[out->tail++] = (struct outbox_segment){.buf = buf, .at = 0, .len = len};
    out->queued += len;
}

void outbox_push(struct outbox *out, struct buf *buf)
{
    if (buf->len == 0)
        return;
    push_segment(out, buf_ref(buf), buf->len);
    out->chunk = NULL;
}

void outbox_push_copy(struct outbox *out, struct bytes data)
{
    if (data.len == 0)
        return;
    if (out->chunk != NULL && data.len <= out->chunk->len - out->chunk_used) {
        memcpy(out->chunk->data + out->chunk_used, data.ptr, data.len);
        out->segments[out->tail - 1].len += (uint32_t)data.len;
        out->queued += data.len;
    } else {
        out->chunk = buf_new(data.len > OUTBOX_CHUNK_BYTES ? data.len : OUTBOX_CHUNK_BYTES);
        out->chunk_used = 0;
        memcpy(out->chunk->data, data.ptr, data.len);
        push_segment(out, out->chunk, (uint32_t)data.len);
    }
    out->chunk_used += (uint32_t)data.len;
}

size_t outbox_peek(const struct outbox *out, struct iovec *vectors, size_t max)
{
    size_t count = 0;
    for (uint32_t i = out->head; i < out->tail && count < max; i++) {
        const struct outbox_segment *segment = &out->segments[i];
        vectors[count++] = (struct iovec){segment->buf->data + segment->at, segment->len};
    }
    return count;
}

void outbox_consume(struct outbox *out, size_t count)
{
    petrel_assert(count <= out->queued);
    out->queued -= count;
    while (count > 0) {
        struct outbox_segment *segment = &out->segments[out->head];
        if (count < segment->len) {
            segment->at += (uint32_t)count;
            segment->len -= (uint32_t)count;
            return;
        }
        count -= segment->len;
        if (segment->buf == out->chunk)
            out->chunk = NULL;
        buf_unref(segment->buf);
        out->head++;
    }
    if (out->head == out->tail) {
        out->head = 0;
        out->tail = 0;
    }
}
