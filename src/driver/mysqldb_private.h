/* mysqldb_private.h: what the files of the MySQL driver share. Not for other rooms. */
#ifndef PETREL_DRIVER_MYSQLDB_PRIVATE_H
#define PETREL_DRIVER_MYSQLDB_PRIVATE_H

#include "base/list.h"
#include "base/object.h"
#include "driver/mysqldb.h"

#include <mysql.h>

#define MYSQLDB_MAGIC OBJECT_MAGIC('m', 'y', 'd', 'b')

struct mysqldb {
    uint32_t magic;
    bool usable;
    bool read_only;
    MYSQL *handle;
    struct list stmts;
    uint32_t lock_seconds; /* how long a statement may wait for a lock */
    int64_t changes;
    int64_t last_id;
};

/* A statement's part of mysqldb_close(). */
void mysqldb_stmt_free(struct list *node);
/* The petrel_err of the server's or the library's error, logged; what: the statement. May end the connection's use. */
int mysqldb_report(struct mysqldb *db, unsigned code, const char *text, const char *what);

#endif
