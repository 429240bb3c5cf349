/* Apps, for operators. */
#include "api/api_json.h"
#include "api/api_limits.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "wire/websocket_upgrade.h"

#include <inttypes.h>

#define APPS_PAGE 100U

/* The members of an app, without the braces. */
static void put_app(struct bytebuf *out, const struct registry_app *app)
{
    bytes_append_str(out, "\"name\":");
    api_json_put_text(out, bytes_str(app->name));
    api_json_put_time(out, "created_at", app->created_ms);
    bytes_printf(out, ",\"secrets\":%u,\"public_keys\":%u,\"idempotency_window_s\":%" PRIu64, app->secrets_count,
                 app->public_keys_count, app->key_window_ms / 1000);
    bytes_printf(out, ",\"rate\":%u,\"key_rate\":%u", app->limits.per_second, app->limits.key_per_second);
    bytes_printf(out, ",\"connects_per_second\":%u,\"origins\":", app->edge.connects_per_second);
    api_json_put_text(out, bytes_str(app->edge.origins));
}

static void put_meter(struct bytebuf *out, const struct rate_meter *meter, const struct rate_limit *limit,
                      uint64_t now_ms)
{
    if (limit->per_second != 0)
        bytes_printf(out, "\"rate\":%u,\"burst\":%u,\"left\":%u,", limit->per_second, limit->burst,
                     rate_meter_left(meter, limit, now_ms));
    bytes_printf(out, "\"refused\":%" PRIu64, rate_meter_refused(meter));
}

/* The limits in force, and what was used of them on this node. */
static void put_usage(struct bytebuf *out, const struct api_role *role, const struct snapshot_app *app)
{
    const struct snapshot *snapshot = role->snapshot;
    const struct rate_limit of_app = api_limits_of_app(role, app), of_key = api_limits_of_key(role, app);
    const uint64_t now_ms = loop_now_ms(role->loop);
    bool first = true;
    bytes_append_str(out, ",\"usage\":{");
    put_meter(out, snapshot_app_meter(snapshot, app), &of_app, now_ms);
    bytes_append_str(out, ",\"keys\":[");
    for (size_t i = 0; i < snapshot_keys_count(snapshot); i++) {
        const struct snapshot_key *key = snapshot_key_at(snapshot, i);
        if (snapshot_key_app(snapshot, key) != app)
            continue;
        bytes_printf(out, "%s{\"id\":\"%s\",", first ? "" : ",", key->id);
        put_meter(out, snapshot_key_meter(snapshot, key), &of_key, now_ms);
        bytes_append_str(out, "}");
        first = false;
    }
    bytes_append_str(out, "]}");
}

static void on_one(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status == 0 && request->out.count == 0)
        request->status = PETREL_E_NOT_FOUND;
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, false, "app");
        return;
    }
    const struct snapshot_app *app = snapshot_find_app(exchange->role->snapshot, bytes_str(exchange->target.app));
    bytes_append_str(&exchange->body, "{");
    put_app(&exchange->body, &request->out.apps[0]);
    if (app != NULL)
        put_usage(&exchange->body, exchange->role, app);
    bytes_append_str(&exchange->body, "}");
    api_exchange_answer(exchange, 200);
}

void api_admin_apps_show(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.limit = 1;
    api_exchange_registry(exchange, exchange->role->registry->ops->app_list, on_one);
}

/* The secrets that sign the app's device tokens, for a backend that mints them itself. */
void api_admin_apps_secrets(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    const struct snapshot_app *app = snapshot_find_app(exchange->role->snapshot, bytes_str(exchange->target.app));
    if (app == NULL) {
        api_exchange_fail_err(exchange, PETREL_E_NOT_FOUND, false, "app");
        return;
    }
    log_at(LOG_INFO, "api", "app secrets shown", LOG_STR("app", app->name));
    struct bytebuf *out = &exchange->body;
    bytes_append_str(out, "{\"secrets\":[");
    for (uint32_t i = 0; i < app->secrets_count; i++) {
        bytes_printf(out, "%s{\"kid\":\"%s\",\"alg\":\"HS256\",\"secret\":\"", i > 0 ? "," : "", app->secrets[i].kid);
        bytes_put_base64url(out, bytes_of(app->secrets[i].secret, sizeof app->secrets[i].secret));
        bytes_append_str(out, "\"}");
    }
    bytes_append_str(out, "]}");
    api_exchange_answer(exchange, 200);
}

/* ---- list ---- */

static void on_listed(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    struct bytebuf *out = &exchange->body;
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, false, "cursor");
        return;
    }
    bytes_append_str(out, "{\"apps\":[");
    for (uint32_t i = 0; i < request->out.count; i++) {
        bytes_append_str(out, i > 0 ? ",{" : "{");
        put_app(out, &request->out.apps[i]);
        bytes_append_str(out, "}");
    }
    bytes_append_str(out, "]");
    if (request->out.more && request->out.count > 0) {
        bytes_append_str(out, ",\"cursor\":");
        api_json_put_text(out, bytes_str(request->out.apps[request->out.count - 1].name));
    }
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

void api_admin_apps_list(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct api_query_page *page = api_exchange_state(exchange, sizeof *page, NULL);
    if (api_query_page(request->http, APPS_PAGE, REGISTRY_PAGE_MAX, page, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.limit = page->limit;
    if (page->cursor.text[0] != '\0')
        exchange->registry.in.after = bytes_str(page->cursor.text);
    api_exchange_registry(exchange, exchange->role->registry->ops->app_list, on_listed);
}

/* ---- create ---- */

struct app_body {
    struct bytes name;
};

static const struct api_json_field app_fields[] = {
    {"name", API_JSON_TEXT, offsetof(struct app_body, name), 0, 0},
};

static int read_app(struct api_exchange *exchange, struct bytes text, struct api_error *error)
{
    struct app_body body = {{0}};
    json_t *object = api_json_parse(text, error);
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", app_fields, 1, &body, error);
    if (rc == 0 && !route_valid_app(body.name))
        rc = api_error_set(error, API_ERROR_INVALID, "name", "must be 1 to %d of a-z 0-9 _ -, a letter or digit first",
                           ROUTE_APP_MAX);
    if (rc == 0)
        api_address_set_target(&exchange->target, body.name, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    json_decref(object);
    return rc;
}

static void on_created(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status == PETREL_E_EXISTS) {
        struct api_error error;
        (void)api_error_set(&error, API_ERROR_EXISTS, "name",
                            "there is or was an app of that name; a name is never given again, choose another");
        api_exchange_fail(exchange, &error);
        return;
    }
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, request->in_doubt, "name");
        return;
    }
    log_at(LOG_INFO, "api", "app created", LOG_STR("app", exchange->target.app));
    bytes_append_str(&exchange->body, "{");
    put_app(&exchange->body, &request->out.apps[0]);
    bytes_append_str(&exchange->body, "}");
    api_exchange_answer(exchange, 201);
}

void api_admin_apps_create(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_app(exchange, request->http->body, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.app = bytes_str(exchange->target.app);
    api_exchange_registry(exchange, exchange->role->registry->ops->app_create, on_created);
}

/* ---- limits ---- */

struct limits_body {
    struct api_json_uint rate;
    struct api_json_uint key_rate;
};

static const struct api_json_field limits_fields[] = {
    {"rate", API_JSON_UINT, offsetof(struct limits_body, rate), 0, RATE_PER_SECOND_MAX},
    {"key_rate", API_JSON_UINT, offsetof(struct limits_body, key_rate), 0, RATE_PER_SECOND_MAX},
};

static int read_limits(struct bytes text, struct snapshot_limits *out, struct api_error *error)
{
    struct limits_body body = {0};
    json_t *object = api_json_parse(text, error);
    if (object == NULL)
        return PETREL_E_INVALID;
    const int rc =
        api_json_read(object, "", limits_fields, sizeof limits_fields / sizeof limits_fields[0], &body, error);
    json_decref(object);
    *out = (struct snapshot_limits){.per_second = (uint32_t)body.rate.value,
                                    .key_per_second = (uint32_t)body.key_rate.value};
    return rc;
}

static void on_limited(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status != 0)
        api_exchange_fail_err(exchange, request->status, request->in_doubt, "app");
    else
        on_one(request);
}

void api_admin_apps_limit(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_limits(request->http->body, &exchange->registry.in.limits, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.change = REGISTRY_CHANGE_LIMITS;
    api_exchange_registry(exchange, exchange->role->registry->ops->app_change, on_limited);
}

/* ---- what its devices meet where they connect ---- */

struct edge_body {
    struct api_json_uint connects_per_second;
    struct bytes origins;
};

static const struct api_json_field edge_fields[] = {
    {"connects_per_second", API_JSON_UINT, offsetof(struct edge_body, connects_per_second), 0, RATE_PER_SECOND_MAX},
    {"origins", API_JSON_TEXT, offsetof(struct edge_body, origins), 0, SNAPSHOT_ORIGINS_MAX},
};

static int read_edge(struct bytes text, struct snapshot_edge *out, struct api_error *error)
{
    struct edge_body body = {0};
    json_t *object = api_json_parse(text, error);
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", edge_fields, sizeof edge_fields / sizeof edge_fields[0], &body, error);
    if (rc == 0 && !websocket_upgrade_valid_origins(body.origins))
        rc = api_error_set(
            error, API_ERROR_INVALID, "origins",
            "must be origins by commas, as https://app.example, or * for all, or none; no path, no slash at the end");
    *out = (struct snapshot_edge){.connects_per_second = (uint32_t)body.connects_per_second.value};
    if (rc == 0 && body.origins.len > 0)
        memcpy(out->origins, body.origins.ptr, body.origins.len);
    json_decref(object);
    return rc;
}

void api_admin_apps_edge(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_edge(request->http->body, &exchange->registry.in.edge, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.change = REGISTRY_CHANGE_EDGE;
    api_exchange_registry(exchange, exchange->role->registry->ops->app_change, on_limited);
}

/* ---- delete ---- */

static void on_deleted(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, request->in_doubt, "app");
        return;
    }
    log_at(LOG_INFO, "api", "app deleted", LOG_STR("app", exchange->target.app));
    bytes_append_str(&exchange->body, "{\"name\":");
    api_json_put_text(&exchange->body, bytes_str(exchange->target.app));
    bytes_append_str(&exchange->body, ",\"deleted\":true}");
    api_exchange_answer(exchange, 200);
}

void api_admin_apps_delete(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    exchange->registry.in.app = bytes_str(exchange->target.app);
    api_exchange_registry(exchange, exchange->role->registry->ops->app_delete, on_deleted);
}
