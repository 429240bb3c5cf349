/* sim_topics.h: a store of topics in memory, for any number of nodes: topics.h's rules behind a network, as sim_store.h is for
 * users.
 *
 * row      one write. What is known is what the rows say, applied one after the other
 * forget   after a failover the last rows are lost, and the store that is left is another owner: a new epoch (PROMISE §4) */
#ifndef PETREL_SIM_SIM_TOPICS_H
#define PETREL_SIM_SIM_TOPICS_H

#include "sim/sim_book.h"
#include "store/topics.h"

struct sim_topics_config {
    struct topics_limits limits;
    uint64_t latency_us;
    uint32_t lose_reply_in; /* one operation in so many is carried out and never answered; 0: none */
    uint32_t spike_in;      /* one in so many takes up to spike_us; 0: none */
    uint64_t spike_us;
};

struct sim_topics;

struct sim_topics *sim_topics_new(struct sim *sim, struct sim_book *book, const struct sim_topics_config *config);
/* After the last node's role was closed. */
void sim_topics_free(struct sim_topics **topics);
struct topics *sim_topics_port(struct sim_topics *topics);

/* The node of this loop is gone: its operations come back as CLOSING. kept: what is under way is carried out all the same. */
void sim_topics_hang_up(struct sim_topics *topics, struct loop *home, bool kept);
/* The process dies and is back: everything durable is replayed, every lease is gone. */
void sim_topics_restart(struct sim_topics *topics);
/* A failover that loses the last rows. */
void sim_topics_fail_over(struct sim_topics *topics, uint32_t rows);
void sim_topics_down(struct sim_topics *topics, uint64_t us);
void sim_topics_full(struct sim_topics *topics, uint64_t us);
/* Whether the node has a lease on the topic that has not run out. */
bool sim_topics_interested(const struct sim_topics *topics, uint32_t topic, uint32_t node);
/* The number that stands in the device's name. */
uint32_t sim_topics_device(const struct peer_target *target);

#endif
