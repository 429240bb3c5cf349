/* HTTP on the session port: lookup, what is refused and with what; PROXY headers before anything else. */
#include "base/object.h"
#include "session/session_list.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void expect_answer(struct client *client, unsigned status, const char *part)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
    const char *answer = client_take_http(client);
    if (strncmp(answer, line, strlen(line)) != 0 || strstr(answer, part) == NULL ||
        strstr(answer, "Connection: close") == NULL)
        fail_msg("wanted %u with %s: %s", status, part, answer);
    client_take_end(client);
}

/* ---- refusals ---- */

static void what_is_not_served_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        unsigned status;
        const char *part;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: p\r\n\r\n", 404, "\"status\":\"NOT_FOUND\""},
        {"GET /v1/apps HTTP/1.1\r\nHost: p\r\n\r\n", 404, "{\"error\":{\"code\":404,"},
        {"POST /v1/lookup HTTP/1.1\r\nHost: p\r\nContent-Length: 0\r\n\r\n", 405, "Allow: GET\r\n"},
        {"PUT /v1/session HTTP/1.1\r\nHost: p\r\nContent-Length: 0\r\n\r\n", 405, "\"METHOD_NOT_ALLOWED\""},
        {"POST /v1/lookup HTTP/1.1\r\nHost: p\r\nContent-Length: 5\r\n\r\n", 413, "\"TOO_LARGE\""},
        {"POST /v1/lookup HTTP/1.1\r\nHost: p\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 413, "TOO_LARGE"},
        {"GET /v1/session HTTP/1.1\r\nHost: p\r\n\r\n", 426, "Upgrade: websocket\r\n"},
        {"GET /v1/session HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 7\r\n\r\n",
         426, "Sec-WebSocket-Version: 13\r\n"},
        {"GET /v1/session HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         400, "petrel.v1"},
        {"GET /v1/lookup HTTP/1.1\r\n\r\n", 400, "\"BAD_REQUEST\""},
        {"GET /v1/lookup HTTP/2.0\r\nHost: p\r\n\r\n", 505, "\"HTTP_VERSION\""},
        {"GARBAGE\r\n\r\n", 501, "\"NOT_IMPLEMENTED\""},
        {"PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400\r\n", 501, "\"NOT_IMPLEMENTED\""},
        {"GET /v1/lookup\r\n\r\n", 505, "error"},
        {"GET /v1/lookup HTTP/1.1\nHost: p\n\n", 400, "\"BAD_REQUEST\""},
        {"GET /v1/lookup HTTP/1.1\r\nHost: p\r\nExpect: cake\r\n\r\n", 417, "\"EXPECTATION_FAILED\""},
        {"GET /v1/lookup HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "\"NOT_IMPLEMENTED\""},
        {"GET /v1/lookup HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "error"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501, "\"NOT_IMPLEMENTED\""},                           /* HTTP/2 */
        {"GET /a HTTP/1.1\r\nHost: p\r\n\r\nGET /b HTTP/1.1\r\nHost: p\r\n\r\n", 404, "NOT_FOUND"}, /* and only that */
    };
    struct scene scene;
    scene_open(&scene, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client_send_raw(&scene.client, bytes_str(cases[i].in));
        expect_answer(&scene.client, cases[i].status, cases[i].part);
        scene_reopen(&scene);
    }
    scene_close(&scene);
}

/* The head alone, as for every HEAD; the connection's end is what ends it. */
static void to_head_there_is_no_body(void **state)
{
    (void)state;
    struct scene scene;
    char answer[1024];
    size_t len = 0;
    scene_open(&scene, NULL);
    client_send_raw(&scene.client, bytes_str("HEAD /v1/lookup HTTP/1.1\r\nHost: p\r\n\r\n"));
    for (ssize_t got = 1; got > 0 && len < sizeof answer - 1; len += (size_t)got) {
        got = recv(scene.client.fd, answer + len, sizeof answer - 1 - len, 0);
        assert_true(got >= 0);
    }
    answer[len] = '\0';
    assert_int_equal(strncmp(answer, "HTTP/1.1 405 ", 13), 0);
    assert_non_null(strstr(answer, "Allow: GET\r\n"));
    assert_string_equal(answer + len - 4, "\r\n\r\n");
    scene_close(&scene);
}

static void a_head_is_bounded(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    struct bytebuf head = {0};
    bytes_append_str(&head, "GET /v1/lookup HTTP/1.1\r\nHost: p\r\n");
    while (head.len <= 8192)
        bytes_append_str(&head, "X-Long: and longer, and longer, and longer\r\n");
    client_send_raw(&scene.client, bytes_view(&head));
    expect_answer(&scene.client, 431, "\"HEADERS_TOO_LARGE\"");
    bytes_reset(&head);
    scene_close(&scene);
}

static void a_target_is_bounded(void **state)
{
    (void)state;
    struct scene scene;
    char target[6000];
    scene_open(&scene, NULL);
    memset(target, 'a', sizeof target);
    client_send_raw(&scene.client, bytes_str("GET /"));
    client_send_raw(&scene.client, bytes_of(target, sizeof target));
    expect_answer(&scene.client, 414, "\"URI_TOO_LONG\"");
    scene_close(&scene);
}

static void want_tls(struct rig *rig, void *arg)
{
    session_role_set_tls(rig->role, NULL, *(bool *)arg);
}

static void where_tls_is_required_the_rest_is_told_so(void **state)
{
    (void)state;
    struct scene scene;
    bool required = true;
    scene_open(&scene, NULL);
    rig_run(scene.rig, want_tls, &required);
    client_send_raw(&scene.client, bytes_str("GET /v1/lookup HTTP/1.1\r\nHost: p\r\n\r\n"));
    expect_answer(&scene.client, 400, "TLS only");
    scene_reopen(&scene);
    client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
    client_take_error(&scene.client, SESSION_CODE_UNSUPPORTED);
    required = false;
    rig_run(scene.rig, want_tls, &required);
    scene_close(&scene);
}

static void a_request_has_the_deadline_of_a_connect(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_send_raw(&scene.client, bytes_str("GET /v1/look"));
    rig_wait_metric(scene.rig, METRIC_CONNECTIONS, 2);
    rig_turns(scene.rig);
    rig_advance(scene.rig, 11000);
    expect_answer(&scene.client, 408, "\"REQUEST_TIMEOUT\"");
    scene_close(&scene);
}

static void origins_are_checked(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.origins = "https://app.example";
    struct scene scene;
    scene_open(&scene, &config);
    client_send_raw(&scene.client,
                    bytes_str("GET /v1/session HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\n"
                              "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Protocol: petrel.v1\r\nOrigin: https://evil.example\r\n\r\n"));
    expect_answer(&scene.client, 403, "\"FORBIDDEN\"");
    scene_reopen(&scene);
    client_upgrade(&scene.client); /* names none */
    scene_close(&scene);
}

/* ---- lookup ---- */

static void tell_view(struct rig *rig, void *arg)
{
    session_role_view(rig->role, arg);
}

static void lookup_names_servers(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.origins = "https://app.example";
    struct scene scene;
    scene_open(&scene, &config);
    const char *const ask = "GET /v1/lookup?x=1 HTTP/1.1\r\nHost: p\r\nOrigin: https://app.example\r\n\r\n";
    client_send_raw(&scene.client, bytes_str(ask));
    expect_answer(&scene.client, 503, "Retry-After: ");
    struct discovery_view *view = object_zalloc(sizeof *view + sizeof view->nodes[0]);
    view->refs = 1;
    view->count = 1;
    struct discovery_node *node = &view->nodes[0];
    node->number = RIG_NODE;
    node->roles = DISCOVERY_SESSION;
    node->state = DISCOVERY_UP;
    node->max_sessions = 10;
    node->loops = 1;
    snprintf(node->session_address, sizeof node->session_address, "push.example:7400");
    rig_run(scene.rig, tell_view, view);
    scene_reopen(&scene);
    client_send_raw(&scene.client, bytes_str(ask));
    expect_answer(
        &scene.client, 200,
        "{\"servers\":[{\"address\":\"push.example:7400\",\"weight\":1000}],\"wait_ms\":0,\"backoff_ms\":1000,"
        "\"ttl_s\":300}");
    scene_reopen(&scene);
    client_send_raw(&scene.client, bytes_str(ask));
    expect_answer(&scene.client, 200, "\r\nAccess-Control-Allow-Origin: https://app.example\r\n");
    scene_reopen(&scene);
    client_send_raw(&scene.client,
                    bytes_str("GET /v1/lookup HTTP/1.1\r\nHost: p\r\nOrigin: https://evil.example\r\n\r\n"));
    assert_null(strstr(client_take_http(&scene.client), "Access-Control"));
    discovery_view_unref(view);
    scene_close(&scene);
}

/* ---- PROXY ---- */

static struct session_config proxied(void)
{
    struct session_config config = rig_config();
    assert_int_equal(netaddr_set_parse("127.0.0.0/8", &config.proxy_from), 0);
    return config;
}

#define V1 "PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400\r\n"

static void from_a_proxy_everything_is_served(void **state)
{
    (void)state;
    const struct session_config config = proxied();
    struct rig *rig = rig_new(&config);
    struct client client;
    client_open(&client, rig->port);
    client_send_raw(&client, bytes_str(V1 "GET / HTTP/1.1\r\nHost: p\r\n\r\n"));
    expect_answer(&client, 404, "NOT_FOUND");
    client_close(&client);
    client_open(&client, rig->port);
    /* A byte at a time, and then a session. */
    const struct bytes v2 =
        bytes_of("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8", 28);
    for (size_t i = 0; i < v2.len; i++)
        client_send_raw(&client, bytes_of(v2.ptr + i, 1));
    client_go_on_live(&client, rig, "phone", 0);
    client_close(&client);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_open(&client, rig->port);
    client_send_raw(&client, bytes_str(V1));
    client_upgrade(&client);
    client_go_on_live(&client, rig, "browser", 0);
    client_close(&client);
    rig_free(&rig);
}

struct listed {
    uint32_t count;
    struct bytebuf records;
};

static void list_sessions(struct rig *rig, void *arg)
{
    struct listed *listed = arg;
    const struct peer_sessions asked = {.limit = 10};
    struct peer_session_list list = session_list_collect(rig->role, &asked);
    listed->count = list.count;
    bytes_append(&listed->records, list.records->data, list.records->len);
    buf_unref(list.records);
}

static void the_peers_address_is_the_one_that_counts(void **state)
{
    (void)state;
    struct session_config config = proxied();
    config.max_unauthenticated_per_address = 2;
    struct rig *rig = rig_new(&config);
    struct client client, waiting[3];
    struct listed listed = {0};
    client_open(&client, rig->port);
    client_send_raw(&client, bytes_str(V1));
    client_go_on_live(&client, rig, "phone", 0);
    rig_run(rig, list_sessions, &listed);
    assert_int_equal(listed.count, 1);
    assert_non_null(memmem(listed.records.ptr, listed.records.len, "203.0.113.7:51234", 17));
    bytes_reset(&listed.records);
    /* Two of one address may wait; a third may not; one of another may. */
    for (int i = 0; i < 2; i++) {
        client_open(&waiting[i], rig->port);
        client_send_raw(&waiting[i], bytes_str(V1 "\x01"));
    }
    rig_wait_metric(rig, METRIC_CONNECTIONS, 3);
    rig_turns(rig);
    client_open(&waiting[2], rig->port);
    client_send_raw(&waiting[2], bytes_str(V1));
    client_take_error(&waiting[2], SESSION_CODE_OVERLOADED);
    client_close(&waiting[2]);
    client_open(&waiting[2], rig->port);
    client_send_raw(&waiting[2], bytes_str("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"));
    client_go_on_live(&waiting[2], rig, "tablet", 0);
    for (int i = 0; i < 3; i++)
        client_close(&waiting[i]);
    client_close(&client);
    rig_free(&rig);
}

static void a_proxy_must_say_for_whom(void **state)
{
    (void)state;
    const struct session_config config = proxied();
    struct rig *rig = rig_new(&config);
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x01\0\0\0", 4},
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"PROXY TCP4 nonsense\r\n", 21},
        {"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16}, /* larger than it may be */
        {"\x16\x03\x01\0\x05hello", 10},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct client client;
        client_open(&client, rig->port);
        client_send_raw(&client, bytes_of(bad[i].bytes, bad[i].len));
        client_take_error(&client, SESSION_CODE_PROTOCOL_ERROR);
        client_close(&client);
    }
    rig_free(&rig);
}

static void a_proxys_header_has_the_deadline_of_a_connect(void **state)
{
    (void)state;
    const struct session_config config = proxied();
    struct rig *rig = rig_new(&config);
    struct client client;
    client_open(&client, rig->port);
    client_send_raw(&client, bytes_str("PROXY TCP4 203."));
    rig_wait_metric(rig, METRIC_CONNECTIONS, 1);
    rig_turns(rig);
    rig_advance(rig, 11000);
    client_take_error(&client, SESSION_CODE_CONNECT_TIMEOUT);
    client_close(&client);
    rig_free(&rig);
}

static void who_is_no_proxy_has_no_header(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_send_raw(
        &scene.client,
        bytes_of("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8", 28));
    client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
    scene_reopen(&scene);
    client_send_raw(&scene.client, bytes_str(V1));
    expect_answer(&scene.client, 501, "\"NOT_IMPLEMENTED\"");
    scene_close(&scene);
}

/* All of one IPv6 network is one client, who could else have a place for each of its addresses. */
static void an_ipv6_network_counts_as_one_address(void **state)
{
    (void)state;
    struct session_config config = proxied();
    config.max_unauthenticated_per_address = 2;
    struct rig *rig = rig_new(&config);
    struct client clients[4];
    static const char *const headers[] = {
        "PROXY TCP6 2001:db8:0:1::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 2001:db8:0:1::2 2001:db8::2 1 2\r\n",
        "PROXY TCP6 2001:db8:0:1:ff::3 2001:db8::2 1 2\r\n",
        "PROXY TCP6 2001:db8:0:2::1 2001:db8::2 1 2\r\n",
    };
    for (size_t i = 0; i < 4; i++) {
        client_open(&clients[i], rig->port);
        client_send_raw(&clients[i], bytes_str(headers[i]));
        rig_wait_metric(rig, METRIC_CONNECTIONS, i < 3 ? (int64_t)i + 1 : 3);
        rig_turns(rig);
        if (i == 2)
            client_take_error(&clients[i], SESSION_CODE_OVERLOADED);
    }
    client_go_on_live(&clients[3], rig, "tablet", 0);
    for (size_t i = 0; i < 4; i++)
        client_close(&clients[i]);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_served_is_said),
        cmocka_unit_test(to_head_there_is_no_body),
        cmocka_unit_test(a_head_is_bounded),
        cmocka_unit_test(a_target_is_bounded),
        cmocka_unit_test(where_tls_is_required_the_rest_is_told_so),
        cmocka_unit_test(a_request_has_the_deadline_of_a_connect),
        cmocka_unit_test(origins_are_checked),
        cmocka_unit_test(lookup_names_servers),
        cmocka_unit_test(from_a_proxy_everything_is_served),
        cmocka_unit_test(the_peers_address_is_the_one_that_counts),
        cmocka_unit_test(a_proxy_must_say_for_whom),
        cmocka_unit_test(a_proxys_header_has_the_deadline_of_a_connect),
        cmocka_unit_test(who_is_no_proxy_has_no_header),
        cmocka_unit_test(an_ipv6_network_counts_as_one_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
