/* phases.h: one run, and what happens in it when.
 *
 * JOIN     devices connect, and follow the topics that the book says
 * LOAD     messages are sent, the server is killed, or the faults of a cluster happen
 * SETTLE   no message is sent, so that all are answered and seen: from here on a device may be subscribed to something else
 * CHANGE   devices and backends change subscriptions, while what happens to the server goes on; then LOAD again
 * ANSWERS  the load is over: senders get the last of their answers
 * DRAIN    devices get what is left, by themselves
 * RESUME   the same after each has reconnected, which must bring what no Deliver brought
 * LINGER   nothing more may come */
#ifndef PETREL_LEDGER_PHASES_H
#define PETREL_LEDGER_PHASES_H

#include "system/ledger/chaos.h"
#include "system/ledger/device.h"
#include "system/ledger/sender.h"
#include "system/ledger/server.h"

enum phase {
    PHASE_JOIN,
    PHASE_LOAD,
    PHASE_SETTLE,
    PHASE_CHANGE,
    PHASE_ANSWERS,
    PHASE_DRAIN,
    PHASE_RESUME,
    PHASE_LINGER,
    PHASE_CLOSE,
};

struct run {
    struct ledger ledger;
    struct server server; /* one of the two */
    struct cluster cluster;
    struct chaos chaos;
    struct device **devices;
    struct sender **senders;
    char **tokens;
    uv_timer_t timer;
    uv_signal_t interrupts[2];
    enum phase phase;
    uint64_t began_ms;
    uint64_t phase_ms;  /* when it began */
    uint64_t loaded_ms; /* how long LOAD has been, before this one */
    uint32_t changes;   /* begun, or given up */
    uint32_t kills_of_change;
    bool answered; /* SETTLE: no message is under way any more */
    uint64_t told_ms;
    uint64_t delivered; /* at the last look */
    uint64_t moved_ms;  /* when that last grew */
};

/* Devices and senders are there. */
void phases_begin(struct run *run);
/* Go on. To be called often. */
void phases_turn(struct run *run);
void phases_unwatch_interrupts(struct run *run);

#endif
