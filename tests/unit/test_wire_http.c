#include "base/err.h"
#include "wire/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MAX_BODY 1000

#define GET_HEAD "GET /a HTTP/1.1\r\nHost: h\r\n"
#define POST_HEAD "POST /a HTTP/1.1\r\nHost: h\r\n"

/* Feed all of text, `step` bytes at a time, until something other than MORE happens. */
static enum http_reader_event feed_steps(struct http_reader *reader, struct bytes text, size_t step)
{
    enum http_reader_event event = HTTP_READER_MORE;
    for (size_t at = 0; at < text.len && event == HTTP_READER_MORE; at += step) {
        size_t len = text.len - at < step ? text.len - at : step;
        struct bytes in = bytes_of(text.ptr + at, len);
        event = http_reader_feed(reader, &in);
    }
    return event;
}

/* The status that text is refused with, however it arrives; 0: a whole request; 1: more is wanted; 100: continue. */
static unsigned status_by(struct bytes text, size_t step)
{
    struct http_reader *reader = http_reader_new(MAX_BODY);
    enum http_reader_event event = feed_steps(reader, text, step);
    unsigned status = event == HTTP_READER_REQUEST ? 0 : event == HTTP_READER_MORE ? 1 : 100;
    if (event == HTTP_READER_REFUSED) {
        status = http_reader_refusal(reader)->status;
        assert_true(strlen(http_reader_refusal(reader)->message) > 0);
        struct bytes more = bytes_str("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(http_reader_feed(reader, &more), HTTP_READER_REFUSED);
        assert_null(http_reader_request(reader));
    }
    http_reader_free(&reader);
    return status;
}

static unsigned status_of_bytes(struct bytes text)
{
    unsigned whole = status_by(text, text.len);
    unsigned bytewise = status_by(text, 1);
    if (whole != bytewise)
        fail_msg("%u at once, %u byte by byte: %.*s", whole, bytewise, (int)text.len, (const char *)text.ptr);
    return whole;
}

static unsigned status_of(const char *text)
{
    return status_of_bytes(bytes_str(text));
}

struct expected {
    unsigned status;
    const char *text;
};

static void check_all(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned status = status_of(cases[i].text);
        if (status != cases[i].status)
            fail_msg("%u instead of %u: %s", status, cases[i].status, cases[i].text);
    }
}
#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof((cases)[0]))

static void hands_over_a_whole_request(void **state)
{
    (void)state;
    struct bytes text =
        bytes_str("POST /v1/a%20b?x=1&y=2 HTTP/1.1\r\nHost: h:1\r\nX-Empty:\r\nAuthorization:  Bearer k \t\r\n"
                  "content-length: 11\r\n\r\nhello world");
    for (size_t step = 1; step <= text.len; step++) {
        struct http_reader *reader = http_reader_new(MAX_BODY);
        assert_false(http_reader_busy(reader));
        assert_int_equal(feed_steps(reader, text, step), HTTP_READER_REQUEST);
        assert_false(http_reader_busy(reader));
        const struct http_request *request = http_reader_request(reader);
        assert_int_equal(request->method, HTTP_METHOD_POST);
        assert_true(bytes_equal_str(request->method_text, "POST"));
        assert_true(bytes_equal_str(request->path, "/v1/a%20b"));
        assert_true(bytes_equal_str(request->query, "x=1&y=2"));
        assert_true(bytes_equal_str(request->body, "hello world"));
        assert_int_equal(request->headers_count, 4);
        assert_true(bytes_equal_str(request->headers[1].name, "X-Empty"));
        assert_int_equal(request->headers[1].value.len, 0);
        assert_non_null(request->headers[1].value.ptr);
        assert_true(bytes_equal_str(http_request_header(request, "authorization"), "Bearer k"));
        assert_null(http_request_header(request, "X-None").ptr);
        assert_true(request->keep_alive);
        http_reader_free(&reader);
        assert_null(reader);
    }
}

static void waits_for_every_byte(void **state)
{
    (void)state;
    static const char text[] = POST_HEAD "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n";
    for (size_t len = 1; len < sizeof text - 1; len++) {
        struct http_reader *reader = http_reader_new(MAX_BODY);
        struct bytes in = bytes_of(text, len);
        assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_MORE);
        assert_int_equal(in.len, 0);
        assert_true(http_reader_busy(reader));
        assert_null(http_reader_request(reader));
        http_reader_free(&reader);
    }
}

static void takes_pipelined_requests_one_by_one(void **state)
{
    (void)state;
    struct bytes in = bytes_str(POST_HEAD "Content-Length: 3\r\n\r\none\r\n" POST_HEAD
                                          "Transfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n" GET_HEAD
                                          "\r\nGET /b?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    static const char *const bodies[] = {"one", "two", "", ""};
    static const bool alive[] = {true, true, true, false};
    struct http_reader *reader = http_reader_new(MAX_BODY);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_REQUEST);
        size_t left = in.len;
        assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_REQUEST); /* held until next() */
        assert_int_equal(in.len, left);
        const struct http_request *request = http_reader_request(reader);
        assert_true(bytes_equal_str(request->body, bodies[i]));
        assert_int_equal(request->keep_alive, alive[i]);
        assert_true(bytes_equal_str(request->path, i < 3 ? "/a" : "/b"));
        http_reader_next(reader);
        assert_null(http_reader_request(reader));
    }
    assert_int_equal(in.len, 0);
    assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_MORE);
    http_reader_free(&reader);
}

static void refuses_what_two_servers_could_read_in_two_ways(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {0, GET_HEAD "\r\n"},
        {0, "\r\n\r\n" GET_HEAD "\r\n"},
        {0, "GET / HTTP/1.1\r\nhost:h\r\n\r\n"},
        {400, "GET / HTTP/1.1\nHost: h\n\n"},
        {400, "GET / HTTP/1.1\r\nHost: h\r\n\n"},
        {400, "GET / HTTP/1.1\rHost: h\r\r"},
        {400, GET_HEAD "A: b\r\n c\r\n\r\n"},
        {400, GET_HEAD "A: b\r\n\tc\r\n\r\n"},
        {400, GET_HEAD "A: b\rc\r\n\r\n"},
        {400, GET_HEAD "A: b\x01\r\n\r\n"},
        {400, GET_HEAD "A: b\x7f\r\n\r\n"},
        {400, GET_HEAD "A : b\r\n\r\n"},
        {400, GET_HEAD "A b: c\r\n\r\n"},
        {400, GET_HEAD ": c\r\n\r\n"},
        {400, GET_HEAD "A\xc3\xa9: c\r\n\r\n"},
        {400, GET_HEAD "no colon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, GET_HEAD "Host: h\r\n\r\n"},
        {400, POST_HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"},
        {400, POST_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
        {400, POST_HEAD "Content-Length: 1, 1\r\n\r\na"},
        {400, POST_HEAD "Content-Length: +1\r\n\r\na"},
        {400, POST_HEAD "Content-Length: 0x1\r\n\r\na"},
        {400, POST_HEAD "Content-Length: -1\r\n\r\na"},
        {400, POST_HEAD "Content-Length:\r\n\r\na"},
        {400, POST_HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, POST_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {501, POST_HEAD "Transfer-Encoding: gzip\r\n\r\n"},
        {501, POST_HEAD "Transfer-Encoding: identity\r\n\r\n"},
        {501, POST_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {501, POST_HEAD "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
        {501, POST_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {501, POST_HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
    };
    CHECK_ALL(cases);
    static const char nul[] = GET_HEAD "A: b\0c\r\n\r\n";
    assert_int_equal(status_of_bytes(bytes_of(nul, sizeof nul - 1)), 400);
}

static void refuses_malformed_chunks(void **state)
{
    (void)state;
#define CHUNKED POST_HEAD "Transfer-Encoding: chunked\r\n\r\n"
    static const struct expected cases[] = {
        {0, CHUNKED "0\r\n\r\n"},
        {0, CHUNKED "3;name=value\r\nabc\r\n000\r\nTrailer: x\r\n\r\n"},
        {0, CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"},
        {400, CHUNKED "3\nabc\n0\n\n"},
        {400, CHUNKED "3\r\nabcd\r\n0\r\n\r\n"},
        {400, CHUNKED "3\r\nabc0\r\n\r\n"},
        {400, CHUNKED "3\r\nabcXX0\r\n\r\n"},
        {400, CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "3\rXabc\r\n0\r\n\r\n"},
        {400, CHUNKED "-3\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\nabc\r\n0\r\n\r\n"},
        {400, CHUNKED "ffffffffffffffffff\r\n"},
        {413, CHUNKED "fffffffffffffff\r\n"},
        {413, CHUNKED "3e9\r\n"},
        {1, CHUNKED "3e8\r\n"},
        {400, CHUNKED "0\r\nA: b\nC: d\r\n\r\n"},
    };
    CHECK_ALL(cases);
}

static void answers_each_fault_with_its_status(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {501, "FOO / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
        {505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n"},
        {505, "GET /\r\n\r\n"},
        {400, "GET a HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"},
        {0, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
        {417, POST_HEAD "Content-Length: 1\r\nExpect: miracles\r\n\r\n"},
        {100, POST_HEAD "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"},
        {0, POST_HEAD "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n"},
        {0, "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx"},
        {413, POST_HEAD "Content-Length: 1001\r\n\r\n"},
        {413, POST_HEAD "Content-Length: 999999999999999999\r\n\r\n"},
        {400, POST_HEAD "Content-Length: 99999999999999999999\r\n\r\n"},
        {1, POST_HEAD "Content-Length: 1000\r\n\r\n"},
        {413, POST_HEAD "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n"},
    };
    CHECK_ALL(cases);
    assert_int_equal(status_of("\x16\x03\x01\x02\x00\x01\x00"), 400);
}

static void bounds_the_head(void **state)
{
    (void)state;
    struct bytebuf text = {0};
    bytes_append_str(&text, GET_HEAD);
    for (size_t i = 0; i < HTTP_HEADERS_MAX - 1; i++)
        bytes_printf(&text, "A%zu: b\r\n", i);
    size_t most = text.len;
    bytes_append_str(&text, "\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 0);
    text.len = most;
    bytes_append_str(&text, "One: more\r\n\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 431);

    text.len = 0;
    bytes_append_str(&text, GET_HEAD "A: ");
    size_t value = HTTP_HEAD_MAX - text.len - 4;
    memset(bytes_reserve(&text, value), 'a', value);
    text.len += value;
    bytes_append_str(&text, "\r\n\r\n");
    assert_int_equal(text.len, HTTP_HEAD_MAX);
    assert_int_equal(status_of_bytes(bytes_view(&text)), 0);
    text.len -= 4;
    bytes_append_str(&text, "a\r\n\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 431);

    text.len = 0;
    bytes_append_str(&text, "GET /");
    memset(bytes_reserve(&text, HTTP_TARGET_MAX), 'a', HTTP_TARGET_MAX);
    text.len += HTTP_TARGET_MAX - 1;
    size_t longest = text.len;
    bytes_append_str(&text, " HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 0);
    text.len = longest;
    bytes_append_str(&text, "a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 414);
    bytes_reset(&text);
}

static void bounds_empty_lines_and_chunk_framing(void **state)
{
    (void)state;
    struct bytebuf text = {0};
    while (text.len < HTTP_HEAD_MAX)
        bytes_append_str(&text, "\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 414);

    text.len = 0;
    bytes_append_str(&text, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n1;");
    while (text.len < HTTP_HEAD_MAX * 2)
        bytes_append_str(&text, "extension");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 400);

    text.len = 0;
    bytes_append_str(&text, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    while (text.len < HTTP_HEAD_MAX * 2)
        bytes_append_str(&text, "T: v\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 400);

    text.len = 0;
    bytes_append_str(&text, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < MAX_BODY; i++)
        bytes_append_str(&text, "1\r\nx\r\n");
    size_t most = text.len;
    bytes_append_str(&text, "0\r\n\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 0);
    text.len = most;
    bytes_append_str(&text, "1\r\nx\r\n");
    assert_int_equal(status_of_bytes(bytes_view(&text)), 413);
    bytes_reset(&text);
}

static void goes_on_after_continue(void **state)
{
    (void)state;
    struct http_reader *reader = http_reader_new(MAX_BODY);
    struct bytes in = bytes_str(POST_HEAD "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nok");
    assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_WANT_CONTINUE);
    assert_true(http_reader_busy(reader));
    assert_int_equal(in.len, 2);
    assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_REQUEST);
    assert_true(bytes_equal_str(http_reader_request(reader)->body, "ok"));
    http_reader_free(&reader);
}

static const struct http_request *read_one(struct http_reader *reader, const char *text)
{
    struct bytes in = bytes_str(text);
    assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_REQUEST);
    return http_reader_request(reader);
}

static void knows_versions_targets_and_wishes_to_upgrade(void **state)
{
    (void)state;
    struct http_reader *reader = http_reader_new(MAX_BODY);
    assert_false(read_one(reader, "GET / HTTP/1.0\r\n\r\n")->keep_alive);
    http_reader_next(reader);
    assert_true(read_one(reader, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->keep_alive);
    http_reader_next(reader);
    const struct http_request *request = read_one(reader, "GET HTTP://h:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(bytes_equal_str(request->path, "/p"));
    assert_true(bytes_equal_str(request->query, "q"));
    http_reader_next(reader);
    assert_true(bytes_equal_str(read_one(reader, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n")->path, "/"));
    http_reader_next(reader);
    assert_null(read_one(reader, GET_HEAD "\r\n")->query.ptr);
    http_reader_next(reader);
    request = read_one(reader, GET_HEAD "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_true(bytes_equal_str(http_request_header(request, "upgrade"), "websocket"));
    http_reader_next(reader);
    request = read_one(reader, POST_HEAD "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nok");
    assert_true(bytes_equal_str(request->body, "ok"));
    http_reader_free(&reader);
}

static void survives_any_changed_byte(void **state)
{
    (void)state;
    static const char text[] = POST_HEAD "Transfer-Encoding: chunked\r\nA: b\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    char changed[sizeof text];
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(changed, text, sizeof text);
            changed[i] = (char)value;
            /* Of two faults, which one is found first may depend on how the bytes arrive; whether one is, may not. */
            struct bytes bytes = bytes_of(changed, sizeof text - 1);
            unsigned whole = status_by(bytes, bytes.len);
            unsigned bytewise = status_by(bytes, 1);
            assert_true(whole == bytewise || (whole >= 400 && bytewise >= 400));
        }
    }
}

static void finds_query_parameters(void **state)
{
    (void)state;
    struct bytes query = bytes_str("a=1&b=x%20y+z&c&d=&%65=5&bad=%zz&nul=%00&a=2&b%zz=3&t=%4");
    struct bytebuf out = {0};
    bytes_append_str(&out, ">");
    assert_int_equal(http_query_get(query, "a", &out), 0);
    assert_true(bytes_equal_str(bytes_view(&out), ">1"));
    assert_int_equal(http_query_get(query, "b", &out), 0);
    assert_true(bytes_equal_str(bytes_view(&out), ">1x y z"));
    assert_int_equal(http_query_get(query, "c", &out), 0);
    assert_int_equal(http_query_get(query, "d", &out), 0);
    assert_int_equal(http_query_get(query, "e", &out), 0);
    assert_true(bytes_equal_str(bytes_view(&out), ">1x y z5"));
    assert_int_equal(http_query_get(query, "bad", &out), PETREL_E_INVALID);
    assert_int_equal(http_query_get(query, "nul", &out), PETREL_E_INVALID);
    assert_int_equal(http_query_get(query, "t", &out), PETREL_E_INVALID);
    assert_int_equal(http_query_get(query, "none", &out), PETREL_E_NOT_FOUND);
    assert_int_equal(http_query_get((struct bytes){NULL, 0}, "a", &out), PETREL_E_NOT_FOUND);
    assert_true(bytes_equal_str(bytes_view(&out), ">1x y z5"));
    bytes_reset(&out);
}

static void unescapes_path_segments(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    assert_int_equal(http_unescape(bytes_str("a+b%2Fc%c3%A9"), &out), 0);
    assert_true(bytes_equal_str(bytes_view(&out), "a+b/c\xc3\xa9"));
    static const char *const bad[] = {"%", "%4", "a%", "a%4", "%g0", "%0g", "%00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(http_unescape(bytes_str(bad[i]), &out), PETREL_E_INVALID);
    assert_true(bytes_equal_str(bytes_view(&out), "a+b/c\xc3\xa9"));
    bytes_reset(&out);
}

static void assert_response(const struct http_response *response, const char *expected)
{
    struct bytebuf out = {0};
    http_response_write(response, &out);
    bytes_append(&out, "", 1);
    assert_string_equal((const char *)out.ptr, expected);
    bytes_reset(&out);
}

static void writes_responses(void **state)
{
    (void)state;
    struct http_response response = {
        .status = 200, .content_type = "application/json", .body = bytes_str("{}"), .keep_alive = true};
    assert_response(&response, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                               "Connection: keep-alive\r\n\r\n{}");
    response.head_only = true;
    assert_response(&response, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                               "Connection: keep-alive\r\n\r\n");
    assert_response(
        &(struct http_response){.status = 503, .retry_after_s = 7},
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 7\r\nConnection: close\r\n\r\n");
    assert_response(&(struct http_response){.status = 405, .allow = "GET, HEAD"},
                    "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nAllow: GET, HEAD\r\n"
                    "Connection: close\r\n\r\n");
    assert_response(&(struct http_response){.status = 401}, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"
                                                            "WWW-Authenticate: Bearer\r\nConnection: close\r\n\r\n");
    assert_response(&(struct http_response){.status = 204, .keep_alive = true},
                    "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_a_whole_request),
        cmocka_unit_test(waits_for_every_byte),
        cmocka_unit_test(takes_pipelined_requests_one_by_one),
        cmocka_unit_test(refuses_what_two_servers_could_read_in_two_ways),
        cmocka_unit_test(refuses_malformed_chunks),
        cmocka_unit_test(answers_each_fault_with_its_status),
        cmocka_unit_test(bounds_the_head),
        cmocka_unit_test(bounds_empty_lines_and_chunk_framing),
        cmocka_unit_test(goes_on_after_continue),
        cmocka_unit_test(knows_versions_targets_and_wishes_to_upgrade),
        cmocka_unit_test(survives_any_changed_byte),
        cmocka_unit_test(finds_query_parameters),
        cmocka_unit_test(unescapes_path_segments),
        cmocka_unit_test(writes_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
