#include "registry/registry_mysql_tables.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

/* deploy/sql/registry/ says the same for operators, and a test compares them. */
#define SCHEMA_1                                                                                                       \
    "CREATE TABLE IF NOT EXISTS app (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARBINARY(64) NOT NULL,"      \
    " created_ms BIGINT NOT NULL, key_window_ms BIGINT NOT NULL, UNIQUE KEY app_name (name)) ENGINE=InnoDB",           \
        "CREATE TABLE IF NOT EXISTS app_secret (app_id BIGINT NOT NULL, place INT NOT NULL, kid VARBINARY(16) NOT"     \
        " NULL, secret VARBINARY(32) NOT NULL, PRIMARY KEY (app_id, place)) ENGINE=InnoDB",                            \
        "CREATE TABLE IF NOT EXISTS api_key (app_id BIGINT NOT NULL, id VARBINARY(16) NOT NULL, label VARBINARY(128)"  \
        " NOT NULL, sha256 VARBINARY(32) NOT NULL, created_ms BIGINT NOT NULL, revoked_ms BIGINT NOT NULL,"            \
        " PRIMARY KEY (app_id, id), UNIQUE KEY api_key_id (id)) ENGINE=InnoDB",                                        \
        "CREATE TABLE IF NOT EXISTS device (app_id BIGINT NOT NULL, user VARBINARY(128) NOT NULL, device"              \
        " VARBINARY(64) NOT NULL, platform VARBINARY(128) NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT"     \
        " NOT NULL, revoked_ms BIGINT NOT NULL, PRIMARY KEY (app_id, user, device)) ENGINE=InnoDB",                    \
        "CREATE TABLE IF NOT EXISTS gone_app (name VARBINARY(64) NOT NULL PRIMARY KEY) ENGINE=InnoDB",                 \
        "CREATE TABLE IF NOT EXISTS purge_app (app_id BIGINT NOT NULL PRIMARY KEY) ENGINE=InnoDB",                     \
        "CREATE TABLE IF NOT EXISTS registry_version (id INT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)"           \
        " ENGINE=InnoDB",                                                                                              \
        "INSERT IGNORE INTO registry_version (id, version) VALUES (1, 0)"

#define SCHEMA_2                                                                                                       \
    "CREATE TABLE IF NOT EXISTS app_token_key (app_id BIGINT NOT NULL, kid VARBINARY(64) NOT NULL, algorithm"          \
    " VARBINARY(8) NOT NULL, material VARBINARY(1024) NOT NULL, created_ms BIGINT NOT NULL, PRIMARY KEY (app_id, "     \
    "kid))"                                                                                                            \
    " ENGINE=InnoDB",                                                                                                  \
        "CREATE TABLE IF NOT EXISTS app_limit (app_id BIGINT NOT NULL PRIMARY KEY, per_second BIGINT NOT NULL,"        \
        " key_per_second BIGINT NOT NULL) ENGINE=InnoDB",                                                              \
        "CREATE TABLE IF NOT EXISTS api_key_grant (app_id BIGINT NOT NULL, key_id VARBINARY(16) NOT NULL, scopes INT"  \
        " NOT NULL, expires_ms BIGINT NOT NULL, PRIMARY KEY (app_id, key_id)) ENGINE=InnoDB",                          \
        "CREATE TABLE IF NOT EXISTS audit (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, at_ms BIGINT NOT NULL, who"  \
        " VARBINARY(64) NOT NULL, origin VARBINARY(64) NOT NULL, node VARBINARY(64) NOT NULL, action VARBINARY(64)"    \
        " NOT NULL, app VARBINARY(64) NOT NULL, target VARBINARY(255) NOT NULL, outcome VARBINARY(64) NOT NULL, KEY"   \
        " audit_at (at_ms)) ENGINE=InnoDB"

#define SCHEMA_3                                                                                                       \
    "CREATE TABLE IF NOT EXISTS app_edge (app_id BIGINT NOT NULL PRIMARY KEY, connects_per_second BIGINT NOT NULL,"    \
    " origins VARBINARY(511) NOT NULL) ENGINE=InnoDB"

#define PURGE_DEVICES "DELETE FROM device WHERE app_id = ? ORDER BY user, device LIMIT ?"

struct mysql_tables {
    struct tables tables;
    struct mysqldb *db;
    struct mysqldb_stmt *stmts[TABLES_STATEMENTS_COUNT];
};

static struct mysql_tables *self_of(struct tables *tables)
{
    return container_of(tables, struct mysql_tables, tables);
}

static struct mysqldb_stmt *stmt_of(struct tables *tables, enum tables_statement which)
{
    return self_of(tables)->stmts[which];
}

static int begin(struct tables *tables, bool writes)
{
    struct mysqldb *db = self_of(tables)->db;
    int64_t version;
    if (!writes)
        return mysqldb_begin_snapshot(db);
    int err = mysqldb_begin(db);
    /* The first read of the transaction, so that all later ones see what the others committed before. */
    if (err == 0)
        err = mysqldb_number(db, "SELECT version FROM registry_version WHERE id = 1 FOR UPDATE", &version);
    if (err != 0)
        mysqldb_rollback(db);
    return err;
}

static int commit(struct tables *tables)
{
    return mysqldb_commit(self_of(tables)->db);
}

static void rollback(struct tables *tables)
{
    mysqldb_rollback(self_of(tables)->db);
}

static bool usable(const struct tables *tables)
{
    return mysqldb_usable(container_of(tables, const struct mysql_tables, tables)->db);
}

static void bind(struct tables *tables, enum tables_statement which, unsigned index, const struct tables_value *value)
{
    if (value->kind == TABLES_INT)
        mysqldb_stmt_bind_int(stmt_of(tables, which), index, value->number);
    else
        mysqldb_stmt_bind_bytes(stmt_of(tables, which), index, value->bytes);
}

static int step(struct tables *tables, enum tables_statement which)
{
    return mysqldb_stmt_step(stmt_of(tables, which));
}

static int64_t number(struct tables *tables, enum tables_statement which, unsigned column)
{
    return mysqldb_stmt_int(stmt_of(tables, which), column);
}

static struct bytes bytes(struct tables *tables, enum tables_statement which, unsigned column)
{
    return mysqldb_stmt_bytes(stmt_of(tables, which), column);
}

static void reset(struct tables *tables, enum tables_statement which)
{
    mysqldb_stmt_reset(stmt_of(tables, which));
}

static int64_t changes(struct tables *tables)
{
    return mysqldb_changes(self_of(tables)->db);
}

static int64_t last_id(struct tables *tables)
{
    return mysqldb_last_id(self_of(tables)->db);
}

static void close_tables(struct tables *tables)
{
    struct mysql_tables *self = self_of(tables);
    mysqldb_close(&self->db);
    free(self);
}

static const struct tables_ops mysql_tables_ops = {
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

static int migrate(struct mysqldb *db)
{
    static const char *const version_1[] = {SCHEMA_1, NULL};
    static const char *const version_2[] = {SCHEMA_2, NULL};
    static const char *const version_3[] = {SCHEMA_3, NULL};
    static const char *const *const versions[] = {version_1, version_2, version_3};
    static const struct mysqldb_schema schema = {
        .name = "registry",
        .versions_count = sizeof versions / sizeof versions[0],
        .versions = versions,
    };
    return mysqldb_migrate(db, &schema);
}

static int prepare(struct mysql_tables *self)
{
    static const char *const texts[] = {
#define MYSQL_TEXT(name, sql) sql,
        TABLES_STATEMENTS(MYSQL_TEXT, PURGE_DEVICES)
#undef MYSQL_TEXT
    };
    int err = 0;
    for (size_t i = 0; i < TABLES_STATEMENTS_COUNT && err == 0; i++)
        err = mysqldb_stmt_prepare(&self->stmts[i], self->db, texts[i]);
    return err;
}

int registry_mysql_tables_open(struct tables **out, const struct mysqldb_config *config)
{
    *out = NULL;
    struct mysql_tables *self = object_zalloc(sizeof *self);
    self->tables.ops = &mysql_tables_ops;
    int err = mysqldb_open(&self->db, config);
    if (err == 0)
        err = migrate(self->db);
    if (err == 0)
        err = prepare(self);
    if (err != 0) {
        close_tables(&self->tables);
        const bool told = err == PETREL_E_FORBIDDEN || err == PETREL_E_NOT_FOUND || err == PETREL_E_UNSUPPORTED;
        return told ? err : PETREL_E_UNAVAILABLE;
    }
    *out = &self->tables;
    return 0;
}

bool registry_mysql_tables_read_only(struct tables *tables)
{
    return mysqldb_read_only(self_of(tables)->db);
}
