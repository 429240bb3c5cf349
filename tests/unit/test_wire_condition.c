/* Every condition is held against its truth table: what devices of each set of topics are sent, and from which log. */
#include "base/err.h"
#include "wire/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct condition parse(const char *text)
{
    struct condition condition;
    const char *why = NULL;
    const int rc = condition_parse(bytes_str(text), &condition, &why);
    if (rc != 0)
        print_error("%s: %s\n", text, why);
    assert_int_equal(rc, 0);
    return condition;
}

/* How many of the parts reach a device with these topics, each as it comes out of its log. */
static int times_sent(const struct condition *condition, uint8_t follows)
{
    int times = 0;
    for (uint32_t term = 0; term < condition->terms_count; term++) {
        struct condition part = *condition;
        struct condition read;
        struct bytebuf packed = {0};
        if (!condition_ends_part(condition, term))
            continue;
        part.term = term;
        condition_pack(&part, &packed);
        assert_in_range(packed.len, 0, CONDITION_PACKED_MAX);
        assert_int_equal(condition_unpack(bytes_view(&packed), &read), 0);
        const char *topic = condition_topic(condition, term);
        const bool reads_log = topic == NULL || (condition->terms[term].with & follows) != 0;
        if (condition_meets(&read, follows)) {
            /* Who is meant follows the log that it stands in. */
            assert_true(reads_log);
            times++;
        }
        bytes_reset(&packed);
    }
    return times;
}

/* Bit i of `expected`: a device that follows the topics whose bits are in i, a first, then b ... */
static void expect(const char *text, uint32_t topics, uint64_t expected)
{
    const struct condition condition = parse(text);
    assert_int_equal(condition.topics_count, topics);
    for (uint8_t follows = 0; follows < 1U << topics; follows++)
        assert_int_equal(times_sent(&condition, follows), expected >> follows & 1);
}

static void who_is_meant_is_sent_it_once(void **state)
{
    (void)state;
    expect("'a' in topics", 1, 0x2);
    expect("!('a' in topics)", 1, 0x1);
    expect("'a' in topics && 'b' in topics", 2, 0x8);
    expect("'a' in topics && !('b' in topics)", 2, 0x2);
    expect("'a' in topics || 'b' in topics", 2, 0xe);
    expect("!('a' in topics || 'b' in topics)", 2, 0x1);
    expect("'a' in topics||'b' in topics&&'c' in topics", 3, 0xea);
    expect(" ( 'a' in topics || 'b' in topics ) && !'c' in topics ", 3, 0x0e);
    expect("'a' in topics || !('a' in topics)", 1, 0x3);
    expect("'all' in topics", 0, 0x1);
    expect("'all' in topics && 'a' in topics", 1, 0x2);
    expect("'all' in topics && !('a' in topics)", 1, 0x1);
    expect("'a' in topics && 'b' in topics && 'c' in topics && 'd' in topics && 'e' in topics", 5, 1ULL << 31);
}

static void any_truth_table_is_kept(void **state)
{
    (void)state;
    static const char *const names[] = {"'a' in topics", "'b' in topics", "'c' in topics", "'d' in topics"};
    for (uint32_t table = 1; table < 1U << 16; table += 37) {
        struct bytebuf text = {0};
        for (uint32_t follows = 0; follows < 16; follows++) {
            if ((table >> follows & 1) == 0)
                continue;
            bytes_append_str(&text, text.len > 0 ? " || (" : "(");
            for (uint32_t bit = 0; bit < 4; bit++) {
                bytes_printf(&text, "%s%s%s", bit > 0 ? " && " : "", follows >> bit & 1 ? "" : "!", names[bit]);
            }
            bytes_append_str(&text, ")");
        }
        struct condition condition;
        const char *why;
        if (text.len <= CONDITION_TEXT_MAX) {
            assert_int_equal(condition_parse(bytes_view(&text), &condition, &why), 0);
            for (uint8_t follows = 0; follows < 16; follows++)
                assert_int_equal(times_sent(&condition, follows), table >> follows & 1);
        }
        bytes_reset(&text);
    }
}

static void each_part_goes_to_a_topic_that_it_needs(void **state)
{
    (void)state;
    struct condition condition = parse("'a' in topics && !('b' in topics)");
    assert_int_equal(condition.terms_count, 1);
    assert_string_equal(condition_topic(&condition, 0), "a");
    condition = parse("!('a' in topics)");
    assert_null(condition_topic(&condition, 0));
    condition = parse("'a' in topics || 'b' in topics");
    assert_int_equal(condition.terms_count, 2);
    assert_non_null(condition_topic(&condition, 0));
    assert_non_null(condition_topic(&condition, 1));
}

/* A log takes an id once: two parts of one message in it would be the same entry. */
static void a_log_takes_one_part(void **state)
{
    (void)state;
    const struct condition condition = parse("'a' in topics && ('b' in topics || 'c' in topics) || 'd' in topics");
    const char *logs[CONDITION_TERMS_MAX];
    uint32_t count = 0;
    for (uint32_t term = 0; term < condition.terms_count; term++) {
        if (!condition_ends_part(&condition, term))
            continue;
        logs[count] = condition_topic(&condition, term);
        for (uint32_t i = 0; i < count; i++)
            assert_ptr_not_equal(logs[i], logs[count]);
        count++;
    }
    assert_true(count < condition.terms_count);
    expect("'a' in topics && ('b' in topics || 'c' in topics)", 3, 0xa8);
}

static void what_is_no_condition_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"", PETREL_E_INVALID},
        {"a in topics", PETREL_E_INVALID},
        {"'a'", PETREL_E_INVALID},
        {"'a' in topics &&", PETREL_E_INVALID},
        {"'a' in topics 'b' in topics", PETREL_E_INVALID},
        {"('a' in topics", PETREL_E_INVALID},
        {"'a' in topics)", PETREL_E_INVALID},
        {"'a b' in topics", PETREL_E_INVALID},
        {"'' in topics", PETREL_E_INVALID},
        {"'a", PETREL_E_INVALID},
        {"'a' in topics && !('a' in topics)", PETREL_E_UNSUPPORTED},
        {"!('all' in topics)", PETREL_E_UNSUPPORTED},
        {"'a' in topics || 'b' in topics || 'c' in topics || 'd' in topics || 'e' in topics || 'f' in topics",
         PETREL_E_TOO_LARGE},
        {"((((((((((((((((('a' in topics)))))))))))))))))", PETREL_E_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct condition condition;
        const char *why = NULL;
        assert_int_equal(condition_parse(bytes_str(cases[i].text), &condition, &why), cases[i].status);
        if (cases[i].status != PETREL_E_UNSUPPORTED)
            assert_non_null(why);
    }
}

static void packed_bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    struct condition condition = parse("'a' in topics && 'b' in topics");
    struct condition read;
    struct bytebuf packed = {0};
    condition.rate = 5000;
    condition_pack(&condition, &packed);
    assert_int_equal(condition_unpack(bytes_view(&packed), &read), 0);
    assert_int_equal(read.rate, 5000);
    for (size_t len = 1; len < packed.len; len++)
        assert_int_equal(condition_unpack(bytes_of(packed.ptr, len), &read), PETREL_E_PROTOCOL);
    bytes_put_u8(&packed, 0);
    assert_int_equal(condition_unpack(bytes_view(&packed), &read), PETREL_E_PROTOCOL);
    bytes_reset(&packed);
}

static void a_pace_alone_is_for_everybody(void **state)
{
    (void)state;
    struct condition condition = {.rate = 100};
    struct condition read;
    struct bytebuf packed = {0};
    condition_pack(&condition, &packed);
    assert_int_equal(condition_unpack(bytes_view(&packed), &read), 0);
    assert_true(read.rate == 100 && condition_meets(&read, 0) && condition_meets(&read, 3));
    packed.len = 0;
    condition.rate = 0;
    condition_pack(&condition, &packed);
    assert_int_equal(packed.len, 0);
    assert_int_equal(condition_unpack((struct bytes){NULL, 0}, &read), 0);
    assert_true(condition_meets(&read, 0));
    bytes_reset(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_meant_is_sent_it_once),
        cmocka_unit_test(any_truth_table_is_kept),
        cmocka_unit_test(each_part_goes_to_a_topic_that_it_needs),
        cmocka_unit_test(a_log_takes_one_part),
        cmocka_unit_test(what_is_no_condition_is_refused),
        cmocka_unit_test(packed_bytes_that_are_none_are_refused),
        cmocka_unit_test(a_pace_alone_is_for_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
