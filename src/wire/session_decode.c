#include "base/err.h"
#include "base/object.h"
#include "session.pb-c.h"
#include "wire/session.h"
#include "wire/session_codec.h"
#include "wire/text.h"

/* The limits of a body's numbers, as proto/README.md gives them. */
#define CODE_MIN 3000
#define CODE_RETRY_END 3500
#define CODE_END 4000
#define DISCONNECT_REASON_MAX 1
#define ECHO_TAG 0x09 /* of PING and PONG: field 1, eight bytes */

static void *unpack(struct session_codec *codec, const ProtobufCMessageDescriptor *type, struct bytes body)
{
    object_check(codec, SESSION_CODEC_MAGIC);
    arena_begin(&codec->arena, body.len);
    ProtobufCAllocator allocator = arena_allocator(&codec->arena);
    return protobuf_c_message_unpack(type, &allocator, body.len, body.ptr);
}

static struct position position_of(const Petrel__Session__Position *body)
{
    return body != NULL ? (struct position){body->epoch, body->seq} : (struct position){0, 0};
}

/* Into the codec: few frames have them, and all frames share one struct. */
static int read_topics(struct session_codec *codec, const Petrel__Session__Connect *body, struct session_connect *out)
{
    out->takes_topics = body->takes_topics != 0;
    if (body->n_topics > SESSION_TOPICS_MAX)
        return PETREL_E_PROTOCOL;
    for (size_t i = 0; i < body->n_topics; i++) {
        codec->topics[i].position = position_of(body->topics[i]->position);
        if (session_decode_topic_name(body->topics[i]->topic, &codec->topics[i].topic) != 0 ||
            position_is_none(codec->topics[i].position))
            return PETREL_E_PROTOCOL;
    }
    out->topics_count = (uint32_t)body->n_topics;
    out->topics = codec->topics;
    return 0;
}

static int decode_connect(struct session_codec *codec, const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Connect *body = unpacked;
    struct session_connect *connect = &out->connect;
    connect->version = body->version;
    connect->token = text_borrow(body->token);
    connect->attempt = body->attempt;
    connect->position = position_of(body->position);
    connect->client = text_borrow(body->client);
    connect->heartbeat_s = body->heartbeat_s;
    if (!text_is_printable(connect->token, SESSION_TOKEN_MAX) ||
        !text_is_printable(connect->client, SESSION_CLIENT_MAX))
        return PETREL_E_PROTOCOL;
    /* Other versions have their own rules; the session answers those with its own code. */
    bool ours = connect->version == SESSION_PROTOCOL_VERSION;
    if (ours && (connect->attempt == 0 || connect->attempt > INT64_MAX))
        return PETREL_E_PROTOCOL;
    /* A seq means nothing without its epoch. */
    if (position_is_none(connect->position) && connect->position.seq != 0)
        return PETREL_E_PROTOCOL;
    return read_topics(codec, body, connect);
}

static int decode_ping(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Ping *body = unpacked;
    out->echo = body->echo;
    return 0;
}

static int decode_ack(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Ack *body = unpacked;
    out->ack = position_of(body->position);
    return position_is_none(out->ack) ? PETREL_E_PROTOCOL : 0;
}

static int decode_disconnect(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Disconnect *body = unpacked;
    out->disconnect_reason = body->reason;
    return body->reason <= DISCONNECT_REASON_MAX ? 0 : PETREL_E_PROTOCOL;
}

static bool gap_reason_known(int reason)
{
    return reason >= SESSION_GAP_NONE && reason <= SESSION_GAP_TRIMMED;
}

static int decode_connected(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Connected *body = unpacked;
    struct session_connected *connected = &out->connected;
    int verdict = (int)body->verdict;
    if (verdict < SESSION_NEW || verdict > SESSION_GAPPED || !gap_reason_known((int)body->reason) ||
        body->position == NULL)
        return PETREL_E_PROTOCOL;
    connected->verdict = (enum session_verdict)verdict;
    connected->position = position_of(body->position);
    connected->lost_at_most = body->lost_at_most;
    connected->reason = (enum session_gap_reason)body->reason;
    connected->heartbeat_s = body->heartbeat_s;
    connected->max_frame_bytes = body->max_frame_bytes;
    connected->server_time_ms = body->server_time_ms;
    connected->node = text_borrow(body->node);
    return text_is_printable(connected->node, SESSION_NODE_MAX) ? 0 : PETREL_E_PROTOCOL;
}

static int decode_pong(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Pong *body = unpacked;
    out->echo = body->echo;
    return 0;
}

/* Present, if of no length: the oneof says which of the two was sent. */
static struct bytes body_of(ProtobufCBinaryData data)
{
    return data.len > 0 ? bytes_of(data.data, data.len) : bytes_of("", 0);
}

static int read_message(const Petrel__Session__Message *body, struct session_message *out)
{
    if (body->id.len != sizeof out->id.bytes)
        return PETREL_E_PROTOCOL;
    memcpy(out->id.bytes, body->id.data, sizeof out->id.bytes);
    if (body->body_case == PETREL__SESSION__MESSAGE__BODY__NOT_SET)
        return PETREL_E_PROTOCOL;
    out->is_json = body->body_case == PETREL__SESSION__MESSAGE__BODY_DATA;
    out->body = body_of(out->is_json ? body->data : body->payload);
    out->sent_ms = body->sent_ms;
    out->expires_ms = body->expires_ms;
    out->collapse_key = text_borrow(body->collapse_key);
    out->high = body->high != 0;
    out->late = body->late != 0;
    if (out->is_json && !text_is_utf8(out->body))
        return PETREL_E_PROTOCOL;
    return text_is_printable(out->collapse_key, ROUTE_COLLAPSE_MAX) ? 0 : PETREL_E_PROTOCOL;
}

static int decode_push(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Push *body = unpacked;
    struct session_push *push = &out->push;
    push->log = body->log;
    push->position = position_of(body->position);
    push->prev = body->prev;
    if (position_is_none(push->position) || push->prev >= push->position.seq || body->message == NULL)
        return PETREL_E_PROTOCOL;
    if (push->log == SESSION_LOG_TOPIC && session_decode_topic_name(body->topic, &push->topic) != 0)
        return PETREL_E_PROTOCOL;
    return read_message(body->message, &push->message);
}

static int decode_gap(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Gap *body = unpacked;
    struct session_gap *gap = &out->gap;
    gap->log = body->log;
    gap->from = body->from;
    gap->to = position_of(body->to);
    gap->lost_at_most = body->lost_at_most;
    gap->reason = (enum session_gap_reason)body->reason;
    bool known = gap_reason_known((int)body->reason) && gap->reason != SESSION_GAP_NONE;
    if (gap->log == SESSION_LOG_TOPIC && session_decode_topic_name(body->topic, &gap->topic) != 0)
        return PETREL_E_PROTOCOL;
    return known && !position_is_none(gap->to) ? 0 : PETREL_E_PROTOCOL;
}

static int decode_goaway(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Goaway *body = unpacked;
    struct session_goaway *goaway = &out->goaway;
    goaway->code = body->code;
    goaway->deadline_ms = body->deadline_ms;
    goaway->spread_ms = body->spread_ms;
    goaway->backoff_ms = body->backoff_ms;
    goaway->targets_count = body->n_targets;
    if (body->code < CODE_MIN || body->code >= CODE_RETRY_END || body->n_targets > SESSION_TARGETS_MAX)
        return PETREL_E_PROTOCOL;
    for (size_t i = 0; i < body->n_targets; i++) {
        goaway->targets[i] = text_borrow(body->targets[i]);
        if (goaway->targets[i].len == 0 || !text_is_printable(goaway->targets[i], SESSION_TARGET_MAX))
            return PETREL_E_PROTOCOL;
    }
    return 0;
}

static int decode_error(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Error *body = unpacked;
    out->error.code = body->code;
    out->error.message = text_borrow(body->message);
    out->error.backoff_ms = body->backoff_ms;
    if (body->code < CODE_MIN || body->code >= CODE_END)
        return PETREL_E_PROTOCOL;
    return text_is_printable(out->error.message, SESSION_ERROR_TEXT_MAX) ? 0 : PETREL_E_PROTOCOL;
}

static int decode_subscribe(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Subscribe *body = unpacked;
    return session_decode_topic_name(body->topic, &out->topic);
}

static int decode_unsubscribe(const void *unpacked, struct session_frame *out)
{
    const Petrel__Session__Unsubscribe *body = unpacked;
    return session_decode_topic_name(body->topic, &out->topic);
}

/* Every type there is. Those without a body are numbers kept for later versions; CONNECT needs more of the codec. */
struct row {
    enum session_type type;
    const ProtobufCMessageDescriptor *body;
    int (*decode)(const void *unpacked, struct session_frame *out);
};

static const struct row ROWS[] = {
    {SESSION_CONNECT, &petrel__session__connect__descriptor, NULL},
    {SESSION_PING, &petrel__session__ping__descriptor, decode_ping},
    {SESSION_ACK, &petrel__session__ack__descriptor, decode_ack},
    {SESSION_SUBSCRIBE, &petrel__session__subscribe__descriptor, decode_subscribe},
    {SESSION_UNSUBSCRIBE, &petrel__session__unsubscribe__descriptor, decode_unsubscribe},
    {SESSION_EVENT, NULL, NULL},
    {SESSION_DISCONNECT, &petrel__session__disconnect__descriptor, decode_disconnect},
    {SESSION_CONNECTED, &petrel__session__connected__descriptor, decode_connected},
    {SESSION_PONG, &petrel__session__pong__descriptor, decode_pong},
    {SESSION_PUSH, &petrel__session__push__descriptor, decode_push},
    {SESSION_GAP, &petrel__session__gap__descriptor, decode_gap},
    {SESSION_SUBSCRIBED, &petrel__session__subscribed__descriptor, session_decode_topic_subscribed},
    {SESSION_GOAWAY, &petrel__session__goaway__descriptor, decode_goaway},
    {SESSION_ERROR, &petrel__session__error__descriptor, decode_error},
    {SESSION_EVENT_ACK, NULL, NULL},
};

static const struct row *find(uint8_t type)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ROWS[i].type == type)
            return &ROWS[i];
    }
    return NULL;
}

/* A heartbeat as it is mostly written: nothing, or its one field. Others are left to the codec. */
static bool take_echo(const struct frame *frame, struct session_frame *out)
{
    struct bytes body = frame->body;
    uint8_t tag;
    uint64_t echo = 0;
    if (frame->type != SESSION_PING && frame->type != SESSION_PONG)
        return false;
    if (body.len != 0 && (body.len != 1 + sizeof echo || bytes_get_u8(&body, &tag) != 0 || tag != ECHO_TAG ||
                          bytes_get_u64(&body, &echo) != 0))
        return false;
    *out = (struct session_frame){.type = (enum session_type)frame->type, .echo = echo};
    return true;
}

int session_decode(struct session_codec *codec, const struct frame *frame, struct session_frame *out)
{
    if (take_echo(frame, out))
        return 0;
    const struct row *row = find(frame->type);
    if (row == NULL)
        return PETREL_E_NOT_FOUND;
    if (row->body == NULL)
        return PETREL_E_UNSUPPORTED;
    const void *unpacked = unpack(codec, row->body, frame->body);
    if (unpacked == NULL)
        return PETREL_E_PROTOCOL;
    *out = (struct session_frame){.type = row->type};
    return row->type == SESSION_CONNECT ? decode_connect(codec, unpacked, out) : row->decode(unpacked, out);
}

int session_decode_message(struct session_codec *codec, struct bytes in, struct session_message *out)
{
    const void *unpacked = unpack(codec, &petrel__session__message__descriptor, in);
    return unpacked != NULL ? read_message(unpacked, out) : PETREL_E_PROTOCOL;
}
