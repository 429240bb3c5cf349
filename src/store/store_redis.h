/* store_redis.h: the store in Redis, one server or a Redis Cluster: each operation one script on one key (PROMISE §8), so any number
 * of nodes may serve the same users.
 *
 * A client of Redis belongs to a loop. The store makes one when a loop first asks, in a place that only this loop touches: requests
 * of different loops never meet but in Redis. What the scripts do and how a record is packed stands in lua/record.lua. */
#ifndef PETREL_STORE_STORE_REDIS_H
#define PETREL_STORE_STORE_REDIS_H

#include "base/clock.h"
#include "base/metrics.h"
#include "driver/redis.h"
#include "store/store.h"

struct store_redis_config {
    struct redis_config redis; /* its texts are copied */
    const struct clock *clock; /* what expires, lapses and is forgotten goes by it, never by Redis's own */
    struct store_limits limits;
    size_t loops;            /* loop_index() of those that ask is less */
    struct metrics *metrics; /* a loop's index is its shard's; NULL: none */
};

/* Connects to nothing yet: Redis may come later. 0, or PETREL_E_INVALID: the seeds (see redis_new()). Any thread.
 *
 * store_close() does not block: clients close on their loops, which must run until then (loop_run() does not return before), and
 * requests under way end with CLOSING. Loops that end before the store is closed are left first. Requests may also end with
 * PETREL_E_BUSY: no node took it, nothing was written. */
int store_redis_open(struct store **out, const struct store_redis_config *config);

/* Tell ctx on this loop whenever Redis may have forgotten something: a master was replaced, or a connection to one broke. Loop's thread,
 * before its first request or after; NULL: nobody. */
void store_redis_watch(struct store *store, struct loop *loop, void (*on_lost)(void *ctx), void *ctx);

/* This loop asks no more: close its client, so that loop_run() can return. Loop's thread; may be called twice, or when it never asked. */
void store_redis_leave(struct store *store, struct loop *loop);

#endif
