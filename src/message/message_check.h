/* message_check.h: checks on their way through both stores. Private to this room.
 *
 * A session believes something of two places: of its user's inbox, and of which version its device's subscriptions are. They need not
 * lie in one store, nor is it one step in which they are compared: each is compared by itself, and the answers are laid side by side. */
#ifndef PETREL_MESSAGE_MESSAGE_CHECK_H
#define PETREL_MESSAGE_MESSAGE_CHECK_H

#include "discovery/link.h"
#include "store/store.h"
#include "store/topics.h"

struct message_check;

struct message_check_config {
    uint32_t max_inflight;
    struct loop *loop;
    struct store *store;
    struct topics *topics;      /* NULL: subscriptions are not compared */
    void (*on_idle)(void *ctx); /* nothing is under way any more; inside a callback of a store */
    void *ctx;
};

struct message_check *message_check_new(const struct message_check_config *config);
/* Nothing is under way (asserted). NULL is fine. */
void message_check_free(struct message_check *check);
bool message_check_idle(const struct message_check *check);

/* A CHECK: it will be answered. */
void message_check_call(struct message_check *check, struct link_call *call);

#endif
