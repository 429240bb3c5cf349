/* Connections: pipelining, back-pressure, deadlines, caps, what is no HTTP. */
#include "unit/api_doc.h"
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PATH "/v1/apps/shop/messages"

static void small_limits(struct api_config *config)
{
    config->max_connections = 4;
    config->max_strangers_per_address = 3;
    config->max_body_bytes = 65536;
    config->max_pipeline = 4;
}

static void short_timeouts(struct api_config *config)
{
    config->request_timeout_ms = 150;
    config->idle_timeout_ms = 300;
}

static void little_memory(struct api_config *config)
{
    config->max_held_bytes = 100000;
}

static int open_with(void **state, void (*change)(struct api_config *config))
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, change);
    *state = rig;
    return 0;
}

static int open_rig(void **state)
{
    return open_with(state, NULL);
}

static int open_small(void **state)
{
    return open_with(state, small_limits);
}

static int open_short(void **state)
{
    return open_with(state, short_timeouts);
}

static void behind_a_proxy(struct api_config *config)
{
    if (config->kind == API_SEND && netaddr_set_parse("127.0.0.0/8", &config->proxy_from) != 0)
        abort();
    config->max_strangers_per_address = 1;
    config->request_timeout_ms = 150;
}

static int open_proxied(void **state)
{
    return open_with(state, behind_a_proxy);
}

static int open_little(void **state)
{
    return open_with(state, little_memory);
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

static void answers_keep_the_order_of_requests(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    rig->script.hold = true;
    api_rig_write_send(rig, &client, "one");
    api_rig_write_send(rig, &client, "two");
    api_client_request(&client, "GET", "/healthz", "", NULL);
    api_rig_write_send(rig, &client, "three");
    api_client_request(&client, "GET", "/nowhere", "", NULL);
    api_rig_wait_calls(rig, 3);
    api_rig_release(rig, true); /* the log answers the last one first */
    static const char *const devices[] = {"YW5uAG9uZQ", "YW5uAHR3bw", NULL, "YW5uAHRocmVl"};
    for (size_t i = 0; i < 4; i++) {
        struct api_reply reply = api_client_read(&client, false);
        assert_int_equal(reply.status, 200);
        assert_true(reply.keep_alive);
        if (devices[i] != NULL)
            assert_string_equal(api_client_text(&reply, "id") + 37, devices[i]);
        else
            assert_string_equal(api_client_text(&reply, "status"), "ok");
        api_client_free(&reply);
    }
    api_client_expect_status(&client, 404);
    api_client_close(&client);
}

static void reading_stops_while_the_pipeline_is_full(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    rig->script.hold = true;
    for (int i = 0; i < 9; i++) {
        char device[16];
        (void)snprintf(device, sizeof device, "d%d", i);
        api_rig_write_send(rig, &client, device);
    }
    api_rig_wait_calls(rig, 4);
    /* Another connection's request goes through several turns; the full one still has its four. */
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&reply);
    assert_int_equal(rig->script.calls, 4);
    api_rig_release(rig, false);
    for (int i = 0; i < 9; i++)
        api_client_expect_status(&client, 200);
    assert_string_equal(rig->script.order, "d0,d1,d2,d3,d4,d5,d6,d7,d8,");
    api_client_close(&client);
}

static void a_request_may_come_byte_by_byte(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    char text[512];
    int len =
        snprintf(text, sizeof text,
                 "POST " PATH " HTTP/1.1\r\nHost: x\r\nauthorization: bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "10\r\n{\"to\":{\"user\":\"u\r\n10\r\n\"}, \"data\": 12}\n\r\n0\r\n\r\n",
                 rig->key);
    for (int i = 0; i < len; i++)
        api_client_write(&client, text + i, 1);
    api_client_expect_status(&client, 200);
    assert_memory_equal(rig->script.message.body.ptr, "12", 2);
    api_client_close(&client);
}

static void continue_comes_before_the_body_and_after_earlier_answers(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    rig->script.hold = true;
    api_rig_write_send(rig, &client, "first");
    api_rig_wait_calls(rig, 1);
    char head[256];
    (void)snprintf(head, sizeof head,
                   "POST " PATH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\n"
                   "Content-Length: 31\r\n\r\n",
                   rig->key);
    api_client_write_text(&client, head);
    api_rig_release(rig, false);
    api_client_expect_status(&client, 200);
    api_client_expect_text(&client, "HTTP/1.1 100 Continue\r\n\r\n");
    api_client_write_text(&client, "{\"to\":{\"user\":\"ann\"},\"data\":22}");
    api_client_expect_status(&client, 200);
    api_client_close(&client);
}

static void head_and_close_and_http_1_0(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    api_client_request(&client, "HEAD", "/healthz", "", NULL);
    struct api_reply reply = api_client_read(&client, true);
    assert_int_equal(reply.status, 200);
    char length[16];
    assert_true(api_client_header(&reply, "Content-Length", length, sizeof length));
    assert_string_equal(length, "16");
    api_client_free(&reply);
    api_client_request(&client, "GET", "/healthz", "Connection: close\r\n", NULL);
    reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 200);
    assert_false(reply.keep_alive);
    api_client_free(&reply);
    api_client_expect_end(&client);
    api_client_close(&client);

    api_client_open(&client, rig->ports[API_SEND]);
    api_client_write_text(&client, "GET /healthz HTTP/1.0\r\n\r\n");
    reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 200);
    assert_false(reply.keep_alive);
    api_client_free(&reply);
    api_client_expect_end(&client);
    api_client_close(&client);
}

static void a_peer_that_shuts_down_its_side_gets_its_answers(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    rig->script.hold = true;
    for (int i = 0; i < 6; i++) /* two wait behind a full pipeline */
        api_rig_write_send(rig, &client, "d");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    api_rig_wait_calls(rig, 4);
    api_rig_release(rig, false);
    for (int i = 0; i < 6; i++)
        api_client_expect_status(&client, 200);
    api_client_expect_end(&client);
    api_client_close(&client);
}

static void a_connection_that_goes_leaves_its_request_behind(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    rig->script.hold = true;
    api_rig_write_send(rig, &client, "one");
    api_rig_write_send(rig, &client, "two");
    api_rig_wait_calls(rig, 2);
    api_client_break(&client);
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&reply);
    api_rig_release(rig, false);
    reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    assert_int_equal(reply.status, 200);
    api_client_free(&reply);
}

static void what_is_no_http_gets_one_answer(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *text;
        unsigned status;
    } cases[] = {
        {"\x01\x00\x00\x05hello\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nbroken header\r\n\r\n", 400},
        {"GET / HTTP/3.0\r\n\r\n", 505},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\nContent-Length: 2\r\n\r\n", 417},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_client client;
        api_client_open(&client, rig->ports[API_SEND]);
        api_client_write_text(&client, cases[i].text);
        struct api_reply reply = api_client_read(&client, false);
        if (reply.status != cases[i].status)
            fail_msg("expected %u, got %u: %s", cases[i].status, reply.status, reply.body);
        assert_false(reply.keep_alive);
        assert_int_equal(json_integer_value(api_client_at(&reply, "error.code")), cases[i].status);
        api_client_free(&reply);
        api_client_expect_end(&client);
        api_client_close(&client);
    }
}

static void a_million_headers_are_too_many(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    api_client_write_text(&client, "GET /healthz HTTP/1.1\r\n");
    for (int i = 0; i < 1000000 && api_client_try_write(&client, "a: b\r\n"); i++) {
    }
    struct api_reply reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 431);
    assert_string_equal(api_client_text(&reply, "error.status"), "HEADERS_TOO_LARGE");
    api_client_free(&reply);
    api_client_close(&client);
    api_client_open(&client, rig->ports[API_SEND]);
    char target[6000];
    memset(target, 'a', sizeof target);
    memcpy(target, "GET /", 5);
    memcpy(target + sizeof target - 14, " HTTP/1.1\r\n\r\n", 14);
    api_client_write_text(&client, target);
    api_client_expect_status(&client, 414);
    api_client_close(&client);
}

static void slow_requests_end_with_408(void **state)
{
    struct api_rig *rig = *state;
    struct api_client slow;
    struct api_client other;
    api_client_open(&slow, rig->ports[API_SEND]);
    api_client_open(&other, rig->ports[API_SEND]);
    api_client_write_text(&slow, "POST " PATH " HTTP/1.1\r\nHost: x\r\nContent-Le");
    struct api_reply reply = api_client_read(&slow, false);
    assert_int_equal(reply.status, 408);
    assert_string_equal(api_client_text(&reply, "error.status"), "REQUEST_TIMEOUT");
    api_client_free(&reply);
    api_client_expect_end(&slow);
    api_client_close(&slow);
    api_client_expect_end(&other); /* never said a word */
    api_client_close(&other);
    api_client_open(&other, rig->ports[API_SEND]);
    api_client_request(&other, "GET", "/healthz", "", NULL);
    api_client_expect_status(&other, 200);
    api_client_expect_end(&other); /* idle */
    api_client_close(&other);
}

static void a_client_that_never_reads_is_closed(void **state)
{
    struct api_rig *rig = *state;
    struct api_client client;
    api_client_open(&client, rig->ports[API_SEND]);
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    char many[100 * (sizeof request - 1) + 1] = "";
    for (size_t i = 0; i < 100; i++)
        memcpy(many + i * (sizeof request - 1), request, sizeof request);
    /* Until the server, which has closed, refuses what comes; what it holds meanwhile is bounded. */
    while (api_client_try_write(&client, many)) {
        struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
        assert_int_equal(reply.status, 200);
        api_client_free(&reply);
    }
    api_client_close(&client);
}

static void begin_large(struct api_rig *rig, struct api_client *client, size_t sent)
{
    static const char part[60000];
    api_client_open(client, rig->ports[API_SEND]);
    api_client_write_text(client, "POST " PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    api_client_write(client, part, sent);
}

static void large_requests_under_way_are_bounded_together(void **state)
{
    struct api_rig *rig = *state;
    struct api_client clients[3];
    begin_large(rig, &clients[0], 60000);
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&reply);
    begin_large(rig, &clients[1], 60000);
    api_client_expect_status(&clients[1], 503);
    api_client_expect_end(&clients[1]);
    /* What it held is given back, and so is what the first one holds when it goes. */
    api_client_break(&clients[0]);
    reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&reply);
    begin_large(rig, &clients[2], 60000);
    reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    assert_int_equal(reply.status, 200);
    api_client_free(&reply);
    api_rig_write_send(rig, &clients[2], "d"); /* more of the same body */
    api_client_close(&clients[1]);
    api_client_break(&clients[2]);
}

static void connections_beyond_the_caps_are_told(void **state)
{
    struct api_rig *rig = *state;
    struct api_client strangers[4];
    for (size_t i = 0; i < 3; i++) {
        api_client_open(&strangers[i], rig->ports[API_SEND]);
        api_client_request(&strangers[i], "GET", "/healthz", "", NULL);
        api_client_expect_status(&strangers[i], 200);
    }
    api_client_open(&strangers[3], rig->ports[API_SEND]);
    api_client_expect_status(&strangers[3], 503);
    api_client_expect_end(&strangers[3]);
    api_client_close(&strangers[3]);
    /* Who shows a key is a stranger no more. */
    api_rig_write_send(rig, &strangers[0], "d");
    api_client_expect_status(&strangers[0], 200);
    api_client_open(&strangers[3], rig->ports[API_SEND]);
    api_client_request(&strangers[3], "GET", "/healthz", "", NULL);
    api_client_expect_status(&strangers[3], 200);
    struct api_client fifth;
    api_rig_write_send(rig, &strangers[1], "d");
    api_client_expect_status(&strangers[1], 200);
    api_client_open(&fifth, rig->ports[API_SEND]);
    api_client_expect_status(&fifth, 503);
    api_client_close(&fifth);
    for (size_t i = 0; i < 4; i++)
        api_client_close(&strangers[i]);
}

/* ---- PROXY headers ---- */

#define HEALTH "GET /healthz HTTP/1.1\r\nHost: p\r\n\r\n"
#define HEADER_OF(address) "PROXY TCP6 " address " 2001:db8::2 51234 7480\r\n"

static void a_proxy_must_say_for_whom(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *bytes;
        size_t len;
        unsigned status;
    } bad[] = {
        {HEALTH, sizeof HEALTH - 1, 400},
        {"PROXY TCP4 nonsense\r\n", 21, 400},
        {"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16, 400},
        {"PROXY TCP4 203.", 15, 0}, /* and then no more: there is no request to answer */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct api_client client;
        api_client_open(&client, rig->ports[API_SEND]);
        api_client_write(&client, bad[i].bytes, bad[i].len);
        if (bad[i].status != 0)
            api_client_expect_status(&client, bad[i].status);
        api_client_expect_end(&client);
        api_client_close(&client);
    }
}

/* One that showed no key may be there at a time, of each address, and of each network of IPv6. */
static void behind_a_proxy_each_address_is_judged_for_itself(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *header;
        unsigned status;
    } cases[] = {
        {HEADER_OF("2001:db8:0:1::1") HEALTH, 200},
        {HEADER_OF("2001:db8:0:1::2") HEALTH, 503},
        {HEADER_OF("2001:db8:0:2::1") HEALTH, 200},
        {"PROXY TCP4 203.0.113.7 192.0.2.1 51234 7480\r\n" HEALTH, 200},
    };
    struct api_client clients[4];
    for (size_t i = 0; i < 4; i++) {
        api_client_open(&clients[i], rig->ports[API_SEND]);
        api_client_write_text(&clients[i], cases[i].header);
        api_client_expect_status(&clients[i], cases[i].status);
    }
    for (size_t i = 0; i < 4; i++)
        api_client_close(&clients[i]);
}

static void closing_answers_what_is_under_way(void **state)
{
    struct api_rig *rig = *state;
    struct api_client busy;
    struct api_client idle;
    struct api_client partial;
    api_client_open(&busy, rig->ports[API_SEND]);
    api_client_open(&idle, rig->ports[API_SEND]);
    api_client_open(&partial, rig->ports[API_SEND]);
    api_client_request(&idle, "GET", "/healthz", "", NULL);
    api_client_expect_status(&idle, 200);
    api_client_write_text(&partial, "GET /heal");
    rig->script.hold = true;
    api_rig_write_send(rig, &busy, "one");
    api_rig_write_send(rig, &busy, "two");
    api_rig_wait_calls(rig, 2);
    api_rig_begin_close(rig);
    api_client_expect_end(&idle);
    api_client_expect_end(&partial);
    api_rig_release(rig, false);
    api_client_expect_status(&busy, 200);
    struct api_reply reply = api_client_read(&busy, false);
    assert_int_equal(reply.status, 200);
    assert_false(reply.keep_alive);
    api_client_free(&reply);
    api_client_expect_end(&busy);
    api_client_close(&busy);
    api_client_close(&idle);
    api_client_close(&partial);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_keep_the_order_of_requests, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(reading_stops_while_the_pipeline_is_full, open_small, close_rig),
        cmocka_unit_test_setup_teardown(a_request_may_come_byte_by_byte, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(continue_comes_before_the_body_and_after_earlier_answers, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(head_and_close_and_http_1_0, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_peer_that_shuts_down_its_side_gets_its_answers, open_small, close_rig),
        cmocka_unit_test_setup_teardown(a_connection_that_goes_leaves_its_request_behind, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(what_is_no_http_gets_one_answer, open_small, close_rig),
        cmocka_unit_test_setup_teardown(a_million_headers_are_too_many, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(slow_requests_end_with_408, open_short, close_rig),
        cmocka_unit_test_setup_teardown(a_client_that_never_reads_is_closed, open_short, close_rig),
        cmocka_unit_test_setup_teardown(large_requests_under_way_are_bounded_together, open_little, close_rig),
        cmocka_unit_test_setup_teardown(connections_beyond_the_caps_are_told, open_small, close_rig),
        cmocka_unit_test_setup_teardown(a_proxy_must_say_for_whom, open_proxied, close_rig),
        cmocka_unit_test_setup_teardown(behind_a_proxy_each_address_is_judged_for_itself, open_proxied, close_rig),
        cmocka_unit_test_setup_teardown(closing_answers_what_is_under_way, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
