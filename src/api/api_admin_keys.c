/* An app's API keys, for operators. */
#include "api/api_audit.h"
#include "api/api_json.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "base/utf8.h"

#define KEYS_PAGE 100U

static const struct {
    const char *name;
    uint32_t scope;
} scopes[] = {{"send", SNAPSHOT_SCOPE_SEND}, {"admin", SNAPSHOT_SCOPE_ADMIN}, {"read", SNAPSHOT_SCOPE_READ}};

#define SCOPES_COUNT (sizeof scopes / sizeof scopes[0])

/* A key that was given none in particular has all. */
static void put_scopes(struct bytebuf *out, uint32_t given)
{
    const char *between = "";
    bytes_append_str(out, ",\"scopes\":[");
    for (size_t i = 0; i < SCOPES_COUNT; i++) {
        if (given != 0 && (given & scopes[i].scope) == 0)
            continue;
        bytes_printf(out, "%s\"%s\"", between, scopes[i].name);
        between = ",";
    }
    bytes_append_str(out, "]");
}

/* The members of a key, without the braces. */
static void put_key(struct bytebuf *out, const struct registry_key *key)
{
    bytes_append_str(out, "\"id\":");
    api_json_put_text(out, bytes_str(key->id));
    bytes_append_str(out, ",\"app\":");
    api_json_put_text(out, bytes_str(key->app));
    bytes_append_str(out, ",\"label\":");
    api_json_put_text(out, bytes_str(key->label));
    put_scopes(out, key->scopes);
    api_json_put_time(out, "created_at", key->created_ms);
    if (key->expires_ms != 0)
        api_json_put_time(out, "expires_at", key->expires_ms);
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

#define LIFE_MAX_S (10ULL * 365 * 86400)

struct key_body {
    struct bytes label;
    json_t *scopes;
    struct api_json_uint expires_in;
};

static const struct api_json_field key_fields[] = {
    {"label", API_JSON_TEXT, offsetof(struct key_body, label), 0, REGISTRY_LABEL_MAX},
    {"scopes", API_JSON_ANY, offsetof(struct key_body, scopes), 0, 0},
    {"expires_in", API_JSON_UINT, offsetof(struct key_body, expires_in), 1, LIFE_MAX_S},
};

struct new_key {
    char label[REGISTRY_LABEL_MAX + 1];
    uint32_t scopes;
    uint64_t expires_in_s; /* 0: never */
};

static uint32_t scope_of(const json_t *name)
{
    for (size_t i = 0; i < SCOPES_COUNT; i++) {
        if (json_is_string(name) && strcmp(json_string_value(name), scopes[i].name) == 0)
            return scopes[i].scope;
    }
    return 0;
}

/* A list that is empty would be a key for nothing: absent is the way to say all. */
static int read_scopes(const json_t *list, uint32_t *out, struct api_error *error)
{
    bool valid = json_array_size(list) > 0;
    *out = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const uint32_t scope = scope_of(json_array_get(list, i));
        valid = valid && scope != 0;
        *out |= scope;
    }
    return valid ? 0
                 : api_error_set(error, API_ERROR_INVALID, "scopes", "must be a list of \"send\", \"admin\", \"read\"");
}

/* The body, which may be missing altogether. */
static int read_new_key(struct bytes text, struct new_key *key, struct api_error *error)
{
    struct key_body body = {0};
    json_t *object = text.len > 0 ? api_json_parse(text, error) : json_object();
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", key_fields, sizeof key_fields / sizeof key_fields[0], &body, error);
    if (rc == 0 && body.label.ptr != NULL && !utf8_printable(body.label))
        rc = api_error_set(error, API_ERROR_INVALID, "label", "must be printable UTF-8");
    if (rc == 0 && body.scopes != NULL)
        rc = read_scopes(body.scopes, &key->scopes, error);
    if (rc == 0 && body.label.len > 0)
        memcpy(key->label, body.label.ptr, body.label.len);
    key->expires_in_s = body.expires_in.value;
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
    api_audit_target(exchange, key->id);
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
    struct new_key *key = api_exchange_state(exchange, sizeof *key, NULL);
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_new_key(request->http->body, key, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.label = bytes_str(key->label);
    exchange->registry.in.scopes = key->scopes;
    if (key->expires_in_s != 0)
        exchange->registry.in.expires_ms = loop_wall_ms(exchange->role->loop) + key->expires_in_s * 1000;
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
