/* sqlite_private.h: what the files of the SQLite driver share. Not for other rooms. */
#ifndef PETREL_DRIVER_SQLITE_PRIVATE_H
#define PETREL_DRIVER_SQLITE_PRIVATE_H

#include "base/list.h"
#include "base/object.h"
#include "driver/sqlite.h"

#include <sqlite3.h>

#define SQLITE_OBJECT_MAGIC OBJECT_MAGIC('s', 'q', 'l', 't')

struct sqlite {
    uint32_t magic;
    sqlite3 *handle;
    char *path;
    char *wal_path;
    struct sqlite_wal *wal; /* how it is written */
    struct list stmts;
    struct sqlite_stmt *begin;
    struct sqlite_stmt *commit;
    struct sqlite_stmt *rollback;
    struct sqlite_stmt *free_pages;
};

/* The petrel_err of an (extended) SQLite result; errnum says why a write failed, 0 when unknown. */
int sqlite_error_of(int rc, int errnum);
/* Why a connection's last write failed. sqlite3_system_errno() is overwritten before it can be asked; the files remember. */
int sqlite_errno_of(sqlite3 *handle);
/* sqlite_error_of(), logged with the connection's own text. */
int sqlite_report(const struct sqlite *db, int rc, const char *what);

#endif
