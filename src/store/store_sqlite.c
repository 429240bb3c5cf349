#include "store/store_sqlite.h"

#include "base/err.h"
#include "base/object.h"
#include "store/store_sqlite_private.h"

#include <stdlib.h>

#define STORE_MAGIC OBJECT_MAGIC('s', 't', 's', 'q')
#define APPLICATION_ID 0x50745374 /* "PtSt" */
#define IDLE_MS 1000
#define BUSY_IDLE_MS 10 /* while a checkpoint or a vacuum is under way and nothing else waits */
#define TROUBLED_IDLE_MS 200
/* A commit costs the same with 10 operations as with 50. At some 10,000 a second and more these few hundred microseconds halve the
 * number of commits; a commit takes about as long itself. */
#define GATHER_US 400
#define GATHER_FROM 5
/* Of a commit at most: a millisecond or two. In a storm there are ten thousands of each. */
#define BINDS_SHARE 256
#define UNBINDS_SHARE 128

static const char *const versions[] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    /* With a rowid: a record of a few kilobytes still lies in one leaf, where a key's tree would need overflow pages. */
    "CREATE TABLE user (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, as_of INTEGER NOT NULL, due_ms INTEGER,"
    " record BLOB NOT NULL);"
    "CREATE INDEX user_due ON user (due_ms) WHERE due_ms IS NOT NULL;"
    "CREATE TABLE journal (seq INTEGER PRIMARY KEY, events BLOB NOT NULL);"
    "CREATE TABLE idem (key BLOB PRIMARY KEY, body_hash INTEGER NOT NULL, id BLOB NOT NULL, epoch INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, expires_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX idem_expires ON idem (expires_ms);",
};

static const struct sqlite_schema schema = {
    .name = "store",
    .application_id = APPLICATION_ID,
    .versions_count = sizeof versions / sizeof versions[0],
    .versions = versions,
};

static struct store_sqlite *of(struct store *base)
{
    struct store_sqlite *store = container_of(base, struct store_sqlite, base);
    object_check(store, STORE_MAGIC);
    return store;
}

/* Whether out points at memory of the store's. */
static bool lends(const struct store_request *request)
{
    return request->status == 0 &&
           (request->op == STORE_BIND || request->op == STORE_FETCH || request->op == STORE_CHECK ||
            request->op == STORE_MESSAGE_STATE || request->op == STORE_USER);
}

void store_sqlite_release(struct store_request *request)
{
    if (!lends(request))
        return;
    switch (request->op) {
    case STORE_BIND:
        inbox_page_release(&request->out.bound->page);
        free(request->out.bound);
        return;
    case STORE_FETCH:
        inbox_page_release(request->out.page);
        free(request->out.page);
        return;
    case STORE_CHECK:
        free(request->out.checked);
        return;
    case STORE_MESSAGE_STATE:
        free(request->out.stated);
        return;
    case STORE_USER:
        free(request->out.user);
        return;
    default:
        return;
    }
}

/* On the caller's loop. The callback may free the request, so what it lends is kept aside; appends and acks lend nothing. */
void store_sqlite_finish_request(struct worker_job *job)
{
    struct store_request *request = container_of(job, struct store_request, job);
    if (!lends(request)) {
        request->done(request);
        return;
    }
    struct store_request lent = {.op = request->op, .status = request->status, .out = request->out};
    request->done(request);
    store_sqlite_release(&lent);
}

/* What live sessions and senders wait for goes before who comes, and that before what nobody waits for. Calls of one session that follow
 * each other are asked after the answer; where that is not so, whole routes and positions make their order one (PROMISE §3). */
static enum worker_rank rank_of(enum store_op op)
{
    switch (op) {
    case STORE_BIND:
        return WORKER_SECOND;
    case STORE_UNBIND:
        return WORKER_THIRD;
    default:
        return WORKER_FIRST;
    }
}

static int submit(struct store *base, struct store_request *request)
{
    return worker_post(of(base)->worker, rank_of(request->op), request->home, &request->job,
                       store_sqlite_finish_request);
}

static void prepare(struct store_sqlite *store)
{
    struct sqlite *db = store->db;
    store->stmts = (struct store_sqlite_stmts){
        .journal_insert = sqlite_prepare(db, "INSERT INTO journal (seq, events) VALUES (?1, ?2)"),
        .journal_delete = sqlite_prepare(db, "DELETE FROM journal WHERE seq < ?1"),
        .journal_select = sqlite_prepare(db, "SELECT seq, events FROM journal ORDER BY seq"),
        .user_select = sqlite_prepare(db, "SELECT as_of, record FROM user WHERE key = ?1"),
        .user_upsert = sqlite_prepare(db, "INSERT INTO user (key, as_of, due_ms, record) VALUES (?1, ?2, ?3, ?4)"
                                          " ON CONFLICT (key) DO UPDATE SET as_of = excluded.as_of,"
                                          " due_ms = excluded.due_ms, record = excluded.record"),
        .user_delete = sqlite_prepare(db, "DELETE FROM user WHERE key = ?1"),
        .user_due = sqlite_prepare(db, "SELECT due_ms, id, key FROM user INDEXED BY user_due WHERE due_ms IS NOT NULL"
                                       " AND due_ms <= ?1 AND (due_ms, id) > (?2, ?3) ORDER BY due_ms, id LIMIT ?4"),
        .key_select = sqlite_prepare(db, "SELECT body_hash, id, epoch, seq, expires_ms FROM idem WHERE key = ?1"),
        .key_upsert = sqlite_prepare(db, "INSERT OR REPLACE INTO idem (key, body_hash, id, epoch, seq, expires_ms)"
                                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        .key_expire = sqlite_prepare(db, "DELETE FROM idem WHERE key IN"
                                         " (SELECT key FROM idem WHERE expires_ms <= ?1 LIMIT ?2)"),
        .meta_select = sqlite_prepare(db, "SELECT value FROM meta WHERE key = ?1"),
        .meta_upsert = sqlite_prepare(db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)"),
    };
}

/* The worker's thread is the only one that ever touches the file: locks are per descriptor table. */
static int start(void *ctx)
{
    struct store_sqlite *store = ctx;
    int err = sqlite_open(&store->db, store->config.path, &schema);
    if (err != 0)
        return err;
    /* Upserts of records go all over the table: its inner pages should stay at hand. */
    err = sqlite_exec(store->db, "PRAGMA cache_size = -8192");
    prepare(store);
    if (err == 0)
        err = store_sqlite_replay(store);
    if (err != 0)
        sqlite_close(&store->db);
    return err;
}

static struct worker_job *take_backups(struct store_sqlite *store, struct worker_job *batch)
{
    struct worker_job *requests = NULL, **end = &requests;
    while (batch != NULL) {
        struct worker_job *job = batch;
        batch = job->next;
        if (job->done == store_sqlite_backup_finish) {
            store_sqlite_backup_begin(store, container_of(job, struct store_sqlite_backup, job));
            continue;
        }
        *end = job;
        end = &job->next;
    }
    *end = NULL;
    return requests;
}

static uint32_t work(void *ctx, struct worker_job *batch)
{
    struct store_sqlite *store = ctx;
    bool idle = batch == NULL;
    store_sqlite_checkpoint_consider(store);
    bool checkpoint = store->phase != CHECKPOINT_NONE;
    store_sqlite_batch_run(store, take_backups(store, batch));
    store_sqlite_user_evict(store);
    /* A store that is never idle still gives room back, once a checkpoint. */
    bool ended = checkpoint && store->phase == CHECKPOINT_NONE;
    bool more = (idle || ended) && store_sqlite_checkpoint_shrink(store);
    if (store->backup != NULL)
        store_sqlite_backup_slice(store);
    metrics_set(store->config.metrics, METRIC_STORE_FULL, store->low || store->trouble == PETREL_E_FULL);
    metrics_set(store->config.metrics, METRIC_STORE_USERS, (int64_t)store->users.count);
    metrics_set(store->config.metrics, METRIC_STORE_JOURNAL_BYTES, (int64_t)store->journal_bytes);
    metrics_set(store->config.metrics, METRIC_STORE_CHECKPOINT_BYTES,
                store->phase != CHECKPOINT_NONE ? (int64_t)store->mark_bytes : 0);
    if (store->backup != NULL)
        return 0;
    if (store->trouble != 0 || store->low)
        return TROUBLED_IDLE_MS;
    return more || store->phase != CHECKPOINT_NONE ? BUSY_IDLE_MS : IDLE_MS;
}

static void stop(void *ctx)
{
    struct store_sqlite *store = ctx;
    store_sqlite_backup_cancel(store, PETREL_E_CLOSING);
    sqlite_close(&store->db);
}

static void free_store(struct store_sqlite *store)
{
    store_sqlite_user_free_all(store);
    idempotency_reset(&store->keys);
    user_order_reset(&store->order);
    free(store->woken);
    free(store->undos);
    bytes_reset(&store->saved);
    bytes_reset(&store->row);
    bytes_reset(&store->record);
    free((char *)store->config.path);
    store->magic = 0;
    free(store);
}

static void close_store(struct store *base)
{
    struct store_sqlite *store = of(base);
    worker_stop(&store->worker);
    free_store(store);
}

static const struct store_ops ops = {
    .name = "sqlite",
    .bind = submit,
    .unbind = submit,
    .enrol = submit,
    .remove = submit,
    .append = submit,
    .fetch = submit,
    .ack = submit,
    .check = submit,
    .recall = submit,
    .message_state = submit,
    .user = submit,
    .close = close_store,
};

static void set_defaults(struct store_sqlite_config *config)
{
    if (config->max_pending == 0)
        config->max_pending = 65536;
    if (config->checkpoint_bytes == 0)
        config->checkpoint_bytes = 64ULL << 20;
    if (config->memory_bytes == 0)
        config->memory_bytes = 256ULL << 20;
    if (config->min_free_bytes == 0)
        config->min_free_bytes = 64ULL << 20;
}

int store_sqlite_open(struct store **out, const struct store_sqlite_config *config)
{
    struct store_sqlite *store = object_zalloc(sizeof *store);
    struct rng rng;
    rng_seed_system(&rng);
    *out = NULL;
    store->magic = STORE_MAGIC;
    store->base.ops = &ops;
    store->config = *config;
    store->config.path = object_strdup(config->path);
    set_defaults(&store->config);
    user_index_init(&store->users, store_sqlite_rest_key, rng_u64(&rng));
    idempotency_init(&store->keys, rng_u64(&rng));
    struct worker_config worker = {
        .name = "store",
        .max_pending = store->config.max_pending,
        .gather_us = GATHER_US,
        .gather_from = GATHER_FROM,
        .share = {[WORKER_SECOND] = BINDS_SHARE, [WORKER_THIRD] = UNBINDS_SHARE},
        .ctx = store,
        .start = start,
        .work = work,
        .stop = stop,
    };
    int err = worker_start(&store->worker, &worker);
    if (err != 0) {
        free_store(store);
        return err;
    }
    *out = &store->base;
    return 0;
}

int store_sqlite_backup(struct store *base, struct store_sqlite_backup *backup, struct loop *home,
                        void (*done)(struct store_sqlite_backup *backup))
{
    petrel_assert(base->ops == &ops);
    backup->done = done;
    return worker_post(of(base)->worker, WORKER_FIRST, home, &backup->job, store_sqlite_backup_finish);
}
