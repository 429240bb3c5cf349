#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/row.h"
#include "registry/tables.h"
#include "wire/digest.h"

static void read_row(struct tables *tables, enum tables_statement which, void *row)
{
    struct registry_key *key = row;
    tables_get_text(tables, which, 0, key->id, sizeof key->id);
    tables_get_text(tables, which, 1, key->label, sizeof key->label);
    key->created_ms = (uint64_t)tables->ops->number(tables, which, 2);
    key->revoked_ms = (uint64_t)tables->ops->number(tables, which, 3);
    key->scopes = (uint32_t)tables->ops->number(tables, which, 4);
    key->expires_ms = (uint64_t)tables->ops->number(tables, which, 5);
}

/* The app is one, and the request's. */
static void name_app(struct registry_request *request)
{
    for (uint32_t i = 0; i < request->out.count; i++)
        row_text(request->in.app, request->out.keys[i].app, sizeof request->out.keys[i].app);
}

static int show(struct tables *tables, struct registry_request *request, int64_t app_id, struct bytes id)
{
    TABLES_BIND(tables, TABLES_KEY_FIND, tables_int(app_id), tables_text(id));
    const int rc = tables_first(tables, TABLES_KEY_FIND);
    if (rc != 1)
        return rc == 0 ? PETREL_E_NOT_FOUND : rc;
    request->out.keys = object_zalloc(sizeof *request->out.keys);
    request->out.count = 1;
    read_row(tables, TABLES_KEY_FIND, request->out.keys);
    name_app(request);
    tables->ops->reset(tables, TABLES_KEY_FIND);
    return 0;
}

/* What limits the key; nothing is written for one that nothing limits. */
static int grant(struct tables *tables, const struct registry_request *request, int64_t app_id, struct bytes id)
{
    if (request->in.scopes == 0 && request->in.expires_ms == 0)
        return 0;
    TABLES_BIND(tables, TABLES_KEY_GRANT, tables_int(app_id), tables_text(id), tables_int(request->in.scopes),
                tables_int((int64_t)request->in.expires_ms));
    return tables_run(tables, TABLES_KEY_GRANT);
}

int tables_keys_create(struct tables *tables, struct registry_request *request)
{
    int64_t app_id;
    const uint64_t expires_ms = request->in.expires_ms;
    if (!row_valid_label(request->in.label) || request->in.scopes > SNAPSHOT_SCOPES_ALL ||
        (expires_ms != 0 && (expires_ms <= tables->now_ms || expires_ms > INT64_MAX)))
        return PETREL_E_INVALID;
    int status = tables_apps_find(tables, request->in.app, &app_id);
    if (status != 0)
        return status;

    char id[CREDENTIAL_ID_SIZE];
    uint8_t digest[DIGEST_SHA256_BYTES];
    credential_make_key(id, request->out.key_text);
    digest_sha256(bytes_str(request->out.key_text), digest);
    TABLES_BIND(tables, TABLES_KEY_INSERT, tables_int(app_id), tables_text(bytes_str(id)),
                tables_text(request->in.label), tables_blob(bytes_of(digest, sizeof digest)),
                tables_int((int64_t)tables->now_ms));
    status = tables_run(tables, TABLES_KEY_INSERT);
    if (status == 0)
        status = grant(tables, request, app_id, bytes_str(id));
    if (status == 0)
        status = tables_bump(tables);
    return status == 0 ? show(tables, request, app_id, bytes_str(id)) : status;
}

int tables_keys_list(struct tables *tables, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    int64_t app_id;
    if (limit < 1 || limit > REGISTRY_PAGE_MAX)
        return PETREL_E_INVALID;
    int status = tables_apps_find(tables, request->in.app, &app_id);
    if (status != 0)
        return status;
    TABLES_BIND(tables, TABLES_KEY_LIST, tables_int(app_id), tables_text(request->in.after), tables_int(limit + 1));
    status = tables_page(tables, TABLES_KEY_LIST, request, sizeof(struct registry_key), read_row);
    name_app(request);
    return status;
}

int tables_keys_revoke(struct tables *tables, struct registry_request *request)
{
    int64_t app_id;
    int status = tables_apps_find(tables, request->in.app, &app_id);
    if (status != 0)
        return status;
    TABLES_BIND(tables, TABLES_KEY_REVOKE, tables_int((int64_t)tables->now_ms), tables_int(app_id),
                tables_text(request->in.key_id));
    status = tables_run(tables, TABLES_KEY_REVOKE);
    if (status == 0 && tables->ops->changes(tables) > 0)
        status = tables_bump(tables);
    return status == 0 ? show(tables, request, app_id, request->in.key_id) : status;
}
