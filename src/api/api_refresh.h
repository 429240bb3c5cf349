/* api_refresh.h: requests with a key that the snapshot does not know wait for the registry to be looked at: another node may have
 * made the key a moment ago. Private to this room.
 *
 * A connection whose request waits takes no others, and keeps it in its reader: a guess costs a stranger as much as it
 * costs the role. All that wait are answered by one look, and looks are kept apart by the registry. */
#ifndef PETREL_API_API_REFRESH_H
#define PETREL_API_API_REFRESH_H

#include "api/api_conn.h"
#include "api/api_error.h"

#define API_REFRESH_WAIT_MS 2000 /* for one look; who came while another was under way waits for two */

void api_refresh_init(struct api_role *role);
/* Have the request that stands in the connection's reader wait, and be judged again (api_conn_go_on). False, with *error set where
 * it is another: no look would help, since one has, or none can be had. */
bool api_refresh_wait(struct api_conn *conn, struct api_exchange *exchange, struct api_error *error);
/* The connection has gone. */
void api_refresh_forget(struct api_conn *conn);

#endif
