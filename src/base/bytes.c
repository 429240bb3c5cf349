#include "base/bytes.h"

#include "base/err.h"
#include "base/object.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_CAP_MIN 64
#define BYTES_VARINT_MAX 10

uint8_t *bytes_reserve(struct bytebuf *out, size_t more)
{
    petrel_assert(more <= SIZE_MAX / 4 - out->len);
    size_t need = out->len + more;
    if (need > out->cap || out->ptr == NULL) {
        size_t cap = out->cap < BYTES_CAP_MIN ? BYTES_CAP_MIN : out->cap;
        while (cap < need)
            cap *= 2;
        out->ptr = object_realloc(out->ptr, cap);
        out->cap = cap;
    }
    return out->ptr + out->len;
}

void bytes_append(struct bytebuf *out, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    memcpy(bytes_reserve(out, len), ptr, len);
    out->len += len;
}

void bytes_append_str(struct bytebuf *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

void bytes_printf(struct bytebuf *out, const char *format, ...)
{
    size_t room = BYTES_CAP_MIN;
    for (;;) {
        char *place = (char *)bytes_reserve(out, room);
        va_list args;
        va_start(args, format);
        int len = vsnprintf(place, room, format, args);
        va_end(args);
        petrel_assert(len >= 0);
        if ((size_t)len < room) {
            out->len += (size_t)len;
            return;
        }
        room = (size_t)len + 1; /* vsnprintf wants room for its NUL */
    }
}

void bytes_consume(struct bytebuf *out, size_t count)
{
    petrel_assert(count <= out->len);
    out->len -= count;
    if (out->len > 0 && count > 0)
        memmove(out->ptr, out->ptr + count, out->len);
}

void bytes_reset(struct bytebuf *out)
{
    free(out->ptr);
    *out = (struct bytebuf){0};
}

static void put_little_endian(struct bytebuf *out, uint64_t value, size_t width)
{
    uint8_t *place = bytes_reserve(out, width);
    for (size_t i = 0; i < width; i++)
        place[i] = (uint8_t)(value >> (8 * i));
    out->len += width;
}

static int get_little_endian(struct bytes *in, uint64_t *value, size_t width)
{
    if (in->len < width)
        return PETREL_E_INVALID;
    uint64_t result = 0;
    for (size_t i = 0; i < width; i++)
        result |= (uint64_t)in->ptr[i] << (8 * i);
    *value = result;
    *in = bytes_of(in->ptr + width, in->len - width);
    return 0;
}

void bytes_put_u8(struct bytebuf *out, uint8_t value)
{
    put_little_endian(out, value, sizeof value);
}

void bytes_put_u32(struct bytebuf *out, uint32_t value)
{
    put_little_endian(out, value, sizeof value);
}

void bytes_put_u64(struct bytebuf *out, uint64_t value)
{
    put_little_endian(out, value, sizeof value);
}

void bytes_put_varint(struct bytebuf *out, uint64_t value)
{
    uint8_t *place = bytes_reserve(out, BYTES_VARINT_MAX);
    size_t len = 0;
    while (value >= 0x80) {
        place[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    place[len++] = (uint8_t)value;
    out->len += len;
}

void bytes_put_blob(struct bytebuf *out, struct bytes blob)
{
    bytes_put_varint(out, blob.len);
    bytes_append(out, blob.ptr, blob.len);
}

int bytes_get_u8(struct bytes *in, uint8_t *value)
{
    uint64_t wide;
    int rc = get_little_endian(in, &wide, sizeof *value);
    if (rc == 0)
        *value = (uint8_t)wide;
    return rc;
}

int bytes_get_u32(struct bytes *in, uint32_t *value)
{
    uint64_t wide;
    int rc = get_little_endian(in, &wide, sizeof *value);
    if (rc == 0)
        *value = (uint32_t)wide;
    return rc;
}

int bytes_get_u64(struct bytes *in, uint64_t *value)
{
    return get_little_endian(in, value, sizeof *value);
}

int bytes_get_varint(struct bytes *in, uint64_t *value)
{
    uint64_t result = 0;
    for (size_t i = 0; i < in->len && i < BYTES_VARINT_MAX; i++) {
        uint8_t byte = in->ptr[i];
        if (i == BYTES_VARINT_MAX - 1 && byte > 1)
            return PETREL_E_INVALID; /* would not fit into 64 bits */
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) != 0)
            continue;
        if (byte == 0 && i > 0)
            return PETREL_E_INVALID; /* a shorter form exists: one value, one encoding */
        *value = result;
        *in = bytes_of(in->ptr + i + 1, in->len - i - 1);
        return 0;
    }
    return PETREL_E_INVALID;
}

int bytes_get_blob(struct bytes *in, struct bytes *blob)
{
    struct bytes rest = *in;
    uint64_t len;
    int rc = bytes_get_varint(&rest, &len);
    if (rc != 0)
        return rc;
    if (len > rest.len)
        return PETREL_E_INVALID;
    *blob = bytes_of(rest.ptr, (size_t)len);
    *in = bytes_of(rest.ptr + len, rest.len - (size_t)len);
    return 0;
}

/* base64, and with another alphabet base64url. One text for one value: stray bits are refused. */
static const char STANDARD[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(struct bytes in, const char alphabet[64], uint8_t *out)
{
    size_t len = 0;
    size_t at = 0;
    for (; in.len - at >= 3; at += 3) {
        uint32_t group = (uint32_t)in.ptr[at] << 16 | (uint32_t)in.ptr[at + 1] << 8 | (uint32_t)in.ptr[at + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            out[len++] = (uint8_t)alphabet[group >> shift & 63];
    }
    size_t rest = in.len - at;
    if (rest > 0) {
        uint32_t group = (uint32_t)in.ptr[at] << 16;
        if (rest == 2)
            group |= (uint32_t)in.ptr[at + 1] << 8;
        for (size_t i = 0; i <= rest; i++)
            out[len++] = (uint8_t)alphabet[group >> (18 - 6 * i) & 63];
    }
    return len;
}

/* Of both alphabets. */
static const int8_t DIGITS[128] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, 62, -1, 63, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1, -1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63, -1, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
};

static int digit(uint8_t c, const char alphabet[64])
{
    const int value = c < sizeof DIGITS ? DIGITS[c] : -1;
    return value < 62 || (uint8_t)alphabet[value] == c ? value : -1;
}

/* Decode without padding; *len is how much of out was written. */
static int decode(struct bytes in, const char alphabet[64], uint8_t *out, size_t *len)
{
    uint32_t pending = 0;
    unsigned bits = 0;
    *len = 0;
    for (size_t i = 0; i < in.len; i++) {
        int value = digit(in.ptr[i], alphabet);
        if (value < 0)
            return PETREL_E_INVALID;
        pending = (pending << 6 | (uint32_t)value) & 0xfff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[(*len)++] = (uint8_t)(pending >> bits);
        }
    }
    bool stray = (pending & ((1u << bits) - 1)) != 0;
    return bits == 6 || stray ? PETREL_E_INVALID : 0;
}

static int append_decoded(struct bytes in, const char alphabet[64], struct bytebuf *out)
{
    uint8_t *place = bytes_reserve(out, in.len / 4 * 3 + 3);
    size_t len;
    int rc = decode(in, alphabet, place, &len);
    if (rc == 0)
        out->len += len;
    return rc;
}

void bytes_put_base64url(struct bytebuf *out, struct bytes in)
{
    uint8_t *place = bytes_reserve(out, in.len / 3 * 4 + 4);
    out->len += encode(in, URL, place);
}

int bytes_get_base64url(struct bytes in, struct bytebuf *out)
{
    return append_decoded(in, URL, out);
}

void bytes_put_base64(struct bytebuf *out, struct bytes in)
{
    uint8_t *place = bytes_reserve(out, in.len / 3 * 4 + 4);
    size_t len = encode(in, STANDARD, place);
    while (len % 4 != 0)
        place[len++] = '=';
    out->len += len;
}

int bytes_get_base64(struct bytes in, struct bytebuf *out)
{
    if (in.len % 4 != 0)
        return PETREL_E_INVALID;
    for (int padding = 0; padding < 2 && in.len > 0 && in.ptr[in.len - 1] == '='; padding++)
        in.len--;
    return append_decoded(in, STANDARD, out);
}
