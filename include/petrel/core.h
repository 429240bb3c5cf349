/* core.h: a device's side of Petrel without sockets, threads or clocks: bytes and time in; bytes, messages and wishes out. On libuv:
 * client.h, which includes this.
 *
 * position   (epoch, seq): how far the application has processed its inbox. Save it when told to; hand it back on start.
 * attempt    a number that grows with each connect of this installation, saved beside the position
 * round      the servers that are tried one after the other, each at once after the one before failed: those that a GOAWAY named,
 *            then those that lookup named, or the one usual address. After a round that failed as a whole there is a wait.
 *
 * For every message: on_message is called, then on_save with the new position, then the ack is sent (batched). An application that
 * must not see a message twice after its own crash stores the message's effect and its position in one transaction, in on_message:
 * petrel_core_state() already holds there what having the message means.
 *
 * From inside a callback disconnect, pause and state may be called. One thread: the caller's. Nothing here is global. */
#ifndef PETREL_CORE_H
#define PETREL_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#define PETREL_RECENT_IDS 256 /* message ids remembered against duplicates */
#define PETREL_TOPICS 65      /* topics that a device follows, at most: 64 that it is subscribed to, and "all" */
#define PETREL_TOPIC_NAME 64  /* bytes of a topic's name */
/* How far the app has processed a topic. */
struct petrel_topic {
    char name[PETREL_TOPIC_NAME + 1];
    uint64_t epoch;
    uint64_t seq;
};

/* What an installation keeps between runs. All zero: never connected. */
struct petrel_state {
    uint64_t epoch;
    uint64_t seq;
    uint64_t attempt;
    uint32_t recent_count; /* ids in recent[], oldest first */
    uint8_t recent[PETREL_RECENT_IDS][16];
    uint32_t topics_count;
    struct petrel_topic topics[PETREL_TOPICS];
};

struct petrel_message {
    uint8_t id[16];      /* a UUID */
    bool is_json;        /* body is the sender's `data` as JSON text; else its `payload` bytes */
    const uint8_t *body; /* not NUL-terminated; valid until the callback returns */
    size_t body_len;
    uint64_t epoch; /* the position that having this message means */
    uint64_t seq;
    uint64_t sent_ms;         /* UTC */
    uint64_t expires_ms;      /* UTC */
    const char *collapse_key; /* "" when there is none */
    const char *topic;        /* the one it was sent to; "" for the user's own messages */
    bool high;
    bool late; /* came through after the loss of a region */
};

enum petrel_gap_reason { PETREL_GAP_CAP = 1, PETREL_GAP_ROLLBACK = 2, PETREL_GAP_LAPSED = 3, PETREL_GAP_TRIMMED = 4 };
struct petrel_gap {
    uint64_t lost_at_most; /* messages that will not come */
    enum petrel_gap_reason reason;
    const char *topic; /* whose; "" for the user's own messages */
};
enum petrel_verdict { PETREL_NEW = 1, PETREL_RESUMED = 2, PETREL_GAP = 3 };
struct petrel_callbacks {
    /* A message, once, in order. Required. */
    void (*on_message)(void *ctx, const struct petrel_message *message);
    /* Save this before returning; called after on_message, once per batch of arrivals, before the ack goes out, after
     * on_connected, and before each connect (the attempt). May be NULL. */
    void (*on_save)(void *ctx, const struct petrel_state *state);
    /* The server dropped messages for good. Called before the next on_message. May be NULL. */
    void (*on_gap)(void *ctx, const struct petrel_gap *gap);
    /* The session is up. May be NULL. */
    void (*on_connected)(void *ctx, enum petrel_verdict verdict);
    /* The session ended or could not begin. code: the server's (3000-3999), or 0 for a lost or refused connection; text for
     * people; retry_ms: when the next try is made (0: at once, at another server; a slot that lookup gives comes on top), or -1: never
     * by itself (3500-3999). May be NULL. */
    void (*on_disconnected)(void *ctx, uint32_t code, const char *text, int64_t retry_ms);
    /* The device follows the topic from here on, or does not: because it asked, or a backend did; every device follows "all". code: 0, or
     * why what was asked is refused (3000-3999). Order holds within a topic only. May be NULL. */
    void (*on_topic)(void *ctx, const char *topic, bool follows, uint32_t code);
};

struct petrel_core;
struct petrel_core_config {
    const struct petrel_callbacks *callbacks; /* copied */
    void *ctx;
    const char *client;    /* name and version, for the server's logs; NULL: "libpetrel/<version>" */
    uint32_t heartbeat_s;  /* wished for; 0: the server's choice */
    uint32_t ack_delay_ms; /* acks are batched for so long, or 16 messages; 0: 200 */
    bool topics;           /* take messages to topics; else none is sent */
    bool lookup;           /* servers are found by lookup, see petrel_core_next(); petrel_client sets it */
    bool fresh_tokens;     /* TOKEN_INVALID (3505) is tried again: there will be another token; petrel_client sets it */
    uint64_t seed;         /* of the jitter: random, or all clients come back at once; 0: petrel_client draws one */
};

/* NULL when memory is out. state is copied; NULL: a new installation. */
struct petrel_core *petrel_core_new(const struct petrel_core_config *config, const struct petrel_state *state);
void petrel_core_free(struct petrel_core **core);

/* The only connection is up: queues CONNECT with the token, calls on_save (the attempt has grown). 0; -1: over 4,096 bytes. */
int petrel_core_connected(struct petrel_core *core, uint64_t now_ms, const char *token);
/* Bytes came. 0, or -1: this connection must be closed and petrel_core_lost() called. Calls back. */
int petrel_core_receive(struct petrel_core *core, uint64_t now_ms, const uint8_t *bytes, size_t len);
/* Bytes to send: *bytes is valid until the next call on the core. Returns the length; then report what was sent. */
size_t petrel_core_output(struct petrel_core *core, const uint8_t **bytes);
void petrel_core_sent(struct petrel_core *core, size_t len);
/* Time passed: may queue a PING or an ACK. 0, or -1: the server is silent, close the connection and call petrel_core_lost(). */
int petrel_core_tick(struct petrel_core *core, uint64_t now_ms);
/* When to call petrel_core_tick() next, on now_ms's clock; UINT64_MAX: not before something comes. */
uint64_t petrel_core_deadline(const struct petrel_core *core);
/* The connection is gone, or could not be made. Calls on_disconnected. Returns ms to wait before petrel_core_next(), which is 0 while
 * the round has more servers to try; -1: never. */
int64_t petrel_core_lost(struct petrel_core *core, uint64_t now_ms);
/* Say goodbye: queues the last ACK and DISCONNECT (from inside a callback: at the end of the batch); nothing more is accepted.
 * sign_out gives up the route as well. Send the output, close, call petrel_core_lost() or free. */
void petrel_core_disconnect(struct petrel_core *core, bool sign_out);
/* Follow a topic, or no longer: queues SUBSCRIBE or UNSUBSCRIBE; on_topic tells what became of it. It holds until it is changed, whatever
 * becomes of the connection. 0; -1: the session is not up, or config.topics is off, or that is no name: 1 to 64 of A-Z a-z 0-9 . _ : - */
int petrel_core_topic(struct petrel_core *core, const char *topic, bool follow);
/* The caller stops reading for the moment, or goes on: meanwhile the server's silence is no sign. */
void petrel_core_pause(struct petrel_core *core, uint64_t now_ms, bool paused);
const struct petrel_state *petrel_core_state(const struct petrel_core *core);

/* Where to connect, when there is no connection and the wait is over. */
struct petrel_next {
    const char *
        address; /* "host:port", IPv6 in brackets; valid until the next call on the core. NULL: the usual address; with lookup:
                           * ask one lookup server after the other, then petrel_core_servers() or petrel_core_unanswered() */
    uint32_t patience_ms; /* give up the connect, or each lookup server, after this: there are others to try */
};
void petrel_core_next(struct petrel_core *core, uint64_t now_ms, struct petrel_next *next);
/* The body of a lookup server's 200 to `GET /v1/lookup`. Returns ms to wait before petrel_core_next(): a slot, which spreads storms. -1:
 * it is no such answer. */
int64_t petrel_core_servers(struct petrel_core *core, uint64_t now_ms, const char *json, size_t len);
/* No lookup server answered. 0: go on with petrel_core_next(), an older answer serves. -1: there is none, call petrel_core_lost(). */
int petrel_core_unanswered(struct petrel_core *core);

/* Pack a state for a file and back. pack returns the bytes written, at most PETREL_STATE_BYTES. unpack: 0, or -1: no such thing. */
#define PETREL_STATE_BYTES (48 + 16 * PETREL_RECENT_IDS + 80 * PETREL_TOPICS)
size_t petrel_state_pack(const struct petrel_state *state, uint8_t *out);
int petrel_state_unpack(const uint8_t *bytes, size_t len, struct petrel_state *state);
const char *petrel_version(void);

#ifdef __cplusplus
}
#endif
#endif
