/* chaos.h: when which fault happens to whom, by the seed: one after the other, with time to recover in between. */
#ifndef PETREL_LEDGER_CHAOS_H
#define PETREL_LEDGER_CHAOS_H

#include "system/ledger/cluster.h"
#include "system/ledger/fault.h"

#define CHAOS_VICTIMS_MAX 3

struct chaos {
    struct cluster *cluster;
    struct rng rng;
    enum { CHAOS_QUIET, CHAOS_CHOOSING, CHAOS_BEGINNING, CHAOS_LASTING, CHAOS_ENDING } phase;
    uint64_t until_ms; /* of quiet, or of what lasts */
    uint64_t end_ms;   /* of the load: what would last longer does not begin */
    const struct fault *fault;
    char victims[CHAOS_VICTIMS_MAX][CUT_NAME_MAX];
    size_t victims_count;
    struct cut *cut; /* of a fault that is one */
    bool over;
    bool made; /* one, at least */
    uint32_t counts[FAULT_COUNT];
};

/* The load begins now. */
void chaos_begin(struct chaos *chaos, struct cluster *cluster, uint64_t end_ms);
/* Go on. To be called often. */
void chaos_turn(struct chaos *chaos);
/* Nothing happens, and nothing more will. */
bool chaos_is_over(const struct chaos *chaos);
/* Break off: no fault begins any more, what runs is ended. */
void chaos_end(struct chaos *chaos);

#endif
