#include "base/err.h"
#include "base/object.h"
#include "registry/registry_mysql_db.h"
#include "registry/row.h"

static void read_row(struct mysqldb_stmt *stmt, struct registry_device *device)
{
    registry_mysql_db_text(stmt, 0, device->user, sizeof device->user);
    registry_mysql_db_text(stmt, 1, device->device, sizeof device->device);
    registry_mysql_db_text(stmt, 2, device->platform, sizeof device->platform);
    device->created_ms = (uint64_t)mysqldb_stmt_int(stmt, 3);
    device->updated_ms = (uint64_t)mysqldb_stmt_int(stmt, 4);
    device->revoked_ms = (uint64_t)mysqldb_stmt_int(stmt, 5);
}

static int find(struct registry_mysql_db *db, int64_t app_id, const struct registry_request *request,
                struct registry_device *row)
{
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_DEVICE_FIND];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_bytes(stmt, 2, request->in.user);
    mysqldb_stmt_bind_bytes(stmt, 3, request->in.device);
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_DEVICE_FIND);
    if (rc != 1)
        return rc == 0 ? PETREL_E_NOT_FOUND : rc;
    read_row(stmt, row);
    mysqldb_stmt_reset(stmt);
    return 0;
}

static int put(struct registry_mysql_db *db, int64_t app_id, const struct registry_device *row)
{
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_DEVICE_PUT];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_bytes(stmt, 2, bytes_str(row->user));
    mysqldb_stmt_bind_bytes(stmt, 3, bytes_str(row->device));
    mysqldb_stmt_bind_bytes(stmt, 4, bytes_str(row->platform));
    mysqldb_stmt_bind_int(stmt, 5, (int64_t)row->created_ms);
    mysqldb_stmt_bind_int(stmt, 6, (int64_t)row->updated_ms);
    mysqldb_stmt_bind_int(stmt, 7, (int64_t)row->revoked_ms);
    return registry_mysql_db_run(db, REGISTRY_MYSQL_DEVICE_PUT);
}

/* 0, PETREL_E_TOO_LARGE, or a failure. */
static int check_room(struct registry_mysql_db *db, int64_t app_id, struct bytes user)
{
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_DEVICE_COUNT];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_bytes(stmt, 2, user);
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_DEVICE_COUNT);
    if (rc != 1)
        return rc == 0 ? PETREL_E_UNAVAILABLE : rc;
    const int64_t count = mysqldb_stmt_int(stmt, 0);
    mysqldb_stmt_reset(stmt);
    return count < ROUTE_DEVICES_MAX ? 0 : PETREL_E_TOO_LARGE;
}

static void give(struct registry_request *request, const struct registry_device *row)
{
    request->out.devices = object_alloc(sizeof *row);
    request->out.devices[0] = *row;
    request->out.count = 1;
}

int registry_mysql_devices_register(struct registry_mysql_db *db, struct registry_request *request)
{
    int64_t app_id;
    struct registry_device row = {0};
    if (!route_valid_user(request->in.user) || !route_valid_device(request->in.device) ||
        !row_valid_label(request->in.label))
        return PETREL_E_INVALID;
    int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    status = find(db, app_id, request, &row);
    if (status != 0 && status != PETREL_E_NOT_FOUND)
        return status;

    /* A revoked device that comes back begins anew. */
    const bool created = status == PETREL_E_NOT_FOUND || row.revoked_ms != 0;
    if (created) {
        status = check_room(db, app_id, request->in.user);
        if (status != 0)
            return status;
        memset(&row, 0, sizeof row);
        row_text(request->in.user, row.user, sizeof row.user);
        row_text(request->in.device, row.device, sizeof row.device);
        row.created_ms = db->now_ms;
    }
    if (request->in.label.ptr != NULL)
        row_text(request->in.label, row.platform, sizeof row.platform);
    row.updated_ms = db->now_ms;
    status = put(db, app_id, &row);
    if (status != 0)
        return status;
    request->out.created = created;
    give(request, &row);
    return 0;
}

int registry_mysql_devices_revoke(struct registry_mysql_db *db, struct registry_request *request)
{
    int64_t app_id;
    struct registry_device row;
    if (!route_valid_user(request->in.user) || !route_valid_device(request->in.device))
        return PETREL_E_NOT_FOUND;
    int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    if (status == 0)
        status = find(db, app_id, request, &row);
    if (status == 0 && row.revoked_ms == 0) {
        row.revoked_ms = db->now_ms;
        row.updated_ms = db->now_ms;
        status = put(db, app_id, &row);
    }
    if (status == 0)
        give(request, &row);
    return status;
}

/* Bind what list the request asks for. */
static struct mysqldb_stmt *bind_list(struct registry_mysql_db *db, int64_t app_id, bool of_user, struct bytes user,
                                      struct bytes device, uint32_t limit)
{
    struct mysqldb_stmt *stmt = db->stmts[of_user ? REGISTRY_MYSQL_DEVICE_OF_USER : REGISTRY_MYSQL_DEVICE_LIST];
    unsigned index = 1;
    mysqldb_stmt_bind_int(stmt, index++, app_id);
    mysqldb_stmt_bind_bytes(stmt, index++, user);
    if (!of_user)
        mysqldb_stmt_bind_bytes(stmt, index++, user);
    mysqldb_stmt_bind_bytes(stmt, index++, device);
    mysqldb_stmt_bind_int(stmt, index, limit);
    return stmt;
}

int registry_mysql_devices_list(struct registry_mysql_db *db, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    const bool of_user = request->in.user.ptr != NULL;
    int64_t app_id;
    struct bytes user = request->in.user;
    struct bytes device = row_or_empty(request->in.after);
    if (limit < 1 || limit > REGISTRY_PAGE_MAX || (!of_user && !row_split_after(request->in.after, &user, &device)))
        return PETREL_E_INVALID;
    const int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    request->out.devices = object_zalloc(limit * sizeof *request->out.devices);
    struct mysqldb_stmt *stmt = bind_list(db, app_id, of_user, user, device, limit + 1);
    int rc;
    while ((rc = mysqldb_stmt_step(stmt)) == 1 && request->out.count < limit)
        read_row(stmt, &request->out.devices[request->out.count++]);
    mysqldb_stmt_reset(stmt);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : registry_mysql_db_failure(rc);
}
