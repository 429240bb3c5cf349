#include "base/err.h"
#include "base/object.h"
#include "peer.pb-c.h"
#include "wire/peer_check.h"
#include "wire/peer_codec_impl.h"
#include "wire/text.h"

/* A newer peer may know more codes than we do. */
#define EVICT_CODE_MIN 3000U
#define EVICT_CODE_END 4000U

static struct position read_position(const Petrel__Peer__Position *body)
{
    return body != NULL ? (struct position){body->epoch, body->seq} : (struct position){0, 0};
}

/* A route that the message means nothing without. */
static int read_route(const Petrel__Peer__Route *body, struct route *out)
{
    if (body == NULL || body->loop > UINT16_MAX || body->generation == 0)
        return PETREL_E_PROTOCOL;
    *out = (struct route){.incarnation = body->incarnation,
                          .node = body->node,
                          .loop = (uint16_t)body->loop,
                          .slot = body->slot,
                          .generation = body->generation};
    return 0;
}

static bool names_fit(const struct peer_target *target)
{
    return text_is_printable(target->app, ROUTE_APP_MAX) && text_is_printable(target->user, ROUTE_USER_MAX) &&
           text_is_printable(target->device, ROUTE_DEVICE_MAX);
}

static int read_target(ProtobufCBinaryData app, ProtobufCBinaryData user, ProtobufCBinaryData device,
                       struct peer_target *out)
{
    *out = (struct peer_target){text_borrow(app), text_borrow(user), text_borrow(device)};
    /* Whose they are is asked by the role, by its own rules. */
    return names_fit(out) && out->app.len > 0 && out->user.len > 0 ? 0 : PETREL_E_PROTOCOL;
}

#define READ_TARGET(body, out) read_target((body)->app, (body)->user, (body)->device, (out))

/* ---- calls ---- */

static int read_bind(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Bind *body = unpacked;
    struct peer_bind *bind = &out->bind;
    bind->attempt = body->attempt;
    bind->token_issued_ms = body->token_issued_ms;
    bind->position = read_position(body->position);
    bind->max_entries = body->max_entries;
    bind->max_bytes = body->max_bytes;
    bind->live = body->live != 0;
    if (body->max_entries > PEER_PAGE_MAX || read_route(body->route, &bind->route) != 0)
        return PETREL_E_PROTOCOL;
    return READ_TARGET(body, &bind->target);
}

static int read_unbind(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Unbind *body = unpacked;
    const int rc = read_route(body->route, &out->unbind.route);
    return rc != 0 ? rc : READ_TARGET(body, &out->unbind.target);
}

static int read_fetch(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Fetch *body = unpacked;
    struct peer_fetch *fetch = &out->fetch;
    fetch->position = read_position(body->position);
    fetch->told_floor = body->told_floor;
    fetch->max_entries = body->max_entries;
    fetch->max_bytes = body->max_bytes;
    return body->max_entries <= PEER_PAGE_MAX ? READ_TARGET(body, &fetch->target) : PETREL_E_PROTOCOL;
}

static int read_ack(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Ack *body = unpacked;
    out->ack.position = read_position(body->position);
    return READ_TARGET(body, &out->ack.target);
}

static int read_id(ProtobufCBinaryData data, struct id *out)
{
    if (data.len != sizeof out->bytes)
        return PETREL_E_PROTOCOL;
    memcpy(out->bytes, data.data, sizeof out->bytes);
    return 0;
}

static int read_send(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Send *body = unpacked;
    struct peer_send *send = &out->send;
    send->collapse_key = text_borrow(body->collapse_key);
    send->priority = (enum peer_priority)body->priority;
    send->durability = (enum peer_durability)body->durability;
    send->sent_ms = body->sent_ms;
    send->expires_ms = body->expires_ms;
    send->require_device = body->require_device != 0;
    send->has_key = body->key.len > 0;
    if (body->priority > PEER_PRIORITY_HIGH || body->durability > PEER_DURABILITY_REPLICATED ||
        body->message.len == 0 || !text_is_printable(send->collapse_key, ROUTE_COLLAPSE_MAX) ||
        (send->has_key && body->key.len != sizeof send->key) || read_id(body->id, &send->id) != 0 ||
        READ_TARGET(body, &send->target) != 0)
        return PETREL_E_PROTOCOL;
    if (send->has_key) {
        memcpy(send->key, body->key.data, sizeof send->key);
        send->body_hash = body->body_hash;
        send->key_expires_ms = body->key_expires_ms;
    }
    send->message = buf_copy(text_borrow(body->message));
    return 0;
}

static int read_message_ref(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__MessageRef *body = unpacked;
    struct peer_message_ref *ref = out->type == PEER_RECALL ? &out->recall : &out->state;
    const int rc = read_id(body->id, &ref->id);
    return rc != 0 ? rc : READ_TARGET(body, &ref->target);
}

static int read_user(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Target *body = unpacked;
    return READ_TARGET(body, out->type == PEER_ENROL ? &out->enrol : &out->user);
}

static int read_remove(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Remove *body = unpacked;
    out->remove.revoked_ms = body->revoked_ms;
    return READ_TARGET(body, &out->remove.target);
}

static int read_sessions(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Sessions *body = unpacked;
    struct peer_sessions *sessions = &out->sessions;
    sessions->app = text_borrow(body->app);
    sessions->user = text_borrow(body->user);
    sessions->slot = body->slot;
    sessions->limit = body->limit;
    return text_is_printable(sessions->app, ROUTE_APP_MAX) && text_is_printable(sessions->user, ROUTE_USER_MAX)
               ? 0
               : PETREL_E_PROTOCOL;
}

static int read_drain(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Drain *body = unpacked;
    const bool paced = body->verb == PEER_DRAIN_BEGIN || body->verb == PEER_DRAIN_MOVE;
    if (body->verb < PEER_DRAIN_LOOK || body->verb > PEER_DRAIN_MOVE || (paced && body->per_second == 0))
        return PETREL_E_PROTOCOL;
    out->drain = (struct peer_drain){(enum peer_drain_verb)body->verb, body->per_second, body->count};
    return 0;
}

/* ---- tells ---- */

static int read_deliver(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Deliver *body = unpacked;
    struct peer_deliver *deliver = &out->deliver;
    deliver->position = read_position(body->position);
    deliver->prev = body->prev;
    deliver->high = body->high;
    if (position_is_none(deliver->position) || read_route(body->route, &deliver->route) != 0)
        return PETREL_E_PROTOCOL;
    deliver->message = body->message.len > 0 ? buf_copy(text_borrow(body->message)) : NULL;
    return 0;
}

static int read_evict(const void *unpacked, struct peer_msg *out)
{
    const Petrel__Peer__Evict *body = unpacked;
    out->evict.code = body->code;
    return body->code >= EVICT_CODE_MIN && body->code < EVICT_CODE_END ? read_route(body->route, &out->evict.route)
                                                                       : PETREL_E_PROTOCOL;
}

struct row {
    enum peer_type type;
    const ProtobufCMessageDescriptor *body;
    int (*read)(const void *unpacked, struct peer_msg *out);
};

static const struct row ROWS[] = {
    {PEER_BIND, &petrel__peer__bind__descriptor, read_bind},
    {PEER_UNBIND, &petrel__peer__unbind__descriptor, read_unbind},
    {PEER_FETCH, &petrel__peer__fetch__descriptor, read_fetch},
    {PEER_ACK, &petrel__peer__ack__descriptor, read_ack},
    {PEER_SEND, &petrel__peer__send__descriptor, read_send},
    {PEER_RECALL, &petrel__peer__message_ref__descriptor, read_message_ref},
    {PEER_STATE, &petrel__peer__message_ref__descriptor, read_message_ref},
    {PEER_ENROL, &petrel__peer__target__descriptor, read_user},
    {PEER_REMOVE, &petrel__peer__remove__descriptor, read_remove},
    {PEER_USER, &petrel__peer__target__descriptor, read_user},
    {PEER_SESSIONS, &petrel__peer__sessions__descriptor, read_sessions},
    {PEER_DRAIN, &petrel__peer__drain__descriptor, read_drain},
    {PEER_DELIVER, &petrel__peer__deliver__descriptor, read_deliver},
    {PEER_EVICT, &petrel__peer__evict__descriptor, read_evict},
};

static int read_body(struct peer_codec *codec, uint8_t type, struct bytes body, struct peer_msg *out)
{
    size_t i = 0;
    while (i < sizeof ROWS / sizeof ROWS[0] && ROWS[i].type != type)
        i++;
    if (i == sizeof ROWS / sizeof ROWS[0])
        return peer_codec_topic_decode(codec, (enum peer_type)type, body, out);
    const void *unpacked = peer_codec_unpack(codec, ROWS[i].body, body);
    if (unpacked == NULL)
        return PETREL_E_PROTOCOL;
    *out = (struct peer_msg){.type = ROWS[i].type};
    return ROWS[i].read(unpacked, out);
}

static int take_u32(struct bytes *in, uint32_t *value)
{
    if (in->len < 4)
        return PETREL_E_PROTOCOL;
    *value = (uint32_t)in->ptr[0] << 24 | (uint32_t)in->ptr[1] << 16 | (uint32_t)in->ptr[2] << 8 | (uint32_t)in->ptr[3];
    *in = bytes_of(in->ptr + 4, in->len - 4);
    return 0;
}

int peer_codec_decode_call(struct peer_codec *codec, const struct frame *frame, uint32_t *number, struct peer_msg *out)
{
    petrel_assert(peer_codec_is_call(frame->type));
    struct bytes body = frame->body;
    if (take_u32(&body, number) != 0)
        return PETREL_E_PROTOCOL;
    if (frame->type != PEER_CHECK)
        return read_body(codec, frame->type, body, out);
    *out = (struct peer_msg){.type = PEER_CHECK};
    return peer_check_decode(body, &out->check);
}

/* A newer peer's error is one of its own to us. */
static int status_of(uint32_t number)
{
    if (number == 0)
        return 0;
    const int status = number <= INT32_MAX ? -(int)number : PETREL_E_INTERNAL;
    return strcmp(err_name(status), err_name(PETREL_E_INTERNAL)) != 0 ? status : PETREL_E_INTERNAL;
}

int peer_codec_decode_reply(struct peer_codec *codec, const struct frame *frame, uint32_t *number,
                            struct peer_reply *out)
{
    petrel_assert(peer_codec_is_reply(frame->type));
    struct bytes body = frame->body;
    uint32_t status = 0;
    if (take_u32(&body, number) != 0 || take_u32(&body, &status) != 0)
        return PETREL_E_PROTOCOL;
    *out = (struct peer_reply){.status = status_of(status)};
    if (out->status != 0)
        return body.len == 0 ? 0 : PETREL_E_PROTOCOL;
    return peer_codec_answer(codec, (enum peer_type)(frame->type - PEER_CODEC_REPLY), body, out);
}

int peer_codec_decode_tell(struct peer_codec *codec, const struct frame *frame, struct peer_msg *out)
{
    petrel_assert(peer_codec_is_tell(frame->type));
    if (frame->type != PEER_APPS)
        return read_body(codec, frame->type, frame->body, out);
    struct bytes records;
    uint32_t count;
    *out = (struct peer_msg){.type = PEER_APPS};
    if (peer_codec_split_list(frame->body, &records, &count, &out->apps.version) != 0)
        return PETREL_E_PROTOCOL;
    out->apps.records = buf_copy(records);
    return 0;
}

/* ---- the connection ---- */

int peer_codec_decode_hello(struct peer_codec *codec, struct bytes in, struct peer_hello *out)
{
    const Petrel__Peer__Hello *body = peer_codec_unpack(codec, &petrel__peer__hello__descriptor, in);
    if (body == NULL || body->loop > UINT16_MAX || body->nonce.len != sizeof out->nonce || body->window == 0 ||
        body->window > PEER_CODEC_WINDOW_MAX)
        return PETREL_E_PROTOCOL;
    *out = (struct peer_hello){.version = body->version,
                               .node = body->node,
                               .loop = (uint16_t)body->loop,
                               .incarnation = body->incarnation,
                               .name = text_borrow(body->name),
                               .window = body->window,
                               .serial = body->serial};
    memcpy(out->nonce, body->nonce.data, sizeof out->nonce);
    return text_is_printable(out->name, PEER_CODEC_NAME_MAX) ? 0 : PETREL_E_PROTOCOL;
}

int peer_codec_decode_proof(struct peer_codec *codec, struct bytes in, uint8_t mac[DIGEST_SHA256_BYTES])
{
    const Petrel__Peer__Proof *body = peer_codec_unpack(codec, &petrel__peer__proof__descriptor, in);
    if (body == NULL || body->mac.len != DIGEST_SHA256_BYTES)
        return PETREL_E_PROTOCOL;
    memcpy(mac, body->mac.data, DIGEST_SHA256_BYTES);
    return 0;
}
