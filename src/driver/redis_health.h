/* redis_health.h: what operators are told of the servers: whether one is reached at all, and whether they may forget.
 *
 * down     a connection failed, and no server has served since its own last failure. While it is so the servers are tried again by
 *          themselves: somebody may wait for them before there are requests again
 * unsafe   a server without append-only file, or one that evicts keys when its memory is full (PROMISE §5) */
#ifndef PETREL_DRIVER_REDIS_HEALTH_H
#define PETREL_DRIVER_REDIS_HEALTH_H

#include "driver/redis_private.h"

/* A connection of the lane failed, or was answered by a server that serves. */
void redis_health_failed(struct redis *redis, struct redis_lane *lane);
void redis_health_served(struct redis *redis, struct redis_lane *lane);
/* The reply to INFO persistence memory; one that can't be read (a right is missing) says nothing. */
void redis_health_info(struct redis *redis, struct redis_node *node, const struct redis_value *reply);
/* The node is about to be freed, and so is the client. */
void redis_health_forget(struct redis *redis, struct redis_node *node);
void redis_health_end(struct redis *redis);

#endif
