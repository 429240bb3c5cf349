/* The entries of a CHECK, packed and taken apart, and its body. */
#include "base/err.h"
#include "wire/peer_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct route ROUTE = {.incarnation = 1700000000123, .node = 2, .loop = 1, .slot = 300, .generation = 9};

static struct peer_check sample(void)
{
    return (struct peer_check){
        .target = {bytes_str("demo"), bytes_str("ana"), bytes_str("phone-1")},
        .position = {0x0001000067a1b2c3, 300},
        .route = ROUTE,
        .attempt = 5,
        .version = 1700000000123,
    };
}

static void assert_same(const struct peer_check *a, const struct peer_check *b)
{
    assert_true(bytes_equal(a->target.app, b->target.app));
    assert_true(bytes_equal(a->target.user, b->target.user));
    assert_true(bytes_equal(a->target.device, b->target.device));
    assert_int_equal(a->position.epoch, b->position.epoch);
    assert_int_equal(a->position.seq, b->position.seq);
    assert_true(route_equal(&a->route, &b->route));
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->version, b->version);
}

static void entries_come_back_as_they_were(void **state)
{
    (void)state;
    char user[ROUTE_USER_MAX + 1], device[ROUTE_DEVICE_MAX + 1];
    memset(user, 'u', sizeof user - 1);
    memset(device, 'd', sizeof device - 1);
    user[sizeof user - 1] = device[sizeof device - 1] = '\0';
    struct peer_check checks[4] = {sample(), sample(), sample(), sample()};
    checks[1].position = (struct position){0, 0};
    checks[1].route.slot = 0;
    checks[1].attempt = 0;
    checks[1].version = 0;
    checks[2].target.user = bytes_str(user);
    checks[2].target.device = bytes_str(device);
    checks[3].position = (struct position){UINT64_MAX, UINT64_MAX};
    checks[3].route.slot = checks[3].route.generation = UINT32_MAX;
    checks[3].attempt = checks[3].version = UINT64_MAX;
    struct bytebuf entries = {0}, body = {0};
    for (size_t i = 0; i < 4; i++)
        peer_check_put(&entries, &checks[i]);
    peer_check_encode(&body, &(struct peer_checks){ROUTE, 4, bytes_view(&entries)});
    struct peer_checks read;
    assert_int_equal(peer_check_decode(bytes_view(&body), &read), 0);
    assert_int_equal(read.count, 4);
    struct bytes rest = read.entries;
    for (size_t i = 0; i < 4; i++) {
        struct peer_check check;
        assert_int_equal(peer_check_take(&read, &rest, &check), 0);
        assert_same(&check, &checks[i]);
    }
    struct peer_check none;
    assert_int_equal(rest.len, 0);
    assert_int_equal(peer_check_take(&read, &rest, &none), PETREL_E_PROTOCOL);
    bytes_reset(&entries);
    bytes_reset(&body);
}

static void zeros_may_be_left_out(void **state)
{
    (void)state;
    static const uint8_t body[] = {0x0a, 0x0b, 0x0a, 1, 'a', 0x12, 1, 'u', 0x1a, 1, 'd', 0x38, 9};
    struct peer_checks read;
    struct peer_check check;
    assert_int_equal(peer_check_decode(bytes_of(body, sizeof body), &read), 0);
    assert_int_equal(read.count, 1);
    assert_int_equal(peer_check_take(&read, &read.entries, &check), 0);
    assert_int_equal(check.route.generation, 9);
    assert_int_equal(check.route.incarnation, 0);
    assert_int_equal(check.position.seq, 0);
}

static int decode_one(const struct peer_check *check)
{
    struct bytebuf entries = {0}, body = {0};
    struct peer_checks read;
    peer_check_put(&entries, check);
    peer_check_encode(&body, &(struct peer_checks){ROUTE, 1, bytes_view(&entries)});
    int rc = peer_check_decode(bytes_view(&body), &read);
    bytes_reset(&entries);
    bytes_reset(&body);
    return rc;
}

static void what_means_nothing_is_refused(void **state)
{
    (void)state;
    struct peer_check good = sample(), bad[6] = {good, good, good, good, good, good};
    char device[ROUTE_DEVICE_MAX + 2];
    memset(device, 'd', sizeof device - 1);
    device[sizeof device - 1] = '\0';
    assert_int_equal(decode_one(&good), 0);
    bad[0].target.app = bytes_str("");
    bad[1].target.user = bytes_str("");
    bad[2].target.device = bytes_str("");
    bad[3].target.device = bytes_str(device);
    bad[4].target.user = bytes_str("a\nb");
    bad[5].route.generation = 0;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(decode_one(&bad[i]), PETREL_E_PROTOCOL);
}

static void a_body_that_is_cut_or_goes_on_is_none(void **state)
{
    (void)state;
    const struct peer_check check = sample();
    struct bytebuf entries = {0}, body = {0};
    struct peer_checks read;
    peer_check_put(&entries, &check);
    peer_check_put(&entries, &check);
    peer_check_encode(&body, &(struct peer_checks){ROUTE, 2, bytes_view(&entries)});
    const size_t whole = entries.len;
    for (size_t len = 0; len < body.len; len++) {
        /* After an entry, and after a number, what is left out is zero. */
        const bool ends = len == whole / 2 || len == whole || len == whole + 9 || len == whole + 11;
        assert_int_equal(peer_check_decode(bytes_of(body.ptr, len), &read), ends ? 0 : PETREL_E_PROTOCOL);
    }
    bytes_put_u8(&body, 0x28);
    bytes_put_u8(&body, 1);
    assert_int_equal(peer_check_decode(bytes_view(&body), &read), PETREL_E_PROTOCOL);
    bytes_reset(&entries);
    bytes_reset(&body);
}

static void there_is_a_most_of_entries(void **state)
{
    (void)state;
    const struct peer_check check = sample();
    struct bytebuf entries = {0}, body = {0};
    struct peer_checks read;
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++)
        peer_check_put(&entries, &check);
    assert_int_equal(peer_check_decode(bytes_view(&entries), &read), 0);
    assert_int_equal(read.count, PEER_CHECKS_MAX);
    peer_check_put(&entries, &check);
    assert_int_equal(peer_check_decode(bytes_view(&entries), &read), PETREL_E_PROTOCOL);
    bytes_reset(&entries);
    bytes_reset(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back_as_they_were), cmocka_unit_test(zeros_may_be_left_out),
        cmocka_unit_test(what_means_nothing_is_refused),  cmocka_unit_test(a_body_that_is_cut_or_goes_on_is_none),
        cmocka_unit_test(there_is_a_most_of_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
