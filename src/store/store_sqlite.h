/* store_sqlite.h: the store in one SQLite file, journal first (DESIGN §8): what happens in a group commit is one row of
 * `journal`; touched users live in memory; a checkpoint, in slices, writes what still lives and drops the journal before it.
 * Routes are never written: they die with the process. One worker thread owns all of it. */
#ifndef PETREL_STORE_STORE_SQLITE_H
#define PETREL_STORE_STORE_SQLITE_H

#include "base/clock.h"
#include "base/metrics.h"
#include "store/store.h"

struct store_sqlite_config {
    const char *path; /* the file; its directory exists */
    const struct clock *clock;
    struct store_limits limits;
    struct metrics_shard *metrics; /* written by the worker; may be NULL */
    uint32_t max_pending;          /* operations under way; 0: 65,536 */
    uint64_t checkpoint_bytes;     /* begin a checkpoint at this much journal; 0: 64 MiB */
    uint64_t memory_bytes;         /* keep about so much of clean user records; 0: 256 MiB */
    uint64_t
        min_free_bytes; /* refuse appends below so much free disk, so that acks and checkpoints still fit; 0: 64 MiB */
    bool restored;      /* the file came from a backup: begin a new epoch */
};

/* Open or make the file, replay the journal. Blocks. 0, or the errors of sqlite_open(). */
int store_sqlite_open(struct store **out, const struct store_sqlite_config *config);

/* Copy the live store to a new file at path, in slices between commits. Any loop; request shape as in store.h.
 * Statuses: 0; PETREL_E_EXISTS; PETREL_E_FULL; PETREL_E_IO; PETREL_E_BUSY when a backup runs already. */
struct store_sqlite_backup {
    struct worker_job job;
    const char *path; /* left alone until done */
    int status;
    void (*done)(struct store_sqlite_backup *backup);
};
int store_sqlite_backup(struct store *store, struct store_sqlite_backup *backup, struct loop *home,
                        void (*done)(struct store_sqlite_backup *backup));

#endif
