/* HTTP/2: requests, answers, windows and refusals, against nghttp2's own client. */
#include "unit/http2_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_request_is_read_and_answered(void **state)
{
    struct http2_rig *rig = *state;
    static const char *const headers[] = {"authorization", "Bearer k", "x-empty", "", NULL};
    const size_t at = http2_peer_ask(
        &rig->peer, &(struct http2_peer_ask){
                        .method = "POST", .path = "/a%20b?c=d&e", .headers = headers, .body = bytes_str("hello")});
    http2_rig_turn(rig);
    const uint32_t stream = http2_next(rig->http2);
    assert_int_equal(stream, rig->peer.streams[at].id);
    assert_null(http2_refusal(rig->http2));
    const struct http_request *request = http2_request(rig->http2);
    assert_int_equal(request->method, HTTP_METHOD_POST);
    assert_true(bytes_equal_str(request->method_text, "POST"));
    assert_true(bytes_equal_str(request->path, "/a%20b"));
    assert_true(bytes_equal_str(request->query, "c=d&e"));
    assert_true(bytes_equal_str(http_request_header(request, "Authorization"), "Bearer k"));
    assert_int_equal(http_request_header(request, "X-Empty").len, 0);
    assert_non_null(http_request_header(request, "X-Empty").ptr);
    assert_null(http_request_header(request, "X-None").ptr);
    assert_true(bytes_equal_str(request->body, "hello"));
    http2_done(rig->http2);
    assert_int_equal(http2_held(rig->http2), 0);

    struct bytebuf body = {0};
    bytes_append_str(&body, "{}");
    const struct http_response response = {.status = 503,
                                           .content_type = "application/json",
                                           .body = bytes_view(&body),
                                           .retry_after_s = 12,
                                           .allow = "GET, HEAD"};
    http2_answer(rig->http2, stream, &response, &body);
    assert_null(body.ptr);
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 503, "{}");
    http2_rig_expect_head(rig, at,
                          ":status: 503\ncontent-type: application/json\ncontent-length: 2\nretry-after: 12\n"
                          "allow: GET, HEAD\n");
    assert_true(rig->peer.streams[at].closed);
    assert_int_equal(http2_streams(rig->http2), 0);
    assert_int_equal(http2_unsent(rig->http2), 0);
}

static void answers_without_a_body_have_none(void **state)
{
    struct http2_rig *rig = *state;
    const size_t head = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.method = "HEAD", .path = "/"});
    const size_t empty = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.method = "DELETE", .path = "/"});
    const size_t who = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    struct bytebuf body = {0};
    uint32_t stream = http2_next(rig->http2);
    assert_int_equal(http2_request(rig->http2)->method, HTTP_METHOD_HEAD);
    http2_done(rig->http2);
    bytes_append_str(&body, "text");
    struct http_response response = {
        .status = 200, .content_type = "text/plain", .body = bytes_view(&body), .head_only = true};
    http2_answer(rig->http2, stream, &response, &body);
    stream = http2_next(rig->http2);
    http2_done(rig->http2);
    response = (struct http_response){.status = 204};
    http2_answer(rig->http2, stream, &response, &body);
    stream = http2_next(rig->http2);
    http2_done(rig->http2);
    response = (struct http_response){.status = 401};
    http2_answer(rig->http2, stream, &response, &body);
    http2_rig_turn(rig);
    http2_rig_expect(rig, head, 200, "");
    http2_rig_expect_head(rig, head, ":status: 200\ncontent-type: text/plain\ncontent-length: 4\n");
    http2_rig_expect(rig, empty, 204, "");
    http2_rig_expect_head(rig, empty, ":status: 204\n");
    http2_rig_expect(rig, who, 401, "");
    http2_rig_expect_head(rig, who, ":status: 401\ncontent-length: 0\nwww-authenticate: Bearer\n");
}

static void answers_come_in_any_order(void **state)
{
    struct http2_rig *rig = *state;
    uint32_t streams[3];
    for (size_t i = 0; i < 3; i++)
        (void)http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = i == 0 ? "/0" : i == 1 ? "/1" : "/2"});
    http2_rig_turn(rig);
    for (size_t i = 0; i < 3; i++) {
        streams[i] = http2_next(rig->http2);
        assert_int_equal(http2_request(rig->http2)->path.ptr[1], '0' + (int)i);
        http2_done(rig->http2);
    }
    assert_int_equal(http2_next(rig->http2), 0);
    http2_rig_answer(rig, streams[1], 200, "one");
    http2_rig_turn(rig);
    http2_rig_expect(rig, 1, 200, "one");
    assert_false(rig->peer.streams[0].ended);
    http2_rig_answer(rig, streams[2], 200, "two");
    http2_rig_answer(rig, streams[0], 200, "zero");
    http2_rig_turn(rig);
    http2_rig_expect(rig, 0, 200, "zero");
    http2_rig_expect(rig, 2, 200, "two");
}

static void bytes_may_come_one_by_one(void **state)
{
    struct http2_rig *rig = *state;
    static const char *const headers[] = {"expect", "100-continue", NULL};
    rig->step = 1;
    const size_t at = http2_peer_ask(
        &rig->peer,
        &(struct http2_peer_ask){.method = "PUT", .path = "/", .headers = headers, .body = bytes_str("some text")});
    http2_rig_turn(rig);
    assert_true(rig->peer.streams[at].continued);
    const uint32_t stream = http2_next(rig->http2);
    assert_true(bytes_equal_str(http2_request(rig->http2)->body, "some text"));
    http2_done(rig->http2);
    http2_rig_answer(rig, stream, 200, "yes");
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 200, "yes");
}

/* More of them than fit at once: each in its turn, whole. */
static void large_bodies_are_taken_one_at_a_time(void **state)
{
    struct http2_rig *rig = *state;
    uint8_t *large = malloc(HTTP2_RIG_BODY_MAX);
    size_t most = 0;
    assert_non_null(large);
    for (size_t i = 0; i < HTTP2_RIG_BODY_MAX; i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    for (int i = 0; i < 8; i++)
        (void)http2_peer_ask(
            &rig->peer,
            &(struct http2_peer_ask){.method = "POST", .path = "/", .body = bytes_of(large, HTTP2_RIG_BODY_MAX)});
    for (int answered = 0; answered < 8;) {
        assert_true(http2_rig_half_turn(rig));
        if (http2_held(rig->http2) > most)
            most = http2_held(rig->http2);
        for (uint32_t stream; (stream = http2_next(rig->http2)) != 0; answered++) {
            assert_true(bytes_equal(http2_request(rig->http2)->body, bytes_of(large, HTTP2_RIG_BODY_MAX)));
            http2_done(rig->http2);
            http2_rig_answer(rig, stream, 200, "");
        }
    }
    assert_in_range(most, HTTP2_RIG_BODY_MAX, HTTP2_RIG_BODY_MAX + 8 * HTTP2_STREAM_WINDOW + 1000);
    assert_int_equal(http2_held(rig->http2), 0);
    free(large);
}

/* Nothing is read of it beyond the first window, and its place goes to the next. */
static void a_large_body_that_stops_does_not_starve_others_for_good(void **state)
{
    struct http2_rig *rig = *state;
    static uint8_t large[500000];
    const struct bytes part = bytes_of(large, 100000);
    (void)http2_peer_ask(&rig->peer,
                         &(struct http2_peer_ask){.method = "POST", .path = "/stops", .body = part, .goes_on = true});
    (void)http2_peer_ask(&rig->peer, &(struct http2_peer_ask){
                                         .method = "POST", .path = "/waits", .body = bytes_of(large, sizeof large)});
    http2_rig_turn(rig);
    assert_int_equal(http2_next(rig->http2), 0);
    const uint64_t due_ms = http2_due_ms(rig->http2, 1000);
    assert_int_equal(due_ms, rig->now_ms + 1000);
    rig->now_ms = due_ms;
    http2_expire(rig->http2, rig->now_ms, 1000);
    assert_int_not_equal(http2_next(rig->http2), 0);
    assert_int_equal(http2_refusal(rig->http2)->status, 408);
    http2_done(rig->http2);
    http2_rig_turn(rig);
    assert_int_not_equal(http2_next(rig->http2), 0);
    assert_int_equal(http2_request(rig->http2)->body.len, sizeof large);
    http2_done(rig->http2);
}

static void answers_wait_for_windows(void **state)
{
    struct http2_rig *rig = *state;
    http2_rig_reopen(rig, 10, true);
    const size_t at = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    const size_t other = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    http2_rig_answer_next(rig, 200, "more than ten bytes");
    http2_rig_turn(rig);
    assert_int_equal(rig->peer.streams[at].body.len, 10);
    assert_int_equal(http2_unsent(rig->http2), 9);
    http2_rig_answer_next(rig, 200, "ten bytes.");
    http2_rig_turn(rig);
    http2_rig_expect(rig, other, 200, "ten bytes.");
    assert_int_equal(nghttp2_session_consume(rig->peer.session, rig->peer.streams[at].id, 10), 0);
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 200, "more than ten bytes");
    assert_int_equal(http2_unsent(rig->http2), 0);
}

static void an_answer_that_is_not_taken_is_reset(void **state)
{
    struct http2_rig *rig = *state;
    http2_rig_reopen(rig, 10, true);
    const size_t at = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    http2_rig_answer_next(rig, 200, "more than ten bytes");
    http2_rig_turn(rig);
    rig->now_ms += 999;
    http2_expire(rig->http2, rig->now_ms, 1000);
    http2_rig_turn(rig);
    assert_false(rig->peer.streams[at].closed);
    assert_int_equal(http2_due_ms(rig->http2, 1000), rig->now_ms + 1);
    rig->now_ms += 1;
    http2_expire(rig->http2, rig->now_ms, 1000);
    http2_rig_turn(rig);
    assert_true(rig->peer.streams[at].closed);
    assert_int_equal(rig->peer.streams[at].error, NGHTTP2_CANCEL);
    assert_int_equal(http2_unsent(rig->http2), 0);
    assert_int_equal(http2_due_ms(rig->http2, 1000), 0);
    assert_false(http2_over(rig->http2));
}

/* What does not go out because the owner does not ask for it is not the peer's fault. */
static void an_answer_that_the_owner_holds_back_is_not_reset(void **state)
{
    struct http2_rig *rig = *state;
    const size_t at = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    http2_rig_answer_next(rig, 200, "text");
    rig->now_ms += 5000;
    http2_expire(rig->http2, rig->now_ms, 1000);
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 200, "text");
}

static void a_request_may_be_taken_back_at_any_time(void **state)
{
    struct http2_rig *rig = *state;
    const struct bytes body = bytes_str("some");
    const struct http2_peer_ask ask = {.method = "POST", .path = "/", .body = body};
    const struct http2_peer_ask part = {.method = "POST", .path = "/", .body = body, .goes_on = true};
    (void)http2_peer_ask(&rig->peer, &part); /* while it is read */
    (void)http2_peer_ask(&rig->peer, &ask);  /* while it waits */
    http2_rig_turn(rig);
    assert_int_equal(http2_streams(rig->http2), 2);
    http2_peer_reset(&rig->peer, 0);
    http2_peer_reset(&rig->peer, 1);
    http2_rig_turn(rig);
    assert_int_equal(http2_next(rig->http2), 0);
    assert_int_equal(http2_streams(rig->http2), 0);
    assert_int_equal(http2_held(rig->http2), 0);

    (void)http2_peer_ask(&rig->peer, &ask); /* while it stands */
    http2_rig_turn(rig);
    const uint32_t stream = http2_next(rig->http2);
    const struct http_request *request = http2_request(rig->http2);
    assert_true(http2_wants(rig->http2, stream));
    http2_peer_reset(&rig->peer, 2);
    http2_rig_turn(rig);
    assert_false(http2_wants(rig->http2, stream));
    assert_null(http2_request(rig->http2));
    assert_true(bytes_equal(request->body, body)); /* lent until it is done with */
    http2_done(rig->http2);
    http2_rig_answer(rig, stream, 200, "goes nowhere");

    (void)http2_peer_ask(&rig->peer, &ask); /* while its answer is under way */
    http2_rig_turn(rig);
    const uint32_t last = http2_next(rig->http2);
    http2_done(rig->http2);
    http2_rig_answer(rig, last, 200, "text");
    http2_peer_reset(&rig->peer, 3);
    http2_rig_hear(rig);
    assert_int_equal(http2_streams(rig->http2), 0);
    assert_int_equal(http2_unsent(rig->http2), 0);
    http2_rig_turn(rig);
    assert_false(rig->peer.went_away);
}

static void a_request_that_stands_is_not_touched_by_others(void **state)
{
    struct http2_rig *rig = *state;
    static const char *const headers[] = {"x-first", "1", NULL};
    (void)http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/first?a", .headers = headers});
    http2_rig_turn(rig);
    (void)http2_next(rig->http2);
    const struct http_request *request = http2_request(rig->http2);
    (void)http2_peer_ask(&rig->peer,
                         &(struct http2_peer_ask){.method = "POST", .path = "/second", .body = bytes_str("b")});
    http2_rig_turn(rig);
    assert_true(bytes_equal_str(request->path, "/first"));
    assert_true(bytes_equal_str(request->query, "a"));
    assert_true(bytes_equal_str(http_request_header(request, "x-first"), "1"));
    http2_done(rig->http2);
    assert_int_not_equal(http2_next(rig->http2), 0);
    assert_true(bytes_equal_str(http2_request(rig->http2)->path, "/second"));
    http2_done(rig->http2);
}

static void more_streams_than_allowed_are_refused(void **state)
{
    struct http2_rig *rig = *state;
    for (size_t i = 0; i <= HTTP2_RIG_STREAMS; i++)
        (void)http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    assert_int_equal(rig->peer.max_streams, HTTP2_RIG_STREAMS);
    assert_int_equal(http2_streams(rig->http2), HTTP2_RIG_STREAMS);
    assert_int_equal(rig->peer.streams[HTTP2_RIG_STREAMS].error, NGHTTP2_REFUSED_STREAM);
    assert_false(rig->peer.went_away);
}

static void finishing_answers_what_was_taken_and_sends_away_the_rest(void **state)
{
    struct http2_rig *rig = *state;
    const size_t taken = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    const size_t ready = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    const size_t partly = http2_peer_ask(
        &rig->peer,
        &(struct http2_peer_ask){.method = "POST", .path = "/", .body = bytes_str("part"), .goes_on = true});
    http2_rig_turn(rig);
    const uint32_t stream = http2_next(rig->http2);
    http2_done(rig->http2);
    http2_finish(rig->http2);
    http2_rig_turn(rig);
    assert_true(rig->peer.went_away);
    assert_int_equal(rig->peer.goaway, NGHTTP2_NO_ERROR);
    assert_int_equal(rig->peer.goaway_last, rig->peer.streams[partly].id);
    assert_int_equal(rig->peer.streams[ready].error, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(rig->peer.streams[partly].error, NGHTTP2_REFUSED_STREAM);
    assert_false(http2_over(rig->http2));
    http2_rig_answer(rig, stream, 200, "late");
    http2_rig_turn(rig);
    http2_rig_expect(rig, taken, 200, "late");
    assert_true(http2_over(rig->http2));
}

static void the_peer_may_leave(void **state)
{
    struct http2_rig *rig = *state;
    const size_t at = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    assert_int_equal(nghttp2_submit_goaway(rig->peer.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0), 0);
    http2_rig_turn(rig);
    assert_false(http2_over(rig->http2));
    http2_rig_answer_next(rig, 200, "bye");
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 200, "bye");
    assert_true(http2_over(rig->http2));
}

static void output_is_given_out_in_pieces(void **state)
{
    struct http2_rig *rig = *state;
    struct bytebuf out = {0};
    char *text = calloc(1, 50001);
    assert_non_null(text);
    memset(text, 'x', 50000);
    const size_t at = http2_peer_ask(&rig->peer, &(struct http2_peer_ask){.path = "/"});
    http2_rig_turn(rig);
    http2_rig_answer_next(rig, 200, text);
    for (int pieces = 0; http2_unsent(rig->http2) > 0; pieces++) {
        out.len = 0;
        http2_output(rig->http2, &out, 10000, rig->now_ms);
        assert_in_range(out.len, http2_unsent(rig->http2) > 0 ? 10000 : 1, 10000 + 16384 + 9);
        assert_true(pieces < 5);
        http2_peer_hear(&rig->peer, bytes_view(&out));
    }
    http2_rig_turn(rig);
    http2_rig_expect(rig, at, 200, text);
    bytes_reset(&out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP2_RIG_TEST(a_request_is_read_and_answered),
        HTTP2_RIG_TEST(answers_without_a_body_have_none),
        HTTP2_RIG_TEST(answers_come_in_any_order),
        HTTP2_RIG_TEST(bytes_may_come_one_by_one),
        HTTP2_RIG_TEST(large_bodies_are_taken_one_at_a_time),
        HTTP2_RIG_TEST(a_large_body_that_stops_does_not_starve_others_for_good),
        HTTP2_RIG_TEST(answers_wait_for_windows),
        HTTP2_RIG_TEST(an_answer_that_is_not_taken_is_reset),
        HTTP2_RIG_TEST(an_answer_that_the_owner_holds_back_is_not_reset),
        HTTP2_RIG_TEST(a_request_may_be_taken_back_at_any_time),
        HTTP2_RIG_TEST(a_request_that_stands_is_not_touched_by_others),
        HTTP2_RIG_TEST(more_streams_than_allowed_are_refused),
        HTTP2_RIG_TEST(finishing_answers_what_was_taken_and_sends_away_the_rest),
        HTTP2_RIG_TEST(the_peer_may_leave),
        HTTP2_RIG_TEST(output_is_given_out_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
