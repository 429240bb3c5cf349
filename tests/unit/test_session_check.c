/* When a session checks, and what it does about what its check finds. Checks of many are in test_session_check_group.c. */
#include "base/err.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* A rig whose checks the test answers, and a session in it. */
static struct rig *open_checked(struct client *client, struct route *route)
{
    struct rig *rig = rig_new(NULL);
    atomic_store(&rig->answers_checks, false);
    *route = client_go_live(client, rig, "phone", 10);
    return rig;
}

static void session_checks_within_its_interval(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    /* In steps that are no stall's, which would make it check at once: a stall is over 1 s. */
    for (int i = 0; i < 305; i++) {
        rig_advance(rig, 999);
        if (i % 100 == 0)
            client_expect_silence(&client);
    }
    struct link_call *check = rig_take(rig, PEER_CHECK);
    struct peer_check said = rig_check(check, 0);
    assert_int_equal(check->in.check.count, 1);
    assert_int_equal(said.position.seq, 10);
    assert_int_equal(said.attempt, 1);
    assert_true(bytes_equal_str(said.target.device, "phone"));
    assert_true(route_equal(&said.route, &route));
    rig_answer_checked(rig, check, PEER_SAME);
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS), 1);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS_FAILED), 0);
    client_close(&client);
    rig_free(&rig);
}

static void stalled_loop_has_all_sessions_check(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client clients[5];
    const char *const names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        client_go_live(&clients[i], rig, names[i], 0);
    rig_advance(rig, 1500);
    rig_wait_metric(rig, METRIC_CHECKS, 5);
    assert_int_equal(metrics_get(rig->metrics, METRIC_LOOP_STALLS), 1);
    rig_dirty(rig);
    rig_wait_metric(rig, METRIC_CHECKS, 10);
    for (int i = 0; i < 5; i++) {
        client_expect_silence(&clients[i]);
        client_close(&clients[i]);
    }
    rig_free(&rig);
}

static void behind_leads_to_a_fetch(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    rig_answer_checked(rig, rig_provoke_check(rig), PEER_BEHIND);
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    assert_int_equal(fetch->in.fetch.position.seq, 10);
    struct peer_page page = rig_page(11, 11);
    rig_page_add(&page, 11, "lost on the way");
    rig_answer_page(rig, fetch, &page);
    rig_page_free(&page);
    client_take_push(&client, 11, 10, "lost on the way");
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS_FAILED), 1);
    client_close(&client);
    rig_free(&rig);
}

static void loss_during_a_check_is_checked_again(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    struct link_call *check = rig_provoke_check(rig);
    /* Asked before the second loss: what it says is not enough. */
    struct link_call *second = rig_provoke_check(rig);
    rig_answer_checked(rig, check, PEER_SAME);
    rig_answer_checked(rig, second, PEER_SAME);
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS), 2);
    client_close(&client);
    rig_free(&rig);
}

/* The log may have lost the route between the bind and its answer. */
static void loss_during_the_bind_is_checked(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    atomic_store(&rig->answers_checks, false);
    client_open(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    rig_dirty(rig);
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = at(10), .page = rig_page(10, 10)};
    rig_answer_bound(rig, bind, &bound);
    client_take(&client, SESSION_CONNECTED);
    rig_answer_checked(rig, rig_take(rig, PEER_CHECK), PEER_SAME);
    client_close(&client);
    rig_free(&rig);
}

static void page_older_than_the_check_is_not_trusted(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    struct link_call *check = rig_provoke_check(rig);
    rig_deliver(rig, route, at(12), 11, NULL);
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    /* The log moved to 13 after the page was read and before the check; its Deliver was lost. */
    rig_answer_checked(rig, check, PEER_BEHIND);
    struct peer_page page = rig_page(12, 12);
    rig_answer_page(rig, fetch, &page);
    check = NULL;
    while (check == NULL) {
        struct link_call *call = rig_take_any(rig);
        if (call->in.type == PEER_CHECK)
            check = call;
        else
            rig_answer(rig, call, 0); /* the ack of an empty page */
    }
    assert_int_equal(rig_check(check, 0).position.seq, 12);
    rig_answer_checked(rig, check, PEER_BEHIND);
    page = rig_page(13, 13);
    rig_page_add(&page, 13, "thirteen");
    fetch = rig_take_any(rig);
    if (fetch->in.type == PEER_ACK) {
        rig_answer(rig, fetch, 0);
        fetch = rig_take_any(rig);
    }
    assert_int_equal(fetch->in.type, PEER_FETCH);
    rig_answer_page(rig, fetch, &page);
    rig_page_free(&page);
    client_take_push(&client, 13, 10, "thirteen");
    client_close(&client);
    rig_free(&rig);
}

static void replaced_closes(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    rig_answer_checked(rig, rig_provoke_check(rig), PEER_REPLACED);
    client_take_error(&client, SESSION_CODE_REPLACED);
    rig_wait_metric(rig, METRIC_REPLACED, 1);
    /* The route is another's by now. */
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void unrouted_binds_again_without_a_word(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    rig_answer_checked(rig, rig_provoke_check(rig), PEER_UNROUTED);
    struct link_call *bind = rig_take(rig, PEER_BIND);
    assert_true(route_equal(&bind->in.bind.route, &route));
    assert_int_equal(bind->in.bind.attempt, 1);
    assert_int_equal(bind->in.bind.position.seq, 10);
    assert_true(bind->in.bind.live); /* what was sent is no ack */
    /* Delivers go on meanwhile; what the page holds of them again is not sent twice. */
    rig_deliver(rig, route, at(11), 10, "eleven");
    client_take_push(&client, 11, 10, "eleven");
    rig_answer(rig, bind, PETREL_E_UNAVAILABLE);
    bind = rig_take(rig, PEER_BIND);
    assert_int_equal(bind->in.bind.position.seq, 11);
    rig_deliver(rig, route, at(12), 11, "twelve");
    client_take_push(&client, 12, 11, "twelve");
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(11), .page = rig_page(13, 13)};
    rig_page_add(&bound.page, 12, "twelve");
    rig_page_add(&bound.page, 13, "lost with the route");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take_push(&client, 13, 12, "lost with the route");
    rig_deliver(rig, route, at(14), 13, "fourteen");
    client_take_push(&client, 14, 13, "fourteen");
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void binding_again_tells_only_gaps_that_are_ahead(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    rig_answer_checked(rig, rig_provoke_check(rig), PEER_UNROUTED);
    struct link_call *bind = rig_take(rig, PEER_BIND);
    /* 11 is taken while the bind, whose position is 10, is under way. */
    rig_deliver(rig, route, at(11), 10, "eleven");
    client_take_push(&client, 11, 10, "eleven");
    struct peer_bound bound = {.verdict = SESSION_GAPPED, .position = at(11), .page = rig_page(12, 12)};
    bound.page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 10, .to = 11, .floor = 11, .lost_at_most = 1};
    rig_page_add(&bound.page, 12, "twelve");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take_push(&client, 12, 11, "twelve");
    rig_answer_checked(rig, rig_provoke_check(rig), PEER_UNROUTED);
    bind = rig_take(rig, PEER_BIND);
    bound = (struct peer_bound){.verdict = SESSION_GAPPED, .position = at(20), .page = rig_page(20, 20)};
    bound.page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 12, .to = 20, .floor = 20, .lost_at_most = 8};
    rig_answer_bound(rig, bind, &bound);
    assert_int_equal(client_take(&client, SESSION_GAP)->gap.to.seq, 20);
    client_close(&client);
    rig_free(&rig);
}

static void binding_again_may_be_refused(void **state)
{
    (void)state;
    const struct {
        int status;
        uint32_t code;
    } cases[] = {{PETREL_E_STALE, SESSION_CODE_REPLACED}, {PETREL_E_REVOKED, SESSION_CODE_REVOKED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client;
        struct route route;
        struct rig *rig = open_checked(&client, &route);
        rig_answer_checked(rig, rig_provoke_check(rig), PEER_UNROUTED);
        rig_answer(rig, rig_take(rig, PEER_BIND), cases[i].status);
        client_take_error(&client, cases[i].code);
        client_close(&client);
        rig_free(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_checks_within_its_interval),
        cmocka_unit_test(stalled_loop_has_all_sessions_check),
        cmocka_unit_test(behind_leads_to_a_fetch),
        cmocka_unit_test(loss_during_a_check_is_checked_again),
        cmocka_unit_test(loss_during_the_bind_is_checked),
        cmocka_unit_test(page_older_than_the_check_is_not_trusted),
        cmocka_unit_test(replaced_closes),
        cmocka_unit_test(unrouted_binds_again_without_a_word),
        cmocka_unit_test(binding_again_tells_only_gaps_that_are_ahead),
        cmocka_unit_test(binding_again_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
