#include "driver/redis_asked.h"

#include <stdlib.h>

#define FIRST 32
#define MAX (REDIS_ASKED_REQUESTS_MAX + 8) /* what is asked beside requests */

static void make_room(struct redis_asked_ring *ring)
{
    petrel_assert(ring->count < MAX);
    const size_t size = ring->size > 0 ? 2 * ring->size : FIRST;
    struct redis_asked *larger = object_alloc(size * sizeof *larger);
    for (size_t i = 0; i < ring->count; i++)
        larger[i] = *redis_asked_at(ring, i);
    free(ring->all);
    ring->all = larger;
    ring->size = size;
    ring->head = 0;
}

void redis_asked_put(struct redis_asked_ring *ring, struct redis_asked asked)
{
    if (ring->count == ring->size)
        make_room(ring);
    ring->all[(ring->head + ring->count++) % ring->size] = asked;
}

struct redis_asked redis_asked_take(struct redis_asked_ring *ring)
{
    petrel_assert(ring->count > 0);
    const struct redis_asked first = ring->all[ring->head];
    ring->head = (ring->head + 1) % ring->size;
    ring->count--;
    return first;
}

const struct redis_asked *redis_asked_at(const struct redis_asked_ring *ring, size_t i)
{
    petrel_assert(i < ring->count);
    return &ring->all[(ring->head + i) % ring->size];
}

void redis_asked_reset(struct redis_asked_ring *ring)
{
    free(ring->all);
    *ring = (struct redis_asked_ring){0};
}
