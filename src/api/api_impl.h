/* api_impl.h: what is inside a role. Private to this room. */
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

#define API_ROLE_MAGIC OBJECT_MAGIC('A', 'R', 'O', 'L')

/* Largest JSON body that is one object: whitespace and escapes make it larger than the message in it. */
#define API_OBJECT_BYTES_MIN 65536U

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
    struct listener *local; /* of the Unix socket */
    struct tls_server *tls; /* NULL: none is spoken */
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

struct api_conn; /* api_conn.h */

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

#endif
