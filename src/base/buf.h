/* buf.h: an immutable, reference-counted byte string, the one thing that threads share.
 *
 * A message's body and a frame for many sockets are each one buf, written once by who makes it, before it is shared, and
 * freed with the last reference. The count is atomic; the bytes never change once a second holder has it. */
#ifndef PETREL_BASE_BUF_H
#define PETREL_BASE_BUF_H

#include "base/bytes.h"

#include <stdatomic.h>

struct buf {
    atomic_uint refs;
    uint32_t len;
    uint8_t data[];
};

/* A new buf of len bytes with one reference, contents undefined, to be filled before anyone else gets it. Aborts when
 * memory is out: the caller has bounded len (at most 16 MiB, asserted). Any thread. */
struct buf *buf_new(size_t len);
/* The same, filled with a copy. */
struct buf *buf_copy(struct bytes from);
/* One more reference to the same buf. Any thread. */
struct buf *buf_ref(struct buf *buf);
/* Give back one reference; NULL is fine. Any thread. */
void buf_unref(struct buf *buf);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return buf != NULL ? bytes_of(buf->data, buf->len) : (struct bytes){NULL, 0};
}

#endif
