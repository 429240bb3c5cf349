#include "base/rate_table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define START_MS 1000000
#define THREADS 4
#define BURST 20000

static const struct rate_limit limit = {.per_second = 10, .burst = 5};

static void a_burst_goes_then_as_many_as_the_rate(void **state)
{
    (void)state;
    struct rate_meter *meter = rate_meter_new();
    assert_int_equal(rate_meter_left(meter, &limit, START_MS), 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rate_meter_take(meter, &limit, START_MS), 0);
        assert_int_equal(rate_meter_left(meter, &limit, START_MS), 4 - i);
    }
    assert_int_equal(rate_meter_take(meter, &limit, START_MS), 100);
    assert_int_equal(rate_meter_take(meter, &limit, START_MS + 99), 1);
    assert_int_equal(rate_meter_take(meter, &limit, START_MS + 100), 0);
    assert_int_equal(rate_meter_refused(meter), 2);
    unsigned taken = 0;
    for (unsigned ms = 101; ms <= 10100; ms++)
        taken += rate_meter_take(meter, &limit, START_MS + ms) == 0;
    assert_int_equal(taken, 100);
    rate_meter_unref(meter);
}

static void a_rest_fills_it_and_no_more(void **state)
{
    (void)state;
    struct rate_meter *meter = rate_meter_new();
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rate_meter_take(meter, &limit, START_MS), 0);
    assert_int_equal(rate_meter_left(meter, &limit, START_MS + 3600000), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rate_meter_take(meter, &limit, START_MS + 3600000), 0);
    assert_int_not_equal(rate_meter_take(meter, &limit, START_MS + 3600000), 0);
    /* A clock that is behind sees what was taken ahead of it. */
    assert_int_not_equal(rate_meter_take(meter, &limit, START_MS), 0);
    rate_meter_unref(meter);
}

static void what_is_given_back_can_be_taken(void **state)
{
    (void)state;
    struct rate_meter *meter = rate_meter_new();
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rate_meter_take(meter, &limit, START_MS), 0);
    rate_meter_give(meter, &limit);
    assert_int_equal(rate_meter_take(meter, &limit, START_MS), 0);
    assert_int_not_equal(rate_meter_take(meter, &limit, START_MS), 0);
    rate_meter_unref(meter);
}

static void no_limit_refuses_nothing(void **state)
{
    (void)state;
    const struct rate_limit none = {.burst = 1};
    struct rate_meter *meter = rate_meter_new();
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(rate_meter_take(meter, &none, START_MS), 0);
    rate_meter_give(meter, &none);
    assert_int_equal(rate_meter_left(meter, &none, START_MS), 0);
    assert_int_equal(rate_meter_refused(meter), 0);
    rate_meter_unref(meter);
    rate_meter_unref(NULL);
}

static void a_smaller_limit_holds_at_once(void **state)
{
    (void)state;
    const struct rate_limit smaller = {.per_second = 1, .burst = 1};
    struct rate_meter *meter = rate_meter_ref(rate_meter_new());
    rate_meter_unref(meter); /* one is left */
    assert_int_equal(rate_meter_take(meter, &limit, START_MS), 0);
    assert_int_not_equal(rate_meter_take(meter, &smaller, START_MS), 0);
    assert_int_equal(rate_meter_take(meter, &smaller, START_MS + 100), 0);
    assert_int_equal(rate_meter_take(meter, &smaller, START_MS + 101), 999);
    rate_meter_unref(meter);
}

struct taker {
    pthread_t thread;
    struct rate_meter *meter;
    unsigned taken;
};

static void *take_all(void *arg)
{
    static const struct rate_limit large = {.per_second = 1000, .burst = BURST};
    struct taker *taker = arg;
    for (unsigned i = 0; i < BURST; i++)
        taker->taken += rate_meter_take(taker->meter, &large, START_MS) == 0;
    rate_meter_unref(taker->meter);
    return NULL;
}

static void threads_take_no_more_than_there_is(void **state)
{
    (void)state;
    struct taker takers[THREADS] = {{0}};
    struct rate_meter *meter = rate_meter_new();
    for (size_t i = 0; i < THREADS; i++) {
        takers[i].meter = rate_meter_ref(meter);
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_all, &takers[i]), 0);
    }
    unsigned taken = 0;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, BURST);
    assert_int_equal(rate_meter_refused(meter), (THREADS - 1) * BURST);
    rate_meter_unref(meter);
}

/* ---- many keys ---- */

static unsigned take_of_key(struct rate_table *table, uint64_t key, uint64_t now_ms)
{
    unsigned taken = 0;
    while (taken <= limit.burst && rate_table_take(table, key, &limit, now_ms) == 0)
        taken++;
    return taken;
}

static void each_key_has_a_bucket_of_its_own(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_new(7);
    assert_int_equal(take_of_key(table, 1, START_MS), limit.burst);
    assert_int_equal(rate_table_take(table, 1, &limit, START_MS), 100);
    assert_int_equal(take_of_key(table, 2, START_MS), limit.burst);
    assert_int_equal(rate_table_take(table, 1, &limit, START_MS + 99), 1);
    assert_int_equal(take_of_key(table, 1, START_MS + 100), 1);
    assert_int_equal(take_of_key(table, 1, START_MS + 3600000), limit.burst);
    static const struct rate_limit none = {.per_second = 0, .burst = 1};
    assert_int_equal(rate_table_take(table, 1, &none, START_MS + 3600000), 0);
    rate_table_free(&table);
    assert_null(table);
    rate_table_free(&table);
}

/* Many more keys than there are places, each once, and one that took all it may: it is not forgotten for them. */
static void who_takes_most_is_known_for_longest(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_new(7);
    assert_int_equal(take_of_key(table, 1, START_MS), limit.burst);
    for (uint64_t key = 2; key < 20ULL * RATE_TABLE_KEYS; key++)
        assert_int_equal(rate_table_take(table, key, &limit, START_MS), 0);
    assert_int_equal(rate_table_take(table, 1, &limit, START_MS), 100);
    /* Of the others those that had to give way begin anew: fewer are known than came, and no more than fit. */
    uint64_t known = 0;
    for (uint64_t key = 20ULL * RATE_TABLE_KEYS - 1; key >= 19ULL * RATE_TABLE_KEYS; key--)
        known += take_of_key(table, key, START_MS) < limit.burst;
    assert_in_range(known, 1, RATE_TABLE_KEYS - 1);
    rate_table_free(&table);
}

/* Keys that rested take no place from others, without anybody clearing up. */
static void places_are_free_once_their_time_is_over(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_new(7);
    uint64_t now_ms = START_MS;
    for (uint64_t key = 1; key <= 100ULL * RATE_TABLE_KEYS; key++) {
        now_ms += key % 8 == 0 ? limit.burst * 1000 / limit.per_second : 0;
        assert_int_equal(take_of_key(table, key, now_ms), limit.burst);
        if (key % 8 != 0)
            assert_int_not_equal(rate_table_take(table, key / 8 * 8 + 1, &limit, now_ms), 0);
    }
    rate_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_goes_then_as_many_as_the_rate),
        cmocka_unit_test(a_rest_fills_it_and_no_more),
        cmocka_unit_test(what_is_given_back_can_be_taken),
        cmocka_unit_test(no_limit_refuses_nothing),
        cmocka_unit_test(a_smaller_limit_holds_at_once),
        cmocka_unit_test(threads_take_no_more_than_there_is),
        cmocka_unit_test(each_key_has_a_bucket_of_its_own),
        cmocka_unit_test(who_takes_most_is_known_for_longest),
        cmocka_unit_test(places_are_free_once_their_time_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
