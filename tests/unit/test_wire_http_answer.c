#include "wire/http.h"
#include "wire/http_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_BODY 100

/* "200 body" of what comes `step` bytes at a time, and then ends, or "bad", "more"; valid until the next call. */
static const char *read_by(struct bytes text, size_t step, bool ends)
{
    static char seen[256];
    struct http_answer *answer = http_answer_new(MAX_BODY);
    enum http_answer_event event = HTTP_ANSWER_MORE;
    for (size_t at = 0; at < text.len; at += step)
        event = http_answer_feed(answer, bytes_of(text.ptr + at, text.len - at < step ? text.len - at : step));
    if (ends)
        event = http_answer_end(answer);
    snprintf(seen, sizeof seen, event == HTTP_ANSWER_BAD ? "bad" : "more");
    if (event == HTTP_ANSWER_WHOLE) {
        struct bytes body = http_answer_body(answer);
        snprintf(seen, sizeof seen, "%u %.*s", http_answer_status(answer), (int)body.len,
                 body.len > 0 ? (const char *)body.ptr : "");
    }
    http_answer_free(&answer);
    return seen;
}

static void expect(const char *text, bool ends, const char *seen)
{
    for (size_t step = 1; step <= strlen(text); step = step < 8 ? step + 1 : 2 * step)
        assert_string_equal(read_by(bytes_str(text), step, ends), seen);
    assert_string_equal(read_by(bytes_str(text), strlen(text), ends), seen);
}

static void answers_are_read_however_they_arrive(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, "200 hello");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, "200 ");
    expect("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 2\r\n\r\n{}", false, "503 {}");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", false, "200 hello");
    expect("HTTP/1.0 200 OK\r\n\r\nto the end", true, "200 to the end");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloand more", false, "200 hello");
}

static void what_is_cut_short_is_no_answer(void **state)
{
    (void)state;
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for (size_t len = 1; len < strlen(whole); len++) {
        assert_string_equal(read_by(bytes_of(whole, len), len, false), "more");
        assert_string_equal(read_by(bytes_of(whole, len), len, true), "bad");
    }
    assert_string_equal(read_by(bytes_of(whole, 0), 1, true), "bad");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", true, "bad");
}

static void what_is_no_answer_is_bad(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n\r\n", false, "bad");
    expect("\x41\x01\x02\x03", false, "bad");
    expect("HTTP/1.1 x OK\r\n\r\n", false, "bad");
    expect("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false, "bad");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", false, "bad");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, "bad");
}

static void bodies_are_bounded(void **state)
{
    (void)state;
    char text[MAX_BODY + 200];
    expect("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", false, "bad");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", false, "bad");
    int head = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n\r\n");
    memset(text + head, 'x', MAX_BODY + 1);
    text[head + MAX_BODY] = '\0';
    assert_true(strncmp(read_by(bytes_str(text), 7, true), "200 xxx", 7) == 0);
    text[head + MAX_BODY] = 'x';
    text[head + MAX_BODY + 1] = '\0';
    expect(text, true, "bad");
}

static void heads_are_bounded(void **state)
{
    (void)state;
    struct bytebuf text = {0};
    bytes_append_str(&text, "HTTP/1.1 200 OK\r\n");
    while (text.len <= 2 * HTTP_HEAD_MAX)
        bytes_append_str(&text, "X-Filler: and more of it\r\n");
    assert_string_equal(read_by(bytes_view(&text), 100, false), "bad");
    assert_string_equal(read_by(bytes_view(&text), text.len, false), "bad");
    bytes_reset(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_however_they_arrive),
        cmocka_unit_test(what_is_cut_short_is_no_answer),
        cmocka_unit_test(what_is_no_answer_is_bad),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(heads_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
