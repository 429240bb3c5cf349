/* A request as its function's keys and arguments: see lua/topic.lua and the head of each operation. */
#include "base/hash.h"
#include "base/object.h"
#include "store/topics_redis_private.h"

#include <stdlib.h>

#define TIME_MAX ((1ULL << 48) - 1)
#define SEQ_MAX ((1ULL << 53) - 1) /* what a number of Lua's holds exactly */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void arg(struct topics_redis_call *call, struct bytes value)
{
    call->ask.argv[call->ask.argc++] = value.ptr != NULL ? value : bytes_str("");
}

static void put_time(struct bytebuf *out, uint64_t ms)
{
    bytes_put_u64(out, least(ms, TIME_MAX));
}

static void put_position(struct bytebuf *out, struct position at)
{
    bytes_put_u64(out, at.epoch);
    bytes_put_u64(out, least(at.seq, SEQ_MAX));
}

static void put_rules(struct bytebuf *out, const struct topics_limits *limits, uint64_t now_ms)
{
    put_time(out, now_ms);
    bytes_put_u32(out, limits->cap_entries);
    bytes_put_u32(out, limits->cap_bytes);
    bytes_put_u32(out, limits->recent_ids);
    put_time(out, limits->keep_ms);
    put_time(out, limits->lapse_ms);
    bytes_put_u32(out, limits->per_device);
}

/* Id, expiry (6 bytes), length of the condition (2), condition, message. */
static void put_entry(struct bytebuf *out, const struct topics_append *append)
{
    uint64_t head = least(append->expires_ms, TIME_MAX) | (uint64_t)append->condition.len << 48;
    bytes_append(out, append->id.bytes, sizeof append->id.bytes);
    bytes_put_u64(out, head);
    if (append->condition.len > 0)
        bytes_append(out, append->condition.ptr, append->condition.len);
    bytes_append(out, append->message->data, append->message->len);
}

static void add_append(struct topics_redis_call *call, const struct topics_append *append, uint64_t now_ms)
{
    const struct topics_limits *limits = &call->seat->topics->config.limits;
    uint8_t body[8];
    put_time(&call->numbers, append->expires_ms);
    bytes_put_u32(&call->numbers, append->message->len + (uint32_t)append->condition.len);
    put_time(&call->numbers, append->has_key ? append->key_expires_ms : now_ms + limits->recent_ms);
    arg(call, bytes_view(&call->numbers));
    put_entry(&call->entry, append);
    size_t len = call->entry.len;
    if (append->has_key) {
        for (size_t i = 0; i < sizeof body; i++)
            body[i] = (uint8_t)(append->body_hash >> (8 * i));
        bytes_append(&call->entry, body, sizeof body);
    }
    arg(call, bytes_of(append->id.bytes, sizeof append->id.bytes));
    arg(call, bytes_of(call->entry.ptr, len));
    arg(call, bytes_of(call->entry.ptr + len, call->entry.len - len));
    call->ask.replicated = append->durability == PEER_DURABILITY_REPLICATED;
}

static void add_fetch(struct topics_redis_call *call, const struct topics_fetch *fetch)
{
    put_position(&call->numbers, fetch->position);
    bytes_put_u32(&call->numbers, fetch->max_entries < PEER_PAGE_MAX ? fetch->max_entries : PEER_PAGE_MAX);
    bytes_put_u32(&call->numbers, fetch->max_bytes);
    arg(call, bytes_view(&call->numbers));
}

static void add_interest(struct topics_redis_call *call, const struct topics_interest *interest)
{
    bytes_put_u32(&call->numbers, interest->node);
    put_time(&call->numbers, interest->incarnation);
    put_time(&call->numbers, interest->lease_ms);
    arg(call, bytes_view(&call->numbers));
}

static void add_arguments(struct topics_redis_call *call, uint64_t now_ms)
{
    const struct topics_request *request = call->request;
    switch (request->op) {
    case TOPICS_APPEND:
        add_append(call, &request->in.append, now_ms);
        return;
    case TOPICS_FETCH:
        add_fetch(call, &request->in.fetch);
        return;
    case TOPICS_INTEREST:
        add_interest(call, &request->in.interest);
        return;
    case TOPICS_SUBSCRIBE:
        put_position(&call->numbers, request->in.subscribe.position);
        arg(call, bytes_view(&call->numbers));
        arg(call, request->in.subscribe.topic);
        return;
    case TOPICS_UNSUBSCRIBE:
        arg(call, bytes_str(""));
        arg(call, request->in.unsubscribe.topic);
        return;
    case TOPICS_SUBSCRIPTIONS:
    case TOPICS_CHECK:
        return;
    }
}

static void put_log_key(struct bytebuf *out, const char *kind, struct bytes app, struct bytes topic)
{
    bytes_printf(out, "{b%u}%s:%.*s:%.*s", hash_bucket(app, topic), kind, (int)app.len, (const char *)app.ptr,
                 (int)topic.len, (const char *)topic.ptr);
}

/* The bucket is that of (app, topic), as if the topic were a user. */
static void add_log_keys(struct topics_redis_call *call, struct bytes app, struct bytes topic)
{
    put_log_key(&call->keys, "t", app, topic);
    size_t len = call->keys.len;
    put_log_key(&call->keys, "i", app, topic);
    call->ask.key = bytes_of(call->keys.ptr, len);
    call->ask.second_key = bytes_of(call->keys.ptr + len, call->keys.len - len);
}

/* In the slot of the device's user. A user's id may hold a colon, so its length comes first. */
void topics_redis_call_put_set_key(struct bytebuf *out, const struct peer_target *of)
{
    bytes_printf(out, "{b%u}s:%.*s:%zu:%.*s:%.*s", hash_bucket(of->app, of->user), (int)of->app.len,
                 (const char *)of->app.ptr, of->user.len, (int)of->user.len, (const char *)of->user.ptr,
                 (int)of->device.len, (const char *)of->device.ptr);
}

static void add_set_key(struct topics_redis_call *call, const struct peer_target *of)
{
    topics_redis_call_put_set_key(&call->keys, of);
    call->ask.key = bytes_view(&call->keys);
}

static void add_keys(struct topics_redis_call *call)
{
    const struct topics_request *request = call->request;
    switch (request->op) {
    case TOPICS_APPEND:
        add_log_keys(call, request->in.append.app, request->in.append.topic);
        return;
    case TOPICS_FETCH:
        add_log_keys(call, request->in.fetch.app, request->in.fetch.topic);
        return;
    case TOPICS_INTEREST:
        add_log_keys(call, request->in.interest.app, request->in.interest.topic);
        return;
    case TOPICS_SUBSCRIBE:
        add_set_key(call, &request->in.subscribe.device);
        return;
    case TOPICS_UNSUBSCRIBE:
        add_set_key(call, &request->in.unsubscribe.device);
        return;
    case TOPICS_SUBSCRIPTIONS:
        add_set_key(call, &request->in.subscriptions);
        return;
    case TOPICS_CHECK: /* topics_redis_check.c asks for itself */
        return;
    }
}

struct topics_redis_call *topics_redis_call_new(struct topics_redis_seat *seat, struct topics_request *request)
{
    const struct topics_redis_config *config = &seat->topics->config;
    struct topics_redis_call *call = object_zalloc(sizeof *call);
    uint64_t now_ms = clock_wall_ms(config->clock);
    call->seat = seat;
    call->request = request;
    call->ask.script = seat->scripts[request->op];
    /* All but an append say the same when they are carried out twice, so the client may repeat them. */
    call->ask.readonly = request->op != TOPICS_APPEND;
    add_keys(call);
    put_rules(&call->rules, &config->limits, now_ms);
    arg(call, bytes_view(&call->rules));
    add_arguments(call, now_ms);
    return call;
}

void topics_redis_call_free(struct topics_redis_call *call)
{
    bytes_reset(&call->rules);
    bytes_reset(&call->numbers);
    bytes_reset(&call->keys);
    bytes_reset(&call->entry);
    free(call);
}
