#include "registry/registry_sqlite_db.h"

#include "base/err.h"
#include "base/object.h"
#include "registry/reading.h"
#include "registry/row.h"

#include <stdlib.h>

#define APPLICATION_ID 0x50745267 /* "PtRg" */
#define PURGE_ROWS 512
#define PURGE_PAGES 256

int registry_sqlite_db_open(struct registry_sqlite_db **out, const char *path)
{
    static const char *const versions[] = {REGISTRY_SQLITE_SCHEMA_1};
    static const struct sqlite_schema schema = {
        .name = "registry",
        .application_id = APPLICATION_ID,
        .versions_count = sizeof versions / sizeof versions[0],
        .versions = versions,
    };
    static const char *const texts[] = {
#define REGISTRY_SQLITE_TEXT(name, sql) sql,
        REGISTRY_SQLITE_STATEMENTS(REGISTRY_SQLITE_TEXT)
#undef REGISTRY_SQLITE_TEXT
    };
    struct sqlite *sqlite;
    const int err = sqlite_open(&sqlite, path, &schema);
    if (err != 0)
        return err;
    struct registry_sqlite_db *db = object_zalloc(sizeof *db);
    db->sqlite = sqlite;
    for (size_t i = 0; i < REGISTRY_SQLITE_STATEMENTS_COUNT; i++)
        db->stmts[i] = sqlite_prepare(sqlite, texts[i]);
    *out = db;
    return 0;
}

void registry_sqlite_db_close(struct registry_sqlite_db **db)
{
    if (*db == NULL)
        return;
    sqlite_close(&(*db)->sqlite);
    free(*db);
    *db = NULL;
}

int registry_sqlite_db_failure(int err)
{
    petrel_assert(err < 0);
    return err == PETREL_E_FULL ? PETREL_E_FULL : PETREL_E_UNAVAILABLE;
}

int registry_sqlite_db_run(struct registry_sqlite_db *db, enum registry_sqlite_statement which)
{
    const int err = sqlite_run(db->stmts[which]);
    return err == 0 ? 0 : registry_sqlite_db_failure(err);
}

int registry_sqlite_db_bump(struct registry_sqlite_db *db)
{
    db->changed = true;
    return registry_sqlite_db_run(db, REGISTRY_SQLITE_VERSION_BUMP);
}

void registry_sqlite_db_text(struct sqlite_stmt *stmt, int column, char *out, size_t size)
{
    row_text(sqlite_column_text(stmt, column), out, size);
}

static int read_apps(struct registry_sqlite_db *db, struct reading *reading)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_APP_ALL];
    int rc;
    while ((rc = sqlite_step(stmt)) == 1)
        reading_add_app(reading, sqlite_column_int(stmt, 0), sqlite_column_text(stmt, 1),
                        (uint64_t)sqlite_column_int(stmt, 2));
    sqlite_reset(stmt);
    return rc;
}

static int read_secrets(struct registry_sqlite_db *db, struct reading *reading)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_SECRET_ALL];
    int rc;
    while ((rc = sqlite_step(stmt)) == 1)
        reading_add_secret(reading, sqlite_column_int(stmt, 0), sqlite_column_text(stmt, 1),
                           sqlite_column_blob(stmt, 2));
    sqlite_reset(stmt);
    return rc;
}

static int read_keys(struct registry_sqlite_db *db, struct reading *reading)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_KEY_ALL];
    int rc;
    while ((rc = sqlite_step(stmt)) == 1)
        reading_add_key(reading, sqlite_column_int(stmt, 0), sqlite_column_text(stmt, 1), sqlite_column_blob(stmt, 2));
    sqlite_reset(stmt);
    return rc;
}

int registry_sqlite_db_snapshot(struct registry_sqlite_db *db, struct snapshot **out)
{
    struct reading reading = {0};
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_VERSION];
    int rc = sqlite_step(stmt);
    const uint64_t version = rc == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    if (rc == 1)
        rc = read_apps(db, &reading);
    if (rc == 0)
        rc = read_secrets(db, &reading);
    if (rc == 0)
        rc = read_keys(db, &reading);
    if (rc == 0)
        *out = reading_snapshot(&reading, version);
    reading_reset(&reading);
    return rc == 0 ? 0 : registry_sqlite_db_failure(rc);
}

/* In a transaction. 1: more are left, 0: this app's are gone, or an error of the driver. */
static int purge_app(struct registry_sqlite_db *db, int64_t app_id)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_PURGE_DEVICES];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_int(stmt, 2, PURGE_ROWS);
    const int err = sqlite_run(stmt);
    if (err != 0)
        return err;
    if (sqlite_changes(db->sqlite) == PURGE_ROWS)
        return 1;
    stmt = db->stmts[REGISTRY_SQLITE_PURGE_DONE];
    sqlite_bind_int(stmt, 1, app_id);
    return sqlite_run(stmt);
}

int registry_sqlite_db_purge(struct registry_sqlite_db *db)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_PURGE_NEXT];
    int rc = sqlite_step(stmt);
    const int64_t app_id = rc == 1 ? sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    if (rc == 0)
        return 0;
    if (rc == 1)
        rc = sqlite_begin(db->sqlite);
    if (rc == 0)
        rc = purge_app(db, app_id);
    if (rc < 0) {
        sqlite_rollback(db->sqlite);
        return registry_sqlite_db_failure(rc);
    }
    rc = sqlite_commit(db->sqlite);
    if (rc == 0)
        rc = sqlite_shrink(db->sqlite, PURGE_PAGES);
    return rc == 0 ? 1 : registry_sqlite_db_failure(rc);
}
