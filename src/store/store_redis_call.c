/* A request as its script's arguments: see the head of each lua/<operation>.lua. */
#include "base/err.h"
#include "base/hash.h"
#include "base/object.h"
#include "store/store_redis_private.h"
#include "store/store_request.h"

#include <stdio.h>

#define NUMBER_SIZE 24                                 /* of decimal digits */
#define KEY_SIZE (16 + ROUTE_APP_MAX + ROUTE_USER_MAX) /* {b4095}u:app:user */
#define ROOM (2 * KEY_SIZE + 12 * NUMBER_SIZE + ROUTE_COLLAPSE_MAX + 128)
#define NUMBER_MAX                                                                                                     \
    ((1ULL << 53) - 1) /* what a number of Lua's holds exactly: 250 years of messages, one each microsecond */
#define TIME_MAX ((1ULL << 48) - 1)
#define ARG_REPEATED 12 /* of an append */

static uint8_t *take(struct store_redis_call *call, size_t len)
{
    petrel_assert(call->room - call->used >= len);
    uint8_t *place = call->memory + call->used;
    call->used += len;
    return place;
}

static void arg(struct store_redis_call *call, struct bytes value)
{
    petrel_assert(call->ask.argc < REDIS_ARGS_MAX);
    call->ask.argv[call->ask.argc++] = value.ptr != NULL ? value : bytes_str("");
}

static void arg_number(struct store_redis_call *call, uint64_t value)
{
    char *text = (char *)take(call, NUMBER_SIZE);
    int len = snprintf(text, NUMBER_SIZE, "%llu", (unsigned long long)(value < NUMBER_MAX ? value : NUMBER_MAX));
    arg(call, bytes_of(text, (size_t)len));
}

static uint64_t time_of(uint64_t ms)
{
    return ms < TIME_MAX ? ms : TIME_MAX;
}

/* Little endian, the low `width` bytes. */
static uint8_t *put_wide(uint8_t *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static void arg_epoch(struct store_redis_call *call, uint64_t epoch)
{
    uint8_t *place = take(call, 8);
    put_wide(place, epoch, 8);
    arg(call, bytes_of(place, 8));
}

static void arg_position(struct store_redis_call *call, struct position at)
{
    arg_epoch(call, at.epoch);
    arg_number(call, at.seq);
}

/* 20 bytes, compared as a whole. */
static void arg_route(struct store_redis_call *call, const struct route *route)
{
    uint8_t *place = take(call, 20), *at = place;
    at = put_wide(at, route->incarnation, 6);
    at = put_wide(at, route->node, 4);
    at = put_wide(at, route->loop, 2);
    at = put_wide(at, route->slot, 4);
    put_wide(at, route->generation, 4);
    arg(call, bytes_of(place, 20));
}

/* Big endian: compared in halves. */
static void arg_attempt(struct store_redis_call *call, uint64_t attempt)
{
    uint8_t *place = take(call, 8);
    for (size_t i = 0; i < 8; i++)
        place[i] = (uint8_t)(attempt >> (56 - 8 * i));
    arg(call, bytes_of(place, 8));
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void add_bind(struct store_redis_call *call, const struct peer_bind *bind)
{
    arg(call, bind->target.device);
    arg_attempt(call, bind->attempt);
    arg_number(call, bind->token_issued_ms);
    arg_position(call, bind->position);
    arg_route(call, &bind->route);
    arg_number(call, least(bind->max_entries, PEER_PAGE_MAX));
    arg_number(call, bind->max_bytes);
    arg(call, bytes_str(bind->live ? "1" : "0"));
}

static void add_fetch(struct store_redis_call *call, const struct peer_fetch *fetch)
{
    arg(call, fetch->target.device);
    arg_position(call, fetch->position);
    arg_number(call, fetch->told_floor);
    arg_number(call, least(fetch->max_entries, PEER_PAGE_MAX));
    arg_number(call, fetch->max_bytes);
}

static void arg_tail(struct store_redis_call *call, const struct peer_send *send)
{
    struct bytes collapse = send->collapse_key;
    size_t len = sizeof send->id.bytes + 8 + collapse.len + send->message->len;
    uint8_t *place = take(call, len), *at = place;
    memcpy(at, send->id.bytes, sizeof send->id.bytes);
    at = put_wide(at + sizeof send->id.bytes, time_of(send->expires_ms), 6);
    *at++ = (uint8_t)send->priority;
    *at++ = (uint8_t)collapse.len;
    if (collapse.len > 0)
        memcpy(at, collapse.ptr, collapse.len);
    memcpy(at + collapse.len, send->message->data, send->message->len);
    arg(call, bytes_of(place, len));
}

static void add_append(struct store_redis_call *call, const struct peer_send *send)
{
    arg(call, bytes_of(send->id.bytes, sizeof send->id.bytes));
    arg_tail(call, send);
    arg_number(call, time_of(send->expires_ms));
    arg_number(call, send->priority);
    arg_number(call, send->message->len);
    arg(call, send->collapse_key);
    arg(call, send->target.device);
    arg(call, bytes_str(send->require_device ? "1" : "0"));
    if (send->has_key) {
        uint8_t *body = take(call, 8);
        put_wide(body, send->body_hash, 8);
        arg(call, bytes_of(body, 8));
    } else {
        arg(call, bytes_str(""));
    }
    arg_number(call, time_of(send->key_expires_ms));
    petrel_assert(call->ask.argc == ARG_REPEATED);
    arg(call, bytes_str("0"));
    call->ask.replicated = send->durability == PEER_DURABILITY_REPLICATED;
}

static void add_arguments(struct store_redis_call *call)
{
    const struct store_request *request = call->request;
    switch (request->op) {
    case STORE_BIND:
        add_bind(call, &request->in.bind);
        return;
    case STORE_UNBIND:
        arg(call, request->in.unbind.target.device);
        arg_route(call, &request->in.unbind.route);
        return;
    case STORE_ENROL:
        arg(call, request->in.enrol.device);
        return;
    case STORE_REMOVE:
        arg(call, request->in.remove.target.device);
        arg_number(call, time_of(request->in.remove.revoked_ms));
        return;
    case STORE_APPEND:
        add_append(call, &request->in.append);
        return;
    case STORE_FETCH:
        add_fetch(call, &request->in.fetch);
        return;
    case STORE_ACK:
        arg(call, request->in.ack.target.device);
        arg_position(call, request->in.ack.position);
        return;
    case STORE_CHECK:
        arg(call, call->check.target.device);
        arg_position(call, call->check.position);
        arg_route(call, &call->check.route);
        arg_attempt(call, call->check.attempt);
        return;
    case STORE_RECALL:
        arg(call, bytes_of(request->in.recall.id.bytes, sizeof request->in.recall.id.bytes));
        return;
    case STORE_MESSAGE_STATE:
        arg(call, bytes_of(request->in.message_state.id.bytes, sizeof request->in.message_state.id.bytes));
        return;
    case STORE_USER:
        return;
    }
}

/* An app's name has no colon, so keys of two users never meet. */
static void add_keys(struct store_redis_call *call)
{
    const struct store_request *request = call->request;
    struct peer_target target = request->op == STORE_CHECK ? call->check.target : store_request_target(request);
    uint32_t bucket = hash_bucket(target.app, target.user);
    char *key = (char *)take(call, KEY_SIZE);
    int len = snprintf(key, KEY_SIZE, "{b%u}u:%.*s:%.*s", bucket, (int)target.app.len, (const char *)target.app.ptr,
                       (int)target.user.len, (const char *)target.user.ptr);
    petrel_assert(len > 0 && len < KEY_SIZE);
    call->ask.key = bytes_of(key, (size_t)len);
    if (request->op != STORE_APPEND || !request->in.append.has_key)
        return;
    /* In letters: operators and their tools meet it. */
    struct bytebuf digest = {0};
    bytes_put_base64url(&digest, bytes_of(request->in.append.key, sizeof request->in.append.key));
    key = (char *)take(call, KEY_SIZE);
    len = snprintf(key, KEY_SIZE, "{b%u}k:%.*s", bucket, (int)digest.len, (const char *)digest.ptr);
    bytes_reset(&digest);
    call->ask.second_key = bytes_of(key, (size_t)len);
}

static size_t room_for(const struct store_request *request)
{
    return ROOM + (request->op == STORE_APPEND ? request->in.append.message->len : 0);
}

struct store_redis_call *store_redis_call_new(struct store_redis_seat *seat, struct store_request *request,
                                              const struct peer_check *check)
{
    size_t room = room_for(request);
    struct store_redis_call *call = object_alloc(sizeof *call + room);
    call->ask = (struct redis_request){.script = seat->scripts[request->op]};
    call->seat = seat;
    call->request = request;
    call->checks = NULL;
    if (check != NULL)
        call->check = *check;
    call->timer = (struct timer){0};
    call->doubted = false;
    call->replaced = (struct route){0};
    call->used = 0;
    call->room = room;
    /* All but an append say the same when they are carried out twice, so the client may repeat them. */
    call->ask.readonly = request->op != STORE_APPEND;
    add_keys(call);
    arg_number(call, clock_wall_ms(seat->store->config.clock));
    arg(call, bytes_of(seat->store->limits, sizeof seat->store->limits));
    add_arguments(call);
    return call;
}

void store_redis_call_repeat(struct store_redis_call *call)
{
    petrel_assert(call->request->op == STORE_APPEND);
    call->ask.argv[ARG_REPEATED] = bytes_str("1");
}
