#include "registry/registry_mysql_db.h"

#include "base/err.h"
#include "base/object.h"
#include "registry/reading.h"
#include "registry/row.h"

#include <stdlib.h>

#define PURGE_ROWS 512

static int migrate(struct mysqldb *mysql)
{
    static const char *const version_1[] = {REGISTRY_MYSQL_SCHEMA_1, NULL};
    static const char *const *const versions[] = {version_1};
    static const struct mysqldb_schema schema = {
        .name = "registry",
        .versions_count = sizeof versions / sizeof versions[0],
        .versions = versions,
    };
    return mysqldb_migrate(mysql, &schema);
}

static int prepare(struct registry_mysql_db *db)
{
    static const char *const texts[] = {
#define REGISTRY_MYSQL_TEXT(name, sql) sql,
        REGISTRY_MYSQL_STATEMENTS(REGISTRY_MYSQL_TEXT)
#undef REGISTRY_MYSQL_TEXT
    };
    int err = 0;
    for (size_t i = 0; i < REGISTRY_MYSQL_STATEMENTS_COUNT && err == 0; i++)
        err = mysqldb_stmt_prepare(&db->stmts[i], db->mysql, texts[i]);
    return err;
}

int registry_mysql_db_open(struct registry_mysql_db **out, const struct mysqldb_config *config)
{
    *out = NULL;
    struct registry_mysql_db *db = object_zalloc(sizeof *db);
    int err = mysqldb_open(&db->mysql, config);
    if (err == 0)
        err = migrate(db->mysql);
    if (err == 0)
        err = prepare(db);
    if (err != 0) {
        registry_mysql_db_close(&db);
        const bool told = err == PETREL_E_FORBIDDEN || err == PETREL_E_NOT_FOUND || err == PETREL_E_UNSUPPORTED;
        return told ? err : PETREL_E_UNAVAILABLE;
    }
    *out = db;
    return 0;
}

void registry_mysql_db_close(struct registry_mysql_db **db)
{
    if (*db == NULL)
        return;
    mysqldb_close(&(*db)->mysql);
    free(*db);
    *db = NULL;
}

int registry_mysql_db_failure(int err)
{
    petrel_assert(err < 0);
    return err == PETREL_E_FULL ? PETREL_E_FULL : PETREL_E_UNAVAILABLE;
}

int registry_mysql_db_run(struct registry_mysql_db *db, enum registry_mysql_statement which)
{
    const int err = mysqldb_stmt_run(db->stmts[which]);
    return err == 0 ? 0 : registry_mysql_db_failure(err);
}

int registry_mysql_db_first(struct registry_mysql_db *db, enum registry_mysql_statement which)
{
    const int rc = mysqldb_stmt_step(db->stmts[which]);
    if (rc == 1)
        return 1;
    mysqldb_stmt_reset(db->stmts[which]);
    return rc == 0 ? 0 : registry_mysql_db_failure(rc);
}

int registry_mysql_db_bump(struct registry_mysql_db *db)
{
    db->changed = true;
    return registry_mysql_db_run(db, REGISTRY_MYSQL_VERSION_BUMP);
}

void registry_mysql_db_text(struct mysqldb_stmt *stmt, unsigned column, char *out, size_t size)
{
    row_text(mysqldb_stmt_bytes(stmt, column), out, size);
}

int registry_mysql_db_begin(struct registry_mysql_db *db)
{
    const int err = mysqldb_begin(db->mysql);
    if (err != 0)
        return registry_mysql_db_failure(err);
    /* The first read of the transaction, so that all later ones see what the others committed before. */
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_LOCK);
    if (rc == 1) {
        mysqldb_stmt_reset(db->stmts[REGISTRY_MYSQL_LOCK]);
        return 0;
    }
    mysqldb_rollback(db->mysql);
    return rc == 0 ? PETREL_E_UNAVAILABLE : rc;
}

int registry_mysql_db_poll(struct registry_mysql_db *db, uint64_t *version, bool *purging)
{
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_POLL];
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_POLL);
    if (rc != 1)
        return rc == 0 ? PETREL_E_UNAVAILABLE : rc;
    *version = (uint64_t)mysqldb_stmt_int(stmt, 0);
    *purging = mysqldb_stmt_int(stmt, 1) != 0;
    mysqldb_stmt_reset(stmt);
    return 0;
}

/* ---- the snapshot ---- */

static void take_app(struct reading *reading, struct mysqldb_stmt *row)
{
    reading_add_app(reading, mysqldb_stmt_int(row, 0), mysqldb_stmt_bytes(row, 1), (uint64_t)mysqldb_stmt_int(row, 2));
}

static void take_secret(struct reading *reading, struct mysqldb_stmt *row)
{
    reading_add_secret(reading, mysqldb_stmt_int(row, 0), mysqldb_stmt_bytes(row, 1), mysqldb_stmt_bytes(row, 2));
}

static void take_key(struct reading *reading, struct mysqldb_stmt *row)
{
    reading_add_key(reading, mysqldb_stmt_int(row, 0), mysqldb_stmt_bytes(row, 1), mysqldb_stmt_bytes(row, 2));
}

static int read_rows(struct registry_mysql_db *db, enum registry_mysql_statement which, struct reading *reading,
                     void (*take)(struct reading *reading, struct mysqldb_stmt *row))
{
    struct mysqldb_stmt *stmt = db->stmts[which];
    int rc;
    while ((rc = mysqldb_stmt_step(stmt)) == 1)
        take(reading, stmt);
    mysqldb_stmt_reset(stmt);
    return rc == 0 ? 0 : registry_mysql_db_failure(rc);
}

int registry_mysql_db_snapshot(struct registry_mysql_db *db, struct snapshot **out)
{
    struct reading reading = {0};
    uint64_t version = 0;
    bool purging;
    const int err = mysqldb_begin_snapshot(db->mysql);
    if (err != 0)
        return registry_mysql_db_failure(err);
    int status = registry_mysql_db_poll(db, &version, &purging);
    if (status == 0)
        status = read_rows(db, REGISTRY_MYSQL_APP_ALL, &reading, take_app);
    if (status == 0)
        status = read_rows(db, REGISTRY_MYSQL_SECRET_ALL, &reading, take_secret);
    if (status == 0)
        status = read_rows(db, REGISTRY_MYSQL_KEY_ALL, &reading, take_key);
    mysqldb_rollback(db->mysql);
    if (status == 0)
        *out = reading_snapshot(&reading, version);
    reading_reset(&reading);
    return status;
}

/* ---- what deleted apps leave ---- */

/* In a transaction. 1: more may be left, of this app or others; 0: there was none; or a failure. */
static int purge_some(struct registry_mysql_db *db)
{
    int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_PURGE_NEXT);
    if (rc != 1)
        return rc;
    const int64_t app_id = mysqldb_stmt_int(db->stmts[REGISTRY_MYSQL_PURGE_NEXT], 0);
    mysqldb_stmt_reset(db->stmts[REGISTRY_MYSQL_PURGE_NEXT]);
    mysqldb_stmt_bind_int(db->stmts[REGISTRY_MYSQL_PURGE_DEVICES], 1, app_id);
    mysqldb_stmt_bind_int(db->stmts[REGISTRY_MYSQL_PURGE_DEVICES], 2, PURGE_ROWS);
    rc = registry_mysql_db_run(db, REGISTRY_MYSQL_PURGE_DEVICES);
    if (rc != 0 || mysqldb_changes(db->mysql) == PURGE_ROWS)
        return rc != 0 ? rc : 1;
    mysqldb_stmt_bind_int(db->stmts[REGISTRY_MYSQL_PURGE_DONE], 1, app_id);
    rc = registry_mysql_db_run(db, REGISTRY_MYSQL_PURGE_DONE);
    return rc != 0 ? rc : 1;
}

int registry_mysql_db_purge(struct registry_mysql_db *db)
{
    int rc = registry_mysql_db_begin(db);
    if (rc != 0)
        return rc;
    rc = purge_some(db);
    if (rc <= 0) {
        mysqldb_rollback(db->mysql);
        return rc;
    }
    const int err = mysqldb_commit(db->mysql);
    return err == 0 ? 1 : registry_mysql_db_failure(err);
}
