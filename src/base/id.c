#include "base/id.h"

#include "base/err.h"
#include "base/hash.h"

#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t on the stack */
#include <xxhash.h>

static void set_version(struct id *id, uint8_t version)
{
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | version << 4);
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
}

static void put_big_endian(uint8_t *out, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        out[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

struct id id_new(struct rng *rng, uint64_t wall_ms)
{
    struct id id;
    put_big_endian(id.bytes, wall_ms, 6);
    put_big_endian(id.bytes + 6, rng_u64(rng), 2);
    put_big_endian(id.bytes + 8, rng_u64(rng), 8);
    set_version(&id, 7);
    return id;
}

/* With their lengths, so that ("ab", "c") and ("a", "bc") are two keys. */
static void update(XXH3_state_t *state, struct bytes part)
{
    uint8_t len[8];
    put_big_endian(len, part.len, sizeof len);
    (void)XXH3_128bits_update(state, len, sizeof len);
    (void)XXH3_128bits_update(state, part.ptr, part.len);
}

struct id id_derive(struct bytes scope, struct bytes key)
{
    XXH3_state_t state;
    (void)XXH3_128bits_reset(&state);
    update(&state, scope);
    update(&state, key);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    struct id id;
    memcpy(id.bytes, canonical.digest, sizeof id.bytes);
    set_version(&id, 8);
    return id;
}

uint64_t id_hash(const struct id *id)
{
    return hash_bytes(bytes_of(id->bytes, sizeof id->bytes), 0);
}

static bool dash_at(size_t place)
{
    return place == 8 || place == 13 || place == 18 || place == 23;
}

char *id_format(const struct id *id, char out[ID_TEXT_LEN + 1])
{
    size_t nibble = 0;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        if (dash_at(i)) {
            out[i] = '-';
            continue;
        }
        uint8_t byte = id->bytes[nibble / 2];
        out[i] = "0123456789abcdef"[nibble % 2 == 0 ? byte >> 4 : byte & 15];
        nibble++;
    }
    out[ID_TEXT_LEN] = '\0';
    return out;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int id_parse(struct bytes text, struct id *id)
{
    if (text.len != ID_TEXT_LEN)
        return PETREL_E_INVALID;
    struct id result = {{0}};
    size_t nibble = 0;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        if (dash_at(i)) {
            if (text.ptr[i] != '-')
                return PETREL_E_INVALID;
            continue;
        }
        int value = hex_digit(text.ptr[i]);
        if (value < 0)
            return PETREL_E_INVALID;
        uint8_t *byte = &result.bytes[nibble / 2];
        *byte = (uint8_t)(*byte << 4 | value);
        nibble++;
    }
    *id = result;
    return 0;
}
