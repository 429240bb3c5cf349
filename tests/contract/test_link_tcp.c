/* What link_tcp.h promises of two nodes: a message node and a session node. Peers that misbehave are in test_link_tcp_peers.c. */
#include "contract/link_pair.h"
#include "discovery/link_local.h"

#define BLOCK_BYTES 16384

struct cluster {
    struct link_pair_node message;
    struct link_pair_node session;
};

static struct link_tcp_config message_config(void)
{
    return link_pair_config(1, 1700000000001, DISCOVERY_MESSAGE | DISCOVERY_API);
}

static struct link_tcp_config session_config(void)
{
    return link_pair_config(2, 1700000000002, DISCOVERY_SESSION);
}

static void await_up(struct cluster *cluster)
{
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++) {
        LINK_PAIR_IS(&cluster->session, i, peers_up, 1);
        LINK_PAIR_IS(&cluster->message, i, known, LINK_PAIR_LOOPS);
    }
}

static void open_with(struct cluster *cluster, const struct link_tcp_config *message,
                      const struct link_tcp_config *session)
{
    link_pair_open(&cluster->message, message, 0);
    link_pair_open(&cluster->session, session, 0);
    link_pair_view(&cluster->session, (struct link_pair_node *[]){&cluster->message}, 1);
    await_up(cluster);
}

static void open_cluster(struct cluster *cluster)
{
    const struct link_tcp_config message = message_config();
    const struct link_tcp_config session = session_config();
    open_with(cluster, &message, &session);
}

static void close_cluster(struct cluster *cluster)
{
    link_pair_close(&cluster->session);
    link_pair_close(&cluster->message);
}

/* The loop of the message node that holds the connection of the session node's first loop. */
static size_t owner_of_first(struct cluster *cluster)
{
    struct link_pair_ask ask = link_pair_enrol("who");
    const uint64_t before = link_pair_look(&cluster->message, 0).calls;
    assert_int_equal(link_pair_ask(&cluster->session, 0, &ask), 0);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_UNREGISTERED);
    return link_pair_look(&cluster->message, 0).calls > before ? 0 : 1;
}

static uint64_t total_calls(struct link_pair_node *node)
{
    return link_pair_look(node, 0).calls + link_pair_look(node, 1).calls;
}

static void calls_cross_with_what_they_say_and_what_is_answered(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
    struct link_pair_ask enrol = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 1, &enrol), 0);
    assert_int_equal(link_pair_answer(&enrol), PETREL_E_UNREGISTERED);
    assert_int_equal(total_calls(&cluster.message), 1);
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
    close_cluster(&cluster);
}

static void sessions_are_listed_from_every_loop_of_the_called_side(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
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
    close_cluster(&cluster);
}

static void tells_find_their_loop_from_any_loop_in_order(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
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
    const size_t owner = owner_of_first(&cluster);
    assert_int_equal(link_pair_tell(&cluster.message, owner, &older, 0, 1, 3, NULL), 0);
    assert_int_equal(link_pair_tell(&cluster.message, owner, &nobody, 0, 1, 3, NULL), 0);
    close_cluster(&cluster);
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
    const struct link_tcp_config config = message_config();
    const struct link_tcp_config session = session_config();
    struct cluster cluster;
    link_pair_open(&cluster.message, &config, 0);
    loops_run_on(&cluster.message.loops, 0, tell_apps, &cluster.message.at[0]);
    link_pair_open(&cluster.session, &session, 0);
    link_pair_view(&cluster.session, (struct link_pair_node *[]){&cluster.message}, 1);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, apps, 1);
    loops_run_on(&cluster.message.loops, 0, tell_apps, &cluster.message.at[0]);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, apps, 2);
    close_cluster(&cluster);
}

static void calls_beyond_the_window_are_busy(void **state)
{
    (void)state;
    struct link_tcp_config message = message_config();
    const struct link_tcp_config session = session_config();
    message.window = 3;
    struct cluster cluster;
    open_with(&cluster, &message, &session);
    const size_t owner = owner_of_first(&cluster);
    link_pair_hold(&cluster.message, owner);
    struct link_pair_ask asks[4];
    for (size_t i = 0; i < 4; i++) {
        asks[i] = link_pair_enrol("ada");
        assert_int_equal(link_pair_ask(&cluster.session, 0, &asks[i]), i < 3 ? 0 : PETREL_E_BUSY);
    }
    assert_int_equal(link_pair_look(&cluster.session, 0).under_way, 3);
    LINK_PAIR_IS(&cluster.message, owner, held, 3);
    link_pair_release(&cluster.message, owner);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(link_pair_answer(&asks[i]), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_ask(&cluster.session, 0, &asks[3]), 0);
    assert_int_equal(link_pair_answer(&asks[3]), PETREL_E_UNREGISTERED);
    close_cluster(&cluster);
}

static void a_call_that_is_not_answered_times_out_once(void **state)
{
    (void)state;
    const struct link_tcp_config message = message_config();
    struct link_tcp_config session = session_config();
    session.call_timeout_ms = 150;
    struct cluster cluster;
    open_with(&cluster, &message, &session);
    const size_t owner = owner_of_first(&cluster);
    link_pair_hold(&cluster.message, owner);
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &ask), 0);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_TIMEOUT);
    /* The answer that comes after all is nobody's, and the connection lives on. */
    LINK_PAIR_IS(&cluster.message, owner, held, 1);
    link_pair_release(&cluster.message, owner);
    struct link_pair_ask next = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &next), 0);
    assert_int_equal(link_pair_answer(&next), PETREL_E_UNREGISTERED);
    assert_int_equal(ask.answers, 1);
    assert_int_equal(link_pair_look(&cluster.session, 0).dirty, 1);
    close_cluster(&cluster);
}

static void a_call_whose_connection_breaks_is_unavailable(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
    const size_t owner = owner_of_first(&cluster);
    link_pair_hold(&cluster.message, owner);
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &ask), 0);
    LINK_PAIR_IS(&cluster.message, owner, held, 1);
    link_pair_close_links(&cluster.message);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_UNAVAILABLE);
    link_pair_release(&cluster.message, owner); /* to nobody */
    LINK_PAIR_IS(&cluster.session, 0, peers_up, 0);
    struct link_pair_ask next = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &next), 0);
    assert_int_equal(link_pair_answer(&next), PETREL_E_UNAVAILABLE);
    close_cluster(&cluster);
}

static void a_node_that_was_restarted_is_called_again_and_the_link_is_dirty(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 1); /* the first hello */
    const uint16_t port = cluster.message.port;
    link_pair_close(&cluster.message);
    LINK_PAIR_IS(&cluster.session, 0, peers_up, 0);
    struct link_tcp_config config = message_config();
    config.incarnation += 60000;
    link_pair_open(&cluster.message, &config, port);
    await_up(&cluster);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 2);
    assert_int_equal(link_pair_tell(&cluster.message, 0, &cluster.session, 1, 1, 5, NULL), 5);
    LINK_PAIR_IS(&cluster.session, 1, delivers, 5);
    close_cluster(&cluster);
}

static void lose(void *link)
{
    link_lost(link);
}

/* The message role's store forgot something: every session loop hears of it from the loop it is connected to. */
static void what_a_store_lost_is_told_to_all_sessions(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 1); /* the first hello */
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        loops_run_on(&cluster.message.loops, i, lose, cluster.message.at[i].link);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 2);
    close_cluster(&cluster);
}

static void a_node_that_is_lost_leaves_the_link_dirty(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 1);
    /* A view without it is not believed while its link is up. */
    link_pair_view(&cluster.session, NULL, 0);
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &ask), 0);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_look(&cluster.session, 0).dirty, 1);
    link_pair_close(&cluster.message);
    LINK_PAIR_IS(&cluster.session, 0, peers, 0);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    link_pair_close(&cluster.session);
}

/* Keeps a loop's thread away from its sockets until the gate opens. */
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

static void close_gate(struct gate *gate, struct link_pair_node *node, size_t loop)
{
    gate->mail.run = wait_at_gate;
    loops_tally_init(&gate->entered);
    loops_tally_init(&gate->open);
    mailbox_post(node->loops.loops[loop], &gate->mail);
    assert_true(loops_tally_wait(&gate->entered, 1));
}

static void open_gate(struct gate *gate, struct link_pair_node *node, size_t loop)
{
    loops_tally_add(&gate->open, 1);
    (void)link_pair_look(node, loop); /* it is through */
    loops_tally_destroy(&gate->entered);
    loops_tally_destroy(&gate->open);
}

static void tells_beyond_the_room_are_dropped_and_told_so(void **state)
{
    (void)state;
    struct link_tcp_config message = message_config();
    const struct link_tcp_config session = session_config();
    message.outbox_bytes = 4 * BLOCK_BYTES;
    struct cluster cluster;
    open_with(&cluster, &message, &session);
    const size_t owner = owner_of_first(&cluster);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 1);
    struct buf *block = buf_new(BLOCK_BYTES);
    memset(block->data, 'b', block->len);
    struct gate gate;
    close_gate(&gate, &cluster.session, 0);
    uint64_t told = 0;
    uint64_t taken = 0;
    while (taken == told) { /* the kernel takes some megabytes first */
        taken += link_pair_tell(&cluster.message, owner, &cluster.session, 0, told + 1, 4, block);
        told += 4;
    }
    assert_int_equal(link_pair_look(&cluster.message, owner).dropped, told - taken);
    open_gate(&gate, &cluster.session, 0);
    LINK_PAIR_IS(&cluster.session, 0, delivers, taken);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    assert_int_equal(link_pair_look(&cluster.session, 0).message_bytes, taken * BLOCK_BYTES);
    assert_int_equal(link_pair_look(&cluster.session, 0).disordered, 0);
    assert_int_equal(link_pair_look(&cluster.session, 1).dirty, 1);
    close_cluster(&cluster);
    assert_int_equal(atomic_load(&block->refs), 1);
    buf_unref(block);
}

/* The loop that holds the connection is stuck, and another tells on: what it drops is not known by name, but that it did. */
static void tells_dropped_between_loops_are_told_as_well(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
    const size_t owner = owner_of_first(&cluster);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 1);
    struct gate gate;
    close_gate(&gate, &cluster.message, owner);
    assert_int_equal(
        link_pair_tell(&cluster.message, 1 - owner, &cluster.session, 0, 1, LINK_LOCAL_WAITING_MAX + 50, NULL),
        LINK_LOCAL_WAITING_MAX);
    open_gate(&gate, &cluster.message, owner);
    LINK_PAIR_IS(&cluster.session, 0, delivers, LINK_LOCAL_WAITING_MAX);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    assert_int_equal(link_pair_look(&cluster.session, 0).disordered, 0);
    close_cluster(&cluster);
}

static void a_peer_that_says_nothing_is_dead_and_comes_back(void **state)
{
    (void)state;
    struct link_tcp_config message = message_config();
    const struct link_tcp_config session = session_config();
    message.heartbeat_ms = 50;
    message.silence_ms = 400;
    struct cluster cluster;
    open_with(&cluster, &message, &session);
    struct gate gate;
    close_gate(&gate, &cluster.session, 0);
    LINK_PAIR_IS(&cluster.message, 0, known, 1);
    LINK_PAIR_IS(&cluster.message, 1, known, 1);
    open_gate(&gate, &cluster.session, 0);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    LINK_PAIR_IS(&cluster.message, 0, known, 2);
    LINK_PAIR_IS(&cluster.message, 1, known, 2);
    close_cluster(&cluster);
}

static void users_keep_to_a_node_and_move_when_it_is_gone(void **state)
{
    (void)state;
    struct link_pair_node first;
    struct link_pair_node second;
    struct link_pair_node session;
    struct link_tcp_config config = message_config();
    link_pair_open(&first, &config, 0);
    config.node = 3;
    link_pair_open(&second, &config, 0);
    config = session_config();
    link_pair_open(&session, &config, 0);
    link_pair_view(&session, (struct link_pair_node *[]){&first, &second}, 2);
    LINK_PAIR_IS(&session, 0, peers_up, 2);

    uint64_t to_first[2] = {0, 0}; /* a bit per user, a word per round */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 64; i++) {
            const char user[] = {'u', (char)('0' + i), '\0'};
            const uint64_t before = total_calls(&first);
            struct link_pair_ask ask = link_pair_enrol(user);
            assert_int_equal(link_pair_ask(&session, 0, &ask), 0);
            assert_int_equal(link_pair_answer(&ask), PETREL_E_UNREGISTERED);
            to_first[round] |= (total_calls(&first) - before) << i;
        }
    }
    const uint64_t calls = total_calls(&first);
    assert_true(to_first[0] == to_first[1] && calls > 20 && calls < 108);
    assert_int_equal(total_calls(&second), 128 - calls);

    link_pair_close(&first);
    LINK_PAIR_IS(&session, 0, peers_up, 1);
    for (int i = 0; i < 64; i++) {
        const char user[] = {'u', (char)('0' + i), '\0'};
        struct link_pair_ask ask = link_pair_enrol(user);
        assert_int_equal(link_pair_ask(&session, 0, &ask), 0);
        assert_int_equal(link_pair_answer(&ask), PETREL_E_UNREGISTERED);
    }
    assert_int_equal(total_calls(&second), 128 - calls + 64);
    link_pair_close(&session);
    link_pair_close(&second);
}

static void a_node_with_both_roles_asks_itself_and_is_told_by_others(void **state)
{
    (void)state;
    struct link_tcp_config one = link_pair_config(1, 1700000000001, DISCOVERY_SESSION | DISCOVERY_MESSAGE);
    struct link_tcp_config two = link_pair_config(2, 1700000000002, DISCOVERY_SESSION | DISCOVERY_MESSAGE);
    struct cluster cluster;
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
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.message, 1, &ask), 0);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_look(&cluster.message, 1).calls, 1);
    assert_int_equal(link_pair_tell(&cluster.message, 0, &cluster.session, 1, 1, 7, NULL), 7);
    assert_int_equal(link_pair_tell(&cluster.session, 0, &cluster.message, 1, 1, 8, NULL), 8);
    assert_int_equal(link_pair_tell(&cluster.message, 0, &cluster.message, 1, 100, 2, NULL), 2);
    LINK_PAIR_IS(&cluster.session, 1, delivers, 7);
    LINK_PAIR_IS(&cluster.message, 1, delivers, 10);
    close_cluster(&cluster);
}

static void a_topic_reaches_each_loop_of_the_node_once(void **state)
{
    (void)state;
    struct cluster cluster;
    open_cluster(&cluster);
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
    close_cluster(&cluster);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(calls_cross_with_what_they_say_and_what_is_answered),
        cmocka_unit_test(sessions_are_listed_from_every_loop_of_the_called_side),
        cmocka_unit_test(tells_find_their_loop_from_any_loop_in_order),
        cmocka_unit_test(apps_are_told_on_change_and_to_who_comes_later),
        cmocka_unit_test(calls_beyond_the_window_are_busy),
        cmocka_unit_test(a_call_that_is_not_answered_times_out_once),
        cmocka_unit_test(a_call_whose_connection_breaks_is_unavailable),
        cmocka_unit_test(a_node_that_was_restarted_is_called_again_and_the_link_is_dirty),
        cmocka_unit_test(what_a_store_lost_is_told_to_all_sessions),
        cmocka_unit_test(a_node_that_is_lost_leaves_the_link_dirty),
        cmocka_unit_test(tells_beyond_the_room_are_dropped_and_told_so),
        cmocka_unit_test(tells_dropped_between_loops_are_told_as_well),
        cmocka_unit_test(a_peer_that_says_nothing_is_dead_and_comes_back),
        cmocka_unit_test(users_keep_to_a_node_and_move_when_it_is_gone),
        cmocka_unit_test(a_node_with_both_roles_asks_itself_and_is_told_by_others),
        cmocka_unit_test(a_topic_reaches_each_loop_of_the_node_once),
    };
    int failed = cmocka_run_group_tests_name("plain", cases, NULL, NULL);
    failed += cmocka_run_group_tests_name("TLS", cases, link_pair_secure, link_pair_plain);
    return failed;
}
