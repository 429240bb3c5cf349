#include "registry/registry_sqlite.h"

#include "base/err.h"
#include "base/object.h"
#include "registry/registry_base.h"
#include "registry/registry_sqlite_tables.h"

#include <stdlib.h>

#define SLICE_MAX 1024 /* as many as share an fsync: nobody else waits for the file */
#define RETRY_MS 1000  /* until a failed publication or clean-up is tried again */
#define BACKUP_PAGES 256
#define SHRINK_PAGES 256

struct registry_sqlite {
    struct registry_base base;

    /* The worker's thread only, from here on. */
    struct registry_sqlite_config config; /* path is a copy */
    char *path;
    struct sqlite_backup *copy;
    struct registry_sqlite_backup *backup; /* who asked for the copy */
};

static struct registry_sqlite *self_of(struct registry_base *base)
{
    return container_of(base, struct registry_sqlite, base);
}

/* ---- backups ---- */

static void on_backup_done(struct worker_job *job)
{
    struct registry_sqlite_backup *backup = container_of(job, struct registry_sqlite_backup, job);
    backup->done(backup);
}

int registry_sqlite_backup(struct registry *registry, struct registry_sqlite_backup *backup, struct loop *home,
                           void (*done)(struct registry_sqlite_backup *backup))
{
    backup->done = done;
    backup->status = 0;
    return worker_post(registry_base_of(registry)->worker, WORKER_FIRST, home, &backup->job, on_backup_done);
}

static void begin_backup(struct registry_base *base, struct worker_job *job)
{
    struct registry_sqlite *self = self_of(base);
    struct registry_sqlite_backup *backup = container_of(job, struct registry_sqlite_backup, job);
    petrel_assert(job->done == on_backup_done);
    backup->status = PETREL_E_BUSY;
    if (self->backup == NULL)
        backup->status = sqlite_backup_begin(&self->copy, registry_sqlite_tables_file(base->tables), backup->path);
    if (backup->status == 0)
        self->backup = backup;
    else
        worker_finish(base->worker, job);
}

static void end_backup(struct registry_sqlite *self, int status)
{
    struct registry_sqlite_backup *backup = self->backup;
    self->backup = NULL;
    sqlite_backup_end(&self->copy);
    backup->status = status;
    worker_finish(self->base.worker, &backup->job);
}

/* ---- on the worker's thread ---- */

static int start(struct registry_base *base)
{
    const int err = registry_sqlite_tables_open(&base->tables, self_of(base)->config.path);
    return err == 0 ? registry_base_publish(base) : err;
}

static int connect(struct registry_base *base)
{
    (void)base;
    return 0; /* from start() to stop() */
}

static void settle(struct registry_base *base, int status)
{
    (void)base;
    (void)status;
}

static int purge_slice(struct registry_base *base)
{
    const int rc = tables_purge(base->tables);
    return rc == 1 ? sqlite_shrink(registry_sqlite_tables_file(base->tables), SHRINK_PAGES) : rc;
}

/* The work between batches, a slice at a time. */
static uint32_t tend(struct registry_base *base)
{
    struct registry_sqlite *self = self_of(base);
    if (self->backup != NULL) {
        const int rc = sqlite_backup_step(self->copy, BACKUP_PAGES);
        if (rc <= 0)
            end_backup(self, rc);
        return 0;
    }
    if (base->unpublished && registry_base_publish(base) != 0)
        return RETRY_MS;
    if (!base->tables->purging)
        return UINT32_MAX;
    const bool failed = purge_slice(base) != 0;
    base->tables->purging |= failed;
    return failed ? RETRY_MS : 0;
}

static void stop(struct registry_base *base)
{
    struct registry_sqlite *self = self_of(base);
    if (self->backup != NULL)
        end_backup(self, PETREL_E_CLOSING);
}

/* ---- opening and closing ---- */

static void on_snapshot(struct registry_base *base, struct snapshot *snapshot)
{
    const struct registry_sqlite_config *config = &self_of(base)->config;
    config->on_snapshot(config->ctx, snapshot);
}

static void registry_free(struct registry_base *base)
{
    struct registry_sqlite *self = self_of(base);
    free(self->path);
    free(self);
}

int registry_sqlite_open(struct registry **out, const struct registry_sqlite_config *config)
{
    static const struct registry_base_ops ops = {
        .name = "sqlite",
        .slice_max = SLICE_MAX,
        .start = start,
        .connect = connect,
        .settle = settle,
        .take_job = begin_backup,
        .tend = tend,
        .stop = stop,
        .free = registry_free,
    };
    struct registry_sqlite *self = object_zalloc(sizeof *self);
    self->base.ops = &ops;
    self->base.clock = config->clock;
    self->base.on_snapshot = on_snapshot;
    self->config = *config;
    self->path = object_strdup(config->path);
    self->config.path = self->path;
    const int err = registry_base_open(&self->base);
    *out = err == 0 ? &self->base.registry : NULL;
    return err;
}
