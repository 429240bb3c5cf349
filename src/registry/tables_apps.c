#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/tables.h"

#define KEY_WINDOW_MS (24 * UINT64_C(3600000))

static void read_row(struct tables *tables, enum tables_statement which, void *row)
{
    struct registry_app *app = row;
    tables_get_text(tables, which, 1, app->name, sizeof app->name);
    app->created_ms = (uint64_t)tables->ops->number(tables, which, 2);
    app->key_window_ms = (uint64_t)tables->ops->number(tables, which, 3);
    app->secrets_count = (uint32_t)tables->ops->number(tables, which, 4);
    app->public_keys_count = (uint32_t)tables->ops->number(tables, which, 5);
    app->limits.per_second = (uint32_t)tables->ops->number(tables, which, 6);
    app->limits.key_per_second = (uint32_t)tables->ops->number(tables, which, 7);
    app->edge.connects_per_second = (uint32_t)tables->ops->number(tables, which, 8);
    tables_get_text(tables, which, 9, app->edge.origins, sizeof app->edge.origins);
}

/* row may be NULL. */
static int find(struct tables *tables, struct bytes name, int64_t *app_id, struct registry_app *row)
{
    TABLES_BIND(tables, TABLES_APP_FIND, tables_text(name));
    const int rc = tables_first(tables, TABLES_APP_FIND);
    if (rc != 1)
        return rc == 0 ? PETREL_E_NOT_FOUND : rc;
    *app_id = tables->ops->number(tables, TABLES_APP_FIND, 0);
    if (row != NULL)
        read_row(tables, TABLES_APP_FIND, row);
    tables->ops->reset(tables, TABLES_APP_FIND);
    return 0;
}

int tables_apps_find(struct tables *tables, struct bytes name, int64_t *app_id)
{
    return find(tables, name, app_id, NULL);
}

static int insert_secret(struct tables *tables, int64_t app_id)
{
    struct snapshot_secret secret;
    credential_make_secret(&secret);
    TABLES_BIND(tables, TABLES_SECRET_INSERT, tables_int(app_id), tables_int(0), tables_text(bytes_str(secret.kid)),
                tables_blob(bytes_of(secret.secret, sizeof secret.secret)));
    const int status = tables_run(tables, TABLES_SECRET_INSERT);
    explicit_bzero(&secret, sizeof secret);
    return status;
}

/* 0: free; EXISTS: in use, or of an app that was deleted. */
static int check_name(struct tables *tables, struct bytes name)
{
    int64_t app_id;
    const int status = tables_apps_find(tables, name, &app_id);
    if (status != PETREL_E_NOT_FOUND)
        return status == 0 ? PETREL_E_EXISTS : status;
    TABLES_BIND(tables, TABLES_APP_IS_GONE, tables_text(name));
    const int rc = tables_first(tables, TABLES_APP_IS_GONE);
    tables->ops->reset(tables, TABLES_APP_IS_GONE);
    return rc == 1 ? PETREL_E_EXISTS : rc;
}

int tables_apps_show(struct tables *tables, struct registry_request *request)
{
    int64_t app_id;
    struct registry_app row = {0};
    const int status = find(tables, request->in.app, &app_id, &row);
    if (status != 0)
        return status;
    request->out.apps = object_alloc(sizeof row);
    request->out.apps[0] = row;
    request->out.count = 1;
    return 0;
}

int tables_apps_create(struct tables *tables, struct registry_request *request)
{
    if (!route_valid_app(request->in.app))
        return PETREL_E_INVALID;
    int status = check_name(tables, request->in.app);
    if (status != 0)
        return status;
    TABLES_BIND(tables, TABLES_APP_INSERT, tables_text(request->in.app), tables_int((int64_t)tables->now_ms),
                tables_int((int64_t)KEY_WINDOW_MS));
    status = tables_run(tables, TABLES_APP_INSERT);
    if (status == 0)
        status = insert_secret(tables, tables->ops->last_id(tables));
    if (status == 0)
        status = tables_bump(tables);
    return status == 0 ? tables_apps_show(tables, request) : status;
}

int tables_apps_list(struct tables *tables, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    if (request->in.app.ptr != NULL)
        return tables_apps_show(tables, request);
    if (limit < 1 || limit > REGISTRY_PAGE_MAX)
        return PETREL_E_INVALID;
    TABLES_BIND(tables, TABLES_APP_LIST, tables_text(request->in.after), tables_int(limit + 1));
    return tables_page(tables, TABLES_APP_LIST, request, sizeof(struct registry_app), read_row);
}

int tables_apps_delete(struct tables *tables, struct registry_request *request)
{
    /* Keys and secrets are few. An app's devices may be millions: they are out of reach at once, since the app's number is
     * never used again, and go little by little (tables_purge). */
    static const enum tables_statement steps[] = {TABLES_APP_RETIRE,       TABLES_APP_DELETE,   TABLES_SECRET_DELETE,
                                                  TABLES_TOKEN_KEY_DELETE, TABLES_LIMIT_DELETE, TABLES_EDGE_DELETE,
                                                  TABLES_KEY_GRANT_DELETE, TABLES_KEY_DELETE,   TABLES_PURGE_ADD};
    int64_t app_id;
    int status = tables_apps_find(tables, request->in.app, &app_id);
    for (size_t i = 0; status == 0 && i < sizeof steps / sizeof steps[0]; i++) {
        TABLES_BIND(tables, steps[i], tables_int(app_id));
        status = tables_run(tables, steps[i]);
    }
    if (status != 0)
        return status;
    tables->purging = true;
    return tables_bump(tables);
}
