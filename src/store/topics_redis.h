/* topics_redis.h: topics in Redis, one server or a Redis Cluster. A topic's log is a stream, with what is known of it beside it, in the slot
 * of the topic's bucket; a device's subscriptions are one key in the slot of its user's. Each operation is one call of a function on
 * one of the two. What the functions do and how things are packed stands in lua/topic.lua and lua/subscription.lua.
 *
 * Clients, loops and closing are as in store_redis.h. How the servers are, the gauges of the store beside it tell, which is on the
 * same ones. */
#ifndef PETREL_STORE_TOPICS_REDIS_H
#define PETREL_STORE_TOPICS_REDIS_H

#include "base/clock.h"
#include "base/metrics.h"
#include "driver/redis.h"
#include "store/topics.h"

struct topics_redis_config {
    struct redis_config redis; /* its texts are copied */
    const struct clock *clock; /* what expires, runs out and is forgotten goes by it, never by Redis's own */
    struct topics_limits limits;
    size_t loops;            /* loop_index() of those that ask is less */
    struct metrics *metrics; /* a loop's index is its shard's; NULL: none */
};

/* Connects to nothing yet. 0, or PETREL_E_INVALID: the seeds (see redis_new()). Any thread. topics_close() does not block; requests under
 * way end with CLOSING. Requests may also end with PETREL_E_BUSY: no node took it, nothing was written. */
int topics_redis_open(struct topics **out, const struct topics_redis_config *config);

/* This loop asks no more. Loop's thread; may be called twice, or when it never asked. */
void topics_redis_leave(struct topics *topics, struct loop *loop);

#endif
