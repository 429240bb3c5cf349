/* registry_mysql_db.h: one connection to the registry's database and every statement on it. The room's own; on the worker's thread only.
 *
 * The operations (registry_mysql_apps.c, _keys.c, _devices.c) read request->in and fill request->out. They return 0, a status that
 * says what is wrong with the request and means that nothing was written, or PETREL_E_FULL or PETREL_E_UNAVAILABLE: then the
 * transaction around them is lost, and perhaps the connection (mysqldb_usable()). */
#ifndef PETREL_REGISTRY_REGISTRY_MYSQL_DB_H
#define PETREL_REGISTRY_REGISTRY_MYSQL_DB_H

#include "driver/mysqldb.h"
#include "registry/registry.h"
#include "registry/registry_mysql_schema.h"

enum registry_mysql_statement {
#define REGISTRY_MYSQL_ENUM(name, sql) REGISTRY_MYSQL_##name,
    REGISTRY_MYSQL_STATEMENTS(REGISTRY_MYSQL_ENUM)
#undef REGISTRY_MYSQL_ENUM
        REGISTRY_MYSQL_STATEMENTS_COUNT
};

struct registry_mysql_db {
    struct mysqldb *mysql;
    struct mysqldb_stmt *stmts[REGISTRY_MYSQL_STATEMENTS_COUNT];
    uint64_t now_ms; /* of the transaction under way */
    bool changed;    /* what the snapshot holds was changed in it */
};

/* Connect, migrate, prepare. 0, or the errors of registry_mysql_open(). */
int registry_mysql_db_open(struct registry_mysql_db **out, const struct mysqldb_config *config);
void registry_mysql_db_close(struct registry_mysql_db **db);

/* PETREL_E_FULL or PETREL_E_UNAVAILABLE for a negative result of the driver. */
int registry_mysql_db_failure(int err);
/* Run a bound statement that gives no rows. 0 or a failure. */
int registry_mysql_db_run(struct registry_mysql_db *db, enum registry_mysql_statement which);
/* Step a bound statement to its first row. 1: it stands ready, reset afterwards; 0: none; or a failure; these are reset. */
int registry_mysql_db_first(struct registry_mysql_db *db, enum registry_mysql_statement which);
/* What the snapshot holds changes: give it the next version. 0 or a failure. */
int registry_mysql_db_bump(struct registry_mysql_db *db);
/* A text column, cut to the size of out; what was written fits. */
void registry_mysql_db_text(struct mysqldb_stmt *stmt, unsigned column, char *out, size_t size);

/* Begin a transaction that writes: until it ends no other node's begins. 0 or a failure. */
int registry_mysql_db_begin(struct registry_mysql_db *db);
/* The registry's version, and whether devices of deleted apps are left. 0 or a failure. */
int registry_mysql_db_poll(struct registry_mysql_db *db, uint64_t *version, bool *purging);
/* Read everything that hot paths need, all of it of one version. 0 with one reference, or a failure. */
int registry_mysql_db_snapshot(struct registry_mysql_db *db, struct snapshot **out);
/* Delete some devices of deleted apps, in a transaction of its own. 1: more are left; 0: none; or a failure. */
int registry_mysql_db_purge(struct registry_mysql_db *db);

/* The app's number. 0, PETREL_E_NOT_FOUND, or a failure. */
int registry_mysql_apps_find(struct registry_mysql_db *db, struct bytes name, int64_t *app_id);

int registry_mysql_apps_create(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_apps_list(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_apps_delete(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_keys_create(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_keys_list(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_keys_revoke(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_devices_register(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_devices_list(struct registry_mysql_db *db, struct registry_request *request);
int registry_mysql_devices_revoke(struct registry_mysql_db *db, struct registry_request *request);

#endif
