/* What operators did. */
#include "base/err.h"
#include "base/object.h"
#include "registry/registry_audit.h"
#include "registry/tables.h"

#define DAY_MS UINT64_C(86400000)

static void read_row(struct tables *tables, enum tables_statement which, void *row)
{
    struct registry_audit_row *audit = row;
    audit->id = (uint64_t)tables->ops->number(tables, which, 0);
    audit->at_ms = (uint64_t)tables->ops->number(tables, which, 1);
    tables_get_text(tables, which, 2, audit->who, sizeof audit->who);
    tables_get_text(tables, which, 3, audit->origin, sizeof audit->origin);
    tables_get_text(tables, which, 4, audit->node, sizeof audit->node);
    tables_get_text(tables, which, 5, audit->action, sizeof audit->action);
    tables_get_text(tables, which, 6, audit->app, sizeof audit->app);
    tables_get_text(tables, which, 7, audit->target, sizeof audit->target);
    tables_get_text(tables, which, 8, audit->outcome, sizeof audit->outcome);
}

/* The oldest go as new ones come: the table is bounded without anybody tending it. */
static int expire(struct tables *tables, int64_t newest)
{
    const uint64_t age_ms = REGISTRY_AUDIT_DAYS * DAY_MS;
    TABLES_BIND(tables, TABLES_AUDIT_CAP, tables_int(newest - REGISTRY_AUDIT_ROWS));
    int status = tables_run(tables, TABLES_AUDIT_CAP);
    if (status != 0)
        return status;
    TABLES_BIND(tables, TABLES_AUDIT_EXPIRE,
                tables_int(tables->now_ms > age_ms ? (int64_t)(tables->now_ms - age_ms) : 0));
    return tables_run(tables, TABLES_AUDIT_EXPIRE);
}

int tables_audit_add(struct tables *tables, struct registry_request *request)
{
    const struct registry_audit_row *row = request->in.audit;
    TABLES_BIND(tables, TABLES_AUDIT_ADD, tables_int((int64_t)tables->now_ms), tables_text(bytes_str(row->who)),
                tables_text(bytes_str(row->origin)), tables_text(bytes_str(row->node)),
                tables_text(bytes_str(row->action)), tables_text(bytes_str(row->app)),
                tables_text(bytes_str(row->target)), tables_text(bytes_str(row->outcome)));
    const int status = tables_run(tables, TABLES_AUDIT_ADD);
    return status == 0 ? expire(tables, tables->ops->last_id(tables)) : status;
}

/* The id that the page begins behind: absent, one that no row has yet. */
static bool read_after(struct bytes after, int64_t *out)
{
    int64_t id = 0;
    *out = INT64_MAX;
    if (after.len == 0)
        return true;
    if (after.len > 18)
        return false;
    for (size_t i = 0; i < after.len; i++) {
        if (after.ptr[i] < '0' || after.ptr[i] > '9')
            return false;
        id = id * 10 + (after.ptr[i] - '0');
    }
    *out = id;
    return true;
}

int tables_audit_list(struct tables *tables, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    const bool of_app = request->in.app.ptr != NULL;
    const enum tables_statement which = of_app ? TABLES_AUDIT_OF_APP : TABLES_AUDIT_LIST;
    int64_t after;
    if (limit < 1 || limit > REGISTRY_PAGE_MAX || !read_after(request->in.after, &after) ||
        request->in.since_ms > INT64_MAX)
        return PETREL_E_INVALID;
    const struct tables_value since = tables_int((int64_t)request->in.since_ms);
    if (of_app)
        TABLES_BIND(tables, which, tables_text(request->in.app), since, tables_int(after), tables_int(limit + 1));
    else
        TABLES_BIND(tables, which, since, tables_int(after), tables_int(limit + 1));
    return tables_page(tables, which, request, sizeof(struct registry_audit_row), read_row);
}
