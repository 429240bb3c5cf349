/* topics_sqlite.h: topic logs in one SQLite file of their own: plain tables, group commit. Topics are few and their appends cost one
 * write however many devices follow, so they need no journal as users do. Leases are memory: they die with the process, as
 * the nodes of a single process do. One worker thread owns all of it. */
#ifndef PETREL_STORE_TOPICS_SQLITE_H
#define PETREL_STORE_TOPICS_SQLITE_H

#include "base/clock.h"
#include "store/topics.h"

struct topics_sqlite_config {
    const char *path; /* the file; its directory exists */
    const struct clock *clock;
    struct topics_limits limits;
    uint32_t max_pending; /* operations under way; 0: 65,536 */
    bool restored;        /* the file came from a backup: begin a new epoch */
};

/* Open or make the file. Blocks. 0, or the errors of sqlite_open(). */
int topics_sqlite_open(struct topics **out, const struct topics_sqlite_config *config);

/* Copy the live file to a new one at path, in slices between commits. Any loop; request shape as in store.h.
 * Statuses: 0; PETREL_E_EXISTS; PETREL_E_FULL; PETREL_E_IO; PETREL_E_BUSY when a backup runs already; PETREL_E_CLOSING. */
struct topics_sqlite_backup {
    struct worker_job job;
    const char *path; /* left alone until done */
    int status;
    void (*done)(struct topics_sqlite_backup *backup);
};
int topics_sqlite_backup(struct topics *topics, struct topics_sqlite_backup *backup, struct loop *home,
                         void (*done)(struct topics_sqlite_backup *backup));

#endif
