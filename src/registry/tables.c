#include "registry/tables.h"

#include "base/err.h"
#include "base/object.h"
#include "registry/reading.h"
#include "registry/row.h"

#define PURGE_ROWS 512

int tables_failure(int err)
{
    petrel_assert(err < 0);
    return err == PETREL_E_FULL || err == PETREL_E_LOCKED ? err : PETREL_E_UNAVAILABLE;
}

/* ---- statements ---- */

void tables_bind(struct tables *tables, enum tables_statement which, const struct tables_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tables->ops->bind(tables, which, (unsigned)i + 1, &values[i]);
}

int tables_first(struct tables *tables, enum tables_statement which)
{
    const int rc = tables->ops->step(tables, which);
    if (rc == 1)
        return 1;
    tables->ops->reset(tables, which);
    return rc == 0 ? 0 : tables_failure(rc);
}

int tables_run(struct tables *tables, enum tables_statement which)
{
    const int rc = tables_first(tables, which);
    petrel_assert(rc != 1);
    return rc;
}

void tables_get_text(struct tables *tables, enum tables_statement which, unsigned column, char *out, size_t size)
{
    row_text(tables->ops->bytes(tables, which, column), out, size);
}

int tables_page(struct tables *tables, enum tables_statement which, struct registry_request *request, size_t row_size,
                void (*read_row)(struct tables *tables, enum tables_statement which, void *row))
{
    uint8_t *rows = object_zalloc(request->in.limit * row_size);
    int rc;
    request->out.rows = rows;
    while ((rc = tables->ops->step(tables, which)) == 1 && request->out.count < request->in.limit)
        read_row(tables, which, rows + request->out.count++ * row_size);
    tables->ops->reset(tables, which);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : tables_failure(rc);
}

/* ---- the version and the snapshot ---- */

int tables_bump(struct tables *tables)
{
    tables->changed = true;
    return tables_run(tables, TABLES_VERSION_BUMP);
}

int tables_poll(struct tables *tables, uint64_t *version)
{
    const int rc = tables_first(tables, TABLES_POLL);
    if (rc != 1)
        return rc == 0 ? PETREL_E_UNAVAILABLE : rc;
    *version = (uint64_t)tables->ops->number(tables, TABLES_POLL, 0);
    tables->purging = tables->ops->number(tables, TABLES_POLL, 1) != 0;
    tables->ops->reset(tables, TABLES_POLL);
    return 0;
}

static void take_app(struct reading *reading, struct tables *from)
{
    const struct tables_ops *ops = from->ops;
    const struct snapshot_limits limits = {
        .per_second = (uint32_t)ops->number(from, TABLES_APP_ALL, 3),
        .key_per_second = (uint32_t)ops->number(from, TABLES_APP_ALL, 4),
    };
    reading_add_app(reading, ops->number(from, TABLES_APP_ALL, 0), ops->bytes(from, TABLES_APP_ALL, 1),
                    (uint64_t)ops->number(from, TABLES_APP_ALL, 2), &limits);
    reading_set_edge(reading, (uint32_t)ops->number(from, TABLES_APP_ALL, 5), ops->bytes(from, TABLES_APP_ALL, 6));
}

static void take_secret(struct reading *reading, struct tables *from)
{
    const struct tables_ops *ops = from->ops;
    reading_add_secret(reading, ops->number(from, TABLES_SECRET_ALL, 0), ops->bytes(from, TABLES_SECRET_ALL, 1),
                       ops->bytes(from, TABLES_SECRET_ALL, 2));
}

static void take_token_key(struct reading *reading, struct tables *from)
{
    const struct tables_ops *ops = from->ops;
    const struct reading_token_key key = {
        .kid = ops->bytes(from, TABLES_TOKEN_KEY_ALL, 1),
        .algorithm = ops->bytes(from, TABLES_TOKEN_KEY_ALL, 2),
        .material = ops->bytes(from, TABLES_TOKEN_KEY_ALL, 3),
        .created_ms = (uint64_t)ops->number(from, TABLES_TOKEN_KEY_ALL, 4),
    };
    reading_add_token_key(reading, ops->number(from, TABLES_TOKEN_KEY_ALL, 0), &key);
}

static void take_key(struct reading *reading, struct tables *from)
{
    const struct tables_ops *ops = from->ops;
    reading_add_key(reading, ops->number(from, TABLES_KEY_ALL, 0), ops->bytes(from, TABLES_KEY_ALL, 1),
                    ops->bytes(from, TABLES_KEY_ALL, 2), (uint32_t)ops->number(from, TABLES_KEY_ALL, 3),
                    (uint64_t)ops->number(from, TABLES_KEY_ALL, 4));
}

static int read_rows(struct tables *tables, enum tables_statement which, struct reading *reading,
                     void (*take)(struct reading *reading, struct tables *from))
{
    int rc;
    while ((rc = tables->ops->step(tables, which)) == 1)
        take(reading, tables);
    tables->ops->reset(tables, which);
    return rc == 0 ? 0 : tables_failure(rc);
}

int tables_snapshot(struct tables *tables, const struct snapshot *before, struct snapshot **out)
{
    struct reading reading = {0};
    uint64_t version = 0;
    const int err = tables->ops->begin(tables, false);
    if (err != 0)
        return tables_failure(err);
    int status = tables_poll(tables, &version);
    if (status == 0)
        status = read_rows(tables, TABLES_APP_ALL, &reading, take_app);
    if (status == 0)
        status = read_rows(tables, TABLES_SECRET_ALL, &reading, take_secret);
    if (status == 0)
        status = read_rows(tables, TABLES_TOKEN_KEY_ALL, &reading, take_token_key);
    if (status == 0)
        status = read_rows(tables, TABLES_KEY_ALL, &reading, take_key);
    tables->ops->rollback(tables);
    if (status == 0)
        *out = reading_snapshot(&reading, version, before);
    reading_reset(&reading);
    return status;
}

/* ---- what deleted apps leave ---- */

/* In a transaction. 1: more may be left, of this app or others; 0: there was none; or a failure. */
static int purge_some(struct tables *tables)
{
    int rc = tables_first(tables, TABLES_PURGE_NEXT);
    if (rc != 1)
        return rc;
    const int64_t app_id = tables->ops->number(tables, TABLES_PURGE_NEXT, 0);
    tables->ops->reset(tables, TABLES_PURGE_NEXT);
    TABLES_BIND(tables, TABLES_PURGE_DEVICES, tables_int(app_id), tables_int(PURGE_ROWS));
    rc = tables_run(tables, TABLES_PURGE_DEVICES);
    if (rc != 0 || tables->ops->changes(tables) == PURGE_ROWS)
        return rc != 0 ? rc : 1;
    TABLES_BIND(tables, TABLES_PURGE_DONE, tables_int(app_id));
    rc = tables_run(tables, TABLES_PURGE_DONE);
    return rc != 0 ? rc : 1;
}

int tables_purge(struct tables *tables)
{
    int err = tables->ops->begin(tables, true);
    if (err != 0)
        return tables_failure(err);
    const int rc = purge_some(tables);
    tables->purging = rc == 1; /* after a failure the next poll says whether there is something to do */
    if (rc <= 0) {
        tables->ops->rollback(tables);
        return rc;
    }
    err = tables->ops->commit(tables);
    return err == 0 ? 1 : tables_failure(err);
}
