/* lookup.h: which session servers a device should try: up to five, ranked by free budget and state. Pure: view in, list out. */
#ifndef PETREL_DISCOVERY_LOOKUP_H
#define PETREL_DISCOVERY_LOOKUP_H

#include "base/rng.h"
#include "discovery/discovery.h"

#define LOOKUP_MAX 5

struct lookup_server {
    const struct discovery_node *node; /* borrowed from the view */
    uint32_t weight;                   /* 1-1000: share of new sessions it should get */
};

/* The servers in the order to try, chosen at random by weight: session role, up, with room. Returns how many. */
size_t lookup_rank(const struct discovery_view *view, struct rng *rng, struct lookup_server out[LOOKUP_MAX]);

#endif
