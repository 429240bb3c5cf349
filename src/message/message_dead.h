/* message_dead.h: routes of processes that are gone (PROMISE §3): how they are known, and how the store is rid of them. Private to this
 * room.
 *
 * dead    a newer process of the route's node is known, by discovery or by its hello; or discovery, which answers, lists no such node and
 *         no link to that loop stands, and that has been so for long enough that everyone alive had time to be listed and to call
 * burial  asking the store for a user's routes and unbinding those that are dead; harmless if one was replaced meanwhile, because a
 *         route is unbound as a whole
 *
 * The death of a node leaves as many dead routes as it had sessions, and appends meet them: burials are few at a time and cost a fraction
 * of what appends do. Those put off are met again by the next append. They are met by who looks at a user's devices as well, and
 * suspected where a user has no room for another device: one that is bound does not lapse. */
#ifndef PETREL_MESSAGE_MESSAGE_DEAD_H
#define PETREL_MESSAGE_MESSAGE_DEAD_H

#include "base/metrics.h"
#include "discovery/discovery.h"
#include "discovery/link.h"
#include "store/store.h"

#define MESSAGE_DEAD_BURIALS 8 /* under way, of one loop */
#define MESSAGE_DEAD_COST 8    /* appends for each burial, */
#define MESSAGE_DEAD_SAVED 64  /* saved up for at most so many burials */

struct message_dead;

struct message_dead_config {
    uint32_t settle_ms; /* what is long enough */
    struct loop *loop;
    struct link *link;
    struct store *store;
    struct metrics_shard *metrics;
    void (*on_idle)(void *ctx); /* no burial is under way any more; inside a callback of the store */
    void *ctx;
};

struct message_dead *message_dead_new(const struct message_dead_config *config);
/* No burial is under way (asserted). NULL is fine. */
void message_dead_free(struct message_dead *dead);
/* Begin no burial from here on. */
void message_dead_close(struct message_dead *dead);
bool message_dead_idle(const struct message_dead *dead);

/* Who there is: copied. */
void message_dead_view(struct message_dead *dead, const struct discovery_view *view);
bool message_dead_is(const struct message_dead *dead, const struct route *route);
/* An append was answered, and pays for burials. */
void message_dead_appended(struct message_dead *dead);
/* That user has a dead route, or may have. Begins a burial, unless the user has one, or too many are under way or were begun for the
 * appends there were. */
void message_dead_met(struct message_dead *dead, const struct peer_target *target);

#endif
