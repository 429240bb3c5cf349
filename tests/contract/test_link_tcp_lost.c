/* What link_tcp.h promises of what does not arrive: calls that are refused, late or cut off have one end, and whoever may have missed
 * a tell has a dirty link. Networks and machines that fail are in test_link_tcp_faults.c. */
#include "contract/link_cluster.h"
#include "discovery/link_local.h"

#define BLOCK_BYTES 16384

static void calls_beyond_the_window_are_busy(void **state)
{
    (void)state;
    struct link_tcp_config message = link_cluster_message();
    const struct link_tcp_config session = link_cluster_session();
    message.window = 3;
    struct link_cluster cluster;
    link_cluster_open_with(&cluster, &message, &session);
    const size_t owner = link_cluster_owner(&cluster);
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
    link_cluster_close(&cluster);
}

static void a_call_that_is_not_answered_times_out_once(void **state)
{
    (void)state;
    const struct link_tcp_config message = link_cluster_message();
    struct link_tcp_config session = link_cluster_session();
    session.call_timeout_ms = 150;
    struct link_cluster cluster;
    link_cluster_open_with(&cluster, &message, &session);
    const size_t owner = link_cluster_owner(&cluster);
    link_pair_hold(&cluster.message, owner);
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &ask), 0);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_TIMEOUT);
    /* The answer that comes after all is nobody's, and the connection lives on. */
    LINK_PAIR_IS(&cluster.message, owner, held, 1);
    link_pair_release(&cluster.message, owner);
    assert_int_equal(link_pair_enrol_status(&cluster.session, 0, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(ask.answers, 1);
    assert_int_equal(link_pair_look(&cluster.session, 0).dirty, 1);
    link_cluster_close(&cluster);
}

static void a_call_whose_connection_breaks_is_unavailable(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    const size_t owner = link_cluster_owner(&cluster);
    link_pair_hold(&cluster.message, owner);
    struct link_pair_ask ask = link_pair_enrol("ada");
    assert_int_equal(link_pair_ask(&cluster.session, 0, &ask), 0);
    LINK_PAIR_IS(&cluster.message, owner, held, 1);
    link_pair_close_links(&cluster.message);
    assert_int_equal(link_pair_answer(&ask), PETREL_E_UNAVAILABLE);
    link_pair_release(&cluster.message, owner); /* to nobody */
    LINK_PAIR_IS(&cluster.session, 0, peers_up, 0);
    assert_int_equal(link_pair_enrol_status(&cluster.session, 0, "ada"), PETREL_E_UNAVAILABLE);
    link_cluster_close(&cluster);
}

static void a_node_that_was_restarted_is_called_again_and_the_link_is_dirty(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 1); /* the first hello */
    const uint16_t port = cluster.message.port;
    link_pair_close(&cluster.message);
    LINK_PAIR_IS(&cluster.session, 0, peers_up, 0);
    struct link_tcp_config config = link_cluster_message();
    config.incarnation += 60000;
    link_pair_open(&cluster.message, &config, port);
    link_cluster_await_up(&cluster);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 2);
    assert_int_equal(link_pair_tell(&cluster.message, 0, &cluster.session, 1, 1, 5, NULL), 5);
    LINK_PAIR_IS(&cluster.session, 1, delivers, 5);
    link_cluster_close(&cluster);
}

static void lose(void *link)
{
    link_lost(link);
}

/* The message role's store forgot something: every session loop hears of it from the loop it is connected to. */
static void what_a_store_lost_is_told_to_all_sessions(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 1); /* the first hello */
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        loops_run_on(&cluster.message.loops, i, lose, cluster.message.at[i].link);
    for (size_t i = 0; i < LINK_PAIR_LOOPS; i++)
        LINK_PAIR_IS(&cluster.session, i, dirty, 2);
    link_cluster_close(&cluster);
}

static void a_node_that_is_lost_leaves_the_link_dirty(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 1);
    /* A view without it is not believed while its link is up. */
    link_pair_view(&cluster.session, NULL, 0);
    assert_int_equal(link_pair_enrol_status(&cluster.session, 0, "ada"), PETREL_E_UNREGISTERED);
    assert_int_equal(link_pair_look(&cluster.session, 0).dirty, 1);
    link_pair_close(&cluster.message);
    LINK_PAIR_IS(&cluster.session, 0, peers, 0);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    link_pair_close(&cluster.session);
}

static void tells_beyond_the_room_are_dropped_and_told_so(void **state)
{
    (void)state;
    struct link_tcp_config message = link_cluster_message();
    const struct link_tcp_config session = link_cluster_session();
    message.outbox_bytes = 4 * BLOCK_BYTES;
    struct link_cluster cluster;
    link_cluster_open_with(&cluster, &message, &session);
    const size_t owner = link_cluster_owner(&cluster);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 1);
    struct buf *block = buf_new(BLOCK_BYTES);
    memset(block->data, 'b', block->len);
    struct loops_gate gate;
    loops_gate_close(&gate, &cluster.session.loops, 0);
    uint64_t told = 0;
    uint64_t taken = 0;
    while (taken == told) { /* the kernel takes some megabytes first */
        taken += link_pair_tell(&cluster.message, owner, &cluster.session, 0, told + 1, 4, block);
        told += 4;
    }
    assert_int_equal(link_pair_look(&cluster.message, owner).dropped, told - taken);
    loops_gate_open(&gate);
    LINK_PAIR_IS(&cluster.session, 0, delivers, taken);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    assert_int_equal(link_pair_look(&cluster.session, 0).message_bytes, taken * BLOCK_BYTES);
    assert_int_equal(link_pair_look(&cluster.session, 0).disordered, 0);
    assert_int_equal(link_pair_look(&cluster.session, 1).dirty, 1);
    link_cluster_close(&cluster);
    assert_int_equal(atomic_load(&block->refs), 1);
    buf_unref(block);
}

/* The loop that holds the connection is stuck, and another tells on: what it drops is not known by name, but that it did. */
static void tells_dropped_between_loops_are_told_as_well(void **state)
{
    (void)state;
    struct link_cluster cluster;
    link_cluster_open(&cluster);
    const size_t owner = link_cluster_owner(&cluster);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 1);
    struct loops_gate gate;
    loops_gate_close(&gate, &cluster.message.loops, owner);
    assert_int_equal(
        link_pair_tell(&cluster.message, 1 - owner, &cluster.session, 0, 1, LINK_LOCAL_WAITING_MAX + 50, NULL),
        LINK_LOCAL_WAITING_MAX);
    loops_gate_open(&gate);
    LINK_PAIR_IS(&cluster.session, 0, delivers, LINK_LOCAL_WAITING_MAX);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    assert_int_equal(link_pair_look(&cluster.session, 0).disordered, 0);
    link_cluster_close(&cluster);
}

static void a_peer_that_says_nothing_is_dead_and_comes_back(void **state)
{
    (void)state;
    struct link_tcp_config message = link_cluster_message();
    const struct link_tcp_config session = link_cluster_session();
    message.heartbeat_ms = 50;
    message.silence_ms = 400;
    struct link_cluster cluster;
    link_cluster_open_with(&cluster, &message, &session);
    struct loops_gate gate;
    loops_gate_close(&gate, &cluster.session.loops, 0);
    LINK_PAIR_IS(&cluster.message, 0, known, 1);
    LINK_PAIR_IS(&cluster.message, 1, known, 1);
    loops_gate_open(&gate);
    LINK_PAIR_IS(&cluster.session, 0, dirty, 2);
    LINK_PAIR_IS(&cluster.message, 0, known, 2);
    LINK_PAIR_IS(&cluster.message, 1, known, 2);
    link_cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(calls_beyond_the_window_are_busy),
        cmocka_unit_test(a_call_that_is_not_answered_times_out_once),
        cmocka_unit_test(a_call_whose_connection_breaks_is_unavailable),
        cmocka_unit_test(a_node_that_was_restarted_is_called_again_and_the_link_is_dirty),
        cmocka_unit_test(what_a_store_lost_is_told_to_all_sessions),
        cmocka_unit_test(a_node_that_is_lost_leaves_the_link_dirty),
        cmocka_unit_test(tells_beyond_the_room_are_dropped_and_told_so),
        cmocka_unit_test(tells_dropped_between_loops_are_told_as_well),
        cmocka_unit_test(a_peer_that_says_nothing_is_dead_and_comes_back),
    };
    return LINK_PAIR_RUN(cases);
}
