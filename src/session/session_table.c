#include "session/session_impl.h"

void session_table_init(struct session_table *table, struct session_role *role)
{
    *table = (struct session_table){0};
    slab_init(&table->sessions, sizeof(struct session), role);
}

void session_table_reset(struct session_table *table)
{
    slab_reset(&table->sessions);
}

struct session *session_table_take(struct session_table *table)
{
    struct session *session = slab_take(&table->sessions);
    if (++table->generation == 0)
        table->generation = 1;
    session->generation = table->generation;
    return session;
}

void session_table_give(struct session *session)
{
    slab_give(session);
}

struct session *session_table_find(const struct session_table *table, uint32_t slot, uint32_t generation)
{
    struct session *session = session_table_at(table, slot);
    return session != NULL && session->generation == generation ? session : NULL;
}

struct session *session_table_at(const struct session_table *table, uint32_t slot)
{
    return slab_at(&table->sessions, slot);
}

uint32_t session_table_end(const struct session_table *table)
{
    return slab_end(&table->sessions);
}
