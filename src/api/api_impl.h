/* api_impl.h: what is inside a role and a connection. Private to this room. */
#ifndef PETREL_API_API_IMPL_H
#define PETREL_API_API_IMPL_H

#include "api/api_error.h"
#include "api/api_role.h"
#include "base/log.h"
#include "base/map.h"
#include "base/object.h"
#include "base/slab.h"
#include "discovery/lookup.h"
#include "loop/timer.h"
#include "wire/digest.h"
#include "wire/http.h"

#define API_ROLE_MAGIC OBJECT_MAGIC('A', 'R', 'O', 'L')
#define API_CONN_MAGIC OBJECT_MAGIC('A', 'C', 'O', 'N')

/* Largest JSON body that is one object: whitespace and escapes make it larger than the message in it. */
#define API_OBJECT_BYTES_MIN 65536U
#define API_OUTPUT_MAX 262144U     /* unsent bytes of a connection beyond which its requests wait */
#define API_CLOSE_FLUSH_MS 5000U   /* how long a closing connection may take its last answers */
#define API_CONNECTIONS_SPARE 128U /* connections beyond the cap that are told so; more are closed at once */

/* The look at the registry that requests wait for. */
struct api_refresh {
    struct registry_request request;
    struct list waiting; /* connections */
    struct timer timer;
    bool under_way;
};

struct api_role {
    uint32_t magic;
    struct loop *loop;
    struct link *link;
    struct registry *registry;
    struct discovery *discovery;
    const struct metrics *metrics;
    struct metrics_shard *shard;
    struct api_host host;
    struct api_config config; /* its texts are ours */
    uint8_t admin_digest[DIGEST_SHA256_BYTES];
    struct snapshot *snapshot; /* NULL until the first */
    uint64_t snapshots;        /* how many there were */
    struct api_refresh refresh;
    struct listener *listener;
    struct lookup_pacer *pacer;
    struct list conns;
    size_t conns_count;
    size_t exchanges_count; /* alive, also those whose connection has gone */
    size_t held;            /* bytes of requests that are partly read, or kept for their batches */
    struct map strangers;   /* addresses with connections that have not shown a valid key */
    struct slab exchanges;  /* a steady flow of requests allocates neither these nor */
    struct slab states;     /* their handlers' states, where these are not large */
    uint64_t trimmed_ms;
    /* Lent within one call from the loop, so that a request does not allocate them. */
    struct bytebuf segments;
    struct bytebuf message;
    struct bytebuf response;
    bool closing;
    bool finished;
    struct loop_task finish;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* Connections from one address that have not shown a valid key yet. */
struct api_stranger {
    struct map_node node;
    uint8_t address[16];
    uint32_t count;
};

/* The key that the connection's last request showed. */
struct api_auth {
    char text[REGISTRY_KEY_TEXT_MAX];
    size_t len;        /* 0: none */
    uint64_t snapshot; /* which one key points into, as role->snapshots counts */
    const struct snapshot_key *key;
};

struct api_conn {
    uint32_t magic;
    struct api_role *role;
    struct list node;
    struct stream *stream; /* NULL once it is gone */
    struct http_reader *reader;
    struct list exchanges; /* in the order of their requests */
    uint32_t exchanges_count;
    struct bytebuf proxy; /* of a PROXY header that is awaited */
    struct bytebuf rest;  /* bytes that wait until requests may be taken again; reading is paused meanwhile */
    size_t rest_at;
    struct timer timer;
    uint64_t request_began_ms; /* 0: no request is partly read */
    uint64_t idle_since_ms;
    uint64_t written;      /* bytes given to the stream */
    uint64_t taken_before; /* of these, what the peer had taken when the timer last looked */
    uint64_t looked_ms;    /* and when that was */
    size_t partial;        /* bytes of the request that is partly read */
    size_t kept;           /* bytes of batches under way */
    uint32_t retry_ms;     /* while congested: when to look again */
    bool awaits_proxy;     /* a PROXY header, before anything else */
    bool served;           /* a request has come */
    bool last;             /* no request is taken any more */
    bool closing;
    bool parsing;
    bool paused;
    bool ended; /* the peer has shut down its side */
    bool want_continue;
    struct api_stranger *stranger; /* NULL once a valid key was shown */
    struct api_auth auth;
    struct api_exchange *waiting; /* its request stands in the reader until the registry was looked at; or NULL */
    struct list wait_node;
    bool wait_covered; /* the look under way, or the last, is for it */
};

/* Free the role when it is closing and nothing is left of it. */
void api_role_settle(struct api_role *role);
/* Bytes of one JSON object as a body or a line. */
size_t api_role_object_max(const struct api_role *role);
/* 0, or negative with *error set when a body is larger than that. */
int api_role_check_object(const struct api_role *role, struct bytes body, struct api_error *error);

/* The host's word, and the role's own: whether it has read the registry, and does not close. */
void api_health_ask(const struct api_role *role, struct api_health *out);
/* Append ,"warnings":[...]. */
void api_health_put_warnings(struct bytebuf *out, const struct api_health *health);

/* A store of servers is full for a while, as a service is away; a disk of this node's stays full until somebody acts. */
static inline void api_role_refine(const struct api_role *role, struct api_error *error)
{
    if (error->kind == API_ERROR_FULL && role->config.replicas)
        (void)api_error_set(error, API_ERROR_STORE_FULL, NULL, NULL);
}

/* map_key_fn of role->strangers. */
struct bytes api_conn_stranger_key(const struct map_node *node);
/* listener_accept_fn; ctx: the role. */
void api_conn_accept(void *ctx, struct stream *stream);
/* Count bytes that an exchange keeps of its request; negative: gives back. conn may be NULL: its connection has gone. */
void api_conn_keep(struct api_role *role, struct api_conn *conn, int64_t bytes);
/* An exchange of the connection has its answer: write what is due. */
void api_conn_answered(struct api_conn *conn);
/* The look that the waiting request was for is over: judge it again; or answer it with the error. */
void api_conn_go_on(struct api_conn *conn, const struct api_error *error);
/* The peer showed a valid key: it counts as a stranger no more. */
void api_conn_trusted(struct api_conn *conn);
/* The role closes: answer what is under way, then close. */
void api_conn_finish(struct api_conn *conn);

#endif
