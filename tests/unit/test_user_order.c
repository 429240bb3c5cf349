/* Users in the order of their keys: each that bears the mark, once, however few or many, and whatever their keys are. */
#include "store/user_order.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define USERS 30000

struct form {
    char key[32];
};

static struct form forms[USERS];

static struct bytes key_of(const void *form)
{
    return bytes_str(((const struct form *)form)->key);
}

/* How many follow a greater one. */
static uint32_t walk(struct user_order *order, struct user_index *index, uint32_t *count)
{
    struct user_order_place place = {0, 0};
    const char *before = "";
    uint32_t falls = 0, number;
    for (*count = 0; (number = user_order_next(order, &place)) != USER_INDEX_NONE; (*count)++) {
        const char *key = ((const struct form *)user_index_form(index, number))->key;
        falls += strcmp(before, key) > 0;
        before = key;
        assert_true(user_index_marked(index, USER_PENDING, number));
        user_index_unmark(index, USER_PENDING, number);
    }
    return falls;
}

static uint32_t falls_of(const char *format, uint32_t users, uint32_t every, uint32_t step)
{
    struct user_index index;
    struct user_order order;
    struct rng rng;
    uint32_t marked = 0, count;
    rng_seed(&rng, 7);
    user_index_init(&index, key_of, 1);
    for (uint32_t i = 0; i < users; i++) {
        snprintf(forms[i].key, sizeof forms[i].key, format, rng_u64(&rng), i);
        const uint32_t number = user_index_add(&index, &forms[i]);
        if (i % every == 0)
            user_index_mark(&index, USER_PENDING, number);
        marked += i % every == 0;
    }
    assert_int_equal(user_index_marks(&index, USER_PENDING), marked);
    user_order_begin(&order, &index, USER_PENDING);
    while (user_order_collect(&order, step))
        continue;
    const uint32_t falls = walk(&order, &index, &count);
    assert_int_equal(count, marked);
    assert_int_equal(user_index_marks(&index, USER_PENDING), 0);
    user_order_reset(&order);
    user_index_reset(&index);
    return falls;
}

#define AT_RANDOM "%016llx-%u"

static void keys_come_in_order(void **state)
{
    (void)state;
    assert_int_equal(falls_of(AT_RANDOM, USERS, 1, 1000), 0);
    assert_int_equal(falls_of(AT_RANDOM, USERS, 7, 1), 0);
    assert_int_equal(falls_of(AT_RANDOM, 5000, 1, USERS), 0);
}

static void few_are_no_matter(void **state)
{
    (void)state;
    assert_int_equal(falls_of(AT_RANDOM, 0, 1, 10), 0);
    assert_int_equal(falls_of(AT_RANDOM, 1, 1, 10), 0);
    assert_int_equal(falls_of(AT_RANDOM, 16, 1, 16), 0);
    assert_int_equal(falls_of(AT_RANDOM, USERS, USERS, 10), 0);
}

/* The sample takes every so-many-th user: those have one key range, nearly all others another, between two of the sample. */
static void a_bucket_that_is_too_large_is_left_as_it_is(void **state)
{
    (void)state;
    struct user_index index;
    struct user_order order;
    uint32_t count;
    user_index_init(&index, key_of, 1);
    const uint32_t samples = (USERS / 2048 + 1) * 8;
    for (uint32_t i = 0; i < USERS; i++)
        snprintf(forms[i].key, sizeof forms[i].key, "b%05u", USERS - i);
    for (uint32_t i = 0; i < samples; i++) {
        const uint32_t sampled = (uint32_t)((uint64_t)USERS * i / samples);
        snprintf(forms[sampled].key, sizeof forms[sampled].key, "a%05u", i);
    }
    for (uint32_t i = 0; i < USERS; i++)
        user_index_mark(&index, USER_PENDING, user_index_add(&index, &forms[i]));
    user_order_begin(&order, &index, USER_PENDING);
    while (user_order_collect(&order, 100))
        continue;
    assert_true(walk(&order, &index, &count) > USERS / 2);
    assert_int_equal(count, USERS);
    user_order_reset(&order);
    user_index_reset(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_in_order),
        cmocka_unit_test(few_are_no_matter),
        cmocka_unit_test(a_bucket_that_is_too_large_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
