/* What may be changed of an app that is there: the keys that sign its tokens, its limits, what its devices meet where they connect. */
#include "base/err.h"
#include "base/object.h"
#include "registry/credential.h"
#include "registry/row.h"
#include "registry/tables.h"
#include "wire/websocket_upgrade.h"

#include <stdlib.h>

/* The app, and how many keys it has. */
struct subject {
    int64_t id;
    uint32_t secrets;
    uint32_t public_keys;
};

static int find_subject(struct tables *tables, struct registry_request *request, struct subject *out)
{
    int status = tables_apps_find(tables, request->in.app, &out->id);
    if (status == 0)
        status = tables_apps_show(tables, request);
    if (status != 0)
        return status;
    out->secrets = request->out.apps[0].secrets_count;
    out->public_keys = request->out.apps[0].public_keys_count;
    free(request->out.rows);
    request->out.rows = NULL;
    request->out.count = 0;
    return 0;
}

/* 1, 0 or a failure. */
static int has(struct tables *tables, enum tables_statement which, int64_t app_id, struct bytes kid)
{
    TABLES_BIND(tables, which, tables_int(app_id), tables_text(kid));
    const int rc = tables_first(tables, which);
    tables->ops->reset(tables, which);
    return rc;
}

static int insert(struct tables *tables, int64_t app_id, struct bytes kid, enum token_algorithm algorithm,
                  struct bytes material)
{
    TABLES_BIND(tables, TABLES_TOKEN_KEY_INSERT, tables_int(app_id), tables_text(kid),
                tables_text(bytes_str(token_public_algorithm_name(algorithm))), tables_blob(material),
                tables_int((int64_t)tables->now_ms));
    return tables_run(tables, TABLES_TOKEN_KEY_INSERT);
}

static int add_secret(struct tables *tables, const struct subject *app)
{
    struct snapshot_secret secret;
    if (app->secrets >= SNAPSHOT_SECRETS_MAX)
        return PETREL_E_TOO_LARGE;
    credential_make_secret(&secret);
    const int status =
        insert(tables, app->id, bytes_str(secret.kid), TOKEN_HS256, bytes_of(secret.secret, sizeof secret.secret));
    explicit_bzero(&secret, sizeof secret);
    return status;
}

static int add_public_key(struct tables *tables, const struct registry_request *request, const struct subject *app)
{
    struct token_public *key = token_public_new(request->in.algorithm, request->in.der);
    const bool valid = key != NULL && row_valid_kid(request->in.kid);
    token_public_free(key);
    if (!valid)
        return PETREL_E_INVALID;
    int rc = has(tables, TABLES_SECRET_HAS, app->id, request->in.kid);
    if (rc == 0)
        rc = has(tables, TABLES_TOKEN_KEY_HAS, app->id, request->in.kid);
    if (rc != 0)
        return rc == 1 ? PETREL_E_EXISTS : rc;
    if (app->public_keys >= SNAPSHOT_PUBLIC_KEYS_MAX)
        return PETREL_E_TOO_LARGE;
    return insert(tables, app->id, request->in.kid, request->in.algorithm, request->in.der);
}

static int retire(struct tables *tables, int64_t app_id, struct bytes kid)
{
    static const enum tables_statement steps[] = {TABLES_SECRET_RETIRE, TABLES_TOKEN_KEY_RETIRE};
    int64_t gone = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        TABLES_BIND(tables, steps[i], tables_int(app_id), tables_text(kid));
        const int status = tables_run(tables, steps[i]);
        if (status != 0)
            return status;
        gone += tables->ops->changes(tables);
    }
    return gone > 0 ? 0 : PETREL_E_NOT_FOUND;
}

static int set_limits(struct tables *tables, int64_t app_id, const struct snapshot_limits *limits)
{
    TABLES_BIND(tables, TABLES_LIMIT_PUT, tables_int(app_id), tables_int(limits->per_second),
                tables_int(limits->key_per_second));
    return tables_run(tables, TABLES_LIMIT_PUT);
}

static int set_edge(struct tables *tables, int64_t app_id, const struct snapshot_edge *edge)
{
    const struct bytes origins = bytes_str(edge->origins);
    if (!websocket_upgrade_valid_origins(origins))
        return PETREL_E_INVALID;
    TABLES_BIND(tables, TABLES_EDGE_PUT, tables_int(app_id), tables_int(edge->connects_per_second),
                tables_text(origins));
    return tables_run(tables, TABLES_EDGE_PUT);
}

static int change(struct tables *tables, struct registry_request *request, const struct subject *app)
{
    switch (request->in.change) {
    case REGISTRY_CHANGE_SECRET_ADD:
        return add_secret(tables, app);
    case REGISTRY_CHANGE_PUBLIC_ADD:
        return add_public_key(tables, request, app);
    case REGISTRY_CHANGE_KEY_RETIRE:
        return retire(tables, app->id, request->in.kid);
    case REGISTRY_CHANGE_LIMITS:
        return set_limits(tables, app->id, &request->in.limits);
    case REGISTRY_CHANGE_EDGE:
        return set_edge(tables, app->id, &request->in.edge);
    }
    return PETREL_E_INVALID;
}

int tables_change_run(struct tables *tables, struct registry_request *request)
{
    struct subject app;
    int status = find_subject(tables, request, &app);
    if (status == 0)
        status = change(tables, request, &app);
    if (status == 0)
        status = tables_bump(tables);
    return status == 0 ? tables_apps_show(tables, request) : status;
}
