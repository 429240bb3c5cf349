#include "store/idempotency.h"

#include "base/object.h"

#include <stdlib.h>

struct idempotency_entry {
    struct map_node node;
    struct list order;
    uint64_t row;
    struct journal_key key;
};

static struct bytes key_of(const struct map_node *node)
{
    const struct idempotency_entry *entry = container_of(node, const struct idempotency_entry, node);
    return bytes_of(entry->key.digest, sizeof entry->key.digest);
}

static struct idempotency_entry *at(const struct list *node)
{
    return container_of(node, struct idempotency_entry, order);
}

static void forget(struct idempotency *keys, struct idempotency_entry *entry)
{
    map_remove(&keys->map, &entry->node);
    list_remove(&entry->order);
    free(entry);
}

void idempotency_init(struct idempotency *keys, uint64_t seed)
{
    map_init(&keys->map, key_of, seed);
    list_init(&keys->order);
}

void idempotency_reset(struct idempotency *keys)
{
    while (!list_empty(&keys->order))
        forget(keys, at(keys->order.next));
    map_reset(&keys->map);
}

const struct journal_key *idempotency_find(const struct idempotency *keys, const uint8_t digest[16])
{
    struct map_node *node = map_find(&keys->map, bytes_of(digest, 16));
    return node != NULL ? &container_of(node, struct idempotency_entry, node)->key : NULL;
}

void idempotency_put(struct idempotency *keys, const struct journal_key *key, uint64_t row)
{
    struct map_node *node = map_find(&keys->map, bytes_of(key->digest, sizeof key->digest));
    if (node != NULL)
        forget(keys, container_of(node, struct idempotency_entry, node));
    struct idempotency_entry *entry = object_zalloc(sizeof *entry);
    entry->key = *key;
    entry->row = row;
    map_insert(&keys->map, &entry->node);
    list_push_back(&keys->order, &entry->order);
}

void idempotency_undo(struct idempotency *keys, uint64_t row)
{
    while (!list_empty(&keys->order) && at(keys->order.prev)->row >= row)
        forget(keys, at(keys->order.prev));
}

const struct journal_key *idempotency_next(const struct idempotency *keys, const struct idempotency_entry **place,
                                           uint64_t row)
{
    const struct list *next = *place != NULL ? (*place)->order.next : keys->order.next;
    if (next == &keys->order || at(next)->row > row)
        return NULL;
    *place = at(next);
    return &(*place)->key;
}

void idempotency_drop(struct idempotency *keys, const struct idempotency_entry *place)
{
    bool more = true;
    while (more) {
        struct idempotency_entry *first = at(keys->order.next);
        more = first != place;
        forget(keys, first);
    }
}
