/* zookeeper_rig.h: nodes on discovery_zookeeper, each with a main loop of its own, and hands that do to the tree what other processes or
 * people may. What fails here fails the test: the test's thread only. */
#ifndef PETREL_TESTS_CONTRACT_ZOOKEEPER_RIG_H
#define PETREL_TESTS_CONTRACT_ZOOKEEPER_RIG_H

#include "contract/loops.h"
#include "discovery/discovery_zookeeper.h"
#include "discovery/discovery_zookeeper_node.h"
#include "driver/zookeeper.h"
#include "lib/zookeeper_server.h"

#define RIG_WAIT_MS 60000
#define RIG_SHORT_MS 4000   /* a session timeout that is waited out */
#define RIG_LONG_MS 59000   /* one that is not: what is seen earlier was told */
#define RIG_EARLY_MS 30000  /* before RIG_LONG_MS */
#define RIG_INTERVAL_MS 200 /* of load */
#define RIG_NODES 8

/* A part of the tree that no other test sees. */
struct rig_folder {
    char root[32];
};

/* A node of the cluster under test. */
struct rig_peer {
    struct discovery *discovery;
    struct loops main;
    struct discovery_node self;
    int result;
    atomic_bool links[RIG_NODES]; /* up, by number */
};

struct rig_folder zookeeper_rig_folder(unsigned number);
/* "node-N", a session server with a number of that kind. */
struct discovery_node zookeeper_rig_node(uint32_t number);

void zookeeper_rig_peer_open(struct rig_peer *peer, const struct rig_folder *folder, uint32_t number,
                             const char *servers, uint32_t timeout_ms);
/* The same, which keeps a copy of the nodes in that file. */
void zookeeper_rig_peer_open_on(struct rig_peer *peer, const struct rig_folder *folder, uint32_t number,
                                const char *servers, uint32_t timeout_ms, const char *copy_path);
void zookeeper_rig_peer_close(struct rig_peer *peer);
/* peer->self as it is now. */
void zookeeper_rig_publish(struct rig_peer *peer);
/* Conditions for until(). */
bool zookeeper_rig_is_healthy(void *peer);
bool zookeeper_rig_is_away(void *peer);
/* The node of that number as the peer sees it; number 0: not there. */
struct discovery_node zookeeper_rig_seen(struct rig_peer *peer, uint32_t number);
uint64_t zookeeper_rig_as_of(struct rig_peer *peer);
bool zookeeper_rig_is_current(void *peer);
/* Wait until the peer sees the node just so; until it sees none of that number. */
void zookeeper_rig_await_same(struct rig_peer *peer, struct discovery_node node);
void zookeeper_rig_await_gone(struct rig_peer *peer, uint32_t number);

/* A connected session. */
struct zookeeper *zookeeper_rig_hand(const char *servers);
void zookeeper_rig_path(const struct rig_folder *folder, const char *name, char out[DISCOVERY_ZOOKEEPER_PATH_MAX]);
/* Create the node as an ephemeral of the hand. */
void zookeeper_rig_put(struct zookeeper *hand, const struct rig_folder *folder, const struct discovery_node *node);
/* As soon as the node is there and the hand is told so. */
struct zookeeper_stat zookeeper_rig_stat(struct zookeeper *hand, const struct rig_folder *folder, const char *name);

#endif
