/* session_table.h: the loop's connections by slot. A slot's generation grows each time it is let go, so that a route to a
 * session that is gone finds nothing. Private to this room. One owner thread. */
#ifndef PETREL_SESSION_SESSION_TABLE_H
#define PETREL_SESSION_SESSION_TABLE_H

#include <stdint.h>

struct session;

struct session_slot {
    struct session *session; /* NULL: free */
    uint32_t generation;     /* never 0 */
    uint32_t next_free;
};

/* {0} is empty. */
struct session_table {
    struct session_slot *slots;
    uint32_t size; /* slots that there is memory for */
    uint32_t used; /* slots ever taken: the rest was never looked at */
    uint32_t free; /* the first free one among them, plus 1; 0: none */
};

/* Give the session a slot and generation, which it keeps in itself. */
void session_table_add(struct session_table *table, struct session *session);
/* Free its slot; ids of it find nothing from now on. */
void session_table_remove(struct session_table *table, struct session *session);
/* NULL: free, never used, or of another generation. */
struct session *session_table_find(const struct session_table *table, uint32_t slot, uint32_t generation);
/* Whatever is in the slot; NULL when it is free. slot < table->used. */
struct session *session_table_at(const struct session_table *table, uint32_t slot);
void session_table_reset(struct session_table *table);

#endif
