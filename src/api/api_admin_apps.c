/* Apps, for operators. */
#include "api/api_json.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <inttypes.h>

#define APPS_PAGE 100U

static void put_app(struct bytebuf *out, const struct registry_app *app)
{
    bytes_append_str(out, "{\"name\":");
    api_json_put_text(out, bytes_str(app->name));
    api_json_put_time(out, "created_at", app->created_ms);
    bytes_printf(out, ",\"secrets\":%u,\"idempotency_window_s\":%" PRIu64 "}", app->secrets_count,
                 app->key_window_ms / 1000);
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
    put_app(&exchange->body, &request->out.apps[0]);
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
        if (i > 0)
            bytes_append_str(out, ",");
        put_app(out, &request->out.apps[i]);
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
    put_app(&exchange->body, &request->out.apps[0]);
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
