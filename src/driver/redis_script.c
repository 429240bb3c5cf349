#include "driver/redis_script.h"

#include "base/object.h"

#include <stdio.h>

#define BLOCK 64
#define SHA_LEN 40

static uint32_t rotate(uint32_t word, unsigned by)
{
    return word << by | word >> (32 - by);
}

static void add_block(uint32_t hash[5], const uint8_t *block)
{
    uint32_t words[80];
    for (size_t i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
                   block[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    for (size_t i = 0; i < 80; i++) {
        uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = rotate(a, 5) + mixed + e + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    hash[0] += a;
    hash[1] += b;
    hash[2] += c;
    hash[3] += d;
    hash[4] += e;
}

/* SHA-1 (RFC 3174): a name that Redis gives to a text, no matter of security. */
static void sha1_hex(struct bytes in, char out[SHA_LEN + 1])
{
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t whole = in.len / BLOCK * BLOCK;
    for (size_t at = 0; at < whole; at += BLOCK)
        add_block(hash, in.ptr + at);
    uint8_t tail[2 * BLOCK] = {0};
    size_t rest = in.len - whole;
    if (rest > 0)
        memcpy(tail, in.ptr + whole, rest);
    tail[rest] = 0x80;
    size_t tail_len = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)in.len * 8;
    for (size_t i = 0; i < 8; i++)
        tail[tail_len - 1 - i] = (uint8_t)(bits >> (8 * i));
    for (size_t at = 0; at < tail_len; at += BLOCK)
        add_block(hash, tail + at);
    for (size_t i = 0; i < 5; i++)
        snprintf(out + 8 * i, 9, "%08x", (unsigned)hash[i]);
}

static struct redis_text *new_text(size_t index, size_t room)
{
    struct redis_text *text = object_zalloc(sizeof *text + room);
    text->index = index;
    return text;
}

struct redis_text *redis_script_text(size_t index, struct bytes text)
{
    struct redis_text *script = new_text(index, text.len);
    script->len = text.len;
    if (text.len > 0)
        memcpy(script->text, text.ptr, text.len);
    sha1_hex(text, script->name);
    return script;
}

struct redis_text *redis_script_library(size_t index, const char *prefix, struct bytes text)
{
    char digest[SHA_LEN + 1], head[3 * REDIS_TEXT_NAME_MAX];
    sha1_hex(text, digest);
    /* Half of it tells versions apart just as well, and is sent with each call. */
    int len = snprintf(head, sizeof head, "#!lua name=%s_%.16s\nlocal library = '%s_%.16s'\n", prefix, digest, prefix,
                       digest);
    petrel_assert(len > 0 && (size_t)len < sizeof head);
    struct redis_text *library = new_text(index, (size_t)len + text.len);
    library->is_library = true;
    library->len = (size_t)len + text.len;
    memcpy(library->text, head, (size_t)len);
    memcpy(library->text + len, text.ptr, text.len);
    len = snprintf(library->name, sizeof library->name, "%s_%.16s", prefix, digest);
    petrel_assert(len > 0 && (size_t)len < sizeof library->name);
    return library;
}

struct redis_script *redis_script_new(const struct redis_text *text, const char *function)
{
    struct redis_script *script = object_zalloc(sizeof *script);
    petrel_assert(text->is_library == (function != NULL));
    script->text = text;
    int len = snprintf(script->name, sizeof script->name, "%s%s%s", text->name, function != NULL ? "_" : "",
                       function != NULL ? function : "");
    petrel_assert(len > 0 && (size_t)len < sizeof script->name);
    return script;
}
