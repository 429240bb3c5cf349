/* lookup.h: which session servers a device should try: up to five, ranked by free budget and state. Pure: view in, list out. */
#ifndef PETREL_DISCOVERY_LOOKUP_H
#define PETREL_DISCOVERY_LOOKUP_H

#include "base/rng.h"
#include "discovery/discovery.h"

#define LOOKUP_MAX 5

struct lookup_server {
    const struct discovery_node *node; /* borrowed from the view */
    uint32_t weight;                   /* 1-1000: its share of the room free on all servers, in thousandths */
};

/* The servers in the order to try: session role, up, an address, room left. Each place is drawn at random among those left, by
 * their free room, so that new sessions spread as the room is spread. Returns how many. Any thread. */
size_t lookup_rank(const struct discovery_view *view, struct rng *rng, struct lookup_server out[LOOKUP_MAX]);

#endif
