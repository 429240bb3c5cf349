#include "store/idempotency.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct journal_key key_of(uint8_t number, uint64_t seq)
{
    struct journal_key key = {.seq = seq};
    memset(key.digest, number, sizeof key.digest);
    return key;
}

static void put(struct idempotency *keys, uint8_t number, uint64_t seq, uint64_t row)
{
    struct journal_key key = key_of(number, seq);
    idempotency_put(keys, &key, row);
}

static uint64_t find(const struct idempotency *keys, uint8_t number)
{
    struct journal_key key = key_of(number, 0);
    const struct journal_key *found = idempotency_find(keys, key.digest);
    return found != NULL ? found->seq : 0;
}

static void the_last_row_can_be_undone(void **state)
{
    struct idempotency keys;
    (void)state;
    idempotency_init(&keys, 1);
    put(&keys, 1, 11, 5);
    put(&keys, 2, 12, 6);
    put(&keys, 3, 13, 6);
    idempotency_undo(&keys, 6);
    assert_int_equal(find(&keys, 1), 11);
    assert_int_equal(find(&keys, 2), 0);
    assert_int_equal(find(&keys, 3), 0);
    idempotency_reset(&keys);
    assert_int_equal(find(&keys, 1), 0);
}

static void keys_are_walked_and_dropped_in_order(void **state)
{
    struct idempotency keys;
    const struct idempotency_entry *place = NULL;
    (void)state;
    idempotency_init(&keys, 1);
    for (uint8_t i = 1; i <= 6; i++)
        put(&keys, i, i, i);
    put(&keys, 2, 22, 7); /* used again after its time: it stands in the new row */
    assert_int_equal(idempotency_next(&keys, &place, 4)->seq, 1);
    assert_int_equal(idempotency_next(&keys, &place, 4)->seq, 3);
    assert_int_equal(idempotency_next(&keys, &place, 4)->seq, 4);
    assert_null(idempotency_next(&keys, &place, 4));
    idempotency_drop(&keys, place);
    assert_int_equal(find(&keys, 1), 0);
    assert_int_equal(find(&keys, 4), 0);
    assert_int_equal(find(&keys, 5), 5);
    assert_int_equal(find(&keys, 2), 22);
    place = NULL;
    assert_null(idempotency_next(&keys, &place, 4));
    idempotency_reset(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_row_can_be_undone),
        cmocka_unit_test(keys_are_walked_and_dropped_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
