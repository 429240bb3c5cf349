/* The contract of store.h: devices: enrolling, lapsing, revoking, and epochs that a store begins anew. */
#include "contract/store_rig.h"

#include <stdio.h>

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})
#define LAPSE (30 * STORE_RIG_DAY + 1)

static void devices_enrol_where_they_should(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, *state, NULL);
    store_rig_put(&rig, "u", "m1");
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    assert_int_equal(store_rig_enrol(&rig, "u", "first"), 0);
    assert_int_equal(store_rig_enrol(&rig, "u", "first"), 0);
    assert_int_equal(store_rig_enrol(&rig, "u", "later"), 0);
    struct peer_bound bound = store_rig_bound(&rig, "u", "first", 1);
    assert_int_equal(bound.verdict, SESSION_NEW);
    store_rig_expect(&bound.page, "m1 m2");
    bound = store_rig_bound(&rig, "u", "later", 2);
    assert_int_equal(bound.position.seq, m2);
    store_rig_expect(&bound.page, "");
    store_rig_close(&rig);
}

static void a_user_has_so_many_devices(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    char name[16];
    store_rig_open(&rig, *state, NULL);
    for (int i = 0; i < ROUTE_DEVICES_MAX; i++) {
        snprintf(name, sizeof name, "d%d", i);
        assert_int_equal(store_rig_enrol(&rig, "u", name), 0);
    }
    assert_int_equal(store_rig_enrol(&rig, "u", "more"), PETREL_E_TOO_LARGE);
    assert_int_equal(store_rig_bind(&rig, "u", "more", 1, (struct position){0, 0}, &bound), PETREL_E_TOO_LARGE);
    store_rig_bound(&rig, "u", "d0", 1);
    store_rig_advance(&rig, LAPSE);
    /* All but the bound one have lapsed: one of them gives way. */
    store_rig_bound(&rig, "u", "more", 1);
    struct peer_user user;
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 2);
    store_rig_close(&rig);
}

static void a_lapsed_device_holds_nothing_back_and_is_told(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound live = store_rig_bound(&rig, "u", "live", 1);
    struct peer_bound gone = store_rig_bound(&rig, "u", "gone", 1);
    store_rig_unbind(&rig, "u", "gone", 1);
    store_rig_advance(&rig, LAPSE);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 1);
    struct peer_send send = store_rig_send(&rig, "u", "for-gone");
    send.target.device = bytes_str("gone");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_UNREGISTERED);
    assert_int_equal(store_rig_ack(&rig, "u", "live", AT(live, m1)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 0);
    store_rig_put(&rig, "u", "m2");
    assert_int_equal(store_rig_bind(&rig, "u", "gone", 2, gone.position, &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_LAPSED);
    assert_int_equal(bound.page.gap.from, gone.position.seq);
    assert_int_equal(bound.page.gap.to, m1);
    assert_int_equal(bound.page.gap.lost_at_most, 1);
    store_rig_expect(&bound.page, "m2");
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 2);
    store_rig_close(&rig);
}

/* As a live session does that was answered UNROUTED. */
static void bind_again(struct store_rig *rig, const char *device, struct position at)
{
    struct peer_bound bound;
    struct store_request request = {.in.bind = {.target = store_rig_target("u", device),
                                                .attempt = 1,
                                                .position = at,
                                                .route = store_rig_route(1),
                                                .max_entries = PEER_PAGE_MAX,
                                                .max_bytes = PEER_PAGE_BYTES,
                                                .live = true}};
    assert_int_equal(store_rig_run(rig, STORE_BIND, &request, &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_int_equal(bound.replaced.generation, 0);
}

static void a_session_that_lives_binds_again_and_never_lapses(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    struct store_append_out out;
    store_rig_open(&rig, *state, NULL);
    const uint64_t refresh = rig.options.limits.refresh_ms;
    const struct position at = store_rig_bound(&rig, "u", "d", 1).position;
    for (uint64_t passed = 0; passed < 3 * LAPSE; passed += refresh + 1) {
        store_rig_advance(&rig, refresh);
        assert_int_equal(store_rig_check(&rig, "u", "d", 1, at), PEER_SAME);
        store_rig_advance(&rig, 1);
        assert_int_equal(store_rig_check(&rig, "u", "d", 1, at), PEER_UNROUTED);
        bind_again(&rig, "d", at);
        assert_int_equal(store_rig_check(&rig, "u", "d", 1, at), PEER_SAME);
    }
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 1);
    assert_int_equal(user.devices[0].route.slot, 1);
    struct peer_send send = store_rig_send(&rig, "u", "for-d");
    send.target.device = bytes_str("d");
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(out.hits_count, 1);
    store_rig_close(&rig);
}

static void a_route_that_is_left_lapses_later_than_its_device_would(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user user;
    struct store_append_out out;
    store_rig_open(&rig, *state, NULL);
    const uint64_t refresh = rig.options.limits.refresh_ms;
    const struct position from = store_rig_bound(&rig, "u", "left", 7).position;
    store_rig_advance(&rig, LAPSE - 1 + 2 * refresh);
    struct peer_bound live = store_rig_bound(&rig, "u", "live", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_ack(&rig, "u", "live", AT(live, m1)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 2);
    assert_int_equal(user.pending, 1);

    store_rig_advance(&rig, 1);
    struct peer_send send = store_rig_send(&rig, "u", "m2");
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(out.hits_count, 1);
    assert_int_equal(out.hits[0].route.slot, 1);
    send = store_rig_send(&rig, "u", "for-left");
    send.target.device = bytes_str("left");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_UNREGISTERED);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 1);
    assert_int_equal(store_rig_ack(&rig, "u", "live", AT(live, m1 + 1)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 0);
    store_rig_put(&rig, "u", "m3");
    assert_int_equal(store_rig_bind(&rig, "u", "left", 8, from, &bound), 0);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_LAPSED);
    assert_int_equal(bound.page.gap.lost_at_most, 2);
    store_rig_expect(&bound.page, "m3");
    store_rig_close(&rig);
}

static void a_record_goes_with_the_last_route_that_is_left(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    store_rig_bound(&rig, "u", "d", 1);
    store_rig_advance(&rig, LAPSE - 1 + 2 * rig.options.limits.refresh_ms);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 1);
    store_rig_advance(&rig, 1);
    const int status = store_rig_user(&rig, "u", &user);
    assert_true(status == PETREL_E_NOT_FOUND || (status == 0 && user.count == 0)); /* found by nobody yet */
    store_rig_close(&rig);
}

static void restarts_are_fair_to_who_was_bound(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    store_rig_bound(&rig, "u", "d", 1);
    if (rig.subject->backend->keeps_routes) {
        store_rig_close(&rig);
        return;
    }
    store_rig_stop(&rig);
    store_rig_advance(&rig, 2 * LAPSE);
    store_rig_start(&rig);
    /* It was bound when the store went down, so it was there until now; later starts give it no more time. */
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 1);
    store_rig_advance(&rig, LAPSE / 2 + 1);
    store_rig_reopen(&rig);
    store_rig_advance(&rig, LAPSE / 2 + 1);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 0);
    store_rig_close(&rig);
}

static void without_devices_entries_wait(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    assert_int_equal(store_rig_enrol(&rig, "u", "d"), 0);
    store_rig_advance(&rig, LAPSE);
    store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 1);
    struct peer_bound bound = store_rig_bound(&rig, "u", "new", 1);
    store_rig_expect(&bound.page, "m1");
    store_rig_close(&rig);
}

static void revoked_means_older_tokens_are_refused(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    store_rig_bound(&rig, "u", "d", 9);
    struct store_request request = {.in.remove = {.target = store_rig_target("u", "d"), .revoked_ms = rig.clock.ms}};
    assert_int_equal(store_rig_run(&rig, STORE_REMOVE, &request, NULL), 0);
    assert_int_equal(request.out.removed.route.slot, 9);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 10, (struct position){0, 0}, &bound), PETREL_E_REVOKED);
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 10, (struct position){0, 0}, &bound), PETREL_E_REVOKED);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.count, 0);
    /* A later token enrols anew, and the attempts of the old installation count no more. */
    store_rig_advance(&rig, 1);
    store_rig_bound(&rig, "u", "d", 1);
    assert_int_equal(store_rig_remove(&rig, "u", "d", 0), 0);
    store_rig_bound(&rig, "u", "d", 1);
    assert_int_equal(store_rig_remove(&rig, "nobody", "d", 0), 0);
    assert_int_equal(store_rig_remove(&rig, "nobody", "d", rig.clock.ms), 0);
    assert_int_equal(store_rig_bind(&rig, "nobody", "d", 1, (struct position){0, 0}, &bound), PETREL_E_REVOKED);
    store_rig_close(&rig);
}

static void a_removed_device_frees_what_it_held(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound a = store_rig_bound(&rig, "u", "a", 1);
    store_rig_bound(&rig, "u", "b", 2);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    struct peer_send send = store_rig_send(&rig, "u", "for-b");
    send.target.device = bytes_str("b");
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    assert_int_equal(store_rig_ack(&rig, "u", "a", AT(a, m1 + 1)), 0);
    assert_int_equal(store_rig_remove(&rig, "u", "b", 0), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 0);
    assert_int_equal(store_rig_state(&rig, "u", "m1"), PEER_STATE_DELIVERED);
    assert_int_equal(store_rig_state(&rig, "u", "for-b"), PEER_STATE_DROPPED);
    store_rig_close(&rig);
}

static void a_device_the_store_forgot_is_told(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    store_rig_bound(&rig, "u", "other", 1);
    assert_int_equal(store_rig_remove(&rig, "u", "d", 0), 0);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, first.position, &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_LAPSED);
    assert_int_equal(bound.page.gap.lost_at_most, m1 - first.position.seq);
    store_rig_close(&rig);
}

static void a_restored_store_begins_an_epoch(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    store_rig_bound(&rig, "u", "e", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.head.epoch, first.page.epoch);
    rig.options.restored = true;
    store_rig_reopen(&rig);
    rig.options.restored = false;
    /* What the copy had counts on; what came after it, up to m1 + 5, was forgotten. */
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, m1), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_true(bound.position.epoch > first.page.epoch);
    assert_int_equal(bound.position.seq, m1);
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    assert_int_equal(m2, m1 + 1);
    assert_int_equal(store_rig_bind(&rig, "u", "e", 2, AT(first, m1 + 5), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(bound.page.gap.from, m1 + 5);
    assert_int_equal(bound.page.gap.to, m1);
    assert_int_equal(bound.page.gap.lost_at_most, 5);
    assert_int_equal(bound.position.seq, m1);
    store_rig_expect(&bound.page, "m2");
    /* A second time: a position of the first epoch is judged by the first base, not the last. */
    rig.options.restored = true;
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_bind(&rig, "u", "e", 3, AT(first, m2), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.position.seq, m1);
    store_rig_expect(&bound.page, "m2");
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_enrol_where_they_should),
        cmocka_unit_test(a_user_has_so_many_devices),
        cmocka_unit_test(a_lapsed_device_holds_nothing_back_and_is_told),
        cmocka_unit_test(a_session_that_lives_binds_again_and_never_lapses),
        cmocka_unit_test(a_route_that_is_left_lapses_later_than_its_device_would),
        cmocka_unit_test(a_record_goes_with_the_last_route_that_is_left),
        cmocka_unit_test(restarts_are_fair_to_who_was_bound),
        cmocka_unit_test(without_devices_entries_wait),
        cmocka_unit_test(revoked_means_older_tokens_are_refused),
        cmocka_unit_test(a_removed_device_frees_what_it_held),
        cmocka_unit_test(a_device_the_store_forgot_is_told),
        cmocka_unit_test(a_restored_store_begins_an_epoch),
    };
    return store_rig_main("store devices", tests, sizeof tests / sizeof tests[0]);
}
