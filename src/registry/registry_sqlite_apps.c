#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/registry_sqlite_db.h"
#include "registry/row.h"

#define KEY_WINDOW_MS (24 * UINT64_C(3600000))

static void read_row(struct sqlite_stmt *stmt, struct registry_app *app)
{
    registry_sqlite_db_text(stmt, 1, app->name, sizeof app->name);
    app->created_ms = (uint64_t)sqlite_column_int(stmt, 2);
    app->key_window_ms = (uint64_t)sqlite_column_int(stmt, 3);
    app->secrets_count = (uint32_t)sqlite_column_int(stmt, 4);
}

/* row may be NULL. */
static int find(struct registry_sqlite_db *db, struct bytes name, int64_t *app_id, struct registry_app *row)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_APP_FIND];
    sqlite_bind_text(stmt, 1, row_or_empty(name));
    const int rc = sqlite_step(stmt);
    if (rc == 1) {
        *app_id = sqlite_column_int(stmt, 0);
        if (row != NULL)
            read_row(stmt, row);
    }
    sqlite_reset(stmt);
    return rc == 1 ? 0 : rc == 0 ? PETREL_E_NOT_FOUND : registry_sqlite_db_failure(rc);
}

int registry_sqlite_apps_find(struct registry_sqlite_db *db, struct bytes name, int64_t *app_id)
{
    return find(db, name, app_id, NULL);
}

static int insert_secret(struct registry_sqlite_db *db, int64_t app_id)
{
    struct snapshot_secret secret;
    credential_make_secret(&secret);
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_SECRET_INSERT];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_int(stmt, 2, 0);
    sqlite_bind_text(stmt, 3, bytes_str(secret.kid));
    sqlite_bind_blob(stmt, 4, bytes_of(secret.secret, sizeof secret.secret));
    const int status = registry_sqlite_db_run(db, REGISTRY_SQLITE_SECRET_INSERT);
    explicit_bzero(&secret, sizeof secret);
    return status;
}

/* 0: free; EXISTS: in use, or of an app that was deleted. */
static int check_name(struct registry_sqlite_db *db, struct bytes name)
{
    int64_t app_id;
    int status = registry_sqlite_apps_find(db, name, &app_id);
    if (status != PETREL_E_NOT_FOUND)
        return status == 0 ? PETREL_E_EXISTS : status;
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_APP_IS_GONE];
    sqlite_bind_text(stmt, 1, name);
    const int rc = sqlite_step(stmt);
    sqlite_reset(stmt);
    return rc == 1 ? PETREL_E_EXISTS : rc == 0 ? 0 : registry_sqlite_db_failure(rc);
}

int registry_sqlite_apps_create(struct registry_sqlite_db *db, struct registry_request *request)
{
    int64_t app_id;
    if (!route_valid_app(request->in.app))
        return PETREL_E_INVALID;
    int status = check_name(db, request->in.app);
    if (status != 0)
        return status;

    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_APP_INSERT];
    sqlite_bind_text(stmt, 1, request->in.app);
    sqlite_bind_int(stmt, 2, (int64_t)db->now_ms);
    sqlite_bind_int(stmt, 3, (int64_t)KEY_WINDOW_MS);
    status = registry_sqlite_db_run(db, REGISTRY_SQLITE_APP_INSERT);
    if (status == 0)
        status = insert_secret(db, sqlite_last_rowid(db->sqlite));
    if (status == 0)
        status = registry_sqlite_db_bump(db);
    if (status != 0)
        return status;
    request->out.apps = object_zalloc(sizeof *request->out.apps);
    request->out.count = 1;
    return find(db, request->in.app, &app_id, request->out.apps);
}

static int show(struct registry_sqlite_db *db, struct registry_request *request)
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

int registry_sqlite_apps_list(struct registry_sqlite_db *db, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    if (request->in.app.ptr != NULL)
        return show(db, request);
    if (limit < 1 || limit > REGISTRY_PAGE_MAX)
        return PETREL_E_INVALID;
    request->out.apps = object_zalloc(limit * sizeof *request->out.apps);
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_APP_LIST];
    sqlite_bind_text(stmt, 1, row_or_empty(request->in.after));
    sqlite_bind_int(stmt, 2, limit + 1);
    int rc;
    while ((rc = sqlite_step(stmt)) == 1 && request->out.count < limit)
        read_row(stmt, &request->out.apps[request->out.count++]);
    sqlite_reset(stmt);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : registry_sqlite_db_failure(rc);
}

int registry_sqlite_apps_delete(struct registry_sqlite_db *db, struct registry_request *request)
{
    /* Keys and secrets are few. An app's devices may be millions: they are out of reach at once, since the app's number is
     * never used again, and go little by little (registry_sqlite_db_purge). */
    static const enum registry_sqlite_statement steps[] = {REGISTRY_SQLITE_APP_RETIRE, REGISTRY_SQLITE_APP_DELETE,
                                                           REGISTRY_SQLITE_SECRET_DELETE, REGISTRY_SQLITE_KEY_DELETE,
                                                           REGISTRY_SQLITE_PURGE_ADD};
    int64_t app_id;
    int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
    for (size_t i = 0; status == 0 && i < sizeof steps / sizeof steps[0]; i++) {
        sqlite_bind_int(db->stmts[steps[i]], 1, app_id);
        status = registry_sqlite_db_run(db, steps[i]);
    }
    return status == 0 ? registry_sqlite_db_bump(db) : status;
}
