#include "base/rate_table.h"

#include "base/hash.h"
#include "base/object.h"

#include <stdlib.h>

#define SECOND_NS 1000000000ULL
#define MS_NS 1000000ULL
#define SETS (RATE_TABLE_KEYS / RATE_TABLE_WAYS)

struct place {
    uint64_t key;
    uint64_t full_ns; /* when its bucket is full again; in the past, or 0: the place is free */
};

struct rate_table {
    uint64_t seed;
    struct place places[SETS][RATE_TABLE_WAYS];
};

struct rate_table *rate_table_new(uint64_t seed)
{
    struct rate_table *table = object_zalloc(sizeof *table);
    table->seed = seed;
    return table;
}

void rate_table_free(struct rate_table **table)
{
    free(*table);
    *table = NULL;
}

/* The key's own place, or the one that it may have. */
static struct place *find(struct rate_table *table, uint64_t key)
{
    struct place *places = table->places[hash_bytes(bytes_of(&key, sizeof key), table->seed) % SETS];
    struct place *nearest = &places[0];
    for (size_t i = 0; i < RATE_TABLE_WAYS; i++) {
        if (places[i].key == key)
            return &places[i];
        if (places[i].full_ns < nearest->full_ns)
            nearest = &places[i];
    }
    *nearest = (struct place){.key = key};
    return nearest;
}

uint64_t rate_table_take(struct rate_table *table, uint64_t key, const struct rate_limit *limit, uint64_t now_ms)
{
    if (limit->per_second == 0)
        return 0;
    petrel_assert(limit->per_second <= RATE_PER_SECOND_MAX && limit->burst > 0);
    const uint64_t one = SECOND_NS / limit->per_second, now_ns = now_ms * MS_NS;
    const uint64_t most_ns = now_ns + one * limit->burst;
    struct place *place = find(table, key);
    const uint64_t next_ns = (place->full_ns > now_ns ? place->full_ns : now_ns) + one;
    if (next_ns > most_ns)
        return (next_ns - most_ns + MS_NS - 1) / MS_NS;
    place->full_ns = next_ns;
    return 0;
}
