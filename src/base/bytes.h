/* bytes.h: a borrowed run of bytes, and a bounded writer.
 *
 * `struct bytes` never owns. Who lends it says for how long. An absent value is {NULL, 0}; an empty one has ptr != NULL. */
#ifndef PETREL_BASE_BYTES_H
#define PETREL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){(const uint8_t *)ptr, len};
}

/* NULL gives the absent value. */
static inline struct bytes bytes_str(const char *text)
{
    return text != NULL ? bytes_of(text, strlen(text)) : (struct bytes){NULL, 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool bytes_equal_str(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_str(text));
}

/* A growing byte string that its holder owns; {0} is empty and valid. Growth aborts when memory is out, so whoever
 * appends a peer's bytes bounds them first. Not shared between threads. */
struct bytebuf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

void bytes_append(struct bytebuf *out, const void *ptr, size_t len);
void bytes_append_str(struct bytebuf *out, const char *text);
void bytes_printf(struct bytebuf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Make room for `more` bytes after len and return where they go; the caller then adds to len. */
uint8_t *bytes_reserve(struct bytebuf *out, size_t more);
/* Drop the first `count` bytes. */
void bytes_consume(struct bytebuf *out, size_t count);
/* Free the memory; the buffer is empty and usable again. */
void bytes_reset(struct bytebuf *out);

static inline struct bytes bytes_view(const struct bytebuf *buf)
{
    return bytes_of(buf->ptr, buf->len);
}

/* Little-endian packing for records at rest (journal, user records): fixed width, and LEB128 varints of 1-10 bytes. */
void bytes_put_u8(struct bytebuf *out, uint8_t value);
void bytes_put_u32(struct bytebuf *out, uint32_t value);
void bytes_put_u64(struct bytebuf *out, uint64_t value);
void bytes_put_varint(struct bytebuf *out, uint64_t value);
/* A varint length, then the bytes. */
void bytes_put_blob(struct bytebuf *out, struct bytes blob);

/* Each takes from the front of *in. 0, or PETREL_E_INVALID when the input ends too early or a varint is over long;
 * then *in is left where it was. A blob borrows from the input. */
int bytes_get_u8(struct bytes *in, uint8_t *value);
int bytes_get_u32(struct bytes *in, uint32_t *value);
int bytes_get_u64(struct bytes *in, uint64_t *value);
int bytes_get_varint(struct bytes *in, uint64_t *value);
int bytes_get_blob(struct bytes *in, struct bytes *blob);

/* base64url without padding (RFC 4648 section 5) and base64 (section 4, padding required on decode). Encoding appends;
 * decoding appends and returns 0, or PETREL_E_INVALID with *out as it was. */
void bytes_put_base64url(struct bytebuf *out, struct bytes in);
int bytes_get_base64url(struct bytes in, struct bytebuf *out);
void bytes_put_base64(struct bytebuf *out, struct bytes in);
int bytes_get_base64(struct bytes in, struct bytebuf *out);

#endif
