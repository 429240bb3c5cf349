#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/registry_mysql_db.h"
#include "registry/row.h"
#include "wire/digest.h"

static void read_row(struct mysqldb_stmt *stmt, struct bytes app, struct registry_key *key)
{
    registry_mysql_db_text(stmt, 0, key->id, sizeof key->id);
    registry_mysql_db_text(stmt, 1, key->label, sizeof key->label);
    key->created_ms = (uint64_t)mysqldb_stmt_int(stmt, 2);
    key->revoked_ms = (uint64_t)mysqldb_stmt_int(stmt, 3);
    row_text(app, key->app, sizeof key->app);
}

static int find(struct registry_mysql_db *db, struct registry_request *request, int64_t app_id, struct bytes id)
{
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_KEY_FIND];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_bytes(stmt, 2, row_or_empty(id));
    const int rc = registry_mysql_db_first(db, REGISTRY_MYSQL_KEY_FIND);
    if (rc != 1)
        return rc == 0 ? PETREL_E_NOT_FOUND : rc;
    request->out.keys = object_zalloc(sizeof *request->out.keys);
    request->out.count = 1;
    read_row(stmt, request->in.app, request->out.keys);
    mysqldb_stmt_reset(stmt);
    return 0;
}

int registry_mysql_keys_create(struct registry_mysql_db *db, struct registry_request *request)
{
    int64_t app_id;
    if (!row_valid_label(request->in.label))
        return PETREL_E_INVALID;
    int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;

    char id[CREDENTIAL_ID_SIZE];
    uint8_t digest[DIGEST_SHA256_BYTES];
    credential_make_key(id, request->out.key_text);
    digest_sha256(bytes_str(request->out.key_text), digest);
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_KEY_INSERT];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_bytes(stmt, 2, bytes_str(id));
    mysqldb_stmt_bind_bytes(stmt, 3, row_or_empty(request->in.label));
    mysqldb_stmt_bind_bytes(stmt, 4, bytes_of(digest, sizeof digest));
    mysqldb_stmt_bind_int(stmt, 5, (int64_t)db->now_ms);
    status = registry_mysql_db_run(db, REGISTRY_MYSQL_KEY_INSERT);
    if (status == 0)
        status = registry_mysql_db_bump(db);
    return status == 0 ? find(db, request, app_id, bytes_str(id)) : status;
}

int registry_mysql_keys_list(struct registry_mysql_db *db, struct registry_request *request)
{
    const uint32_t limit = request->in.limit;
    int64_t app_id;
    if (limit < 1 || limit > REGISTRY_PAGE_MAX)
        return PETREL_E_INVALID;
    const int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    request->out.keys = object_zalloc(limit * sizeof *request->out.keys);
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_KEY_LIST];
    mysqldb_stmt_bind_int(stmt, 1, app_id);
    mysqldb_stmt_bind_bytes(stmt, 2, row_or_empty(request->in.after));
    mysqldb_stmt_bind_int(stmt, 3, limit + 1);
    int rc;
    while ((rc = mysqldb_stmt_step(stmt)) == 1 && request->out.count < limit)
        read_row(stmt, request->in.app, &request->out.keys[request->out.count++]);
    mysqldb_stmt_reset(stmt);
    request->out.more = rc == 1;
    return rc >= 0 ? 0 : registry_mysql_db_failure(rc);
}

int registry_mysql_keys_revoke(struct registry_mysql_db *db, struct registry_request *request)
{
    int64_t app_id;
    int status = registry_mysql_apps_find(db, request->in.app, &app_id);
    if (status != 0)
        return status;
    struct mysqldb_stmt *stmt = db->stmts[REGISTRY_MYSQL_KEY_REVOKE];
    mysqldb_stmt_bind_int(stmt, 1, (int64_t)db->now_ms);
    mysqldb_stmt_bind_int(stmt, 2, app_id);
    mysqldb_stmt_bind_bytes(stmt, 3, row_or_empty(request->in.key_id));
    status = registry_mysql_db_run(db, REGISTRY_MYSQL_KEY_REVOKE);
    if (status == 0 && mysqldb_changes(db->mysql) > 0)
        status = registry_mysql_db_bump(db);
    return status == 0 ? find(db, request, app_id, request->in.key_id) : status;
}
