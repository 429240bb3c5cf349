/* What happens to sessions over time: heartbeats, tokens, slow sockets, checks, evictions, lists, drains, the end. */
#include "base/err.h"
#include "base/object.h"
#include "unit/session_client.h"
#include "wire/peer_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* ---- heartbeats, tokens, slow sockets ---- */

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

static void socket_that_takes_nothing_is_closed(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.high_water_bytes = 1000;
    struct rig *rig = rig_new(&config);
    struct client client, other;
    client_go_live(&other, rig, "other", 0);
    client_open_narrow(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    struct route route = bind->in.bind.route;
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    char *text = calloc(1, 60001);
    assert_non_null(text);
    memset(text, 'x', 60000);
    for (uint64_t seq = 1; metrics_get(rig->metrics, METRIC_BEHIND) == 0; seq++)
        rig_deliver(rig, route, at(seq), seq - 1, text);
    free(text);
    /* It pings, so it is alive; but it does not read. */
    for (int i = 0; i < 30 && metrics_get(rig->metrics, METRIC_SESSIONS) == 2; i++) {
        client_ping(&client, 1);
        rig_advance(rig, 10000);
        client_expect_silence(&other);
    }
    rig_wait_metric(rig, METRIC_SESSIONS, 1);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    assert_int_equal(metrics_get(rig->metrics, METRIC_HEARTBEAT_TIMEOUTS), 0);
    client_close(&client);
    client_close(&other);
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
    assert_int_equal(check->in.check.position.epoch, RIG_EPOCH);
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
    assert_int_equal(check->in.check.position.seq, 10);
    assert_true(route_equal(&check->in.check.route, &route));
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
    rig_dirty(rig);
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
    /* Asked before the second loss: what it says is not enough. */
    rig_answer_checked(rig, check, PEER_SAME);
    rig_answer_checked(rig, rig_take(rig, PEER_CHECK), PEER_SAME);
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
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
    assert_int_equal(check->in.check.position.seq, 12);
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
    /* Delivers go on meanwhile; what the page holds of them again is not sent twice. */
    rig_deliver(rig, route, at(12), 11, "needs the page");
    rig_answer(rig, bind, PETREL_E_UNAVAILABLE);
    bind = rig_take(rig, PEER_BIND);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(12, 12)};
    rig_page_add(&bound.page, 11, "eleven");
    rig_page_add(&bound.page, 12, "twelve");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take_push(&client, 11, 10, "eleven");
    client_take_push(&client, 12, 11, "twelve");
    rig_deliver(rig, route, at(13), 12, "thirteen");
    client_take_push(&client, 13, 12, "thirteen");
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
    bound.page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 10, .to = 11, .lost_at_most = 1};
    rig_page_add(&bound.page, 12, "twelve");
    rig_answer_bound(rig, bind, &bound);
    rig_page_free(&bound.page);
    client_take_push(&client, 12, 11, "twelve");
    rig_answer_checked(rig, provoke_check(rig), PEER_UNROUTED);
    bind = rig_take(rig, PEER_BIND);
    bound = (struct peer_bound){.verdict = SESSION_GAPPED, .position = at(20), .page = rig_page(20, 20)};
    bound.page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 12, .to = 20, .lost_at_most = 8};
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

/* ---- evictions and lists ---- */

static void evict_takes_the_whole_route(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 0);
    struct route other = route;
    other.generation++;
    rig_evict(rig, other, SESSION_CODE_REPLACED);
    client_expect_silence(&client);
    rig_evict(rig, route, SESSION_CODE_REPLACED);
    client_take_error(&client, SESSION_CODE_REPLACED);
    rig_evict(rig, route, SESSION_CODE_REPLACED);
    client_close(&client);
    /* Also before the bind's reply: the newer session came between. */
    client_open(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    rig_evict(rig, bind->in.bind.route, SESSION_CODE_REPLACED);
    client_take_error(&client, SESSION_CODE_REPLACED);
    rig_answer(rig, bind, PETREL_E_STALE);
    client_close(&client);
    rig_free(&rig);
}

struct listed {
    struct peer_session_list list;
    int status;
    int done;
    int count;
    char devices[8][ROUTE_DEVICE_MAX + 1];
    struct link_call call;
};

static void on_listed(struct link_call *call)
{
    struct listed *listed = container_of(call, struct listed, call);
    listed->status = call->reply.status;
    listed->list = call->reply.sessions;
    listed->done = 1;
}

static void do_list(struct rig *rig, void *arg)
{
    struct listed *listed = arg;
    (void)link_ask_at(rig->link, RIG_NODE, 0, &listed->call, on_listed);
}

static void note_session(void *ctx, const struct peer_session *session)
{
    struct listed *listed = ctx;
    memcpy(listed->devices[listed->count], session->device.ptr, session->device.len);
    listed->devices[listed->count++][session->device.len] = '\0';
}

static void list(struct rig *rig, struct listed *listed, const char *user, uint32_t slot, uint32_t limit)
{
    *listed = (struct listed){.done = 0};
    listed->call.in.type = PEER_SESSIONS;
    listed->call.in.sessions =
        (struct peer_sessions){.app = bytes_str("demo"), .user = bytes_str(user), .slot = slot, .limit = limit};
    rig_run(rig, do_list, listed);
    rig_turns(rig);
    assert_int_equal(listed->done, 1);
    assert_int_equal(listed->status, 0);
    assert_int_equal(peer_record_each_session(buf_bytes(listed->list.records), note_session, listed), 0);
    assert_int_equal(listed->count, listed->list.count);
    buf_unref(listed->list.records);
}

static void sessions_are_listed_in_pages(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client clients[3];
    const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        client_go_live(&clients[i], rig, names[i], 0);
    struct listed listed;
    list(rig, &listed, "ada", 0, 2);
    assert_int_equal(listed.count, 2);
    assert_string_equal(listed.devices[0], "a");
    assert_string_equal(listed.devices[1], "b");
    assert_int_not_equal(listed.list.next_slot, 0);
    list(rig, &listed, "ada", listed.list.next_slot, 2);
    assert_int_equal(listed.count, 1);
    assert_string_equal(listed.devices[0], "c");
    assert_int_equal(listed.list.next_slot, 0);
    list(rig, &listed, "nobody", 0, 100);
    assert_int_equal(listed.count, 0);
    list(rig, &listed, "ada", 4000000000U, 100);
    assert_int_equal(listed.count, 0);
    for (int i = 0; i < 3; i++)
        client_close(&clients[i]);
    rig_free(&rig);
}

/* ---- drain and close ---- */

static void drain_sends_everyone_away(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client stays, leaves, binding, accepted;
    client_go_live(&stays, rig, "stays", 0);
    client_go_live(&leaves, rig, "leaves", 0);
    client_open(&binding, rig->port);
    client_connect(&binding, rig, "binding", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    client_open(&accepted, rig->port);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 4);
    rig_drain(rig, SESSION_CODE_DRAIN, 20000, 7000);
    const struct session_goaway *goaway = &client_take(&stays, SESSION_GOAWAY)->goaway;
    assert_int_equal(goaway->code, SESSION_CODE_DRAIN);
    assert_int_equal(goaway->deadline_ms, 20000);
    assert_int_equal(goaway->spread_ms, 7000);
    assert_int_equal(goaway->backoff_ms, session_role_defaults().backoff_ms);
    client_take(&leaves, SESSION_GOAWAY);
    client_disconnect(&leaves);
    client_take_end(&leaves);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    /* Who was on the way in is let in and told; who comes now is not let in. */
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    client_take(&binding, SESSION_CONNECTED);
    assert_true(client_take(&binding, SESSION_GOAWAY)->goaway.deadline_ms <= 20000);
    client_connect(&accepted, rig, "accepted", 1, at(0));
    client_take_error(&accepted, SESSION_CODE_DRAIN);
    /* The session is served until the deadline. */
    client_expect_silence(&stays);
    rig_advance(rig, 20000);
    client_take_end(&stays);
    client_take_end(&binding);
    for (int i = 0; i < 2; i++)
        rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&stays);
    client_close(&leaves);
    client_close(&binding);
    client_close(&accepted);
    rig_free(&rig);
}

static void close_waits_for_what_is_under_way(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client live, binding, accepted;
    client_go_live(&live, rig, "live", 0);
    client_open(&binding, rig->port);
    client_connect(&binding, rig, "binding", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    client_open(&accepted, rig->port);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 3);
    rig_begin_close_role(rig);
    client_take_error(&live, SESSION_CODE_SHUTDOWN);
    client_take_error(&binding, SESSION_CODE_SHUTDOWN);
    client_take_error(&accepted, SESSION_CODE_SHUTDOWN);
    client_close(&live);
    client_close(&binding);
    client_close(&accepted);
    struct link_call *unbind = rig_take(rig, PEER_UNBIND);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 0);
    rig_expect_no_call(rig);
    assert_false(rig_role_closed(rig));
    rig_answer(rig, unbind, 0);
    rig_turns(rig);
    assert_false(rig_role_closed(rig));
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    rig_wait_role_closed(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_SESSIONS), 0);
    rig_free(&rig);
}

static void many_sessions_come_and_go(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    enum { COUNT = 60 };
    struct client clients[COUNT];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "d%d", i);
            client_go_live(&clients[i], rig, name, 0);
        }
        rig_wait_metric(rig, METRIC_SESSIONS, COUNT);
        for (int i = 0; i < COUNT; i++)
            client_close(&clients[i]);
        for (int i = 0; i < COUNT; i++)
            rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
        rig_wait_metric(rig, METRIC_CONNECTIONS, 0);
    }
    rig_expect_no_call(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_SESSIONS), 0);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_session_is_closed_and_a_pinging_one_lives),
        cmocka_unit_test(expired_token_ends_the_session),
        cmocka_unit_test(socket_that_takes_nothing_is_closed),
        cmocka_unit_test(session_checks_within_its_interval),
        cmocka_unit_test(stalled_loop_has_all_sessions_check),
        cmocka_unit_test(behind_leads_to_a_fetch),
        cmocka_unit_test(loss_during_a_check_is_checked_again),
        cmocka_unit_test(page_older_than_the_check_is_not_trusted),
        cmocka_unit_test(replaced_closes),
        cmocka_unit_test(unrouted_binds_again_without_a_word),
        cmocka_unit_test(binding_again_tells_only_gaps_that_are_ahead),
        cmocka_unit_test(binding_again_may_be_refused),
        cmocka_unit_test(evict_takes_the_whole_route),
        cmocka_unit_test(sessions_are_listed_in_pages),
        cmocka_unit_test(drain_sends_everyone_away),
        cmocka_unit_test(close_waits_for_what_is_under_way),
        cmocka_unit_test(many_sessions_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
