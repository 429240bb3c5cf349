/* registry_sqlite_db.h: the registry's file and every statement on it. The room's own; on the worker's thread only.
 *
 * The operations (registry_sqlite_apps.c, _keys.c, _devices.c) read request->in and fill request->out. They return 0, a status
 * that says what is wrong with the request and means that nothing was written, or PETREL_E_FULL or PETREL_E_UNAVAILABLE: then
 * the transaction around them is lost. */
#ifndef PETREL_REGISTRY_REGISTRY_SQLITE_DB_H
#define PETREL_REGISTRY_REGISTRY_SQLITE_DB_H

#include "driver/sqlite.h"
#include "registry/registry.h"

/* An app's number is never given twice, so that what a deleted app leaves behind is never another's. */
#define REGISTRY_SQLITE_SCHEMA_1                                                                                       \
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

#define REGISTRY_SQLITE_STATEMENTS(X)                                                                                  \
    X(APP_FIND, "SELECT id, name, created_ms, key_window_ms,"                                                          \
                " (SELECT count(*) FROM secret WHERE app_id = app.id) FROM app WHERE name = ?1")                       \
    X(APP_LIST,                                                                                                        \
      "SELECT id, name, created_ms, key_window_ms,"                                                                    \
      " (SELECT count(*) FROM secret WHERE app_id = app.id) FROM app WHERE name > ?1 ORDER BY name LIMIT ?2")          \
    X(APP_ALL, "SELECT id, name, key_window_ms FROM app ORDER BY id")                                                  \
    X(APP_INSERT, "INSERT INTO app (name, created_ms, key_window_ms) VALUES (?1, ?2, ?3)")                             \
    X(APP_RETIRE, "INSERT INTO gone SELECT name FROM app WHERE id = ?1")                                               \
    X(APP_IS_GONE, "SELECT 1 FROM gone WHERE name = ?1")                                                               \
    X(APP_DELETE, "DELETE FROM app WHERE id = ?1")                                                                     \
    X(SECRET_ALL, "SELECT app_id, kid, secret FROM secret ORDER BY app_id, place")                                     \
    X(SECRET_INSERT, "INSERT INTO secret VALUES (?1, ?2, ?3, ?4)")                                                     \
    X(SECRET_DELETE, "DELETE FROM secret WHERE app_id = ?1")                                                           \
    X(KEY_ALL, "SELECT app_id, id, sha256 FROM api_key WHERE revoked_ms = 0 ORDER BY app_id, id")                      \
    X(KEY_LIST, "SELECT id, label, created_ms, revoked_ms FROM api_key WHERE app_id = ?1 AND id > ?2"                  \
                " ORDER BY id LIMIT ?3")                                                                               \
    X(KEY_INSERT, "INSERT INTO api_key VALUES (?1, ?2, ?3, ?4, ?5, 0)")                                                \
    X(KEY_REVOKE, "UPDATE api_key SET revoked_ms = ?3 WHERE app_id = ?1 AND id = ?2 AND revoked_ms = 0")               \
    X(KEY_FIND, "SELECT id, label, created_ms, revoked_ms FROM api_key WHERE app_id = ?1 AND id = ?2")                 \
    X(KEY_DELETE, "DELETE FROM api_key WHERE app_id = ?1")                                                             \
    X(DEVICE_FIND, "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"                     \
                   " WHERE app_id = ?1 AND user = ?2 AND device = ?3")                                                 \
    X(DEVICE_COUNT, "SELECT count(*) FROM device WHERE app_id = ?1 AND user = ?2 AND revoked_ms = 0")                  \
    X(DEVICE_PUT, "INSERT OR REPLACE INTO device VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                 \
    X(DEVICE_LIST, "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"                     \
                   " WHERE app_id = ?1 AND (user, device) > (?2, ?3) ORDER BY user, device LIMIT ?4")                  \
    X(DEVICE_OF_USER, "SELECT user, device, platform, created_ms, updated_ms, revoked_ms FROM device"                  \
                      " WHERE app_id = ?1 AND user = ?2 AND device > ?3 ORDER BY device LIMIT ?4")                     \
    X(PURGE_ADD, "INSERT INTO purge VALUES (?1)")                                                                      \
    X(PURGE_NEXT, "SELECT app_id FROM purge LIMIT 1")                                                                  \
    X(PURGE_DEVICES, "DELETE FROM device WHERE app_id = ?1 AND (user, device) IN"                                      \
                     " (SELECT user, device FROM device WHERE app_id = ?1 LIMIT ?2)")                                  \
    X(PURGE_DONE, "DELETE FROM purge WHERE app_id = ?1")                                                               \
    X(VERSION, "SELECT version FROM meta")                                                                             \
    X(VERSION_BUMP, "UPDATE meta SET version = version + 1")

enum registry_sqlite_statement {
#define REGISTRY_SQLITE_ENUM(name, sql) REGISTRY_SQLITE_##name,
    REGISTRY_SQLITE_STATEMENTS(REGISTRY_SQLITE_ENUM)
#undef REGISTRY_SQLITE_ENUM
        REGISTRY_SQLITE_STATEMENTS_COUNT
};

struct registry_sqlite_db {
    struct sqlite *sqlite;
    struct sqlite_stmt *stmts[REGISTRY_SQLITE_STATEMENTS_COUNT];
    uint64_t now_ms; /* of the batch under way */
    bool changed;    /* what the snapshot holds was changed in this transaction */
};

/* 0, or the errors of sqlite_open(). */
int registry_sqlite_db_open(struct registry_sqlite_db **out, const char *path);
void registry_sqlite_db_close(struct registry_sqlite_db **db);

/* PETREL_E_FULL or PETREL_E_UNAVAILABLE for a negative result of the driver. */
int registry_sqlite_db_failure(int err);
/* Run a bound statement that gives no rows. 0 or a failure. */
int registry_sqlite_db_run(struct registry_sqlite_db *db, enum registry_sqlite_statement which);
/* What the snapshot holds changes: give it the next version. 0 or a failure. */
int registry_sqlite_db_bump(struct registry_sqlite_db *db);
/* A text column, cut to the size of out; what was written fits. */
void registry_sqlite_db_text(struct sqlite_stmt *stmt, int column, char *out, size_t size);

/* Read everything that hot paths need. 0 with one reference, or a failure. */
int registry_sqlite_db_snapshot(struct registry_sqlite_db *db, struct snapshot **out);
/* Delete some devices of deleted apps, in a transaction of its own. 1: more are left; 0: none; or a failure. */
int registry_sqlite_db_purge(struct registry_sqlite_db *db);

/* The app's number. 0, PETREL_E_NOT_FOUND, or a failure. */
int registry_sqlite_apps_find(struct registry_sqlite_db *db, struct bytes name, int64_t *app_id);

int registry_sqlite_apps_create(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_apps_list(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_apps_delete(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_keys_create(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_keys_list(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_keys_revoke(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_devices_register(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_devices_list(struct registry_sqlite_db *db, struct registry_request *request);
int registry_sqlite_devices_revoke(struct registry_sqlite_db *db, struct registry_request *request);

#endif
