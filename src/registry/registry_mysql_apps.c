#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/registry_mysql_db.h"
#include "registry/row.h"

#define KEY_WINDOW_MS (24 * UINT64_C(3600000))

static void read_row(struct mysqldb_stmt *stmt, struct registry_app *app)
{
    registry_mysql_db_text(stmt, 1, app->name, sizeof app->name);
    app->created_ms = (uint64_t)mysqldb_stmt_int(stmt, 2);
    app->key_window_ms = (uint64_t)mysqldb_stmt_int(stmt, 3);
    app->secrets_count = (uint32_t)mysqldb_stmt_int(stmt, 4);
}

/* row may be NULL. */
static int find(struct registry_mysql_db *db, struct bytes name, int64_t *app_id, struct registry_app *row)
{
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_APP_FIND];
    mysqldb_stmt_bind_bytes(stmt, 1, row_or_empty(name));
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_APP_FIND);
    if (rc != 1)
        return rc == 0 ? PETREL_E_NOT_FOUND : rc;
    *app_id = mysqldb_stmt_int(stmt, 0);
    if (row != NULL)
        read_row(stmt, row);
    mysqldb_stmt_reset(stmt);
    return 0;
}

int registry_mysql_apps_find(struct registry_mysql_db *db, struct bytes name, int64_t *app_id)
{
    return find(db, name, app_id, NULL);
}

static int insert_secret(struct registry_mysql_db *db, int64_t app_id)
{
    struct snapshot_secret secret;
    credential_make_secret(&secret);
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_SECRET_INSERT];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_int(stmt, 2, 0);
    mysqldb_stmt_bind_bytes(stmt, 3, bytes_str(secret.kid));
    mysqldb_stmt_bind_bytes(stmt, 4, bytes_of(secret.secret, sizeof secret.secret));
    const int status = registry_mysql_db_run(db, REGISTRY_MYSQL_SECRET_INSERT);
    explicit_bzero(&secret, sizeof secret);
    return status;
}

/* 0: free; EXISTS: in use, or of an app that was deleted. */
static int check_name(struct registry_mysql_db *db, struct bytes name)
{
    int64_t app_id;
    const int status = registry_mysql_apps_find(db, name, &app_id);
    if (status != PETREL_E_NOT_FOUND)
        return status == 0 ? PETREL_E_EXISTS : status;
    mysqldb_stmt_bind_bytes(db->stmts[REGISTRY_MYSQL_APP_IS_GONE], 1, name);
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_APP_IS_GONE);
    mysqldb_stmt_reset(db->stmts[REGISTRY_MYSQL_APP_IS_GONE]);
    return rc == 1 ? PETREL_E_EXISTS : rc;
}

int registry_mysql_apps_create(struct registry_mysql_db *db, struct registry_request *request)
{
    int64_t app_id;
    if (!route_valid_app(request->in.app))
        return PETREL_E_INVALID;
    int status = check_name(db, request->in.app);
    if (status != 0)
        return status;

    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_APP_INSERT];
    mysqldb_stmt_bind_bytes(stmt, 1, request->in.app);
    mysqldb_stmt_bind_int(stmt, 2, (int64_t)db->now_ms);
    mysqldb_stmt_bind_int(stmt, 3, (int64_t)KEY_WINDOW_MS);
    status = registry_mysql_db_run(db, REGISTRY_MYSQL_APP_INSERT);
    if (status == 0)
        status = insert_secret(db, mysqldb_last_id(db->mysql));
    if (status == 0)
        status = registry_mysql_db_bump(db);
    if (status != 0)
        return status;
    request->out.apps = object_zalloc(sizeof *request->out.apps);
    request->out.count = 1;
    return find(db, request->in.app, &app_id, request->out.apps);
}

static int show(struct registry_mysql_db *db, struct registry_request *request)
{
    int64_t app_id;
    struct registry_app row = {0};
    const int status = find(db, request->in.app, &app_id, &row);
    if (status != 0)
        return status;
    request->out.apps = object_alloc(sizeof row);
    request->out.apps[0] = row;
    request->out.count = 1;
    return 0;
}

int registry_mysql_apps_list(struct registry_mysql_db *db, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    if (request->in.app.ptr != NULL)
        return show(db, request);
    if (limit < 1 || limit > REGISTRY_PAGE_MAX)
        return PETREL_E_INVALID;
    request->out.apps = object_zalloc(limit * sizeof *request->out.apps);
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_APP_LIST];
    mysqldb_stmt_bind_bytes(stmt, 1, row_or_empty(request->in.after));
    mysqldb_stmt_bind_int(stmt, 2, limit + 1);
    int rc;
    while ((rc = mysqldb_stmt_step(stmt)) == 1 && request->out.count < limit)
        read_row(stmt, &request->out.apps[request->out.count++]);
    mysqldb_stmt_reset(stmt);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : registry_mysql_db_failure(rc);
}

int registry_mysql_apps_delete(struct registry_mysql_db *db, struct registry_request *request)
{
    /* Keys and secrets are few. An app's devices may be millions: they are out of reach at once, since the app's number is
     * never used again, and go little by little (registry_mysql_db_purge). */
    static const enum registry_mysql_statement steps[] = {REGISTRY_MYSQL_APP_RETIRE, REGISTRY_MYSQL_APP_DELETE,
                                                          REGISTRY_MYSQL_SECRET_DELETE, REGISTRY_MYSQL_KEY_DELETE,
                                                          REGISTRY_MYSQL_PURGE_ADD};
    int64_t app_id;
    int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    for (size_t i = 0; status == 0 && i < sizeof steps / sizeof steps[0]; i++) {
        mysqldb_stmt_bind_int(db->stmts[steps[i]], 1, app_id);
        status = registry_mysql_db_run(db, steps[i]);
    }
    return status == 0 ? registry_mysql_db_bump(db) : status;
}
