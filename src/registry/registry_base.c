#include "registry/registry_base.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "registry/registry_audit.h"

#include <stdlib.h>

#define REGISTRY_MAGIC OBJECT_MAGIC('R', 'B', 'A', 'S')
#define PENDING_MAX 1024
#define TRIES 3 /* of a slice that others' transactions were in the way of */

enum op {
    OP_APP_CREATE,
    OP_APP_LIST,
    OP_APP_CHANGE,
    OP_APP_DELETE,
    OP_KEY_CREATE,
    OP_KEY_LIST,
    OP_KEY_REVOKE,
    OP_DEVICE_REGISTER,
    OP_DEVICE_LIST,
    OP_DEVICE_REVOKE,
    OP_AUDIT_ADD,
    OP_AUDIT_LIST,
    OP_REFRESH,
    OP_COUNT
};

static const struct op_rule {
    int (*run)(struct tables *tables, struct registry_request *request);
    bool writes;
} op_rules[OP_COUNT] = {
    [OP_APP_CREATE] = {tables_apps_create, true},    [OP_APP_LIST] = {tables_apps_list, false},
    [OP_APP_CHANGE] = {tables_change_run, true},     [OP_APP_DELETE] = {tables_apps_delete, true},
    [OP_KEY_CREATE] = {tables_keys_create, true},    [OP_KEY_LIST] = {tables_keys_list, false},
    [OP_KEY_REVOKE] = {tables_keys_revoke, true},    [OP_DEVICE_REGISTER] = {tables_devices_register, true},
    [OP_DEVICE_LIST] = {tables_devices_list, false}, [OP_DEVICE_REVOKE] = {tables_devices_revoke, true},
    [OP_AUDIT_ADD] = {tables_audit_add, true},       [OP_AUDIT_LIST] = {tables_audit_list, false},
    /* OP_REFRESH has none: many are answered by one look, outside of transactions. */
};

/* ---- on the callers' loops ---- */

struct registry_base *registry_base_of(struct registry *registry)
{
    struct registry_base *base = container_of(registry, struct registry_base, registry);
    object_check(base, REGISTRY_MAGIC);
    return base;
}

static void on_request_done(struct worker_job *job)
{
    struct registry_request *request = container_of(job, struct registry_request, job);
    void *rows = request->out.rows;
    request->done(request); /* may free the request */
    free(rows);
}

static int post(struct registry *registry, struct registry_request *request, enum op op)
{
    memset(&request->out, 0, sizeof request->out);
    request->op = (int)op;
    request->status = 0;
    request->in_doubt = false;
    return worker_post(registry_base_of(registry)->worker, WORKER_FIRST, request->home, &request->job, on_request_done);
}

static int app_create(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_APP_CREATE);
}

static int app_list(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_APP_LIST);
}

static int app_change(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_APP_CHANGE);
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

static int audit_add(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_AUDIT_ADD);
}

static int audit_list(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_AUDIT_LIST);
}

static int refresh(struct registry *registry, struct registry_request *request)
{
    return post(registry, request, OP_REFRESH);
}

/* ---- the snapshot, on the worker's thread ---- */

uint64_t registry_base_now_ms(void)
{
    return clock_mono_ms(clock_system());
}

uint32_t registry_base_until(uint64_t due_ms)
{
    const uint64_t now = registry_base_now_ms();
    return due_ms <= now ? 0 : (uint32_t)(due_ms - now);
}

int registry_base_publish(struct registry_base *base)
{
    struct snapshot *snapshot = NULL;
    const int status = tables_snapshot(base->tables, base->last, &snapshot);
    base->unpublished = status != 0;
    if (status != 0)
        return status;
    base->version = snapshot_version(snapshot);
    base->on_snapshot(base, snapshot);
    snapshot_unref(base->last);
    base->last = snapshot;
    return 0;
}

int registry_base_poll(struct registry_base *base)
{
    uint64_t version;
    int status = tables_poll(base->tables, &version);
    if (status == 0 && version < base->version)
        log_at(LOG_WARN, "registry",
               "the database is older than the last snapshot: after a restore its version is to be raised",
               LOG_NUM("version", version), LOG_NUM("last", base->version));
    if (status == 0 && (base->unpublished || version != base->version))
        status = registry_base_publish(base);
    base->ops->settle(base, status);
    return status;
}

/* ---- requests, on the worker's thread ---- */

static bool is_request(const struct worker_job *job)
{
    return job->done == on_request_done;
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

static bool runs(struct worker_job *job)
{
    return is_request(job) && rule_of(request_of(job))->run != NULL;
}

static void take_back(struct registry_request *request, int status)
{
    free(request->out.rows);
    explicit_bzero(&request->out, sizeof request->out);
    request->status = status;
}

/* What a request was given before it found out that it can't be answered is not shown. */
static void run_one(struct registry_base *base, struct registry_request *request)
{
    const int status = rule_of(request)->run(base->tables, request);
    if (status != 0)
        take_back(request, status);
}

/* What fails the whole slice: a write that could not be, or anything without a connection. */
static int failure_of(const struct registry_base *base, const struct registry_request *request)
{
    const int status = request->status;
    if (status != PETREL_E_FULL && status != PETREL_E_LOCKED && status != PETREL_E_UNAVAILABLE)
        return 0;
    return rule_of(request)->writes || !base->tables->ops->usable(base->tables) ? status : 0;
}

static int end_transaction(struct registry_base *base, int failure)
{
    if (failure != 0) {
        base->tables->ops->rollback(base->tables);
        return failure;
    }
    const int err = base->tables->ops->commit(base->tables);
    base->in_doubt = err != 0;
    return err != 0 ? tables_failure(err) : 0;
}

/* 0: durable, or nothing was written; or the failure that lost all of it. */
static int run_transaction(struct registry_base *base, struct worker_job *slice)
{
    bool begun = false;
    int failure = 0;
    for (struct worker_job *job = slice; job != NULL && failure == 0; job = job->next) {
        if (!runs(job))
            continue;
        struct registry_request *request = request_of(job);
        if (rule_of(request)->writes && !begun) {
            const int err = base->tables->ops->begin(base->tables, true);
            if (err != 0)
                return tables_failure(err);
            begun = true;
        }
        run_one(base, request);
        failure = failure_of(base, request);
    }
    return begun ? end_transaction(base, failure) : failure;
}

static int try_slice(struct registry_base *base, struct worker_job *slice)
{
    base->in_doubt = false;
    if (base->ops->connect(base) != 0)
        return PETREL_E_UNAVAILABLE;
    base->tables->now_ms = clock_wall_ms(base->clock);
    base->tables->changed = false;
    const int failure = run_transaction(base, slice);
    base->ops->settle(base, failure);
    return failure;
}

/* A slice that met a deadlock was undone. Where the connection is lost, what the server never saw committed was not written:
 * it restarted since it was last asked. Either may be done anew; a COMMIT without an answer may not. */
static int try_slice_again(struct registry_base *base, struct worker_job *slice, int failure, bool was_connected)
{
    bool lost = was_connected && base->tables == NULL;
    for (int tries = 1; tries < TRIES && !base->in_doubt && (failure == PETREL_E_LOCKED || lost); tries++) {
        for (struct worker_job *job = slice; job != NULL; job = job->next)
            if (runs(job))
                take_back(request_of(job), 0);
        failure = try_slice(base, slice);
        lost = false; /* once: it is not what was asked that ends connections */
    }
    return failure == PETREL_E_LOCKED ? PETREL_E_UNAVAILABLE : failure;
}

/* Every write of the slice is lost; reads may have seen what is gone now, so they are asked again. */
static void fail_slice(struct registry_base *base, struct worker_job *slice, int failure)
{
    for (struct worker_job *job = slice; job != NULL; job = job->next) {
        if (!runs(job))
            continue;
        struct registry_request *request = request_of(job);
        const bool again = !rule_of(request)->writes && base->tables != NULL;
        take_back(request, again ? 0 : failure);
        request->in_doubt = rule_of(request)->writes && base->in_doubt;
        if (!again)
            continue;
        run_one(base, request);
        base->ops->settle(base, request->status);
    }
}

static void run_slice(struct registry_base *base, struct worker_job *slice)
{
    const bool was_connected = base->tables != NULL;
    int failure = try_slice(base, slice);
    if (failure != 0)
        failure = try_slice_again(base, slice, failure, was_connected);
    /* Written but not to be seen: whoever wrote must ask again. */
    if (failure == 0 && (base->tables->changed || base->unpublished)) {
        base->unpublished = true;
        failure = registry_base_publish(base);
        base->in_doubt = failure != 0;
        base->ops->settle(base, failure);
    }
    if (failure != 0)
        fail_slice(base, slice, failure);
}

/* Cut the first jobs off the batch. *runnable: whether one of them is for the tables. */
static struct worker_job *cut_slice(struct registry_base *base, struct worker_job **batch, bool *runnable)
{
    struct worker_job *first = *batch;
    struct worker_job *last = first;
    *runnable = runs(first);
    for (size_t i = 1; i < base->ops->slice_max && last->next != NULL; i++) {
        last = last->next;
        *runnable |= runs(last);
    }
    *batch = last->next;
    last->next = NULL;
    return first;
}

static void finish_slice(struct registry_base *base, struct worker_job *slice)
{
    for (struct worker_job *job = slice, *next; job != NULL; job = next) {
        next = job->next;
        if (!is_request(job)) {
            base->ops->take_job(base, job);
        } else if (runs(job)) {
            worker_finish(base->worker, job);
        } else {
            job->next = base->refreshes;
            base->refreshes = job;
        }
    }
}

static void run_batch(struct registry_base *base, struct worker_job *batch)
{
    while (batch != NULL) {
        bool runnable;
        struct worker_job *slice = cut_slice(base, &batch, &runnable);
        if (runnable)
            run_slice(base, slice);
        finish_slice(base, slice);
    }
}

/* ---- looks that were asked for, on the worker's thread ---- */

static void finish_refreshes(struct registry_base *base, int status)
{
    while (base->refreshes != NULL) {
        struct worker_job *job = base->refreshes;
        base->refreshes = job->next;
        request_of(job)->status = status;
        worker_finish(base->worker, job);
    }
}

static bool look(struct registry_base *base)
{
    return base->ops->connect(base) == 0 && registry_base_poll(base) == 0;
}

/* One look serves all that wait for it. Returns how long the next may wait. */
static uint32_t refresh_if_due(struct registry_base *base)
{
    if (base->refreshes == NULL)
        return UINT32_MAX;
    const uint32_t wait = registry_base_until(base->refresh_at_ms);
    if (wait > 0)
        return wait;
    base->refresh_at_ms = registry_base_now_ms() + base->ops->refresh_ms;
    const bool was_connected = base->tables != NULL;
    bool seen = look(base);
    if (!seen && was_connected && base->tables == NULL)
        seen = look(base); /* on a new connection: the server restarted since it was last asked */
    finish_refreshes(base, seen ? 0 : PETREL_E_UNAVAILABLE);
    return UINT32_MAX;
}

static uint32_t on_work(void *ctx, struct worker_job *batch)
{
    struct registry_base *base = ctx;
    object_check(base, REGISTRY_MAGIC);
    run_batch(base, batch);
    const uint32_t refresh_wait = refresh_if_due(base);
    const uint32_t wait = base->ops->tend(base);
    return refresh_wait < wait ? refresh_wait : wait;
}

static void close_tables(struct registry_base *base)
{
    if (base->tables != NULL)
        base->tables->ops->close(base->tables);
    base->tables = NULL;
}

static int on_start(void *ctx)
{
    struct registry_base *base = ctx;
    const int err = base->ops->start(base);
    if (err != 0)
        close_tables(base);
    return err;
}

static void on_stop(void *ctx)
{
    struct registry_base *base = ctx;
    finish_refreshes(base, PETREL_E_UNAVAILABLE);
    base->ops->stop(base);
    close_tables(base);
}

/* ---- opening and closing ---- */

static void registry_close(struct registry *registry)
{
    struct registry_base *base = registry_base_of(registry);
    worker_stop(&base->worker);
    snapshot_unref(base->last);
    base->magic = 0;
    base->ops->free(base);
}

static const struct registry_ops registry_ops = {
    .app_create = app_create,
    .app_list = app_list,
    .app_change = app_change,
    .app_delete = app_delete,
    .key_create = key_create,
    .key_list = key_list,
    .key_revoke = key_revoke,
    .device_register = device_register,
    .device_list = device_list,
    .device_revoke = device_revoke,
    .refresh = refresh,
    .close = registry_close,
};

static const struct registry_audit_ops audit_ops = {
    .add = audit_add,
    .list = audit_list,
};

int registry_base_open(struct registry_base *base)
{
    const struct worker_config worker = {
        .name = "registry",
        .max_pending = PENDING_MAX,
        .ctx = base,
        .start = on_start,
        .work = on_work,
        .stop = on_stop,
    };
    base->registry.ops = &registry_ops;
    base->registry.audit = &audit_ops;
    base->registry.name = base->ops->name;
    base->magic = REGISTRY_MAGIC;
    base->unpublished = true;
    const int err = worker_start(&base->worker, &worker);
    if (err != 0) {
        snapshot_unref(base->last);
        base->ops->free(base);
    }
    return err;
}
