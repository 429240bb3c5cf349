/* A user goes to rest and wakes as who it was. */
#include "store/inbox_pack.h"
#include "store/store_sqlite_rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define T0 1800000000000ULL

static struct store_user *make_user(const char *key, uint32_t devices)
{
    const struct store_limits limits = store_limits_default();
    struct store_user *user = store_sqlite_rest_user(bytes_str(key));
    struct journal_event event = {
        .type = JOURNAL_CREATE, .at_ms = T0, .create = {.epoch = T0 / 1000, .head = T0 * 1000}};
    assert_int_equal(inbox_state_apply(&user->inbox, &limits, &event), 0);
    for (uint32_t number = 1; number <= devices; number++) {
        char name[ROUTE_DEVICE_MAX + 1];
        snprintf(name, sizeof name, "installation-%02u", number);
        event = (struct journal_event){.type = JOURNAL_ENROL,
                                       .at_ms = T0,
                                       .enrol = {.number = number, .name = bytes_str(name), .acked = T0 * 1000}};
        assert_int_equal(inbox_state_apply(&user->inbox, &limits, &event), 0);
        event = (struct journal_event){
            .type = JOURNAL_BOUND, .at_ms = T0, .device = {.number = number, .attempt = T0 / 1000}};
        assert_int_equal(inbox_state_apply(&user->inbox, &limits, &event), 0);
    }
    return user;
}

static struct route some_route(uint32_t slot)
{
    return (struct route){.incarnation = T0 + 5, .node = 3, .loop = 1, .slot = slot, .generation = 7};
}

static void free_user(struct store_user *user)
{
    inbox_state_reset(&user->inbox);
    free(user);
}

static void assert_same(const struct store_user *one, const struct store_user *other)
{
    struct bytebuf a = {0}, b = {0};
    inbox_pack(&a, &one->inbox);
    inbox_pack(&b, &other->inbox);
    assert_true(bytes_equal(bytes_view(&a), bytes_view(&b)));
    assert_true(bytes_equal(one->inbox.key, other->inbox.key));
    for (uint32_t i = 0; i < one->inbox.devices_count; i++)
        assert_memory_equal(&one->inbox.devices[i].route, &other->inbox.devices[i].route, sizeof(struct route));
    bytes_reset(&a);
    bytes_reset(&b);
}

static void it_wakes_as_who_it_was(void **state)
{
    (void)state;
    struct bytebuf scratch = {0};
    for (uint32_t devices = 0; devices <= ROUTE_DEVICES_MAX; devices++) {
        struct store_user *user = make_user("app/somebody", devices);
        for (uint32_t i = 0; i < devices; i += 2)
            user->inbox.devices[i].route = some_route(UINT32_MAX - i);
        struct store_rest *rest = store_sqlite_rest_make(user, T0, &scratch);
        assert_int_equal(rest->routes_len > 0, devices > 0);
        assert_true(bytes_equal(store_sqlite_rest_key(rest), store_sqlite_rest_key(user)));
        struct store_user *woken = store_sqlite_rest_wake(rest);
        assert_same(user, woken);
        free(rest);
        free_user(woken);
        free_user(user);
    }
    bytes_reset(&scratch);
}

static void who_has_no_record_rests_too(void **state)
{
    (void)state;
    struct bytebuf scratch = {0};
    struct store_user *user = store_sqlite_rest_user(bytes_str("k"));
    struct store_rest *rest = store_sqlite_rest_make(user, UINT64_MAX, &scratch);
    assert_int_equal(rest->look_s, UINT32_MAX);
    struct store_user *woken = store_sqlite_rest_wake(rest);
    assert_false(inbox_state_exists(&woken->inbox));
    free(rest);
    free_user(woken);
    free_user(user);
    bytes_reset(&scratch);
}

static void who_waits_for_something_does_not_rest(void **state)
{
    (void)state;
    const struct store_limits limits = store_limits_default();
    struct store_user *user = make_user("k", 1);
    assert_true(store_sqlite_rest_possible(user));
    user->is_touched = true;
    assert_false(store_sqlite_rest_possible(user));
    user->is_touched = false;
    user->inbox.unsaved = true;
    assert_false(store_sqlite_rest_possible(user));
    user->inbox.unsaved = false;
    struct buf *message = buf_copy(bytes_str("m"));
    const struct journal_event event = {
        .type = JOURNAL_APPEND, .at_ms = T0, .append = {.message = message, .expires_ms = T0 + 1}};
    assert_int_equal(inbox_state_apply(&user->inbox, &limits, &event), 0);
    assert_false(store_sqlite_rest_possible(user));
    buf_unref(message);
    free_user(user);
}

/* One bound device, nothing pending: the sum is what an idle session costs the store, with 8 bytes of the allocator's and 20 of the
 * index's. */
static void an_idle_user_is_small(void **state)
{
    (void)state;
    struct bytebuf scratch = {0};
    struct store_user *user = make_user("bench-user-000001", 1);
    user->inbox.devices[0].route = some_route(1000000);
    struct store_rest *rest = store_sqlite_rest_make(user, T0, &scratch);
    assert_true(store_sqlite_rest_bytes(rest) + 8 + 20 <= 150);
    print_message("%zu bytes\n", store_sqlite_rest_bytes(rest));
    free(rest);
    free_user(user);
    bytes_reset(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_wakes_as_who_it_was),
        cmocka_unit_test(who_has_no_record_rests_too),
        cmocka_unit_test(who_waits_for_something_does_not_rest),
        cmocka_unit_test(an_idle_user_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
