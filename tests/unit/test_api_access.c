/* Who may do what, and which paths there are. */
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATH "/v1/apps/shop/messages"

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

static void expect_unauthenticated(struct api_rig *rig, enum api_kind kind, const char *headers)
{
    struct api_reply reply = api_rig_ask_with(rig, kind, "POST", PATH, headers, "{}");
    assert_int_equal(reply.status, 401);
    assert_string_equal(api_client_text(&reply, "error.status"), "UNAUTHENTICATED");
    char scheme[32];
    assert_true(api_client_header(&reply, "WWW-Authenticate", scheme, sizeof scheme));
    assert_string_equal(scheme, "Bearer");
    api_client_free(&reply);
}

static void keys_open_their_own_app_only(void **state)
{
    struct api_rig *rig = *state;
    expect_unauthenticated(rig, API_SEND, "");
    expect_unauthenticated(rig, API_SEND, "Authorization: Bearer\r\n");
    expect_unauthenticated(rig, API_SEND, "Authorization: Basic YTpi\r\n");
    expect_unauthenticated(rig, API_SEND, "Authorization: Bearer pk_0000000000000000_x\r\n");
    expect_unauthenticated(rig, API_SEND, "Authorization: Bearer " API_RIG_ADMIN "\r\n");
    expect_unauthenticated(rig, API_ADMIN, "Authorization: Bearer " API_RIG_ADMIN "x\r\n");
    char headers[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", rig->key);
    expect_unauthenticated(rig, API_ADMIN, headers);
    /* Another app and none look the same to a key. */
    api_rig_expect_error(rig, API_SEND, "POST", "/v1/apps/other/messages", "{}", 403, "FORBIDDEN", "app");
    api_rig_expect_error(rig, API_SEND, "POST", "/v1/apps/none/messages", "{}", 403, "FORBIDDEN", "app");
    api_rig_expect_error(rig, API_SEND, "POST", "/v1/apps/NO%20NE/messages", "{}", 403, "FORBIDDEN", "app");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/v1/apps/none/messages", "{}", 404, "NOT_FOUND", "app");
    struct api_reply reply = api_rig_ask(rig, API_ADMIN, "POST", PATH, "{\"to\":{\"user\":\"ann\"},\"data\":1}");
    assert_int_equal(reply.status, 200);
    api_client_free(&reply);
}

static void a_revoked_key_ends_on_a_live_connection(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    api_rig_write_send(rig, &client, "d");
    api_client_expect_status(&client, 200);
    char path[96];
    (void)snprintf(path, sizeof path, "/admin/v1/apps/shop/keys/%.16s", rig->key + 3);
    struct api_reply reply = api_rig_ask(rig, API_ADMIN, "DELETE", path, NULL);
    assert_int_equal(reply.status, 200);
    assert_non_null(api_client_text(&reply, "revoked_at"));
    api_client_free(&reply);
    api_rig_write_send(rig, &client, "d");
    api_client_expect_status(&client, 401);
    api_client_close(&client);
}

static void paths_and_methods(void **state)
{
    struct api_rig *rig = *state;
    static const char *const nowhere[] = {"/",
                                          "/v1",
                                          "/v1/",
                                          "/v1/lookup/",
                                          "//healthz",
                                          "/v1/apps//messages",
                                          "/healthz%",
                                          "/admin/v1/status",
                                          "/a/b/c/d/e/f/g/h/i/j",
                                          "/v1/apps/shop"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        api_rig_expect_error(rig, API_SEND, "GET", nowhere[i], NULL, 404, "NOT_FOUND", "path");
    struct api_reply reply = api_rig_ask(rig, API_SEND, "PUT", "/v1/apps/shop/messages/x", NULL);
    assert_int_equal(reply.status, 405);
    char allow[64];
    assert_true(api_client_header(&reply, "Allow", allow, sizeof allow));
    assert_string_equal(allow, "GET, HEAD, DELETE");
    api_client_free(&reply);
    api_rig_expect_error(rig, API_SEND, "PATCH", "/healthz", NULL, 405, "METHOD_NOT_ALLOWED", "method");
    /* Escapes are decoded, then judged. */
    reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/sh%6Fp/users/a%2Fb/presence?x=y", NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(api_client_text(&reply, "user"), "a/b");
    api_client_free(&reply);
    api_rig_expect_error(rig, API_SEND, "GET", "/v1/apps/shop/users/a%0Ab/presence", NULL, 400, "INVALID", "user");
    api_rig_expect_error(rig, API_SEND, "GET", "/v1/apps/shop/users/%ff/presence", NULL, 400, "INVALID", "user");
    api_rig_expect_error(rig, API_SEND, "DELETE", "/v1/apps/shop/users/a/devices/b%20c", NULL, 400, "INVALID",
                         "device");
}

static void nothing_is_served_before_the_registry_is_read(void **state)
{
    struct api_rig *rig = *state;
    api_rig_open_early(rig);
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    api_rig_write_send(rig, &client, "d");
    api_client_expect_status(&client, 503);
    api_client_request(&client, "GET", "/readyz", "", NULL);
    api_client_expect_status(&client, 503);
    api_client_request(&client, "GET", "/healthz", "", NULL);
    api_client_expect_status(&client, 200);
    api_client_close(&client);
    assert_int_equal(rig->script.calls, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_open_their_own_app_only, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_revoked_key_ends_on_a_live_connection, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(paths_and_methods, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(nothing_is_served_before_the_registry_is_read, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
