#include "registry/registry_sqlite_tables.h"

#include "base/object.h"

#include <stdlib.h>

#define APPLICATION_ID 0x50745267 /* "PtRg" */

/* An app's number is never given twice, so that what a deleted app leaves behind is never another's. */
#define SCHEMA_1                                                                                                       \
    "CREATE TABLE app (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,"  \
    " key_window_ms INTEGER NOT NULL) STRICT;"                                                                         \
    "CREATE TABLE secret (app_id INTEGER NOT NULL, place INTEGER NOT NULL, kid TEXT NOT NULL, secret BLOB NOT NULL,"   \
    " PRIMARY KEY (app_id, place)) STRICT, WITHOUT ROWID;"                                                             \
    "CREATE TABLE api_key (app_id INTEGER NOT NULL, id TEXT NOT NULL, label TEXT NOT NULL, sha256 BLOB NOT NULL,"      \
    " created_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL, PRIMARY KEY (app_id, id)) STRICT, WITHOUT ROWID;"      \
    "CREATE UNIQUE INDEX api_key_id ON api_key (id);"                                                                  \
    "CREATE TABLE device (app_id INTEGER NOT NULL, user TEXT NOT NULL, device TEXT NOT NULL, platform TEXT NOT NULL,"  \
    " created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL,"                          \
    " PRIMARY KEY (app_id, user, device)) STRICT, WITHOUT ROWID;"                                                      \
    "CREATE TABLE gone (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"                                                 \
    "CREATE TABLE purge (app_id INTEGER PRIMARY KEY) STRICT;"                                                          \
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL) STRICT;"                      \
    "INSERT INTO meta VALUES (1, 0);"

/* The names that the tables have on a server, where others' tables may be near. */
#define SCHEMA_2                                                                                                       \
    "ALTER TABLE secret RENAME TO app_secret;"                                                                         \
    "ALTER TABLE gone RENAME TO gone_app;"                                                                             \
    "ALTER TABLE purge RENAME TO purge_app;"                                                                           \
    "ALTER TABLE meta RENAME TO registry_version;"

/* Tables of their own, so that what was there stays as it was: a key without a grant may do what it always could. */
#define SCHEMA_3                                                                                                       \
    "CREATE TABLE app_token_key (app_id INTEGER NOT NULL, kid TEXT NOT NULL, algorithm TEXT NOT NULL,"                 \
    " material BLOB NOT NULL, created_ms INTEGER NOT NULL, PRIMARY KEY (app_id, kid)) STRICT, WITHOUT ROWID;"          \
    "CREATE TABLE app_limit (app_id INTEGER PRIMARY KEY, per_second INTEGER NOT NULL,"                                 \
    " key_per_second INTEGER NOT NULL) STRICT;"                                                                        \
    "CREATE TABLE api_key_grant (app_id INTEGER NOT NULL, key_id TEXT NOT NULL, scopes INTEGER NOT NULL,"              \
    " expires_ms INTEGER NOT NULL, PRIMARY KEY (app_id, key_id)) STRICT, WITHOUT ROWID;"                               \
    "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL,"             \
    " origin TEXT NOT NULL, node TEXT NOT NULL, action TEXT NOT NULL, app TEXT NOT NULL, target TEXT NOT NULL,"        \
    " outcome TEXT NOT NULL) STRICT;"                                                                                  \
    "CREATE INDEX audit_at ON audit (at_ms);"

#define SCHEMA_4                                                                                                       \
    "CREATE TABLE app_edge (app_id INTEGER PRIMARY KEY, connects_per_second INTEGER NOT NULL, origins TEXT NOT NULL)"  \
    " STRICT;"

#define PURGE_DEVICES                                                                                                  \
    "DELETE FROM device WHERE app_id = ?1 AND (user, device) IN"                                                       \
    " (SELECT user, device FROM device WHERE app_id = ?1 LIMIT ?2)"

struct sqlite_tables {
    struct tables tables;
    struct sqlite *file;
    struct sqlite_stmt *stmts[TABLES_STATEMENTS_COUNT];
};

static struct sqlite_tables *self_of(struct tables *tables)
{
    return container_of(tables, struct sqlite_tables, tables);
}

static struct sqlite_stmt *stmt_of(struct tables *tables, enum tables_statement which)
{
    return self_of(tables)->stmts[which];
}

/* Nobody else writes to the file, so reads have nothing to shut out. */
static int begin(struct tables *tables, bool writes)
{
    return writes ? sqlite_begin(self_of(tables)->file) : 0;
}

static int commit(struct tables *tables)
{
    return sqlite_commit(self_of(tables)->file);
}

static void rollback(struct tables *tables)
{
    sqlite_rollback(self_of(tables)->file);
}

static bool usable(const struct tables *tables)
{
    (void)tables;
    return true;
}

static void bind(struct tables *tables, enum tables_statement which, unsigned index, const struct tables_value *value)
{
    struct sqlite_stmt *stmt = stmt_of(tables, which);
    switch (value->kind) {
    case TABLES_INT:
        sqlite_bind_int(stmt, (int)index, value->number);
        break;
    case TABLES_TEXT:
        sqlite_bind_text(stmt, (int)index, value->bytes);
        break;
    case TABLES_BLOB:
        sqlite_bind_blob(stmt, (int)index, value->bytes);
        break;
    }
}

static int step(struct tables *tables, enum tables_statement which)
{
    return sqlite_step(stmt_of(tables, which));
}

static int64_t number(struct tables *tables, enum tables_statement which, unsigned column)
{
    return sqlite_column_int(stmt_of(tables, which), (int)column);
}

static struct bytes bytes(struct tables *tables, enum tables_statement which, unsigned column)
{
    return sqlite_column_blob(stmt_of(tables, which), (int)column);
}

static void reset(struct tables *tables, enum tables_statement which)
{
    sqlite_reset(stmt_of(tables, which));
}

static int64_t changes(struct tables *tables)
{
    return sqlite_changes(self_of(tables)->file);
}

static int64_t last_id(struct tables *tables)
{
    return sqlite_last_rowid(self_of(tables)->file);
}

static void close_tables(struct tables *tables)
{
    struct sqlite_tables *self = self_of(tables);
    sqlite_close(&self->file);
    free(self);
}

static const struct tables_ops sqlite_tables_ops = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .usable = usable,
    .bind = bind,
    .step = step,
    .number = number,
    .bytes = bytes,
    .reset = reset,
    .changes = changes,
    .last_id = last_id,
    .close = close_tables,
};

int registry_sqlite_tables_open(struct tables **out, const char *path)
{
    static const char *const versions[] = {SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4};
    static const struct sqlite_schema schema = {
        .name = "registry",
        .application_id = APPLICATION_ID,
        .versions_count = sizeof versions / sizeof versions[0],
        .versions = versions,
    };
    static const char *const texts[] = {
#define SQLITE_TEXT(name, sql) sql,
        TABLES_STATEMENTS(SQLITE_TEXT, PURGE_DEVICES)
#undef SQLITE_TEXT
    };
    struct sqlite *file;
    const int err = sqlite_open(&file, path, &schema);
    if (err != 0)
        return err;
    struct sqlite_tables *self = object_zalloc(sizeof *self);
    self->tables.ops = &sqlite_tables_ops;
    self->file = file;
    for (size_t i = 0; i < TABLES_STATEMENTS_COUNT; i++)
        self->stmts[i] = sqlite_prepare(file, texts[i]);
    *out = &self->tables;
    return 0;
}

struct sqlite *registry_sqlite_tables_file(struct tables *tables)
{
    return self_of(tables)->file;
}
