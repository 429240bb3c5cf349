/* topics_node.h: a node with topics: backends that publish and change subscriptions, devices that follow, and a store of topics in whose
 * place another can be put. Everything on the test's thread. */
#ifndef PETREL_TESTS_UNIT_TOPICS_NODE_H
#define PETREL_TESTS_UNIT_TOPICS_NODE_H

#include "unit/node_rig.h"

#include <stdatomic.h>

/* A store of topics in whose place another can be put: one that forgot. It can hold an answer back. */
struct topics_node_swap {
    struct topics base;
    _Atomic(struct topics *) inside;
    atomic_uint fetches;           /* so far */
    atomic_bool holds;             /* the next fetch */
    struct topics_request *held;   /* it, which waits */
    struct topics_request instead; /* what is asked in its place */
    struct loops_tally held_count;
};

struct topics_node {
    struct node_rig rig;
    struct tmpdir dir; /* of the topics' files */
    char topics_path[TMPDIR_PATH_MAX + 16];
    struct topics_node_swap topics;
};

void topics_node_open(struct topics_node *node, uint32_t cap);
/* check_interval_s 0: the default, minutes. */
void topics_node_open_with(struct topics_node *node, uint32_t cap, uint32_t check_interval_s);
void topics_node_close(struct topics_node *node);
/* Put another store of topics in the place of the one that was shut. */
void topics_node_topics_open(struct topics_node *node, const char *path, uint32_t cap, bool restored);
void topics_node_topics_shut(struct topics_node *node);
/* The next fetch is answered when it is released, as it was answered when it was asked: that nothing is there. */
void topics_node_hold_fetch(struct topics_node *node);
void topics_node_await_held(struct topics_node *node);
void topics_node_release_held(struct topics_node *node);
/* The first loop is told that hints may be lost. */
void topics_node_lose_hints(struct topics_node *node);

/* condition NULL: for all followers; rate 0: at once. */
struct position topics_node_publish_text(struct topics_node *node, const char *topic, const char *condition,
                                         uint32_t rate, const char *text);
/* A backend's SUBSCRIBE or UNSUBSCRIBE: its status. */
int topics_node_change(struct topics_node *node, enum peer_type type, const char *device, const char *topic);
/* The same for "phone", of which nobody tells the session: whoever wrote it was gone before the notice. */
void topics_node_write_untold(struct topics_node *node, enum topics_op op, const char *topic, struct position from);

void topics_node_write_frame(struct client *client, struct bytebuf *frame);
/* With these positions; and CONNECTED is taken. */
void topics_node_connect_at(struct topics_node *node, size_t loop, struct client *client, const char *device,
                            uint64_t attempt, const struct session_topic_position *topics, uint32_t count);
/* A device that has never been here: it follows `all` from where that is. */
struct position topics_node_connect_anew(struct topics_node *node, size_t loop, struct client *client,
                                         const char *device);
struct position topics_node_take_subscribed(struct client *client, const char *topic);
struct position topics_node_take_push(struct client *client, const char *topic, const char *text);
struct position topics_node_subscribe(struct client *client, const char *topic);
void topics_node_leave(struct client *client);

#endif
