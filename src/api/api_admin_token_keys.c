/* The keys that sign an app's device tokens, for operators: secrets that are shared with us, public keys of the app's own. */
#include "api/api_audit.h"
#include "api/api_json.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "base/utf8.h"

/* ---- list ---- */

/* What it signs is not shown here: api_admin_apps_secrets() is for that. */
static void put_key(struct bytebuf *out, bool first, const char *kid, const char *algorithm, uint64_t created_ms,
                    bool signs)
{
    bytes_append_str(out, first ? "{\"kid\":" : ",{\"kid\":");
    api_json_put_text(out, bytes_str(kid));
    bytes_printf(out, ",\"alg\":\"%s\",\"signs\":%s", algorithm, signs ? "true" : "false");
    if (created_ms != 0)
        api_json_put_time(out, "created_at", created_ms);
    bytes_append_str(out, "}");
}

static void answer_list(struct api_exchange *exchange, unsigned status)
{
    const struct api_role *role = exchange->role;
    const struct snapshot_app *app = snapshot_find_app(role->snapshot, bytes_str(exchange->target.app));
    struct bytebuf *out = &exchange->body;
    if (app == NULL) {
        api_exchange_fail_err(exchange, PETREL_E_NOT_FOUND, false, "app");
        return;
    }
    const struct snapshot_secret *signer = snapshot_signer(app, loop_wall_ms(role->loop));
    size_t count;
    const struct snapshot_public_key *keys = snapshot_public_keys(role->snapshot, app, &count);
    bytes_append_str(out, "{\"keys\":[");
    for (uint32_t i = 0; i < app->secrets_count; i++)
        put_key(out, i == 0, app->secrets[i].kid, token_public_algorithm_name(TOKEN_HS256), app->secrets[i].created_ms,
                &app->secrets[i] == signer);
    for (size_t i = 0; i < count; i++)
        put_key(out, app->secrets_count + i == 0, keys[i].kid, token_public_algorithm_name(keys[i].algorithm),
                keys[i].created_ms, false);
    bytes_append_str(out, "]}");
    api_exchange_answer(exchange, status);
}

void api_admin_token_keys_list(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    answer_list(exchange, 200);
}

/* ---- add and retire ---- */

struct change {
    char kid[SNAPSHOT_KID_MAX + 1];
    struct bytebuf der;
};

static void drop_change(void *state)
{
    struct change *change = state;
    bytes_reset(&change->der);
}

static void on_changed(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    const bool adds = request->in.change != REGISTRY_CHANGE_KEY_RETIRE;
    if (request->status == PETREL_E_TOO_LARGE)
        api_exchange_refuse(exchange, API_ERROR_TOO_MANY_KEYS, "kid");
    else if (request->status != 0)
        api_exchange_fail_err(exchange, request->status, request->in_doubt, "kid");
    else
        answer_list(exchange, adds ? 201 : 200);
}

static void ask(struct api_exchange *exchange, enum registry_change change)
{
    exchange->registry.in.app = bytes_str(exchange->target.app);
    exchange->registry.in.change = change;
    api_exchange_registry(exchange, exchange->role->registry->ops->app_change, on_changed);
}

struct key_body {
    struct bytes kid;
    struct bytes pem;
};

static const struct api_json_field key_fields[] = {
    {"kid", API_JSON_TEXT, offsetof(struct key_body, kid), 0, SNAPSHOT_KID_MAX},
    {"pem", API_JSON_TEXT, offsetof(struct key_body, pem), 0, TOKEN_PUBLIC_PEM_MAX},
};

static int check_body(const struct key_body *body, struct api_error *error)
{
    if ((body->kid.ptr == NULL) != (body->pem.ptr == NULL))
        return api_error_set(error, API_ERROR_INVALID, body->kid.ptr == NULL ? "kid" : "pem",
                             "a public key has both kid and pem; a secret is made here and has neither");
    if (body->kid.ptr != NULL && (body->kid.len == 0 || !utf8_printable(body->kid)))
        return api_error_set(error, API_ERROR_INVALID, "kid", "must be 1 to %d bytes of printable UTF-8",
                             SNAPSHOT_KID_MAX);
    return 0;
}

/* The body, which may be missing altogether. change->der stays empty where a secret is to be made. */
static int read_key(struct bytes text, struct change *change, enum token_algorithm *algorithm, struct api_error *error)
{
    struct key_body body = {0};
    const char *why;
    json_t *object = text.len > 0 ? api_json_parse(text, error) : json_object();
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", key_fields, sizeof key_fields / sizeof key_fields[0], &body, error);
    if (rc == 0)
        rc = check_body(&body, error);
    if (rc == 0 && body.pem.ptr != NULL) {
        memcpy(change->kid, body.kid.ptr, body.kid.len);
        if (token_public_from_pem(body.pem, algorithm, &change->der, &why) != 0)
            rc = api_error_set(error, API_ERROR_INVALID, "pem", "%s", why);
    }
    json_decref(object);
    return rc;
}

void api_admin_token_keys_add(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct change *change = api_exchange_state(exchange, sizeof *change, drop_change);
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_key(request->http->body, change, &exchange->registry.in.algorithm, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    api_audit_target(exchange, change->kid);
    exchange->registry.in.kid = bytes_str(change->kid);
    exchange->registry.in.der = bytes_view(&change->der);
    ask(exchange, change->der.len > 0 ? REGISTRY_CHANGE_PUBLIC_ADD : REGISTRY_CHANGE_SECRET_ADD);
}

void api_admin_token_keys_retire(struct api_exchange *exchange, const struct api_request *request)
{
    struct change *change = api_exchange_state(exchange, sizeof *change, drop_change);
    if (request->id.len >= sizeof change->kid) {
        api_exchange_refuse(exchange, API_ERROR_NOT_FOUND, "kid");
        return;
    }
    memcpy(change->kid, request->id.ptr, request->id.len);
    exchange->registry.in.kid = bytes_str(change->kid);
    ask(exchange, REGISTRY_CHANGE_KEY_RETIRE);
}
