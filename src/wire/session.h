/* session.h: the session protocol's messages as C structs, and their bytes. proto/README.md is the specification.
 *
 * Decoding borrows: text and bytes in a struct point into the frame's body. Encoding appends whole frames (header and body)
 * to a bytebuf that the caller keeps and reuses, or makes a buf to share. Sans-I/O; any thread, with one codec each.
 *
 * To add a frame: its number in session.proto, its struct and its functions here, its row in session_decode.c's table,
 * an example in proto/README.md, a seed in tests/fuzz/corpus/fuzz_session. */
#ifndef PETREL_WIRE_SESSION_H
#define PETREL_WIRE_SESSION_H

#include "wire/frame.h"
#include "wire/session_code.h"
#include "wire/session_message.h"
#include "wire/session_topic.h"

#define SESSION_PROTOCOL_VERSION 1
#define SESSION_TOKEN_MAX 4096
#define SESSION_CLIENT_MAX 64
#define SESSION_NODE_MAX 255
#define SESSION_TARGET_MAX 261 /* a host name of 255, ':', a port */
#define SESSION_ERROR_TEXT_MAX 512

enum session_type {
    SESSION_CONNECT = 1,
    SESSION_PING = 2,
    SESSION_ACK = 3,
    SESSION_SUBSCRIBE = 4,
    SESSION_UNSUBSCRIBE = 5,
    SESSION_EVENT = 6,
    SESSION_DISCONNECT = 7,
    SESSION_CONNECTED = 65,
    SESSION_PONG = 66,
    SESSION_PUSH = 67,
    SESSION_GAP = 68,
    SESSION_SUBSCRIBED = 69,
    SESSION_GOAWAY = 70,
    SESSION_ERROR = 71,
    SESSION_EVENT_ACK = 72,
};

struct session_connect {
    uint32_t version;
    struct bytes token;
    uint64_t attempt;         /* 1 .. 2^63-1 */
    struct position position; /* none: {0, 0} */
    struct bytes client;
    uint32_t heartbeat_s;
    bool takes_topics;
    uint32_t topics_count;
    const struct session_topic_position *topics; /* decoded: in the codec */
};

struct session_connected {
    enum session_verdict verdict;
    struct position position;
    uint64_t lost_at_most;
    enum session_gap_reason reason;
    uint32_t heartbeat_s;
    uint32_t max_frame_bytes;
    uint64_t server_time_ms;
    struct bytes node;
};

struct session_push {
    uint32_t log;
    struct position position;
    uint64_t prev;
    struct bytes topic;
    struct session_message message; /* when decoding */
};

struct session_gap {
    uint32_t log;
    uint64_t from;
    struct position to;
    uint64_t lost_at_most;
    enum session_gap_reason reason;
    struct bytes topic;
};

#define SESSION_TARGETS_MAX 5
struct session_goaway {
    uint32_t code;
    uint32_t deadline_ms;
    uint32_t spread_ms;
    uint32_t backoff_ms;
    size_t targets_count;
    struct bytes targets[SESSION_TARGETS_MAX];
};

struct session_error {
    uint32_t code;
    struct bytes message;
    uint32_t backoff_ms;
};

/* One decoded frame. */
struct session_frame {
    enum session_type type;
    union {
        struct session_connect connect;
        uint64_t echo; /* PING, PONG */
        struct position ack;
        uint32_t disconnect_reason;
        struct session_connected connected;
        struct session_push push;
        struct session_gap gap;
        struct bytes topic; /* SUBSCRIBE, UNSUBSCRIBE */
        struct session_subscribed subscribed;
        struct session_goaway goaway;
        struct session_error error;
    };
};

/* The arena that unpacking uses instead of malloc. One per loop; decoded structs borrow from it until the next decode. */
struct session_codec;
struct session_codec *session_codec_new(void);
void session_codec_free(struct session_codec **codec);

/* 0, with *out borrowing from the codec; PETREL_E_UNSUPPORTED: a type that is reserved; PETREL_E_NOT_FOUND: no such type;
 * PETREL_E_PROTOCOL: the body is no such message, a text is not UTF-8 or over its limit, an id is not 16 bytes, a number is
 * out of its range, a part is missing that the frame means nothing without, or it holds hundreds of unknown fields. */
int session_decode(struct session_codec *codec, const struct frame *frame, struct session_frame *out);

/* Append the whole frame. The push's message comes as bytes from session_encode_message(), as stored. An error's message is
 * cut at SESSION_ERROR_TEXT_MAX; other limits are the caller's to keep. */
void session_encode_connect(struct bytebuf *out, const struct session_connect *connect);
void session_encode_ping(struct bytebuf *out, uint64_t echo);
void session_encode_ack(struct bytebuf *out, struct position at);
void session_encode_disconnect(struct bytebuf *out, uint32_t reason);
void session_encode_connected(struct bytebuf *out, const struct session_connected *connected);
void session_encode_pong(struct bytebuf *out, uint64_t echo);
void session_encode_push(struct bytebuf *out, uint32_t log, struct position at, uint64_t prev, struct bytes message);
void session_encode_gap(struct bytebuf *out, const struct session_gap *gap);
void session_encode_goaway(struct bytebuf *out, const struct session_goaway *goaway);
void session_encode_error(struct bytebuf *out, uint32_t code, const char *message, uint32_t backoff_ms);

#endif
