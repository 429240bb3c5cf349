#include "base/err.h"
#include "base/object.h"
#include "peer.pb-c.h"
#include "wire/peer_codec_impl.h"
#include "wire/text.h"

#include <stdlib.h>

static struct position read_position(const Petrel__Peer__Position *body)
{
    return body != NULL ? (struct position){body->epoch, body->seq} : (struct position){0, 0};
}

/* Absent is generation 0. */
static int read_route(const Petrel__Peer__Route *body, struct route *out)
{
    *out = (struct route){0};
    if (body == NULL)
        return 0;
    if (body->loop > UINT16_MAX || body->generation == 0)
        return PETREL_E_PROTOCOL;
    *out = (struct route){.incarnation = body->incarnation,
                          .node = body->node,
                          .loop = (uint16_t)body->loop,
                          .slot = body->slot,
                          .generation = body->generation};
    return 0;
}

static int read_gap(const Petrel__Peer__Gap *body, struct peer_gap *out)
{
    *out = (struct peer_gap){.reason = SESSION_GAP_NONE};
    if (body == NULL)
        return 0;
    if (body->reason == SESSION_GAP_NONE || body->reason > SESSION_GAP_TRIMMED)
        return PETREL_E_PROTOCOL;
    *out = (struct peer_gap){.reason = (enum session_gap_reason)body->reason,
                             .from = body->from,
                             .to = body->to,
                             .floor = body->floor,
                             .lost_at_most = body->lost_at_most};
    return 0;
}

static bool page_well_formed(const Petrel__Peer__Fetched *body)
{
    if (body == NULL || body->n_entries > PEER_PAGE_MAX)
        return false;
    for (size_t i = 0; i < body->n_entries; i++) {
        if (body->entries[i]->message.len == 0 || (i > 0 && body->entries[i]->seq <= body->entries[i - 1]->seq))
            return false;
    }
    return true;
}

/* The last thing that can fail in a reply: from here on its messages are bufs. */
static int read_page(const Petrel__Peer__Fetched *body, struct peer_page *out)
{
    if (!page_well_formed(body) || read_gap(body->gap, &out->gap) != 0)
        return PETREL_E_PROTOCOL;
    out->epoch = body->epoch;
    out->upto = body->upto;
    out->head = body->head;
    out->count = (uint32_t)body->n_entries;
    for (uint32_t i = 0; i < out->count; i++) {
        out->entries[i] = (struct peer_entry){.seq = body->entries[i]->seq,
                                              .message = buf_copy(text_borrow(body->entries[i]->message)),
                                              .expires_ms = body->entries[i]->expires_ms};
    }
    return 0;
}

static int answer_bound(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    const Petrel__Peer__Bound *body = unpacked;
    struct peer_bound *bound = &codec->scratch.bound;
    if (body->verdict < SESSION_NEW || body->verdict > SESSION_GAPPED ||
        read_route(body->replaced, &bound->replaced) != 0)
        return PETREL_E_PROTOCOL;
    bound->verdict = (enum session_verdict)body->verdict;
    bound->position = read_position(body->position);
    bound->unnoted = body->unnoted != 0;
    out->bound = bound;
    return read_page(body->page, &bound->page);
}

static int answer_fetched(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    out->fetched = &codec->scratch.page;
    return read_page(unpacked, &codec->scratch.page);
}

/* Entries in their order; one a second time for its subscriptions, behind what its log says. So there is room for all. */
static bool may_follow(const struct peer_checked *checked, uint32_t entry, enum peer_verdict verdict)
{
    if (checked->count == 0)
        return true;
    const struct peer_differing *last = &checked->differing[checked->count - 1];
    const bool is_second = checked->count > 1 && checked->differing[checked->count - 2].entry == last->entry;
    if (last->entry != entry)
        return last->entry < entry;
    return !is_second && last->verdict != PEER_CHANGED && (verdict == PEER_CHANGED || verdict == PEER_UNKNOWN);
}

static int answer_checked(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    const Petrel__Peer__Checked *body = unpacked;
    struct peer_checked *checked = &codec->scratch.checked;
    checked->count = 0;
    out->checked = checked;
    for (size_t i = 0; i < body->n_others; i++) {
        const uint32_t entry = body->others[i] / PEER_CODEC_VERDICTS, verdict = body->others[i] % PEER_CODEC_VERDICTS;
        if (entry >= PEER_CHECKS_MAX || verdict > PEER_CHANGED || verdict == PEER_SAME ||
            !may_follow(checked, entry, (enum peer_verdict)verdict))
            return PETREL_E_PROTOCOL;
        peer_checked_add(checked, entry, (enum peer_verdict)verdict);
    }
    return 0;
}

static int answer_sent(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    (void)codec;
    const Petrel__Peer__Sent *body = unpacked;
    struct peer_sent *sent = &out->sent;
    if (body->id.len != sizeof sent->id.bytes)
        return PETREL_E_PROTOCOL;
    memcpy(sent->id.bytes, body->id.data, sizeof sent->id.bytes);
    sent->position = read_position(body->position);
    sent->duplicate = body->duplicate != 0;
    return 0;
}

static int read_devices(Petrel__Peer__Device *const *from, size_t count, struct peer_device *out)
{
    if (count > ROUTE_DEVICES_MAX)
        return PETREL_E_PROTOCOL;
    for (size_t i = 0; i < count; i++) {
        const struct bytes name = text_borrow(from[i]->device);
        if (name.len == 0 || !text_is_printable(name, ROUTE_DEVICE_MAX) ||
            read_route(from[i]->route, &out[i].route) != 0)
            return PETREL_E_PROTOCOL;
        memcpy(out[i].device, name.ptr, name.len);
        out[i].device[name.len] = '\0';
        out[i].acked = from[i]->acked;
        out[i].bound_ms = from[i]->bound_ms;
    }
    return 0;
}

static int answer_stated(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    const Petrel__Peer__Stated *body = unpacked;
    struct peer_stated *stated = &codec->scratch.stated;
    if (body->state > PEER_STATE_DROPPED)
        return PETREL_E_PROTOCOL;
    stated->state = (enum peer_state)body->state;
    stated->position = read_position(body->position);
    stated->expires_ms = body->expires_ms;
    stated->count = (uint32_t)body->n_devices;
    out->stated = stated;
    return read_devices(body->devices, body->n_devices, stated->devices);
}

static int answer_user(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    const Petrel__Peer__UserInfo *body = unpacked;
    struct peer_user *user = &codec->scratch.user;
    user->head = read_position(body->head);
    user->floor = body->floor;
    user->pending = body->pending;
    user->pending_bytes = body->pending_bytes;
    user->count = (uint32_t)body->n_devices;
    out->user = user;
    return read_devices(body->devices, body->n_devices, user->devices);
}

static int answer_removed(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    (void)codec;
    const Petrel__Peer__Removed *body = unpacked;
    return read_route(body->route, &out->removed.route);
}

static int answer_drained(struct peer_codec *codec, const void *unpacked, struct peer_reply *out)
{
    (void)codec;
    const Petrel__Peer__Drained *body = unpacked;
    out->drained = (struct peer_drained){.draining = body->draining != 0,
                                         .sessions = body->sessions,
                                         .to_tell = body->to_tell,
                                         .told = body->told,
                                         .left = body->left};
    return 0;
}

static int answer_sessions(struct bytes body, struct peer_reply *out)
{
    struct bytes records;
    uint64_t next_slot;
    if (peer_codec_split_list(body, &records, &out->sessions.count, &next_slot) != 0 || next_slot > UINT32_MAX)
        return PETREL_E_PROTOCOL;
    out->sessions.next_slot = (uint32_t)next_slot;
    out->sessions.records = buf_copy(records);
    return 0;
}

/* Replies with a body; those of other calls are a status alone. */
struct row {
    enum peer_type type;
    const ProtobufCMessageDescriptor *body;
    int (*read)(struct peer_codec *codec, const void *unpacked, struct peer_reply *out);
};

static const struct row ROWS[] = {
    {PEER_BIND, &petrel__peer__bound__descriptor, answer_bound},
    {PEER_FETCH, &petrel__peer__fetched__descriptor, answer_fetched},
    {PEER_CHECK, &petrel__peer__checked__descriptor, answer_checked},
    {PEER_SEND, &petrel__peer__sent__descriptor, answer_sent},
    {PEER_STATE, &petrel__peer__stated__descriptor, answer_stated},
    {PEER_USER, &petrel__peer__user_info__descriptor, answer_user},
    {PEER_REMOVE, &petrel__peer__removed__descriptor, answer_removed},
    {PEER_DRAIN, &petrel__peer__drained__descriptor, answer_drained},
};

int peer_codec_answer(struct peer_codec *codec, enum peer_type type, struct bytes body, struct peer_reply *out)
{
    if (type == PEER_SESSIONS)
        return answer_sessions(body, out);
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ROWS[i].type != type)
            continue;
        const void *unpacked = peer_codec_unpack(codec, ROWS[i].body, body);
        return unpacked != NULL ? ROWS[i].read(codec, unpacked, out) : PETREL_E_PROTOCOL;
    }
    return peer_codec_topic_reply_decode(codec, type, body, out);
}
