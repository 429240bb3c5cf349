/* A function's answer as the port's: a status by its name, or what it packed. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/topics_redis_private.h"
#include "store/topics_reply.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX (16U * 1024 * 1024) /* what a buf may hold */
#define ENTRY_HEADER 24                 /* bytes before the condition */
#define PAGE_AHEAD 2                    /* where a page's head says that the position is ahead of the log */

/* Several numbers of these widths (1, 4 or 8; ending in 0), little endian. */
static int get_all(struct bytes *in, const uint8_t *widths, uint64_t *values)
{
    int err = 0;
    for (size_t i = 0; widths[i] != 0 && err == 0; i++) {
        uint8_t byte = 0;
        uint32_t half = 0;
        if (widths[i] == 8) {
            err = bytes_get_u64(in, &values[i]);
            continue;
        }
        err = widths[i] == 4 ? bytes_get_u32(in, &half) : bytes_get_u8(in, &byte);
        values[i] = widths[i] == 4 ? half : byte;
    }
    return err == 0 ? 0 : PETREL_E_PROTOCOL;
}

static int get_raw(struct bytes *in, size_t len, struct bytes *raw)
{
    if (in->len < len)
        return PETREL_E_PROTOCOL;
    *raw = bytes_of(in->ptr, len);
    *in = bytes_of(in->ptr + len, in->len - len);
    return 0;
}

/* Little endian, of a width that bytes.h has not. */
static int get_wide(struct bytes *in, size_t width, uint64_t *value)
{
    struct bytes raw;
    int err = get_raw(in, width, &raw);
    *value = 0;
    for (size_t i = 0; i < width && err == 0; i++)
        *value |= (uint64_t)raw.ptr[i] << (8 * i);
    return err;
}

/* The leases come as they are: which of them have run out is told here. */
static int read_nodes(struct topics_appended *out, struct bytes in, uint64_t now_ms)
{
    int err = 0;
    while (in.len > 0 && err == 0) {
        uint64_t node, incarnation, until;
        if (out->nodes_count == TOPICS_NODES_MAX || (err = get_wide(&in, 4, &node)) != 0 ||
            (err = get_wide(&in, 6, &incarnation)) != 0 || (err = get_wide(&in, 6, &until)) != 0)
            return PETREL_E_PROTOCOL;
        if (until > now_ms)
            out->nodes[out->nodes_count++] = (uint32_t)node;
    }
    return err;
}

static int read_append(struct topics_request *request, struct bytes in, uint64_t now_ms)
{
    struct topics_appended *out = object_zalloc(sizeof *out);
    uint64_t part[3];
    int err = get_all(&in, (const uint8_t[]){1, 8, 8, 0}, part);
    if (err == 0)
        err = read_nodes(out, in, now_ms);
    if (err != 0) {
        free(out);
        return err;
    }
    out->duplicate = part[0] != 0;
    out->position = (struct position){part[1], part[2]};
    out->prev = part[2] - 1; /* seq grows by one, whatever epoch it is */
    request->out.appended = out;
    return 0;
}

static int read_entry(struct topics_page *page, uint64_t seq, struct bytes in)
{
    struct bytes condition = {NULL, 0};
    uint64_t head;
    if (in.len < ENTRY_HEADER || in.len > MESSAGE_MAX)
        return PETREL_E_PROTOCOL;
    in = bytes_of(in.ptr + sizeof(struct id), in.len - sizeof(struct id));
    int err = bytes_get_u64(&in, &head);
    if (err == 0)
        err = get_raw(&in, head >> 48, &condition);
    if (err != 0)
        return PETREL_E_PROTOCOL;
    topics_reply_add(page, seq, head & ((1ULL << 48) - 1), in, condition);
    return 0;
}

static int read_head(struct topics_page *page, struct bytes *in)
{
    uint64_t part[9];
    int err = get_all(in, (const uint8_t[]){1, 1, 1, 8, 8, 8, 8, 8, 8, 0}, part);
    if (err != 0)
        return err;
    page->verdict = (enum session_verdict)part[0];
    page->position = (struct position){part[3], part[5]};
    page->upto = part[6];
    page->head = part[7];
    page->gap.reason = (enum session_gap_reason)part[1];
    if (page->gap.reason == SESSION_GAP_NONE)
        return 0;
    page->gap = (struct peer_gap){
        .reason = page->gap.reason, .from = part[4], .to = part[5], .floor = part[5], .lost_at_most = part[8]};
    return 0;
}

static int read_page(struct topics_request *request, const struct redis_value *reply)
{
    if (reply->type != REDIS_ARRAY || reply->count == 0 || reply->count > PEER_PAGE_MAX + 1)
        return PETREL_E_PROTOCOL;
    struct topics_page *page = topics_reply_page();
    struct bytes in = reply->items[0].text;
    int err = read_head(page, &in);
    for (size_t i = 1; i < reply->count && err == 0; i++) {
        uint64_t seq;
        err = bytes_get_u64(&in, &seq);
        if (err == 0)
            err = read_entry(page, seq, reply->items[i].text);
    }
    request->out.page = page;
    if (err == 0)
        return 0;
    request->status = 0;
    topics_reply_release(request);
    return PETREL_E_PROTOCOL;
}

/* Epoch, seq, length of the name, name. */
static int read_set(struct topics_request *request, struct bytes in)
{
    struct topics_set *set = object_zalloc(sizeof *set);
    int err = bytes_get_u64(&in, &set->version);
    while (err == 0 && in.len > 0) {
        uint64_t epoch, seq;
        uint8_t len;
        struct bytes name;
        if (set->count == TOPICS_PER_DEVICE_MAX || (err = bytes_get_u64(&in, &epoch)) != 0 ||
            (err = get_wide(&in, 7, &seq)) != 0 || (err = bytes_get_u8(&in, &len)) != 0 || len > TOPICS_NAME_MAX ||
            (err = get_raw(&in, len, &name)) != 0) {
            err = PETREL_E_PROTOCOL;
            break;
        }
        memcpy(set->all[set->count].topic, name.ptr, name.len);
        set->all[set->count++].position = (struct position){epoch, seq};
    }
    if (err != 0) {
        free(set);
        return PETREL_E_PROTOCOL;
    }
    request->out.set = set;
    return 0;
}

/* What a function refuses is told by the name of its error. */
static int status_of(struct bytes name)
{
    static const int errs[] = {PETREL_E_TOO_LARGE, PETREL_E_NOT_FOUND, PETREL_E_CONFLICT, PETREL_E_STALE,
                               PETREL_E_RATE_LIMITED};
    for (size_t i = 0; i < sizeof errs / sizeof errs[0]; i++) {
        if (bytes_equal_str(name, err_name(errs[i])))
            return errs[i];
    }
    return PETREL_E_PROTOCOL;
}

static int read_reply(struct topics_request *request, const struct redis_value *reply, uint64_t now_ms)
{
    uint64_t part[4];
    struct bytes in = reply->text;
    int err;
    if (reply->type == REDIS_STATUS)
        return status_of(reply->text);
    if (request->op == TOPICS_FETCH)
        return read_page(request, reply);
    if (reply->type != REDIS_STRING)
        return PETREL_E_PROTOCOL;
    switch (request->op) {
    case TOPICS_APPEND:
        return read_append(request, in, now_ms);
    case TOPICS_INTEREST:
        err = get_all(&in, (const uint8_t[]){8, 8, 0}, part);
        request->out.head = (struct position){part[0], part[1]};
        return err;
    case TOPICS_SUBSCRIBE:
        err = get_all(&in, (const uint8_t[]){8, 8, 8, 8, 0}, part);
        request->out.subscribed = (struct topics_subscribed){{part[1], part[2]}, part[0], part[3]};
        return err;
    case TOPICS_UNSUBSCRIBE:
        err = get_all(&in, (const uint8_t[]){8, 8, 0}, part);
        request->out.subscribed = (struct topics_subscribed){.version = part[0], .prev = part[1]};
        return err;
    case TOPICS_SUBSCRIPTIONS:
        return read_set(request, in);
    case TOPICS_FETCH:
    case TOPICS_CHECK:
        break;
    }
    return PETREL_E_PROTOCOL;
}

/* A function that failed, or a record that is no record: whether it acted is not known. */
static int unreadable(const struct redis_value *reply)
{
    char said[160] = "what is no reply of a function";
    if (reply->type == REDIS_ERROR)
        snprintf(said, sizeof said, "%.*s", (int)reply->text.len, (const char *)reply->text.ptr);
    log_at(LOG_ERROR, "topics", "Redis gave no answer that can be read", LOG_STR("said", said));
    return PETREL_E_UNAVAILABLE;
}

int topics_redis_reply_read(struct topics_request *request, const struct redis_value *reply, uint64_t now_ms)
{
    int status = reply->type == REDIS_ERROR ? PETREL_E_PROTOCOL : read_reply(request, reply, now_ms);
    return status != PETREL_E_PROTOCOL ? status : unreadable(reply);
}

int topics_redis_reply_version(const struct redis_value *reply, uint64_t *version)
{
    struct bytes in = reply->text;
    uint8_t form = 0;
    *version = 0;
    if (reply->type == REDIS_STRING && in.len == 0)
        return 0;
    if (reply->type != REDIS_STRING || in.len < TOPICS_REDIS_SET_HEADER || bytes_get_u8(&in, &form) != 0 ||
        form != TOPICS_REDIS_SET_FORM || get_wide(&in, 7, version) != 0)
        return unreadable(reply);
    if (reply->text.len == TOPICS_REDIS_SET_HEADER)
        *version = 0;
    return 0;
}

/* Where a log stood once; TOPICS_BEGIN is of one that there never was. */
static bool is_in_a_log(struct position at)
{
    return !position_is_none(at) && at.seq > 0;
}

bool topics_redis_reply_is_doubtful(const struct topics_request *request, const struct redis_value *reply)
{
    if (request->op != TOPICS_FETCH)
        return false;
    if (reply->type == REDIS_STATUS)
        return status_of(reply->text) == PETREL_E_NOT_FOUND && is_in_a_log(request->in.fetch.position);
    return reply->type == REDIS_ARRAY && reply->count > 0 && reply->items[0].text.len > PAGE_AHEAD &&
           reply->items[0].text.ptr[PAGE_AHEAD] != 0;
}
