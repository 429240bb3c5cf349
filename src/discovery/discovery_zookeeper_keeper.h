/* discovery_zookeeper_keeper.h: the half of discovery_zookeeper that may be held up: it has the ZooKeeper session, keeps this node's
 * ephemeral there and reads the others'. It lives on a worker's thread; a turn does what there is to do, and blocks.
 *
 * entry     what is known of a znode below <root>/nodes; stale: to be read again, its watch is over
 * claim     to make the ephemeral of this node, when one of that name may exist (PROMISE §11) */
#ifndef PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_KEEPER_H
#define PETREL_DISCOVERY_DISCOVERY_ZOOKEEPER_KEEPER_H

#include "base/rng.h"
#include "discovery/discovery.h"
#include "driver/zookeeper.h"

struct discovery_zookeeper_keeper;

struct discovery_zookeeper_keeper_config {
    struct zookeeper_config session; /* servers must outlive the keeper */
    const char *root;                /* the same */
};

/* Something watched changed. */
struct discovery_zookeeper_change {
    struct discovery_zookeeper_change *next;
    const char *path;
};

struct discovery_zookeeper_turn {
    /* in */
    bool has_self;
    struct discovery_node self; /* as it shall stand in ZooKeeper */
    bool reread;                /* everything, not only what changed */
    struct discovery_zookeeper_change *changes;
    /* out */
    int status; /* of this node's znode and of the reading: 0; EXISTS: a newer process has this node's name; or an error */
    bool read; /* all that is there was read: the service answers */
    struct discovery_node
        *nodes; /* all there, this one too, when anything changed or everything was read; else NULL. The caller's */
    size_t count;
};

struct discovery_zookeeper_keeper *discovery_zookeeper_keeper_new(
    const struct discovery_zookeeper_keeper_config *config);
/* Connect if need be, register, read. Held up for as long as a call of driver/zookeeper.h may be. */
void discovery_zookeeper_keeper_turn(struct discovery_zookeeper_keeper *keeper, struct discovery_zookeeper_turn *turn);
/* End the session: this node is withdrawn. No event comes any more. */
void discovery_zookeeper_keeper_stop(struct discovery_zookeeper_keeper *keeper);
/* After that, or without a turn. */
void discovery_zookeeper_keeper_free(struct discovery_zookeeper_keeper **keeper);

#endif
