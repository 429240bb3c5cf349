/* server_memory.h: the high-water mark of memory, and giving back what a crowd that has left took.
 *
 * Measured by the server's thread, for all loops: a session role looks at is_short when somebody connects. */
#ifndef PETREL_PETRELD_SERVER_MEMORY_H
#define PETREL_PETRELD_SERVER_MEMORY_H

#include "base/memory.h"
#include "loop/timer.h"

#include <stdatomic.h>

struct server;

struct server_memory {
    struct memory_gauge gauge;
    struct memory_usage usage; /* the server's thread only */
    struct timer timer;
    atomic_bool is_short; /* above memory.high_water, until it is a twentieth below */
    uint64_t logged_ms;
    uint64_t logged_count; /* times it became short since it was logged */
    int64_t sessions;      /* as of the last measure */
    int64_t peak;          /* of them since the last trim */
};

/* Before the loops open their roles; on the server's thread, as stop. */
void server_memory_begin(struct server *server);
void server_memory_stop(struct server *server);
/* Whether it is above the mark; any thread. */
bool server_memory_is_short(const struct server *server);

#endif
