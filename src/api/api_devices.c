/* A user's devices: register (which mints a token), list, revoke. */
#include "api/api_json.h"
#include "api/api_query.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/token.h"

#include <inttypes.h>

#define SECOND_MS 1000U
#define DEVICES_PAGE 100U

static void refuse_device(struct api_exchange *exchange, int status, bool wrote)
{
    struct api_error error;
    api_error_from(&error, status, wrote, "device");
    api_role_refine(exchange->role, &error);
    if (status == PETREL_E_TOO_LARGE)
        (void)api_error_set(&error, API_ERROR_TOO_MANY_DEVICES, "device", NULL);
    api_exchange_fail(exchange, &error);
}

/* ---- register ---- */

struct registration {
    char platform[REGISTRY_LABEL_MAX + 1];
    uint64_t token_ttl_s;
    bool created;
};

struct registration_body {
    struct bytes device;
    struct bytes platform;
    struct api_json_uint token_ttl;
};

static const struct api_json_field registration_fields[] = {
    {"device", API_JSON_TEXT, offsetof(struct registration_body, device), 0, 0},
    {"platform", API_JSON_TEXT, offsetof(struct registration_body, platform), 0, REGISTRY_LABEL_MAX},
    {"token_ttl", API_JSON_UINT, offsetof(struct registration_body, token_ttl), 60, 10ULL * 365 * 86400},
};

static int check_registration(const struct registration_body *body, struct api_error *error)
{
    if (body->device.ptr != NULL && !route_valid_device(body->device))
        return api_error_set(error, API_ERROR_INVALID, "device", "must be 1 to %d of A-Z a-z 0-9 . _ : -",
                             ROUTE_DEVICE_MAX);
    if (body->platform.ptr != NULL && !utf8_printable(body->platform))
        return api_error_set(error, API_ERROR_INVALID, "platform", "must be printable UTF-8");
    return 0;
}

/* The body, which may be missing altogether, into the exchange. */
static int read_registration(struct api_exchange *exchange, struct bytes text, struct api_error *error)
{
    struct registration *registration = api_exchange_state(exchange, sizeof *registration, NULL);
    struct registration_body body = {.token_ttl = {.value = exchange->role->config.token_ttl_s}};
    json_t *object = text.len > 0 ? api_json_parse(text, error) : json_object();
    if (object == NULL)
        return PETREL_E_INVALID;
    int rc = api_json_read(object, "", registration_fields, sizeof registration_fields / sizeof registration_fields[0],
                           &body, error);
    if (rc == 0)
        rc = check_registration(&body, error);
    if (rc == 0) {
        char made[ID_TEXT_LEN + 1];
        struct loop *loop = exchange->role->loop;
        const struct id id = id_new(loop_rng(loop), loop_wall_ms(loop));
        const struct bytes device = body.device.ptr != NULL ? body.device : bytes_str(id_format(&id, made));
        api_address_set_target(&exchange->target, bytes_str(exchange->target.app), bytes_str(exchange->target.user),
                               device);
        if (body.platform.len > 0)
            memcpy(registration->platform, body.platform.ptr, body.platform.len);
        registration->token_ttl_s = body.token_ttl.value;
    }
    json_decref(object);
    return rc;
}

/* Signed with the app's newest secret that all nodes know, as the newest snapshot has it. */
static int mint(const struct api_exchange *exchange, const struct token_claims *claims, struct bytebuf *out)
{
    const struct api_role *role = exchange->role;
    const struct snapshot_app *app = snapshot_find_app(role->snapshot, bytes_str(exchange->target.app));
    const struct snapshot_secret *secret = app != NULL ? snapshot_signer(app, loop_wall_ms(role->loop)) : NULL;
    if (secret == NULL)
        return PETREL_E_NOT_FOUND;
    struct token_key *key = token_key_new(bytes_str(secret->kid), bytes_of(secret->secret, sizeof secret->secret));
    int rc = key != NULL ? token_mint(key, claims, out) : PETREL_E_INTERNAL;
    token_key_free(&key);
    return rc;
}

static int render_registration(struct api_exchange *exchange)
{
    const struct registration *registration = exchange->state;
    const struct api_target *target = &exchange->target;
    struct bytebuf *out = &exchange->body;
    struct token_claims claims = {.issued_s = loop_wall_ms(exchange->role->loop) / SECOND_MS};
    claims.expires_s = claims.issued_s + registration->token_ttl_s;
    memcpy(claims.app, target->app, sizeof claims.app);
    memcpy(claims.user, target->user, sizeof claims.user);
    memcpy(claims.device, target->device, sizeof claims.device);
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(target->user));
    bytes_append_str(out, ",\"device\":");
    api_json_put_text(out, bytes_str(target->device));
    bytes_append_str(out, ",\"address\":\"");
    api_address_put_device(out, target);
    bytes_append_str(out, "\",\"token\":\"");
    int rc = mint(exchange, &claims, out);
    bytes_append_str(out, "\"");
    api_json_put_time(out, "expires_at", claims.expires_s * SECOND_MS);
    bytes_printf(out, ",\"expires_ms\":%" PRIu64 "}", claims.expires_s * SECOND_MS);
    return rc;
}

static void on_enrolled(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    const struct registration *registration = exchange->state;
    if (call->reply.status != 0) {
        refuse_device(exchange, call->reply.status, true);
        return;
    }
    int rc = render_registration(exchange);
    if (rc != 0)
        api_exchange_fail_err(exchange, rc, false, "app");
    else
        api_exchange_answer(exchange, registration->created ? 201 : 200);
}

/* The registry knows it; now the log must, before the 2xx, so that what is sent from here on waits for the device. */
static void on_registered(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    struct registration *registration = exchange->state;
    if (request->status != 0) {
        refuse_device(exchange, request->status, request->in_doubt);
        return;
    }
    registration->created = request->out.created;
    exchange->call.in.type = PEER_ENROL;
    exchange->call.in.enrol = api_address_peer_target(&exchange->target);
    api_exchange_ask(exchange, on_enrolled);
}

/* The registry's request about the exchange's target. */
static void name_target(struct api_exchange *exchange)
{
    const struct peer_target target = api_address_peer_target(&exchange->target);
    exchange->registry.in.app = target.app;
    exchange->registry.in.user = target.user;
    exchange->registry.in.device = target.device;
}

void api_devices_register(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    if (request->app->secrets_count == 0) {
        (void)api_error_set(&error, API_ERROR_FAILED_PRECONDITION, "app",
                            "the app has no secret that could sign a token: its own backend signs them");
        api_exchange_fail(exchange, &error);
        return;
    }
    if (api_role_check_object(exchange->role, request->http->body, &error) != 0 ||
        read_registration(exchange, request->http->body, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    const struct registration *registration = exchange->state;
    name_target(exchange);
    if (registration->platform[0] != '\0')
        exchange->registry.in.label = bytes_str(registration->platform);
    api_exchange_registry(exchange, exchange->role->registry->ops->device_register, on_registered);
}

/* ---- list ---- */

static void put_row(struct bytebuf *out, const struct registry_device *device)
{
    bytes_append_str(out, "{\"device\":");
    api_json_put_text(out, bytes_str(device->device));
    if (device->platform[0] != '\0') {
        bytes_append_str(out, ",\"platform\":");
        api_json_put_text(out, bytes_str(device->platform));
    }
    api_json_put_time(out, "created_at", device->created_ms);
    api_json_put_time(out, "updated_at", device->updated_ms);
    if (device->revoked_ms != 0)
        api_json_put_time(out, "revoked_at", device->revoked_ms);
    bytes_append_str(out, "}");
}

static void on_listed(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    struct bytebuf *out = &exchange->body;
    if (request->status != 0) {
        refuse_device(exchange, request->status, false);
        return;
    }
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_append_str(out, ",\"devices\":[");
    for (uint32_t i = 0; i < request->out.count; i++) {
        if (i > 0)
            bytes_append_str(out, ",");
        put_row(out, &request->out.devices[i]);
    }
    bytes_append_str(out, "]");
    if (request->out.more && request->out.count > 0) {
        bytes_append_str(out, ",\"cursor\":");
        api_json_put_text(out, bytes_str(request->out.devices[request->out.count - 1].device));
    }
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

void api_devices_list(struct api_exchange *exchange, const struct api_request *request)
{
    struct api_error error;
    struct api_query_page *page = api_exchange_state(exchange, sizeof *page, NULL);
    if (api_query_page(request->http, DEVICES_PAGE, REGISTRY_PAGE_MAX, page, &error) != 0) {
        api_exchange_fail(exchange, &error);
        return;
    }
    name_target(exchange);
    exchange->registry.in.limit = page->limit;
    if (page->cursor.text[0] != '\0')
        exchange->registry.in.after = bytes_str(page->cursor.text);
    api_exchange_registry(exchange, exchange->role->registry->ops->device_list, on_listed);
}

/* ---- revoke ---- */

struct revocation {
    struct api_exchange *exchange;
    uint64_t revoked_ms;
    struct timer timer;
};

static void drop_revocation(void *state)
{
    struct revocation *revocation = state;
    timer_stop(&revocation->timer);
}

static void answer_revoked(struct timer *timer)
{
    const struct revocation *revocation = container_of(timer, struct revocation, timer);
    struct api_exchange *exchange = revocation->exchange;
    struct bytebuf *out = &exchange->body;
    bytes_append_str(out, "{\"user\":");
    api_json_put_text(out, bytes_str(exchange->target.user));
    bytes_append_str(out, ",\"device\":");
    api_json_put_text(out, bytes_str(exchange->target.device));
    api_json_put_time(out, "revoked_at", revocation->revoked_ms);
    bytes_append_str(out, "}");
    api_exchange_answer(exchange, 200);
}

/* A token says only the second in which it was made, and those of the revocation's own second are refused. So the answer waits
 * until that second is over: a device registered again after it gets a token that works. */
static void on_removed(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    struct revocation *revocation = exchange->state;
    struct loop *loop = exchange->role->loop;
    if (call->reply.status != 0) {
        refuse_device(exchange, call->reply.status, true);
        return;
    }
    const uint64_t over_ms = (revocation->revoked_ms / SECOND_MS + 1) * SECOND_MS;
    const uint64_t now_ms = loop_wall_ms(loop);
    uint64_t wait_ms = over_ms > now_ms ? over_ms - now_ms : 0;
    if (wait_ms > SECOND_MS) /* the wall clock was set back */
        wait_ms = SECOND_MS;
    timer_start(loop, &revocation->timer, wait_ms, answer_revoked);
}

static void remove_device(struct api_exchange *exchange)
{
    struct revocation *revocation = exchange->state;
    revocation->revoked_ms = loop_wall_ms(exchange->role->loop);
    exchange->call.in.type = PEER_REMOVE;
    exchange->call.in.remove = (struct peer_remove){
        .target = api_address_peer_target(&exchange->target),
        .revoked_ms = revocation->revoked_ms,
    };
    api_exchange_ask(exchange, on_removed);
}

static bool has_device(const struct peer_user *user, const char *device)
{
    for (uint32_t i = 0; i < user->count; i++) {
        if (strcmp(user->devices[i].device, device) == 0)
            return true;
    }
    return false;
}

static void on_user(struct link_call *call)
{
    struct api_exchange *exchange = api_exchange_of_call(call);
    const bool known = call->reply.status == 0 && has_device(call->reply.user, exchange->target.device);
    if (known)
        remove_device(exchange);
    else
        refuse_device(exchange, call->reply.status != 0 ? call->reply.status : PETREL_E_NOT_FOUND, false);
}

/* A device whose token the app signed itself is in the log only. */
static void on_unregistered(struct registry_request *request)
{
    struct api_exchange *exchange = api_exchange_of_registry(request);
    if (request->status == 0) {
        remove_device(exchange);
    } else if (request->status == PETREL_E_NOT_FOUND) {
        exchange->call.in.type = PEER_USER;
        exchange->call.in.user = api_address_peer_target(&exchange->target);
        api_exchange_ask(exchange, on_user);
    } else {
        refuse_device(exchange, request->status, request->in_doubt);
    }
}

void api_devices_revoke(struct api_exchange *exchange, const struct api_request *request)
{
    (void)request;
    struct revocation *revocation = api_exchange_state(exchange, sizeof *revocation, drop_revocation);
    revocation->exchange = exchange;
    name_target(exchange);
    api_exchange_registry(exchange, exchange->role->registry->ops->device_revoke, on_unregistered);
}
