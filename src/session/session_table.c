#include "session/session_impl.h"

#include "base/object.h"

#include <stdlib.h>

#define SLOTS_FIRST 64U

static uint32_t take_slot(struct session_table *table)
{
    if (table->free != 0) {
        uint32_t slot = table->free - 1;
        table->free = table->slots[slot].next_free;
        return slot;
    }
    if (table->used == table->size) {
        table->size = table->size == 0 ? SLOTS_FIRST : table->size * 2;
        table->slots = object_realloc(table->slots, table->size * sizeof *table->slots);
    }
    table->slots[table->used] = (struct session_slot){.generation = 1};
    return table->used++;
}

void session_table_add(struct session_table *table, struct session *session)
{
    uint32_t slot = take_slot(table);
    table->slots[slot].session = session;
    session->slot = slot;
    session->generation = table->slots[slot].generation;
}

void session_table_remove(struct session_table *table, struct session *session)
{
    struct session_slot *slot = &table->slots[session->slot];
    petrel_assert(slot->session == session && slot->generation == session->generation);
    slot->session = NULL;
    if (++slot->generation == 0)
        slot->generation = 1;
    slot->next_free = table->free;
    table->free = session->slot + 1;
}

struct session *session_table_find(const struct session_table *table, uint32_t slot, uint32_t generation)
{
    if (slot >= table->used || table->slots[slot].generation != generation)
        return NULL;
    return table->slots[slot].session;
}

struct session *session_table_at(const struct session_table *table, uint32_t slot)
{
    petrel_assert(slot < table->used);
    return table->slots[slot].session;
}

void session_table_reset(struct session_table *table)
{
    free(table->slots);
    *table = (struct session_table){0};
}
