/* Devices and users: register, list, revoke, presence; what devices ask before they connect. */
#include "discovery/lookup.h"
#include "unit/api_rig.h"
#include "wire/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEVICES "/v1/apps/shop/users/ann/devices"

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

static struct api_reply register_device(struct api_rig *rig, const char *body)
{
    return api_rig_ask(rig, API_SEND, "POST", DEVICES, body);
}

static void registering_mints_a_token_and_an_address(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = register_device(rig, "{\"device\":\"phone\",\"platform\":\"ios\",\"token_ttl\":600}");
    assert_int_equal(reply.status, 201);
    assert_int_equal(rig->script.last_type, PEER_ENROL);
    assert_string_equal(rig->script.target[2], "phone");
    const char *token = api_client_text(&reply, "token");
    struct token_claims claims;
    char kid[32];
    assert_int_equal(token_peek(bytes_str(token), &claims, kid, sizeof kid), 0);
    assert_string_equal(claims.app, "shop");
    assert_string_equal(claims.user, "ann");
    assert_string_equal(claims.device, "phone");
    assert_int_equal(claims.expires_s, claims.issued_s + 600);
    assert_int_equal(json_integer_value(api_client_at(&reply, "expires_ms")), claims.expires_s * 1000);
    assert_int_equal(strlen(kid), 16);

    char body[512];
    (void)snprintf(body, sizeof body, "{\"to\":{\"token\":\"%s\"},\"data\":1}", api_client_text(&reply, "address"));
    struct api_reply sent = api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/messages", body);
    assert_int_equal(sent.status, 200);
    assert_string_equal(rig->script.target[1], "ann");
    assert_string_equal(rig->script.target[2], "phone");
    api_client_free(&sent);

    /* The address is of no use to another app, nor with a letter changed. */
    char headers[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", rig->other_key);
    sent = api_rig_ask_with(rig, API_SEND, "POST", "/v1/apps/other/messages", headers, body);
    assert_int_equal(sent.status, 400);
    assert_string_equal(api_client_text(&sent, "error.field"), "to.token");
    api_client_free(&sent);
    body[30] = body[30] == 'A' ? 'B' : 'A';
    api_rig_expect_refused(rig, body, 400, "INVALID", "to.token", NULL);
    api_client_free(&reply);
}

static void registering_again_renews(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply first = register_device(rig, NULL);
    assert_int_equal(first.status, 201);
    const char *device = api_client_text(&first, "device");
    assert_int_equal(strlen(device), 36); /* made by the server */
    char body[128];
    (void)snprintf(body, sizeof body, "{\"device\":\"%s\"}", device);
    struct api_reply again = register_device(rig, body);
    assert_int_equal(again.status, 200);
    assert_string_equal(api_client_text(&again, "address"), api_client_text(&first, "address"));
    api_client_free(&again);
    api_client_free(&first);
}

static void registrations_are_checked(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *body;
        const char *field;
    } cases[] = {
        {"{\"device\":\"a b\"}", "device"},       {"{\"device\":\"\"}", "device"},     {"{\"device\":1}", "device"},
        {"{\"platform\":\"a\\nb\"}", "platform"}, {"{\"token_ttl\":59}", "token_ttl"}, {"{\"name\":\"x\"}", "name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        api_rig_expect_error(rig, API_SEND, "POST", DEVICES, cases[i].body, 400, "INVALID", cases[i].field);
    api_rig_expect_error(rig, API_SEND, "POST", DEVICES, "{", 400, "INVALID_JSON", NULL);
    assert_int_equal(rig->script.calls, 0);
}

static void the_log_must_know_the_device_too(void **state)
{
    struct api_rig *rig = *state;
    rig->script.status = PETREL_E_FULL;
    api_rig_expect_error(rig, API_SEND, "POST", DEVICES, "{\"device\":\"d\"}", 507, "FULL", NULL);
    rig->script.status = PETREL_E_TIMEOUT;
    api_rig_expect_error(rig, API_SEND, "POST", DEVICES, "{\"device\":\"d\"}", 503, "UNKNOWN_OUTCOME", NULL);
    rig->script.status = PETREL_E_TOO_LARGE;
    api_rig_expect_error(rig, API_SEND, "POST", DEVICES, "{\"device\":\"d\"}", 409, "TOO_MANY_DEVICES", "device");
}

static void there_is_a_cap_of_devices(void **state)
{
    struct api_rig *rig = *state;
    for (int i = 0; i < ROUTE_DEVICES_MAX; i++) {
        struct api_reply reply = register_device(rig, NULL);
        assert_int_equal(reply.status, 201);
        api_client_free(&reply);
    }
    api_rig_expect_error(rig, API_SEND, "POST", DEVICES, NULL, 409, "TOO_MANY_DEVICES", "device");
}

static void devices_are_listed_page_by_page(void **state)
{
    struct api_rig *rig = *state;
    static const char *const bodies[] = {"{\"device\":\"a\",\"platform\":\"ios\"}", "{\"device\":\"b\"}",
                                         "{\"device\":\"c\"}"};
    for (size_t i = 0; i < 3; i++) {
        struct api_reply reply = register_device(rig, bodies[i]);
        assert_int_equal(reply.status, 201);
        api_client_free(&reply);
    }
    struct api_reply page = api_rig_ask(rig, API_SEND, "GET", DEVICES "?limit=2", NULL);
    assert_int_equal(page.status, 200);
    assert_int_equal(json_array_size(api_client_at(&page, "devices")), 2);
    assert_string_equal(api_client_text(&page, "devices.0.device"), "a");
    assert_string_equal(api_client_text(&page, "devices.0.platform"), "ios");
    char path[128];
    (void)snprintf(path, sizeof path, DEVICES "?limit=2&cursor=%s", api_client_text(&page, "cursor"));
    api_client_free(&page);
    page = api_rig_ask(rig, API_SEND, "GET", path, NULL);
    assert_int_equal(json_array_size(api_client_at(&page, "devices")), 1);
    assert_string_equal(api_client_text(&page, "devices.0.device"), "c");
    assert_null(api_client_at(&page, "cursor"));
    api_client_free(&page);
    static const char *const bad[] = {"0", "201", "-1", "2x", "%20"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(path, sizeof path, DEVICES "?limit=%s", bad[i]);
        api_rig_expect_error(rig, API_SEND, "GET", path, NULL, 400, "INVALID", "limit");
    }
    api_rig_expect_error(rig, API_SEND, "GET", DEVICES "?cursor=%zz", NULL, 400, "INVALID", "cursor");
}

static void revoking_tells_the_log_and_outlives_its_second(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = register_device(rig, "{\"device\":\"phone\"}");
    api_client_free(&reply);
    reply = api_rig_ask(rig, API_SEND, "DELETE", DEVICES "/phone", NULL);
    assert_int_equal(reply.status, 200);
    assert_non_null(api_client_text(&reply, "revoked_at"));
    assert_int_equal(rig->script.last_type, PEER_REMOVE);
    const uint64_t revoked_ms = rig->script.remove.revoked_ms;
    assert_true(revoked_ms > 0);
    api_client_free(&reply);
    reply = api_rig_ask(rig, API_SEND, "GET", DEVICES, NULL);
    assert_non_null(api_client_text(&reply, "devices.0.revoked_at"));
    api_client_free(&reply);
    /* A token made now is one that the revocation does not cover. */
    reply = register_device(rig, "{\"device\":\"phone\"}");
    assert_int_equal(reply.status, 201);
    struct token_claims claims;
    char kid[32];
    assert_int_equal(token_peek(bytes_str(api_client_text(&reply, "token")), &claims, kid, sizeof kid), 0);
    assert_true(claims.issued_s * 1000 > revoked_ms);
    api_client_free(&reply);
}

static void devices_that_only_the_log_knows_can_be_revoked(void **state)
{
    struct api_rig *rig = *state;
    api_rig_expect_error(rig, API_SEND, "DELETE", DEVICES "/own", NULL, 404, "NOT_FOUND", "device");
    assert_int_equal(rig->script.last_type, PEER_USER);
    rig->script.user.count = 1;
    (void)snprintf(rig->script.user.devices[0].device, ROUTE_DEVICE_MAX, "own");
    struct api_reply reply = api_rig_ask(rig, API_SEND, "DELETE", DEVICES "/own", NULL);
    assert_int_equal(reply.status, 200);
    assert_int_equal(rig->script.last_type, PEER_REMOVE);
    api_client_free(&reply);
    rig->script.status = PETREL_E_NOT_FOUND;
    api_rig_expect_error(rig, API_SEND, "DELETE", DEVICES "/own", NULL, 404, "NOT_FOUND", "device");
    rig->script.status = PETREL_E_UNAVAILABLE;
    api_rig_expect_error(rig, API_SEND, "DELETE", DEVICES "/own", NULL, 503, "UNAVAILABLE", NULL);
}

static void presence_is_what_the_log_says(void **state)
{
    struct api_rig *rig = *state;
    rig->script.user = (struct peer_user){.head = {1, 9}, .pending = 2, .pending_bytes = 300, .count = 2};
    (void)snprintf(rig->script.user.devices[0].device, ROUTE_DEVICE_MAX, "phone");
    (void)snprintf(rig->script.user.devices[1].device, ROUTE_DEVICE_MAX, "tab");
    rig->script.user.devices[1].route = (struct route){.node = 1, .incarnation = 77, .generation = 3};
    rig->script.user.devices[1].bound_ms = 1700000000000;
    rig->script.user.devices[1].acked = 7;
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/shop/users/ann/presence", NULL);
    assert_int_equal(reply.status, 200);
    assert_true(json_is_true(api_client_at(&reply, "online")));
    assert_true(json_is_false(api_client_at(&reply, "devices.0.online")));
    assert_true(json_is_true(api_client_at(&reply, "devices.1.online")));
    assert_string_equal(api_client_text(&reply, "devices.1.last_seen_at"), "2023-11-14T22:13:20.000Z");
    assert_int_equal(json_integer_value(api_client_at(&reply, "devices.1.acked")), 7);
    assert_int_equal(json_integer_value(api_client_at(&reply, "pending")), 2);
    api_client_free(&reply);
    /* What an earlier process of the node had bound is not met yet, but nobody is there. */
    rig->script.user.devices[1].route.incarnation = 76;
    reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/shop/users/ann/presence", NULL);
    assert_true(json_is_false(api_client_at(&reply, "online")));
    assert_true(json_is_false(api_client_at(&reply, "devices.1.online")));
    api_client_free(&reply);
    /* A node that the view names is there, linked or not; another process of it is not. */
    const struct discovery_node far = {.number = 2, .roles = DISCOVERY_SESSION, .incarnation = 88, .name = "far"};
    api_rig_show(rig, &far, 1);
    rig->script.user.devices[1].route = (struct route){.node = 2, .incarnation = 88, .generation = 3};
    rig->script.user.devices[0].route = (struct route){.node = 2, .incarnation = 89, .generation = 3};
    reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/shop/users/ann/presence", NULL);
    assert_true(json_is_true(api_client_at(&reply, "devices.1.online")));
    assert_true(json_is_false(api_client_at(&reply, "devices.0.online")));
    api_client_free(&reply);
    rig->script.status = PETREL_E_NOT_FOUND;
    reply = api_rig_ask(rig, API_SEND, "GET", "/v1/apps/shop/users/nobody/presence", NULL);
    assert_int_equal(reply.status, 200);
    assert_true(json_is_false(api_client_at(&reply, "online")));
    assert_int_equal(json_array_size(api_client_at(&reply, "devices")), 0);
    api_client_free(&reply);
    rig->script.status = PETREL_E_TIMEOUT;
    api_rig_expect_error(rig, API_SEND, "GET", "/v1/apps/shop/users/ann/presence", NULL, 503, "UNAVAILABLE", NULL);
}

static void lookup_health_and_metrics_are_open(void **state)
{
    struct api_rig *rig = *state;
    for (int kind = API_SEND; kind <= API_ADMIN; kind++) {
        struct api_reply reply = api_rig_ask_with(rig, (enum api_kind)kind, "GET", "/metrics", "", NULL);
        assert_int_equal(reply.status, 200);
        assert_non_null(strstr(reply.body, "# TYPE petrel_http_requests_total counter"));
        api_client_free(&reply);
        reply = api_rig_ask_with(rig, (enum api_kind)kind, "GET", "/readyz", "", NULL);
        assert_int_equal(reply.status, 200);
        api_client_free(&reply);
    }
    rig->unready = true;
    struct api_reply reply = api_rig_ask_with(rig, API_SEND, "GET", "/readyz", "", NULL);
    assert_int_equal(reply.status, 503);
    assert_string_equal(api_client_text(&reply, "error.message"), "the disk is full");
    api_client_free(&reply);
    reply = api_rig_ask_with(rig, API_SEND, "GET", "/v1/lookup", "", NULL);
    assert_int_equal(reply.status, 503); /* no session server has published itself yet */
    api_client_free(&reply);
    api_rig_publish(rig);
    reply = api_rig_ask_with(rig, API_SEND, "GET", "/v1/lookup", "", NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(api_client_text(&reply, "servers.0.address"), "127.0.0.1:7400");
    assert_int_equal(json_integer_value(api_client_at(&reply, "ttl_s")), 300);
    assert_int_equal(json_integer_value(api_client_at(&reply, "wait_ms")), 0);
    api_client_free(&reply);
    /* The server admits one a second: of many that ask, some are to come later. */
    json_int_t wait_ms = 0;
    for (int i = 0; i < 100 && wait_ms == 0; i++) {
        reply = api_rig_ask_with(rig, API_SEND, "GET", "/v1/lookup", "", NULL);
        wait_ms = json_integer_value(api_client_at(&reply, "wait_ms"));
        api_client_free(&reply);
    }
    assert_in_range(wait_ms, 1, LOOKUP_WAIT_MAX_MS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registering_mints_a_token_and_an_address, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(registering_again_renews, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(registrations_are_checked, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(the_log_must_know_the_device_too, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(there_is_a_cap_of_devices, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(devices_are_listed_page_by_page, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(revoking_tells_the_log_and_outlives_its_second, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(devices_that_only_the_log_knows_can_be_revoked, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(presence_is_what_the_log_says, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(lookup_health_and_metrics_are_open, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
