/* redis_cluster.h: the nodes, and which of them has which slot. A single server is a map with one node. */
#ifndef PETREL_DRIVER_REDIS_CLUSTER_H
#define PETREL_DRIVER_REDIS_CLUSTER_H

#include "driver/redis_private.h"

void redis_cluster_init(struct redis *redis);
/* Let go of all connections; their requests end with CLOSING. */
void redis_cluster_close(struct redis *redis);
void redis_cluster_free(struct redis *redis);

/* The node that has the key; NULL: nobody is known to. */
struct redis_node *redis_cluster_node_of(struct redis *redis, struct bytes key);
/* The node of an address, new if need be; NULL: as many are known as may be. */
struct redis_node *redis_cluster_node_at(struct redis *redis, const struct redis_address *address);
/* The connection of a lane, new if need be; NULL while it rests after a failure. */
struct redis_conn *redis_cluster_conn(struct redis *redis, struct redis_lane *lane);
/* A connection of the lane failed: have it rest, longer each time. */
void redis_cluster_lane_failed(struct redis *redis, struct redis_lane *lane);

/* A node says that a slot is another's: believe it, and look at the whole map again. */
void redis_cluster_moved(struct redis *redis, uint32_t slot, struct redis_node *to);
/* Renew the map as soon as may be, from the hint if it is not NULL; or see whether the single server serves. */
void redis_cluster_refresh(struct redis *redis, struct redis_node *hint);
/* A server was connected to: from now on it is looked at now and then. */
void redis_cluster_look_on(struct redis *redis);
/* What came of redis_conn_ask_view(). */
void redis_cluster_view(struct redis *redis, struct redis_node *from, const struct redis_value *reply);
void redis_cluster_no_view(struct redis *redis);

#endif
