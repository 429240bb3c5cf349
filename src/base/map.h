/* map.h: an intrusive hash map, seeded at random so that peers who choose the keys can't choose the collisions.
 *
 * The value embeds a map_node and owns its key; the map owns only its table, which grows and shrinks (one pass each, with
 * the load between 1/4 and 1). Nodes keep their hash. No thread safety of its own. */
#ifndef PETREL_BASE_MAP_H
#define PETREL_BASE_MAP_H

#include "base/bytes.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

/* The key of the value that embeds `node`, borrowed from it. */
typedef struct bytes map_key_fn(const struct map_node *node);

struct map {
    struct map_node **table;
    size_t size; /* slots, a power of two, or 0 before the first insert */
    size_t count;
    size_t cursor; /* where map_take_any() looks first */
    uint64_t seed;
    map_key_fn *key_of;
};

/* seed from rng_u64() of the owner; nothing is allocated before the first insert. */
void map_init(struct map *map, map_key_fn *key_of, uint64_t seed);
/* Free the table. The values are the caller's: empty the map first, or free them after walking it. */
void map_reset(struct map *map);

/* NULL when absent. */
struct map_node *map_find(const struct map *map, struct bytes key);
/* The key must be absent (asserted). */
void map_insert(struct map *map, struct map_node *node);
/* The node must be in the map. */
void map_remove(struct map *map, struct map_node *node);

/* Walk all nodes in no particular order: start with NULL. A node that was returned may be removed before the next call
 * only through map_take_any(). */
struct map_node *map_next(const struct map *map, const struct map_node *node);
/* Unlink and return some node, NULL when empty: the way to empty a map. */
struct map_node *map_take_any(struct map *map);

#endif
