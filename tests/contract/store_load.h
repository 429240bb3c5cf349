/* store_load.h: so many requests in flight on one loop, each followed by the next, until there is none. */
#ifndef PETREL_TESTS_CONTRACT_STORE_LOAD_H
#define PETREL_TESTS_CONTRACT_STORE_LOAD_H

#include "contract/loops.h"
#include "store/store.h"

struct store_load;

struct store_load_slot {
    struct store_request request;
    struct store_load *load;
    uint64_t number; /* of the request that is or was under way */
    enum store_op op;
};

struct store_load {
    struct store *store;
    uint32_t inflight;
    /* On the loop. Fill slot->request.in and slot->op; false: no more. */
    bool (*next)(struct store_load *load, struct store_load_slot *slot);
    /* On the loop: slot->request is done. */
    void (*done)(struct store_load *load, struct store_load_slot *slot);
    uint64_t count; /* requests begun */

    struct loop *loop;
    struct store_load_slot *slots;
    uint32_t running;
    struct loops_tally ended;
};

/* Begin on a loop of `loops`. */
void store_load_start(struct store_load *load, struct loops *loops, size_t index);
/* Wait until all requests are done; false after a minute. Test's thread. */
bool store_load_join(struct store_load *load);

#endif
