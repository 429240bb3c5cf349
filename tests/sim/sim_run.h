/* sim_run.h: one run of a plan, from its start to the verdict. */
#ifndef PETREL_SIM_SIM_RUN_H
#define PETREL_SIM_SIM_RUN_H

#include "sim/sim_plan.h"

/* Faults planted in the simulated parts, to see that the checks find them. */
enum sim_plant {
    SIM_PLANT_NONE,
    SIM_PLANT_PREV,   /* Delivers claim that nothing came before them */
    SIM_PLANT_SILENT, /* a Deliver now and then is lost, and nobody is told */
    SIM_PLANT_DIRTY,  /* dirty links are not told */
    SIM_PLANT_HITS,   /* the store forgets a session that it should have named */
};

struct sim_result {
    char broken[256]; /* empty: the promise was kept */
    uint64_t digest;
    uint64_t virtual_us;
    uint32_t messages;
    uint64_t deliveries;
    uint64_t gaps;
};

/* left_out[number] true: that act does not happen. May be NULL. trace may be NULL. */
void sim_run(const struct sim_plan *plan, const bool *left_out, enum sim_plant plant, FILE *trace,
             struct sim_result *result);

#endif
