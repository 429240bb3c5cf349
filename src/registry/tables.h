/* tables.h: the registry's tables through a connection to where they are kept, and everything that is done with them. The room's
 * own; on the worker's thread only.
 *
 * failure   what an operation ends with when it is not the request that is wrong: PETREL_E_FULL; PETREL_E_LOCKED: another's
 *           transaction was in the way, this one is undone and may be tried anew; PETREL_E_UNAVAILABLE. Each loses the
 *           transaction around it, and perhaps the connection.
 *
 * To add a place to keep the tables: struct tables_ops in registry_<name>_tables.c, and the registry around it. */
#ifndef PETREL_REGISTRY_TABLES_H
#define PETREL_REGISTRY_TABLES_H

#include "registry/registry.h"
#include "registry/tables_statements.h"

struct tables {
    const struct tables_ops *ops;
    uint64_t now_ms; /* of the transaction under way */
    bool changed;    /* what the snapshot holds was changed in it */
    bool purging;    /* devices of deleted apps may be left */
};

struct tables_value {
    enum { TABLES_INT, TABLES_TEXT, TABLES_BLOB } kind;
    int64_t number;
    struct bytes bytes;
};

/* Those that return int: 0, or an error of the driver, which tables_failure() reads. Parameters count from 1, columns from 0. */
struct tables_ops {
    /* To write: until it ends no other node's begins. To read: all of it as of now; ends with rollback. */
    int (*begin)(struct tables *tables, bool writes);
    int (*commit)(struct tables *tables);
    void (*rollback)(struct tables *tables);
    bool (*usable)(const struct tables *tables); /* false: the connection is lost */
    void (*bind)(struct tables *tables, enum tables_statement which, unsigned index, const struct tables_value *value);
    int (*step)(struct tables *tables, enum tables_statement which); /* 1: a row stands ready */
    int64_t (*number)(struct tables *tables, enum tables_statement which, unsigned column);
    struct bytes (*bytes)(struct tables *tables, enum tables_statement which, unsigned column);
    void (*reset)(struct tables *tables, enum tables_statement which);
    int64_t (*changes)(struct tables *tables); /* rows that the last statement changed */
    int64_t (*last_id)(struct tables *tables);
    void (*close)(struct tables *tables);
};

/* ---- statements ---- */

int tables_failure(int err);

static inline struct tables_value tables_int(int64_t number)
{
    return (struct tables_value){.kind = TABLES_INT, .number = number};
}

/* Lent until the statement is reset; absent is bound as the empty text. */
static inline struct tables_value tables_text(struct bytes text)
{
    return (struct tables_value){.kind = TABLES_TEXT, .bytes = text.ptr != NULL ? text : bytes_str("")};
}

static inline struct tables_value tables_blob(struct bytes blob)
{
    return (struct tables_value){.kind = TABLES_BLOB, .bytes = blob};
}

void tables_bind(struct tables *tables, enum tables_statement which, const struct tables_value *values, size_t count);
/* All parameters of a statement. */
#define TABLES_BIND(tables, which, ...)                                                                                \
    tables_bind((tables), (which), (const struct tables_value[]){__VA_ARGS__},                                         \
                sizeof((const struct tables_value[]){__VA_ARGS__}) / sizeof(struct tables_value))

/* Run a bound statement that gives no rows. 0 or a failure. */
int tables_run(struct tables *tables, enum tables_statement which);
/* Step a bound statement to its first row. 1: it stands ready, reset afterwards; 0: none; or a failure; these are reset. */
int tables_first(struct tables *tables, enum tables_statement which);
/* A text column, cut to the size of out; what was written fits. */
void tables_get_text(struct tables *tables, enum tables_statement which, unsigned column, char *out, size_t size);
/* Run a bound statement whose limit is the page's and one more: its rows become the request's. 0 or a failure. */
int tables_page(struct tables *tables, enum tables_statement which, struct registry_request *request, size_t row_size,
                void (*read_row)(struct tables *tables, enum tables_statement which, void *row));

/* ---- the registry as a whole ---- */

/* What the snapshot holds changes: give it the next version. 0 or a failure. */
int tables_bump(struct tables *tables);
/* The registry's version, and whether devices of deleted apps are left. 0 or a failure. */
int tables_poll(struct tables *tables, uint64_t *version);
/* Read everything that hot paths need, all of it of one version; before as in snapshot_new(). 0 with one reference, or a failure. */
int tables_snapshot(struct tables *tables, const struct snapshot *before, struct snapshot **out);
/* Delete some devices of deleted apps, in a transaction of its own. 1: more may be left; 0: none; or a failure. */
int tables_purge(struct tables *tables);

/* ---- the port's operations: tables_apps.c, tables_change.c, tables_keys.c, tables_devices.c, tables_audit.c ----
 *
 * They read request->in and fill request->out. 0, a status that says what is wrong with the request and means that nothing
 * was written, or a failure. */

/* The app's number. 0, PETREL_E_NOT_FOUND, or a failure. */
int tables_apps_find(struct tables *tables, struct bytes name, int64_t *app_id);
/* The request's app as it is now becomes its answer. 0, PETREL_E_NOT_FOUND, or a failure. */
int tables_apps_show(struct tables *tables, struct registry_request *request);

int tables_apps_create(struct tables *tables, struct registry_request *request);
int tables_apps_list(struct tables *tables, struct registry_request *request);
int tables_apps_delete(struct tables *tables, struct registry_request *request);
int tables_change_run(struct tables *tables, struct registry_request *request);
int tables_keys_create(struct tables *tables, struct registry_request *request);
int tables_keys_list(struct tables *tables, struct registry_request *request);
int tables_keys_revoke(struct tables *tables, struct registry_request *request);
int tables_devices_register(struct tables *tables, struct registry_request *request);
int tables_devices_list(struct tables *tables, struct registry_request *request);
int tables_devices_revoke(struct tables *tables, struct registry_request *request);
int tables_audit_add(struct tables *tables, struct registry_request *request);
int tables_audit_list(struct tables *tables, struct registry_request *request);

#endif
