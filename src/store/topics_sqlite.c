#include "store/topics_sqlite.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

#define TOPICS_MAGIC OBJECT_MAGIC('t', 'p', 's', 'q')
#define APPLICATION_ID 0x50745470 /* "PtTp" */
#define IDLE_MS 1000
#define KEEP_PAGES 4096 /* free pages that the file may keep */
#define SHRINK_PAGES 512

static const char *const versions[] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE topic (id INTEGER PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " base INTEGER NOT NULL, head INTEGER NOT NULL, floor INTEGER NOT NULL, count INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, UNIQUE (app, name));"
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, seq INTEGER NOT NULL, message_id BLOB NOT "
    "NULL,"
    " expires_ms INTEGER NOT NULL, condition TEXT, message BLOB NOT NULL);"
    "CREATE UNIQUE INDEX entry_seq ON entry (topic, seq);"
    "CREATE UNIQUE INDEX entry_message ON entry (topic, message_id);"
    "CREATE INDEX entry_expires ON entry (expires_ms);"
    "CREATE TABLE subscriber (app TEXT, user TEXT, device TEXT, version INTEGER NOT NULL,"
    " PRIMARY KEY (app, user, device)) WITHOUT ROWID;"
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

/* Free what a request that ended with 0 lends. */
static void release(struct topics_request *request)
{
    if (request->status != 0)
        return;
    if (request->op == TOPICS_APPEND)
        free(request->out.appended);
    if (request->op != TOPICS_FETCH)
        return;
    for (uint32_t i = 0; i < request->out.page->count; i++)
        buf_unref(request->out.page->entries[i].message);
    free(request->out.page);
}

/* On the caller's loop. The callback may free the request, so what it lends is kept aside. */
static void finish(struct worker_job *job)
{
    struct topics_request *request = container_of(job, struct topics_request, job);
    struct topics_request lent = {.op = request->op, .status = request->status, .out = request->out};
    request->done(request);
    release(&lent);
}

static int execute(struct topics_sqlite *topics, struct topics_request *request)
{
    switch (request->op) {
    case TOPICS_APPEND:
        return topics_sqlite_log_append(topics, request);
    case TOPICS_FETCH:
        return topics_sqlite_log_fetch(topics, request);
    case TOPICS_INTEREST:
        return topics_sqlite_device_interest(topics, request);
    case TOPICS_SUBSCRIBE:
        return topics_sqlite_device_subscribe(topics, request);
    case TOPICS_UNSUBSCRIBE:
        return topics_sqlite_device_unsubscribe(topics, request);
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
        release(container_of(jobs, struct topics_request, job));
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
    topics_sqlite_log_expire(topics);
    execute_all(topics, jobs);
    if (topics->failure == 0) {
        err = sqlite_commit(topics->db);
        if (err == 0)
            return 0;
        topics_sqlite_fail(topics, err);
    } else {
        sqlite_rollback(topics->db);
    }
    take_back(jobs);
    return topics->failure;
}

static uint32_t work(void *ctx, struct worker_job *jobs)
{
    struct topics_sqlite *topics = ctx;
    topics->now_ms = clock_wall_ms(topics->config.clock);
    int err = run(topics, jobs);
    if (err != 0) {
        log_at(LOG_ERROR, "topics", "nothing can be written", LOG_STR("why", err_text(err)));
        /* Reading goes on. What fails now fails alone. */
        topics->refusal = err;
        execute_all(topics, jobs);
    }
    bool idle = jobs == NULL;
    while (jobs != NULL) {
        struct worker_job *next = jobs->next;
        worker_finish(topics->worker, jobs);
        jobs = next;
    }
    if (idle && err == 0 && sqlite_free_pages(topics->db) > KEEP_PAGES)
        sqlite_shrink(topics->db, SHRINK_PAGES);
    return IDLE_MS;
}

static void prepare(struct topics_sqlite *topics)
{
    struct sqlite *db = topics->db;
    topics->stmts = (struct topics_sqlite_stmts){
        .topic_select = sqlite_prepare(db, "SELECT id, epoch, base, head, floor, count, bytes FROM topic"
                                           " WHERE app = ?1 AND name = ?2"),
        .topic_insert = sqlite_prepare(db, "INSERT INTO topic (app, name, epoch, base, head, floor, count, bytes)"
                                           " VALUES (?1, ?2, ?3, ?4, ?4, ?4, 0, 0)"),
        .topic_update = sqlite_prepare(db, "UPDATE topic SET epoch = ?2, base = ?3, head = ?4, floor = ?5, count = ?6,"
                                           " bytes = ?7 WHERE id = ?1"),
        .topic_shrink = sqlite_prepare(db, "UPDATE topic SET count = count - 1, bytes = bytes - ?2 WHERE id = ?1"),
        .entry_insert = sqlite_prepare(db, "INSERT INTO entry (topic, seq, message_id, expires_ms, condition, message)"
                                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        .entry_find = sqlite_prepare(db, "SELECT seq FROM entry WHERE topic = ?1 AND message_id = ?2"),
        .entry_oldest = sqlite_prepare(db, "SELECT id, seq, length(message) FROM entry WHERE topic = ?1"
                                           " ORDER BY seq LIMIT 1"),
        .entry_page = sqlite_prepare(db, "SELECT seq, expires_ms, message FROM entry WHERE topic = ?1 AND seq > ?2"
                                         " AND expires_ms > ?3 ORDER BY seq LIMIT ?4"),
        .entry_expired = sqlite_prepare(db, "SELECT id, topic, length(message) FROM entry WHERE expires_ms <= ?1"
                                            " LIMIT 1"),
        .entry_delete = sqlite_prepare(db, "DELETE FROM entry WHERE id = ?1"),
        .version_select = sqlite_prepare(db, "SELECT version FROM subscriber WHERE app = ?1 AND user = ?2"
                                             " AND device = ?3"),
        .version_upsert = sqlite_prepare(db, "INSERT OR REPLACE INTO subscriber (app, user, device, version)"
                                             " VALUES (?1, ?2, ?3, ?4)"),
        .sub_select = sqlite_prepare(db, "SELECT epoch, seq FROM subscription WHERE app = ?1 AND user = ?2"
                                         " AND device = ?3 AND topic = ?4"),
        .sub_count = sqlite_prepare(db, "SELECT count(*) FROM subscription WHERE app = ?1 AND user = ?2"
                                        " AND device = ?3"),
        .sub_insert = sqlite_prepare(db, "INSERT INTO subscription (app, user, device, topic, epoch, seq)"
                                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        .sub_delete = sqlite_prepare(db, "DELETE FROM subscription WHERE app = ?1 AND user = ?2 AND device = ?3"
                                         " AND topic = ?4"),
        .meta_select = sqlite_prepare(db, "SELECT value FROM meta WHERE key = 'incarnation'"),
        .meta_upsert = sqlite_prepare(db, "INSERT OR REPLACE INTO meta (key, value) VALUES ('incarnation', ?1)"),
    };
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
    prepare(topics);
    err = own(topics);
    if (err != 0)
        sqlite_close(&topics->db);
    return err;
}

static void stop(void *ctx)
{
    struct topics_sqlite *topics = ctx;
    sqlite_close(&topics->db);
}

static int submit(struct topics *base, struct topics_request *request)
{
    return worker_post(of(base)->worker, request->home, &request->job, finish);
}

static void free_topics(struct topics_sqlite *topics)
{
    topics_sqlite_device_free(topics);
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
    .append = submit,
    .fetch = submit,
    .interest = submit,
    .subscribe = submit,
    .unsubscribe = submit,
    .close = close_topics,
};

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
    if (topics->config.cap_entries == 0)
        topics->config.cap_entries = 1000;
    if (topics->config.cap_bytes == 0)
        topics->config.cap_bytes = 1 << 20;
    topics_sqlite_device_init(topics, rng_u64(&rng));
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
