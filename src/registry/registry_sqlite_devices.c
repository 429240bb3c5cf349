#include "base/err.h"
#include "base/object.h"
#include "registry/registry_sqlite_db.h"
#include "registry/row.h"

#include <stdlib.h>

static void read_row(struct sqlite_stmt *stmt, struct registry_device *device)
{
    registry_sqlite_db_text(stmt, 0, device->user, sizeof device->user);
    registry_sqlite_db_text(stmt, 1, device->device, sizeof device->device);
    registry_sqlite_db_text(stmt, 2, device->platform, sizeof device->platform);
    device->created_ms = (uint64_t)sqlite_column_int(stmt, 3);
    device->updated_ms = (uint64_t)sqlite_column_int(stmt, 4);
    device->revoked_ms = (uint64_t)sqlite_column_int(stmt, 5);
}

static int find(struct registry_sqlite_db *db, int64_t app_id, const struct registry_request *request,
                struct registry_device *row)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_DEVICE_FIND];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, request->in.user);
    sqlite_bind_text(stmt, 3, request->in.device);
    const int rc = sqlite_step(stmt);
    if (rc == 1)
        read_row(stmt, row);
    sqlite_reset(stmt);
    return rc == 1 ? 0 : rc == 0 ? PETREL_E_NOT_FOUND : registry_sqlite_db_failure(rc);
}

static int put(struct registry_sqlite_db *db, int64_t app_id, const struct registry_device *row)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_DEVICE_PUT];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, bytes_str(row->user));
    sqlite_bind_text(stmt, 3, bytes_str(row->device));
    sqlite_bind_text(stmt, 4, bytes_str(row->platform));
    sqlite_bind_int(stmt, 5, (int64_t)row->created_ms);
    sqlite_bind_int(stmt, 6, (int64_t)row->updated_ms);
    sqlite_bind_int(stmt, 7, (int64_t)row->revoked_ms);
    return registry_sqlite_db_run(db, REGISTRY_SQLITE_DEVICE_PUT);
}

/* 0, PETREL_E_TOO_LARGE, or a failure. */
static int check_room(struct registry_sqlite_db *db, int64_t app_id, struct bytes user)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_DEVICE_COUNT];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, user);
    const int rc = sqlite_step(stmt);
    const int64_t count = rc == 1 ? sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    if (rc < 0)
        return registry_sqlite_db_failure(rc);
    return count < ROUTE_DEVICES_MAX ? 0 : PETREL_E_TOO_LARGE;
}

static void give(struct registry_request *request, const struct registry_device *row)
{
    request->out.devices = object_alloc(sizeof *row);
    request->out.devices[0] = *row;
    request->out.count = 1;
}

int registry_sqlite_devices_register(struct registry_sqlite_db *db, struct registry_request *request)
{
    int64_t app_id;
    struct registry_device row = {0};
    if (!route_valid_user(request->in.user) || !route_valid_device(request->in.device) ||
        !row_valid_label(request->in.label))
        return PETREL_E_INVALID;
    int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
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

int registry_sqlite_devices_revoke(struct registry_sqlite_db *db, struct registry_request *request)
{
    int64_t app_id;
    struct registry_device row;
    if (!route_valid_user(request->in.user) || !route_valid_device(request->in.device))
        return PETREL_E_NOT_FOUND;
    int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
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

int registry_sqlite_devices_list(struct registry_sqlite_db *db, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    const bool of_user = request->in.user.ptr != NULL;
    int64_t app_id;
    struct bytes user = request->in.user;
    struct bytes device = row_or_empty(request->in.after);
    if (limit < 1 || limit > REGISTRY_PAGE_MAX || (!of_user && !row_split_after(request->in.after, &user, &device)))
        return PETREL_E_INVALID;
    const int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    request->out.devices = object_zalloc(limit * sizeof *request->out.devices);
    struct sqlite_stmt *stmt = db->stmts[of_user ? REGISTRY_SQLITE_DEVICE_OF_USER : REGISTRY_SQLITE_DEVICE_LIST];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, user);
    sqlite_bind_text(stmt, 3, device);
    sqlite_bind_int(stmt, 4, limit + 1);
    int rc;
    while ((rc = sqlite_step(stmt)) == 1 && request->out.count < limit)
        read_row(stmt, &request->out.devices[request->out.count++]);
    sqlite_reset(stmt);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : registry_sqlite_db_failure(rc);
}
