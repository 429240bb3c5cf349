/* sqlite.h: SQLite as the stores use it: one file, one connection, one thread, WAL, synchronous=FULL. Thin: statements, their
 * errors as petrel_err, migrations, online backup. The only user of sqlite3.h. Everything on the owner's worker thread. */
#ifndef PETREL_DRIVER_SQLITE_H
#define PETREL_DRIVER_SQLITE_H

#include "base/bytes.h"

struct sqlite;      /* a connection */
struct sqlite_stmt; /* a prepared statement: prepared once, reused, freed with the connection */

/* A step from one schema version to the next: versions[i] makes version i + 1 (PRAGMA user_version). */
struct sqlite_schema {
    const char *name;        /* for logs: "store" */
    uint32_t application_id; /* PRAGMA application_id: refuses a file that is something else's */
    size_t versions_count;
    const char *const *versions;
};

/* Open or make the file (mode 0600), take it for this process alone (locking_mode=EXCLUSIVE), migrate it. 0;
 * PETREL_E_LOCKED: another process has it; PETREL_E_UNSUPPORTED: made by a newer version, or another application's;
 * PETREL_E_INVALID: not a database; PETREL_E_NOT_FOUND: no such folder; PETREL_E_FULL, PETREL_E_IO. The log has the particulars. */
int sqlite_open(struct sqlite **out, const char *path, const struct sqlite_schema *schema);
void sqlite_close(struct sqlite **db);

/* Text without parameters or results. Statuses as sqlite_step(). */
int sqlite_exec(struct sqlite *db, const char *sql);
int sqlite_begin(struct sqlite *db);
/* 0: durable. On any error the transaction is rolled back. */
int sqlite_commit(struct sqlite *db);
void sqlite_rollback(struct sqlite *db);

/* The SQL is ours: a mistake in it aborts. Owned by the connection. */
struct sqlite_stmt *sqlite_prepare(struct sqlite *db, const char *sql);
/* Parameters count from 1. Text and blobs are lent until sqlite_reset(). */
void sqlite_bind_int(struct sqlite_stmt *stmt, int index, int64_t value);
void sqlite_bind_text(struct sqlite_stmt *stmt, int index, struct bytes text); /* absent: NULL */
void sqlite_bind_blob(struct sqlite_stmt *stmt, int index, struct bytes blob); /* absent: NULL */

/* 1: a row stands ready; 0: done; PETREL_E_FULL (disk, quota, file size limit), PETREL_E_EXISTS (a constraint),
 * PETREL_E_IO, PETREL_E_NOMEM, PETREL_E_INVALID (corrupt). */
int sqlite_step(struct sqlite_stmt *stmt);
/* Columns count from 0; borrowed until the next step or reset. NULL is 0 or absent. */
int64_t sqlite_column_int(struct sqlite_stmt *stmt, int column);
struct bytes sqlite_column_text(struct sqlite_stmt *stmt, int column);
struct bytes sqlite_column_blob(struct sqlite_stmt *stmt, int column);
void sqlite_reset(struct sqlite_stmt *stmt);
/* bind nothing more, step to the end, reset: for statements without rows. 0 or an error of sqlite_step(). */
int sqlite_run(struct sqlite_stmt *stmt);

int64_t sqlite_last_rowid(struct sqlite *db);
int64_t sqlite_changes(struct sqlite *db);
/* Bytes of the file and of its WAL. */
uint64_t sqlite_file_bytes(struct sqlite *db);
/* Pages inside the file that hold nothing: what sqlite_shrink() could give back. */
uint64_t sqlite_free_pages(struct sqlite *db);
/* Give free pages back to the file system, at most `pages`, and truncate the WAL when it can be. Between transactions.
 * 0 or an error. */
int sqlite_shrink(struct sqlite *db, uint32_t pages);

/* A backup in slices, while the connection goes on writing: what it writes reaches the copy as well. All three between
 * transactions. The copy is complete, durable and a file of its own once sqlite_backup_step() has returned 0.
 * begin: 0; PETREL_E_EXISTS: there is a file at path; PETREL_E_FULL, PETREL_E_IO. */
struct sqlite_backup;
int sqlite_backup_begin(struct sqlite_backup **out, struct sqlite *db, const char *path);
/* Copy at most `pages`. 1: more to do; 0: complete; or an error. */
int sqlite_backup_step(struct sqlite_backup *backup, uint32_t pages);
/* Also gives up an unfinished one, whose file is removed. */
void sqlite_backup_end(struct sqlite_backup **backup);

/* Whether a file that nobody has open is a whole database of this application; changes and logs nothing. 0; PETREL_E_INVALID: no
 * database, or damaged; PETREL_E_UNSUPPORTED: another application's; PETREL_E_NOT_FOUND; PETREL_E_FORBIDDEN; PETREL_E_IO. Any thread. */
int sqlite_check_file(const char *path, uint32_t application_id);

#endif
