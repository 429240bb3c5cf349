/* Sessions sent to other nodes: an operator's drain and move, where GOAWAY leads, and how many come in. Time is the test's own. */
#include "base/err.h"
#include "base/object.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define OTHER 9
#define DEADLINE_MS 10000 /* of a GOAWAY by DRAIN */

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* ---- who there is ---- */

static struct discovery_view *view_of(size_t count, uint32_t connects_per_second)
{
    struct discovery_view *view = object_zalloc(sizeof *view + count * sizeof view->nodes[0]);
    atomic_init(&view->refs, 1);
    view->count = count;
    for (size_t i = 0; i < count; i++) {
        struct discovery_node *node = &view->nodes[i];
        node->number = i == 0 ? RIG_NODE : OTHER;
        node->roles = DISCOVERY_SESSION;
        node->max_sessions = 1000;
        node->connects_per_second = connects_per_second;
        node->loops = 2;
        (void)snprintf(node->session_address, sizeof node->session_address, "node-%u:7400", (unsigned)node->number);
    }
    return view;
}

static void do_view(struct rig *rig, void *arg)
{
    session_role_view(rig->role, arg);
}

/* This node, and another one if so wanted. */
static void show(struct rig *rig, bool other, uint32_t connects_per_second)
{
    struct discovery_view *view = view_of(other ? 2 : 1, connects_per_second);
    rig_run(rig, do_view, view);
    discovery_view_unref(view);
}

/* ---- DRAIN ---- */

struct ask {
    struct link_call call;
    int status;
    bool done;
    struct peer_drained drained;
};

static void on_drained(struct link_call *call)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->status = call->reply.status;
    ask->drained = call->reply.drained;
    ask->done = true;
}

static void do_ask(struct rig *rig, void *arg)
{
    struct ask *ask = arg;
    (void)link_ask_at(rig->link, RIG_NODE, 0, &ask->call, on_drained);
}

static struct peer_drained drain_as(struct rig *rig, struct peer_drain in, int status)
{
    struct ask ask = {.call.in = {.type = PEER_DRAIN, .drain = in}};
    rig_run(rig, do_ask, &ask);
    rig_turns(rig);
    assert_true(ask.done);
    assert_int_equal(ask.status, status);
    return ask.drained;
}

static struct peer_drained drain(struct rig *rig, enum peer_drain_verb verb, uint32_t per_second)
{
    return drain_as(rig, (struct peer_drain){.verb = verb, .per_second = per_second}, 0);
}

static struct peer_drained look(struct rig *rig)
{
    return drain(rig, PEER_DRAIN_LOOK, 0);
}

static struct peer_drained move(struct rig *rig, uint32_t count, uint32_t per_second, int status)
{
    const struct peer_drain in = {.verb = PEER_DRAIN_MOVE, .per_second = per_second, .count = count};
    return drain_as(rig, in, status);
}

static void open_all(struct rig *rig, struct client *clients, int count)
{
    for (int i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        client_go_live(&clients[i], rig, name, 0);
    }
}

static void close_all(struct client *clients, int count)
{
    for (int i = 0; i < count; i++)
        client_close(&clients[i]);
}

/* A step in which one session's time comes at 10 a second, and a little more: timers are never early. */
#define STEP_MS 108

static void a_drain_tells_so_many_a_second(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    struct rig *rig = rig_new(NULL);
    struct client clients[COUNT];
    open_all(rig, clients, COUNT);
    show(rig, true, 0);
    rig_stop_clock(rig);
    struct peer_drained far = drain(rig, PEER_DRAIN_BEGIN, 10);
    assert_true(far.draining && far.sessions == COUNT && far.to_tell == COUNT && far.told == 0 && far.left == 0);
    for (uint32_t told = 1; told <= COUNT; told++) {
        rig_advance(rig, STEP_MS);
        far = look(rig);
        assert_int_equal(far.told, told);
        assert_int_equal(far.to_tell, COUNT - told);
    }
    assert_int_equal(metrics_get(rig->metrics, METRIC_MOVED), COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct session_goaway *goaway = &client_take(&clients[i], SESSION_GOAWAY)->goaway;
        assert_int_equal(goaway->code, SESSION_CODE_DRAIN);
        assert_int_equal(goaway->deadline_ms, DEADLINE_MS);
        assert_true(goaway->spread_ms > 0 && goaway->spread_ms < DEADLINE_MS);
        assert_int_equal(goaway->targets_count, 1);
        assert_true(bytes_equal_str(goaway->targets[0], "node-9:7400"));
    }
    /* They go, and what is left of them is counted. */
    client_disconnect(&clients[0]);
    client_take_end(&clients[0]);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    far = look(rig);
    assert_true(far.sessions == COUNT - 1 && far.told == COUNT - 1 && far.left == 1 && far.draining);
    close_all(clients, COUNT);
    rig_free(&rig);
}

static void a_stall_is_no_burst(void **state)
{
    (void)state;
    enum { COUNT = 12 };
    struct rig *rig = rig_new(NULL);
    struct client clients[COUNT];
    open_all(rig, clients, COUNT);
    show(rig, true, 0);
    rig_stop_clock(rig);
    (void)drain(rig, PEER_DRAIN_BEGIN, 12);
    rig_advance(rig, 5000);
    assert_int_equal(look(rig).told, 3); /* a quarter of a second's */
    close_all(clients, COUNT);
    rig_free(&rig);
}

static void note_draining(void *ctx, bool draining)
{
    *(int *)ctx += draining ? 1 : 100;
}

static void a_draining_loop_lets_nobody_in(void **state)
{
    (void)state;
    int noted = 0;
    struct session_config config = rig_config();
    config.on_draining = note_draining;
    config.ctx = &noted;
    struct rig *rig = rig_new(&config);
    struct client binding, late;
    show(rig, true, 0);
    client_open(&binding, rig->port);
    client_connect(&binding, rig, "binding", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    assert_int_equal(drain(rig, PEER_DRAIN_BEGIN, 1).sessions, 0);
    assert_int_equal(noted, 1);
    (void)drain(rig, PEER_DRAIN_BEGIN, 5); /* asked again it is the same drain */
    assert_int_equal(noted, 1);
    assert_int_equal(metrics_get(rig->metrics, METRIC_DRAINING), 1);
    client_open(&late, rig->port);
    client_connect(&late, rig, "late", 1, at(0));
    client_take_error(&late, SESSION_CODE_DRAIN);
    client_close(&late);
    /* Who was on the way in is let in, and told. */
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    client_take(&binding, SESSION_CONNECTED);
    client_take(&binding, SESSION_GOAWAY);
    assert_int_equal(look(rig).to_tell, 0);
    assert_false(drain(rig, PEER_DRAIN_END, 0).draining);
    assert_int_equal(noted, 101);
    assert_int_equal(metrics_get(rig->metrics, METRIC_DRAINING), 0);
    client_go_live(&late, rig, "late", 0);
    client_expect_silence(&late);
    client_close(&late);
    client_close(&binding);
    rig_free(&rig);
}

static void a_drain_that_ends_lets_the_rest_stay(void **state)
{
    (void)state;
    enum { COUNT = 4 };
    struct rig *rig = rig_new(NULL);
    struct client clients[COUNT];
    open_all(rig, clients, COUNT);
    show(rig, true, 0);
    rig_stop_clock(rig);
    (void)drain(rig, PEER_DRAIN_BEGIN, 10);
    rig_advance(rig, STEP_MS);
    struct peer_drained far = drain(rig, PEER_DRAIN_END, 0);
    assert_true(!far.draining && far.to_tell == 0 && far.told == 1);
    rig_advance(rig, DEADLINE_MS / 2);
    assert_int_equal(look(rig).told, 1);
    client_take(&clients[0], SESSION_GOAWAY);
    /* Who was told and stays is closed at its deadline, whatever became of the drain; without a word: it had its GOAWAY. */
    rig_advance(rig, DEADLINE_MS);
    client_take_end(&clients[0]);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    for (int i = 1; i < COUNT; i++)
        client_expect_silence(&clients[i]);
    far = look(rig);
    assert_true(far.sessions == COUNT - 1 && far.told == 0 && far.left == 1);
    close_all(clients, COUNT);
    rig_free(&rig);
}

static void a_session_that_was_told_is_served_and_ends_quietly(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client moved, stays;
    struct route route = client_go_live(&moved, rig, "moved", 0);
    show(rig, true, 0);
    rig_stop_clock(rig);
    (void)drain(rig, PEER_DRAIN_BEGIN, 10);
    rig_advance(rig, STEP_MS);
    client_take(&moved, SESSION_GOAWAY);
    rig_deliver(rig, route, at(1), 0, "on the way");
    client_take_push(&moved, 1, 0, "on the way");
    client_ack(&moved, RIG_EPOCH, 1);
    rig_advance(rig, 200);
    struct link_call *ack = rig_take(rig, PEER_ACK);
    assert_int_equal(ack->in.ack.position.seq, 1);
    rig_answer(rig, ack, 0);
    /* It is live elsewhere before its socket here has closed: REPLACED would tell it to stop. */
    rig_evict(rig, route, SESSION_CODE_REPLACED);
    client_take_end(&moved);
    rig_expect_no_call(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_REPLACED), 0);
    (void)drain(rig, PEER_DRAIN_END, 0);
    route = client_go_live(&stays, rig, "stays", 0);
    rig_evict(rig, route, SESSION_CODE_REPLACED);
    client_take_error(&stays, SESSION_CODE_REPLACED);
    client_close(&moved);
    client_close(&stays);
    rig_free(&rig);
}

static void a_drain_without_another_node_names_none(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_go_live(&client, rig, "phone", 0);
    show(rig, false, 0);
    rig_stop_clock(rig);
    (void)drain(rig, PEER_DRAIN_BEGIN, 10);
    rig_advance(rig, STEP_MS);
    assert_int_equal(client_take(&client, SESSION_GOAWAY)->goaway.targets_count, 0);
    assert_int_equal(metrics_get(rig->metrics, METRIC_MOVED), 0);
    client_close(&client);
    rig_free(&rig);
}

static int count_goaways(struct client *clients, bool *told, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        client_ping(&clients[i], 1);
        struct session_frame *frame = client_take_any(&clients[i]);
        told[i] = frame->type == SESSION_GOAWAY;
        if (told[i])
            client_take(&clients[i], SESSION_PONG);
        found += told[i];
    }
    return found;
}

static void a_move_takes_its_sessions_from_all_over_the_table(void **state)
{
    (void)state;
    enum { COUNT = 12, MOVED = 4 };
    struct rig *rig = rig_new(NULL);
    struct client clients[COUNT], late;
    bool told[COUNT];
    open_all(rig, clients, COUNT);
    show(rig, true, 0);
    rig_stop_clock(rig);
    struct peer_drained far = move(rig, MOVED, 100, 0);
    assert_true(!far.draining && far.to_tell == MOVED && far.sessions == COUNT);
    for (int i = 0; i < MOVED; i++)
        rig_advance(rig, STEP_MS);
    far = look(rig);
    assert_true(far.told == MOVED && far.to_tell == 0);
    assert_int_equal(count_goaways(clients, told, COUNT), MOVED);
    for (int i = 0; i < COUNT / MOVED; i++) {
        for (int j = i + COUNT / MOVED; j < COUNT; j += COUNT / MOVED)
            assert_int_equal(told[j], told[i]);
    }
    client_go_live(&late, rig, "late", 0);
    client_expect_silence(&late);
    client_close(&late);
    close_all(clients, COUNT);
    rig_free(&rig);
}

static void a_move_replaces_the_one_before_and_yields_to_a_drain(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    struct rig *rig = rig_new(NULL);
    struct client clients[COUNT];
    open_all(rig, clients, COUNT);
    (void)move(rig, 1, 10, PETREL_E_UNAVAILABLE); /* there is nowhere to go */
    show(rig, false, 0);
    (void)move(rig, 1, 10, PETREL_E_UNAVAILABLE);
    show(rig, true, 0);
    rig_stop_clock(rig);
    assert_int_equal(move(rig, 5, 10, 0).to_tell, 5);
    rig_advance(rig, STEP_MS);
    struct peer_drained far = move(rig, 2, 10, 0);
    assert_true(far.told == 1 && far.to_tell == 2);
    assert_int_equal(move(rig, 100, 10, 0).to_tell, COUNT - 1); /* no more than there are */
    assert_int_equal(drain(rig, PEER_DRAIN_END, 0).to_tell, 0);
    (void)move(rig, 2, 10, 0);
    far = drain(rig, PEER_DRAIN_BEGIN, 10);
    assert_true(far.draining && far.to_tell == COUNT - 1);
    (void)move(rig, 1, 10, PETREL_E_CONFLICT);
    (void)drain_as(rig, (struct peer_drain){.verb = PEER_DRAIN_BEGIN}, PETREL_E_INVALID);
    close_all(clients, COUNT);
    rig_free(&rig);
}

static void a_node_that_stops_sends_its_sessions_as_others_admit_them(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    struct rig *rig = rig_new(NULL);
    struct client clients[COUNT];
    open_all(rig, clients, COUNT);
    show(rig, true, 1); /* 3 sessions on each of 2 loops, and one a second is let in there */
    (void)drain(rig, PEER_DRAIN_BEGIN, 1);
    rig_drain(rig, SESSION_CODE_SHUTDOWN, 20000, 1000);
    for (int i = 0; i < COUNT; i++) {
        const struct session_goaway *goaway = &client_take(&clients[i], SESSION_GOAWAY)->goaway;
        assert_int_equal(goaway->code, SESSION_CODE_SHUTDOWN);
        assert_int_equal(goaway->spread_ms, 6000);
        assert_int_equal(goaway->targets_count, 1);
    }
    struct peer_drained far = look(rig);
    assert_true(far.draining && far.told == COUNT && far.to_tell == 0);
    (void)drain_as(rig, (struct peer_drain){.verb = PEER_DRAIN_END}, PETREL_E_CLOSING);
    assert_int_equal(metrics_get(rig->metrics, METRIC_DRAINING), 0);
    close_all(clients, COUNT);
    rig_free(&rig);
}

static void the_spread_of_a_stop_is_within_its_deadline(void **state)
{
    (void)state;
    const struct {
        bool other;
        uint32_t admits;
        uint32_t spread_ms;
    } cases[] = {{true, 1, 4000}, {true, 1000, 500}, {true, 0, 500}, {false, 1, 500}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig *rig = rig_new(NULL);
        struct client clients[3];
        open_all(rig, clients, 3);
        show(rig, cases[i].other, cases[i].admits);
        rig_drain(rig, SESSION_CODE_SHUTDOWN, 4000, 500);
        assert_int_equal(client_take(&clients[0], SESSION_GOAWAY)->goaway.spread_ms, cases[i].spread_ms);
        close_all(clients, 3);
        rig_free(&rig);
    }
}

/* ---- admission ---- */

static void who_comes_too_fast_waits_at_the_door(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.connects_per_second = 2;
    struct rig *rig = rig_new_untold(&config);
    rig_stop_clock(rig);
    rig_tell_app(rig, "demo", 1);
    struct client live, clients[4];
    client_go_live(&live, rig, "live", 0);
    for (int i = 0; i < 4; i++)
        client_open(&clients[i], rig->port); /* none is refused: the kernel has them */
    rig_wait_metric(rig, METRIC_CONNECTIONS, 2);
    rig_turns(rig);
    client_expect_silence(&live);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CONNECTIONS), 2);
    for (int in = 3; in <= 5; in++) {
        rig_advance(rig, 508);
        rig_wait_metric(rig, METRIC_CONNECTIONS, in);
        rig_turns(rig);
        assert_int_equal(metrics_get(rig->metrics, METRIC_CONNECTIONS), in);
    }
    client_expect_silence(&live);
    client_close(&live);
    close_all(clients, 4);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_tells_so_many_a_second),
        cmocka_unit_test(a_stall_is_no_burst),
        cmocka_unit_test(a_draining_loop_lets_nobody_in),
        cmocka_unit_test(a_drain_that_ends_lets_the_rest_stay),
        cmocka_unit_test(a_session_that_was_told_is_served_and_ends_quietly),
        cmocka_unit_test(a_drain_without_another_node_names_none),
        cmocka_unit_test(a_move_takes_its_sessions_from_all_over_the_table),
        cmocka_unit_test(a_move_replaces_the_one_before_and_yields_to_a_drain),
        cmocka_unit_test(a_node_that_stops_sends_its_sessions_as_others_admit_them),
        cmocka_unit_test(the_spread_of_a_stop_is_within_its_deadline),
        cmocka_unit_test(who_comes_too_fast_waits_at_the_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
