/* The contract of link.h, held against every implementation. To add one: a row in `fixtures`. */
#include "base/object.h"
#include "contract/loops.h"
#include "discovery/link_local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LOOPS 3
#define NODE 7
#define INCARNATION 1700000000123
#define DELIVERED_MAX 16

/* An implementation: links for all loops of one process. */
struct fixture {
    const char *name;
    void *(*open)(struct loop *const *loops, size_t count);
    struct link *(*at)(void *links, size_t index);
    void (*free)(void *links);
    uint32_t waiting_max; /* tells under way to one loop */
};

static void *local_open(struct loop *const *loops, size_t count)
{
    return link_local_new(NODE, INCARNATION, loops, count);
}

static struct link *local_at(void *links, size_t index)
{
    return link_local_at(links, index);
}

static void local_free(void *links)
{
    struct link_local *set = links;
    link_local_free(&set);
}

static const struct fixture fixtures[] = {
    {"local", local_open, local_at, local_free, LINK_LOCAL_WAITING_MAX},
};

/* The roles of one loop, and what they saw. Written on the loop, read by the test after a tally. */
struct role {
    struct link *link;
    struct link_call *held; /* calls are kept here instead of answered */
    bool hold;
    uint32_t delivers;
    struct peer_deliver first[DELIVERED_MAX]; /* the first few, without their bufs' references */
    uint8_t first_byte[DELIVERED_MAX];
    uint32_t evicts;
    uint32_t apps;
    uint32_t dirty;
    bool out_of_order;
    uint64_t last_seq;
    bool entered; /* a tell came since this was last cleared */
    pthread_t thread;
    struct loops_tally seen; /* tells, dirts and calls */
};

struct world {
    const struct fixture *fixture;
    struct loops loops;
    void *links;
    struct role roles[LOOPS];
};

static void serve_call(struct role *role, struct link_call *call)
{
    role->thread = pthread_self();
    loops_tally_add(&role->seen, 1);
    if (role->hold) {
        role->held = call;
        return;
    }
    if (call->in.type == PEER_SESSIONS) {
        call->reply.sessions.records = buf_copy(call->in.sessions.user);
        call->reply.sessions.count = call->in.sessions.limit;
        call->reply.sessions.next_slot = call->in.sessions.slot + 1;
    } else {
        call->reply.status = PETREL_E_UNREGISTERED;
    }
    link_answer(call);
}

static void on_call(void *ctx, struct link_call *call)
{
    serve_call(ctx, call);
}

static void see_deliver(struct role *role, const struct peer_deliver *deliver)
{
    if (role->delivers < DELIVERED_MAX) {
        role->first[role->delivers] = *deliver;
        role->first_byte[role->delivers] = deliver->message != NULL ? deliver->message->data[0] : 0;
    }
    role->delivers++;
    role->out_of_order = role->out_of_order || deliver->position.seq <= role->last_seq;
    role->last_seq = deliver->position.seq;
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    struct role *role = ctx;
    role->entered = true;
    role->thread = pthread_self();
    if (msg->type == PEER_DELIVER)
        see_deliver(role, &msg->deliver);
    else if (msg->type == PEER_EVICT)
        role->evicts += msg->evict.code;
    else
        role->apps += (uint32_t)msg->apps.version + msg->apps.records->data[0];
    loops_tally_add(&role->seen, 1);
}

static void on_dirty(void *ctx)
{
    struct role *role = ctx;
    role->dirty++;
    role->thread = pthread_self();
    loops_tally_add(&role->seen, 1);
}

static void open_world(struct world *world, const struct fixture *fixture, bool served)
{
    memset(world, 0, sizeof *world);
    world->fixture = fixture;
    loops_open(&world->loops, LOOPS);
    world->links = fixture->open(world->loops.loops, LOOPS);
    for (size_t i = 0; i < LOOPS; i++) {
        struct role *role = &world->roles[i];
        loops_tally_init(&role->seen);
        role->link = fixture->at(world->links, i);
        if (!served)
            continue;
        const struct link_server server = {.ctx = role, .on_call = on_call, .on_tell = on_tell, .on_dirty = on_dirty};
        link_serve(role->link, LINK_MESSAGE, server);
        link_serve(role->link, LINK_SESSION, server);
    }
    loops_start(&world->loops);
}

static void close_link(void *ctx)
{
    struct link *link = ctx;
    link->ops->close(link);
}

static void close_world(struct world *world)
{
    for (size_t i = 0; i < LOOPS; i++)
        loops_run_on(&world->loops, i, close_link, world->roles[i].link);
    loops_stop(&world->loops);
    loops_free(&world->loops);
    world->fixture->free(world->links);
    for (size_t i = 0; i < LOOPS; i++)
        loops_tally_destroy(&world->roles[i].seen);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

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

static void begin_ask(struct world *world, struct ask *ask, size_t from)
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
    struct world world;
    open_world(&world, *state, true);
    struct ask ask = ask_message_role();
    begin_ask(&world, &ask, 1);
    end_ask(&ask);
    assert_int_equal(ask.call.reply.status, PETREL_E_UNREGISTERED);
    assert_true(pthread_equal(world.roles[1].thread, ask.asker));
    close_world(&world);
}

static void answer_held(void *ctx)
{
    struct role *role = ctx;
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
    struct world world;
    open_world(&world, *state, true);
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
    close_world(&world);
}

static void a_session_role_answers_across_loops(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    for (uint16_t to = 0; to < LOOPS; to++) {
        struct ask ask = ask_sessions(NODE, to);
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
    close_world(&world);
}

static void who_is_not_there_is_unavailable(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    struct ask asks[] = {ask_sessions(NODE + 1, 0), ask_sessions(NODE, LOOPS)};
    for (size_t i = 0; i < 2; i++) {
        begin_ask(&world, &asks[i], 0);
        end_ask(&asks[i]);
        assert_int_equal(asks[i].call.reply.status, PETREL_E_UNAVAILABLE);
    }
    close_world(&world);
}

static void a_role_that_nobody_serves_is_unavailable(void **state)
{
    struct world world;
    open_world(&world, *state, false);
    struct ask asks[] = {ask_message_role(), ask_sessions(NODE, 0), ask_sessions(NODE, 2)};
    for (size_t i = 0; i < 3; i++) {
        begin_ask(&world, &asks[i], 0);
        end_ask(&asks[i]);
        assert_int_equal(asks[i].call.reply.status, PETREL_E_UNAVAILABLE);
    }
    close_world(&world);
}

/* A run of tells made in one turn of a loop. */
struct telling {
    struct link *from;
    uint32_t node;
    uint16_t loop;
    uint64_t incarnation;
    uint32_t count;
    struct buf *message;
    uint64_t first_seq;
    const struct role *watched;
    bool direct; /* watched->entered was set when the first tell returned */
    uint32_t taken;
    uint32_t busy;
    int last_error;
};

static void do_tell(void *ctx)
{
    struct telling *telling = ctx;
    for (uint32_t i = 0; i < telling->count; i++) {
        const struct peer_msg msg = {
            .type = PEER_DELIVER,
            .deliver = {.route = {.incarnation = telling->incarnation,
                                  .node = telling->node,
                                  .loop = telling->loop,
                                  .generation = 1},
                        .position = {.epoch = 3, .seq = telling->first_seq + i},
                        .prev = telling->first_seq + i - 1,
                        .message = telling->message},
        };
        const int err = link_tell(telling->from, telling->node, telling->loop, &msg);
        telling->taken += err == 0;
        telling->busy += err == PETREL_E_BUSY;
        if (err != 0)
            telling->last_error = err;
        if (i == 0 && telling->watched != NULL)
            telling->direct = telling->watched->entered;
    }
}

static struct telling telling_to(struct world *world, size_t from, uint16_t loop, uint32_t count, struct buf *message)
{
    return (struct telling){.from = world->roles[from].link,
                            .node = NODE,
                            .loop = loop,
                            .incarnation = INCARNATION,
                            .count = count,
                            .message = message,
                            .first_seq = 1};
}

static void tells_arrive_in_order_and_give_back_their_bufs(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    struct buf *message = buf_copy(bytes_str("Z"));
    struct telling telling = telling_to(&world, 0, 2, 1000, message);
    loops_run_on(&world.loops, 0, do_tell, &telling);
    assert_int_equal(telling.taken, 1000);
    struct role *role = &world.roles[2];
    assert_true(loops_tally_wait(&role->seen, 1000));
    loops_run_on(&world.loops, 2, nothing, NULL); /* the batch is through */
    assert_int_equal(role->delivers, 1000);
    assert_false(role->out_of_order);
    assert_int_equal(role->first[4].position.seq, 5);
    assert_int_equal(role->first[4].position.epoch, 3);
    assert_int_equal(role->first[4].prev, 4);
    assert_int_equal(role->first[4].route.loop, 2);
    assert_int_equal(role->first_byte[4], 'Z');
    assert_int_equal(role->dirty, 0);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
    close_world(&world);
}

static void a_tell_to_the_own_loop_is_direct(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    struct telling telling = telling_to(&world, 1, 1, 3, NULL);
    telling.watched = &world.roles[1];
    loops_run_on(&world.loops, 1, do_tell, &telling);
    assert_true(telling.direct);
    assert_int_equal(telling.taken, 3);
    assert_int_equal(world.roles[1].delivers, 3);
    assert_null(world.roles[1].first[0].message);
    close_world(&world);
}

static void a_route_that_leads_nowhere_is_an_error(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    struct telling tellings[] = {telling_to(&world, 0, 1, 1, NULL), telling_to(&world, 0, LOOPS, 1, NULL),
                                 telling_to(&world, 0, 1, 1, NULL)};
    tellings[0].node = NODE + 1;
    tellings[2].incarnation = INCARNATION - 1;
    for (size_t i = 0; i < 3; i++) {
        loops_run_on(&world.loops, 0, do_tell, &tellings[i]);
        assert_int_equal(tellings[i].taken, 0);
        assert_int_equal(tellings[i].last_error, PETREL_E_UNAVAILABLE);
    }
    close_world(&world);
    for (size_t i = 0; i < LOOPS; i++)
        assert_int_equal(world.roles[i].delivers + world.roles[i].dirty, 0);
}

static void do_tell_apps_and_evict(void *ctx)
{
    struct world *world = ctx;
    struct link *link = world->roles[0].link;
    struct buf *records = buf_copy(bytes_str("\x05"));
    const struct peer_msg apps = {.type = PEER_APPS, .apps = {.version = 100, .records = records}};
    const struct peer_msg evict = {
        .type = PEER_EVICT,
        .evict = {.route = {.incarnation = INCARNATION, .node = NODE, .loop = 2, .generation = 1}, .code = 3006}};
    petrel_assert(link_tell_sessions(link, &apps) == 0);
    petrel_assert(link_tell(link, NODE, 2, &evict) == 0);
    buf_unref(records);
}

static void apps_reach_every_loop_and_an_evict_one(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    loops_run_on(&world.loops, 0, do_tell_apps_and_evict, &world);
    for (size_t i = 0; i < LOOPS; i++) {
        assert_true(loops_tally_wait(&world.roles[i].seen, i == 2 ? 2 : 1));
        assert_int_equal(world.roles[i].apps, 105);
        assert_int_equal(world.roles[i].evicts, i == 2 ? 3006 : 0);
    }
    close_world(&world);
}

/* Keeps a loop's thread away from its mail until the gate opens. */
struct gate {
    struct mail mail;
    struct loops_tally entered;
    struct loops_tally open;
};

static void wait_at_gate(struct mail *mail)
{
    struct gate *gate = container_of(mail, struct gate, mail);
    loops_tally_add(&gate->entered, 1);
    (void)loops_tally_wait(&gate->open, 1);
}

static void close_gate(struct world *world, struct gate *gate, size_t loop)
{
    gate->mail.run = wait_at_gate;
    loops_tally_init(&gate->entered);
    loops_tally_init(&gate->open);
    mailbox_post(world->loops.loops[loop], &gate->mail);
    assert_true(loops_tally_wait(&gate->entered, 1));
}

static void too_many_tells_are_dropped_and_the_link_is_dirty_once(void **state)
{
    const struct fixture *fixture = *state;
    struct world world;
    open_world(&world, fixture, true);
    struct role *role = &world.roles[2];
    struct buf *message = buf_copy(bytes_str("Z"));
    const uint32_t max = fixture->waiting_max;
    for (uint32_t round = 1; round <= 2; round++) {
        struct gate gate;
        close_gate(&world, &gate, 2);
        struct telling telling = telling_to(&world, 0, 2, max + 100, message);
        telling.first_seq = (uint64_t)round << 32;
        loops_run_on(&world.loops, 0, do_tell, &telling);
        assert_int_equal(telling.taken, max);
        assert_int_equal(telling.busy, 100);
        struct telling other = telling_to(&world, 1, 2, 1, message);
        loops_run_on(&world.loops, 1, do_tell, &other);
        assert_int_equal(other.busy, 1);
        loops_tally_add(&gate.open, 1);
        assert_true(loops_tally_wait(&role->seen, (uint64_t)round * (max + 1)));
        loops_run_on(&world.loops, 2, nothing, NULL);
        assert_int_equal(role->delivers, round * max);
        assert_int_equal(role->dirty, round);
        assert_false(role->out_of_order);
        assert_int_equal(atomic_load(&message->refs), 1);
        loops_tally_destroy(&gate.entered);
        loops_tally_destroy(&gate.open);
    }
    assert_int_equal(world.roles[1].dirty, 0);
    buf_unref(message);
    close_world(&world);
}

static void do_tell_sessions(void *ctx)
{
    struct telling *telling = ctx;
    struct buf *records = buf_copy(bytes_str("\x05"));
    const struct peer_msg apps = {.type = PEER_APPS, .apps = {.version = 1, .records = records}};
    telling->last_error = link_tell_sessions(telling->from, &apps);
    buf_unref(records);
}

static void a_closed_link_takes_nothing_more(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    loops_run_on(&world.loops, 1, close_link, world.roles[1].link);

    struct ask refused[] = {ask_message_role(), ask_sessions(NODE, 1), ask_sessions(NODE, 0)};
    for (size_t i = 0; i < 3; i++) {
        begin_ask(&world, &refused[i], 1);
        assert_int_equal(refused[i].result, PETREL_E_CLOSING);
        assert_int_equal(refused[i].done_count, 0);
        loops_tally_destroy(&refused[i].done);
    }
    struct telling telling = telling_to(&world, 1, 0, 1, NULL);
    loops_run_on(&world.loops, 1, do_tell, &telling);
    assert_int_equal(telling.last_error, PETREL_E_CLOSING);
    loops_run_on(&world.loops, 1, do_tell_sessions, &telling);
    assert_int_equal(telling.last_error, PETREL_E_CLOSING);

    struct ask from_outside = ask_sessions(NODE, 1);
    begin_ask(&world, &from_outside, 0);
    end_ask(&from_outside);
    assert_int_equal(from_outside.call.reply.status, PETREL_E_UNAVAILABLE);

    struct buf *message = buf_copy(bytes_str("Z"));
    struct telling late = telling_to(&world, 0, 1, 10, message);
    loops_run_on(&world.loops, 0, do_tell, &late);
    close_world(&world);
    assert_int_equal(world.roles[1].delivers, 0);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
}

static void refuse_held(void *ctx)
{
    struct role *role = ctx;
    role->held->reply.status = PETREL_E_NOT_FOUND;
    link_answer(role->held);
}

static void a_call_under_way_comes_back_after_close(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    world.roles[2].hold = true;
    struct ask ask = ask_sessions(NODE, 2);
    begin_ask(&world, &ask, 0);
    assert_true(loops_tally_wait(&world.roles[2].seen, 1));
    loops_run_on(&world.loops, 0, close_link, world.roles[0].link);
    loops_run_on(&world.loops, 2, refuse_held, &world.roles[2]);
    end_ask(&ask);
    assert_int_equal(ask.call.reply.status, PETREL_E_NOT_FOUND);
    close_world(&world);
}

/* The target's thread has ended: its mail runs when the loop is freed, and tells that are still with the sender are let go. */
static void tells_that_nobody_takes_are_freed(void **state)
{
    struct world world;
    open_world(&world, *state, true);
    struct buf *message = buf_copy(bytes_str("Z"));
    loops_run_on(&world.loops, 2, close_link, world.roles[2].link);
    loops_stop_one(&world.loops, 2);
    struct telling telling = telling_to(&world, 0, 2, 500, message);
    loops_run_on(&world.loops, 0, do_tell, &telling);
    assert_int_equal(telling.taken, 500);
    loops_stop(&world.loops);
    loops_free(&world.loops);
    world.fixture->free(world.links);
    assert_int_equal(world.roles[2].delivers, 0);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
    for (size_t i = 0; i < LOOPS; i++)
        loops_tally_destroy(&world.roles[i].seen);
}

#define CASE(test)                                                                                                     \
    {                                                                                                                  \
#test, test, NULL, NULL, NULL                                                                                  \
    }
static const struct CMUnitTest cases[] = {
    CASE(an_answer_at_once_comes_after_ask_returned), CASE(a_later_answer_lends_what_it_points_to),
    CASE(a_session_role_answers_across_loops),        CASE(who_is_not_there_is_unavailable),
    CASE(a_role_that_nobody_serves_is_unavailable),   CASE(tells_arrive_in_order_and_give_back_their_bufs),
    CASE(a_tell_to_the_own_loop_is_direct),           CASE(a_route_that_leads_nowhere_is_an_error),
    CASE(apps_reach_every_loop_and_an_evict_one),     CASE(too_many_tells_are_dropped_and_the_link_is_dirty_once),
    CASE(a_closed_link_takes_nothing_more),           CASE(a_call_under_way_comes_back_after_close),
    CASE(tells_that_nobody_takes_are_freed),
};
#define CASES (sizeof cases / sizeof cases[0])

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
        struct CMUnitTest tests[CASES];
        memcpy(tests, cases, sizeof cases);
        for (size_t j = 0; j < CASES; j++)
            tests[j].initial_state = (void *)&fixtures[i];
        failed += cmocka_run_group_tests_name(fixtures[i].name, tests, NULL, NULL);
    }
    return failed;
}
