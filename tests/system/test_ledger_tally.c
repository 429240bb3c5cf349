/* What the ledger counts beside the book, and the names of faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "system/ledger/fault.h"
#include "system/ledger/tally.h"

static void the_longest_stretch_is_between_two_acceptances(void **state)
{
    (void)state;
    struct tally tally = {0};
    tally_begin(&tally, 1000);
    tally_accepted(&tally, 1200);
    tally_refused(&tally, "busy");
    tally_accepted(&tally, 4300);
    tally_accepted(&tally, 4400);
    assert_int_equal(tally.longest_ms, 3100);
    tally_end(&tally, 9400);
    assert_int_equal(tally.longest_ms, 5000);
    assert_true(tally_share(&tally) > 0.249 && tally_share(&tally) < 0.251);
    tally_reset(&tally);
}

static void a_percentile_is_a_value_that_was_seen(void **state)
{
    (void)state;
    struct tally tally = {0};
    assert_int_equal(tally_percentile(&tally, 99), 0);
    for (uint64_t i = 1000; i > 0; i--)
        tally_failover(&tally, i);
    assert_int_equal(tally_percentile(&tally, 50), 500);
    assert_int_equal(tally_percentile(&tally, 99), 990);
    assert_int_equal(tally_percentile(&tally, 100), 1000);
    tally_reset(&tally);
    tally_failover(&tally, 7);
    assert_int_equal(tally_percentile(&tally, 1), 7);
    tally_reset(&tally);
}

static void refusals_are_counted_by_reason(void **state)
{
    (void)state;
    static const char *const reasons[] = {"a", "b", "a", "c", "d", "e", "f", "g", "h", "i", "a"};
    struct tally tally = {0};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        tally_refused(&tally, reasons[i]);
    assert_int_equal(tally.refused, 11);
    assert_int_equal(tally.reasons[0].count, 3);
    assert_string_equal(tally.reasons[1].text, "b");
    assert_int_equal(tally.reasons[TALLY_REASONS_MAX - 1].count, 2);
    tally_reset(&tally);
}

static void faults_are_called_by_name(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "kill", "kill-session,", ",kill-session", "kill-session;reshard", "All"};
    assert_int_equal(fault_parse("all"), (1U << FAULT_COUNT) - 1);
    assert_int_equal(fault_parse("reshard,all"), (1U << FAULT_COUNT) - 1);
    uint32_t both = fault_parse("kill-session,cut-link");
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        assert_int_equal(fault_parse(fault_table[i].name), 1U << i);
        both &= ~(i == 0 || i == FAULT_COUNT - 1 ? 1U << i : 0);
    }
    assert_int_equal(both, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(fault_parse(wrong[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_stretch_is_between_two_acceptances),
        cmocka_unit_test(a_percentile_is_a_value_that_was_seen),
        cmocka_unit_test(refusals_are_counted_by_reason),
        cmocka_unit_test(faults_are_called_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
