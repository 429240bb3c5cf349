/* The contract of link.h: calls, and which processes are known. Tells are in test_link_tells.c. */
#include "contract/link_rig.h"

/* One question, asked on `from`. */
struct ask {
    struct link *from;
    uint32_t node;
    uint16_t loop;
    bool at; /* of a session role; else of the message role */
    struct link_call call;
    int result;
    bool returned;   /* link_ask() has */
    bool done_early; /* done ran before that */
    uint32_t done_count;
    pthread_t asker, done_on;
    struct loops_tally done;
};

static void on_done(struct link_call *call)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->done_early = !ask->returned;
    ask->done_count++;
    ask->done_on = pthread_self();
    loops_tally_add(&ask->done, 1);
}

static void do_ask(void *ctx)
{
    struct ask *ask = ctx;
    ask->asker = pthread_self();
    ask->result = ask->at ? link_ask_at(ask->from, ask->node, ask->loop, &ask->call, on_done)
                          : link_ask(ask->from, &ask->call, on_done);
    ask->returned = true;
}

static void begin_ask(struct link_rig *world, struct ask *ask, size_t from)
{
    ask->from = world->roles[from].link;
    loops_tally_init(&ask->done);
    loops_run_on(&world->loops, from, do_ask, ask);
}

/* Wait for the answer and hold it against what every answer is. */
static void end_ask(struct ask *ask)
{
    assert_int_equal(ask->result, 0);
    assert_true(loops_tally_wait(&ask->done, 1));
    assert_int_equal(ask->done_count, 1);
    assert_false(ask->done_early);
    assert_true(pthread_equal(ask->done_on, ask->asker));
    loops_tally_destroy(&ask->done);
}

static struct ask ask_sessions(uint32_t node, uint16_t loop)
{
    struct ask ask = {.node = node, .loop = loop, .at = true};
    ask.call.in.type = PEER_SESSIONS;
    ask.call.in.sessions = (struct peer_sessions){.user = bytes_str("ada"), .slot = 41, .limit = 5};
    return ask;
}

static struct ask ask_message_role(void)
{
    struct ask ask = {.at = false};
    ask.call.in.type = PEER_ENROL;
    ask.call.in.enrol = (struct peer_target){.app = bytes_str("demo"), .user = bytes_str("ada")};
    return ask;
}

static void an_answer_at_once_comes_after_ask_returned(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    struct ask ask = ask_message_role();
    begin_ask(&world, &ask, 1);
    end_ask(&ask);
    assert_int_equal(ask.call.reply.status, PETREL_E_UNREGISTERED);
    assert_true(pthread_equal(world.roles[1].thread, ask.asker));
    link_rig_close(&world);
}

static void answer_held(void *ctx)
{
    struct link_rig_role *role = ctx;
    const struct peer_user user = {.pending = 17};
    role->held->reply.user = &user;
    link_answer(role->held);
}

/* What the reply points to lives on the server's stack: it has to be read before link_answer() returns. */
static void on_user_done(struct link_call *call)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->done_count += call->reply.user->pending;
    loops_tally_add(&ask->done, 1);
}

static void do_ask_user(void *ctx)
{
    struct ask *ask = ctx;
    ask->result = link_ask(ask->from, &ask->call, on_user_done);
}

static void a_later_answer_lends_what_it_points_to(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    world.roles[0].hold = true;
    struct ask ask = ask_message_role();
    ask.call.in.type = PEER_USER;
    ask.from = world.roles[0].link;
    loops_tally_init(&ask.done);
    loops_run_on(&world.loops, 0, do_ask_user, &ask);
    assert_int_equal(ask.result, 0);
    assert_ptr_equal(world.roles[0].held, &ask.call);
    assert_int_equal(ask.done_count, 0);
    loops_run_on(&world.loops, 0, answer_held, &world.roles[0]);
    assert_true(loops_tally_wait(&ask.done, 1));
    assert_int_equal(ask.done_count, 17);
    loops_tally_destroy(&ask.done);
    link_rig_close(&world);
}

static void a_session_role_answers_across_loops(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    for (uint16_t to = 0; to < LINK_RIG_LOOPS; to++) {
        struct ask ask = ask_sessions(LINK_RIG_NODE, to);
        begin_ask(&world, &ask, 0);
        end_ask(&ask);
        const struct peer_session_list *list = &ask.call.reply.sessions;
        assert_int_equal(ask.call.reply.status, 0);
        assert_int_equal(list->count, 5);
        assert_int_equal(list->next_slot, 42);
        assert_true(bytes_equal_str(buf_bytes(list->records), "ada"));
        assert_int_equal(atomic_load(&list->records->refs), 1);
        assert_true(pthread_equal(world.roles[to].thread, ask.asker) == (to == 0));
        buf_unref(list->records);
    }
    link_rig_close(&world);
}

static void who_is_not_there_is_unavailable(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    struct ask asks[] = {ask_sessions(LINK_RIG_NODE + 1, 0), ask_sessions(LINK_RIG_NODE, LINK_RIG_LOOPS)};
    for (size_t i = 0; i < 2; i++) {
        begin_ask(&world, &asks[i], 0);
        end_ask(&asks[i]);
        assert_int_equal(asks[i].call.reply.status, PETREL_E_UNAVAILABLE);
    }
    link_rig_close(&world);
}

static void a_role_that_nobody_serves_is_unavailable(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, false);
    struct ask asks[] = {ask_message_role(), ask_sessions(LINK_RIG_NODE, 0), ask_sessions(LINK_RIG_NODE, 2)};
    for (size_t i = 0; i < 3; i++) {
        begin_ask(&world, &asks[i], 0);
        end_ask(&asks[i]);
        assert_int_equal(asks[i].call.reply.status, PETREL_E_UNAVAILABLE);
    }
    link_rig_close(&world);
}

static void a_closed_link_takes_no_calls(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    link_rig_close_link(&world, 1);

    struct ask refused[] = {ask_message_role(), ask_sessions(LINK_RIG_NODE, 1), ask_sessions(LINK_RIG_NODE, 0)};
    for (size_t i = 0; i < 3; i++) {
        begin_ask(&world, &refused[i], 1);
        assert_int_equal(refused[i].result, PETREL_E_CLOSING);
        assert_int_equal(refused[i].done_count, 0);
        loops_tally_destroy(&refused[i].done);
    }
    struct ask from_outside = ask_sessions(LINK_RIG_NODE, 1);
    begin_ask(&world, &from_outside, 0);
    end_ask(&from_outside);
    assert_int_equal(from_outside.call.reply.status, PETREL_E_UNAVAILABLE);

    link_rig_close(&world);
}

static void refuse_held(void *ctx)
{
    struct link_rig_role *role = ctx;
    role->held->reply.status = PETREL_E_NOT_FOUND;
    link_answer(role->held);
}

static void a_call_under_way_comes_back_after_close(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    world.roles[2].hold = true;
    struct ask ask = ask_sessions(LINK_RIG_NODE, 2);
    begin_ask(&world, &ask, 0);
    assert_true(loops_tally_wait(&world.roles[2].seen, 1));
    link_rig_close_link(&world, 0);
    loops_run_on(&world.loops, 2, refuse_held, &world.roles[2]);
    end_ask(&ask);
    assert_int_equal(ask.call.reply.status, PETREL_E_NOT_FOUND);
    link_rig_close(&world);
}

struct sight {
    struct link *link;
    struct route route;
    bool knows, outlived;
};

static void do_see(void *ctx)
{
    struct sight *sight = ctx;
    sight->knows = link_knows(sight->link, &sight->route);
    sight->outlived = link_outlived(sight->link, &sight->route);
}

static void this_process_is_known_and_has_outlived_those_before_it(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    const struct {
        uint32_t node;
        uint64_t incarnation;
        bool knows, outlived;
    } cases[] = {
        {LINK_RIG_NODE, LINK_RIG_INCARNATION, true, false},
        {LINK_RIG_NODE, LINK_RIG_INCARNATION - 1, false, true},
        {LINK_RIG_NODE, LINK_RIG_INCARNATION + 1, false, false},
        {LINK_RIG_NODE + 1, LINK_RIG_INCARNATION, false, false},
        {LINK_RIG_NODE + 1, LINK_RIG_INCARNATION - 1, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sight sight = {
            .link = world.roles[i % LINK_RIG_LOOPS].link,
            .route = {
                .node = cases[i].node, .incarnation = cases[i].incarnation, .loop = 2, .slot = 1, .generation = 1}};
        loops_run_on(&world.loops, i % LINK_RIG_LOOPS, do_see, &sight);
        assert_int_equal(sight.knows, cases[i].knows);
        assert_int_equal(sight.outlived, cases[i].outlived);
    }
    link_rig_close(&world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_answer_at_once_comes_after_ask_returned),
        cmocka_unit_test(a_later_answer_lends_what_it_points_to),
        cmocka_unit_test(a_session_role_answers_across_loops),
        cmocka_unit_test(who_is_not_there_is_unavailable),
        cmocka_unit_test(a_role_that_nobody_serves_is_unavailable),
        cmocka_unit_test(a_closed_link_takes_no_calls),
        cmocka_unit_test(a_call_under_way_comes_back_after_close),
        cmocka_unit_test(this_process_is_known_and_has_outlived_those_before_it),
    };
    return link_rig_run(cases, sizeof cases / sizeof cases[0]);
}
