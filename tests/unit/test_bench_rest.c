/* When a server is at rest, and what of a histogram came after a moment. */
#include "../../bench/bench_latency.h"
#include "../../bench/bench_rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* After how many windows it is at rest; 0: after none of them. busy: a character for each, 'b' when it says so itself. */
static unsigned rests_after(const double *cores, const char *busy)
{
    struct bench_rest rest = {0};
    for (unsigned i = 0; busy[i] != '\0'; i++)
        if (bench_rest_note(&rest, cores[i], busy[i] == 'b'))
            return i + 1;
    return 0;
}

static void one_that_does_nothing_rests(void **state)
{
    (void)state;
    assert_int_equal(rests_after((const double[]){0, 0, 0}, "..."), 3);
    assert_int_equal(rests_after((const double[]){0, 0}, ".."), 0);
    /* a tick or two of /proc's */
    assert_int_equal(rests_after((const double[]){0, 0.01, 0.02}, "..."), 3);
}

static void one_that_falls_does_not_rest(void **state)
{
    (void)state;
    assert_int_equal(rests_after((const double[]){1, 0.8, 0.6, 0.4, 0.2, 0.1, 0.1, 0.1}, "........"), 8);
    assert_int_equal(rests_after((const double[]){0.5, 0.4, 0.2, 0.5, 0.5, 0.5, 0.5}, "......."), 0);
}

static void heartbeats_are_no_work(void **state)
{
    (void)state;
    assert_int_equal(rests_after((const double[]){0.9, 0.5, 0.17, 0.19, 0.16, 0.18}, "......"), 5);
}

static void one_that_says_that_it_works_does_not_rest(void **state)
{
    (void)state;
    assert_int_equal(rests_after((const double[]){0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, "..b...."), 6);
    assert_int_equal(rests_after((const double[]){0.1, 0.1, 0.1, 0.1}, "bbbb"), 0);
}

static void what_came_after_is_told_apart(void **state)
{
    (void)state;
    struct bench_latency all = {0};
    for (int i = 0; i < 10; i++)
        bench_latency_add(&all, 50000);
    const struct bench_latency before = all;
    assert_int_equal(bench_latency_since(&all, &before).count, 0);
    assert_int_equal(bench_latency_at(&(struct bench_latency){0}, 1), 0);
    bench_latency_add(&all, 100);
    bench_latency_add(&all, 200);
    const struct bench_latency since = bench_latency_since(&all, &before);
    assert_int_equal(since.count, 2);
    assert_in_range(bench_latency_at(&since, 0.5), 100, 105);
    assert_in_range(bench_latency_at(&since, 1), 200, 209);
    bench_latency_add(&all, 70000);
    const struct bench_latency later = bench_latency_since(&all, &before);
    assert_int_equal(bench_latency_at(&later, 1), 70000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_does_nothing_rests),   cmocka_unit_test(one_that_falls_does_not_rest),
        cmocka_unit_test(heartbeats_are_no_work),        cmocka_unit_test(one_that_says_that_it_works_does_not_rest),
        cmocka_unit_test(what_came_after_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
