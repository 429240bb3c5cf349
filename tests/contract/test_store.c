/* The contract of store.h: positions, verdicts, routes, acks. Rules of the log are in test_store_log.c, devices in
 * test_store_device.c, what lasts in test_store_durable.c. */
#include "contract/store_rig.h"

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})

static void append_and_bind_meet(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, *state, NULL);
    struct store_append_out out;
    struct peer_send send = store_rig_send(&rig, "u", "m1");
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(out.hits_count, 0);
    assert_false(out.sent.duplicate);
    assert_int_equal(out.sent.position.seq, out.prev + 1);
    uint64_t first = out.sent.position.seq;
    assert_int_equal(first, STORE_RIG_T0 * 1000 + 1);

    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    assert_int_equal(bound.verdict, SESSION_NEW);
    assert_int_equal(bound.position.seq, first - 1);
    assert_int_equal(bound.position.epoch, out.sent.position.epoch);
    assert_int_equal(bound.replaced.generation, 0);
    store_rig_expect(&bound.page, "m1");
    assert_int_equal(bound.page.entries[0].seq, first);
    assert_int_equal(bound.page.entries[0].expires_ms, send.expires_ms);
    assert_int_equal(bound.page.upto, first);
    assert_int_equal(bound.page.head, first);

    send = store_rig_send(&rig, "u", "m2");
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(out.prev, first);
    assert_int_equal(out.hits_count, 1);
    struct route route = store_rig_route(1);
    assert_true(route_equal(&out.hits[0].route, &route));
    assert_true(out.hits[0].target);
    store_rig_close(&rig);
}

static void a_fetch_reads_on_from_a_position(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    store_rig_put(&rig, "u", "m2");
    uint64_t m3 = store_rig_put(&rig, "u", "m3");
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "m1 m2 m3");
    assert_int_equal(store_rig_fetch(&rig, "u", "d", AT(bound, m1), 0, &page), 0);
    store_rig_expect(&page, "m2 m3");
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", AT(bound, m3), 0, &page), 0);
    store_rig_expect(&page, "");
    assert_int_equal(page.upto, m3);
    assert_int_equal(store_rig_fetch(&rig, "u", "stranger", AT(bound, m3), 0, &page), PETREL_E_UNREGISTERED);
    store_rig_close(&rig);
}

static void pages_are_bounded_and_go_on(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    const char *const texts[] = {"aaaa", "bbbb", "cccc", "dddd", "eeee"};
    uint64_t seq = 0;
    for (size_t i = 0; i < 5; i++)
        seq = store_rig_put(&rig, "u", texts[i]);
    struct store_request request = {
        .in.fetch = {
            .target = store_rig_target("u", "d"), .position = bound.position, .max_entries = 2, .max_bytes = 1000}};
    assert_int_equal(store_rig_run(&rig, STORE_FETCH, &request, &page), 0);
    store_rig_expect(&page, "aaaa bbbb");
    assert_int_equal(page.upto, seq - 3);
    assert_int_equal(page.head, seq);
    request.in.fetch.position = AT(bound, page.upto);
    request.in.fetch.max_entries = 64;
    request.in.fetch.max_bytes = 9;
    assert_int_equal(store_rig_run(&rig, STORE_FETCH, &request, &page), 0);
    store_rig_expect(&page, "cccc dddd");
    request.in.fetch.position = AT(bound, page.upto);
    request.in.fetch.max_bytes = 1;
    assert_int_equal(store_rig_run(&rig, STORE_FETCH, &request, &page), 0);
    store_rig_expect(&page, "eeee");
    assert_int_equal(page.upto, seq);
    store_rig_close(&rig);
}

static void a_position_resumes(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    store_rig_put(&rig, "u", "m2");
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, m1), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_int_equal(bound.position.seq, m1);
    store_rig_expect(&bound.page, "m2");
    /* The position was proof of m1: it is gone. */
    struct peer_user user;
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 1);
    assert_int_equal(user.devices[0].acked, m1);
    /* An older position than that is no gap: what it lacks, the device has acked. */
    assert_int_equal(store_rig_bind(&rig, "u", "d", 3, first.position, &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_int_equal(bound.position.seq, first.position.seq);
    store_rig_expect(&bound.page, "m2");
    /* Without one the session goes on where the device stands. */
    bound = store_rig_bound(&rig, "u", "d", 4);
    assert_int_equal(bound.verdict, SESSION_NEW);
    assert_int_equal(bound.position.seq, m1);
    store_rig_close(&rig);
}

static void a_position_ahead_is_that_devices_rollback(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user before, after;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_user(&rig, "u", &before), 0);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, m1 + 7), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(bound.page.gap.from, m1 + 7);
    assert_int_equal(bound.page.gap.to, bound.position.seq);
    assert_int_equal(bound.page.gap.lost_at_most, 7);
    /* What it never acked here is sent again; its ids keep repeats from the app. */
    store_rig_expect(&bound.page, "m1");
    assert_int_equal(store_rig_user(&rig, "u", &after), 0);
    assert_int_equal(after.head.seq, before.head.seq);
    assert_int_equal(after.head.epoch, before.head.epoch);
    assert_int_equal(after.floor, before.floor);
    struct position newer = {bound.page.epoch + 1, m1};
    assert_int_equal(store_rig_bind(&rig, "u", "d", 3, newer, &bound), 0);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_ROLLBACK);
    store_rig_close(&rig);
}

static void acks_trim_when_all_have_it(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "a", 1);
    store_rig_bound(&rig, "u", "b", 2);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    assert_int_equal(store_rig_ack(&rig, "u", "a", AT(bound, m2)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 2);
    assert_int_equal(user.pending_bytes, 4);
    assert_int_equal(user.count, 2);
    assert_int_equal(store_rig_ack(&rig, "u", "b", AT(bound, m1)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 1);
    /* An older one is nothing; one ahead of the log is refused; a stranger has nothing to ack. */
    assert_int_equal(store_rig_ack(&rig, "u", "b", AT(bound, m1 - 1)), 0);
    assert_int_equal(store_rig_ack(&rig, "u", "b", AT(bound, m2 + 1)), PETREL_E_INVALID);
    assert_int_equal(store_rig_ack(&rig, "u", "c", AT(bound, m1)), PETREL_E_UNREGISTERED);
    assert_int_equal(store_rig_ack(&rig, "u", "b", AT(bound, m2)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 0);
    assert_int_equal(user.head.seq, m2);
    store_rig_close(&rig);
}

static void routes_are_fenced_as_a_whole(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    store_rig_open(&rig, *state, NULL);
    bound = store_rig_bound(&rig, "u", "d", 1);
    struct position at = bound.position;
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, at), PEER_SAME);
    bound = store_rig_bound(&rig, "u", "d", 2);
    struct route first = store_rig_route(1);
    assert_true(route_equal(&bound.replaced, &first));
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, at), PEER_REPLACED);
    /* The old session's unbind comes late and hits nothing. */
    store_rig_unbind(&rig, "u", "d", 1);
    assert_int_equal(store_rig_check(&rig, "u", "d", 2, at), PEER_SAME);
    struct store_request request = {.in.unbind = {.target = store_rig_target("u", "d"), .route = store_rig_route(2)}};
    request.in.unbind.route.generation++;
    assert_int_equal(store_rig_run(&rig, STORE_UNBIND, &request, NULL), 0);
    assert_int_equal(store_rig_check(&rig, "u", "d", 2, at), PEER_SAME);
    store_rig_unbind(&rig, "u", "d", 2);
    assert_int_equal(store_rig_check(&rig, "u", "d", 2, at), PEER_UNROUTED);
    assert_int_equal(store_rig_check(&rig, "u", "stranger", 2, at), PEER_UNROUTED);
    store_rig_close(&rig);
}

static void a_late_bind_is_stale(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    store_rig_open(&rig, *state, NULL);
    store_rig_bound(&rig, "u", "d", 5);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 4, (struct position){0, 0}, &bound), PETREL_E_STALE);
    /* The same bind again is the same bind. */
    bound = store_rig_bound(&rig, "u", "d", 5);
    assert_int_equal(bound.replaced.generation, 0);
    store_rig_unbind(&rig, "u", "d", 5);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 4, (struct position){0, 0}, &bound), PETREL_E_STALE);
    store_rig_bound(&rig, "u", "d", 6);
    store_rig_close(&rig);
}

static int bind_live(struct store_rig *rig, uint64_t attempt, uint32_t slot, struct position at,
                     struct peer_bound *bound)
{
    struct store_request request = {.in.bind = {.target = store_rig_target("u", "d"),
                                                .attempt = attempt,
                                                .token_issued_ms = rig->clock.ms,
                                                .position = at,
                                                .route = store_rig_route(slot),
                                                .max_entries = PEER_PAGE_MAX,
                                                .max_bytes = PEER_PAGE_BYTES,
                                                .live = true}};
    return store_rig_run(rig, STORE_BIND, &request, bound);
}

/* A session that binds again knows what it sent, not what arrived: nothing goes from the log for that. */
static void a_live_session_proves_nothing(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct peer_user user;
    struct store_append_out out;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    store_rig_unbind(&rig, "u", "d", 1); /* as after a loss: the log knows no route */
    assert_int_equal(bind_live(&rig, 1, 7, AT(first, m1), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_int_equal(bound.position.seq, m1);
    assert_int_equal(bound.replaced.generation, 0);
    assert_false(bound.unnoted);
    store_rig_expect(&bound.page, "m2");
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 2);
    assert_int_equal(user.devices[0].acked, m1 - 1);
    struct peer_send send = store_rig_send(&rig, "u", "m3");
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(out.hits_count, 1);
    assert_int_equal(out.hits[0].route.slot, 7);
    /* The device did not get it: a new connection from where it stands does. */
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, m1), &bound), 0);
    store_rig_expect(&bound.page, "m2 m3");
    assert_int_equal(bound.replaced.slot, 7);
    /* And the live one, which is of an older attempt, is fenced off. */
    assert_int_equal(bind_live(&rig, 1, 7, AT(first, m2), &bound), PETREL_E_STALE);
    assert_int_equal(store_rig_check(&rig, "u", "d", 2, AT(first, m2 + 1)), PEER_SAME);
    store_rig_close(&rig);
}

static void a_check_compares_positions(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, bound.position), PEER_SAME);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, bound.position), PEER_BEHIND);
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, AT(bound, m1)), PEER_SAME);
    struct position other = {bound.page.epoch - 1, m1};
    assert_int_equal(store_rig_check(&rig, "u", "d", 1, other), PEER_BEHIND);
    store_rig_close(&rig);
}

static void names_are_held_to_their_rules(void **state)
{
    struct store_rig rig;
    struct peer_user user;
    struct peer_bound bound;
    store_rig_open(&rig, *state, NULL);
    assert_int_equal(store_rig_user(&rig, "", &user), PETREL_E_INVALID);
    assert_int_equal(store_rig_bind(&rig, "u", "no spaces", 1, (struct position){0, 0}, &bound), PETREL_E_INVALID);
    assert_int_equal(store_rig_bind(&rig, "u", NULL, 1, (struct position){0, 0}, &bound), PETREL_E_INVALID);
    struct peer_send send = store_rig_send(&rig, "u\n", "m1");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_INVALID);
    assert_int_equal(store_rig_user(&rig, "nobody", &user), PETREL_E_NOT_FOUND);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_and_bind_meet),
        cmocka_unit_test(a_fetch_reads_on_from_a_position),
        cmocka_unit_test(pages_are_bounded_and_go_on),
        cmocka_unit_test(a_position_resumes),
        cmocka_unit_test(a_position_ahead_is_that_devices_rollback),
        cmocka_unit_test(acks_trim_when_all_have_it),
        cmocka_unit_test(routes_are_fenced_as_a_whole),
        cmocka_unit_test(a_late_bind_is_stale),
        cmocka_unit_test(a_live_session_proves_nothing),
        cmocka_unit_test(a_check_compares_positions),
        cmocka_unit_test(names_are_held_to_their_rules),
    };
    return store_rig_main("store", tests, sizeof tests / sizeof tests[0]);
}
