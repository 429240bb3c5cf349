#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/registry_sqlite_db.h"
#include "registry/row.h"
#include "wire/digest.h"

static void read_row(struct sqlite_stmt *stmt, struct bytes app, struct registry_key *key)
{
    registry_sqlite_db_text(stmt, 0, key->id, sizeof key->id);
    registry_sqlite_db_text(stmt, 1, key->label, sizeof key->label);
    key->created_ms = (uint64_t)sqlite_column_int(stmt, 2);
    key->revoked_ms = (uint64_t)sqlite_column_int(stmt, 3);
    memcpy(key->app, app.ptr, app.len);
    key->app[app.len] = '\0';
}

static int find(struct registry_sqlite_db *db, struct registry_request *request, int64_t app_id, struct bytes id)
{
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_KEY_FIND];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, row_or_empty(id));
    const int rc = sqlite_step(stmt);
    if (rc == 1) {
        request->out.keys = object_zalloc(sizeof *request->out.keys);
        request->out.count = 1;
        read_row(stmt, request->in.app, request->out.keys);
    }
    sqlite_reset(stmt);
    return rc == 1 ? 0 : rc == 0 ? PETREL_E_NOT_FOUND : registry_sqlite_db_failure(rc);
}

int registry_sqlite_keys_create(struct registry_sqlite_db *db, struct registry_request *request)
{
    int64_t app_id;
    if (!row_valid_label(request->in.label))
        return PETREL_E_INVALID;
    int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;

    char id[CREDENTIAL_ID_SIZE];
    uint8_t digest[DIGEST_SHA256_BYTES];
    credential_make_key(id, request->out.key_text);
    digest_sha256(bytes_str(request->out.key_text), digest);
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_KEY_INSERT];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, bytes_str(id));
    sqlite_bind_text(stmt, 3, row_or_empty(request->in.label));
    sqlite_bind_blob(stmt, 4, bytes_of(digest, sizeof digest));
    sqlite_bind_int(stmt, 5, (int64_t)db->now_ms);
    status = registry_sqlite_db_run(db, REGISTRY_SQLITE_KEY_INSERT);
    if (status == 0)
        status = registry_sqlite_db_bump(db);
    return status == 0 ? find(db, request, app_id, bytes_str(id)) : status;
}

int registry_sqlite_keys_list(struct registry_sqlite_db *db, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    int64_t app_id;
    if (limit < 1 || limit > REGISTRY_PAGE_MAX)
        return PETREL_E_INVALID;
    const int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    request->out.keys = object_zalloc(limit * sizeof *request->out.keys);
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_KEY_LIST];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, row_or_empty(request->in.after));
    sqlite_bind_int(stmt, 3, limit + 1);
    int rc;
    while ((rc = sqlite_step(stmt)) == 1 && request->out.count < limit)
        read_row(stmt, request->in.app, &request->out.keys[request->out.count++]);
    sqlite_reset(stmt);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : registry_sqlite_db_failure(rc);
}

int registry_sqlite_keys_revoke(struct registry_sqlite_db *db, struct registry_request *request)
{
    int64_t app_id;
    int status = registry_sqlite_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    struct sqlite_stmt *stmt = db->stmts[REGISTRY_SQLITE_KEY_REVOKE];
    sqlite_bind_int(stmt, 1, app_id);
    sqlite_bind_text(stmt, 2, row_or_empty(request->in.key_id));
    sqlite_bind_int(stmt, 3, (int64_t)db->now_ms);
    status = registry_sqlite_db_run(db, REGISTRY_SQLITE_KEY_REVOKE);
    if (status == 0 && sqlite_changes(db->sqlite) > 0)
        status = registry_sqlite_db_bump(db);
    return status == 0 ? find(db, request, app_id, request->in.key_id) : status;
}
