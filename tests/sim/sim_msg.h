/* sim_msg.h: a call's message as it travels: a copy that outlives the caller. */
#ifndef PETREL_SIM_SIM_MSG_H
#define PETREL_SIM_SIM_MSG_H

#include "wire/peer.h"

struct sim_msg {
    struct peer_msg msg;
    struct buf *message; /* of what appends or delivers */
    struct buf *entries; /* of a CHECK */
    char text[ROUTE_APP_MAX + ROUTE_USER_MAX + ROUTE_DEVICE_MAX + ROUTE_COLLAPSE_MAX + PEER_TOPIC_CONDITION_MAX];
};

void sim_msg_copy(struct sim_msg *to, const struct peer_msg *from);
void sim_msg_reset(struct sim_msg *msg);
/* Whom a call is about, of those that name a user. */
struct peer_target *sim_msg_target(struct peer_msg *msg);

/* A copy of a reply, with what it points to. */
struct sim_reply {
    struct peer_reply reply;
    struct peer_bound *bound;
    struct peer_page *page;
    struct peer_checked *checked;
    struct peer_topic_page *topic_page;
    struct peer_subscriptions *subscriptions;
};

void sim_reply_copy(struct sim_reply *to, enum peer_type type, const struct peer_reply *from);
void sim_reply_reset(struct sim_reply *reply);

#endif
