/* registry_sqlite.h: the registry in an SQLite file, on a worker thread of its own. */
#ifndef PETREL_REGISTRY_REGISTRY_SQLITE_H
#define PETREL_REGISTRY_REGISTRY_SQLITE_H

#include "base/clock.h"
#include "registry/registry.h"

struct registry_sqlite_config {
    const char *path;
    const struct clock *clock;
    /* Called on the worker's thread with each new snapshot, the first before registry_sqlite_open() returns. The callee
     * takes a reference to keep it. */
    void (*on_snapshot)(void *ctx, struct snapshot *snapshot);
    void *ctx;
};

/* Blocks. 0, or the errors of sqlite_open(). */
int registry_sqlite_open(struct registry **out, const struct registry_sqlite_config *config);

/* Copy the live registry to a new file at path, which is left alone until done, in slices between requests. Any loop; request
 * shape as in registry.h. Statuses: 0; PETREL_E_EXISTS; PETREL_E_FULL; PETREL_E_IO; PETREL_E_BUSY when a backup runs already;
 * PETREL_E_CLOSING: given up. */
struct registry_sqlite_backup {
    struct worker_job job;
    const char *path;
    int status;
    void (*done)(struct registry_sqlite_backup *backup);
};
int registry_sqlite_backup(struct registry *registry, struct registry_sqlite_backup *backup, struct loop *home,
                           void (*done)(struct registry_sqlite_backup *backup));

#endif
