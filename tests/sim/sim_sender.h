/* sim_sender.h: backends that send, as the API role does: through a link, again with the same id while the outcome is unknown,
 * for 20 s (PROMISE §7). */
#ifndef PETREL_SIM_SIM_SENDER_H
#define PETREL_SIM_SIM_SENDER_H

#include "discovery/link.h"
#include "sim/sim_book.h"

struct sim_sender;

struct sim_send {
    uint32_t user;
    uint32_t device; /* SIM_ALL_DEVICES: all */
    uint64_t ttl_ms;
    uint32_t bytes;
    uint32_t collapse; /* 0: none; else a key's number */
    uint32_t priority;
};

/* On a node of its own. */
struct sim_sender *sim_sender_new(struct sim *sim, struct sim_book *book, struct link *link);
/* After its node went down. */
void sim_sender_free(struct sim_sender **sender);
void sim_sender_send(struct sim_sender *sender, const struct sim_send *send);
/* Recall one of the latest messages. */
void sim_sender_recall(struct sim_sender *sender, uint32_t back);
/* Calls that are not settled. */
uint32_t sim_sender_busy(const struct sim_sender *sender);
/* Ask nothing again. */
void sim_sender_stop(struct sim_sender *sender);

#endif
