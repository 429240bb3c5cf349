/* api_limits.h: how many requests a second an app, and each of its keys, may make of this node. Private to this room.
 *
 * A node knows its own share only: what an app may do on the whole is the sum over the nodes that it asks. Operators are not limited. */
#ifndef PETREL_API_API_LIMITS_H
#define PETREL_API_API_LIMITS_H

#include "api/api_error.h"
#include "api/api_impl.h"

/* What applies to the app, or to each of its keys: its own limit, else the configured one. */
struct rate_limit api_limits_of_app(const struct api_role *role, const struct snapshot_app *app);
struct rate_limit api_limits_of_key(const struct api_role *role, const struct snapshot_app *app);

/* One request, or one line of a batch, that the key asks for; NULL: the admin token. snapshot: which app and key are of. 0, or negative
 * with *error TOO_MANY_REQUESTS and the time to wait. */
int api_limits_take(struct api_role *role, const struct snapshot *snapshot, const struct snapshot_app *app,
                    const struct snapshot_key *key, struct api_error *error);

#endif
