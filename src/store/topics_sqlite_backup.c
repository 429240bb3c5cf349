/* Backups of the live file, in slices between commits. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/topics_sqlite_private.h"

#define SLICE_PAGES 256 /* 1 MiB: a few milliseconds */

void topics_sqlite_backup_finish(struct worker_job *job)
{
    struct topics_sqlite_backup *backup = container_of(job, struct topics_sqlite_backup, job);
    backup->done(backup);
}

static void finish(struct topics_sqlite *topics, struct topics_sqlite_backup *backup, int status)
{
    if (status != 0 && status != PETREL_E_EXISTS && status != PETREL_E_FULL && status != PETREL_E_BUSY &&
        status != PETREL_E_CLOSING)
        status = PETREL_E_IO;
    backup->status = status;
    worker_finish(topics->worker, &backup->job);
}

void topics_sqlite_backup_begin(struct topics_sqlite *topics, struct topics_sqlite_backup *backup)
{
    if (topics->backup != NULL) {
        finish(topics, backup, PETREL_E_BUSY);
        return;
    }
    int err = sqlite_backup_begin(&topics->copy, topics->db, backup->path);
    if (err != 0) {
        finish(topics, backup, err);
        return;
    }
    topics->backup = backup;
}

void topics_sqlite_backup_slice(struct topics_sqlite *topics)
{
    int more = sqlite_backup_step(topics->copy, SLICE_PAGES);
    if (more == 1)
        return;
    if (more == 0)
        log_at(LOG_INFO, "topics", "backup complete", LOG_STR("file", topics->backup->path));
    topics_sqlite_backup_cancel(topics, more);
}

void topics_sqlite_backup_cancel(struct topics_sqlite *topics, int status)
{
    struct topics_sqlite_backup *backup = topics->backup;
    if (backup == NULL)
        return;
    topics->backup = NULL;
    sqlite_backup_end(&topics->copy);
    finish(topics, backup, status);
}
