#include "base/err.h"
#include "base/object.h"
#include "peer.pb-c.h"
#include "wire/peer_codec_impl.h"
#include "wire/text.h"

#define VARINT_MAX 10U
#define REPLY_PREFIX (PEER_CODEC_NUMBER_BYTES + PEER_CODEC_STATUS_BYTES)

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

static void put_prefix(uint8_t *out, uint32_t number, int status)
{
    petrel_assert(status <= 0);
    put_u32(out, number);
    put_u32(out + PEER_CODEC_NUMBER_BYTES, (uint32_t)-status);
}

int peer_codec_reply_frame(struct bytebuf *out, uint32_t number, enum peer_type type, int status,
                           const ProtobufCMessage *body)
{
    const size_t len = REPLY_PREFIX + (body != NULL ? protobuf_c_message_get_packed_size(body) : 0);
    if (len > FRAME_BODY_MAX)
        return PETREL_E_TOO_LARGE;
    uint8_t *place = bytes_reserve(out, FRAME_HEADER_BYTES + len);
    frame_header(place, (uint8_t)(type + PEER_CODEC_REPLY), (uint32_t)len);
    put_prefix(place + FRAME_HEADER_BYTES, number, status);
    if (body != NULL)
        protobuf_c_message_pack(body, place + FRAME_HEADER_BYTES + REPLY_PREFIX);
    out->len += FRAME_HEADER_BYTES + len;
    return 0;
}

static Petrel__Peer__Position position_of(struct position at)
{
    Petrel__Peer__Position body = PETREL__PEER__POSITION__INIT;
    body.epoch = at.epoch;
    body.seq = at.seq;
    return body;
}

static Petrel__Peer__Route route_of(const struct route *route)
{
    Petrel__Peer__Route body = PETREL__PEER__ROUTE__INIT;
    body.incarnation = route->incarnation;
    body.node = route->node;
    body.loop = route->loop;
    body.slot = route->slot;
    body.generation = route->generation;
    return body;
}

/* A page, and what its generated struct points to. */
struct page_parts {
    Petrel__Peer__Fetched body;
    Petrel__Peer__Gap gap;
    Petrel__Peer__Entry entries[PEER_PAGE_MAX];
    Petrel__Peer__Entry *pointers[PEER_PAGE_MAX];
};

static void fill_page(struct page_parts *parts, const struct peer_page *page)
{
    petrel_assert(page->count <= PEER_PAGE_MAX);
    parts->body = (Petrel__Peer__Fetched)PETREL__PEER__FETCHED__INIT;
    parts->body.epoch = page->epoch;
    parts->body.upto = page->upto;
    parts->body.head = page->head;
    if (page->gap.reason != SESSION_GAP_NONE) {
        parts->gap = (Petrel__Peer__Gap)PETREL__PEER__GAP__INIT;
        parts->gap.reason = page->gap.reason;
        parts->gap.from = page->gap.from;
        parts->gap.to = page->gap.to;
        parts->gap.floor = page->gap.floor;
        parts->gap.lost_at_most = page->gap.lost_at_most;
        parts->body.gap = &parts->gap;
    }
    for (uint32_t i = 0; i < page->count; i++) {
        parts->entries[i] = (Petrel__Peer__Entry)PETREL__PEER__ENTRY__INIT;
        parts->entries[i].seq = page->entries[i].seq;
        parts->entries[i].message = text_lend(buf_bytes(page->entries[i].message));
        parts->entries[i].expires_ms = page->entries[i].expires_ms;
        parts->pointers[i] = &parts->entries[i];
    }
    parts->body.n_entries = page->count;
    parts->body.entries = parts->pointers;
}

static int put_bound(struct bytebuf *out, uint32_t number, const struct peer_bound *bound)
{
    struct page_parts page;
    fill_page(&page, &bound->page);
    Petrel__Peer__Position position = position_of(bound->position);
    Petrel__Peer__Route replaced = route_of(&bound->replaced);
    Petrel__Peer__Bound body = PETREL__PEER__BOUND__INIT;
    body.verdict = bound->verdict;
    body.position = &position;
    body.page = &page.body;
    body.replaced = bound->replaced.generation != 0 ? &replaced : NULL;
    body.unnoted = bound->unnoted;
    return peer_codec_reply_frame(out, number, PEER_BIND, 0, &body.base);
}

static int put_fetched(struct bytebuf *out, uint32_t number, const struct peer_page *fetched)
{
    struct page_parts page;
    fill_page(&page, fetched);
    return peer_codec_reply_frame(out, number, PEER_FETCH, 0, &page.body.base);
}

static int put_checked(struct bytebuf *out, uint32_t number, const struct peer_checked *checked)
{
    uint32_t others[PEER_CHECKED_MAX];
    for (uint32_t i = 0; i < checked->count; i++)
        others[i] = checked->differing[i].entry * PEER_CODEC_VERDICTS + checked->differing[i].verdict;
    Petrel__Peer__Checked body = PETREL__PEER__CHECKED__INIT;
    body.n_others = checked->count;
    body.others = others;
    return peer_codec_reply_frame(out, number, PEER_CHECK, 0, &body.base);
}

static int put_sent(struct bytebuf *out, uint32_t number, const struct peer_sent *sent)
{
    Petrel__Peer__Position position = position_of(sent->position);
    Petrel__Peer__Sent body = PETREL__PEER__SENT__INIT;
    body.position = &position;
    body.duplicate = sent->duplicate;
    body.id = text_lend(bytes_of(sent->id.bytes, sizeof sent->id.bytes));
    return peer_codec_reply_frame(out, number, PEER_SEND, 0, &body.base);
}

struct device_parts {
    Petrel__Peer__Device devices[ROUTE_DEVICES_MAX];
    Petrel__Peer__Device *pointers[ROUTE_DEVICES_MAX];
    Petrel__Peer__Route routes[ROUTE_DEVICES_MAX];
};

static void fill_devices(struct device_parts *parts, const struct peer_device *devices, uint32_t count)
{
    petrel_assert(count <= ROUTE_DEVICES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        Petrel__Peer__Device *device = &parts->devices[i];
        *device = (Petrel__Peer__Device)PETREL__PEER__DEVICE__INIT;
        device->device = text_lend(bytes_str(devices[i].device));
        device->acked = devices[i].acked;
        device->bound_ms = devices[i].bound_ms;
        parts->routes[i] = route_of(&devices[i].route);
        device->route = devices[i].route.generation != 0 ? &parts->routes[i] : NULL;
        parts->pointers[i] = device;
    }
}

static int put_stated(struct bytebuf *out, uint32_t number, const struct peer_stated *stated)
{
    struct device_parts devices;
    fill_devices(&devices, stated->devices, stated->count);
    Petrel__Peer__Position position = position_of(stated->position);
    Petrel__Peer__Stated body = PETREL__PEER__STATED__INIT;
    body.state = stated->state;
    body.position = &position;
    body.expires_ms = stated->expires_ms;
    body.n_devices = stated->count;
    body.devices = devices.pointers;
    return peer_codec_reply_frame(out, number, PEER_STATE, 0, &body.base);
}

static int put_user(struct bytebuf *out, uint32_t number, const struct peer_user *user)
{
    struct device_parts devices;
    fill_devices(&devices, user->devices, user->count);
    Petrel__Peer__Position head = position_of(user->head);
    Petrel__Peer__UserInfo body = PETREL__PEER__USER_INFO__INIT;
    body.head = &head;
    body.floor = user->floor;
    body.pending = user->pending;
    body.pending_bytes = user->pending_bytes;
    body.n_devices = user->count;
    body.devices = devices.pointers;
    return peer_codec_reply_frame(out, number, PEER_USER, 0, &body.base);
}

static int put_removed(struct bytebuf *out, uint32_t number, const struct peer_removed *removed)
{
    Petrel__Peer__Route route = route_of(&removed->route);
    Petrel__Peer__Removed body = PETREL__PEER__REMOVED__INIT;
    body.route = removed->route.generation != 0 ? &route : NULL;
    return peer_codec_reply_frame(out, number, PEER_REMOVE, 0, &body.base);
}

static int put_drained(struct bytebuf *out, uint32_t number, const struct peer_drained *drained)
{
    Petrel__Peer__Drained body = PETREL__PEER__DRAINED__INIT;
    body.draining = drained->draining;
    body.sessions = drained->sessions;
    body.to_tell = drained->to_tell;
    body.told = drained->told;
    body.left = drained->left;
    return peer_codec_reply_frame(out, number, PEER_DRAIN, 0, &body.base);
}

/* By hand: the records are packed already. */
static int put_sessions(struct bytebuf *out, uint32_t number, const struct peer_session_list *list)
{
    struct bytes records = buf_bytes(list->records);
    if (records.len > FRAME_BODY_MAX - REPLY_PREFIX - 1 - VARINT_MAX)
        return PETREL_E_TOO_LARGE;
    const size_t start = out->len;
    uint8_t *place = bytes_reserve(out, FRAME_HEADER_BYTES + REPLY_PREFIX);
    put_prefix(place + FRAME_HEADER_BYTES, number, 0);
    out->len += FRAME_HEADER_BYTES + REPLY_PREFIX;
    bytes_append(out, records.ptr, records.len);
    if (list->next_slot != 0) {
        bytes_put_u8(out, PEER_CODEC_TRAILER_TAG);
        bytes_put_varint(out, list->next_slot);
    }
    frame_header(out->ptr + start, PEER_SESSIONS + PEER_CODEC_REPLY, (uint32_t)(out->len - start - FRAME_HEADER_BYTES));
    return 0;
}

int peer_codec_encode_reply(struct bytebuf *out, uint32_t number, enum peer_type type, const struct peer_reply *reply)
{
    petrel_assert(peer_codec_is_call((uint8_t)type));
    if (reply->status != 0)
        return peer_codec_reply_frame(out, number, type, reply->status, NULL);
    switch (type) {
    case PEER_BIND:
        return put_bound(out, number, reply->bound);
    case PEER_FETCH:
        return put_fetched(out, number, reply->fetched);
    case PEER_CHECK:
        return put_checked(out, number, reply->checked);
    case PEER_SEND:
        return put_sent(out, number, &reply->sent);
    case PEER_STATE:
        return put_stated(out, number, reply->stated);
    case PEER_USER:
        return put_user(out, number, reply->user);
    case PEER_REMOVE:
        return put_removed(out, number, &reply->removed);
    case PEER_SESSIONS:
        return put_sessions(out, number, &reply->sessions);
    case PEER_DRAIN:
        return put_drained(out, number, &reply->drained);
    default:
        return peer_codec_topic_reply_encode(out, number, type, reply);
    }
}
