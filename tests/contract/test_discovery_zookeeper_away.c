/* discovery_zookeeper while ZooKeeper is away, against an ensemble of three: servers that die or hang, sessions that expire. */
#include "base/err.h"
#include "contract/zookeeper_rig.h"
#include "discovery/discovery_zookeeper_copy.h"
#include "lib/relay.h"
#include "lib/tmpdir.h"
#include "lib/until.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct zookeeper_server ensemble;
static unsigned folders;

static void signal_all(int signal)
{
    for (size_t i = 0; i < ensemble.count; i++)
        zookeeper_server_signal(&ensemble, i, signal);
}

static void an_expired_session_is_made_anew(void **state)
{
    (void)state;
    struct rig_peer one, two;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct relay *relay = relay_open(ensemble.ports[0]);
    assert_non_null(relay);
    char servers[32];
    snprintf(servers, sizeof servers, "127.0.0.1:%u", (unsigned)relay_port(relay));
    struct zookeeper *hand = zookeeper_rig_hand(ensemble.servers);
    zookeeper_rig_peer_open(&one, &folder, 1, servers, RIG_SHORT_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_await_same(&two, one.self);
    const struct zookeeper_stat before = zookeeper_rig_stat(hand, &folder, one.self.name);

    relay_hold(relay, true);
    zookeeper_rig_await_gone(&two, 1);
    assert_true(until(zookeeper_rig_is_away, &one, RIG_WAIT_MS));
    assert_int_equal(zookeeper_rig_seen(&one, 2).number, 2);
    relay_hold(relay, false);
    zookeeper_rig_await_same(&two, one.self);
    assert_true(until(zookeeper_rig_is_healthy, &one, RIG_WAIT_MS));
    assert_true(zookeeper_rig_stat(hand, &folder, one.self.name).owner != before.owner);
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_await_gone(&one, 2); /* it watches again */
    zookeeper_rig_peer_close(&one);
    relay_close(relay);
    zookeeper_disconnect(&hand);
}

static void it_opens_and_closes_without_a_server(void **state)
{
    (void)state;
    struct rig_peer one;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    zookeeper_rig_peer_open(&one, &folder, 1, "127.0.0.1:1", RIG_SHORT_MS);
    zookeeper_rig_publish(&one);
    assert_int_equal(zookeeper_rig_seen(&one, 1).number, 1);
    assert_false(zookeeper_rig_is_healthy(&one));
    zookeeper_rig_peer_close(&one);

    struct discovery *discovery;
    struct discovery_zookeeper_config config = {.servers = "", .root = "/petrel", .clock = clock_system()};
    assert_int_equal(discovery_zookeeper_open(&discovery, &config), PETREL_E_INVALID);
    config.servers = "127.0.0.1:1";
    config.root = "petrel";
    assert_int_equal(discovery_zookeeper_open(&discovery, &config), PETREL_E_INVALID);
    config.root = "/petrel/";
    assert_int_equal(discovery_zookeeper_open(&discovery, &config), PETREL_E_INVALID);
}

static void one_server_of_three_may_die(void **state)
{
    (void)state;
    struct rig_peer one, two;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_server_kill(&ensemble, 2);
    one.self.state = DISCOVERY_DRAINING;
    zookeeper_rig_publish(&one);
    zookeeper_rig_await_same(&two, one.self);
    assert_true(until(zookeeper_rig_is_healthy, &one, RIG_WAIT_MS));
    assert_int_equal(zookeeper_rig_seen(&one, 2).number, 2); /* no session was lost */
    assert_true(zookeeper_server_start(&ensemble, 2));
    assert_true(zookeeper_server_await(&ensemble, RIG_WAIT_MS));
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
}

static void the_last_view_is_served_while_all_servers_are_dead(void **state)
{
    (void)state;
    struct rig_peer one, two, three;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_await_same(&two, one.self);
    for (size_t i = 0; i < ensemble.count; i++)
        zookeeper_server_kill(&ensemble, i);
    assert_true(until(zookeeper_rig_is_away, &one, RIG_WAIT_MS));
    assert_true(until(zookeeper_rig_is_away, &two, RIG_WAIT_MS));
    const uint64_t since_ms = zookeeper_rig_as_of(&one);
    one.self.sessions = 5;
    zookeeper_rig_publish(&one); /* its own load it still knows */
    assert_int_equal(zookeeper_rig_seen(&one, 1).sessions, 5);
    assert_int_equal(zookeeper_rig_seen(&one, 2).number, 2);
    assert_int_equal(zookeeper_rig_as_of(&one), since_ms);
    assert_false(zookeeper_rig_is_current(&one));                               /* who is not in it may be there */
    zookeeper_rig_peer_open(&three, &folder, 3, ensemble.servers, RIG_LONG_MS); /* starts without it */
    zookeeper_rig_publish(&three);
    assert_true(zookeeper_rig_is_away(&three));

    for (size_t i = 0; i < ensemble.count; i++)
        assert_true(zookeeper_server_start(&ensemble, i));
    assert_true(zookeeper_server_await(&ensemble, RIG_WAIT_MS));
    assert_true(until(zookeeper_rig_is_healthy, &one, RIG_WAIT_MS));
    assert_true(until(zookeeper_rig_is_current, &one, RIG_WAIT_MS));
    assert_true(zookeeper_rig_as_of(&one) > since_ms);
    zookeeper_rig_await_same(&one, three.self);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_rig_await_same(&three, two.self);
    zookeeper_rig_peer_close(&three);
    zookeeper_rig_await_gone(&one, 3);
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
}

struct kept {
    const char *path, *root;
    size_t count; /* of nodes that the file is to have */
};

static bool has_kept(void *ctx)
{
    const struct kept *kept = ctx;
    struct discovery_zookeeper_copy copy;
    const bool found = discovery_zookeeper_copy_read(kept->path, kept->root, &copy) == 0 && copy.count == kept->count;
    discovery_zookeeper_copy_reset(&copy);
    return found;
}

static void a_start_while_all_servers_are_dead_begins_with_the_copy(void **state)
{
    (void)state;
    struct rig_peer one, two, three;
    struct tmpdir tmp;
    char path[PATH_MAX];
    const struct rig_folder folder = zookeeper_rig_folder(folders++), other = zookeeper_rig_folder(folders++);
    assert_true(tmpdir_make(&tmp));
    snprintf(path, sizeof path, "%s/nodes.copy", tmp.path);
    zookeeper_rig_peer_open_on(&one, &folder, 1, ensemble.servers, RIG_LONG_MS, path);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    assert_true(until(has_kept, &(struct kept){path, folder.root, 1}, RIG_WAIT_MS));
    zookeeper_rig_peer_open(&three, &folder, 3, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&three);
    assert_true(until(has_kept, &(struct kept){path, folder.root, 2}, RIG_WAIT_MS));
    zookeeper_rig_await_same(&one, two.self);
    const uint64_t known_ms = zookeeper_rig_as_of(&one);
    for (size_t i = 0; i < ensemble.count; i++)
        zookeeper_server_kill(&ensemble, i);
    zookeeper_rig_peer_close(&one);
    zookeeper_rig_peer_close(&three);

    zookeeper_rig_peer_open_on(&three, &other, 3, ensemble.servers, RIG_LONG_MS, path); /* is of another root */
    assert_int_equal(zookeeper_rig_seen(&three, 2).number, 0);
    zookeeper_rig_peer_close(&three);
    zookeeper_rig_peer_open_on(&one, &folder, 1, ensemble.servers, RIG_LONG_MS, path);
    const struct discovery_node seen = zookeeper_rig_seen(&one, 2);
    assert_true(discovery_zookeeper_node_same(&seen, &two.self));
    assert_int_equal(zookeeper_rig_seen(&one, 3).number, 3);
    zookeeper_rig_publish(&one);
    assert_int_equal(zookeeper_rig_seen(&one, 1).number, 1);
    assert_int_equal(zookeeper_rig_seen(&one, 2).number, 2);
    assert_false(zookeeper_rig_is_healthy(&one));
    assert_false(zookeeper_rig_is_current(&one));
    const uint64_t as_of_ms = zookeeper_rig_as_of(&one);
    assert_true(as_of_ms > 0 && as_of_ms <= known_ms);

    for (size_t i = 0; i < ensemble.count; i++)
        assert_true(zookeeper_server_start(&ensemble, i));
    assert_true(zookeeper_server_await(&ensemble, RIG_WAIT_MS));
    assert_true(until(zookeeper_rig_is_current, &one, RIG_WAIT_MS));
    assert_true(zookeeper_rig_as_of(&one) > as_of_ms);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
    tmpdir_remove(&tmp);
}

static void the_last_view_is_served_while_all_servers_hang(void **state)
{
    (void)state;
    struct rig_peer one, two, three;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_SHORT_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_SHORT_MS);
    zookeeper_rig_peer_open(&three, &folder, 3, ensemble.servers, RIG_SHORT_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    zookeeper_rig_publish(&three);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_rig_await_same(&one, three.self);
    signal_all(SIGSTOP);
    zookeeper_rig_peer_close(&three); /* ends, though nobody answers */
    assert_true(until(zookeeper_rig_is_away, &one, RIG_WAIT_MS));
    assert_true(until(zookeeper_rig_is_away, &two, RIG_WAIT_MS));
    assert_int_equal(zookeeper_rig_seen(&one, 2).number, 2);
    assert_int_equal(zookeeper_rig_seen(&one, 3).number, 3);
    one.self.state = DISCOVERY_DRAINING;
    zookeeper_rig_publish(&one);
    signal_all(SIGCONT);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_await_gone(&one, 3);
    assert_true(until(zookeeper_rig_is_healthy, &one, RIG_WAIT_MS));
    assert_true(until(zookeeper_rig_is_healthy, &two, RIG_WAIT_MS));
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expired_session_is_made_anew),
        cmocka_unit_test(it_opens_and_closes_without_a_server),
        cmocka_unit_test(one_server_of_three_may_die),
        cmocka_unit_test(the_last_view_is_served_while_all_servers_are_dead),
        cmocka_unit_test(a_start_while_all_servers_are_dead_begins_with_the_copy),
        cmocka_unit_test(the_last_view_is_served_while_all_servers_hang),
    };
    if (!zookeeper_server_open(&ensemble, 3)) {
        fprintf(stderr, "ZooKeeper does not start\n");
        return 1;
    }
    const int failed = cmocka_run_group_tests_name("discovery_zookeeper_away", tests, NULL, NULL);
    zookeeper_server_close(&ensemble);
    return failed;
}
