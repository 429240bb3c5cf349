/* The contract of link.h: tells. Calls are in test_link.c. */
#include "contract/link_rig.h"

/* A run of tells made in one turn of a loop. */
struct telling {
    struct link *from;
    uint32_t node;
    uint16_t loop;
    uint64_t incarnation;
    uint32_t count;
    struct buf *message;
    uint64_t first_seq;
    const struct link_rig_role *watched;
    bool direct; /* watched->entered was set when the first tell returned */
    uint32_t taken;
    uint32_t busy;
    int last_error;
    uint32_t apps_at; /* tell all sessions APPS before this one; 0: not at all */
    int apps_result;
};

static void do_tell_sessions(void *ctx)
{
    struct telling *telling = ctx;
    struct buf *records = buf_copy(bytes_str("\x05"));
    const struct peer_msg apps = {.type = PEER_APPS, .apps = {.version = 1, .records = records}};
    telling->apps_result = link_tell_sessions(telling->from, &apps);
    buf_unref(records);
}

static void do_tell(void *ctx)
{
    struct telling *telling = ctx;
    for (uint32_t i = 0; i < telling->count; i++) {
        if (i != 0 && i == telling->apps_at)
            do_tell_sessions(telling);
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

static struct telling telling_to(struct link_rig *world, size_t from, uint16_t loop, uint32_t count,
                                 struct buf *message)
{
    return (struct telling){.from = world->roles[from].link,
                            .node = LINK_RIG_NODE,
                            .loop = loop,
                            .incarnation = LINK_RIG_INCARNATION,
                            .count = count,
                            .message = message,
                            .first_seq = 1};
}

static void tells_arrive_in_order_and_give_back_their_bufs(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    struct buf *message = buf_copy(bytes_str("Z"));
    struct telling telling = telling_to(&world, 0, 2, 1000, message);
    loops_run_on(&world.loops, 0, do_tell, &telling);
    assert_int_equal(telling.taken, 1000);
    struct link_rig_role *role = &world.roles[2];
    assert_true(loops_tally_wait(&role->seen, 1000));
    link_rig_settle(&world, 2); /* the batch is through */
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
    link_rig_close(&world);
}

/* What a turn takes of the room and doesn't use is there again for the next. */
static void many_small_turns_use_up_nothing(void **state)
{
    const struct link_fixture *fixture = *state;
    struct link_rig world;
    link_rig_open(&world, fixture, true);
    const uint32_t turns = 2000;
    for (uint32_t i = 0; i < turns; i++) {
        struct telling telling = telling_to(&world, 0, 2, 1, NULL);
        telling.first_seq = i + 1;
        loops_run_on(&world.loops, 0, do_tell, &telling);
        assert_int_equal(telling.taken, 1);
    }
    assert_true(loops_tally_wait(&world.roles[2].seen, turns));
    link_rig_settle(&world, 2);
    struct telling telling = telling_to(&world, 0, 2, fixture->waiting_max, NULL);
    telling.first_seq = turns + 1;
    loops_run_on(&world.loops, 0, do_tell, &telling);
    assert_int_equal(telling.taken, fixture->waiting_max);
    assert_true(loops_tally_wait(&world.roles[2].seen, turns + fixture->waiting_max));
    assert_int_equal(world.roles[2].dirty, 0);
    assert_false(world.roles[2].out_of_order);
    link_rig_close(&world);
}

static void a_tell_to_the_own_loop_is_direct(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    struct telling telling = telling_to(&world, 1, 1, 3, NULL);
    telling.watched = &world.roles[1];
    loops_run_on(&world.loops, 1, do_tell, &telling);
    assert_true(telling.direct);
    assert_int_equal(telling.taken, 3);
    assert_int_equal(world.roles[1].delivers, 3);
    assert_null(world.roles[1].first[0].message);
    link_rig_close(&world);
}

static void a_route_that_leads_nowhere_is_an_error(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    struct telling tellings[] = {telling_to(&world, 0, 1, 1, NULL), telling_to(&world, 0, LINK_RIG_LOOPS, 1, NULL),
                                 telling_to(&world, 0, 1, 1, NULL)};
    tellings[0].node = LINK_RIG_NODE + 1;
    tellings[2].incarnation = LINK_RIG_INCARNATION - 1;
    for (size_t i = 0; i < 3; i++) {
        loops_run_on(&world.loops, 0, do_tell, &tellings[i]);
        assert_int_equal(tellings[i].taken, 0);
        assert_int_equal(tellings[i].last_error, PETREL_E_UNAVAILABLE);
    }
    link_rig_close(&world);
    for (size_t i = 0; i < LINK_RIG_LOOPS; i++)
        assert_int_equal(world.roles[i].delivers + world.roles[i].dirty, 0);
}

static void do_tell_apps_and_evict(void *ctx)
{
    struct link_rig *world = ctx;
    struct link *link = world->roles[0].link;
    struct buf *records = buf_copy(bytes_str("\x05"));
    const struct peer_msg apps = {.type = PEER_APPS, .apps = {.version = 100, .records = records}};
    const struct peer_msg evict = {
        .type = PEER_EVICT,
        .evict = {.route = {.incarnation = LINK_RIG_INCARNATION, .node = LINK_RIG_NODE, .loop = 2, .generation = 1},
                  .code = 3006}};
    petrel_assert(link_tell_sessions(link, &apps) == 0);
    petrel_assert(link_tell(link, LINK_RIG_NODE, 2, &evict) == 0);
    buf_unref(records);
}

static void apps_reach_every_loop_and_an_evict_one(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    loops_run_on(&world.loops, 0, do_tell_apps_and_evict, &world);
    for (size_t i = 0; i < LINK_RIG_LOOPS; i++) {
        assert_true(loops_tally_wait(&world.roles[i].seen, i == 2 ? 2 : 1));
        assert_int_equal(world.roles[i].apps, 105);
        assert_int_equal(world.roles[i].evicts, i == 2 ? 3006 : 0);
    }
    link_rig_close(&world);
}

static void too_many_tells_are_dropped_and_the_link_is_dirty_once(void **state)
{
    const struct link_fixture *fixture = *state;
    struct link_rig world;
    link_rig_open(&world, fixture, true);
    struct link_rig_role *role = &world.roles[2];
    struct buf *message = buf_copy(bytes_str("Z"));
    const uint32_t max = fixture->waiting_max;
    for (uint32_t round = 1; round <= 2; round++) {
        struct loops_gate gate;
        loops_gate_close(&gate, &world.loops, 2);
        struct telling telling = telling_to(&world, 0, 2, max + 100, message);
        telling.first_seq = (uint64_t)round << 32;
        telling.apps_at =
            max + 50; /* is taken, since nothing would make up for it, and makes no room for what follows */
        loops_run_on(&world.loops, 0, do_tell, &telling);
        assert_int_equal(telling.taken, max);
        assert_int_equal(telling.busy, 100);
        assert_int_equal(telling.apps_result, 0);
        struct telling other = telling_to(&world, 1, 2, 1, message);
        loops_run_on(&world.loops, 1, do_tell, &other);
        assert_int_equal(other.busy, 1);
        loops_gate_open(&gate);
        assert_true(loops_tally_wait(&role->seen, (uint64_t)round * (max + 2)));
        link_rig_settle(&world, 2);
        assert_int_equal(role->delivers, round * max);
        assert_int_equal(role->dirty, round);
        assert_int_equal(role->apps, round * 6);
        assert_false(role->out_of_order);
        assert_int_equal(atomic_load(&message->refs), 1);
    }
    assert_int_equal(world.roles[1].dirty, 0);
    buf_unref(message);
    link_rig_close(&world);
}

static void a_closed_link_takes_no_tells(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    link_rig_close_link(&world, 1);

    struct telling telling = telling_to(&world, 1, 0, 1, NULL);
    loops_run_on(&world.loops, 1, do_tell, &telling);
    assert_int_equal(telling.last_error, PETREL_E_CLOSING);
    loops_run_on(&world.loops, 1, do_tell_sessions, &telling);
    assert_int_equal(telling.apps_result, PETREL_E_CLOSING);

    struct buf *message = buf_copy(bytes_str("Z"));
    struct telling late = telling_to(&world, 0, 1, 10, message);
    loops_run_on(&world.loops, 0, do_tell, &late);
    link_rig_close(&world);
    assert_int_equal(world.roles[1].delivers, 0);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
}

/* The target's thread has ended: its mail runs when the loop is freed, and tells that are still with the sender are let go. */
static void tells_that_nobody_takes_are_freed(void **state)
{
    struct link_rig world;
    link_rig_open(&world, *state, true);
    struct buf *message = buf_copy(bytes_str("Z"));
    link_rig_close_link(&world, 2);
    loops_stop_one(&world.loops, 2);
    struct telling telling = telling_to(&world, 0, 2, 500, message);
    loops_run_on(&world.loops, 0, do_tell, &telling);
    assert_int_equal(telling.taken, 500);
    loops_stop(&world.loops);
    link_rig_free(&world);
    assert_int_equal(world.roles[2].delivers, 0);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(tells_arrive_in_order_and_give_back_their_bufs),
        cmocka_unit_test(many_small_turns_use_up_nothing),
        cmocka_unit_test(a_tell_to_the_own_loop_is_direct),
        cmocka_unit_test(a_route_that_leads_nowhere_is_an_error),
        cmocka_unit_test(apps_reach_every_loop_and_an_evict_one),
        cmocka_unit_test(too_many_tells_are_dropped_and_the_link_is_dirty_once),
        cmocka_unit_test(a_closed_link_takes_no_tells),
        cmocka_unit_test(tells_that_nobody_takes_are_freed),
    };
    return link_rig_run(cases, sizeof cases / sizeof cases[0]);
}
