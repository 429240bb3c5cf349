#include "registry/registry_sqlite.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "registry/registry_sqlite_db.h"

#include <stdlib.h>

#define REGISTRY_MAGIC OBJECT_MAGIC('R', 'S', 'Q', 'L')
#define PENDING_MAX 1024
#define RETRY_MS 1000 /* until a failed publication or clean-up is tried again */
#define BACKUP_PAGES 256

struct registry_sqlite {
    struct registry registry;
    uint32_t magic;
    struct worker *worker;

    /* The worker's thread only, from here on. */
    struct registry_sqlite_config config; /* path is a copy */
    char *path;
    struct registry_sqlite_db *db;
    bool unpublished; /* the last snapshot is older than the file */
    struct sqlite_backup *copy;
    struct registry_sqlite_backup *backup; /* who asked for the copy */
};

enum op {
    OP_APP_CREATE,
    OP_APP_LIST,
    OP_APP_DELETE,
    OP_KEY_CREATE,
    OP_KEY_LIST,
    OP_KEY_REVOKE,
    OP_DEVICE_REGISTER,
    OP_DEVICE_LIST,
    OP_DEVICE_REVOKE,
    OP_COUNT
};

static const struct op_rule {
    int (*run)(struct registry_sqlite_db *db, struct registry_request *request);
    bool writes;
} op_rules[OP_COUNT] = {
    [OP_APP_CREATE] = {registry_sqlite_apps_create, true},
    [OP_APP_LIST] = {registry_sqlite_apps_list, false},
    [OP_APP_DELETE] = {registry_sqlite_apps_delete, true},
    [OP_KEY_CREATE] = {registry_sqlite_keys_create, true},
    [OP_KEY_LIST] = {registry_sqlite_keys_list, false},
    [OP_KEY_REVOKE] = {registry_sqlite_keys_revoke, true},
    [OP_DEVICE_REGISTER] = {registry_sqlite_devices_register, true},
    [OP_DEVICE_LIST] = {registry_sqlite_devices_list, false},
    [OP_DEVICE_REVOKE] = {registry_sqlite_devices_revoke, true},
};

/* ---- on the callers' loops ---- */

static struct registry_sqlite *registry_of(struct registry *registry)
{
    struct registry_sqlite *self = container_of(registry, struct registry_sqlite, registry);
    object_check(self, REGISTRY_MAGIC);
    return self;
}

static void on_request_done(struct worker_job *job)
{
    struct registry_request *request = container_of(job, struct registry_request, job);
    void *rows = request->out.rows;
    request->done(request); /* may free the request */
    free(rows);
}

static void on_backup_done(struct worker_job *job)
{
    struct registry_sqlite_backup *backup = container_of(job, struct registry_sqlite_backup, job);
    backup->done(backup);
}

static int post(struct registry *registry, struct registry_request *request, enum op op)
{
    memset(&request->out, 0, sizeof request->out);
    request->op = (int)op;
    request->status = 0;
    return worker_post(registry_of(registry)->worker, request->home, &request->job, on_request_done);
}

static int app_create(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_APP_CREATE);
}

static int app_list(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_APP_LIST);
}

static int app_delete(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_APP_DELETE);
}

static int key_create(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_KEY_CREATE);
}

static int key_list(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_KEY_LIST);
}

static int key_revoke(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_KEY_REVOKE);
}

static int device_register(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_DEVICE_REGISTER);
}

static int device_list(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_DEVICE_LIST);
}

static int device_revoke(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_DEVICE_REVOKE);
}

int registry_sqlite_backup(struct registry *registry, struct registry_sqlite_backup *backup, struct loop *home,
                           void (*done)(struct registry_sqlite_backup *backup))
{
    backup->done = done;
    backup->status = 0;
    return worker_post(registry_of(registry)->worker, home, &backup->job, on_backup_done);
}

/* ---- on the worker's thread ---- */

static bool is_backup(const struct worker_job *job)
{
    return job->done == on_backup_done;
}

static struct registry_request *request_of(struct worker_job *job)
{
    return container_of(job, struct registry_request, job);
}

static const struct op_rule *rule_of(const struct registry_request *request)
{
    petrel_assert(request->op >= 0 && request->op < OP_COUNT);
    return &op_rules[request->op];
}

static void take_back(struct registry_request *request, int status)
{
    free(request->out.rows);
    explicit_bzero(&request->out, sizeof request->out);
    request->status = status;
}

static bool is_failure(int status)
{
    return status == PETREL_E_FULL || status == PETREL_E_UNAVAILABLE;
}

/* What a request was given before it found out that it can't be answered is not shown. */
static void run_one(struct registry_sqlite *self, struct registry_request *request)
{
    const int status = rule_of(request)->run(self->db, request);
    if (status != 0)
        take_back(request, status);
}

/* All of a batch in one transaction, begun by the first that writes. 0: durable, or nothing was written; or the failure that
 * lost all of it. */
static int run_transaction(struct registry_sqlite *self, struct worker_job *batch)
{
    bool begun = false;
    int failure = 0;
    for (struct worker_job *job = batch; job != NULL && failure == 0; job = job->next) {
        if (is_backup(job))
            continue;
        struct registry_request *request = request_of(job);
        const bool writes = rule_of(request)->writes;
        if (writes && !begun) {
            const int err = sqlite_begin(self->db->sqlite);
            if (err != 0)
                return registry_sqlite_db_failure(err);
            begun = true;
        }
        run_one(self, request);
        if (writes && is_failure(request->status))
            failure = request->status;
    }
    if (failure != 0) {
        sqlite_rollback(self->db->sqlite);
    } else if (begun) {
        const int err = sqlite_commit(self->db->sqlite);
        failure = err != 0 ? registry_sqlite_db_failure(err) : 0;
    }
    return failure;
}

/* Every write of the batch is lost; reads may have seen what is gone now, so they are asked again. */
static void fail_batch(struct registry_sqlite *self, struct worker_job *batch, int failure)
{
    for (struct worker_job *job = batch; job != NULL; job = job->next) {
        if (is_backup(job))
            continue;
        struct registry_request *request = request_of(job);
        const bool writes = rule_of(request)->writes;
        take_back(request, writes ? failure : 0);
        if (!writes)
            run_one(self, request);
    }
}

static int publish(struct registry_sqlite *self)
{
    struct snapshot *snapshot = NULL;
    const int status = registry_sqlite_db_snapshot(self->db, &snapshot);
    self->unpublished = status != 0;
    if (status == 0)
        self->config.on_snapshot(self->config.ctx, snapshot);
    snapshot_unref(snapshot);
    return status;
}

static void run_batch(struct registry_sqlite *self, struct worker_job *batch)
{
    self->db->now_ms = clock_wall_ms(self->config.clock);
    self->db->changed = false;
    int failure = run_transaction(self, batch);
    /* Written but not to be seen: whoever wrote must ask again. */
    if (failure == 0 && (self->db->changed || self->unpublished))
        failure = publish(self);
    if (failure != 0)
        fail_batch(self, batch, failure);
}

static void end_backup(struct registry_sqlite *self, int status)
{
    struct registry_sqlite_backup *backup = self->backup;
    self->backup = NULL;
    sqlite_backup_end(&self->copy);
    backup->status = status;
    worker_finish(self->worker, &backup->job);
}

static void begin_backup(struct registry_sqlite *self, struct registry_sqlite_backup *backup)
{
    backup->status = PETREL_E_BUSY;
    if (self->backup == NULL)
        backup->status = sqlite_backup_begin(&self->copy, self->db->sqlite, backup->path);
    if (backup->status == 0)
        self->backup = backup;
    else
        worker_finish(self->worker, &backup->job);
}

static void finish_batch(struct registry_sqlite *self, struct worker_job *batch)
{
    for (struct worker_job *job = batch, *next; job != NULL; job = next) {
        next = job->next;
        if (is_backup(job))
            begin_backup(self, container_of(job, struct registry_sqlite_backup, job));
        else
            worker_finish(self->worker, job);
    }
}

/* The work between batches, a slice at a time. Returns how long the next may wait. */
static uint32_t run_slices(struct registry_sqlite *self)
{
    if (self->backup != NULL) {
        const int rc = sqlite_backup_step(self->copy, BACKUP_PAGES);
        if (rc <= 0)
            end_backup(self, rc);
        return 0;
    }
    if (self->unpublished && publish(self) != 0)
        return RETRY_MS;
    const int rc = registry_sqlite_db_purge(self->db);
    return rc == 1 ? 0 : rc == 0 ? UINT32_MAX : RETRY_MS;
}

static uint32_t on_work(void *ctx, struct worker_job *batch)
{
    struct registry_sqlite *self = ctx;
    object_check(self, REGISTRY_MAGIC);
    if (batch != NULL) {
        run_batch(self, batch);
        finish_batch(self, batch);
    }
    return run_slices(self);
}

static int on_start(void *ctx)
{
    struct registry_sqlite *self = ctx;
    int err = registry_sqlite_db_open(&self->db, self->config.path);
    if (err == 0)
        err = publish(self);
    if (err != 0)
        registry_sqlite_db_close(&self->db);
    return err;
}

static void on_stop(void *ctx)
{
    struct registry_sqlite *self = ctx;
    if (self->backup != NULL)
        end_backup(self, PETREL_E_CLOSING);
    registry_sqlite_db_close(&self->db);
}

/* ---- opening and closing ---- */

static void registry_free(struct registry_sqlite *self)
{
    self->magic = 0;
    free(self->path);
    free(self);
}

static void registry_close(struct registry *registry)
{
    struct registry_sqlite *self = registry_of(registry);
    worker_stop(&self->worker);
    registry_free(self);
}

static const struct registry_ops registry_sqlite_ops = {
    .name = "sqlite",
    .app_create = app_create,
    .app_list = app_list,
    .app_delete = app_delete,
    .key_create = key_create,
    .key_list = key_list,
    .key_revoke = key_revoke,
    .device_register = device_register,
    .device_list = device_list,
    .device_revoke = device_revoke,
    .close = registry_close,
};

int registry_sqlite_open(struct registry **out, const struct registry_sqlite_config *config)
{
    *out = NULL;
    struct registry_sqlite *self = object_zalloc(sizeof *self);
    self->registry.ops = &registry_sqlite_ops;
    self->magic = REGISTRY_MAGIC;
    self->config = *config;
    self->path = object_strdup(config->path);
    self->config.path = self->path;
    const struct worker_config worker = {
        .name = "registry",
        .max_pending = PENDING_MAX,
        .ctx = self,
        .start = on_start,
        .work = on_work,
        .stop = on_stop,
    };
    const int err = worker_start(&self->worker, &worker);
    if (err != 0) {
        registry_free(self);
        return err;
    }
    *out = &self->registry;
    return 0;
}
