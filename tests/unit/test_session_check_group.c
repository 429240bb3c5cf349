/* Checks of many sessions: how many go together and how many groups are under way, and what becomes of a group of which some differ, some
 * could not be asked, or some are gone. */
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

/* ---- paces ---- */

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
    struct link_call *check = rig_provoke_check(rig);
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
    struct link_call *check = rig_provoke_check(rig);
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
    struct link_call *check = rig_provoke_check(rig);
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
    struct link_call *check = rig_provoke_check(rig);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_are_paced),
        cmocka_unit_test(partings_are_paced),
        cmocka_unit_test(those_that_differ_are_seen_to),
        cmocka_unit_test(one_that_could_not_be_asked_is_asked_again),
        cmocka_unit_test(a_lost_answer_has_all_asked_again),
        cmocka_unit_test(one_of_a_group_may_be_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
