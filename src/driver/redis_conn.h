/* redis_conn.h: one connection to a node: its handshake, its pipeline, its deadline.
 *
 * Made for a lane; serves until it breaks, once. Then the lane is without, every request is handed back to the client, and nothing
 * that still arrives is looked at.
 *
 * handshake  AUTH where there is a password, then ROLE: a server that is stopped accepts connections and answers none, and what was
 *            written to it would act when it wakes; so nothing is written to who has not answered
 * batch      on a replicated lane: requests and one WAIT after them; the next batch is written when that has been answered */
#ifndef PETREL_DRIVER_REDIS_CONN_H
#define PETREL_DRIVER_REDIS_CONN_H

#include "driver/redis_private.h"

/* NULL when the kernel refused at once; or a connection that the lane now has. */
struct redis_conn *redis_conn_open(struct redis *redis, struct redis_lane *lane);
/* Take a request. Never calls back from inside. */
void redis_conn_submit(struct redis_conn *conn, struct redis_request *request);
/* Ask for CLUSTER SHARDS, or a single server for PING; redis_cluster_view() or redis_cluster_no_view() follows. */
void redis_conn_ask_view(struct redis_conn *conn);
/* Whether nothing waits for it. */
bool redis_conn_is_idle(const struct redis_conn *conn);
/* Let it go; its requests are handed back with status. */
void redis_conn_close(struct redis_conn *conn, int status);

#endif
