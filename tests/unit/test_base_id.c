#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/route.h"
#include "base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void ids_are_version_7_and_ordered_by_time(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    struct id id = id_new(&rng, 0x0123456789abULL);
    char text[ID_TEXT_LEN + 1];
    id_format(&id, text);
    assert_memory_equal(text, "01234567-89ab-7", 15);
    assert_non_null(strchr("89ab", text[19]));
    struct id parsed;
    assert_int_equal(id_parse(bytes_str(text), &parsed), 0);
    assert_memory_equal(&parsed, &id, sizeof id);
    struct id later = id_new(&rng, 0x0123456789acULL);
    assert_true(memcmp(&id, &later, sizeof id) < 0);
    struct id same_ms = id_new(&rng, 0x0123456789abULL);
    assert_memory_not_equal(&id, &same_ms, sizeof id);
}

/* Fixed for ever: stores and nodes of all versions must agree on these. */
static void derived_ids_and_buckets_never_change(void **state)
{
    (void)state;
    struct id id = id_derive(bytes_str("scope"), bytes_str("key"));
    char text[ID_TEXT_LEN + 1];
    assert_string_equal(id_format(&id, text), "e7582124-aa86-8025-8efc-40ff5d351ada");
    struct id shifted = id_derive(bytes_str("scop"), bytes_str("ekey"));
    assert_memory_not_equal(&id, &shifted, sizeof id);
    assert_true(id_hash(&id) == 0x497fb9f96561ee2dULL);
    assert_int_equal(hash_bucket(bytes_str("demo"), bytes_str("alice")), 243);
    uint8_t joined[] = {'d', 'e', 'm', 'o', 0, 'a', 'l', 'i', 'c', 'e'};
    assert_int_equal(hash_bucket(bytes_str("demo"), bytes_str("alice")),
                     hash_bytes(bytes_of(joined, sizeof joined), 0) % HASH_BUCKETS);
    static const uint8_t of_nothing[] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
                                         0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
    uint8_t digest[16];
    hash_bytes128(bytes_str(""), digest);
    assert_memory_equal(digest, of_nothing, sizeof digest);
    hash_bytes128(bytes_str("x"), digest);
    assert_memory_not_equal(digest, of_nothing, sizeof digest);
}

static void malformed_ids_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "01234567-89ab-7def-8123-456789abcde",
                                      "01234567-89ab-7def-8123-456789abcdef0",
                                      "0123456789ab-7def-8123-456789abcdef--",
                                      "g1234567-89ab-7def-8123-456789abcdef",
                                      "01234567x89ab-7def-8123-456789abcdef",
                                      "01234567-89ab-7def-8123-456789abcde@"};
    struct id id;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(id_parse(bytes_str(bad[i]), &id), PETREL_E_INVALID);
    assert_int_equal(id_parse(bytes_str("01234567-89AB-7DEF-8123-456789ABCDEF"), &id), 0);
    assert_int_equal(id.bytes[15], 0xef);
}

static void random_numbers_repeat_by_seed_and_stay_below(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_seed(&a, 9);
    rng_seed(&b, 9);
    rng_seed(&c, 10);
    assert_true(rng_u64(&a) == rng_u64(&b));
    assert_true(rng_u64(&a) != rng_u64(&c));
    unsigned hits[10] = {0};
    for (int i = 0; i < 100000; i++)
        hits[rng_below(&a, 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(hits[i], 9500, 10500);
    assert_true(rng_below(&a, 1) == 0);
    struct rng s, t;
    rng_seed_system(&s);
    rng_seed_system(&t);
    assert_true(rng_u64(&s) != rng_u64(&t));
}

static void clocks_format_and_advance(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_format(1769862896789ULL, text), "2026-01-31T12:34:56.789Z");
    assert_string_equal(clock_format(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
    struct clock_manual manual;
    clock_manual_init(&manual, 5, 1000);
    clock_manual_advance(&manual, 7);
    assert_int_equal(clock_mono_ms(&manual.clock), 12);
    assert_int_equal(clock_wall_ms(&manual.clock), 1007);
    uint64_t before = clock_mono_ms(clock_system());
    assert_true(clock_mono_ms(clock_system()) >= before);
    assert_true(clock_wall_ms(clock_system()) > 1700000000000ULL);
}

static void names_are_judged_by_their_kind(void **state)
{
    (void)state;
    char longest[ROUTE_USER_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(route_valid_app(bytes_str("demo-1_x")));
    assert_true(route_valid_app(bytes_of(longest, ROUTE_APP_MAX)));
    assert_false(route_valid_app(bytes_of(longest, ROUTE_APP_MAX + 1)));
    assert_false(route_valid_app(bytes_str("-demo")));
    assert_false(route_valid_app(bytes_str("Demo")));
    assert_false(route_valid_app(bytes_str("")));
    assert_true(route_valid_user(bytes_str("J\xc3\xb6rg \xf0\x9f\x90\xa6")));
    assert_true(route_valid_user(bytes_of(longest, ROUTE_USER_MAX)));
    assert_false(route_valid_user(bytes_of(longest, ROUTE_USER_MAX + 1)));
    assert_false(route_valid_user(bytes_str("a\nb")));
    assert_false(route_valid_user(bytes_str("a\xc2\x85")));
    assert_false(route_valid_user((struct bytes){NULL, 0}));
    assert_true(route_valid_device(bytes_str("Phone.1:a_b-c")));
    assert_false(route_valid_device(bytes_str("phone 1")));
    assert_false(route_valid_device(bytes_of(longest, ROUTE_DEVICE_MAX + 1)));
    assert_true(route_valid_collapse_key(bytes_str("score/7")));
    assert_false(route_valid_collapse_key(bytes_str("")));
}

static void utf8_is_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xef\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf5\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xc3\x28",
                                      "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(utf8_char_len(bytes_str(bad[i])), 0);
    static const char *const good[] = {"A", "\xc3\xa9", "\xe2\x82\xac", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(utf8_char_len(bytes_str(good[i])), i + 1);
}

static void errors_have_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(err_name(0), "OK");
    assert_string_equal(err_name(PETREL_E_TOO_LARGE), "TOO_LARGE");
    assert_string_equal(err_name(-9999), "INTERNAL");
    assert_string_equal(err_text(PETREL_E_NOT_FOUND), "no such thing");
    assert_string_equal(err_text(12345), err_text(PETREL_E_INTERNAL));
    assert_int_equal(err_from_errno(ENOSPC), PETREL_E_FULL);
    assert_int_equal(err_from_errno(EDQUOT), PETREL_E_FULL);
    assert_int_equal(err_from_errno(ENOMEM), PETREL_E_NOMEM);
    assert_int_equal(err_from_errno(EPIPE), PETREL_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_version_7_and_ordered_by_time),
        cmocka_unit_test(derived_ids_and_buckets_never_change),
        cmocka_unit_test(malformed_ids_are_refused),
        cmocka_unit_test(random_numbers_repeat_by_seed_and_stay_below),
        cmocka_unit_test(clocks_format_and_advance),
        cmocka_unit_test(names_are_judged_by_their_kind),
        cmocka_unit_test(utf8_is_read_strictly),
        cmocka_unit_test(errors_have_names_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
