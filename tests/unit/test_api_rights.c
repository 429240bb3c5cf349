/* What keys may do: scopes, their end, requests a second; keys that sign tokens; what operators did; revoking a user. */
#include "lib/until.h"
#include "unit/api_rig.h"
#include "unit/token_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define EXPIRY_MS 20000
#define RIG_ACTIONS 4 /* two apps, a key each */
#define PRESENCE "/v1/apps/shop/users/ann/presence"
#define MESSAGE "{\"to\":{\"user\":\"ann\"},\"data\":1}"

static int open_rig(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

static struct api_reply ask(struct api_rig *rig, const char *method, const char *path, const char *body,
                            unsigned status)
{
    struct api_reply reply = api_rig_ask(rig, API_ADMIN, method, path, body);
    if (reply.status != status)
        fail_msg("expected %u, got %u: %s", status, reply.status, reply.body);
    return reply;
}

static void ask_only(struct api_rig *rig, const char *method, const char *path, const char *body, unsigned status)
{
    struct api_reply reply = ask(rig, method, path, body, status);
    api_client_free(&reply);
}

/* Make a key of "shop"; the header that shows it. */
static void make_key(struct api_rig *rig, const char *body, char header[160])
{
    struct api_reply reply = ask(rig, "POST", "/admin/v1/apps/shop/keys", body, 201);
    (void)snprintf(header, 160, "Authorization: Bearer %s\r\n", api_client_text(&reply, "key"));
    api_client_free(&reply);
}

/* The error's status, or "OK"; 401 and 403 alone are refusals of the key. */
static void expect_with(struct api_rig *rig, const char *header, const char *method, const char *path, const char *body,
                        const char *expected)
{
    struct api_reply reply = api_rig_ask_with(rig, API_SEND, method, path, header, body);
    const char *status = api_client_text(&reply, "error.status");
    const bool refused = reply.status == 401 || reply.status == 403;
    if (strcmp(refused ? status : "OK", expected) != 0)
        fail_msg("%s %s: expected %s, got %u: %s", method, path, expected, reply.status, reply.body);
    api_client_free(&reply);
}

/* ---- scopes and the end ---- */

static void a_key_does_what_it_was_given(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *method;
        const char *path;
        const char *body;
        bool send, read, admin;
    } cases[] = {
        {"POST", "/v1/apps/shop/messages", MESSAGE, true, false, false},
        {"POST", "/v1/apps/shop/messages:batch", MESSAGE, true, false, false},
        {"GET", "/v1/apps/shop/messages/x", NULL, true, true, false},
        {"DELETE", "/v1/apps/shop/messages/x", NULL, true, false, false},
        {"GET", PRESENCE, NULL, false, true, false},
        {"GET", "/v1/apps/shop/users/ann/devices", NULL, false, true, false},
        {"GET", "/v1/apps/shop/users/ann/devices/d/topics", NULL, false, true, false},
        {"GET", "/v1/apps/shop/topics/news", NULL, false, true, false},
        {"POST", "/v1/apps/shop/users/ann/devices", "{\"device\":\"d\"}", false, false, true},
        {"PUT", "/v1/apps/shop/users/ann/devices/d/topics/news", NULL, false, false, true},
        {"DELETE", "/v1/apps/shop/users/ann/devices/d/topics/news", NULL, false, false, true},
        {"DELETE", "/v1/apps/shop/users/ann/devices/none", NULL, false, false, true},
        {"DELETE", "/v1/apps/shop/users/nobody", NULL, false, false, true},
    };
    char all[160], send[160], read[160], admin[160], two[160];
    make_key(rig, NULL, all);
    make_key(rig, "{\"scopes\":[\"send\"]}", send);
    make_key(rig, "{\"scopes\":[\"read\"]}", read);
    make_key(rig, "{\"scopes\":[\"admin\"]}", admin);
    make_key(rig, "{\"scopes\":[\"send\",\"read\"]}", two);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *method = cases[i].method, *path = cases[i].path, *body = cases[i].body;
        const char *const lacks = "MISSING_SCOPE";
        expect_with(rig, send, method, path, body, cases[i].send ? "OK" : lacks);
        expect_with(rig, read, method, path, body, cases[i].read ? "OK" : lacks);
        expect_with(rig, admin, method, path, body, cases[i].admin ? "OK" : lacks);
        expect_with(rig, two, method, path, body, cases[i].send || cases[i].read ? "OK" : lacks);
        expect_with(rig, all, method, path, body, "OK");
    }
    expect_with(rig, send, "GET", "/v1/apps/other/topics/news", NULL, "FORBIDDEN");
    struct api_reply reply = api_rig_ask_with(rig, API_SEND, "GET", PRESENCE, send, NULL);
    assert_non_null(strstr(api_client_text(&reply, "error.message"), "'read'"));
    api_client_free(&reply);
}

static void a_key_says_what_it_was_given(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "POST", "/admin/v1/apps/shop/keys",
                                 "{\"scopes\":[\"read\",\"send\",\"read\"],\"expires_in\":86400}", 201);
    assert_int_equal(json_array_size(api_client_at(&reply, "scopes")), 2);
    assert_string_equal(api_client_text(&reply, "scopes.0"), "send");
    assert_string_equal(api_client_text(&reply, "scopes.1"), "read");
    assert_non_null(api_client_text(&reply, "expires_at"));
    api_client_free(&reply);
    reply = ask(rig, "POST", "/admin/v1/apps/shop/keys", NULL, 201);
    assert_int_equal(json_array_size(api_client_at(&reply, "scopes")), 3);
    assert_null(api_client_at(&reply, "expires_at"));
    api_client_free(&reply);
    static const char *const bad[] = {"{\"scopes\":[]}", "{\"scopes\":[\"all\"]}", "{\"scopes\":\"send\"}",
                                      "{\"scopes\":[1]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps/shop/keys", bad[i], 400, "INVALID", "scopes");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps/shop/keys", "{\"expires_in\":0}", 400, "INVALID",
                         "expires_in");
}

struct expiry {
    struct api_rig *rig;
    struct api_client *client;
    const char *header;
};

static bool has_expired(void *ctx)
{
    const struct expiry *expiry = ctx;
    api_client_request(expiry->client, "GET", PRESENCE, expiry->header, NULL);
    struct api_reply reply = api_client_read(expiry->client, false);
    const bool over = reply.status == 401;
    if (over)
        assert_string_equal(api_client_text(&reply, "error.status"), "KEY_EXPIRED");
    else
        assert_int_equal(reply.status, 200);
    api_client_free(&reply);
    return over;
}

static void a_key_ends_in_time_also_on_a_live_connection(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    char header[160];
    make_key(rig, "{\"expires_in\":1}", header);
    api_client_open(&client, rig->ports[API_SEND]);
    struct expiry expiry = {rig, &client, header};
    assert_true(until(has_expired, &expiry, EXPIRY_MS));
    api_client_close(&client);
}

/* ---- requests a second ---- */

/* Send count requests at once on one connection, so that no time passes between them; how many were refused. */
static int refused_of(struct api_rig *rig, const char *header, int count, const char *whose)
{
    struct api_client client;
    char text[4096] = "";
    int refused = 0;
    for (int i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n",
                       PRESENCE, header);
    api_client_open(&client, rig->ports[API_SEND]);
    api_client_write_text(&client, text);
    for (int i = 0; i < count; i++) {
        struct api_reply reply = api_client_read(&client, false);
        if (reply.status != 200) {
            char retry[16];
            assert_int_equal(reply.status, 429);
            assert_string_equal(api_client_text(&reply, "error.status"), "TOO_MANY_REQUESTS");
            assert_non_null(strstr(api_client_text(&reply, "error.message"), whose));
            assert_true(api_client_header(&reply, "Retry-After", retry, sizeof retry));
            assert_string_equal(retry, "1");
            refused++;
        }
        api_client_free(&reply);
    }
    api_client_close(&client);
    return refused;
}

static void an_app_and_its_keys_have_limits(void **state)
{
    struct api_rig *rig = *state;
    char key[160], another[160];
    make_key(rig, NULL, key);
    make_key(rig, NULL, another);
    assert_int_equal(refused_of(rig, key, 10, ""), 0);

    struct api_reply reply = ask(rig, "PUT", "/admin/v1/apps/shop/limits", "{\"key_rate\":2}", 200);
    assert_int_equal(json_integer_value(api_client_at(&reply, "rate")), 0);
    assert_int_equal(json_integer_value(api_client_at(&reply, "key_rate")), 2);
    assert_null(api_client_at(&reply, "usage.rate"));
    api_client_free(&reply);
    assert_int_equal(refused_of(rig, key, 5, "key"), 3);
    assert_int_equal(refused_of(rig, another, 5, "key"), 3);

    ask_only(rig, "PUT", "/admin/v1/apps/shop/limits", "{\"rate\":3}", 200);
    assert_int_equal(refused_of(rig, key, 8, "app"), 5);
    reply = ask(rig, "GET", "/admin/v1/apps/shop", NULL, 200);
    assert_int_equal(json_integer_value(api_client_at(&reply, "usage.rate")), 3);
    assert_int_equal(json_integer_value(api_client_at(&reply, "usage.burst")), 3);
    assert_int_equal(json_integer_value(api_client_at(&reply, "usage.refused")), 5);
    long long refused = 0;
    for (size_t i = 0; i < json_array_size(api_client_at(&reply, "usage.keys")); i++)
        refused +=
            json_integer_value(json_object_get(json_array_get(api_client_at(&reply, "usage.keys"), i), "refused"));
    assert_int_equal(refused, 6);
    api_client_free(&reply);
    assert_int_equal(metrics_get(rig->metrics, METRIC_API_RATE_REFUSED), 11);

    ask_only(rig, "PUT", "/admin/v1/apps/shop/limits", "{}", 200);
    assert_int_equal(refused_of(rig, key, 10, ""), 0);
    api_rig_expect_error(rig, API_ADMIN, "PUT", "/admin/v1/apps/shop/limits", "{\"rate\":-1}", 400, "INVALID", "rate");
    api_rig_expect_error(rig, API_ADMIN, "PUT", "/admin/v1/apps/none/limits", "{}", 404, "NOT_FOUND", "app");
}

static void limit_as_configured(struct api_config *config)
{
    config->key_rate = 1;
    config->rate_burst_ms = 2000;
}

static void a_line_of_a_batch_counts_and_the_configured_limit_holds(void **state)
{
    (void)state;
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, limit_as_configured);
    struct api_reply reply = api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/messages:batch",
                                         MESSAGE "\n" MESSAGE "\n" MESSAGE "\n" MESSAGE "\n");
    assert_int_equal(reply.status, 200);
    int sent = 0, refused = 0;
    for (char *line = strtok(reply.body, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        refused += strstr(line, "\"TOO_MANY_REQUESTS\"") != NULL && strstr(line, "\"line\":") != NULL;
        sent += strstr(line, "\"id\":") != NULL;
    }
    assert_int_equal(sent, 2);
    assert_int_equal(refused, 2);
    api_client_free(&reply);
    /* An operator is not limited. */
    for (int i = 0; i < 5; i++)
        ask_only(rig, "GET", PRESENCE, NULL, 200);
    api_rig_close(rig);
    free(rig);
}

/* ---- keys that sign tokens ---- */

#define TOKEN_KEYS "/admin/v1/apps/shop/token-keys"

static char *public_key_body(const char *kid, const char *pem)
{
    json_t *body = json_pack("{s:s, s:s}", "kid", kid, "pem", pem);
    char *text = json_dumps(body, 0);
    json_decref(body);
    return text;
}

static void token_keys_are_added_and_retired(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "GET", TOKEN_KEYS, NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "keys")), 1);
    assert_true(json_is_true(api_client_at(&reply, "keys.0.signs")));
    char old[80];
    (void)snprintf(old, sizeof old, TOKEN_KEYS "/%s", api_client_text(&reply, "keys.0.kid"));
    api_client_free(&reply);

    char *body = public_key_body("phones/1", TOKEN_SAMPLES_PEM_EC);
    reply = ask(rig, "POST", TOKEN_KEYS, body, 201);
    assert_string_equal(api_client_text(&reply, "keys.1.kid"), "phones/1");
    assert_string_equal(api_client_text(&reply, "keys.1.alg"), "ES256");
    assert_true(json_is_false(api_client_at(&reply, "keys.1.signs")));
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "POST", TOKEN_KEYS, body, 409, "EXISTS", "kid");
    free(body);
    reply = ask(rig, "POST", TOKEN_KEYS, NULL, 201);
    assert_int_equal(json_array_size(api_client_at(&reply, "keys")), 3);
    assert_true(json_is_true(api_client_at(&reply, "keys.0.signs"))); /* the new secret is too young */
    assert_null(strstr(reply.body, "\"secret\""));
    api_client_free(&reply);
    ask_only(rig, "DELETE", TOKEN_KEYS "/phones%2F1", NULL, 200);
    api_rig_expect_error(rig, API_ADMIN, "DELETE", TOKEN_KEYS "/phones%2F1", NULL, 404, "NOT_FOUND", "kid");
    reply = ask(rig, "DELETE", old, NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "keys")), 1);
    assert_true(json_is_true(api_client_at(&reply, "keys.0.signs"))); /* there is no other */
    (void)snprintf(old, sizeof old, TOKEN_KEYS "/%s", api_client_text(&reply, "keys.0.kid"));
    api_client_free(&reply);
    ask_only(rig, "DELETE", old, NULL, 200);
    api_rig_expect_error(rig, API_SEND, "POST", "/v1/apps/shop/users/ann/devices", NULL, 400, "FAILED_PRECONDITION",
                         "app");
    ask_only(rig, "POST", TOKEN_KEYS, "{}", 201);
    reply = api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/users/ann/devices", NULL);
    assert_int_equal(reply.status, 201);
    api_client_free(&reply);
}

static void token_keys_that_are_none_are_refused(void **state)
{
    struct api_rig *rig = *state;
    char *body = public_key_body("k", TOKEN_SAMPLES_PEM_RSA_1024);
    struct api_reply reply = ask(rig, "POST", TOKEN_KEYS, body, 400);
    assert_string_equal(api_client_text(&reply, "error.field"), "pem");
    assert_non_null(strstr(api_client_text(&reply, "error.message"), "2048"));
    api_client_free(&reply);
    free(body);
    api_rig_expect_error(rig, API_ADMIN, "POST", TOKEN_KEYS, "{\"kid\":\"k\"}", 400, "INVALID", "pem");
    api_rig_expect_error(rig, API_ADMIN, "POST", TOKEN_KEYS, "{\"pem\":\"k\"}", 400, "INVALID", "kid");
    api_rig_expect_error(rig, API_ADMIN, "POST", TOKEN_KEYS, "{\"kid\":\"\",\"pem\":\"k\"}", 400, "INVALID", "kid");
    for (int i = 1; i < SNAPSHOT_SECRETS_MAX; i++)
        ask_only(rig, "POST", TOKEN_KEYS, NULL, 201);
    api_rig_expect_error(rig, API_ADMIN, "POST", TOKEN_KEYS, NULL, 409, "TOO_MANY_KEYS", "kid");
}

/* ---- the audit ---- */

static void expect_row(const struct api_reply *reply, int index, const char *action, const char *app,
                       const char *target, const char *outcome)
{
    char path[32];
    const struct {
        const char *member;
        const char *expected;
    } texts[] = {{"action", action}, {"app", app}, {"target", target}, {"outcome", outcome}, {"who", "admin.token"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        (void)snprintf(path, sizeof path, "audit.%d.%s", index, texts[i].member);
        const char *text = api_client_text(reply, path);
        if (strcmp(text != NULL ? text : "", texts[i].expected) != 0)
            fail_msg("row %d: %s is %s, not %s", index, texts[i].member, text, texts[i].expected);
    }
    (void)snprintf(path, sizeof path, "audit.%d.origin", index);
    assert_memory_equal(api_client_text(reply, path), "127.0.0.1:", 10);
}

static void what_operators_did_is_written_down(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply made = ask(rig, "POST", "/admin/v1/apps/shop/keys", "{\"label\":\"l\"}", 201);
    char path[96];
    (void)snprintf(path, sizeof path, "/admin/v1/apps/shop/keys/%s", api_client_text(&made, "id"));
    ask_only(rig, "DELETE", path, NULL, 200);
    ask_only(rig, "DELETE", "/admin/v1/apps/shop/keys/0000000000000000", NULL, 404);
    ask_only(rig, "DELETE", "/admin/v1/apps/none", NULL, 404);
    ask_only(rig, "POST", "/admin/v1/apps", "{\"name\":\"fresh\"}", 201);
    struct api_reply secrets = ask(rig, "GET", "/admin/v1/apps/fresh/secrets", NULL, 200);
    ask_only(rig, "POST", "/v1/apps/shop/users/ann/devices", "{\"device\":\"d\"}", 201);
    /* Looks, sends, backends' own requests and strangers leave nothing. */
    ask_only(rig, "GET", "/admin/v1/apps", NULL, 200);
    ask_only(rig, "POST", "/v1/apps/shop/messages", MESSAGE, 200);
    struct api_reply reply =
        api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/users/ann/devices", "{\"device\":\"e\"}");
    assert_int_equal(reply.status, 201);
    api_client_free(&reply);
    reply = api_rig_ask_with(rig, API_ADMIN, "DELETE", "/admin/v1/apps/shop", "Authorization: Bearer no\r\n", NULL);
    assert_int_equal(reply.status, 401);
    api_client_free(&reply);

    reply = ask(rig, "GET", "/admin/v1/audit", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "audit")), RIG_ACTIONS + 6);
    expect_row(&reply, 0, "devices.register", "shop", "ann/d", "OK");
    expect_row(&reply, 1, "apps.secrets", "fresh", "", "OK");
    expect_row(&reply, 2, "apps.create", "fresh", "", "OK");
    expect_row(&reply, 3, "keys.revoke", "shop", "0000000000000000", "NOT_FOUND");
    expect_row(&reply, 4, "keys.revoke", "shop", api_client_text(&made, "id"), "OK");
    expect_row(&reply, 5, "keys.create", "shop", api_client_text(&made, "id"), "OK");
    assert_null(strstr(reply.body, api_client_text(&made, "key")));
    assert_null(strstr(reply.body, api_client_text(&secrets, "secrets.0.secret")));
    api_client_free(&reply);
    api_client_free(&made);
    api_client_free(&secrets);
}

static void the_audit_is_read_by_pages(void **state)
{
    struct api_rig *rig = *state;
    for (int i = 0; i < 3; i++)
        ask_only(rig, "PUT", i == 1 ? "/admin/v1/apps/other/limits" : "/admin/v1/apps/shop/limits", "{}", 200);
    struct api_reply reply = ask(rig, "GET", "/admin/v1/audit?limit=2", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "audit")), 2);
    char path[96];
    (void)snprintf(path, sizeof path, "/admin/v1/audit?limit=20&cursor=%s", api_client_text(&reply, "cursor"));
    api_client_free(&reply);
    reply = ask(rig, "GET", path, NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "audit")), 1 + RIG_ACTIONS);
    assert_null(api_client_at(&reply, "cursor"));
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/audit?app=other&since=1", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "audit")), 1 + RIG_ACTIONS / 2);
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/audit?since=4102444800", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "audit")), 0);
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "GET", "/admin/v1/audit?since=yesterday", NULL, 400, "INVALID", "since");
    api_rig_expect_error(rig, API_ADMIN, "GET", "/admin/v1/audit?cursor=x", NULL, 400, "INVALID", "cursor");
}

/* ---- revoking a user ---- */

static void a_users_devices_are_all_revoked(void **state)
{
    struct api_rig *rig = *state;
    api_rig_expect_error(rig, API_SEND, "DELETE", "/v1/apps/shop/users/ann", NULL, 404, "NOT_FOUND", "user");
    ask_only(rig, "POST", "/v1/apps/shop/users/ann/devices", "{\"device\":\"phone\"}", 201);
    ask_only(rig, "POST", "/v1/apps/shop/users/ann/devices", "{\"device\":\"tablet\"}", 201);
    ask_only(rig, "POST", "/v1/apps/shop/users/bob/devices", "{\"device\":\"phone\"}", 201);
    /* The log knows one that its backend signed a token for, too. */
    rig->script.user = (struct peer_user){.count = 2};
    (void)strcpy(rig->script.user.devices[0].device, "laptop");
    (void)strcpy(rig->script.user.devices[1].device, "phone");
    const int before = rig->script.calls;
    struct api_reply reply = api_rig_ask(rig, API_SEND, "DELETE", "/v1/apps/shop/users/ann", NULL);
    assert_int_equal(reply.status, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "devices")), 3);
    assert_string_equal(api_client_text(&reply, "devices.2"), "laptop");
    assert_non_null(api_client_text(&reply, "revoked_at"));
    api_client_free(&reply);
    assert_int_equal(rig->script.calls, before + 4); /* who they are, and a REMOVE each */
    assert_int_equal(rig->script.last_type, PEER_REMOVE);
    assert_string_equal(rig->script.target[1], "ann");
    assert_string_equal(rig->script.target[2], "laptop");
    assert_true(rig->script.remove.revoked_ms > 0);
    reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/shop/users/ann/devices", NULL);
    assert_non_null(api_client_text(&reply, "devices.0.revoked_at"));
    assert_non_null(api_client_text(&reply, "devices.1.revoked_at"));
    api_client_free(&reply);
    reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/shop/users/bob/devices", NULL);
    assert_null(api_client_at(&reply, "devices.0.revoked_at"));
    api_client_free(&reply);

    ask_only(rig, "POST", "/v1/apps/shop/users/ann/devices", "{\"device\":\"phone\"}", 201);
    rig->script.status = PETREL_E_UNAVAILABLE;
    api_rig_expect_error(rig, API_SEND, "DELETE", "/v1/apps/shop/users/ann", NULL, 503, "UNAVAILABLE", NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_does_what_it_was_given, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_key_says_what_it_was_given, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_key_ends_in_time_also_on_a_live_connection, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(an_app_and_its_keys_have_limits, open_rig, close_rig),
        cmocka_unit_test(a_line_of_a_batch_counts_and_the_configured_limit_holds),
        cmocka_unit_test_setup_teardown(token_keys_are_added_and_retired, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(token_keys_that_are_none_are_refused, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(what_operators_did_is_written_down, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(the_audit_is_read_by_pages, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_users_devices_are_all_revoked, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
