#include "base/err.h"
#include "base/netaddr.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Of either family, as 16 bytes. */
static struct netaddr address_of(const char *text)
{
    struct netaddr out = {.port = 443};
    uint8_t v4[4];
    if (inet_pton(AF_INET, text, v4) == 1)
        netaddr_from_v4(&out, v4, 443);
    else
        assert_int_equal(inet_pton(AF_INET6, text, out.ip), 1);
    return out;
}

static bool has(const char *list, const char *text)
{
    struct netaddr_set set;
    assert_int_equal(netaddr_set_parse(list, &set), 0);
    const struct netaddr address = address_of(text);
    return netaddr_set_has(&set, address.ip);
}

static void addresses_read_as_one_writes_them(void **state)
{
    (void)state;
    char text[NETADDR_TEXT_SIZE];
    struct netaddr address = address_of("203.0.113.7");
    netaddr_format(&address, text);
    assert_string_equal(text, "203.0.113.7:443");
    address = address_of("2001:db8::1");
    netaddr_format(&address, text);
    assert_string_equal(text, "[2001:db8::1]:443");
}

static void networks_hold_their_addresses(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.1"));
    assert_true(has("192.0.2.128/25", "192.0.2.128"));
    assert_false(has("192.0.2.128/25", "192.0.2.127"));
    assert_true(has("192.0.2.7", "192.0.2.7"));
    assert_false(has("192.0.2.7", "192.0.2.6"));
    assert_true(has(" 192.0.2.7 ,2001:db8::/33 ", "2001:db8:7fff::1"));
    assert_false(has("192.0.2.7,2001:db8::/33", "2001:db8:8000::1"));
    assert_true(has("0.0.0.0/0", "198.51.100.1"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
    assert_true(has("::/0", "198.51.100.1"));
    assert_true(has("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert_false(has("", "10.0.0.1"));
    assert_false(has("  ", "10.0.0.1"));
}

static void what_is_no_list_is_refused_whole(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/8x",
        "/8",
        "2001:db8::/129",
        "localhost",
        "10.0.0.0/8,,::1/128",
        "10.0.0.0/-1",
        ",",
        "10.0.0.0 /8",
        "::1/0001",
        "2001:db8::1/32",
        "2001:0db8:0000:0000:0000:0000:0000:0001/128 and more that is longer than any address",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct netaddr_set set = {.count = 7};
        assert_int_equal(netaddr_set_parse(bad[i], &set), PETREL_E_INVALID);
        assert_int_equal(set.count, 0);
    }
    char many[(NETADDR_SET_MAX + 1) * 12] = "";
    for (size_t i = 0; i < NETADDR_SET_MAX; i++)
        strcat(many, "10.0.0.1, ");
    struct netaddr_set set;
    assert_int_equal(netaddr_set_parse(many, &set), 0);
    assert_int_equal(set.count, NETADDR_SET_MAX);
    strcat(many, "10.0.0.1");
    assert_int_equal(netaddr_set_parse(many, &set), PETREL_E_INVALID);
}

static uint64_t owner_of(const char *text)
{
    const struct netaddr address = address_of(text);
    return netaddr_owner(address.ip);
}

static void ipv6_belongs_to_its_network_and_ipv4_to_itself(void **state)
{
    (void)state;
    assert_true(owner_of("2001:db8:0:1::7") == owner_of("2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert_false(owner_of("2001:db8:0:1::7") == owner_of("2001:db8:0:2::7"));
    assert_true(owner_of("203.0.113.7") == owner_of("::ffff:203.0.113.7"));
    assert_false(owner_of("203.0.113.7") == owner_of("203.0.113.8"));
    assert_false(owner_of("0.0.0.0") == owner_of("::"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_read_as_one_writes_them),
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(ipv6_belongs_to_its_network_and_ipv4_to_itself),
        cmocka_unit_test(what_is_no_list_is_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
