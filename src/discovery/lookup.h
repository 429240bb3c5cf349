/* lookup.h: which session servers a device should try: up to five, ranked by free budget and state. Pure: view in, list out. */
#ifndef PETREL_DISCOVERY_LOOKUP_H
#define PETREL_DISCOVERY_LOOKUP_H

#include "base/bytes.h"
#include "base/rng.h"
#include "discovery/discovery.h"

#define LOOKUP_MAX 5

struct lookup_server {
    const struct discovery_node *node; /* borrowed from the view */
    uint32_t weight;                   /* 1-1000: its share of the room free on all servers, in thousandths */
};

/* Whether a device may be sent to the node: see lookup_rank(). Any thread. */
bool lookup_takes(const struct discovery_node *node, uint32_t except);
/* The servers in the order to try: session role, up, an address, room left, another number than `except` (0: none). Each place is
 * drawn at random among those left, by their free room, so that new sessions spread as the room is spread. Returns how many. Any
 * thread. */
size_t lookup_rank(const struct discovery_view *view, uint32_t except, struct rng *rng,
                   struct lookup_server out[LOOKUP_MAX]);

/* Append the answer of GET /v1/lookup, which every port that serves it gives: {"servers":[{"address":...,"weight":...}],...}. */
void lookup_answer_put(struct bytebuf *out, const struct lookup_server *servers, size_t count, uint32_t wait_ms,
                       uint32_t backoff_ms, uint32_t ttl_s);

/* pacer   who hands out addresses, also hands out when: a reconnect storm comes to each server at the rate that it admits
 *
 * One per loop that answers lookups. It gives a server's slots out one after the other, at connects_per_second / shares, where shares
 * is how many pacers there are in the cluster, as far as is known. */
struct lookup_pacer;

struct lookup_pacer *lookup_pacer_new(void);
void lookup_pacer_free(struct lookup_pacer **pacer);
/* How long a device that is sent to the node should wait before it connects: 0 when nobody else comes; at most LOOKUP_WAIT_MAX_MS,
 * beyond which slots are given out again. */
uint32_t lookup_pacer_take(struct lookup_pacer *pacer, const struct discovery_node *node, uint32_t shares,
                           uint64_t now_ms);
#define LOOKUP_WAIT_MAX_MS 60000

#endif
