#include "base/err.h"
#include "base/object.h"
#include "peer.pb-c.h"
#include "wire/peer_check.h"
#include "wire/peer_codec_impl.h"
#include "wire/text.h"

/* What the generated structs of any message point to. */
struct parts {
    Petrel__Peer__Position position;
    Petrel__Peer__Route route;
};

static Petrel__Peer__Position *put_position(struct parts *parts, struct position at)
{
    if (at.epoch == 0 && at.seq == 0)
        return NULL;
    parts->position = (Petrel__Peer__Position)PETREL__PEER__POSITION__INIT;
    parts->position.epoch = at.epoch;
    parts->position.seq = at.seq;
    return &parts->position;
}

static Petrel__Peer__Route *put_route(struct parts *parts, const struct route *route)
{
    if (route->generation == 0)
        return NULL;
    parts->route = (Petrel__Peer__Route)PETREL__PEER__ROUTE__INIT;
    parts->route.incarnation = route->incarnation;
    parts->route.node = route->node;
    parts->route.loop = route->loop;
    parts->route.slot = route->slot;
    parts->route.generation = route->generation;
    return &parts->route;
}

#define PUT_TARGET(body, from)                                                                                         \
    ((body)->app = text_lend((from)->app), (body)->user = text_lend((from)->user),                                     \
     (body)->device = text_lend((from)->device))

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

/* Where a frame of `len` bytes of body begins its body; PETREL_E_TOO_LARGE is NULL. */
static uint8_t *begin_frame(struct bytebuf *out, uint8_t type, size_t len)
{
    if (len > FRAME_BODY_MAX)
        return NULL;
    uint8_t *place = bytes_reserve(out, FRAME_HEADER_BYTES + len);
    frame_header(place, type, (uint32_t)len);
    out->len += FRAME_HEADER_BYTES + len;
    return place + FRAME_HEADER_BYTES;
}

int peer_codec_encode_frame(struct bytebuf *out, uint8_t type, const uint32_t *number, const ProtobufCMessage *body)
{
    const size_t prefix = number != NULL ? PEER_CODEC_NUMBER_BYTES : 0;
    uint8_t *place = begin_frame(out, type, prefix + protobuf_c_message_get_packed_size(body));
    if (place == NULL)
        return PETREL_E_TOO_LARGE;
    if (number != NULL)
        put_u32(place, *number);
    protobuf_c_message_pack(body, place + prefix);
    return 0;
}

/* ---- calls ---- */

static int put_bind(struct bytebuf *out, const uint32_t *number, const struct peer_bind *bind)
{
    struct parts parts;
    Petrel__Peer__Bind body = PETREL__PEER__BIND__INIT;
    PUT_TARGET(&body, &bind->target);
    body.attempt = bind->attempt;
    body.token_issued_ms = bind->token_issued_ms;
    body.position = put_position(&parts, bind->position);
    body.route = put_route(&parts, &bind->route);
    body.max_entries = bind->max_entries;
    body.max_bytes = bind->max_bytes;
    body.live = bind->live;
    return peer_codec_encode_frame(out, PEER_BIND, number, &body.base);
}

static int put_unbind(struct bytebuf *out, const uint32_t *number, const struct peer_unbind *unbind)
{
    struct parts parts;
    Petrel__Peer__Unbind body = PETREL__PEER__UNBIND__INIT;
    PUT_TARGET(&body, &unbind->target);
    body.route = put_route(&parts, &unbind->route);
    return peer_codec_encode_frame(out, PEER_UNBIND, number, &body.base);
}

static int put_fetch(struct bytebuf *out, const uint32_t *number, const struct peer_fetch *fetch)
{
    struct parts parts;
    Petrel__Peer__Fetch body = PETREL__PEER__FETCH__INIT;
    PUT_TARGET(&body, &fetch->target);
    body.position = put_position(&parts, fetch->position);
    body.told_floor = fetch->told_floor;
    body.max_entries = fetch->max_entries;
    body.max_bytes = fetch->max_bytes;
    return peer_codec_encode_frame(out, PEER_FETCH, number, &body.base);
}

static int put_ack(struct bytebuf *out, const uint32_t *number, const struct peer_ack *ack)
{
    struct parts parts;
    Petrel__Peer__Ack body = PETREL__PEER__ACK__INIT;
    PUT_TARGET(&body, &ack->target);
    body.position = put_position(&parts, ack->position);
    return peer_codec_encode_frame(out, PEER_ACK, number, &body.base);
}

/* By hand: the entries are packed already. */
static int put_check(struct bytebuf *out, uint32_t number, const struct peer_checks *check)
{
    const size_t start = out->len;
    petrel_assert(check->count > 0 && check->count <= PEER_CHECKS_MAX);
    put_u32(begin_frame(out, PEER_CHECK, PEER_CODEC_NUMBER_BYTES), number);
    peer_check_encode(out, check);
    frame_header(out->ptr + start, PEER_CHECK, (uint32_t)(out->len - start - FRAME_HEADER_BYTES));
    return 0;
}

static int put_send(struct bytebuf *out, const uint32_t *number, const struct peer_send *send)
{
    Petrel__Peer__Send body = PETREL__PEER__SEND__INIT;
    PUT_TARGET(&body, &send->target);
    body.id = text_lend(bytes_of(send->id.bytes, sizeof send->id.bytes));
    body.message = text_lend(buf_bytes(send->message));
    body.collapse_key = text_lend(send->collapse_key);
    body.priority = send->priority;
    body.durability = send->durability;
    body.sent_ms = send->sent_ms;
    body.expires_ms = send->expires_ms;
    body.require_device = send->require_device;
    if (send->has_key) {
        body.key = text_lend(bytes_of(send->key, sizeof send->key));
        body.body_hash = send->body_hash;
        body.key_expires_ms = send->key_expires_ms;
    }
    return peer_codec_encode_frame(out, PEER_SEND, number, &body.base);
}

/* RECALL and STATE. */
static int put_message_ref(struct bytebuf *out, const uint32_t *number, enum peer_type type,
                           const struct peer_message_ref *ref)
{
    Petrel__Peer__MessageRef body = PETREL__PEER__MESSAGE_REF__INIT;
    PUT_TARGET(&body, &ref->target);
    body.id = text_lend(bytes_of(ref->id.bytes, sizeof ref->id.bytes));
    return peer_codec_encode_frame(out, (uint8_t)type, number, &body.base);
}

/* ENROL and USER. */
static int put_target(struct bytebuf *out, const uint32_t *number, enum peer_type type,
                      const struct peer_target *target)
{
    Petrel__Peer__Target body = PETREL__PEER__TARGET__INIT;
    PUT_TARGET(&body, target);
    return peer_codec_encode_frame(out, (uint8_t)type, number, &body.base);
}

static int put_remove(struct bytebuf *out, const uint32_t *number, const struct peer_remove *remove)
{
    Petrel__Peer__Remove body = PETREL__PEER__REMOVE__INIT;
    PUT_TARGET(&body, &remove->target);
    body.revoked_ms = remove->revoked_ms;
    return peer_codec_encode_frame(out, PEER_REMOVE, number, &body.base);
}

static int put_sessions(struct bytebuf *out, const uint32_t *number, const struct peer_sessions *sessions)
{
    Petrel__Peer__Sessions body = PETREL__PEER__SESSIONS__INIT;
    body.app = text_lend(sessions->app);
    body.user = text_lend(sessions->user);
    body.slot = sessions->slot;
    body.limit = sessions->limit;
    return peer_codec_encode_frame(out, PEER_SESSIONS, number, &body.base);
}

static int put_drain(struct bytebuf *out, const uint32_t *number, const struct peer_drain *drain)
{
    Petrel__Peer__Drain body = PETREL__PEER__DRAIN__INIT;
    body.verb = drain->verb;
    body.per_second = drain->per_second;
    body.count = drain->count;
    return peer_codec_encode_frame(out, PEER_DRAIN, number, &body.base);
}

int peer_codec_encode_call(struct bytebuf *out, uint32_t number, const struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_BIND:
        return put_bind(out, &number, &msg->bind);
    case PEER_UNBIND:
        return put_unbind(out, &number, &msg->unbind);
    case PEER_FETCH:
        return put_fetch(out, &number, &msg->fetch);
    case PEER_ACK:
        return put_ack(out, &number, &msg->ack);
    case PEER_CHECK:
        return put_check(out, number, &msg->check);
    case PEER_SEND:
        return put_send(out, &number, &msg->send);
    case PEER_RECALL:
        return put_message_ref(out, &number, msg->type, &msg->recall);
    case PEER_STATE:
        return put_message_ref(out, &number, msg->type, &msg->state);
    case PEER_ENROL:
        return put_target(out, &number, msg->type, &msg->enrol);
    case PEER_USER:
        return put_target(out, &number, msg->type, &msg->user);
    case PEER_REMOVE:
        return put_remove(out, &number, &msg->remove);
    case PEER_SESSIONS:
        return put_sessions(out, &number, &msg->sessions);
    case PEER_DRAIN:
        return put_drain(out, &number, &msg->drain);
    default:
        return peer_codec_topic_encode_call(out, number, msg);
    }
}

/* ---- tells ---- */

static int put_deliver(struct bytebuf *out, const struct peer_deliver *deliver)
{
    struct parts parts;
    Petrel__Peer__Deliver body = PETREL__PEER__DELIVER__INIT;
    body.route = put_route(&parts, &deliver->route);
    body.position = put_position(&parts, deliver->position);
    body.prev = deliver->prev;
    body.message = text_lend(buf_bytes(deliver->message));
    body.high = deliver->high;
    return peer_codec_encode_frame(out, PEER_DELIVER, NULL, &body.base);
}

static int put_evict(struct bytebuf *out, const struct peer_evict *evict)
{
    struct parts parts;
    Petrel__Peer__Evict body = PETREL__PEER__EVICT__INIT;
    body.route = put_route(&parts, &evict->route);
    body.code = evict->code;
    return peer_codec_encode_frame(out, PEER_EVICT, NULL, &body.base);
}

/* By hand: the records are packed already. */
static int put_apps(struct bytebuf *out, const struct peer_apps *apps)
{
    const size_t start = out->len;
    struct bytes records = buf_bytes(apps->records);
    if (records.len > FRAME_BODY_MAX - 16)
        return PETREL_E_TOO_LARGE;
    bytes_reserve(out, FRAME_HEADER_BYTES + records.len + 16);
    out->len += FRAME_HEADER_BYTES;
    bytes_append(out, records.ptr, records.len);
    if (apps->version != 0) {
        bytes_put_u8(out, PEER_CODEC_TRAILER_TAG);
        bytes_put_varint(out, apps->version);
    }
    frame_header(out->ptr + start, PEER_APPS, (uint32_t)(out->len - start - FRAME_HEADER_BYTES));
    return 0;
}

int peer_codec_encode_tell(struct bytebuf *out, const struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_DELIVER:
        return put_deliver(out, &msg->deliver);
    case PEER_EVICT:
        return put_evict(out, &msg->evict);
    case PEER_APPS:
        return put_apps(out, &msg->apps);
    default:
        return peer_codec_topic_encode_tell(out, msg);
    }
}

/* ---- the connection ---- */

void peer_codec_encode_hello(struct bytebuf *out, const struct peer_hello *hello)
{
    Petrel__Peer__Hello body = PETREL__PEER__HELLO__INIT;
    body.version = hello->version;
    body.node = hello->node;
    body.incarnation = hello->incarnation;
    body.name = text_lend(hello->name);
    body.window = hello->window;
    body.loop = hello->loop;
    body.serial = hello->serial;
    body.nonce = text_lend(bytes_of(hello->nonce, sizeof hello->nonce));
    const int rc = peer_codec_encode_frame(out, PEER_HELLO, NULL, &body.base);
    petrel_assert(rc == 0);
}

void peer_codec_encode_proof(struct bytebuf *out, const uint8_t mac[DIGEST_SHA256_BYTES])
{
    Petrel__Peer__Proof body = PETREL__PEER__PROOF__INIT;
    body.mac = text_lend(bytes_of(mac, DIGEST_SHA256_BYTES));
    const int rc = peer_codec_encode_frame(out, PEER_PROOF, NULL, &body.base);
    petrel_assert(rc == 0);
}

void peer_codec_encode_bare(struct bytebuf *out, enum peer_type type)
{
    petrel_assert(type == PEER_PING || type == PEER_DIRTY);
    (void)begin_frame(out, (uint8_t)type, 0);
}
