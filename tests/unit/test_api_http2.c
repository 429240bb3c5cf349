/* The API over HTTP/2: the same answers as over HTTP/1.1, side by side; what bounds a connection; how it ends. */
#include "unit/http2_client.h"
#include "wire/http2.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PATH "/v1/apps/shop/messages"
#define PIPELINE 4
#define STREAMS 20

static void small_limits(struct api_config *config)
{
    config->max_body_bytes = 200000;
    config->max_pipeline = PIPELINE;
    config->http2_streams = STREAMS;
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

static void no_cleartext(struct api_config *config)
{
    config->http2_cleartext = API_CLEARTEXT_NEVER;
}

static void any_cleartext(struct api_config *config)
{
    config->http2_cleartext = API_CLEARTEXT_ANYWHERE;
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

static int open_little(void **state)
{
    return open_with(state, little_memory);
}

static int open_never(void **state)
{
    return open_with(state, no_cleartext);
}

static int open_anywhere(void **state)
{
    return open_with(state, any_cleartext);
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

/* Some requests of another connection: whatever the loop had to do before, it has done. */
static void let_pass(struct api_rig *rig)
{
    for (int i = 0; i < 3; i++) {
        struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
        assert_int_equal(reply.status, 200);
        api_client_free(&reply);
    }
}

static struct http2_client *new_client(struct api_rig *rig)
{
    struct http2_client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    http2_client_open(client, rig);
    return client;
}

static void free_client(struct http2_client *client)
{
    http2_client_close(client);
    free(client);
}

static void answers_do_not_wait_for_each_other(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    rig->script.hold = true;
    const size_t one = http2_client_send(client, "one");
    const size_t two = http2_client_send(client, "two");
    http2_client_flush(client);
    api_rig_wait_calls(rig, 2);
    const size_t health = http2_client_ask(client, "GET", "/healthz", (struct bytes){NULL, 0});
    http2_client_expect(client, health, 200, "\"ok\"");
    assert_false(client->peer.streams[one].closed);
    api_rig_release(rig, true);
    http2_client_expect(client, one, 200, "~YW5uAG9uZQ");
    http2_client_expect(client, two, 200, "~YW5uAHR3bw");
    assert_int_equal(metrics_get(rig->metrics, METRIC_HTTP_CONNECTIONS), 1);
    free_client(client);
}

static void both_versions_answer_alike(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *method;
        const char *path;
        const char *body;
    } cases[] = {
        {"GET", "/healthz", NULL},
        {"GET", "/nowhere", NULL},
        {"GET", "/%zz", NULL},
        {"DELETE", "/healthz", NULL},
        {"PATCH", PATH, "{}"},
        {"POST", PATH, "{"},
        {"POST", PATH, "{\"to\":{\"user\":\"ann\"},\"data\":1,\"validate_only\":true}"},
        {"POST", "/v1/apps/other/messages", "{}"},
        {"POST", PATH ":batch", ""},
        {"GET", "/v1/apps/shop/users/ann/presence?x=1", NULL},
        {"GET", "/v1/lookup", NULL},
        {"GET", "/admin/v1/apps", NULL},
    };
    struct http2_client *client = new_client(rig);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_reply reply = api_rig_ask(rig, API_SEND, cases[i].method, cases[i].path, cases[i].body);
        const size_t at = http2_client_ask(client, cases[i].method, cases[i].path, bytes_str(cases[i].body));
        const struct http2_peer_stream *stream = http2_client_wait(client, at);
        const bool random = strstr(reply.body, "\"id\"") != NULL;
        if (stream->status != reply.status ||
            (!random && !bytes_equal(bytes_view(&stream->body), bytes_of(reply.body, reply.body_len))))
            fail_msg("%s %s: %u %s, but %u %.*s", cases[i].method, cases[i].path, reply.status, reply.body,
                     stream->status, (int)stream->body.len, (const char *)stream->body.ptr);
        api_client_free(&reply);
    }
    free_client(client);
}

static void a_key_is_asked_for(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    client->headers[0] = NULL;
    const size_t at = http2_client_send(client, "one");
    http2_client_expect(client, at, 401, "UNAUTHENTICATED");
    const struct bytebuf *head = &client->peer.streams[at].head;
    assert_non_null(memmem(head->ptr, head->len, "www-authenticate: Bearer\n", 25));
    free_client(client);
}

static void the_first_bytes_tell_what_is_spoken(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    const size_t at = http2_client_ask(client, "GET", "/healthz", (struct bytes){NULL, 0});
    struct bytebuf out = {0};
    http2_peer_say(&client->peer, &out);
    for (size_t i = 0; i < out.len; i++) {
        api_client_write(&client->plain, out.ptr + i, 1);
        if (i % 8 == 0)
            let_pass(rig);
    }
    http2_client_expect(client, at, 200, "\"ok\"");
    bytes_reset(&out);
    free_client(client);

    struct api_client plain;
    api_client_open(&plain, rig->ports[API_SEND]);
    api_client_write_text(&plain, "P"); /* as HTTP/2 begins, too */
    let_pass(rig);
    api_client_write_text(&plain, "OST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    api_client_expect_status(&plain, 405);
    api_client_close(&plain);

    api_client_open(&plain, rig->ports[API_SEND]);
    api_client_write_text(&plain, "PRI * HTTP/2.0\r\n\r\n");
    let_pass(rig);
    api_client_write_text(&plain, "GM\r\n\r\n");
    api_client_expect_status(&plain, 501);
    api_client_expect_end(&plain);
    api_client_close(&plain);
}

static void without_tls_it_may_be_forbidden(void **state)
{
    struct api_rig *rig = *state;
    struct api_client plain;
    api_client_open(&plain, rig->ports[API_SEND]);
    api_client_write_text(&plain, HTTP2_PREFACE);
    api_client_expect_status(&plain, 501);
    api_client_expect_end(&plain);
    api_client_close(&plain);
}

static void without_tls_it_may_be_allowed(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    const size_t at = http2_client_ask(client, "GET", "/healthz", (struct bytes){NULL, 0});
    http2_client_expect(client, at, 200, "\"ok\"");
    free_client(client);
}

/* The work under way for a connection is bounded, whatever becomes of its streams. */
static void requests_taken_back_make_no_room_for_more(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    rig->script.hold = true;
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < PIPELINE; i++)
            (void)http2_client_send(client, "d");
        http2_client_flush(client);
        api_rig_wait_calls(rig, PIPELINE);
        for (size_t i = 0; i < PIPELINE; i++)
            http2_peer_reset(&client->peer, round * PIPELINE + i);
        http2_client_flush(client);
        let_pass(rig);
    }
    const size_t last = http2_client_send(client, "last");
    http2_client_flush(client);
    let_pass(rig);
    assert_int_equal(rig->script.calls, PIPELINE);
    api_rig_release(rig, false);
    http2_client_expect(client, last, 200, "~YW5uAGxhc3Q");
    assert_int_equal(client->peer.max_streams, STREAMS);
    assert_int_equal(rig->script.calls, PIPELINE + 1);
    free_client(client);
}

static void a_batch_taken_back_stops(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    struct bytebuf body = {0};
    for (int i = 0; i < 200; i++)
        bytes_append_str(&body, "{\"to\":{\"user\":\"ann\"},\"data\":1}\n");
    rig->script.hold = true;
    const size_t at = http2_client_ask(client, "POST", PATH ":batch", bytes_view(&body));
    http2_client_flush(client);
    api_rig_wait_calls(rig, 64);
    http2_peer_reset(&client->peer, at);
    http2_client_flush(client);
    let_pass(rig);
    api_rig_release(rig, false);
    let_pass(rig);
    assert_int_equal(rig->script.calls, 64);
    const size_t whole = http2_client_ask(client, "POST", PATH ":batch", bytes_view(&body));
    http2_client_expect(client, whole, 200, "\"id\"");
    assert_int_equal(rig->script.calls, 264);
    bytes_reset(&body);
    free_client(client);
}

/* Two of them are too much for a connection at once; both are read. */
static void large_requests_take_turns(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    struct bytebuf body = {0};
    while (body.len < 190000)
        bytes_append_str(&body, "{\"to\":{\"user\":\"ann\"},\"data\":1,\"validate_only\":true,\"more\":2}\n");
    size_t at[PIPELINE];
    for (size_t i = 0; i < PIPELINE; i++)
        at[i] = http2_client_ask(client, "POST", PATH ":batch", bytes_view(&body));
    for (size_t i = 0; i < PIPELINE; i++)
        http2_client_expect(client, at[i], 413, "the batch has"); /* lines: it was read whole */
    while (body.len < 200001)
        bytes_append_str(&body, "\n");
    http2_client_expect(client, http2_client_ask(client, "POST", PATH ":batch", bytes_view(&body)), 413,
                        "the body is larger");
    http2_client_expect(client, http2_client_send(client, "d"), 200, "\"id\"");
    bytes_reset(&body);
    free_client(client);
}

static void too_much_under_way_is_shed(void **state)
{
    struct api_rig *rig = *state;
    static uint8_t large[60000];
    struct http2_client *client = new_client(rig);
    const struct http2_peer_ask ask = {.method = "POST",
                                       .path = PATH,
                                       .headers = client->headers,
                                       .body = bytes_of(large, sizeof large),
                                       .goes_on = true};
    const size_t one = http2_peer_ask(&client->peer, &ask);
    http2_client_flush(client);
    let_pass(rig);
    const size_t two = http2_peer_ask(&client->peer, &ask);
    http2_client_expect(client, one, 503, "\"BUSY\"");
    http2_client_expect(client, two, 503, "\"BUSY\"");
    const struct bytebuf *head = &client->peer.streams[one].head;
    assert_non_null(memmem(head->ptr, head->len, "retry-after: 1\n", 15));
    http2_client_expect(client, http2_client_send(client, "d"), 200, "\"id\"");
    free_client(client);
}

static void slow_peers_lose_what_they_are_slow_with(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    http2_client_open_with(client, rig, 10, true);
    const struct http2_peer_ask ask = {
        .method = "POST", .path = PATH, .headers = client->headers, .body = bytes_str("{\"to\":"), .goes_on = true};
    const size_t unread = http2_client_ask(client, "GET", "/healthz", (struct bytes){NULL, 0});
    const size_t partly = http2_peer_ask(&client->peer, &ask);
    const struct http2_peer_stream *stream = &client->peer.streams[partly];
    while (stream->status == 0)
        assert_true(http2_client_turn(client));
    assert_int_equal(stream->status, 408);
    stream = http2_client_wait(client, unread);
    assert_int_equal(stream->status, 200);
    assert_false(stream->ended);
    assert_int_equal(stream->error, NGHTTP2_CANCEL);
    http2_client_expect_end(client, NGHTTP2_NO_ERROR); /* idle */
    free_client(client);
}

static void a_client_that_never_reads_is_closed(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = calloc(1, sizeof *client);
    struct bytebuf out = {0};
    assert_non_null(client);
    http2_client_open_with(client, rig, 1U << 30, false);
    assert_int_equal(nghttp2_session_set_local_window_size(client->peer.session, NGHTTP2_FLAG_NONE, 0, 1 << 30), 0);
    for (int i = 0; i < 200 && !client->ended; i++) {
        for (int asked = 0; asked < 60; asked++) {
            client->peer.count = 0;
            (void)http2_client_ask(client, "GET", "/metrics", (struct bytes){NULL, 0});
        }
        http2_peer_say(&client->peer, &out);
    }
    /* Until the server, which has closed, refuses what comes; what it holds meanwhile is bounded. */
    for (size_t at = 0; at < out.len;) {
        char piece[1001] = "";
        const size_t len = out.len - at < 1000 ? out.len - at : 1000;
        memcpy(piece, out.ptr + at, len);
        at += len;
        if (send(client->plain.fd, piece, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    }
    static const char ping[17] = {0, 0, 8, NGHTTP2_PING};
    while (send(client->plain.fd, ping, sizeof ping, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno == EAGAIN)
        let_pass(rig);
    bytes_reset(&out);
    free_client(client);
}

static void floods_end_the_connection(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    struct bytebuf out = {0};
    http2_client_flush(client);
    for (unsigned i = 0; i <= 2 * HTTP2_IDLE_FRAMES_BURST; i++)
        http2_peer_frame(&out, NGHTTP2_PING, 0, 0, bytes_of("\0\0\0\0\0\0\0\0", 8));
    (void)send(client->plain.fd, out.ptr, out.len, MSG_NOSIGNAL);
    http2_client_expect_end(client, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_in_range(client->peer.pongs, 0, HTTP2_IDLE_FRAMES_BURST + 200);
    bytes_reset(&out);
    free_client(client);
}

static void closing_answers_what_is_under_way(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *idle = new_client(rig);
    struct http2_client *busy = new_client(rig);
    const struct http2_peer_ask ask = {
        .method = "POST", .path = PATH, .headers = busy->headers, .body = bytes_str("{\"to\":"), .goes_on = true};
    http2_client_expect(idle, http2_client_send(idle, "d"), 200, "\"id\"");
    rig->script.hold = true;
    const size_t one = http2_client_send(busy, "one");
    const size_t partly = http2_peer_ask(&busy->peer, &ask);
    http2_client_flush(busy);
    api_rig_wait_calls(rig, 2);
    api_rig_begin_close(rig);
    http2_client_expect_end(idle, NGHTTP2_NO_ERROR);
    (void)http2_client_wait(busy, partly);
    assert_int_equal(busy->peer.streams[partly].error, NGHTTP2_REFUSED_STREAM);
    assert_true(busy->peer.went_away || http2_client_turn(busy));
    api_rig_release(rig, false);
    http2_client_expect(busy, one, 200, "\"id\"");
    http2_client_expect_end(busy, NGHTTP2_NO_ERROR);
    free_client(idle);
    free_client(busy);
}

static void a_peer_that_shuts_down_its_side_gets_its_answers(void **state)
{
    struct api_rig *rig = *state;
    struct http2_client *client = new_client(rig);
    rig->script.hold = true;
    const size_t one = http2_client_send(client, "one");
    http2_client_flush(client);
    api_rig_wait_calls(rig, 1);
    assert_int_equal(shutdown(client->plain.fd, SHUT_WR), 0);
    let_pass(rig);
    api_rig_release(rig, false);
    while (!client->peer.streams[one].ended) {
        uint8_t in[4096];
        const ssize_t got = recv(client->plain.fd, in, sizeof in, 0);
        assert_true(got > 0);
        http2_peer_hear(&client->peer, bytes_of(in, (size_t)got));
    }
    assert_int_equal(client->peer.streams[one].status, 200);
    free_client(client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_do_not_wait_for_each_other, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(both_versions_answer_alike, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_key_is_asked_for, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(the_first_bytes_tell_what_is_spoken, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(without_tls_it_may_be_forbidden, open_never, close_rig),
        cmocka_unit_test_setup_teardown(without_tls_it_may_be_allowed, open_anywhere, close_rig),
        cmocka_unit_test_setup_teardown(requests_taken_back_make_no_room_for_more, open_small, close_rig),
        cmocka_unit_test_setup_teardown(a_batch_taken_back_stops, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(large_requests_take_turns, open_small, close_rig),
        cmocka_unit_test_setup_teardown(too_much_under_way_is_shed, open_little, close_rig),
        cmocka_unit_test_setup_teardown(slow_peers_lose_what_they_are_slow_with, open_short, close_rig),
        cmocka_unit_test_setup_teardown(a_client_that_never_reads_is_closed, open_short, close_rig),
        cmocka_unit_test_setup_teardown(floods_end_the_connection, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(closing_answers_what_is_under_way, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_peer_that_shuts_down_its_side_gets_its_answers, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
