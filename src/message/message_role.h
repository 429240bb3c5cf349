/* message_role.h: the message role: stateless, one object per loop; any of them can serve any user, because each store
 * operation is atomic in the store.
 *
 * It takes calls from the link, asks the stores, answers, and sends the hints that follow: after an append a Deliver (or an
 * advance) to every session found whose process is alive; after a bind or removal an EVICT to the session that lost its place. */
#ifndef PETREL_MESSAGE_MESSAGE_ROLE_H
#define PETREL_MESSAGE_MESSAGE_ROLE_H

#include "base/metrics.h"
#include "discovery/discovery.h"
#include "discovery/link.h"
#include "store/store.h"
#include "store/topics.h"

struct message_role;

struct message_config {
    uint32_t
        max_inflight; /* store operations under way for this loop; beyond: BUSY. Default 16,384; of topics, as many again */
    struct topics *topics; /* NULL: calls about topics are UNSUPPORTED */
    uint32_t
        settle_ms; /* a node that discovery does not list, and no link leads to, is dead after so long. Default 30,000 */
};

/* Registers as the link's message server. */
int message_role_new(struct message_role **out, struct loop *loop, struct link *link, struct store *store,
                     const struct message_config *config, struct metrics_shard *metrics);
/* Tell all session roles the apps and their token keys (records: peer_record_pack_apps(); a reference is taken). */
void message_role_publish_apps(struct message_role *role, uint64_t version, struct buf *records);
/* Who there is: a discovery_watch_fn, with the role as ctx. Routes of processes that are gone get no Deliver and are unbound, soon or by
 * a later append (message_dead.h). On the loop. */
void message_role_view(void *role, struct discovery_view *view);
/* Refuse new calls with CLOSING; when nothing is under way free, then done(ctx). On the loop. */
void message_role_close(struct message_role **role, void (*done)(void *ctx), void *ctx);

#endif
