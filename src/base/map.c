#include "base/map.h"

#include "base/hash.h"
#include "base/object.h"

#include <stdlib.h>

#define MAP_SIZE_MIN 16

static struct map_node **slot_of(const struct map *map, uint64_t hash)
{
    return &map->table[hash & (map->size - 1)];
}

static struct map_node *find_hashed(const struct map *map, struct bytes key, uint64_t hash)
{
    if (map->count == 0)
        return NULL;
    for (struct map_node *node = *slot_of(map, hash); node != NULL; node = node->next) {
        if (node->hash == hash && bytes_equal(map->key_of(node), key))
            return node;
    }
    return NULL;
}

static void resize(struct map *map, size_t size)
{
    struct map_node **old = map->table;
    size_t old_size = map->size;
    map->table = object_zalloc(size * sizeof *map->table);
    map->size = size;
    map->cursor = 0;
    for (size_t i = 0; i < old_size; i++) {
        for (struct map_node *node = old[i], *next; node != NULL; node = next) {
            next = node->next;
            struct map_node **slot = slot_of(map, node->hash);
            node->next = *slot;
            *slot = node;
        }
    }
    free(old);
}

void map_init(struct map *map, map_key_fn *key_of, uint64_t seed)
{
    *map = (struct map){.key_of = key_of, .seed = seed};
}

void map_reset(struct map *map)
{
    free(map->table);
    map_init(map, map->key_of, map->seed);
}

struct map_node *map_find(const struct map *map, struct bytes key)
{
    return find_hashed(map, key, hash_bytes(key, map->seed));
}

void map_insert(struct map *map, struct map_node *node)
{
    struct bytes key = map->key_of(node);
    node->hash = hash_bytes(key, map->seed);
    petrel_assert(find_hashed(map, key, node->hash) == NULL);
    if (map->count == map->size)
        resize(map, map->size == 0 ? MAP_SIZE_MIN : map->size * 2);
    struct map_node **slot = slot_of(map, node->hash);
    node->next = *slot;
    *slot = node;
    map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
    petrel_assert(map->count > 0);
    struct map_node **link = slot_of(map, node->hash);
    while (*link != node) {
        petrel_assert(*link != NULL && "the node is in the map");
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    map->count--;
    if (map->count < map->size / 4 && map->size > MAP_SIZE_MIN)
        resize(map, map->size / 2);
}

struct map_node *map_next(const struct map *map, const struct map_node *node)
{
    if (node != NULL && node->next != NULL)
        return node->next;
    size_t slot = node != NULL ? (size_t)(node->hash & (map->size - 1)) + 1 : 0;
    for (; slot < map->size; slot++) {
        if (map->table[slot] != NULL)
            return map->table[slot];
    }
    return NULL;
}

/* The cursor makes emptying a large map linear: slots found empty are not looked at again. */
struct map_node *map_take_any(struct map *map)
{
    if (map->count == 0)
        return NULL;
    while (map->table[map->cursor] == NULL)
        map->cursor = (map->cursor + 1) & (map->size - 1);
    struct map_node *node = map->table[map->cursor];
    map_remove(map, node);
    return node;
}
