/* sim_link.h: the links between simulated nodes, an implementation of the link port.
 *
 * wire     between two nodes; what is under way on it is lost when it breaks, and tells that it lost make it dirty
 * notice   a break is noticed some time later: calls come back UNAVAILABLE, a lost message node is told as dirty
 *
 * A call goes to any message node that can be reached. Replies and tells overtake each other between wires, and, where
 * `ordered` is off, on a wire too. */
#ifndef PETREL_SIM_SIM_LINK_H
#define PETREL_SIM_SIM_LINK_H

#include "discovery/link.h"
#include "sim/sim.h"

#define SIM_NODES_MAX 8
#define SIM_SENDER 0 /* the node of the senders: it only asks */

struct sim_link_config {
    uint64_t latency_us; /* at most, but for spikes */
    uint32_t spike_in;   /* one message in so many takes up to spike_us; 0: none */
    uint64_t spike_us;
    uint32_t drop_in;    /* one tell in so many finds the window full; 0: none */
    uint32_t unheard_in; /* one RESUBSCRIBED in so many never comes, and nobody is told; 0: none */
    bool ordered;
};

struct sim_links;

/* What planted faults do to a tell on its way; false: it is dropped without a trace. NULL: nothing. */
typedef bool sim_links_tamper_fn(struct sim *sim, struct peer_msg *msg);

/* A call was carried out after its asker had given up; or a RESUBSCRIBED was lost. */
typedef void sim_links_late_fn(void *ctx, struct peer_msg *msg);

struct sim_links *sim_links_new(struct sim *sim, const struct sim_link_config *config);
/* After all nodes went down and their loops were freed. */
void sim_links_free(struct sim_links **links);
/* Plant faults. forget_dirty: nobody is told of a dirty link. */
void sim_links_plant(struct sim_links *links, sim_links_tamper_fn *tamper, bool forget_dirty);

void sim_links_watch(struct sim_links *links, sim_links_late_fn *late, void *ctx);

/* The node starts: its link, on its loop. serves: it is a message node. */
struct link *sim_links_up(struct sim_links *links, uint32_t node, uint64_t incarnation, struct loop *loop, bool serves);
/* Its process is gone (its loop is a ghost): its calls come back at once, all its wires break. */
void sim_links_down(struct sim_links *links, uint32_t node);
/* Break the wire between two nodes until it is healed; healing says hello. */
void sim_links_cut(struct sim_links *links, uint32_t a, uint32_t b);
void sim_links_heal(struct sim_links *links, uint32_t a, uint32_t b);
/* Tell every session node soon that hints may be lost: a store's failover was seen. */
void sim_links_dirty_all(struct sim_links *links);

#endif
