/* What link_tcp.h promises of two nodes: what one says and asks reaches the other, and the right loop of it. What is lost is in
 * test_link_tcp_lost.c, peers that misbehave in test_link_tcp_peers.c. */
#include "contract/link_cluster.h"

static void calls_cross_with_what_they_say_and_what_is_answered(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    assert_int_equal(link_pair_enrol_status(&cluster.session, 1, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_calls(&cluster.message), 1);
    assert_true(strcmp(cluster.message.at[0].user, "ada") == 0 || strcmp(cluster.message.at[1].user, "ada") == 0);

    struct link_pair_ask bind = link_pair_enrol("ada");
    const struct peer_target target = bind.call.in.enrol;
    bind.call.in.type = PEER_BIND;
    bind.call.in.bind =
        (struct peer_bind){.target = target, .attempt = 1, .route = {.generation = 1}, .max_entries = 9};
    assert_int_equal(link_pair_ask(&cluster.session, 0, &bind), 0);
    assert_int_equal(link_pair_answer(&bind), 0);
    assert_true(bind.page_count == 2 && bind.page_bytes == 10 && bind.position.seq == 10);

    struct link_pair_ask send = link_pair_enrol("ada");
    struct buf *message = buf_new(200000);
    memset(message->data, 'm', message->len);
    send.call.in.type = PEER_SEND;
    send.call.in.send = (struct peer_send){.target = target, .message = message};
    assert_int_equal(link_pair_ask(&cluster.session, 0, &send), 0);
    assert_int_equal(link_pair_answer(&send), 0);
    assert_int_equal(send.position.seq, 13);
    assert_int_equal(
        link_pair_look(&cluster.message, 0).message_bytes + link_pair_look(&cluster.message, 1).message_bytes, 200000);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
    link_cluster_close(&cluster);
}

static void sessions_are_listed_from_every_loop_of_the_called_side(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    for (size_t from = 0; from < LINK_PAIR_LOOPS; from++) {
        for (uint16_t to = 0; to < LINK_PAIR_LOOPS; to++) {
            struct link_pair_ask ask = {.at = true, .node = cluster.session.number, .loop = to};
            ask.call.in.type = PEER_SESSIONS;
            ask.call.in.sessions = (struct peer_sessions){.user = bytes_str("ada"), .slot = 3, .limit = 5};
            assert_int_equal(link_pair_ask(&cluster.message, from, &ask), 0);
            assert_int_equal(link_pair_answer(&ask), 0);
            assert_int_equal(ask.next_slot, 42);
            assert_string_equal(ask.records, "\x0a\x03one");
        }
    }
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        assert_int_equal(link_pair_look(&cluster.session, i).calls, LINK_PAIR_LOOPS);
    struct link_pair_ask beyond = {.at = true, .node = cluster.session.number, .loop = LINK_PAIR_LOOPS};
    beyond.call.in.type = PEER_SESSIONS;
    assert_int_equal(link_pair_ask(&cluster.message, 0, &beyond), 0);
    assert_int_equal(link_pair_answer(&beyond), PETREL_E_UNAVAILABLE);
    link_cluster_close(&cluster);
}

static void tells_find_their_loop_from_any_loop_in_order(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    struct buf *message = buf_copy(bytes_str("push"));
    for (size_t from = 0; from < LINK_PAIR_LOOPS; from++) {
        for (size_t to = 0; to < LINK_PAIR_LOOPS; to++) {
            const uint64_t seq = 1000 * (from + 1);
            assert_int_equal(link_pair_tell(&cluster.message, from, &cluster.session, to, seq, 500, message), 500);
            LINK_PAIR_IS(&cluster.session, to, delivers, 500 * (from + 1));
        }
    }
    for (size_t to = 0; to < LINK_PAIR_LOOPS; to++) {
        const struct link_pair_counts counts = link_pair_look(&cluster.session, to);
        assert_int_equal(counts.misrouted + counts.disordered, 0);
        assert_int_equal(counts.message_bytes, 4 * 500 * LINK_PAIR_LOOPS);
    }
    /* A route of an earlier start, and a node that is not there. */
    struct link_pair_node older = {.number = 2, .incarnation = cluster.session.incarnation - 1};
    struct link_pair_node nobody = {.number = 9, .incarnation = 1};
    const size_t owner = link_cluster_owner(&cluster);
    assert_int_equal(link_pair_tell(&cluster.message, owner, &older, 0, 1, 3, NULL), 0);
    assert_int_equal(link_pair_tell(&cluster.message, owner, &nobody, 0, 1, 3, NULL), 0);
    link_cluster_close(&cluster);
    assert_int_equal(atomic_load(&message->refs), 1);
    buf_unref(message);
}

static void tell_apps(void *ctx)
{
    struct link_pair_role *role = ctx;
    struct buf *records = buf_copy(bytes_str("\x0a\x01r"));
    const struct peer_msg apps = {.type = PEER_APPS, .apps = {.version = ++role->counts.apps, .records = records}};
    const int rc = link_tell_sessions(role->link, &apps);
    petrel_assert(rc == 0 || rc == PETREL_E_UNAVAILABLE); /* no session role of its own */
    buf_unref(records);
}

static void apps_are_told_on_change_and_to_who_comes_later(void **state)
{
    (void)state;
    const struct link_tcp_config config = link_cluster_message();
    const struct link_tcp_config session = link_cluster_session();
    struct link_cluster cluster;
    link_pair_open(&cluster.message, &config, 0);
    loops_run_on(&cluster.message.loops, 0, tell_apps, &cluster.message.at[0]);
    link_pair_open(&cluster.session, &session, 0);
    link_pair_view(&cluster.session, (struct link_pair_node *[]){&cluster.message}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, apps, 1);
    loops_run_on(&cluster.message.loops, 0, tell_apps, &cluster.message.at[0]);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, apps, 2);
    link_cluster_close(&cluster);
}

static void users_keep_to_a_node_and_move_when_it_is_gone(void **state)
{
    (void)state;
    struct link_pair_node first;
    struct link_pair_node second;
    struct link_pair_node session;
    struct link_tcp_config config = link_cluster_message();
    link_pair_open(&first, &config, 0);
    config.node = 3;
    link_pair_open(&second, &config, 0);
    config = link_cluster_session();
    link_pair_open(&session, &config, 0);
    link_pair_view(&session, (struct link_pair_node *[]){&first, &second}, 2);
    LINK_PAIR_IS(&session, 0, peers_up, 2);

    uint64_t to_first[2] = {0, 0}; /* a bit per user, a word per round */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 64; i++) {
            const char user[] = {'u', (char)('0' + i), '\0'};
            const uint64_t before = link_pair_calls(&first);
            assert_int_equal(link_pair_enrol_status(&session, 0, user), PETREL_E_UNREGISTERED);
            to_first[round] |= (link_pair_calls(&first) - before) << i;
        }
    }
    const uint64_t calls = link_pair_calls(&first);
    assert_true(to_first[0] == to_first[1] && calls > 20 && calls < 108);
    assert_int_equal(link_pair_calls(&second), 128 - calls);

    link_pair_close(&first);
    LINK_PAIR_IS(&session, 0, peers_up, 1);
    for (int i = 0; i < 64; i++) {
        const char user[] = {'u', (char)('0' + i), '\0'};
        assert_int_equal(link_pair_enrol_status(&session, 0, user), PETREL_E_UNREGISTERED);
    }
    assert_int_equal(link_pair_calls(&second), 128 - calls + 64);
    link_pair_close(&session);
    link_pair_close(&second);
}

static void a_node_with_both_roles_asks_itself_and_is_told_by_others(void **state)
{
    (void)state;
    struct link_tcp_config one = link_pair_config(1, 1700000000001, DISCOVERY_SESSION | DISCOVERY_MESSAGE);
    struct link_tcp_config two = link_pair_config(2, 1700000000002, DISCOVERY_SESSION | DISCOVERY_MESSAGE);
    struct link_cluster cluster;
    link_pair_open(&cluster.message, &one, 0);
    link_pair_open(&cluster.session, &two, 0);
    struct link_pair_node *both[] = {&cluster.message, &cluster.session};
    link_pair_view(&cluster.message, both, 2);
    link_pair_view(&cluster.session, both, 2);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&cluster.message, i, peers_up, 1);
        LINK_PAIR_IS(&cluster.message, i, known, LINK_PAIR_LOOPS);
        LINK_PAIR_IS(&cluster.session, i, known, LINK_PAIR_LOOPS);
    }
    assert_int_equal(link_pair_enrol_status(&cluster.message, 1, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_look(&cluster.message, 1).calls, 1);
    assert_int_equal(link_pair_tell(&cluster.message, 0, &cluster.session, 1, 1, 7, NULL), 7);
    assert_int_equal(link_pair_tell(&cluster.session, 0, &cluster.message, 1, 1, 8, NULL), 8);
    assert_int_equal(link_pair_tell(&cluster.message, 0, &cluster.message, 1, 100, 2, NULL), 2);
    LINK_PAIR_IS(&cluster.session, 1, delivers, 7);
    LINK_PAIR_IS(&cluster.message, 1, delivers, 10);
    link_cluster_close(&cluster);
}

static void a_topic_reaches_each_loop_of_the_node_once(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    uint64_t len = 0;
    uint64_t told = 0;
    for (size_t from = 0; from < LINK_PAIR_LOOPS; from++, told += len)
        assert_int_equal(link_pair_tell_node(&cluster.message, from, &cluster.session, &len), 0);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&cluster.session, i, topics, told);
        assert_int_equal(link_pair_look(&cluster.message, i).topics, 0);
    }
    /* Its own loops too, without a connection. */
    assert_int_equal(link_pair_tell_node(&cluster.session, 0, &cluster.session, &len), 0);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, topics, told + len);
    link_cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(calls_cross_with_what_they_say_and_what_is_answered),
        cmocka_unit_test(sessions_are_listed_from_every_loop_of_the_called_side),
        cmocka_unit_test(tells_find_their_loop_from_any_loop_in_order),
        cmocka_unit_test(apps_are_told_on_change_and_to_who_comes_later),
        cmocka_unit_test(users_keep_to_a_node_and_move_when_it_is_gone),
        cmocka_unit_test(a_node_with_both_roles_asks_itself_and_is_told_by_others),
        cmocka_unit_test(a_topic_reaches_each_loop_of_the_node_once),
    };
    return LINK_PAIR_RUN(cases);
}
