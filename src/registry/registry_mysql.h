/* registry_mysql.h: the registry in a MySQL or MariaDB database that many nodes share, behind a worker thread of each.
 *
 * Writes of all nodes are taken one transaction after another, by a lock on one row. Each change that a snapshot shows gives the
 * registry its next version; a node asks for the version every poll_ms, and reads a new snapshot when it is another, so a node's
 * snapshot is at most poll_ms and the reading older than the database: that long a revoked key still opens elsewhere.
 *
 * While the database is away the last snapshot stays, however long, requests end with PETREL_E_UNAVAILABLE, METRIC_REGISTRY_DOWN is
 * 1, and the connection is tried again and again, at once at first and then up to 5 s apart. A node that starts meanwhile serves
 * the snapshot that it kept in copy_path, or none until the database is back.
 *
 * Names are kept as bytes (VARBINARY): they compare as in SQLite. The schema is in deploy/sql/registry/. */
#ifndef PETREL_REGISTRY_REGISTRY_MYSQL_H
#define PETREL_REGISTRY_REGISTRY_MYSQL_H

#include "base/clock.h"
#include "base/metrics.h"
#include "driver/mysqldb.h"
#include "registry/registry.h"

#define REGISTRY_MYSQL_POLL_MS 1000
#define REGISTRY_MYSQL_TIMEOUT_MS 5000
#define REGISTRY_MYSQL_CONNECT_TIMEOUT_MS 3000

struct registry_mysql_config {
    /* Its text is copied, the password wiped at the end. The user needs SELECT, INSERT, UPDATE and DELETE, and CREATE while there
     * is a schema to make. Timeouts of 0 are those above. */
    struct mysqldb_config server;
    uint32_t poll_ms;              /* 0: REGISTRY_MYSQL_POLL_MS */
    const struct clock *clock;     /* what is written as created, updated, revoked; the pace is the machine's */
    struct metrics_shard *metrics; /* the worker's own; NULL: none */
    const char *copy_path;         /* where the last snapshot is kept for the next start; NULL: nowhere */
    /* Called on the worker's thread with each new snapshot, the first before registry_mysql_open() returns where the database
     * answers or a copy was kept. The callee takes a reference to keep it. */
    void (*on_snapshot)(void *ctx, struct snapshot *snapshot);
    void *ctx;
};

/* Blocks. 0, also while the server does not answer, or not in time; PETREL_E_FORBIDDEN: the user, the password or its rights;
 * PETREL_E_NOT_FOUND: no such database; PETREL_E_UNSUPPORTED: the database was made by a newer version or is another
 * application's. The log has the particulars. */
int registry_mysql_open(struct registry **out, const struct registry_mysql_config *config);

#endif
