/* HTTP/2: what bad peers get. */
#include "unit/http2_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TIMEOUT_MS 1000
/* ":method: GET", ":scheme: http", ":path: /" of the static table, and ":authority: x". */
#define BLOCK "\x82\x86\x84\x01\x01x"
#define BLOCK_LEN 6

static void frame(struct http2_rig *rig, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    http2_peer_frame(&rig->raw, type, flags, stream, bytes_of(payload, len));
}

/* ---- refused, with a status ---- */

/* The next request is refused so, and answered; the connection goes on. */
static void expect_refusal(struct http2_rig *rig, size_t at, unsigned status)
{
    http2_rig_turn(rig);
    const uint32_t stream = http2_next(rig->http2);
    if (stream == 0)
        fail_msg("nothing came, where %u was expected", status);
    assert_null(http2_request(rig->http2));
    assert_non_null(http2_refusal(rig->http2));
    assert_int_equal(http2_refusal(rig->http2)->status, status);
    assert_true(strlen(http2_refusal(rig->http2)->message) > 0);
    http2_done(rig->http2);
    http2_rig_answer(rig, stream, status, "refused");
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, status, "refused");
    assert_false(rig->ended);
    assert_int_equal(http2_held(rig->http2), 0);
    rig->now_ms += HTTP2_LINGER_MS;
    http2_expire(rig->http2, rig->now_ms, TIMEOUT_MS);
    http2_rig_turn(rig);
    assert_true(rig->peer.streams[at].closed);
    assert_int_equal(rig->peer.streams[at].error, NGHTTP2_NO_ERROR);
    assert_int_equal(http2_streams(rig->http2), 0);
}

static void heads_beyond_the_limits_are_refused(void **state)
{
    struct http2_rig *rig = *state;
    char *path = calloc(1, HTTP_TARGET_MAX + 2);
    char *value = calloc(1, HTTP_HEAD_MAX);
    const char *many[2 * HTTP_HEADERS_MAX + 3];
    assert_non_null(path);
    assert_non_null(value);
    memset(path, '/', HTTP_TARGET_MAX + 1);
    expect_refusal(rig, http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = path}), 414);
    path[HTTP_TARGET_MAX] = '\0';
    const size_t at = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = path});
    http2_rig_turn(rig);
    http2_rig_answer_next(rig, 200, "as long as it may be");
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 200, "as long as it may be");

    for (size_t i = 0; i <= HTTP_HEADERS_MAX; i++) {
        many[2 * i] = "x-one";
        many[2 * i + 1] = "of many";
    }
    many[2 * HTTP_HEADERS_MAX + 2] = NULL;
    expect_refusal(rig, http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/", .headers = many}), 431);
    memset(value, 'v', HTTP_HEAD_MAX - 1);
    const char *const large[] = {"x-large", value, NULL};
    expect_refusal(rig, http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/", .headers = large}), 431);
    free(path);
    free(value);
}

static void what_http1_refuses_is_refused_alike(void **state)
{
    struct http2_rig *rig = *state;
    static const char *const expects[] = {"expect", "the best", NULL};
    static const char *const connect[] = {":method", "CONNECT", ":authority", "test:1", NULL};
    static const char *const control[] = {"x-control", "a\x01b", NULL};
    expect_refusal(rig, http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/", .headers = expects}), 417);
    expect_refusal(rig, http2_peer_ask_lines(&rig->peer, connect), 501);
    expect_refusal(rig, http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/", .headers = control}), 400);
    expect_refusal(rig, http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/#part"}), 400);
}

static void bodies_beyond_the_limit_are_refused(void **state)
{
    struct http2_rig *rig = *state;
    uint8_t *body = calloc(1, HTTP2_RIG_BODY_MAX + 1);
    static const char *const announced[] = {"content-length", "1000001", NULL};
    static const char *const beyond[] = {"content-length", "9223372036854775807", NULL};
    assert_non_null(body);
    struct http2_peer_ask ask = {
        .method = "POST", .path = "/", .headers = announced, .body = bytes_of(body, 1), .goes_on = true};
    expect_refusal(rig, http2_peer_ask(&rig->peer, &ask), 413);
    ask.headers = beyond;
    expect_refusal(rig, http2_peer_ask(&rig->peer, &ask), 413);
    ask.headers = NULL;
    ask.body = bytes_of(body, HTTP2_RIG_BODY_MAX + 1);
    expect_refusal(rig, http2_peer_ask(&rig->peer, &ask), 413);
    free(body);
}

static void a_body_that_does_not_come_is_refused(void **state)
{
    struct http2_rig *rig = *state;
    const size_t at = http2_peer_ask(
        &rig->peer,
        &(struct http2_peer_ask){.method = "POST", .path = "/", .body = bytes_str("part"), .goes_on = true});
    http2_rig_turn(rig);
    rig->now_ms += TIMEOUT_MS - 1;
    http2_expire(rig->http2, rig->now_ms, TIMEOUT_MS);
    assert_int_equal(http2_next(rig->http2), 0);
    http2_excuse(rig->http2, rig->now_ms); /* as after a pause of ours */
    rig->now_ms += TIMEOUT_MS - 1;
    http2_expire(rig->http2, rig->now_ms, TIMEOUT_MS);
    assert_int_equal(http2_next(rig->http2), 0);
    rig->now_ms += 1;
    http2_expire(rig->http2, rig->now_ms, TIMEOUT_MS);
    expect_refusal(rig, at, 408);
}

static void requests_are_shed(void **state)
{
    struct http2_rig *rig = *state;
    static uint8_t large[200000];
    struct http2_peer_ask ask = {.method = "POST", .path = "/", .body = bytes_of(large, sizeof large), .goes_on = true};
    for (int i = 0; i < 3; i++)
        (void)http2_peer_ask(&rig->peer, &ask);
    http2_rig_turn(rig);
    assert_true(http2_held(rig->http2) > sizeof large);
    http2_shed(rig->http2, "no room");
    assert_int_equal(http2_held(rig->http2), 0);
    for (size_t i = 0; i < 3; i++) {
        const uint32_t stream = http2_next(rig->http2);
        assert_int_equal(http2_refusal(rig->http2)->status, 503);
        assert_string_equal(http2_refusal(rig->http2)->message, "no room");
        http2_done(rig->http2);
        http2_rig_answer(rig, stream, 503, "busy");
    }
    http2_rig_turn(rig);
    for (size_t i = 0; i < 3; i++)
        http2_rig_expect(rig, i, 503, "busy");
}

/* ---- reset ---- */

static void expect_reset(struct http2_rig *rig, size_t at, uint32_t error)
{
    http2_rig_turn(rig);
    assert_int_equal(http2_next(rig->http2), 0);
    assert_true(rig->peer.streams[at].closed);
    assert_int_equal(rig->peer.streams[at].error, error);
    assert_false(rig->ended);
    assert_int_equal(http2_streams(rig->http2), 0);
    assert_int_equal(http2_held(rig->http2), 0);
}

static void malformed_requests_are_reset(void **state)
{
    struct http2_rig *rig = *state;
    static const char *const no_path[] = {":method", "GET", ":scheme", "http", ":authority", "t", NULL};
    static const char *const two_paths[] = {":method", "GET", ":scheme", "http", ":path", "/", ":path", "/", NULL};
    static const char *const late[] = {":method", "GET", ":scheme", "http", "x", "y", ":path", "/", NULL};
    static const char *const unknown[] = {":method", "GET", ":scheme", "http", ":path", "/", ":x", "y", NULL};
    static const char *const hop[] = {":method", "GET", ":scheme", "http", ":path", "/", "connection", "close", NULL};
    static const char *const chunked[] = {":method",           "POST",    ":scheme", "http", ":path", "/",
                                          "transfer-encoding", "chunked", NULL};
    static const char *const relative[] = {":method", "GET", ":scheme", "http", ":path", "a", NULL};
    static const char *const number[] = {":method",        "GET", ":scheme", "http", ":path", "/",
                                         "content-length", "1a",  NULL};
    static const char *const *const all[] = {no_path, two_paths, late, unknown, hop, chunked, relative, number};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        expect_reset(rig, http2_peer_ask_lines(&rig->peer, all[i]), NGHTTP2_PROTOCOL_ERROR);
    static const char *const five[] = {"content-length", "5", NULL};
    const struct http2_peer_ask lying = {.method = "POST", .path = "/", .headers = five, .body = bytes_str("four")};
    expect_reset(rig, http2_peer_ask(&rig->peer, &lying), NGHTTP2_PROTOCOL_ERROR);
}

/* ---- told to calm down ---- */

static void requests_may_be_taken_back_only_so_often(void **state)
{
    struct http2_rig *rig = *state;
    const struct http2_peer_ask ask = {.path = "/"};
    for (unsigned i = 0; i < HTTP2_RESETS_BURST; i++) {
        rig->peer.count = 0;
        (void)http2_peer_ask(&rig->peer, &ask);
        (void)http2_rig_hear(rig);
        http2_peer_reset(&rig->peer, 0);
        (void)http2_rig_hear(rig);
    }
    http2_rig_turn(rig);
    assert_false(rig->ended);
    rig->now_ms += 1000;
    for (unsigned i = 0; i <= HTTP2_RESETS_PER_S; i++) {
        assert_false(http2_over(rig->http2));
        rig->peer.count = 0;
        (void)http2_peer_ask(&rig->peer, &ask);
        (void)http2_rig_hear(rig);
        http2_peer_reset(&rig->peer, 0);
        (void)http2_rig_hear(rig);
    }
    http2_rig_turn(rig);
    http2_rig_expect_end(rig, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* A peer can have us reset its streams instead. */
static void resets_of_ours_that_it_provokes_count_as_its_own(void **state)
{
    struct http2_rig *rig = *state;
    static const char *const bad[] = {":method", "GET", ":scheme", "http", ":path", "a", NULL};
    for (unsigned i = 0; i < HTTP2_RESETS_BURST; i++) {
        rig->peer.count = 0;
        (void)http2_peer_ask_lines(&rig->peer, bad);
        http2_rig_turn(rig);
    }
    assert_false(rig->ended);
    rig->peer.count = 0;
    (void)http2_peer_ask_lines(&rig->peer, bad);
    http2_rig_turn(rig);
    http2_rig_expect_end(rig, NGHTTP2_ENHANCE_YOUR_CALM);
}

struct idle_frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    size_t len;
};

static void frames_that_ask_for_nothing_may_come_only_so_often(void **state)
{
    struct http2_rig *rig = *state;
    static const uint8_t payload[8] = {0, 0, 0, 0, 16};
    static const struct idle_frame all[] = {
        {NGHTTP2_PING, 0, 0, 8},
        {NGHTTP2_SETTINGS, 0, 0, 0},
        {NGHTTP2_PRIORITY, 0, 3, 5},
        {NGHTTP2_DATA, 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct http2_peer_ask ask = {.method = "POST", .path = "/", .body = bytes_str(""), .goes_on = true};
        http2_rig_reopen(rig, NGHTTP2_INITIAL_WINDOW_SIZE, false);
        (void)http2_peer_ask(&rig->peer, &ask);
        http2_rig_turn(rig);
        for (unsigned sent = 0; sent < HTTP2_IDLE_FRAMES_BURST / 2; sent++)
            frame(rig, all[i].type, all[i].flags, all[i].stream, payload, all[i].len);
        http2_rig_turn(rig);
        assert_false(rig->ended);
        for (unsigned sent = 0; sent < HTTP2_IDLE_FRAMES_BURST; sent++)
            frame(rig, all[i].type, all[i].flags, all[i].stream, payload, all[i].len);
        http2_rig_turn(rig);
        if (!rig->ended)
            fail_msg("frames of type %u may come without an end", all[i].type);
        http2_rig_expect_end(rig, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

/* The preface and the client's SETTINGS, and then a head that has begun. */
static void begin_head(struct http2_rig *rig, const void *payload, size_t len)
{
    http2_rig_reopen(rig, NGHTTP2_INITIAL_WINDOW_SIZE, false);
    http2_rig_turn(rig);
    frame(rig, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, payload, len);
    http2_rig_turn(rig);
}

static void heads_without_an_end_end_the_connection(void **state)
{
    struct http2_rig *rig = *state;
    uint8_t literal[1000] = {0x00, 0x01, 'x', 0x7f, 0x80, 0x07}; /* "x": 127 + 896 bytes, most of them still to come */
    begin_head(rig, BLOCK, BLOCK_LEN);                           /* of empty frames: the library bounds their number */
    for (int i = 0; i < 100; i++)
        frame(rig, NGHTTP2_CONTINUATION, 0, 1, "", 0);
    http2_rig_turn(rig);
    assert_true(http2_over(rig->http2));
    assert_true(rig->ended);
    assert_int_equal(http2_next(rig->http2), 0);

    begin_head(rig, BLOCK, BLOCK_LEN); /* large */
    size_t sent = 0;
    memset(literal + 6, 'v', sizeof literal - 6);
    while (!http2_over(rig->http2)) {
        frame(rig, NGHTTP2_CONTINUATION, 0, 1, literal, sizeof literal);
        http2_rig_turn(rig);
        sent += sizeof literal;
        assert_true(sent <= 2 * HTTP2_BLOCK_MAX);
    }
    assert_true(rig->ended);

    begin_head(rig, BLOCK, BLOCK_LEN); /* slow */
    rig->now_ms += TIMEOUT_MS - 1;
    http2_expire(rig->http2, rig->now_ms, TIMEOUT_MS);
    assert_int_equal(http2_due_ms(rig->http2, TIMEOUT_MS), rig->now_ms + 1);
    http2_rig_turn(rig);
    assert_false(http2_over(rig->http2));
    rig->now_ms += 1;
    http2_expire(rig->http2, rig->now_ms, TIMEOUT_MS);
    http2_rig_turn(rig);
    http2_rig_expect_end(rig, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void frames_of_a_head_are_bounded(void **state)
{
    struct http2_rig *rig = *state;
    begin_head(rig, BLOCK, BLOCK_LEN);
    frame(rig, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "", 0);
    http2_rig_turn(rig);
    assert_int_equal(http2_next(rig->http2), 1); /* in two frames */
    http2_done(rig->http2);
    const uint8_t huge[9] = {0xff, 0xff, 0xff, NGHTTP2_HEADERS, 0, 0, 0, 0, 3};
    bytes_append(&rig->raw, huge, sizeof huge);
    http2_rig_turn(rig);
    http2_rig_expect_end(rig, NGHTTP2_FRAME_SIZE_ERROR);
}

/* Few bytes that stand for many: one line of 4,000 bytes that is remembered, and then meant again with a byte each time. */
static void heads_that_unpack_to_more_than_they_may_end_the_connection(void **state)
{
    struct http2_rig *rig = *state;
    struct bytebuf block = {0};
    uint8_t value[3900];
    memset(value, 'v', sizeof value);
    bytes_append(&block, BLOCK, BLOCK_LEN);
    bytes_append(&block, "\x40\x01x", 3);    /* to be remembered: "x" */
    bytes_append(&block, "\x7f\xbd\x1d", 3); /* 127 + 3,773 */
    bytes_append(&block, value, sizeof value);
    for (int i = 0; i < 10000; i++)
        bytes_append(&block, "\xbe", 1);
    http2_rig_turn(rig);
    frame(rig, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 1, block.ptr, block.len);
    http2_rig_turn(rig);
    http2_rig_expect_end(rig, NGHTTP2_ENHANCE_YOUR_CALM);
    bytes_reset(&block);
}

static void trailers_are_bounded_too(void **state)
{
    struct http2_rig *rig = *state;
    struct bytebuf block = {0};
    const struct http2_peer_ask ask = {.method = "POST", .path = "/", .body = bytes_str("a"), .goes_on = true};
    (void)http2_peer_ask(&rig->peer, &ask);
    http2_rig_turn(rig);
    bytes_append(&block, "\x40\x01x\x7f\xbd\x1d", 6);
    for (int i = 0; i < 3900; i++)
        bytes_append(&block, "v", 1);
    for (int i = 0; i < 10000; i++)
        bytes_append(&block, "\xbe", 1);
    frame(rig, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 1, block.ptr, block.len);
    http2_rig_turn(rig);
    http2_rig_expect_end(rig, NGHTTP2_ENHANCE_YOUR_CALM);
    bytes_reset(&block);
}

/* ---- what is no HTTP/2 ---- */

struct broken {
    const char *what;
    uint32_t code;
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    const char *payload;
    size_t len;
};

static void what_breaks_http2_ends_the_connection(void **state)
{
    struct http2_rig *rig = *state;
    static const struct broken all[] = {
        {"DATA of no stream", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_DATA, 0, 0, "x", 1},
        {"DATA of an idle stream", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_DATA, 0, 9, "x", 1},
        {"an even stream", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_HEADERS, 5, 2, BLOCK, BLOCK_LEN},
        {"a block that is none", NGHTTP2_COMPRESSION_ERROR, NGHTTP2_HEADERS, 5, 1, "\xff\xff\xff\xff\xff\xff", 6},
        {"padding beyond the frame", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_HEADERS, 13, 1, "\x09" BLOCK, BLOCK_LEN + 1},
        {"a short PING", NGHTTP2_FRAME_SIZE_ERROR, NGHTTP2_PING, 0, 0, "1234567", 7},
        {"a short WINDOW_UPDATE", NGHTTP2_FRAME_SIZE_ERROR, NGHTTP2_WINDOW_UPDATE, 0, 0, "123", 3},
        {"no window", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},
        {"too much window", NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},
        {"SETTINGS of a stream", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_SETTINGS, 0, 1, "", 0},
        {"too large a window", NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_SETTINGS, 0, 0, "\0\4\x80\0\0\0", 6},
        {"RST_STREAM of an idle stream", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_RST_STREAM, 0, 5, "\0\0\0\0", 4},
        {"CONTINUATION of nothing", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_CONTINUATION, 4, 1, BLOCK, BLOCK_LEN},
        {"PUSH_PROMISE", NGHTTP2_PROTOCOL_ERROR, NGHTTP2_PUSH_PROMISE, 4, 1, "\0\0\0\2" BLOCK, BLOCK_LEN + 4},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        http2_rig_reopen(rig, NGHTTP2_INITIAL_WINDOW_SIZE, false);
        http2_rig_turn(rig);
        frame(rig, all[i].type, all[i].flags, all[i].stream, all[i].payload, all[i].len);
        http2_rig_turn(rig);
        if (!rig->ended || rig->code != all[i].code || !http2_over(rig->http2))
            fail_msg("%s: GOAWAY %d with %u instead of %u", all[i].what, rig->ended, rig->code, all[i].code);
    }
}

static void another_protocol_ends_the_connection(void **state)
{
    struct http2_rig *rig = *state;
    struct bytebuf out = {0};
    http2_feed(rig->http2, bytes_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), rig->now_ms);
    http2_output(rig->http2, &out, SIZE_MAX, rig->now_ms);
    assert_int_equal(out.len, 17);
    assert_int_equal(out.ptr[3], NGHTTP2_GOAWAY);
    assert_int_equal(out.ptr[16], NGHTTP2_PROTOCOL_ERROR);
    assert_true(http2_over(rig->http2));
    out.len = 0;
    http2_feed(rig->http2, bytes_str(HTTP2_PREFACE), rig->now_ms);
    http2_output(rig->http2, &out, SIZE_MAX, rig->now_ms);
    assert_int_equal(out.len, 0);
    bytes_reset(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP2_RIG_TEST(heads_beyond_the_limits_are_refused),
        HTTP2_RIG_TEST(what_http1_refuses_is_refused_alike),
        HTTP2_RIG_TEST(bodies_beyond_the_limit_are_refused),
        HTTP2_RIG_TEST(a_body_that_does_not_come_is_refused),
        HTTP2_RIG_TEST(requests_are_shed),
        HTTP2_RIG_TEST(malformed_requests_are_reset),
        HTTP2_RIG_TEST(requests_may_be_taken_back_only_so_often),
        HTTP2_RIG_TEST(resets_of_ours_that_it_provokes_count_as_its_own),
        HTTP2_RIG_TEST(frames_that_ask_for_nothing_may_come_only_so_often),
        HTTP2_RIG_TEST(heads_without_an_end_end_the_connection),
        HTTP2_RIG_TEST(frames_of_a_head_are_bounded),
        HTTP2_RIG_TEST(heads_that_unpack_to_more_than_they_may_end_the_connection),
        HTTP2_RIG_TEST(trailers_are_bounded_too),
        HTTP2_RIG_TEST(what_breaks_http2_ends_the_connection),
        HTTP2_RIG_TEST(another_protocol_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
