#include "registry/registry_mysql.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "base/rng.h"
#include "registry/registry_mysql_db.h"

#include <stdlib.h>

#define REGISTRY_MAGIC OBJECT_MAGIC('R', 'M', 'Y', 'S')
#define PENDING_MAX 1024
#define SLICE_MAX 64 /* requests in a transaction: other nodes' writes wait as long as it takes */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

struct registry_mysql {
    struct registry registry;
    uint32_t magic;
    struct worker *worker;

    /* The worker's thread only, from here on. */
    struct registry_mysql_config config; /* its texts are copies */
    struct registry_mysql_db *db;        /* NULL: no connection */
    bool away;                           /* the last thing tried failed for want of the server; for the log */
    bool in_doubt;                       /* a COMMIT was sent and its answer did not come */
    bool purging;                        /* devices of deleted apps are left */
    uint64_t version;                    /* of the last snapshot */
    uint64_t poll_at_ms;
    uint64_t connect_at_ms; /* without a connection: not before this */
    uint32_t backoff_ms;    /* the next wait between two attempts to connect */
    struct rng rng;
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
    int (*run)(struct registry_mysql_db *db, struct registry_request *request);
    bool writes;
} op_rules[OP_COUNT] = {
    [OP_APP_CREATE] = {registry_mysql_apps_create, true},
    [OP_APP_LIST] = {registry_mysql_apps_list, false},
    [OP_APP_DELETE] = {registry_mysql_apps_delete, true},
    [OP_KEY_CREATE] = {registry_mysql_keys_create, true},
    [OP_KEY_LIST] = {registry_mysql_keys_list, false},
    [OP_KEY_REVOKE] = {registry_mysql_keys_revoke, true},
    [OP_DEVICE_REGISTER] = {registry_mysql_devices_register, true},
    [OP_DEVICE_LIST] = {registry_mysql_devices_list, false},
    [OP_DEVICE_REVOKE] = {registry_mysql_devices_revoke, true},
};

/* ---- on the callers' loops ---- */

static struct registry_mysql *registry_of(struct registry *registry)
{
    struct registry_mysql *self = container_of(registry, struct registry_mysql, registry);
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

/* ---- the connection, on the worker's thread ---- */

/* Connections live in real time, whatever the clock of what is written says. */
static uint64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* Not before a wait that doubles, and is of random length so that all nodes do not come back at once. The first is none. */
static void wait_to_connect(struct registry_mysql *self)
{
    const uint32_t most = self->backoff_ms;
    self->connect_at_ms = now_ms() + (most == 0 ? 0 : most / 2 + rng_below(&self->rng, most / 2 + 1));
    self->backoff_ms = most == 0 ? BACKOFF_MIN_MS : most < BACKOFF_MAX_MS / 2 ? most * 2 : BACKOFF_MAX_MS;
}

static void tell_away(struct registry_mysql *self, bool away)
{
    if (away && !self->away)
        log_event(LOG_WARN, "registry", "MySQL is away; the last snapshot stays, changes are refused");
    if (!away && self->away)
        log_event(LOG_INFO, "registry", "MySQL is back");
    self->away = away;
}

/* After anything was asked, with its status: the server has answered, or a connection that can't be used any more is given up. */
static void settle(struct registry_mysql *self, int status)
{
    if (status == 0) {
        tell_away(self, false);
        self->backoff_ms = 0;
    } else if (self->db != NULL && !mysqldb_usable(self->db->mysql)) {
        registry_mysql_db_close(&self->db);
        tell_away(self, true);
        wait_to_connect(self);
    }
}

/* 0: there is a connection, which may turn out to be dead. */
static int connect_if_due(struct registry_mysql *self)
{
    if (self->db != NULL)
        return 0;
    if (now_ms() < self->connect_at_ms)
        return PETREL_E_UNAVAILABLE;
    if (registry_mysql_db_open(&self->db, &self->config.server) != 0) {
        tell_away(self, true);
        wait_to_connect(self);
        return PETREL_E_UNAVAILABLE;
    }
    self->poll_at_ms = 0; /* something may have changed meanwhile */
    return 0;
}

/* 0 or a failure. */
static int publish(struct registry_mysql *self)
{
    struct snapshot *snapshot = NULL;
    const int status = registry_mysql_db_snapshot(self->db, &snapshot);
    if (status == 0) {
        self->version = snapshot_version(snapshot);
        self->config.on_snapshot(self->config.ctx, snapshot);
    }
    snapshot_unref(snapshot);
    return status;
}

/* ---- requests, on the worker's thread ---- */

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

/* What a request was given before it found out that it can't be answered is not shown. */
static void run_one(struct registry_mysql *self, struct registry_request *request)
{
    const int status = rule_of(request)->run(self->db, request);
    if (status != 0)
        take_back(request, status);
}

/* What fails the whole slice: a write that could not be, or anything without a connection. */
static int failure_of(const struct registry_mysql *self, const struct registry_request *request)
{
    if (request->status != PETREL_E_FULL && request->status != PETREL_E_UNAVAILABLE)
        return 0;
    return rule_of(request)->writes || !mysqldb_usable(self->db->mysql) ? request->status : 0;
}

/* All of a slice in one transaction, begun by the first that writes. 0: durable, or nothing was written; or the failure that lost
 * all of it. */
static int run_transaction(struct registry_mysql *self, struct worker_job *slice)
{
    bool begun = false;
    int failure = 0;
    for (struct worker_job *job = slice; job != NULL && failure == 0; job = job->next) {
        struct registry_request *request = request_of(job);
        if (rule_of(request)->writes && !begun) {
            failure = registry_mysql_db_begin(self->db);
            if (failure != 0)
                return failure;
            begun = true;
        }
        run_one(self, request);
        failure = failure_of(self, request);
    }
    if (failure != 0) {
        mysqldb_rollback(self->db->mysql);
    } else if (begun) {
        const int err = mysqldb_commit(self->db->mysql);
        failure = err != 0 ? registry_mysql_db_failure(err) : 0;
        self->in_doubt = err != 0;
    }
    return failure;
}

static int try_slice(struct registry_mysql *self, struct worker_job *slice)
{
    if (connect_if_due(self) != 0)
        return PETREL_E_UNAVAILABLE;
    self->in_doubt = false;
    self->db->now_ms = clock_wall_ms(self->config.clock);
    self->db->changed = false;
    const int failure = run_transaction(self, slice);
    settle(self, failure);
    return failure;
}

/* Every write of the slice is lost; reads may have seen what is gone now, so they are asked again. */
static void fail_slice(struct registry_mysql *self, struct worker_job *slice, int failure)
{
    for (struct worker_job *job = slice; job != NULL; job = job->next) {
        struct registry_request *request = request_of(job);
        const bool again = !rule_of(request)->writes && self->db != NULL;
        take_back(request, again ? 0 : failure);
        if (again)
            run_one(self, request);
        settle(self, request->status);
    }
}

static void run_slice(struct registry_mysql *self, struct worker_job *slice)
{
    const bool was_connected = self->db != NULL;
    int failure = try_slice(self, slice);
    /* The server restarted since it was last asked: what it never saw committed was not written, and may be done anew. */
    if (failure != 0 && was_connected && self->db == NULL && !self->in_doubt) {
        for (struct worker_job *job = slice; job != NULL; job = job->next)
            take_back(request_of(job), 0);
        failure = try_slice(self, slice);
    }
    /* Written but not to be seen: whoever wrote must ask again. */
    if (failure == 0 && self->db->changed) {
        failure = publish(self);
        self->poll_at_ms = failure == 0 ? self->poll_at_ms : 0;
        settle(self, failure);
    }
    if (failure != 0)
        fail_slice(self, slice, failure);
}

/* Cut the first jobs off the batch. */
static struct worker_job *cut_slice(struct worker_job **batch)
{
    struct worker_job *first = *batch;
    struct worker_job *last = first;
    for (size_t i = 1; i < SLICE_MAX && last->next != NULL; i++)
        last = last->next;
    *batch = last->next;
    last->next = NULL;
    return first;
}

static void run_batch(struct registry_mysql *self, struct worker_job *batch)
{
    while (batch != NULL) {
        struct worker_job *slice = cut_slice(&batch);
        run_slice(self, slice);
        for (struct worker_job *job = slice, *next; job != NULL; job = next) {
            next = job->next;
            worker_finish(self->worker, job);
        }
    }
}

/* ---- between requests, on the worker's thread ---- */

/* Ask for the version; another than the last one's means a new snapshot. */
static void poll_version(struct registry_mysql *self)
{
    uint64_t version;
    int status = registry_mysql_db_poll(self->db, &version, &self->purging);
    self->poll_at_ms = now_ms() + self->config.poll_ms;
    if (status == 0 && version != self->version)
        status = publish(self);
    settle(self, status);
}

static void purge_slice(struct registry_mysql *self)
{
    const int rc = registry_mysql_db_purge(self->db);
    self->purging = rc == 1; /* after a failure the next poll says whether there is something to do */
    settle(self, rc < 0 ? rc : 0);
}

static uint32_t until(uint64_t due_ms)
{
    const uint64_t now = now_ms();
    return due_ms <= now ? 0 : (uint32_t)(due_ms - now);
}

/* A primary that takes no writes any more has a successor, perhaps at the same address. */
static int find_primary(struct registry_mysql *self)
{
    if (!mysqldb_read_only(self->db->mysql))
        return 0;
    registry_mysql_db_close(&self->db);
    return connect_if_due(self);
}

/* Do what is due. Returns how long the next may wait. */
static uint32_t tend(struct registry_mysql *self)
{
    if (connect_if_due(self) != 0)
        return until(self->connect_at_ms);
    if (now_ms() >= self->poll_at_ms && find_primary(self) == 0)
        poll_version(self);
    if (self->db != NULL && self->purging)
        purge_slice(self);
    if (self->db == NULL)
        return until(self->connect_at_ms);
    return self->purging ? 0 : until(self->poll_at_ms);
}

static uint32_t on_work(void *ctx, struct worker_job *batch)
{
    struct registry_mysql *self = ctx;
    object_check(self, REGISTRY_MAGIC);
    run_batch(self, batch);
    return tend(self);
}

static int on_start(void *ctx)
{
    struct registry_mysql *self = ctx;
    int err = registry_mysql_db_open(&self->db, &self->config.server);
    if (err == 0)
        err = publish(self);
    if (err != 0)
        registry_mysql_db_close(&self->db);
    return err;
}

static void on_stop(void *ctx)
{
    struct registry_mysql *self = ctx;
    registry_mysql_db_close(&self->db);
}

/* ---- opening and closing ---- */

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

static void registry_free(struct registry_mysql *self)
{
    struct mysqldb_config *config = &self->config.server;
    if (config->password != NULL)
        explicit_bzero((char *)(uintptr_t)config->password, strlen(config->password));
    free_text(config->socket);
    free_text(config->host);
    free_text(config->user);
    free_text(config->password);
    free_text(config->database);
    self->magic = 0;
    free(self);
}

static void registry_close(struct registry *registry)
{
    struct registry_mysql *self = registry_of(registry);
    worker_stop(&self->worker);
    registry_free(self);
}

static const struct registry_ops registry_mysql_ops = {
    .name = "mysql",
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

static char *copy_of(const char *text)
{
    return text != NULL ? object_strdup(text) : NULL;
}

static struct registry_mysql *registry_new(const struct registry_mysql_config *config)
{
    struct registry_mysql *self = object_zalloc(sizeof *self);
    self->registry.ops = &registry_mysql_ops;
    self->magic = REGISTRY_MAGIC;
    rng_seed_system(&self->rng);
    self->config = *config;
    if (self->config.poll_ms == 0)
        self->config.poll_ms = REGISTRY_MYSQL_POLL_MS;
    struct mysqldb_config *copy = &self->config.server;
    copy->socket = copy_of(copy->socket);
    copy->host = copy_of(copy->host);
    copy->user = copy_of(copy->user);
    copy->password = copy_of(copy->password);
    copy->database = copy_of(copy->database);
    if (copy->connect_timeout_ms == 0)
        copy->connect_timeout_ms = REGISTRY_MYSQL_CONNECT_TIMEOUT_MS;
    if (copy->timeout_ms == 0)
        copy->timeout_ms = REGISTRY_MYSQL_TIMEOUT_MS;
    return self;
}

int registry_mysql_open(struct registry **out, const struct registry_mysql_config *config)
{
    *out = NULL;
    petrel_assert(config->server.database != NULL && (config->server.socket != NULL || config->server.host != NULL));
    struct registry_mysql *self = registry_new(config);
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
