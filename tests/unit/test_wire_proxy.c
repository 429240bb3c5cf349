#include "base/err.h"
#include "wire/proxy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text) bytes_of(text, sizeof(text) - 1)

static void expect_peer(struct bytes in, const char *peer)
{
    struct proxy_header header;
    struct bytebuf stream = {0};
    bytes_append(&stream, in.ptr, in.len);
    /* Whatever has come of it, short of all, is not enough, and is left alone. */
    for (size_t len = 0; len < in.len; len++) {
        struct bytes part = bytes_of(stream.ptr, len);
        assert_int_equal(proxy_take(&part, &header), PETREL_E_NEED_MORE);
        assert_int_equal(part.len, len);
        assert_false(header.known);
    }
    bytes_append_str(&stream, "\x01 rest");
    struct bytes whole = bytes_view(&stream);
    assert_int_equal(proxy_take(&whole, &header), 0);
    assert_true(bytes_equal_str(whole, "\x01 rest"));
    assert_int_equal(header.known, peer != NULL);
    if (peer != NULL) {
        char text[NETADDR_TEXT_SIZE];
        netaddr_format(&header.peer, text);
        assert_string_equal(text, peer);
    }
    bytes_reset(&stream);
}

static void version_1_names_the_peer(void **state)
{
    (void)state;
    expect_peer(BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400\r\n"), "203.0.113.7:51234");
    expect_peer(BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 65535 0\r\n"), "[2001:db8::7]:65535");
    expect_peer(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                      "65535 65535\r\n"),
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    expect_peer(BYTES("PROXY UNKNOWN\r\n"), NULL);
    expect_peer(BYTES("PROXY UNKNOWN ffff:: ffff:: 1 2\r\n"), NULL);
}

static void version_2_names_the_peer(void **state)
{
    (void)state;
    expect_peer(BYTES(V2 "\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8"), "203.0.113.7:51234");
    expect_peer(BYTES(V2 "\x21\x21\x00\x24"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                         "\xc8\x22\x1c\xe8"),
                "[2001:db8::7]:51234");
    /* TLVs behind the addresses are skipped. */
    expect_peer(BYTES(V2 "\x21\x11\x00\x10\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8\x04\x00\x01\x00"),
                "203.0.113.7:51234");
    expect_peer(BYTES(V2 "\x20\x00\x00\x00"), NULL);                                                 /* LOCAL */
    expect_peer(BYTES(V2 "\x20\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8"), NULL); /* the same */
    expect_peer(BYTES(V2 "\x21\x00\x00\x03xyz"), NULL);                                              /* not told */
    expect_peer(BYTES(V2 "\x21\x31\x00\x02xy"), NULL);                                               /* a Unix socket */
}

static void what_is_no_header_is_refused(void **state)
{
    (void)state;
    const struct bytes bad[] = {
        BYTES("GET / HTTP/1.1\r\n"),
        BYTES("\x01\x00\x00"),
        BYTES("PROXy TCP4"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400\n"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 51234\r\n"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400 1\r\n"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400 \r\n"),
        BYTES("PROXY TCP4  203.0.113.7 192.0.2.1 51234 7400\r\n"),
        BYTES("PROXY TCP4 203.0.113.256 192.0.2.1 51234 7400\r\n"),
        BYTES("PROXY TCP4 203.0.113.7 x 51234 7400\r\n"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 65536 7400\r\n"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 051 7400\r\n"),
        BYTES("PROXY TCP4 203.0.113.7 192.0.2.1 -1 7400\r\n"),
        BYTES("PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n"),
        BYTES("PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n"),
        BYTES("PROXY TCP4 203.0.113.7\0 192.0.2.1 1 2\r\n"),
        BYTES("PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n"),
        BYTES("PROXY UNKNOWNS\r\n"),
        BYTES("PROXY \r\n"),
        BYTES("PROXY\r\n"),
        BYTES("PROXY UNKNOWN 12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
              "01234567890"),
        BYTES("\r\n\r\n\0\r\nQUIX"),
        BYTES(V2 "\x11\x11\x00\x00"),
        BYTES(V2 "\x22\x11\x00\x00"),
        BYTES(V2 "\x21\x11\x00\x04\xcb\x00\x71\x07"),
        BYTES(V2 "\x21\x21\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8"),
        BYTES(V2 "\x21\x41\x00\x00"),
        BYTES(V2 "\x21\x13\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct proxy_header header;
        struct bytes in = bad[i];
        if (proxy_take(&in, &header) != PETREL_E_INVALID)
            fail_msg("case %zu", i);
        assert_int_equal(in.len, bad[i].len);
        assert_false(header.known);
    }
}

static void a_length_is_bounded_before_it_is_awaited(void **state)
{
    (void)state;
    struct proxy_header header;
    struct bytes in = BYTES(V2 "\x21\x11\x07\xf1");
    assert_int_equal(proxy_take(&in, &header), PETREL_E_TOO_LARGE);
    in = BYTES(V2 "\x21\x11\xff\xff");
    assert_int_equal(proxy_take(&in, &header), PETREL_E_TOO_LARGE);
    uint8_t longest[PROXY_HEADER_MAX] = V2 "\x21\x11\x07\xf0\xcb\x00\x71\x07\xc0\x00\x02\x01\xc8\x22\x1c\xe8";
    in = bytes_of(longest, sizeof longest);
    assert_int_equal(proxy_take(&in, &header), 0);
    assert_int_equal(in.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_names_the_peer),
        cmocka_unit_test(version_2_names_the_peer),
        cmocka_unit_test(what_is_no_header_is_refused),
        cmocka_unit_test(a_length_is_bounded_before_it_is_awaited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
