/* link_cluster.h: the smallest cluster of link_pair.h's nodes: a message node, and a session node that is linked to it. */
#ifndef PETREL_TESTS_CONTRACT_LINK_CLUSTER_H
#define PETREL_TESTS_CONTRACT_LINK_CLUSTER_H

#include "contract/link_pair.h"

struct link_cluster {
    struct link_pair_node message; /* number 1, of the API as well */
    struct link_pair_node session; /* number 2 */
};

struct link_tcp_config link_cluster_message(void);
struct link_tcp_config link_cluster_session(void);

/* All loops of both are linked when it returns. */
void link_cluster_open(struct link_cluster *cluster);
void link_cluster_open_with(struct link_cluster *cluster, const struct link_tcp_config *message,
                            const struct link_tcp_config *session);
/* Wait until they are, again. */
void link_cluster_await_up(struct link_cluster *cluster);
void link_cluster_close(struct link_cluster *cluster);

/* The loop of the message node that holds the connection of the session node's first loop. Costs a call. */
size_t link_cluster_owner(struct link_cluster *cluster);

#endif
