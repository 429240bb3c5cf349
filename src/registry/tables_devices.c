#include "base/err.h"
#include "base/object.h"
#include "registry/row.h"
#include "registry/tables.h"

static void read_row(struct tables *tables, enum tables_statement which, void *row)
{
    struct registry_device *device = row;
    tables_get_text(tables, which, 0, device->user, sizeof device->user);
    tables_get_text(tables, which, 1, device->device, sizeof device->device);
    tables_get_text(tables, which, 2, device->platform, sizeof device->platform);
    device->created_ms = (uint64_t)tables->ops->number(tables, which, 3);
    device->updated_ms = (uint64_t)tables->ops->number(tables, which, 4);
    device->revoked_ms = (uint64_t)tables->ops->number(tables, which, 5);
}

static int find(struct tables *tables, int64_t app_id, const struct registry_request *request,
                struct registry_device *row)
{
    TABLES_BIND(tables, TABLES_DEVICE_FIND, tables_int(app_id), tables_text(request->in.user),
                tables_text(request->in.device));
    const int rc = tables_first(tables, TABLES_DEVICE_FIND);
    if (rc != 1)
        return rc == 0 ? PETREL_E_NOT_FOUND : rc;
    read_row(tables, TABLES_DEVICE_FIND, row);
    tables->ops->reset(tables, TABLES_DEVICE_FIND);
    return 0;
}

static int put(struct tables *tables, int64_t app_id, const struct registry_device *row)
{
    TABLES_BIND(tables, TABLES_DEVICE_PUT, tables_int(app_id), tables_text(bytes_str(row->user)),
                tables_text(bytes_str(row->device)), tables_text(bytes_str(row->platform)),
                tables_int((int64_t)row->created_ms), tables_int((int64_t)row->updated_ms),
                tables_int((int64_t)row->revoked_ms));
    return tables_run(tables, TABLES_DEVICE_PUT);
}

/* 0, PETREL_E_TOO_LARGE, or a failure. */
static int check_room(struct tables *tables, int64_t app_id, struct bytes user)
{
    TABLES_BIND(tables, TABLES_DEVICE_COUNT, tables_int(app_id), tables_text(user));
    const int rc = tables_first(tables, TABLES_DEVICE_COUNT);
    if (rc != 1)
        return rc == 0 ? PETREL_E_UNAVAILABLE : rc;
    const int64_t count = tables->ops->number(tables, TABLES_DEVICE_COUNT, 0);
    tables->ops->reset(tables, TABLES_DEVICE_COUNT);
    return count < ROUTE_DEVICES_MAX ? 0 : PETREL_E_TOO_LARGE;
}

static void give(struct registry_request *request, const struct registry_device *row)
{
    request->out.devices = object_alloc(sizeof *row);
    request->out.devices[0] = *row;
    request->out.count = 1;
}

int tables_devices_register(struct tables *tables, struct registry_request *request)
{
    int64_t app_id;
    struct registry_device row = {0};
    if (!route_valid_user(request->in.user) || !route_valid_device(request->in.device) ||
        !row_valid_label(request->in.label))
        return PETREL_E_INVALID;
    int status = tables_apps_find(tables, request->in.app, &app_id);
    if (status != 0)
        return status;
    status = find(tables, app_id, request, &row);
    if (status != 0 && status != PETREL_E_NOT_FOUND)
        return status;

    /* A revoked device that comes back begins anew. */
    const bool created = status == PETREL_E_NOT_FOUND || row.revoked_ms != 0;
    if (created) {
        status = check_room(tables, app_id, request->in.user);
        if (status != 0)
            return status;
        memset(&row, 0, sizeof row);
        row_text(request->in.user, row.user, sizeof row.user);
        row_text(request->in.device, row.device, sizeof row.device);
        row.created_ms = tables->now_ms;
    }
    if (request->in.label.ptr != NULL)
        row_text(request->in.label, row.platform, sizeof row.platform);
    row.updated_ms = tables->now_ms;
    status = put(tables, app_id, &row);
    if (status != 0)
        return status;
    request->out.created = created;
    give(request, &row);
    return 0;
}

int tables_devices_revoke(struct tables *tables, struct registry_request *request)
{
    int64_t app_id;
    struct registry_device row;
    if (!route_valid_user(request->in.user) || !route_valid_device(request->in.device))
        return PETREL_E_NOT_FOUND;
    int status = tables_apps_find(tables, request->in.app, &app_id);
    if (status == 0)
        status = find(tables, app_id, request, &row);
    if (status == 0 && row.revoked_ms == 0) {
        row.revoked_ms = tables->now_ms;
        row.updated_ms = tables->now_ms;
        status = put(tables, app_id, &row);
    }
    if (status == 0)
        give(request, &row);
    return status;
}

int tables_devices_list(struct tables *tables, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    const bool of_user = request->in.user.ptr != NULL;
    const enum tables_statement which = of_user ? TABLES_DEVICE_OF_USER : TABLES_DEVICE_LIST;
    int64_t app_id;
    struct bytes user = request->in.user;
    struct bytes device = request->in.after;
    if (limit < 1 || limit > REGISTRY_PAGE_MAX || (!of_user && !row_split_after(request->in.after, &user, &device)))
        return PETREL_E_INVALID;
    const int status = tables_apps_find(tables, request->in.app, &app_id);
    if (status != 0)
        return status;
    if (of_user)
        TABLES_BIND(tables, which, tables_int(app_id), tables_text(user), tables_text(device), tables_int(limit + 1));
    else
        TABLES_BIND(tables, which, tables_int(app_id), tables_text(user), tables_text(user), tables_text(device),
                    tables_int(limit + 1));
    return tables_page(tables, which, request, sizeof(struct registry_device), read_row);
}
