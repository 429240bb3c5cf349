/* message_topic.h: calls about topics on their way through their store. Private to this room.
 *
 * An append is told to the nodes that were interested when it was written, each of whose loops has its own followers (PROMISE §9).
 * What changes in a device's subscriptions is told to the device's session, unless that is who asked. Once, and no more: where the
 * notice is lost, or is never sent, that session's next check compares versions (message_check.h). */
#ifndef PETREL_MESSAGE_MESSAGE_TOPIC_H
#define PETREL_MESSAGE_MESSAGE_TOPIC_H

#include "base/metrics.h"
#include "discovery/link.h"
#include "store/store.h"
#include "store/topics.h"
#include "wire/peer_codec.h"

struct message_topic;

struct message_topic_config {
    uint32_t max_inflight;
    struct loop *loop;
    struct link *link;
    struct store *store;
    struct topics *topics; /* NULL: every call is UNSUPPORTED */
    struct metrics_shard *metrics;
    void (*on_idle)(void *ctx); /* nothing is under way any more; inside a callback of a store */
    void *ctx;
};

struct message_topic *message_topic_new(const struct message_topic_config *config);
/* Nothing is under way (asserted). NULL is fine. */
void message_topic_free(struct message_topic *topic);
bool message_topic_idle(const struct message_topic *topic);

/* Whether a call is for here, and its way: it will be answered. */
bool message_topic_is(enum peer_type type);
void message_topic_call(struct message_topic *topic, struct link_call *call);
/* The device is gone: so are its subscriptions, as far as that can be had at the moment. The texts are copied. */
void message_topic_forget(struct message_topic *topic, const struct peer_target *device);

#endif
