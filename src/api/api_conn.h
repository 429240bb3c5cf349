/* api_conn.h: one connection of a backend, over HTTP/1.1 or HTTP/2. Private to this room.
 *
 * speech   what the peer speaks: how requests are read from bytes and answers written. Which one, its first bytes tell
 * to stand  the request that a handler is shown stands in the speech's memory until it is done with: as a rule when the
 *           handler returns, or when the registry has been looked at (api_refresh.h). One at a time
 *
 * What does not depend on the speech is here: strangers, deadlines, back-pressure, closing. */
#ifndef PETREL_API_API_CONN_H
#define PETREL_API_API_CONN_H

#include "api/api_impl.h"
#include "wire/http.h"
#include "wire/http2.h"

#define API_CONN_MAGIC OBJECT_MAGIC('A', 'C', 'O', 'N')

#define API_OUTPUT_MAX 262144U     /* unsent bytes of a connection beyond which its requests wait */
#define API_CLOSE_FLUSH_MS 5000U   /* how long a closing connection may take its last answers */
#define API_CONNECTIONS_SPARE 128U /* connections beyond the cap that are told so; more are closed at once */

struct api_exchange;

/* Connections from one address that have not shown a valid key yet. */
struct api_stranger {
    struct map_node node;
    uint64_t owner; /* of their address */
    uint32_t count;
};

/* The key that the connection's last request showed. */
struct api_auth {
    char text[REGISTRY_KEY_TEXT_MAX];
    size_t len;        /* 0: none */
    uint64_t snapshot; /* which one key points into, as role->snapshots counts */
    const struct snapshot_key *key;
};

/* Who is at the other end of a Unix socket. */
struct api_operator {
    bool trusted; /* needs no token */
    uint32_t uid;
};

struct api_speech {
    /* Bytes came. */
    void (*hear)(struct api_conn *conn, struct bytes data);
    /* There may be room again: take requests that wait, write what waits. */
    void (*resume)(struct api_conn *conn);
    /* This exchange has its answer: write what is due, and free what was written. */
    void (*answer)(struct api_conn *conn, struct api_exchange *exchange);
    /* The request that stands; NULL when the peer has taken it back. */
    const struct http_request *(*request)(const struct api_conn *conn);
    /* Done with it. */
    void (*done)(struct api_conn *conn);
    /* Whether reading is to pause. */
    bool (*must_wait)(const struct api_conn *conn);
    /* Nothing is under way, and nothing half said. */
    bool (*is_quiet)(const struct api_conn *conn);
    /* The peer says nothing more, and has all its answers: close. */
    bool (*is_over)(const struct api_conn *conn);
    /* When the peer will be late with what it has begun; 0: it has begun nothing. */
    uint64_t (*due_ms)(const struct api_conn *conn);
    /* It is late. */
    void (*expire)(struct api_conn *conn);
    /* Reading begins again after a pause. */
    void (*excuse)(struct api_conn *conn);
    /* Take no more requests; answers of those that are under way follow. */
    void (*finish)(struct api_conn *conn);
    void (*free)(struct api_conn *conn);
};

struct api_http1 {
    struct http_reader *reader;
    struct bytebuf rest; /* bytes that wait until requests may be taken again; reading is paused meanwhile */
    size_t rest_at;
    uint64_t began_ms; /* 0: no request is partly read */
    bool want_continue;
};

struct api_conn {
    uint32_t magic;
    struct api_role *role;
    struct list node;
    struct stream *stream; /* NULL once it is gone */
    bool awaits_proxy;     /* a PROXY header, before anything else */
    struct bytebuf proxy;  /* of it */
    const struct api_speech *speech;
    bool knows_tls;    /* the first byte has told whether it is spoken */
    bool knows_speech; /* the first bytes have told it */
    uint8_t preface;   /* bytes of HTTP/2's preface that have come */
    struct api_http1 http1;
    struct http2 *http2;   /* NULL: it speaks HTTP/1.1 */
    struct list exchanges; /* in the order of their requests */
    uint32_t exchanges_count;
    struct timer timer;
    uint64_t idle_since_ms;
    uint64_t written;      /* bytes given to the stream */
    uint64_t taken_before; /* of these, what the peer had taken when the timer last looked */
    uint64_t looked_ms;    /* and when that was */
    size_t partial;        /* bytes of requests that are partly read, or wait */
    size_t kept;           /* bytes of batches under way */
    uint32_t retry_ms;     /* while congested: when to look again */
    bool served;           /* a request has come */
    bool last;             /* no request is taken any more */
    bool closing;
    bool parsing;
    bool paused;
    bool ended;                    /* the peer has shut down its side */
    struct api_stranger *stranger; /* NULL once a valid key was shown */
    struct api_operator operator;
    struct api_auth auth;
    struct api_exchange *waiting; /* its request stands until the registry was looked at; or NULL */
    struct list wait_node;
    bool wait_covered; /* the look under way, or the last, is for it */
};

/* map_key_fn of role->strangers. */
struct bytes api_conn_stranger_key(const struct map_node *node);
/* listener_accept_fn; ctx: the role. */
void api_conn_accept(void *ctx, struct stream *stream);
/* Count bytes that an exchange keeps of its request; negative: gives back. conn may be NULL: its connection has gone. */
void api_conn_keep(struct api_role *role, struct api_conn *conn, int64_t bytes);
/* The exchange has its answer, which goes out as the connection's order allows. */
void api_conn_answered(struct api_conn *conn, struct api_exchange *exchange);
/* Whether somebody waits for the exchange's answer. */
bool api_conn_wants(const struct api_exchange *exchange);
/* The look that the waiting request was for is over: judge it again; or answer it with the error. */
void api_conn_go_on(struct api_conn *conn, const struct api_error *error);
/* The peer showed a valid key: it counts as a stranger no more. */
void api_conn_trusted(struct api_conn *conn);
/* The role closes: answer what is under way, then close. */
void api_conn_finish(struct api_conn *conn);

/* For speeches. */
extern const struct api_speech api_http1_speech;
extern const struct api_speech api_http2_speech;
void api_http1_open(struct api_conn *conn);
void api_http2_open(struct api_conn *conn);
void api_conn_set_partial(struct api_conn *conn, size_t bytes);
/* Whether the role holds more than it may. */
bool api_conn_holds_too_much(const struct api_conn *conn);
void api_conn_write(struct api_conn *conn, struct bytes data);
/* The request that stands: judge it, and have it handled. An HTTP/1.1's has stream 0. */
void api_conn_dispatch(struct api_conn *conn, const struct http_request *request, uint32_t stream);
/* Close, or read on or not, as the speech says now. */
void api_conn_settle(struct api_conn *conn);

#endif
