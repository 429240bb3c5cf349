#include "wire/peer_check.h"

#include "base/err.h"
#include "base/object.h"
#include "wire/text.h"

/* Tags of proto/peer.proto: the field's number and how its value is written. */
enum belief_tag {
    BELIEF_APP = 0x0a,
    BELIEF_USER = 0x12,
    BELIEF_DEVICE = 0x1a,
    BELIEF_EPOCH = 0x21,
    BELIEF_SEQ = 0x28,
    BELIEF_SLOT = 0x30,
    BELIEF_GENERATION = 0x38,
    BELIEF_ATTEMPT = 0x40,
    BELIEF_VERSION = 0x48,
};
enum check_tag { CHECK_SESSION = 0x0a, CHECK_INCARNATION = 0x11, CHECK_NODE = 0x18, CHECK_LOOP = 0x20 };

#define VARINT_MAX 10U
#define LENGTH_MAX 2U /* bytes of a length up to 16,383 */
/* Tags, the lengths of the texts, and the numbers. */
#define BELIEF_REST_MAX (9U + 3U * LENGTH_MAX + 8U + 5U * VARINT_MAX)

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Each leaves out what is zero. */
static uint8_t *put_number(uint8_t *at, uint8_t tag, uint64_t value)
{
    if (value == 0)
        return at;
    *at++ = tag;
    return put_varint(at, value);
}

static uint8_t *put_fixed(uint8_t *at, uint8_t tag, uint64_t value)
{
    if (value == 0)
        return at;
    *at++ = tag;
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint8_t *put_text(uint8_t *at, uint8_t tag, struct bytes text)
{
    if (text.len == 0)
        return at;
    at = put_number(at, tag, text.len);
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

/* Once for each session every few minutes, so without a generated struct, and without asking for room field by field. */
void peer_check_put(struct bytebuf *entries, const struct peer_check *check)
{
    const struct peer_target *target = &check->target;
    const size_t texts = target->app.len + target->user.len + target->device.len;
    petrel_assert(texts <= ROUTE_APP_MAX + ROUTE_USER_MAX + ROUTE_DEVICE_MAX);
    uint8_t *const start = bytes_reserve(entries, 1 + LENGTH_MAX + BELIEF_REST_MAX + texts);
    uint8_t *const body = start + 1 + LENGTH_MAX;
    uint8_t *at = put_text(body, BELIEF_APP, target->app);
    at = put_text(at, BELIEF_USER, target->user);
    at = put_text(at, BELIEF_DEVICE, target->device);
    at = put_fixed(at, BELIEF_EPOCH, check->position.epoch);
    at = put_number(at, BELIEF_SEQ, check->position.seq);
    at = put_number(at, BELIEF_SLOT, check->route.slot);
    at = put_number(at, BELIEF_GENERATION, check->route.generation);
    at = put_number(at, BELIEF_ATTEMPT, check->attempt);
    at = put_number(at, BELIEF_VERSION, check->version);
    const size_t len = (size_t)(at - body);
    uint8_t *const place = put_number(start, CHECK_SESSION, len);
    if (place != body)
        memmove(place, body, len);
    entries->len += (size_t)(place - start) + len;
}

static bool stands(const struct bytes *in, uint8_t tag)
{
    return in->len > 0 && in->ptr[0] == tag;
}

static struct bytes after_tag(const struct bytes *in)
{
    return bytes_of(in->ptr + 1, in->len - 1);
}

/* Each takes a field from the front; one that is not there is 0, or empty. */
static int take_number(struct bytes *in, uint8_t tag, uint64_t max, uint64_t *value)
{
    *value = 0;
    if (!stands(in, tag))
        return 0;
    *in = after_tag(in);
    return bytes_get_varint(in, value) == 0 && *value <= max ? 0 : PETREL_E_PROTOCOL;
}

static int take_fixed(struct bytes *in, uint8_t tag, uint64_t *value)
{
    *value = 0;
    if (!stands(in, tag))
        return 0;
    *in = after_tag(in);
    return bytes_get_u64(in, value) == 0 ? 0 : PETREL_E_PROTOCOL;
}

static int take_text(struct bytes *in, uint8_t tag, struct bytes *text)
{
    *text = (struct bytes){NULL, 0};
    if (!stands(in, tag))
        return 0;
    *in = after_tag(in);
    return bytes_get_blob(in, text) == 0 ? 0 : PETREL_E_PROTOCOL;
}

int peer_check_take(const struct peer_checks *checks, struct bytes *rest, struct peer_check *out)
{
    struct bytes in;
    struct bytes left = *rest;
    uint64_t slot = 0, generation = 0;
    if (!stands(&left, CHECK_SESSION))
        return PETREL_E_PROTOCOL;
    left = after_tag(&left);
    if (bytes_get_blob(&left, &in) != 0 || take_text(&in, BELIEF_APP, &out->target.app) != 0 ||
        take_text(&in, BELIEF_USER, &out->target.user) != 0 ||
        take_text(&in, BELIEF_DEVICE, &out->target.device) != 0 ||
        take_fixed(&in, BELIEF_EPOCH, &out->position.epoch) != 0 ||
        take_number(&in, BELIEF_SEQ, UINT64_MAX, &out->position.seq) != 0 ||
        take_number(&in, BELIEF_SLOT, UINT32_MAX, &slot) != 0 ||
        take_number(&in, BELIEF_GENERATION, UINT32_MAX, &generation) != 0 ||
        take_number(&in, BELIEF_ATTEMPT, UINT64_MAX, &out->attempt) != 0 ||
        take_number(&in, BELIEF_VERSION, UINT64_MAX, &out->version) != 0)
        return PETREL_E_PROTOCOL;
    out->route = checks->route;
    out->route.slot = (uint32_t)slot;
    out->route.generation = (uint32_t)generation;
    const struct peer_target *target = &out->target;
    if (in.len > 0 || generation == 0 || target->app.len == 0 || target->user.len == 0 || target->device.len == 0)
        return PETREL_E_PROTOCOL;
    *rest = left;
    return 0;
}

void peer_check_encode(struct bytebuf *out, const struct peer_checks *checks)
{
    bytes_append(out, checks->entries.ptr, checks->entries.len);
    uint8_t tail[9 + 2 * (1 + VARINT_MAX)];
    uint8_t *at = put_fixed(tail, CHECK_INCARNATION, checks->route.incarnation);
    at = put_number(at, CHECK_NODE, checks->route.node);
    at = put_number(at, CHECK_LOOP, checks->route.loop);
    bytes_append(out, tail, (size_t)(at - tail));
}

static bool texts_fit(const struct peer_target *target)
{
    return text_is_printable(target->app, ROUTE_APP_MAX) && text_is_printable(target->user, ROUTE_USER_MAX) &&
           text_is_printable(target->device, ROUTE_DEVICE_MAX);
}

int peer_check_decode(struct bytes body, struct peer_checks *out)
{
    const uint8_t *const start = body.ptr;
    uint64_t node = 0, loop = 0;
    *out = (struct peer_checks){0};
    while (stands(&body, CHECK_SESSION)) {
        struct peer_check check;
        if (out->count == PEER_CHECKS_MAX || peer_check_take(out, &body, &check) != 0 || !texts_fit(&check.target))
            return PETREL_E_PROTOCOL;
        out->count++;
    }
    if (out->count == 0)
        return PETREL_E_PROTOCOL;
    out->entries = bytes_of(start, (size_t)(body.ptr - start));
    if (take_fixed(&body, CHECK_INCARNATION, &out->route.incarnation) != 0 ||
        take_number(&body, CHECK_NODE, UINT32_MAX, &node) != 0 ||
        take_number(&body, CHECK_LOOP, UINT16_MAX, &loop) != 0 || body.len > 0)
        return PETREL_E_PROTOCOL;
    out->route.node = (uint32_t)node;
    out->route.loop = (uint16_t)loop;
    return 0;
}
