/* What is done to sessions from outside: evictions, lists, drains, the end of the role. */
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

/* ---- evictions and lists ---- */

static void evict_takes_the_whole_route(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 0);
    struct route others[] = {route, route, route, route, route};
    others[0].generation++;
    others[1].slot++;
    others[2].loop++;
    others[3].node++;
    others[4].incarnation++;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        rig_evict(rig, others[i], SESSION_CODE_REPLACED);
        client_expect_silence(&client);
    }
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

static void sessions_of_a_deleted_app_are_closed(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_go_live(&client, rig, "phone", 0);
    rig_tell_app(rig, "other", 2);
    rig_wait_sweep(rig);
    client_take_error(&client, SESSION_CODE_UNKNOWN_APP);
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
    assert_in_range(goaway->deadline_ms, 1, 20000); /* what is left of it */
    assert_int_equal(goaway->spread_ms, 7000);
    assert_int_equal(goaway->targets_count, 0);
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
        cmocka_unit_test(evict_takes_the_whole_route),          cmocka_unit_test(sessions_are_listed_in_pages),
        cmocka_unit_test(sessions_of_a_deleted_app_are_closed), cmocka_unit_test(drain_sends_everyone_away),
        cmocka_unit_test(close_waits_for_what_is_under_way),    cmocka_unit_test(many_sessions_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
