#include "loop/outbox.h"

#include "base/object.h"

#include <stdlib.h>

struct outbox *outbox_new(struct slab *outboxes, struct slab *chunks, struct stream *stream)
{
    struct outbox *out = slab_take(outboxes);
    out->stream = stream;
    out->chunks = chunks;
    out->segments = out->inline_segments;
    out->cap = OUTBOX_INLINE;
    list_init(&out->node);
    return out;
}

static void release(struct outbox_segment *segment)
{
    if (segment->buf != NULL)
        buf_unref(segment->buf);
    else
        slab_give(segment->data);
}

void outbox_free(struct outbox *out)
{
    if (out == NULL)
        return;
    timer_stop(&out->deadline);
    list_remove(&out->node);
    for (uint32_t i = out->head; i < out->tail; i++)
        release(&out->segments[i]);
    if (out->segments != out->inline_segments)
        free(out->segments);
    bytes_reset(&out->held);
    slab_give(out);
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

static void push_segment(struct outbox *out, struct outbox_segment segment)
{
    if (out->tail == out->cap) {
        if (out->head < out->cap / 2)
            grow(out);
        out->tail -= out->head;
        memmove(out->segments, out->segments + out->head, out->tail * sizeof *out->segments);
        out->head = 0;
    }
    out->segments[out->tail++] = segment;
    out->queued += segment.len;
}

void outbox_push(struct outbox *out, struct buf *buf)
{
    if (buf->len > 0)
        push_segment(out, (struct outbox_segment){.buf = buf_ref(buf), .data = buf->data, .len = buf->len});
}

/* Add to the chunk that the last segment lies in; whether there was room. */
static bool append_copy(struct outbox *out, struct bytes data)
{
    if (out->head == out->tail)
        return false;
    struct outbox_segment *last = &out->segments[out->tail - 1];
    if (last->buf != NULL || data.len > OUTBOX_CHUNK_BYTES - last->at - last->len)
        return false;
    memcpy(last->data + last->at + last->len, data.ptr, data.len);
    last->len += (uint32_t)data.len;
    out->queued += data.len;
    return true;
}

void outbox_push_copy(struct outbox *out, struct bytes data)
{
    if (data.len == 0 || append_copy(out, data))
        return;
    struct outbox_segment segment = {.len = (uint32_t)data.len};
    if (data.len > OUTBOX_CHUNK_BYTES) {
        segment.buf = buf_copy(data);
        segment.data = segment.buf->data;
    } else {
        segment.data = slab_take(out->chunks);
        memcpy(segment.data, data.ptr, data.len);
    }
    push_segment(out, segment);
}

size_t outbox_peek(const struct outbox *out, struct iovec *vectors, size_t max)
{
    size_t count = 0;
    for (uint32_t i = out->head; i < out->tail && count < max; i++) {
        const struct outbox_segment *segment = &out->segments[i];
        vectors[count++] = (struct iovec){segment->data + segment->at, segment->len};
    }
    return count;
}

void outbox_consume(struct outbox *out, size_t count, uint64_t now_ms)
{
    petrel_assert(count <= out->queued);
    out->queued -= count;
    out->moved_ms = now_ms;
    while (count > 0) {
        struct outbox_segment *segment = &out->segments[out->head];
        if (count < segment->len) {
            segment->at += (uint32_t)count;
            segment->len -= (uint32_t)count;
            return;
        }
        count -= segment->len;
        release(segment);
        out->head++;
    }
    if (out->head == out->tail) {
        out->head = 0;
        out->tail = 0;
    }
}

void outbox_hold(struct outbox *out, struct bytes sealed)
{
    bytes_append(&out->held, sealed.ptr, sealed.len);
}

struct bytes outbox_held(const struct outbox *out)
{
    return bytes_of(out->held.ptr + out->held_at, out->held.len - out->held_at);
}

void outbox_release(struct outbox *out, size_t count, uint64_t now_ms)
{
    petrel_assert(count <= out->held.len - out->held_at);
    out->held_at += count;
    out->moved_ms = now_ms;
    if (out->held_at < out->held.len)
        return;
    bytes_reset(&out->held); /* as large as a record, so not for keeps */
    out->held_at = 0;
}

size_t outbox_take(struct outbox *out, uint8_t *to, size_t max, uint64_t now_ms)
{
    size_t taken = 0;
    for (uint32_t i = out->head; i < out->tail && taken < max; i++) {
        const struct outbox_segment *segment = &out->segments[i];
        size_t len = segment->len < max - taken ? segment->len : max - taken;
        memcpy(to + taken, segment->data + segment->at, len);
        taken += len;
    }
    outbox_consume(out, taken, now_ms);
    return taken;
}
