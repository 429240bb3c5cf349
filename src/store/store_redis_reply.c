/* A script's answer as the port's: a status by its name, or packed heads and raw entries. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/store_redis_private.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX (16U * 1024 * 1024) /* what a buf may hold */
#define PAGE_DOUBTFUL 2 /* where a page's head says that the position is ahead of the log, or has none */

/* How a message left its log, as lua/log.lua numbers it. */
static const enum peer_state states[] = {
    PEER_STATE_PENDING,   PEER_STATE_DELIVERED, PEER_STATE_EXPIRED, PEER_STATE_RECALLED,
    PEER_STATE_COLLAPSED, PEER_STATE_DROPPED,   PEER_STATE_DROPPED,
};

static int get_wide(struct bytes *in, size_t width, uint64_t *value)
{
    if (in->len < width)
        return PETREL_E_PROTOCOL;
    *value = 0;
    for (size_t i = 0; i < width; i++)
        *value |= (uint64_t)in->ptr[i] << (8 * i);
    *in = bytes_of(in->ptr + width, in->len - width);
    return 0;
}

/* Several in a row; their widths end with 0. */
static int get_all(struct bytes *in, const uint8_t *widths, uint64_t *values)
{
    int err = 0;
    for (size_t i = 0; widths[i] != 0 && err == 0; i++)
        err = get_wide(in, widths[i], &values[i]);
    return err;
}

static int get_raw(struct bytes *in, size_t len, struct bytes *raw)
{
    if (in->len < len)
        return PETREL_E_PROTOCOL;
    *raw = bytes_of(in->ptr, len);
    *in = bytes_of(in->ptr + len, in->len - len);
    return 0;
}

static int get_id(struct bytes *in, struct id *id)
{
    struct bytes raw;
    int err = get_raw(in, sizeof id->bytes, &raw);
    if (err == 0)
        memcpy(id->bytes, raw.ptr, sizeof id->bytes);
    return err;
}

static int get_route(struct bytes *in, struct route *route)
{
    uint64_t part[5];
    int err = get_all(in, (const uint8_t[]){6, 4, 2, 4, 4, 0}, part);
    if (err == 0)
        *route = (struct route){.incarnation = part[0],
                                .node = (uint32_t)part[1],
                                .loop = (uint16_t)part[2],
                                .slot = (uint32_t)part[3],
                                .generation = (uint32_t)part[4]};
    return err;
}

static int read_append(struct store_append_out *out, struct bytes in)
{
    uint64_t part[4], target;
    *out = (struct store_append_out){0};
    int err = get_all(&in, (const uint8_t[]){1, 8, 8, 8, 0}, part);
    if (err == 0)
        err = get_id(&in, &out->sent.id);
    if (err != 0)
        return err;
    out->sent.duplicate = part[0] != 0;
    out->sent.position = (struct position){part[1], part[2]};
    out->prev = part[3];
    while (in.len > 0 && err == 0) {
        if (out->hits_count == ROUTE_DEVICES_MAX)
            return PETREL_E_PROTOCOL;
        struct store_hit *hit = &out->hits[out->hits_count++];
        err = get_wide(&in, 1, &target);
        if (err == 0)
            err = get_route(&in, &hit->route);
        hit->target = err == 0 && target != 0;
    }
    return err;
}

/* Flags, seq, target, id, expiry, priority, collapse key; the rest is the message. */
static int read_entry(struct peer_entry *entry, struct bytes in)
{
    uint64_t part[3], tail[3];
    struct bytes skipped;
    int err = get_all(&in, (const uint8_t[]){1, 7, 3, 0}, part);
    if (err == 0)
        err = get_raw(&in, sizeof(struct id), &skipped);
    if (err == 0)
        err = get_all(&in, (const uint8_t[]){6, 1, 1, 0}, tail);
    if (err == 0)
        err = get_raw(&in, tail[2], &skipped);
    if (err != 0 || in.len > MESSAGE_MAX)
        return PETREL_E_PROTOCOL;
    *entry = (struct peer_entry){.seq = part[1], .message = buf_copy(in), .expires_ms = tail[0]};
    return 0;
}

static void release_page(struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        buf_unref(page->entries[i].message);
    page->count = 0;
}

/* What a page's head says beside the page. */
struct head {
    enum session_verdict verdict;
    uint64_t start;
    struct bytes rest; /* of a bind: the route that was replaced */
};

static int read_page(struct peer_page *page, const struct redis_value *reply, struct position asked, struct head *head)
{
    uint64_t part[10];
    page->count = 0;
    if (reply->type != REDIS_ARRAY || reply->count == 0 || reply->count > PEER_PAGE_MAX + 1)
        return PETREL_E_PROTOCOL;
    struct bytes in = reply->items[0].text;
    if (get_all(&in, (const uint8_t[]){1, 1, 1, 8, 8, 8, 8, 8, 8, 8, 0}, part) != 0)
        return PETREL_E_PROTOCOL;
    *head = (struct head){(enum session_verdict)part[0], part[4], in};
    page->epoch = part[3];
    page->upto = part[5];
    page->head = part[6];
    page->gap = (struct peer_gap){.reason = (enum session_gap_reason)part[1]};
    if (page->gap.reason != SESSION_GAP_NONE) {
        page->gap.from = position_is_none(asked) ? part[4] : asked.seq;
        page->gap.to = part[7];
        page->gap.floor = part[8];
        page->gap.lost_at_most = part[9];
    }
    int err = 0;
    for (size_t i = 1; i < reply->count && err == 0; i++) {
        err = read_entry(&page->entries[page->count], reply->items[i].text);
        page->count += err == 0;
    }
    return err;
}

static int read_bind(struct store_request *request, const struct redis_value *reply)
{
    struct peer_bound *bound = object_zalloc(sizeof *bound);
    struct head head;
    int err = read_page(&bound->page, reply, request->in.bind.position, &head);
    if (err == 0 && head.rest.len > 0)
        err = get_route(&head.rest, &bound->replaced);
    if (err != 0) {
        release_page(&bound->page);
        free(bound);
        return err;
    }
    /* After a gap where it ends: nothing might come that moves the device on, and it would be told the loss at each return. */
    bool gap = bound->page.gap.reason != SESSION_GAP_NONE;
    bound->verdict = head.verdict;
    bound->position = (struct position){bound->page.epoch, gap ? bound->page.gap.to : head.start};
    request->out.bound = bound;
    return 0;
}

static int read_fetch(struct store_request *request, const struct redis_value *reply)
{
    struct peer_page *page = object_zalloc(sizeof *page);
    struct head head;
    int err = read_page(page, reply, request->in.fetch.position, &head);
    if (err != 0) {
        release_page(page);
        free(page);
        return err;
    }
    request->out.page = page;
    return 0;
}

static int read_device(struct peer_device *device, struct bytes in)
{
    uint64_t part[4];
    struct bytes name;
    int err = get_all(&in, (const uint8_t[]){1, 8, 8, 1, 0}, part);
    if (err == 0 && part[3] > ROUTE_DEVICE_MAX)
        err = PETREL_E_PROTOCOL;
    if (err == 0)
        err = get_raw(&in, part[3], &name);
    if (err != 0)
        return err;
    memcpy(device->device, name.ptr, name.len);
    device->device[name.len] = '\0';
    device->acked = part[1];
    device->bound_ms = part[2];
    return part[0] != 0 ? get_route(&in, &device->route) : 0;
}

static int read_devices(struct peer_device *devices, uint32_t *count, const struct redis_value *reply)
{
    int err = 0;
    *count = 0;
    if (reply->type != REDIS_ARRAY || reply->count == 0 || reply->count > ROUTE_DEVICES_MAX + 1)
        return PETREL_E_PROTOCOL;
    for (size_t i = 1; i < reply->count && err == 0; i++)
        err = read_device(&devices[(*count)++], reply->items[i].text);
    return err;
}

static int read_state(struct store_request *request, const struct redis_value *reply)
{
    uint64_t part[4];
    struct peer_stated *stated = object_zalloc(sizeof *stated);
    int err = read_devices(stated->devices, &stated->count, reply);
    struct bytes in = err == 0 ? reply->items[0].text : (struct bytes){NULL, 0};
    if (err == 0)
        err = get_all(&in, (const uint8_t[]){1, 8, 8, 8, 0}, part);
    if (err == 0 && part[0] >= sizeof states / sizeof states[0])
        err = PETREL_E_PROTOCOL;
    if (err != 0) {
        free(stated);
        return err;
    }
    stated->state = states[part[0]];
    stated->position = (struct position){part[1], part[2]};
    stated->expires_ms = part[3];
    request->out.stated = stated;
    return 0;
}

static int read_user(struct store_request *request, const struct redis_value *reply)
{
    uint64_t part[5];
    struct peer_user *user = object_zalloc(sizeof *user);
    int err = read_devices(user->devices, &user->count, reply);
    struct bytes in = err == 0 ? reply->items[0].text : (struct bytes){NULL, 0};
    if (err == 0)
        err = get_all(&in, (const uint8_t[]){8, 8, 8, 4, 4, 0}, part);
    if (err != 0) {
        free(user);
        return err;
    }
    user->head = (struct position){part[0], part[1]};
    user->floor = part[2];
    user->pending = (uint32_t)part[3];
    user->pending_bytes = (uint32_t)part[4];
    request->out.user = user;
    return 0;
}

static int read_verdict(struct bytes name, enum peer_verdict *verdict)
{
    static const struct {
        const char *name;
        enum peer_verdict verdict;
    } verdicts[] = {
        {"SAME", PEER_SAME}, {"BEHIND", PEER_BEHIND}, {"UNROUTED", PEER_UNROUTED}, {"REPLACED", PEER_REPLACED}};
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        if (bytes_equal_str(name, verdicts[i].name)) {
            *verdict = verdicts[i].verdict;
            return 0;
        }
    }
    return PETREL_E_PROTOCOL;
}

/* What a script refuses is told by the name of its error. */
static int status_of(struct bytes name)
{
    static const int errs[] = {
        PETREL_OK,        PETREL_E_INVALID, PETREL_E_TOO_LARGE,    PETREL_E_NOT_FOUND,    PETREL_E_CONFLICT,
        PETREL_E_REVOKED, PETREL_E_STALE,   PETREL_E_UNREGISTERED, PETREL_E_RATE_LIMITED, PETREL_E_ALREADY_DELIVERED,
    };
    for (size_t i = 0; i < sizeof errs / sizeof errs[0]; i++) {
        if (bytes_equal_str(name, err_name(errs[i])))
            return errs[i];
    }
    return PETREL_E_PROTOCOL;
}

/* Who has a position was there. What a check says needs no doubt: a bind or a fetch comes after it. */
static bool is_refusal_doubtful(const struct store_request *request, int status)
{
    if (request->op == STORE_FETCH)
        return status == PETREL_E_UNREGISTERED && !position_is_none(request->in.fetch.position);
    return request->op == STORE_ACK && !position_is_none(request->in.ack.position) &&
           (status == PETREL_E_INVALID || status == PETREL_E_UNREGISTERED);
}

bool store_redis_reply_is_doubtful(const struct store_request *request, const struct redis_value *reply)
{
    if (reply->type == REDIS_STATUS)
        return is_refusal_doubtful(request, status_of(reply->text));
    return (request->op == STORE_BIND || request->op == STORE_FETCH) && reply->type == REDIS_ARRAY &&
           reply->count > 0 && reply->items[0].text.len > PAGE_DOUBTFUL && reply->items[0].text.ptr[PAGE_DOUBTFUL] != 0;
}

static int read_reply(struct store_request *request, const struct redis_value *reply)
{
    if (reply->type == REDIS_STATUS)
        return status_of(reply->text);
    switch (request->op) {
    case STORE_BIND:
        return read_bind(request, reply);
    case STORE_FETCH:
        return read_fetch(request, reply);
    case STORE_APPEND:
        return reply->type == REDIS_STRING ? read_append(&request->out.append, reply->text) : PETREL_E_PROTOCOL;
    case STORE_REMOVE: {
        struct bytes in = reply->text;
        request->out.removed = (struct peer_removed){0};
        return in.len > 0 ? get_route(&in, &request->out.removed.route) : 0;
    }
    case STORE_MESSAGE_STATE:
        return read_state(request, reply);
    case STORE_USER:
        return read_user(request, reply);
    default:
        return PETREL_E_PROTOCOL;
    }
}

static int unreadable(const struct redis_value *reply)
{
    /* A script that failed, or a record that is no record: whether it acted is not known. */
    char said[160] = "what is no reply of a script";
    if (reply->type == REDIS_ERROR)
        snprintf(said, sizeof said, "%.*s", (int)reply->text.len, (const char *)reply->text.ptr);
    log_at(LOG_ERROR, "store", "Redis gave no answer that can be read", LOG_STR("said", said));
    return PETREL_E_UNAVAILABLE;
}

int store_redis_reply_read(struct store_request *request, const struct redis_value *reply)
{
    int status = reply->type == REDIS_ERROR ? PETREL_E_PROTOCOL : read_reply(request, reply);
    return status != PETREL_E_PROTOCOL ? status : unreadable(reply);
}

int store_redis_reply_verdict(const struct redis_value *reply, enum peer_verdict *verdict)
{
    return reply->type == REDIS_STATUS && read_verdict(reply->text, verdict) == 0 ? 0 : unreadable(reply);
}

void store_redis_reply_release(struct store_request *request)
{
    if (request->status != 0)
        return;
    switch (request->op) {
    case STORE_BIND:
        release_page(&request->out.bound->page);
        free(request->out.bound);
        return;
    case STORE_FETCH:
        release_page(request->out.page);
        free(request->out.page);
        return;
    case STORE_CHECK:
        free(request->out.checked);
        return;
    case STORE_MESSAGE_STATE:
        free(request->out.stated);
        return;
    case STORE_USER:
        free(request->out.user);
        return;
    default:
        return;
    }
}
