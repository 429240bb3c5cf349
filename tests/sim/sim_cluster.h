/* sim_cluster.h: the nodes: session roles and message roles as they are, each on a loop of its own, on simulated links and one
 * simulated store.
 *
 * kill     the process is gone at once: nothing that it held is said to anybody
 * drain    as an operator stops it: GOAWAY, then the orderly end
 * empty    as an operator has it send its sessions to other nodes, or some of them, while it stays
 * view     who there is, as discovery tells it to session nodes: some time after the fact */
#ifndef PETREL_SIM_SIM_CLUSTER_H
#define PETREL_SIM_SIM_CLUSTER_H

#include "session/session_role.h"
#include "sim/sim_link.h"
#include "sim/sim_publisher.h"
#include "sim/sim_sender.h"
#include "sim/sim_store.h"
#include "sim/sim_topics.h"

#define SIM_FIRST_PORT 7001 /* of node 1 */

struct sim_cluster_config {
    uint32_t sessions; /* nodes 1 .. sessions */
    uint32_t messages; /* the nodes after them */
    bool strict;       /* nothing happens that no hint tells of: a killed node's writes are not carried out later */
    struct session_config session;
    struct sim_link_config link;
    struct sim_store_config store;
    struct sim_topics_config topics;
};

struct sim_cluster;

struct sim_cluster *sim_cluster_new(struct sim *sim, struct sim_book *book, const struct sim_cluster_config *config,
                                    uint32_t users);
/* Every node ends in order, then everything is freed. */
void sim_cluster_free(struct sim_cluster **cluster);

struct sim_links *sim_cluster_links(struct sim_cluster *cluster);
struct sim_store *sim_cluster_store(struct sim_cluster *cluster);
struct sim_sender *sim_cluster_sender(struct sim_cluster *cluster);
struct sim_topics *sim_cluster_topics(struct sim_cluster *cluster);
struct sim_publisher *sim_cluster_publisher(struct sim_cluster *cluster);

/* nodes from 1 on; one that is down already, or up, is left as it is. */
void sim_cluster_kill(struct sim_cluster *cluster, uint32_t node);
void sim_cluster_start(struct sim_cluster *cluster, uint32_t node);
void sim_cluster_drain(struct sim_cluster *cluster, uint32_t node);
/* per_second of its sessions, until it may fill again. */
void sim_cluster_empty(struct sim_cluster *cluster, uint32_t node, uint32_t per_second);
void sim_cluster_fill(struct sim_cluster *cluster, uint32_t node);
void sim_cluster_move(struct sim_cluster *cluster, uint32_t node, uint32_t count, uint32_t per_second);
void sim_cluster_pause(struct sim_cluster *cluster, uint32_t node, uint64_t us, bool noticed);
/* All nodes up, all wires whole. */
void sim_cluster_calm(struct sim_cluster *cluster);

/* The token of a device, for the app that all nodes know. The caller frees it. */
char *sim_cluster_token(const struct sim *sim, uint32_t user, uint32_t device);

#endif
