/* discovery_zookeeper_roster.h: the other nodes, as ZooKeeper lists them and as they are believed (PROMISE §11): an update that removes over
 * half of the nodes is not believed for those whose links are up. Pure: lists and times in, nodes out. One owner thread. */
#ifndef PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_ROSTER_H
#define PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_ROSTER_H

#include "discovery/discovery.h"

struct discovery_zookeeper_member {
    struct discovery_node node;
    bool gone; /* not listed */
    bool held; /* gone, and shown */
    uint64_t gone_ms;
};

struct discovery_zookeeper_roster {
    uint64_t window_ms;                                               /* nodes that go within it went together */
    bool (*is_link_up)(void *ctx, const struct discovery_node *node); /* may be NULL */
    void *ctx;
    size_t count;
    struct discovery_zookeeper_member *members;
};

/* What is listed now, but for the node of that name (this one's, NULL: none). Returns how many are held that were not. */
size_t discovery_zookeeper_roster_list(struct discovery_zookeeper_roster *roster, const struct discovery_node *nodes,
                                       size_t count, const char *but, uint64_t now_ms);
/* Forget a node of that name: it is this one. */
void discovery_zookeeper_roster_forget(struct discovery_zookeeper_roster *roster, const char *name);
/* Let go of held nodes whose links are down. Whether what is shown changed. */
bool discovery_zookeeper_roster_recheck(struct discovery_zookeeper_roster *roster);
/* Whether a node is held: recheck again soon. */
bool discovery_zookeeper_roster_holds(const struct discovery_zookeeper_roster *roster);
/* The nodes to show, into out, which has room for roster->count; how many. */
size_t discovery_zookeeper_roster_shown(const struct discovery_zookeeper_roster *roster, struct discovery_node *out);
void discovery_zookeeper_roster_reset(struct discovery_zookeeper_roster *roster);

#endif
