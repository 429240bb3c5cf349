#include "base/err.h"
#include "base/log.h"
#include "driver/mysqldb_private.h"

#include <stdio.h>

#define LOCK_TRIES 5
/* Lock names are the whole server's and at most 64 bytes long; a database's name may be as long. */
#define LOCK_NAME "CONCAT('petrel.', SHA1(DATABASE()))"
#define SQL_MAX 256

/* -1: there is no petrel_schema. */
static int read_version(struct mysqldb *db, const struct mysqldb_schema *schema, int64_t *version)
{
    char sql[SQL_MAX];
    int64_t there;
    int err = mysqldb_number(db,
                             "SELECT count(*) FROM information_schema.tables"
                             " WHERE table_schema = DATABASE() AND table_name = 'petrel_schema'",
                             &there);
    *version = -1;
    if (err != 0 || there == 0)
        return err;
    snprintf(sql, sizeof sql, "SELECT version FROM petrel_schema WHERE name = '%s'", schema->name);
    return mysqldb_number(db, sql, version);
}

/* 0: the version is one that we know; the log says why not. */
static int check_version(const struct mysqldb_schema *schema, int64_t version)
{
    if (version <= (int64_t)schema->versions_count)
        return 0;
    log_at(LOG_ERROR, "mysql", "the database was made by a newer version", LOG_STR("schema", schema->name),
           LOG_NUM("version", version), LOG_NUM("known", schema->versions_count));
    return PETREL_E_UNSUPPORTED;
}

static int check_empty(struct mysqldb *db)
{
    int64_t tables;
    const int err =
        mysqldb_number(db, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()", &tables);
    if (err != 0 || tables == 0)
        return err;
    log_event(LOG_ERROR, "mysql", "the database holds another application's tables");
    return PETREL_E_UNSUPPORTED;
}

static int make_version(struct mysqldb *db, const struct mysqldb_schema *schema, size_t index)
{
    char mark[SQL_MAX];
    int err = 0;
    for (const char *const *sql = schema->versions[index]; *sql != NULL && err == 0; sql++)
        err = mysqldb_exec(db, *sql);
    snprintf(mark, sizeof mark,
             "INSERT INTO petrel_schema (name, version) VALUES ('%s', %zu) ON DUPLICATE KEY UPDATE version = %zu",
             schema->name, index + 1, index + 1);
    if (err == 0)
        err = mysqldb_exec(db, mark);
    if (err == 0)
        log_at(LOG_INFO, "mysql", "schema migrated", LOG_STR("schema", schema->name), LOG_NUM("version", index + 1));
    return err;
}

/* With the lock held. */
static int migrate(struct mysqldb *db, const struct mysqldb_schema *schema)
{
    int64_t version;
    int err = read_version(db, schema, &version);
    if (err == 0)
        err = check_version(schema, version);
    if (err == 0 && version < 0) {
        err = check_empty(db);
        version = 0;
        /* First of all tables, so that what a crash leaves behind is known as ours. */
        if (err == 0)
            err = mysqldb_exec(db, "CREATE TABLE IF NOT EXISTS petrel_schema (name VARBINARY(32) NOT NULL PRIMARY KEY,"
                                   " version INT NOT NULL) ENGINE=InnoDB");
    }
    for (size_t i = (size_t)version; i < schema->versions_count && err == 0; i++)
        err = make_version(db, schema, i);
    return err;
}

static int take_lock(struct mysqldb *db)
{
    char sql[SQL_MAX];
    snprintf(sql, sizeof sql, "SELECT GET_LOCK(" LOCK_NAME ", %u)", db->lock_seconds);
    for (int i = 0; i < LOCK_TRIES; i++) {
        int64_t got;
        const int err = mysqldb_number(db, sql, &got);
        if ((err != 0 && err != PETREL_E_TIMEOUT) || got == 1)
            return err;
    }
    log_event(LOG_ERROR, "mysql", "another node is migrating the database for too long");
    return PETREL_E_LOCKED;
}

int mysqldb_migrate(struct mysqldb *db, const struct mysqldb_schema *schema)
{
    int64_t version, released;
    int err = read_version(db, schema, &version);
    if (err == 0)
        err = check_version(schema, version);
    if (err != 0 || version == (int64_t)schema->versions_count)
        return err;
    err = take_lock(db);
    if (err != 0)
        return err;
    err = migrate(db, schema);
    /* When this fails the connection does, and the lock is the connection's. */
    const int end = mysqldb_number(db, "SELECT RELEASE_LOCK(" LOCK_NAME ")", &released);
    return err != 0 ? err : end;
}
