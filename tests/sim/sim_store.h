/* sim_store.h: a store of users in memory, for any number of nodes: the rules of src/store/inbox*.c behind a network. What it
 * is asked arrives late, in any order, and may be carried out after its asker has given up.
 *
 * row      one write: its events in the journal's own form. A crash replays them, as a real store does
 * forget   after a failover the last rows are lost, and the store that is left is another owner: a new epoch (PROMISE §4) */
#ifndef PETREL_SIM_SIM_STORE_H
#define PETREL_SIM_SIM_STORE_H

#include "sim/sim_book.h"
#include "store/store.h"

struct sim_store_config {
    struct store_limits limits;
    uint64_t latency_us;
    uint32_t lose_reply_in; /* one operation in so many is carried out and never answered; 0: none */
    uint32_t spike_in;      /* one in so many takes up to spike_us; 0: none */
    uint64_t spike_us;
};

struct sim_store;

struct sim_store *sim_store_new(struct sim *sim, struct sim_book *book, const struct sim_store_config *config,
                                uint32_t users);
/* After the last node's role was closed. */
void sim_store_free(struct sim_store **store);
struct store *sim_store_port(struct sim_store *store);

/* All names in one place. */
struct bytes sim_store_app(void);
void sim_store_user(uint32_t user, char out[16]);
void sim_store_device(uint32_t device, char out[16]);

/* Without the network, before anything runs. */
void sim_store_enrol(struct sim_store *store, uint32_t user, uint32_t device);
/* The node of this loop is gone: its operations come back as CLOSING. kept: what is under way is carried out all the same. */
void sim_store_hang_up(struct sim_store *store, struct loop *home, bool kept);
/* The process dies and is back: everything durable is replayed, every route is gone. */
void sim_store_restart(struct sim_store *store);
/* A failover that loses the last rows; routes are as they were then. */
void sim_store_fail_over(struct sim_store *store, uint32_t rows);
void sim_store_down(struct sim_store *store, uint64_t us);
void sim_store_full(struct sim_store *store, uint64_t us);
/* Whether everything was acked that devices hold, but for what expired. */
bool sim_store_trimmed(const struct sim_store *store);

/* Planted fault: every in-th append forgets one of the routes it found. */
void sim_store_forget_hits(struct sim_store *store, uint32_t in);

#endif
