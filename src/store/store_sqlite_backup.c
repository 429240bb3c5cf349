/* Backups of the live file, in slices between commits. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/store_sqlite_private.h"

#define SLICE_PAGES 256 /* 1 MiB: a few milliseconds */

void store_sqlite_backup_finish(struct worker_job *job)
{
    struct store_sqlite_backup *backup = container_of(job, struct store_sqlite_backup, job);
    backup->done(backup);
}

static void finish(struct store_sqlite *store, struct store_sqlite_backup *backup, int status)
{
    if (status != 0 && status != PETREL_E_EXISTS && status != PETREL_E_FULL && status != PETREL_E_BUSY &&
        status != PETREL_E_CLOSING)
        status = PETREL_E_IO;
    backup->status = status;
    worker_finish(store->worker, &backup->job);
}

void store_sqlite_backup_begin(struct store_sqlite *store, struct store_sqlite_backup *backup)
{
    if (store->backup != NULL) {
        finish(store, backup, PETREL_E_BUSY);
        return;
    }
    int err = sqlite_backup_begin(&store->copy, store->db, backup->path);
    if (err != 0) {
        finish(store, backup, err);
        return;
    }
    store->backup = backup;
}

void store_sqlite_backup_slice(struct store_sqlite *store)
{
    int more = sqlite_backup_step(store->copy, SLICE_PAGES);
    if (more == 1)
        return;
    if (more == 0)
        log_at(LOG_INFO, "store", "backup complete", LOG_STR("file", store->backup->path));
    store_sqlite_backup_cancel(store, more);
}

void store_sqlite_backup_cancel(struct store_sqlite *store, int status)
{
    struct store_sqlite_backup *backup = store->backup;
    if (backup == NULL)
        return;
    store->backup = NULL;
    sqlite_backup_end(&store->copy);
    finish(store, backup, status);
}
