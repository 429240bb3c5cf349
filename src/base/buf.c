#include "base/buf.h"

#include "base/object.h"

#include <stdlib.h>

#define BUF_LEN_MAX (16u * 1024 * 1024)

struct buf *buf_new(size_t len)
{
    petrel_assert(len <= BUF_LEN_MAX);
    struct buf *buf = object_alloc(sizeof *buf + len);
    atomic_init(&buf->refs, 1);
    buf->len = (uint32_t)len;
    return buf;
}

struct buf *buf_copy(struct bytes from)
{
    struct buf *buf = buf_new(from.len);
    if (from.len > 0)
        memcpy(buf->data, from.ptr, from.len);
    return buf;
}

struct buf *buf_ref(struct buf *buf)
{
    unsigned before = atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    petrel_assert(before > 0);
    return buf;
}

void buf_unref(struct buf *buf)
{
    if (buf == NULL)
        return;
    /* Release what this holder did with the bytes, acquire what the others did, before the memory
     * goes back to the allocator. */
    unsigned before = atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel);
    petrel_assert(before > 0);
    if (before == 1)
        free(buf);
}
