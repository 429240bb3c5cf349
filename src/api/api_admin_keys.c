/* An app's API keys, for operators. */
#include "api/api_json.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "base/utf8.h"

#define KEYS_PAGE 100U

/* The members of a key, without the braces. */
static void put_key(struct bytebuf *out, const struct registry_key *key)
{
    bytes_append_str(out, "\"id\":");
    api_json_put_text(out, bytes_str(key->id));
    bytes_append_str(out, ",\"app\":");
    api_json_put_text(out, bytes_str(key->app));
    bytes_append_str(out, ",\"label\":");
    api_json_put_text(out, bytes_str(key->label));
    api_json_put_time(out, "created_at", key->created_ms);
    if (key->revoked_ms != 0)
        api_json_put_time(out, "revoked_at", key->revoked_ms);
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
    bytes_append_str(out, "{\"keys\":[");
    for (uint32_t i = 0; i < request->out.count; i++) {
        bytes_append_str(out, i > 0 ? ",{" : "{");
        put_key(out, &request->out.keys[i]);
        bytes_append_str(out, "}");
    }
    bytes_append_str(out, "]");
    if (request->out.more && request->out.count > 0) {
        bytes_append_str(out, ",\"cursor\":");
        api_json_put_text(out, bytes_str(request->out.keys[request->out.count - 1].id));
    }
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

void api_admin_keys_list(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct api_query_page *page = api_exchange_state(exchange, sizeof *page, NULL);
    if (api_query_page(request->http, KEYS_PAGE, REGISTRY_PAGE_MAX, page, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.limit = page->limit;
    if (page->cursor.text[0] != '\0')
        exchange->registry.in.after = bytes_str(page->cursor.text);
    api_exchange_registry(exchange, exchange->role->registry->ops->key_list, on_listed);
}

/* ---- create ---- */

struct key_body {
    struct bytes label;
};

static const struct api_json_field key_fields[] = {
    {"label", API_JSON_TEXT, offsetof(struct key_body, label), 0, REGISTRY_LABEL_MAX},
};

struct label {
    char text[REGISTRY_LABEL_MAX + 1];
};

/* The body, which may be missing altogether. */
static int read_label(struct bytes text, struct label *label, struct api_error *error)
{
    struct key_body body = {{0}};
    json_t *object = text.len > 0 ? api_json_parse(text, error) : json_object();
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", key_fields, 1, &body, error);
    if (rc == 0 && body.label.ptr != NULL && !utf8_printable(body.label))
        rc = api_error_set(error, API_ERROR_INVALID, "label", "must be printable UTF-8");
    if (rc == 0 && body.label.len > 0)
        memcpy(label->text, body.label.ptr, body.label.len);
    json_decref(object);
    return rc;
}

static void on_created(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    struct bytebuf *out = &exchange->body;
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, request->in_doubt, "app");
        return;
    }
    const struct registry_key *key = &request->out.keys[0];
    log_at(LOG_INFO, "api", "key created", LOG_STR("app", key->app), LOG_STR("id", key->id));
    bytes_append_str(out, "{");
    put_key(out, key);
    bytes_append_str(out, ",\"key\":");
    api_json_put_text(out, bytes_str(request->out.key_text));
    bytes_append_str(out, "}");
    explicit_bzero(request->out.key_text, sizeof request->out.key_text);
    api_exchange_answer(exchange, 201);
}

void api_admin_keys_create(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct label *label = api_exchange_state(exchange, sizeof *label, NULL);
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_label(request->http->body, label, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.label = bytes_str(label->text);
    api_exchange_registry(exchange, exchange->role->registry->ops->key_create, on_created);
}

/* ---- revoke ---- */

struct key_id {
    char text[sizeof((struct registry_key *)0)->id];
};

static void on_revoked(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status != 0) {
        api_exchange_fail_err(exchange, request->status, request->in_doubt, "id");
        return;
    }
    const struct registry_key *key = &request->out.keys[0];
    log_at(LOG_INFO, "api", "key revoked", LOG_STR("app", key->app), LOG_STR("id", key->id));
    bytes_append_str(&exchange->body, "{");
    put_key(&exchange->body, key);
    bytes_append_str(&exchange->body, "}");
    api_exchange_answer(exchange, 200);
}

void api_admin_keys_revoke(struct api_exchange *exchange, const struct api_request *request)
{
    struct key_id *id = api_exchange_state(exchange, sizeof *id, NULL);
    if (request->id.len >= sizeof id->text) {
        api_exchange_refuse(exchange, API_ERROR_NOT_FOUND, "id");
        return;
    }
    memcpy(id->text, request->id.ptr, request->id.len);
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.key_id = bytes_str(id->text);
    api_exchange_registry(exchange, exchange->role->registry->ops->key_revoke, on_revoked);
}
