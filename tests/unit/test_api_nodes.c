/* The admin API of a cluster: nodes, drain, rebalance, sessions of other nodes, a node without a registry. The rig's node is number 1,
 * with one loop; others are in its view only, so they can't be reached. */
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct discovery_node nodes[] = {
    {.number = 3,
     .roles = DISCOVERY_MESSAGE | DISCOVERY_API,
     .incarnation = 99,
     .name = "message-1",
     .peer_address = "127.0.0.1:7",
     .peer_tls = DISCOVERY_TLS_REQUIRED},
    {.number = 1,
     .roles = DISCOVERY_SESSION,
     .incarnation = 77,
     .sessions = 5,
     .max_sessions = 100,
     .loops = 1,
     .name = "rig",
     .session_address = "127.0.0.1:8"},
    {.number = 2,
     .roles = DISCOVERY_SESSION,
     .incarnation = 88,
     .sessions = 40,
     .max_sessions = 300,
     .loops = 2,
     .name = "far",
     .session_address = "127.0.0.1:9"},
};

static int open_rig(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, NULL);
    api_rig_show(rig, nodes, sizeof nodes / sizeof nodes[0]);
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

static json_int_t number(const struct api_reply *reply, const char *at)
{
    const json_t *value = api_client_at(reply, at);
    if (!json_is_integer(value))
        fail_msg("no number at %s: %s", at, reply->body);
    return json_integer_value(value);
}

static void nodes_are_listed_and_counted(void **state)
{
    struct api_rig *rig = *state;
    rig->script.drained = (struct peer_drained){.sessions = 7};
    struct api_reply reply = ask(rig, "GET", "/admin/v1/nodes", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "nodes")), 3);
    assert_string_equal(api_client_text(&reply, "nodes.0.name"), "far"); /* by name */
    assert_true(json_is_false(api_client_at(&reply, "nodes.0.counted")));
    assert_int_equal(number(&reply, "nodes.0.sessions"), 40);
    assert_string_equal(api_client_text(&reply, "nodes.0.as_of"), "2023-11-14T22:13:22.000Z"); /* the view's */
    assert_null(api_client_at(&reply, "nodes.0.left"));
    assert_string_equal(api_client_text(&reply, "nodes.1.roles.0"), "message");
    assert_string_equal(api_client_text(&reply, "nodes.1.peer_address"), "127.0.0.1:7");
    assert_string_equal(api_client_text(&reply, "nodes.1.peer_tls"), "required");
    assert_null(api_client_at(&reply, "nodes.1.sessions"));
    assert_true(json_is_true(api_client_at(&reply, "nodes.2.counted")));
    assert_int_equal(number(&reply, "nodes.2.sessions"), 7); /* not the 5 of the view */
    assert_int_equal(number(&reply, "nodes.2.max_sessions"), 100);
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/nodes/rig", NULL, 200);
    assert_int_equal(number(&reply, "number"), 1);
    assert_int_equal(number(&reply, "sessions"), 7);
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/nodes/near", NULL, 404);
    assert_string_equal(api_client_text(&reply, "error.message"),
                        "there is no node of that name; there are: far, message-1, rig");
    api_client_free(&reply);
}

static void a_node_is_drained_and_undrained(void **state)
{
    struct api_rig *rig = *state;
    rig->script.drained = (struct peer_drained){.sessions = 7, .to_tell = 4, .told = 2, .left = 90};
    struct api_reply reply = ask(rig, "POST", "/admin/v1/nodes/rig/drain", "{\"rate\":250}", 200);
    assert_string_equal(api_client_text(&reply, "state"), "draining");
    assert_int_equal(number(&reply, "to_tell"), 4);
    assert_int_equal(number(&reply, "told"), 2);
    assert_int_equal(number(&reply, "left"), 90);
    assert_int_equal(rig->script.drain.verb, PEER_DRAIN_BEGIN);
    assert_int_equal(rig->script.drain.per_second, 250);
    api_client_free(&reply);
    reply = ask(rig, "POST", "/admin/v1/nodes/rig/drain", NULL, 200);
    assert_int_equal(rig->script.drain.per_second, 100);
    api_client_free(&reply);
    reply = ask(rig, "POST", "/admin/v1/nodes/rig/undrain", NULL, 200);
    assert_string_equal(api_client_text(&reply, "state"), "up");
    assert_int_equal(rig->script.drain.verb, PEER_DRAIN_END);
    api_client_free(&reply);
}

static void a_drain_that_can_not_be_is_refused(void **state)
{
    struct api_rig *rig = *state;
    static const char *const bodies[] = {"{\"rate\":0}", "{\"rate\":1000001}", "{\"rate\":\"x\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/nodes/rig/drain", bodies[i], 400, "INVALID", "rate");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/nodes/near/drain", NULL, 404, "NOT_FOUND", "node");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/nodes/message-1/drain", NULL, 400, "FAILED_PRECONDITION",
                         "node");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/nodes/far/drain", NULL, 503, "UNAVAILABLE", "node");
    assert_int_equal(rig->script.drain.verb, 0);
    /* Where else should its sessions go? */
    struct discovery_node fewer[2] = {nodes[1], nodes[2]};
    fewer[1].state = DISCOVERY_DRAINING;
    api_rig_show(rig, fewer, 2);
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/nodes/rig/drain", NULL, 400, "FAILED_PRECONDITION", "node");
    struct api_reply reply = ask(rig, "POST", "/admin/v1/nodes/rig/undrain", NULL, 200);
    api_client_free(&reply);
}

static void a_surplus_is_moved(void **state)
{
    struct api_rig *rig = *state;
    rig->script.drained = (struct peer_drained){.sessions = 90};
    /* Alone among those that can be counted, it has no more than its share. */
    struct api_reply reply = ask(rig, "POST", "/admin/v1/rebalance", NULL, 200);
    assert_int_equal(number(&reply, "surplus"), 0);
    assert_int_equal(rig->script.drain.verb, 0);
    assert_null(api_client_at(&reply, "nodes.0.share"));
    assert_int_equal(number(&reply, "nodes.1.share"), 90);
    api_client_free(&reply);
    /* Twice the same node by two names: the one with a budget of 300 is to have three quarters. */
    struct discovery_node twice[2] = {nodes[1], nodes[1]};
    (void)snprintf(twice[1].name, sizeof twice[1].name, "twin");
    twice[1].max_sessions = 300;
    api_rig_show(rig, twice, 2);
    rig->script.drained.told = 10; /* on their way already */
    reply = ask(rig, "GET", "/admin/v1/rebalance", NULL, 200);
    assert_int_equal(number(&reply, "sessions"), 180);
    assert_int_equal(number(&reply, "nodes.0.share"), 45);
    assert_int_equal(number(&reply, "nodes.0.surplus"), 45);
    assert_int_equal(number(&reply, "nodes.1.share"), 135);
    assert_int_equal(number(&reply, "nodes.1.surplus"), 0);
    assert_int_equal(rig->script.drain.verb, 0); /* looking moves nobody */
    api_client_free(&reply);
    reply = ask(rig, "POST", "/admin/v1/rebalance", "{\"rate\":20}", 200);
    assert_int_equal(number(&reply, "surplus"), 45);
    assert_int_equal(rig->script.drain.verb, PEER_DRAIN_MOVE);
    assert_int_equal(rig->script.drain.count, 35);
    assert_int_equal(rig->script.drain.per_second, 20);
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/rebalance", "{\"rat\":1}", 400, "INVALID", "rat");
}

static void a_draining_node_takes_no_part_in_the_balance(void **state)
{
    struct api_rig *rig = *state;
    rig->script.drained = (struct peer_drained){.sessions = 90, .draining = true};
    struct api_reply reply = ask(rig, "GET", "/admin/v1/rebalance", NULL, 200);
    assert_string_equal(api_client_text(&reply, "nodes.1.state"), "draining");
    assert_null(api_client_at(&reply, "nodes.1.share"));
    api_client_free(&reply);
}

static void nodes_that_do_not_answer_are_named(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "GET", "/admin/v1/sessions", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "sessions")), 2);
    assert_int_equal(json_array_size(api_client_at(&reply, "unreachable")), 1);
    assert_string_equal(api_client_text(&reply, "unreachable.0"), "far");
    assert_null(api_client_at(&reply, "cursor"));
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/sessions?limit=2", NULL, 200);
    assert_string_equal(api_client_text(&reply, "cursor"), "2-0-0");
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/sessions?node=rig", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "sessions")), 2);
    assert_null(api_client_at(&reply, "unreachable"));
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/sessions?node=message-1", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "sessions")), 0);
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "GET", "/admin/v1/sessions?node=near", NULL, 404, "NOT_FOUND", "node");
    /* One that may be there, and can't be asked about; one of a process that is gone. */
    api_rig_expect_error(rig, API_ADMIN, "GET", "/admin/v1/sessions/2-58-1-8-5", NULL, 503, "UNAVAILABLE", NULL);
    api_rig_expect_error(rig, API_ADMIN, "GET", "/admin/v1/sessions/2-59-1-8-5", NULL, 404, "NOT_FOUND", "id");
}

static void a_node_without_a_registry_says_so(void **state)
{
    struct api_rig *rig = *state;
    api_rig_drop_registry(rig);
    static const char *const paths[] = {"/admin/v1/apps", "/admin/v1/apps/shop", "/admin/v1/apps/shop/keys",
                                        "/v1/apps/shop/users/ann/presence"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        api_rig_expect_error(rig, API_ADMIN, "GET", paths[i], NULL, 503, "NO_REGISTRY", NULL);
    struct api_reply reply = api_rig_ask_with(rig, API_ADMIN, "GET", "/admin/v1/apps", "", NULL);
    assert_int_equal(reply.status, 401); /* strangers are told nothing */
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/status", NULL, 200);
    assert_null(api_client_at(&reply, "apps"));
    assert_true(json_is_true(api_client_at(&reply, "ready")));
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/nodes", NULL, 200);
    api_client_free(&reply);
    reply = ask(rig, "GET", "/readyz", NULL, 200);
    api_client_free(&reply);
}

static void warnings_are_told(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "GET", "/readyz", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "warnings")), 0);
    api_client_free(&reply);
    api_health_warn(&rig->health, "discovery", "ZooKeeper is away since %s", "then");
    rig->health.links = 3;
    rig->health.links_up = 2;
    reply = ask(rig, "GET", "/readyz", NULL, 200);
    assert_string_equal(api_client_text(&reply, "warnings.0.what"), "discovery");
    assert_string_equal(api_client_text(&reply, "warnings.0.text"), "ZooKeeper is away since then");
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/status", NULL, 200);
    assert_string_equal(api_client_text(&reply, "warnings.0.what"), "discovery");
    assert_string_equal(api_client_text(&reply, "state"), "up");
    assert_string_equal(api_client_text(&reply, "roles.2"), "api");
    assert_int_equal(number(&reply, "links.wanted"), 3);
    assert_int_equal(number(&reply, "links.up"), 2);
    api_client_free(&reply);
    for (int i = 0; i < 2 * API_HEALTH_WARNINGS_MAX; i++)
        api_health_warn(&rig->health, "links", "once more");
    assert_int_equal(rig->health.warnings_count, API_HEALTH_WARNINGS_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nodes_are_listed_and_counted, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_node_is_drained_and_undrained, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_drain_that_can_not_be_is_refused, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_surplus_is_moved, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_draining_node_takes_no_part_in_the_balance, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(nodes_that_do_not_answer_are_named, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_node_without_a_registry_says_so, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(warnings_are_told, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
