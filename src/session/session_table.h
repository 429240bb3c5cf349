/* session_table.h: the loop's connections by slot. A slot is the session's place in a slab; each session has a generation of its
 * own, so that a route to one that is gone finds nothing. Private to this room. One owner thread. */
#ifndef PETREL_SESSION_SESSION_TABLE_H
#define PETREL_SESSION_SESSION_TABLE_H

#include "base/slab.h"

struct session;
struct session_role;

struct session_table {
    struct slab sessions;
    uint32_t generation; /* of the newest session; never 0 */
};

void session_table_init(struct session_table *table, struct session_role *role);
void session_table_reset(struct session_table *table);

/* A zeroed session with a generation, at a slot that is its own until it is given back. */
struct session *session_table_take(struct session_table *table);
/* Free it; ids of it find nothing from now on. */
void session_table_give(struct session *session);
/* NULL: gone, or never was. */
struct session *session_table_find(const struct session_table *table, uint32_t slot, uint32_t generation);
/* Whatever is in the slot; NULL when it is free. */
struct session *session_table_at(const struct session_table *table, uint32_t slot);
/* Where a walk over the slots ends; less than before when sessions have gone. */
uint32_t session_table_end(const struct session_table *table);

#endif
