#include "wire/websocket_upgrade.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: petrel.v1\r\n"
#define ASKS "Connection: Upgrade\r\nUpgrade: websocket\r\n"

/* What becomes of a request with these headers: 0 it is upgraded, 1 it does not ask for it, or the status. */
static unsigned judge(const char *headers, const char *origins)
{
    struct bytebuf text = {0};
    bytes_printf(&text, "GET /v1/session HTTP/1.1\r\nHost: petrel\r\n%s\r\n", headers);
    struct http_reader *reader = http_reader_new(0);
    struct bytes in = bytes_view(&text);
    assert_int_equal(http_reader_feed(reader, &in), HTTP_READER_REQUEST);
    const struct http_request *request = http_reader_request(reader);
    const char *why = NULL;
    unsigned status = 1;
    if (websocket_upgrade_asked(request))
        status = websocket_upgrade_check(request, origins, &why);
    if (status > 1)
        assert_non_null(why);
    http_reader_free(&reader);
    bytes_reset(&text);
    return status;
}

static void a_request_asks_for_it_in_two_headers(void **state)
{
    (void)state;
    assert_int_equal(judge(ASKS KEY VERSION PROTOCOL, "*"), 0);
    assert_int_equal(judge("Connection: keep-alive, upgrade\r\nUpgrade: h2c, WebSocket\r\n" KEY VERSION PROTOCOL, "*"),
                     0);
    assert_int_equal(
        judge("Connection: close\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" KEY VERSION PROTOCOL, "*"), 0);
    assert_int_equal(judge("Connection: Upgrade\r\n" KEY VERSION PROTOCOL, "*"), 1);
    assert_int_equal(judge("Upgrade: websocket\r\n" KEY VERSION PROTOCOL, "*"), 1);
    assert_int_equal(judge("Connection: Upgraded\r\nUpgrade: websocket\r\n" KEY VERSION PROTOCOL, "*"), 1);
    assert_int_equal(judge("Connection: Upgrade\r\nUpgrade: websockets\r\n" KEY VERSION PROTOCOL, "*"), 1);
}

static void what_is_missing_or_wrong_is_named(void **state)
{
    (void)state;
    assert_int_equal(judge(ASKS KEY PROTOCOL, "*"), 426);
    assert_int_equal(judge(ASKS KEY PROTOCOL "Sec-WebSocket-Version: 8\r\n", "*"), 426);
    assert_int_equal(judge(ASKS KEY PROTOCOL VERSION VERSION, "*"), 426);
    assert_int_equal(judge(ASKS VERSION PROTOCOL, "*"), 400);
    assert_int_equal(judge(ASKS VERSION PROTOCOL KEY KEY, "*"), 400);
    assert_int_equal(judge(ASKS VERSION PROTOCOL "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", "*"), 400);
    assert_int_equal(judge(ASKS VERSION PROTOCOL "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", "*"), 400);
    assert_int_equal(judge(ASKS VERSION PROTOCOL "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==\r\n", "*"), 400);
    assert_int_equal(judge(ASKS KEY VERSION, "*"), 400);
    assert_int_equal(judge(ASKS KEY VERSION "Sec-WebSocket-Protocol: petrel.v2, Petrel.v1\r\n", "*"), 400);
    assert_int_equal(judge(ASKS KEY VERSION "Sec-WebSocket-Protocol: mqtt, petrel.v1\r\n", "*"), 0);
    assert_int_equal(judge(ASKS KEY VERSION "Sec-WebSocket-Protocol: mqtt\r\n" PROTOCOL, "*"), 0);
}

#define WHOLE ASKS KEY VERSION PROTOCOL

static void pages_of_listed_origins_only(void **state)
{
    (void)state;
    const char *const two = "https://app.example, https://x.example:8443";
    assert_int_equal(judge(WHOLE, two), 0);
    assert_int_equal(judge(WHOLE, ""), 0);
    assert_int_equal(judge(WHOLE "Origin: https://app.example\r\n", two), 0);
    assert_int_equal(judge(WHOLE "Origin: https://x.example:8443\r\n", two), 0);
    assert_int_equal(judge(WHOLE "Origin: https://x.example\r\n", two), 403);
    assert_int_equal(judge(WHOLE "Origin: https://app.example.evil.example\r\n", two), 403);
    assert_int_equal(judge(WHOLE "Origin: null\r\n", two), 403);
    assert_int_equal(judge(WHOLE "Origin: \r\n", two), 403);
    assert_int_equal(judge(WHOLE "Origin: https://app.example\r\nOrigin: https://evil.example\r\n", two), 403);
    assert_int_equal(judge(WHOLE "Origin: https://app.example\r\n", ""), 403);
    assert_int_equal(judge(WHOLE "Origin: https://anywhere.example\r\n", "*"), 0);
}

static void lists_of_origins_are_judged(void **state)
{
    (void)state;
    static const char *const right[] = {"", "*", "none", "https://a.example", "https://a.example, http://[::1]:8080"};
    static const char *const wrong[] = {"a.example",   "https://a.example/",   "https://",     "://a",
                                        "https://a b", "https://u@a",          "https://*.a",  ",",
                                        "https://a,",  "https://a,,https://b", "https://a\x01"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(websocket_upgrade_valid_origins(bytes_str(right[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(websocket_upgrade_valid_origins(bytes_str(wrong[i])));
    assert_false(websocket_upgrade_has_origin(bytes_str("https://a"), bytes_str("none")));
}

static void the_accept_is_the_rfcs(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_SIZE];
    websocket_upgrade_accept(bytes_str("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_asks_for_it_in_two_headers),
        cmocka_unit_test(what_is_missing_or_wrong_is_named),
        cmocka_unit_test(lists_of_origins_are_judged),
        cmocka_unit_test(pages_of_listed_origins_only),
        cmocka_unit_test(the_accept_is_the_rfcs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
