#include "store/topics_sqlite.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/topics_reply.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

#define TOPICS_MAGIC OBJECT_MAGIC('t', 'p', 's', 'q')
#define APPLICATION_ID 0x50745470 /* "PtTp" */
#define IDLE_MS 1000
#define KEEP_PAGES 4096 /* free pages that the file may keep */
#define SHRINK_PAGES 512
#define EXPIRE_MIN 64 /* entries and ids in one commit */

static const char *const versions[] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE topic (id INTEGER PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " birth INTEGER NOT NULL, head INTEGER NOT NULL, floor INTEGER NOT NULL, count INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, ids INTEGER NOT NULL, touched_ms INTEGER NOT NULL, UNIQUE (app, name));"
    "CREATE INDEX topic_touched ON topic (touched_ms);"
    "CREATE TABLE epoch (topic INTEGER, epoch INTEGER, base INTEGER NOT NULL, PRIMARY KEY (topic, epoch)) WITHOUT "
    "ROWID;"
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, condition BLOB, message BLOB NOT NULL);"
    "CREATE UNIQUE INDEX entry_seq ON entry (topic, seq);"
    "CREATE INDEX entry_expires ON entry (expires_ms);"
    "CREATE TABLE remembered (topic INTEGER, id BLOB, seq INTEGER NOT NULL, until_ms INTEGER NOT NULL,"
    " body INTEGER NOT NULL, PRIMARY KEY (topic, id)) WITHOUT ROWID;"
    "CREATE INDEX remembered_until ON remembered (until_ms);"
    "CREATE TABLE subscriber (app TEXT, user TEXT, device TEXT, version INTEGER NOT NULL, touched_ms INTEGER NOT NULL,"
    " PRIMARY KEY (app, user, device)) WITHOUT ROWID;"
    "CREATE INDEX subscriber_touched ON subscriber (touched_ms);"
    "CREATE TABLE subscription (app TEXT, user TEXT, device TEXT, topic TEXT, epoch INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, PRIMARY KEY (app, user, device, topic)) WITHOUT ROWID;",
};

static const struct sqlite_schema schema = {
    .name = "topics",
    .application_id = APPLICATION_ID,
    .versions_count = sizeof versions / sizeof versions[0],
    .versions = versions,
};

static struct topics_sqlite *of(struct topics *base)
{
    struct topics_sqlite *topics = container_of(base, struct topics_sqlite, base);
    object_check(topics, TOPICS_MAGIC);
    return topics;
}

int topics_sqlite_fail(struct topics_sqlite *topics, int err)
{
    if (topics->failure == 0)
        topics->failure = err == PETREL_E_FULL ? PETREL_E_FULL : PETREL_E_UNAVAILABLE;
    return PETREL_E_UNAVAILABLE;
}

static void finish(struct worker_job *job)
{
    topics_reply_finish(container_of(job, struct topics_request, job));
}

static int execute(struct topics_sqlite *topics, struct topics_request *request)
{
    int err = topics_check(request, &topics->config.limits);
    if (err != 0)
        return err;
    switch (request->op) {
    case TOPICS_APPEND:
        return topics_sqlite_log_append(topics, request);
    case TOPICS_FETCH:
        return topics_sqlite_log_fetch(topics, request);
    case TOPICS_INTEREST:
        return topics_sqlite_lease_interest(topics, request);
    case TOPICS_SUBSCRIBE:
        return topics_sqlite_set_subscribe(topics, request);
    case TOPICS_UNSUBSCRIBE:
        return topics_sqlite_set_unsubscribe(topics, request);
    case TOPICS_SUBSCRIPTIONS:
        return topics_sqlite_set_read(topics, request);
    case TOPICS_CHECK:
        return topics_sqlite_check_run(topics, request);
    }
    return PETREL_E_INVALID;
}

static void execute_all(struct topics_sqlite *topics, struct worker_job *jobs)
{
    for (; jobs != NULL; jobs = jobs->next) {
        struct topics_request *request = container_of(jobs, struct topics_request, job);
        request->status = execute(topics, request);
    }
}

static void take_back(struct worker_job *jobs)
{
    for (; jobs != NULL; jobs = jobs->next)
        topics_reply_release(container_of(jobs, struct topics_request, job));
}

/* More than the batch can add, or what is over would pile up. */
static uint32_t expire_most(const struct worker_job *jobs)
{
    uint32_t most = EXPIRE_MIN;
    for (; jobs != NULL; jobs = jobs->next)
        most += 2;
    return most;
}

/* Carry out the batch in one transaction. 0, or why nothing of it was written. */
static int run(struct topics_sqlite *topics, struct worker_job *jobs)
{
    topics->refusal = 0;
    topics->failure = 0;
    int err = sqlite_begin(topics->db);
    if (err != 0) {
        topics_sqlite_fail(topics, err);
        return topics->failure;
    }
    /* First, so that the cap does not drop, and tell of, what is over anyway. */
    topics_sqlite_log_expire(topics, expire_most(jobs));
    topics_sqlite_set_expire(topics);
    execute_all(topics, jobs);
    if (topics->failure == 0) {
        err = sqlite_commit(topics->db);
        if (err == 0) {
            topics_versions_keep(&topics->versions);
            return 0;
        }
        topics_sqlite_fail(topics, err);
    } else {
        sqlite_rollback(topics->db);
    }
    topics_versions_undo(&topics->versions);
    take_back(jobs);
    return topics->failure;
}

static struct worker_job *take_backups(struct topics_sqlite *topics, struct worker_job *batch)
{
    struct worker_job *requests = NULL, **end = &requests;
    while (batch != NULL) {
        struct worker_job *job = batch;
        batch = job->next;
        if (job->done == topics_sqlite_backup_finish) {
            topics_sqlite_backup_begin(topics, container_of(job, struct topics_sqlite_backup, job));
            continue;
        }
        *end = job;
        end = &job->next;
    }
    *end = NULL;
    return requests;
}

static bool asks_for_checks_only(const struct worker_job *jobs)
{
    for (; jobs != NULL; jobs = jobs->next) {
        if (container_of(jobs, const struct topics_request, job)->op != TOPICS_CHECK)
            return false;
    }
    return true;
}

/* Checks need no transaction: with many sessions they come many times a second, on a server that is idle otherwise. But what time has
 * freed is to go meanwhile, too. */
static int carry_out(struct topics_sqlite *topics, struct worker_job *jobs, bool is_quiet)
{
    if (is_quiet && jobs != NULL && topics->now_ms - topics->written_ms < IDLE_MS) {
        topics->refusal = 0;
        execute_all(topics, jobs);
        return 0;
    }
    topics->written_ms = topics->now_ms;
    return run(topics, jobs);
}

static uint32_t work(void *ctx, struct worker_job *batch)
{
    struct topics_sqlite *topics = ctx;
    struct worker_job *jobs = take_backups(topics, batch);
    topics->now_ms = clock_wall_ms(topics->config.clock);
    const bool is_quiet = asks_for_checks_only(jobs);
    int err = carry_out(topics, jobs, is_quiet);
    if (err != 0) {
        log_at(LOG_ERROR, "topics", "nothing can be written", LOG_STR("why", err_text(err)));
        /* Reading goes on. What fails now fails alone. */
        topics->refusal = err;
        execute_all(topics, jobs);
    }
    topics_sqlite_lease_sweep(topics);
    while (jobs != NULL) {
        struct worker_job *next = jobs->next;
        worker_finish(topics->worker, jobs);
        jobs = next;
    }
    if (is_quiet && err == 0 && sqlite_free_pages(topics->db) > KEEP_PAGES)
        sqlite_shrink(topics->db, SHRINK_PAGES);
    if (topics->backup != NULL)
        topics_sqlite_backup_slice(topics);
    return topics->backup != NULL ? 0 : IDLE_MS;
}

static void prepare_logs(struct sqlite *db, struct topics_sqlite_stmts *stmts)
{
    stmts->topic_select = sqlite_prepare(db, "SELECT id, epoch, birth, head, floor, count, bytes, ids, touched_ms"
                                             " FROM topic WHERE app = ?1 AND name = ?2");
    stmts->topic_insert = sqlite_prepare(db, "INSERT INTO topic (app, name, epoch, birth, head, floor, count, bytes,"
                                             " ids, touched_ms) VALUES (?1, ?2, ?3, ?4, ?4, ?4, 0, 0, 0, ?5)");
    stmts->topic_update = sqlite_prepare(db, "UPDATE topic SET epoch = ?2, head = ?3, floor = ?4, count = ?5,"
                                             " bytes = ?6, ids = ?7, touched_ms = ?8 WHERE id = ?1");
    stmts->topic_shrink = sqlite_prepare(db, "UPDATE topic SET count = count - 1, bytes = bytes - ?2 WHERE id = ?1");
    stmts->topic_forget = sqlite_prepare(db, "UPDATE topic SET ids = ids - 1 WHERE id = ?1");
    stmts->topic_idle = sqlite_prepare(db, "SELECT id FROM topic WHERE touched_ms < ?1 AND count = 0 LIMIT 1");
    stmts->topic_delete = sqlite_prepare(db, "DELETE FROM topic WHERE id = ?1");
    stmts->epoch_insert = sqlite_prepare(db, "INSERT INTO epoch (topic, epoch, base) VALUES (?1, ?2, ?3)");
    stmts->epoch_after = sqlite_prepare(db, "SELECT base FROM epoch WHERE topic = ?1 AND epoch > ?2"
                                            " ORDER BY epoch LIMIT 1");
    stmts->epoch_delete = sqlite_prepare(db, "DELETE FROM epoch WHERE topic = ?1");
    stmts->entry_insert = sqlite_prepare(db, "INSERT INTO entry (topic, seq, expires_ms, condition, message)"
                                             " VALUES (?1, ?2, ?3, ?4, ?5)");
    stmts->entry_oldest = sqlite_prepare(db, "SELECT id, seq, ifnull(length(condition), 0) + length(message)"
                                             " FROM entry WHERE topic = ?1 ORDER BY seq LIMIT 1");
    stmts->entry_page = sqlite_prepare(db, "SELECT seq, expires_ms, condition, message FROM entry WHERE topic = ?1"
                                           " AND seq > ?2 AND expires_ms > ?3 ORDER BY seq LIMIT ?4");
    stmts->entry_expired = sqlite_prepare(db, "SELECT id, topic, ifnull(length(condition), 0) + length(message)"
                                              " FROM entry WHERE expires_ms <= ?1 LIMIT 1");
    stmts->entry_delete = sqlite_prepare(db, "DELETE FROM entry WHERE id = ?1");
    stmts->id_insert = sqlite_prepare(db, "INSERT INTO remembered (topic, id, seq, until_ms, body)"
                                          " VALUES (?1, ?2, ?3, ?4, ?5)");
    stmts->id_find = sqlite_prepare(db, "SELECT seq, body FROM remembered WHERE topic = ?1 AND id = ?2"
                                        " AND until_ms > ?3");
    stmts->id_over = sqlite_prepare(db, "SELECT topic, id FROM remembered WHERE until_ms <= ?1 LIMIT 1");
    stmts->id_delete = sqlite_prepare(db, "DELETE FROM remembered WHERE topic = ?1 AND id = ?2");
    stmts->id_delete_all = sqlite_prepare(db, "DELETE FROM remembered WHERE topic = ?1");
}

#define OF_DEVICE " WHERE app = ?1 AND user = ?2 AND device = ?3"

static void prepare_sets(struct sqlite *db, struct topics_sqlite_stmts *stmts)
{
    stmts->set_select = sqlite_prepare(db, "SELECT version, touched_ms FROM subscriber" OF_DEVICE);
    stmts->set_upsert = sqlite_prepare(db, "INSERT OR REPLACE INTO subscriber (app, user, device, version, touched_ms)"
                                           " VALUES (?1, ?2, ?3, ?4, ?5)");
    stmts->set_over = sqlite_prepare(db, "SELECT app, user, device FROM subscriber WHERE touched_ms < ?1 LIMIT 1");
    stmts->set_delete = sqlite_prepare(db, "DELETE FROM subscriber" OF_DEVICE);
    stmts->set_filled =
        sqlite_prepare(db, "SELECT app, user, device, version FROM subscriber AS s WHERE EXISTS (SELECT 1"
                           " FROM subscription WHERE app = s.app AND user = s.user"
                           " AND device = s.device)");
    stmts->sub_all = sqlite_prepare(db, "SELECT topic, epoch, seq FROM subscription" OF_DEVICE);
    stmts->sub_any = sqlite_prepare(db, "SELECT 1 FROM subscription" OF_DEVICE " LIMIT 1");
    stmts->sub_insert = sqlite_prepare(db, "INSERT INTO subscription (app, user, device, topic, epoch, seq)"
                                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    stmts->sub_delete = sqlite_prepare(db, "DELETE FROM subscription" OF_DEVICE " AND topic = ?4");
    stmts->sub_delete_all = sqlite_prepare(db, "DELETE FROM subscription" OF_DEVICE);
    stmts->meta_select = sqlite_prepare(db, "SELECT value FROM meta WHERE key = 'incarnation'");
    stmts->meta_upsert = sqlite_prepare(db, "INSERT OR REPLACE INTO meta (key, value) VALUES ('incarnation', ?1)");
}

/* As with users: the incarnation is the file's, and only a copy that was put back gets another. */
static int own(struct topics_sqlite *topics)
{
    struct sqlite_stmt *select = topics->stmts.meta_select;
    uint64_t now = clock_wall_ms(topics->config.clock) / 1000;
    int result = sqlite_step(select);
    topics->epoch = result == 1 ? (uint64_t)sqlite_column_int(select, 0) : 0;
    sqlite_reset(select);
    if (result < 0 || (result == 1 && !topics->config.restored))
        return result < 0 ? result : 0;
    topics->epoch = now > topics->epoch ? now : topics->epoch + 1;
    sqlite_bind_int(topics->stmts.meta_upsert, 1, (int64_t)topics->epoch);
    return sqlite_run(topics->stmts.meta_upsert);
}

static int start(void *ctx)
{
    struct topics_sqlite *topics = ctx;
    int err = sqlite_open(&topics->db, topics->config.path, &schema);
    if (err != 0)
        return err;
    prepare_logs(topics->db, &topics->stmts);
    prepare_sets(topics->db, &topics->stmts);
    err = own(topics);
    if (err == 0)
        err = topics_sqlite_check_load(topics);
    if (err != 0)
        sqlite_close(&topics->db);
    return err;
}

static void stop(void *ctx)
{
    struct topics_sqlite *topics = ctx;
    topics_sqlite_backup_cancel(topics, PETREL_E_CLOSING);
    sqlite_close(&topics->db);
}

static int submit(struct topics *base, struct topics_request *request)
{
    return worker_post(of(base)->worker, WORKER_FIRST, request->home, &request->job, finish);
}

static void free_topics(struct topics_sqlite *topics)
{
    topics_sqlite_lease_free(topics);
    topics_versions_reset(&topics->versions);
    free((char *)topics->config.path);
    topics->magic = 0;
    free(topics);
}

static void close_topics(struct topics *base)
{
    struct topics_sqlite *topics = of(base);
    worker_stop(&topics->worker);
    free_topics(topics);
}

static const struct topics_ops ops = {
    .name = "sqlite",
    .submit = submit,
    .close = close_topics,
};

int topics_sqlite_backup(struct topics *base, struct topics_sqlite_backup *backup, struct loop *home,
                         void (*done)(struct topics_sqlite_backup *backup))
{
    backup->done = done;
    return worker_post(of(base)->worker, WORKER_FIRST, home, &backup->job, topics_sqlite_backup_finish);
}

int topics_sqlite_open(struct topics **out, const struct topics_sqlite_config *config)
{
    struct topics_sqlite *topics = object_zalloc(sizeof *topics);
    struct rng rng;
    *out = NULL;
    rng_seed_system(&rng);
    topics->magic = TOPICS_MAGIC;
    topics->base.ops = &ops;
    topics->config = *config;
    topics->config.path = object_strdup(config->path);
    topics_sqlite_lease_init(topics, rng_u64(&rng));
    topics_versions_init(&topics->versions, rng_u64(&rng));
    const struct worker_config worker = {
        .name = "topics",
        .max_pending = config->max_pending != 0 ? config->max_pending : 65536,
        .ctx = topics,
        .start = start,
        .work = work,
        .stop = stop,
    };
    int err = worker_start(&topics->worker, &worker);
    if (err != 0) {
        free_topics(topics);
        return err;
    }
    *out = &topics->base;
    return 0;
}
