/* mysqldb.h: MySQL or MariaDB as the registry uses it: one connection, one thread, prepared statements, InnoDB. Thin: statements,
 * their errors as petrel_err, migrations. The only user of mysql.h (MariaDB's Connector/C), whose functions are all named mysql_*
 * already, so ours are not. Everything on the owner's worker thread; every call is bounded by the timeouts.
 *
 * usable    whether the connection can still be worked with; after an error it may not be, and then it is closed and opened anew */
#ifndef PETREL_DRIVER_MYSQLDB_H
#define PETREL_DRIVER_MYSQLDB_H

#include "base/bytes.h"

struct mysqldb;      /* a connection */
struct mysqldb_stmt; /* a prepared statement: prepared once, reused, freed with the connection */

#define MYSQLDB_COLUMN_MAX 1024 /* bytes of a text or blob in a result */
#define MYSQLDB_PLACES_MAX 10   /* parameters of a statement; columns of its result */

/* Text is copied by whoever needs it longer; the password is never logged. */
struct mysqldb_config {
    const char *socket; /* a Unix socket; NULL: TCP to host and port */
    const char *host;
    uint16_t port;
    const char *user;
    const char *password;
    const char *database;
    const char *
        tls_ca; /* PEM: who is trusted with the certificate of host, over TLS; NULL: no TLS. Read at each connect, as are */
    const char *tls_cert; /* a certificate of our own, with its key; NULL: none */
    const char *tls_key;
    uint32_t connect_timeout_ms; /* both are rounded up to whole seconds */
    uint32_t timeout_ms;         /* of a statement: the server gives it up after this, the connection a second later */
};

/* 0; PETREL_E_UNAVAILABLE: no server, or not in time; PETREL_E_FORBIDDEN: the user or password is not accepted;
 * PETREL_E_NOT_FOUND: no such database. The log has the particulars. */
int mysqldb_open(struct mysqldb **out, const struct mysqldb_config *config);
void mysqldb_close(struct mysqldb **db);
bool mysqldb_usable(const struct mysqldb *db);
/* Whether the server has refused a write because it takes none: another may have become the primary. */
bool mysqldb_read_only(const struct mysqldb *db);

/* Text without parameters; results are dropped. Statuses as mysqldb_stmt_step(). */
int mysqldb_exec(struct mysqldb *db, const char *sql);
/* The first column of the first row, as a number; 0 when there is none or it is NULL. */
int mysqldb_number(struct mysqldb *db, const char *sql, int64_t *out);
/* Begin; the transaction sees what was committed before its first read that locks nothing. */
int mysqldb_begin(struct mysqldb *db);
/* Begin one that only reads, all of it as of now. */
int mysqldb_begin_snapshot(struct mysqldb *db);
/* 0: durable. On an error whether it is, is unknown, and the connection is not usable. */
int mysqldb_commit(struct mysqldb *db);
void mysqldb_rollback(struct mysqldb *db);
/* Of the last statement that was run: rows it changed, the AUTO_INCREMENT it gave. */
int64_t mysqldb_changes(const struct mysqldb *db);
int64_t mysqldb_last_id(const struct mysqldb *db);

/* 0, or an error of mysqldb_stmt_step(). Owned by the connection. */
int mysqldb_stmt_prepare(struct mysqldb_stmt **out, struct mysqldb *db, const char *sql);
/* Parameters count from 1. Text and blobs are lent until mysqldb_stmt_reset(). */
void mysqldb_stmt_bind_int(struct mysqldb_stmt *stmt, unsigned index, int64_t value);
void mysqldb_stmt_bind_bytes(struct mysqldb_stmt *stmt, unsigned index, struct bytes value); /* absent: NULL */
/* 1: a row stands ready; 0: done; PETREL_E_FULL (disk, table space), PETREL_E_EXISTS (a constraint), PETREL_E_LOCKED (a
 * deadlock: the transaction was undone, and may be tried anew), PETREL_E_TIMEOUT (the server gave it up, or a lock was not got), PETREL_E_FORBIDDEN (no right to do that, or
 * the server takes no writes),
 * PETREL_E_INVALID (what is stored is not what was expected), PETREL_E_UNAVAILABLE (all else: the connection is not usable). */
int mysqldb_stmt_step(struct mysqldb_stmt *stmt);
/* Columns count from 0; borrowed until the next step or reset. NULL is 0 or absent. */
int64_t mysqldb_stmt_int(struct mysqldb_stmt *stmt, unsigned column);
struct bytes mysqldb_stmt_bytes(struct mysqldb_stmt *stmt, unsigned column);
void mysqldb_stmt_reset(struct mysqldb_stmt *stmt);
/* Step to the end and reset: for statements without rows. */
int mysqldb_stmt_run(struct mysqldb_stmt *stmt);

/* versions[i] makes version i + 1 of the schema: statements, ending in NULL, that may each be run again after a crash between
 * two of them, since the server commits each (CREATE TABLE IF NOT EXISTS). */
struct mysqldb_schema {
    const char *name; /* [a-z]+ */
    size_t versions_count;
    const char *const *const *versions;
};

/* Bring the database to the newest version, which its table petrel_schema keeps. Of many that start at once one does it and the
 * others wait (GET_LOCK). Asks for no right to change tables where there is nothing to change. 0; PETREL_E_UNSUPPORTED: made by a
 * newer version, or the database holds another application's tables; PETREL_E_LOCKED: waited too long; an error of
 * mysqldb_stmt_step(). */
int mysqldb_migrate(struct mysqldb *db, const struct mysqldb_schema *schema);

#endif
