/* redis_private.h: what the files of the Redis client share. Not for other rooms.
 *
 * lane     a way to a node: plain, or for replicated requests; has at most one connection at a time, and a backoff between them
 * parked   a request that waits a fixed time before it is tried again
 *
 * Files, in the order to read them: redis.c (a request's life), redis_cluster.c (nodes, the slot map), redis_conn.c (a connection), redis_asked.c,
 * redis_batch.c (replicated requests), redis_health.c, redis_tls.c, redis_slots.c, redis_verdict.c, redis_codec.c, redis_script.c. */
#ifndef PETREL_DRIVER_REDIS_PRIVATE_H
#define PETREL_DRIVER_REDIS_PRIVATE_H

#include "base/object.h"
#include "driver/redis_script.h"
#include "driver/redis_slots.h"
#include "driver/redis_verdict.h"
#include "loop/timer.h"

struct redis_conn;

enum redis_lane_kind { REDIS_LANE_PLAIN, REDIS_LANE_REPLICATED, REDIS_LANES };

struct redis_lane {
    struct redis_node *node;
    enum redis_lane_kind kind;
    struct redis_conn *conn; /* NULL: none */
    bool served;             /* since it last failed */
    uint32_t failures;       /* since it last answered */
    bool refusal_told;       /* since then: see redis_tls_why() */
    uint64_t retry_ms;       /* no connection before */
};

struct redis_node {
    struct redis_address address;
    uint16_t index;            /* in nodes */
    bool seed;                 /* configured: kept for ever */
    bool known;                /* in the last view of the cluster */
    bool has_slots;            /* in that view; a master that was deposed while it was away is shown as one without */
    bool is_unsafe;            /* see redis_health.h */
    int replicas;              /* that WAIT has to count; -1: not known yet */
    uint64_t doubted_until_ms; /* of the loop: not asked for the map before, where others can be */
    struct redis_lane lanes[REDIS_LANES];
};

enum redis_park { REDIS_PARK_SOON, REDIS_PARK_LATER, REDIS_PARKS };

struct redis_parking {
    struct timer timer;
    struct list requests; /* by due_ms */
    struct redis *redis;
    uint32_t delay_ms;
};

/* The slot map, or one server. refresh_* is how the map is renewed, and the server looked after: at most one question under way, some
 * time between two. */
struct redis_map {
    size_t nodes_count; /* places in use or freed */
    struct redis_node *nodes[REDIS_NODES_MAX];
    uint16_t slots[REDIS_SLOTS]; /* index of the master, or REDIS_NODE_NONE */
    struct timer refresh_timer;
    struct redis_node *refresh_hint; /* to ask first; may be NULL */
    bool refreshing;
    bool refresh_again;
    uint64_t refreshed_ms; /* when the last question was asked */
    uint64_t views;        /* had so far */
    size_t cursor;         /* whom to ask next */
};

#define REDIS_NODE_NONE UINT16_MAX

struct redis {
    uint32_t magic;
    bool closing;
    struct loop *loop;
    struct metrics_shard *metrics;
    struct redis_config config; /* defaults filled in; username and password are owned */
    size_t scripts_count;
    struct redis_script *scripts[REDIS_SCRIPTS_MAX];
    size_t texts_count;
    struct redis_text *texts[REDIS_SCRIPTS_MAX];
    struct redis_map map;
    bool down; /* see redis_health.h */
    struct redis_parking parkings[REDIS_PARKS];
    size_t inflight;
    size_t conns;       /* not yet gone */
    struct list failed; /* to be told by fail_task */
    struct loop_task fail_task;
    struct loop_task watch_task;
    struct loop_task close_task;
    redis_change_fn *on_change;
    bool is_lost; /* to be told with it */
    void *on_change_ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

#define REDIS_CLIENT_MAGIC OBJECT_MAGIC('r', 'd', 'i', 's')

/* Find the request's node and hand it over, park it, or fail it. Never calls back. */
void redis_route(struct redis *redis, struct redis_request *request);
/* Try again after a while. */
void redis_park(struct redis *redis, struct redis_request *request, enum redis_park where);
/* A node refused it without having acted. */
void redis_refused(struct redis *redis, struct redis_node *node, struct redis_request *request,
                   enum redis_verdict verdict, const struct redis_value *reply);
/* Its connection is gone. It goes on where that is safe, else ends with status. */
void redis_dropped(struct redis *redis, struct redis_request *request, int status);
/* Call back now: the reply is borrowed for as long. */
void redis_answer(struct redis *redis, struct redis_request *request, const struct redis_value *reply);
/* Call back later in this turn. */
void redis_fail(struct redis *redis, struct redis_request *request, int status);
/* Have on_change called later in this turn. */
void redis_changed(struct redis *redis, bool is_lost);
/* A connection's memory is about to be freed. */
void redis_conn_gone(struct redis *redis);

#endif
