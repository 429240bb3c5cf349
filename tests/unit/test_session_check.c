/* What happens to sessions over time: heartbeats, tokens, checks. */
#include "base/err.h"
#include "session/session_call.h"
#include "session/session_checks.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* ---- heartbeats, tokens ---- */

static void silent_session_is_closed_and_a_pinging_one_lives(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client silent, pinging;
    client_go_live(&silent, rig, "silent", 0);
    client_go_live(&pinging, rig, "pinging", 0);
    /* 1.5 x 240 s + 5 s. */
    rig_advance(rig, 200000);
    client_expect_silence(&pinging);
    rig_advance(rig, 160000);
    client_expect_silence(&pinging);
    rig_advance(rig, 10000);
    client_take_error(&silent, SESSION_CODE_HEARTBEAT_TIMEOUT);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_expect_silence(&pinging);
    rig_wait_metric(rig, METRIC_HEARTBEAT_TIMEOUTS, 1);
    client_close(&silent);
    client_close(&pinging);
    rig_free(&rig);
}

static void expired_token_ends_the_session(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_go_live(&client, rig, "phone", 0);
    for (int i = 0; i < 12; i++) {
        rig_advance(rig, 300000);
        client_expect_silence(&client);
    }
    rig_advance(rig, (TOKEN_LEEWAY_S + 5) * 1000);
    client_take_error(&client, SESSION_CODE_TOKEN_EXPIRED);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&client);
    rig_free(&rig);
}

/* ---- checks ---- */

/* A rig whose checks the test answers, and a session in it. */
static struct rig *open_checked(struct client *client, struct route *route)
{
    struct rig *rig = rig_new(NULL);
    atomic_store(&rig->answers_checks, false);
    *route = client_go_live(client, rig, "phone", 10);
    return rig;
}

static struct link_call *provoke_check(struct rig *rig)
{
    rig_dirty(rig);
    struct link_call *check = rig_take(rig, PEER_CHECK);
    assert_int_equal(rig_check(check, 0).position.epoch, RIG_EPOCH);
    return check;
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

/* Sessions of a rig whose checks the test answers. */
static struct client *open_many(struct rig **rig, int count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 3U * (rlim_t)count)
        skip();
    struct session_config config = rig_config();
    config.max_unauthenticated_per_address = (uint32_t)count;
    *rig = rig_new(&config);
    atomic_store(&(*rig)->answers_checks, false);
    struct client *clients = calloc((size_t)count, sizeof *clients);
    assert_non_null(clients);
    for (int i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        client_go_live(&clients[i], *rig, name, 0);
    }
    return clients;
}

/* However many sessions there are, a bounded number of checks is under way; what comes back makes room for the next. */
static void checks_are_paced(void **state)
{
    (void)state;
    enum { ROOM = SESSION_CHECKS_GROUPS_MAX * PEER_CHECKS_MAX, COUNT = ROOM + 100 };
    struct rig *rig;
    struct client *clients = open_many(&rig, COUNT);
    rig_dirty(rig);
    struct link_call *groups[SESSION_CHECKS_GROUPS_MAX];
    uint32_t asked = 0;
    for (size_t i = 0; i < SESSION_CHECKS_GROUPS_MAX; i++) {
        groups[i] = rig_take(rig, PEER_CHECK);
        asked += groups[i]->in.check.count;
    }
    assert_true(asked <= ROOM);
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
    /* Others do not wait behind them. */
    struct peer_check first = rig_check(groups[0], 0);
    struct client *client = &clients[atoi((const char *)first.target.device.ptr + 1)];
    rig_deliver(rig, first.route, at(1), 0, "meanwhile");
    client_take_push(client, 1, 0, "meanwhile");
    client_ack(client, RIG_EPOCH, 1);
    rig_answer(rig, rig_take(rig, PEER_ACK), 0);
    for (size_t i = 0; i < SESSION_CHECKS_GROUPS_MAX; i++)
        rig_answer_checked(rig, groups[i], PEER_SAME);
    while (asked < COUNT) {
        struct link_call *group = rig_take(rig, PEER_CHECK);
        asked += group->in.check.count;
        rig_answer_checked(rig, group, PEER_SAME);
    }
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
    assert_int_equal(asked, COUNT);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS), COUNT);
    atomic_store(&rig->answers_all, true);
    for (int i = 0; i < COUNT; i++)
        client_close(&clients[i]);
    free(clients);
    rig_free(&rig);
}

static void partings_are_paced(void **state)
{
    (void)state;
    enum { COUNT = SESSION_CALLS_PACED_MAX + 100 };
    struct rig *rig;
    struct client *clients = open_many(&rig, COUNT);
    for (int i = 0; i < COUNT; i++)
        client_close(&clients[i]);
    free(clients);
    struct link_call *unbinds[SESSION_CALLS_PACED_MAX];
    for (size_t i = 0; i < SESSION_CALLS_PACED_MAX; i++)
        unbinds[i] = rig_take(rig, PEER_UNBIND);
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
    for (size_t i = 0; i < SESSION_CALLS_PACED_MAX; i++)
        rig_answer(rig, unbinds[i], 0);
    for (size_t i = SESSION_CALLS_PACED_MAX; i < COUNT; i++)
        rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    rig_expect_no_call(rig);
    rig_free(&rig);
}

/* ---- groups ---- */

enum { MEMBERS = 5 };

static struct rig *open_members(struct client clients[MEMBERS])
{
    static const char *const names[MEMBERS] = {"a", "b", "c", "d", "e"};
    struct rig *rig = rig_new(NULL);
    atomic_store(&rig->answers_checks, false);
    for (size_t i = 0; i < MEMBERS; i++)
        client_go_live(&clients[i], rig, names[i], 10);
    return rig;
}

static void close_members(struct rig **rig, struct client clients[MEMBERS])
{
    atomic_store(&(*rig)->answers_all, true);
    for (size_t i = 0; i < MEMBERS; i++)
        client_close(&clients[i]);
    rig_free(rig);
}

/* What is wrong with some is no matter of the others. */
static void those_that_differ_are_seen_to(void **state)
{
    (void)state;
    struct client clients[MEMBERS];
    struct rig *rig = open_members(clients);
    struct link_call *check = provoke_check(rig);
    assert_int_equal(check->in.check.count, MEMBERS);
    struct peer_checked checked = {3, {{1, PEER_BEHIND}, {3, PEER_UNROUTED}, {MEMBERS, PEER_REPLACED}}};
    struct route unrouted = rig_check(check, 3).route;
    rig_answer_differing(rig, check, &checked);
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    struct link_call *bind = rig_take(rig, PEER_BIND);
    assert_true(route_equal(&bind->in.bind.route, &unrouted));
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS_FAILED), 2);
    struct peer_page page = rig_page(10, 10);
    rig_answer_page(rig, fetch, &page);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(10, 10)};
    rig_answer_bound(rig, bind, &bound);
    rig_expect_no_call(rig);
    for (size_t i = 0; i < MEMBERS; i++)
        client_expect_silence(&clients[i]);
    close_members(&rig, clients);
}

static void one_that_could_not_be_asked_is_asked_again(void **state)
{
    (void)state;
    struct client clients[MEMBERS];
    struct rig *rig = open_members(clients);
    struct link_call *check = provoke_check(rig);
    struct route route = rig_check(check, 2).route;
    struct peer_checked checked = {1, {{2, PEER_UNKNOWN}}};
    rig_answer_differing(rig, check, &checked);
    rig_wait_sweep(rig);
    check = rig_take(rig, PEER_CHECK);
    struct peer_check again = rig_check(check, 0);
    assert_int_equal(check->in.check.count, 1);
    assert_true(route_equal(&again.route, &route));
    assert_int_equal(metrics_get(rig->metrics, METRIC_CHECKS_FAILED), 0);
    rig_answer_checked(rig, check, PEER_SAME);
    rig_expect_no_call(rig);
    close_members(&rig, clients);
}

static void a_lost_answer_has_all_asked_again(void **state)
{
    (void)state;
    static const int statuses[] = {PETREL_E_TIMEOUT, PETREL_E_UNAVAILABLE, PETREL_E_BUSY, PETREL_E_INVALID};
    struct client clients[MEMBERS];
    struct rig *rig = open_members(clients);
    struct link_call *check = provoke_check(rig);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        assert_int_equal(check->in.check.count, MEMBERS);
        rig_answer(rig, check, statuses[i]);
        rig_advance(rig, 900);
        rig_advance(rig, 900);
        rig_advance(rig, 900);
        check = rig_take(rig, PEER_CHECK);
    }
    rig_answer_checked(rig, check, PEER_SAME);
    rig_expect_no_call(rig);
    close_members(&rig, clients);
}

static void one_of_a_group_may_be_gone(void **state)
{
    (void)state;
    struct client clients[MEMBERS];
    struct rig *rig = open_members(clients);
    struct link_call *check = provoke_check(rig);
    client_close(&clients[0]);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    rig_answer_checked(rig, check, PEER_UNROUTED);
    for (size_t i = 1; i < MEMBERS; i++) {
        struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(10, 10)};
        rig_answer_bound(rig, rig_take(rig, PEER_BIND), &bound);
    }
    rig_expect_no_call(rig);
    /* Its slot may be another's by then. */
    rig_dirty(rig);
    check = rig_take(rig, PEER_CHECK);
    assert_int_equal(check->in.check.count, MEMBERS - 1);
    client_close(&clients[1]);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    struct client late[2];
    client_go_live(&late[0], rig, "late", 20);
    client_go_live(&late[1], rig, "later", 20);
    rig_answer_checked(rig, check, PEER_REPLACED);
    client_expect_silence(&late[0]);
    client_expect_silence(&late[1]);
    for (size_t i = 2; i < MEMBERS; i++)
        client_take_error(&clients[i], SESSION_CODE_REPLACED);
    client_close(&late[0]);
    client_close(&late[1]);
    close_members(&rig, clients);
}

static void behind_leads_to_a_fetch(void **state)
{
    (void)state;
    struct client client;
    struct route route;
    struct rig *rig = open_checked(&client, &route);
    rig_answer_checked(rig, provoke_check(rig), PEER_BEHIND);
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
    struct link_call *check = provoke_check(rig);
    /* Asked before the second loss: what it says is not enough. */
    struct link_call *second = provoke_check(rig);
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
    struct link_call *check = provoke_check(rig);
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
    rig_answer_checked(rig, provoke_check(rig), PEER_REPLACED);
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
    rig_answer_checked(rig, provoke_check(rig), PEER_UNROUTED);
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
    rig_answer_checked(rig, provoke_check(rig), PEER_UNROUTED);
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
    rig_answer_checked(rig, provoke_check(rig), PEER_UNROUTED);
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
        rig_answer_checked(rig, provoke_check(rig), PEER_UNROUTED);
        rig_answer(rig, rig_take(rig, PEER_BIND), cases[i].status);
        client_take_error(&client, cases[i].code);
        client_close(&client);
        rig_free(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_session_is_closed_and_a_pinging_one_lives),
        cmocka_unit_test(expired_token_ends_the_session),
        cmocka_unit_test(session_checks_within_its_interval),
        cmocka_unit_test(stalled_loop_has_all_sessions_check),
        cmocka_unit_test(checks_are_paced),
        cmocka_unit_test(partings_are_paced),
        cmocka_unit_test(those_that_differ_are_seen_to),
        cmocka_unit_test(one_that_could_not_be_asked_is_asked_again),
        cmocka_unit_test(a_lost_answer_has_all_asked_again),
        cmocka_unit_test(one_of_a_group_may_be_gone),
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
