#include "base/object.h"
#include "base/utf8.h"
#include "session.pb-c.h"
#include "wire/session.h"
#include "wire/text.h"

/* Field 4 of Push, and the fields around it, as the encoding writes them: number << 3 | wire type. */
#define PUSH_LOG_TAG 0x08
#define PUSH_POSITION_TAG 0x12
#define PUSH_PREV_TAG 0x18
#define PUSH_MESSAGE_TAG 0x22
#define PUSH_TOPIC_TAG 0x2a
#define POSITION_EPOCH_TAG 0x09
#define POSITION_SEQ_TAG 0x10

#define ECHO_TAG 0x09

/* PING or PONG, by hand: heartbeats are most of what an idle server says. */
static void append_echo(struct bytebuf *out, enum session_type type, uint64_t echo)
{
    const size_t len = echo != 0 ? 1 + sizeof echo : 0;
    frame_header(bytes_reserve(out, FRAME_HEADER_BYTES + len), (uint8_t)type, (uint32_t)len);
    out->len += FRAME_HEADER_BYTES;
    if (echo == 0)
        return;
    bytes_put_u8(out, ECHO_TAG);
    bytes_put_u64(out, echo);
}

/* Append the frame of a packed message. */
static void append_frame(struct bytebuf *out, enum session_type type, const ProtobufCMessage *body)
{
    size_t len = protobuf_c_message_get_packed_size(body);
    petrel_assert(len <= FRAME_BODY_MAX);
    uint8_t *place = bytes_reserve(out, FRAME_HEADER_BYTES + len);
    frame_header(place, (uint8_t)type, (uint32_t)len);
    protobuf_c_message_pack(body, place + FRAME_HEADER_BYTES);
    out->len += FRAME_HEADER_BYTES + len;
}

static Petrel__Session__Position position_of(struct position at)
{
    Petrel__Session__Position body = PETREL__SESSION__POSITION__INIT;
    body.epoch = at.epoch;
    body.seq = at.seq;
    return body;
}

void session_encode_connect(struct bytebuf *out, const struct session_connect *connect)
{
    Petrel__Session__Position position = position_of(connect->position);
    Petrel__Session__Connect body = PETREL__SESSION__CONNECT__INIT;
    body.version = connect->version;
    body.token = text_lend(connect->token);
    body.attempt = connect->attempt;
    body.position = position_is_none(connect->position) ? NULL : &position;
    body.client = text_lend(connect->client);
    body.heartbeat_s = connect->heartbeat_s;
    body.takes_topics = connect->takes_topics;
    petrel_assert(connect->topics_count <= SESSION_TOPICS_MAX);
    Petrel__Session__Position positions[SESSION_TOPICS_MAX];
    Petrel__Session__TopicPosition rows[SESSION_TOPICS_MAX];
    Petrel__Session__TopicPosition *pointers[SESSION_TOPICS_MAX];
    for (uint32_t i = 0; i < connect->topics_count; i++) {
        positions[i] = position_of(connect->topics[i].position);
        rows[i] = (Petrel__Session__TopicPosition)PETREL__SESSION__TOPIC_POSITION__INIT;
        rows[i].topic = text_lend(connect->topics[i].topic);
        rows[i].position = &positions[i];
        pointers[i] = &rows[i];
    }
    body.n_topics = connect->topics_count;
    body.topics = pointers;
    append_frame(out, SESSION_CONNECT, &body.base);
}

void session_encode_ping(struct bytebuf *out, uint64_t echo)
{
    append_echo(out, SESSION_PING, echo);
}

void session_encode_ack(struct bytebuf *out, struct position at)
{
    Petrel__Session__Position position = position_of(at);
    Petrel__Session__Ack body = PETREL__SESSION__ACK__INIT;
    body.position = &position;
    append_frame(out, SESSION_ACK, &body.base);
}

void session_encode_disconnect(struct bytebuf *out, uint32_t reason)
{
    Petrel__Session__Disconnect body = PETREL__SESSION__DISCONNECT__INIT;
    body.reason = reason;
    append_frame(out, SESSION_DISCONNECT, &body.base);
}

void session_encode_connected(struct bytebuf *out, const struct session_connected *connected)
{
    Petrel__Session__Position position = position_of(connected->position);
    Petrel__Session__Connected body = PETREL__SESSION__CONNECTED__INIT;
    body.verdict = (Petrel__Session__Verdict)connected->verdict;
    body.position = &position;
    body.lost_at_most = connected->lost_at_most;
    body.reason = (Petrel__Session__GapReason)connected->reason;
    body.heartbeat_s = connected->heartbeat_s;
    body.max_frame_bytes = connected->max_frame_bytes;
    body.server_time_ms = connected->server_time_ms;
    body.node = text_lend(connected->node);
    append_frame(out, SESSION_CONNECTED, &body.base);
}

void session_encode_pong(struct bytebuf *out, uint64_t echo)
{
    append_echo(out, SESSION_PONG, echo);
}

static void put_varint_field(struct bytebuf *out, uint8_t tag, uint64_t value)
{
    if (value == 0)
        return; /* proto3 leaves a zero out */
    bytes_put_u8(out, tag);
    bytes_put_varint(out, value);
}

static size_t varint_len(uint64_t value)
{
    size_t len = 1;
    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    return len;
}

static void put_position_field(struct bytebuf *out, uint8_t tag, struct position at)
{
    size_t len = (at.epoch != 0 ? 9 : 0) + (at.seq != 0 ? 1 + varint_len(at.seq) : 0);
    bytes_put_u8(out, tag);
    bytes_put_varint(out, len);
    if (at.epoch != 0) {
        bytes_put_u8(out, POSITION_EPOCH_TAG);
        bytes_put_u64(out, at.epoch);
    }
    put_varint_field(out, POSITION_SEQ_TAG, at.seq);
}

/* By hand: the message is stored encoded, and is copied as it is instead of being taken apart and packed again. */
static void put_push(struct bytebuf *out, uint32_t log, struct bytes topic, struct position at, uint64_t prev,
                     struct bytes message)
{
    size_t start = out->len;
    bytes_reserve(out, FRAME_HEADER_BYTES);
    out->len += FRAME_HEADER_BYTES;
    put_varint_field(out, PUSH_LOG_TAG, log);
    put_position_field(out, PUSH_POSITION_TAG, at);
    put_varint_field(out, PUSH_PREV_TAG, prev);
    bytes_put_u8(out, PUSH_MESSAGE_TAG);
    bytes_put_blob(out, message);
    if (topic.len > 0) {
        bytes_put_u8(out, PUSH_TOPIC_TAG);
        bytes_put_blob(out, topic);
    }
    size_t len = out->len - start - FRAME_HEADER_BYTES;
    petrel_assert(len <= FRAME_BODY_MAX);
    frame_header(out->ptr + start, SESSION_PUSH, (uint32_t)len);
}

void session_encode_push(struct bytebuf *out, uint32_t log, struct position at, uint64_t prev, struct bytes message)
{
    put_push(out, log, (struct bytes){NULL, 0}, at, prev, message);
}

void session_encode_topic_push(struct bytebuf *out, struct bytes topic, struct position at, uint64_t prev,
                               struct bytes message)
{
    put_push(out, SESSION_LOG_TOPIC, topic, at, prev, message);
}

void session_encode_gap(struct bytebuf *out, const struct session_gap *gap)
{
    Petrel__Session__Position to = position_of(gap->to);
    Petrel__Session__Gap body = PETREL__SESSION__GAP__INIT;
    body.log = gap->log;
    body.from = gap->from;
    body.to = &to;
    body.lost_at_most = gap->lost_at_most;
    body.reason = (Petrel__Session__GapReason)gap->reason;
    body.topic = text_lend(gap->topic);
    append_frame(out, SESSION_GAP, &body.base);
}

void session_encode_goaway(struct bytebuf *out, const struct session_goaway *goaway)
{
    petrel_assert(goaway->targets_count <= SESSION_TARGETS_MAX);
    ProtobufCBinaryData targets[SESSION_TARGETS_MAX];
    for (size_t i = 0; i < goaway->targets_count; i++)
        targets[i] = text_lend(goaway->targets[i]);
    Petrel__Session__Goaway body = PETREL__SESSION__GOAWAY__INIT;
    body.code = goaway->code;
    body.deadline_ms = goaway->deadline_ms;
    body.spread_ms = goaway->spread_ms;
    body.backoff_ms = goaway->backoff_ms;
    body.n_targets = goaway->targets_count;
    body.targets = targets;
    append_frame(out, SESSION_GOAWAY, &body.base);
}

/* As much of text as the limit lets through, cut between characters. */
static struct bytes clip(struct bytes text, size_t max)
{
    size_t at = 0;
    while (at < text.len) {
        size_t len = utf8_char_len(bytes_of(text.ptr + at, text.len - at));
        if (len == 0 || at + len > max)
            break;
        at += len;
    }
    return bytes_of(text.ptr, at);
}

void session_encode_error(struct bytebuf *out, uint32_t code, const char *message, uint32_t backoff_ms)
{
    Petrel__Session__Error body = PETREL__SESSION__ERROR__INIT;
    body.code = code;
    body.message = text_lend(clip(bytes_str(message), SESSION_ERROR_TEXT_MAX));
    body.backoff_ms = backoff_ms;
    append_frame(out, SESSION_ERROR, &body.base);
}

struct buf *session_encode_message(const struct session_message *message)
{
    Petrel__Session__Message body = PETREL__SESSION__MESSAGE__INIT;
    body.id = text_lend(bytes_of(message->id.bytes, sizeof message->id.bytes));
    if (message->is_json) {
        body.body_case = PETREL__SESSION__MESSAGE__BODY_DATA;
        body.data = text_lend(message->body);
    } else {
        body.body_case = PETREL__SESSION__MESSAGE__BODY_PAYLOAD;
        body.payload = text_lend(message->body);
    }
    body.sent_ms = message->sent_ms;
    body.expires_ms = message->expires_ms;
    body.collapse_key = text_lend(message->collapse_key);
    body.high = message->high;
    body.late = message->late;
    struct buf *out = buf_new(protobuf_c_message_get_packed_size(&body.base));
    protobuf_c_message_pack(&body.base, out->data);
    return out;
}

void session_encode_topic_subscribe(struct bytebuf *out, struct bytes topic)
{
    Petrel__Session__Subscribe body = PETREL__SESSION__SUBSCRIBE__INIT;
    body.topic = text_lend(topic);
    append_frame(out, SESSION_SUBSCRIBE, &body.base);
}

void session_encode_topic_unsubscribe(struct bytebuf *out, struct bytes topic)
{
    Petrel__Session__Unsubscribe body = PETREL__SESSION__UNSUBSCRIBE__INIT;
    body.topic = text_lend(topic);
    append_frame(out, SESSION_UNSUBSCRIBE, &body.base);
}

void session_encode_topic_subscribed(struct bytebuf *out, const struct session_subscribed *subscribed)
{
    Petrel__Session__Position position = position_of(subscribed->position);
    Petrel__Session__Subscribed body = PETREL__SESSION__SUBSCRIBED__INIT;
    body.topic = text_lend(subscribed->topic);
    body.position = position_is_none(subscribed->position) ? NULL : &position;
    body.verdict = (Petrel__Session__Verdict)subscribed->verdict;
    body.lost_at_most = subscribed->lost_at_most;
    body.reason = (Petrel__Session__GapReason)subscribed->reason;
    body.refused = subscribed->refused;
    append_frame(out, SESSION_SUBSCRIBED, &body.base);
}
