/* What discovery_zookeeper does beyond the contract: nodes that come, change and go, most of them gone at once, what others do to the tree,
 * names and numbers. */
#include "base/err.h"
#include "contract/zookeeper_rig.h"
#include "lib/until.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct zookeeper_server ensemble;
static unsigned folders;

static void nodes_see_each_other_come_change_and_go(void **state)
{
    (void)state;
    struct rig_peer one, two;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    snprintf(two.self.peer_address, sizeof two.self.peer_address, "10.0.0.2:7490");
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&one, two.self);
    zookeeper_rig_await_same(&two, one.self);

    two.self.state = DISCOVERY_DRAINING;
    two.self.sessions = 17;
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&one, two.self);

    zookeeper_rig_peer_close(&two); /* withdraws: nobody waits for its session to expire */
    zookeeper_rig_await_gone(&one, 2);
    assert_true(zookeeper_rig_is_healthy(&one));
    zookeeper_rig_peer_close(&one);
}

static void load_is_told_at_intervals(void **state)
{
    (void)state;
    struct rig_peer one, two;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct zookeeper *hand = zookeeper_rig_hand(ensemble.servers);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    const uint64_t began_ms = until_now_ms();
    zookeeper_rig_publish(&one);
    zookeeper_rig_await_same(&two, one.self);
    while (until_now_ms() - began_ms < 4 * RIG_INTERVAL_MS) {
        one.self.sessions++;
        zookeeper_rig_publish(&one);
        assert_int_equal(zookeeper_rig_seen(&one, 1).sessions, one.self.sessions); /* it knows itself */
    }
    zookeeper_rig_await_same(&two, one.self);
    const struct zookeeper_stat stat = zookeeper_rig_stat(hand, &folder, one.self.name);
    assert_true((uint64_t)stat.version <= 2 + (until_now_ms() - began_ms) / RIG_INTERVAL_MS);
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
    zookeeper_disconnect(&hand);
}

struct znode {
    struct zookeeper *hand;
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
};

static bool is_there(void *ctx)
{
    struct znode *znode = ctx;
    struct bytebuf value = {0};
    struct zookeeper_stat stat;
    const int err = zookeeper_get(znode->hand, znode->path, false, &value, &stat);
    bytes_reset(&value);
    return err == 0;
}

static void a_znode_that_was_deleted_comes_back(void **state)
{
    (void)state;
    struct rig_peer one, two;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct znode znode = {.hand = zookeeper_rig_hand(ensemble.servers)};
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_rig_path(&folder, one.self.name, znode.path);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zookeeper_remove(znode.hand, znode.path, -1), 0);
        assert_true(until(is_there, &znode, RIG_EARLY_MS));
    }
    one.self.max_sessions++;
    zookeeper_rig_publish(&one);
    zookeeper_rig_await_same(&two, one.self);
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
    zookeeper_disconnect(&znode.hand);
}

static void an_older_process_of_the_name_gives_way_and_a_newer_does_not(void **state)
{
    (void)state;
    struct rig_peer one, two;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct zookeeper *older = zookeeper_rig_hand(ensemble.servers);
    struct zookeeper *newer = zookeeper_rig_hand(ensemble.servers);
    struct discovery_node ghost = zookeeper_rig_node(1);
    ghost.incarnation--;
    zookeeper_rig_put(older, &folder, &ghost);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&two, ghost);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_await_same(&two, one.self);
    assert_true(zookeeper_rig_stat(older, &folder, ghost.name).owner != zookeeper_session(older));
    zookeeper_rig_peer_close(&one);
    zookeeper_rig_await_gone(&two, 1);

    ghost.incarnation += 2;
    zookeeper_rig_put(newer, &folder, &ghost);
    zookeeper_rig_await_same(&two, ghost);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    assert_true(until(zookeeper_rig_is_healthy, &one, RIG_WAIT_MS));
    for (int i = 0; i < 2; i++) { /* the turn that sees the second began after zookeeper_rig_publish(): it has tried */
        two.self.max_sessions++;
        zookeeper_rig_publish(&two);
        zookeeper_rig_await_same(&one, two.self);
    }
    zookeeper_rig_await_same(&two, ghost);
    assert_int_equal(zookeeper_rig_stat(newer, &folder, ghost.name).owner, zookeeper_session(newer));
    zookeeper_disconnect(&newer);
    zookeeper_rig_await_same(&two, one.self); /* it waited for the name */
    zookeeper_rig_peer_close(&one);
    zookeeper_rig_peer_close(&two);
    zookeeper_disconnect(&older);
}

static void most_nodes_gone_at_once_are_held_by_their_links(void **state)
{
    (void)state;
    struct rig_peer one;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct zookeeper *few = zookeeper_rig_hand(ensemble.servers);
    struct zookeeper *many = zookeeper_rig_hand(ensemble.servers);
    for (uint32_t i = 2; i <= 5; i++) {
        const struct discovery_node node = zookeeper_rig_node(i);
        zookeeper_rig_put(many, &folder, &node);
    }
    const struct discovery_node sixth = zookeeper_rig_node(6), seventh = zookeeper_rig_node(7);
    zookeeper_rig_put(few, &folder, &sixth);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_SHORT_MS);
    for (size_t i = 0; i < RIG_NODES; i++)
        atomic_store(&one.links[i], i != 5);
    zookeeper_rig_publish(&one);
    for (uint32_t i = 2; i <= 6; i++)
        zookeeper_rig_await_same(&one, zookeeper_rig_node(i));

    zookeeper_disconnect(&many); /* four of six, and three of them hold a link */
    zookeeper_rig_await_gone(&one, 5);
    zookeeper_rig_put(few, &folder, &seventh); /* what comes is believed */
    zookeeper_rig_await_same(&one, seventh);
    for (uint32_t i = 2; i <= 4; i++)
        zookeeper_rig_await_same(&one, zookeeper_rig_node(i));
    atomic_store(&one.links[2], false);
    zookeeper_rig_await_gone(&one, 2);
    assert_int_equal(zookeeper_rig_seen(&one, 3).number, 3);

    many = zookeeper_rig_hand(ensemble.servers); /* they come back, and stay without a link */
    const struct discovery_node third = zookeeper_rig_node(3);
    zookeeper_rig_put(many, &folder, &third);
    struct discovery_node fourth = zookeeper_rig_node(4);
    fourth.sessions = 9;
    zookeeper_rig_put(many, &folder, &fourth);
    zookeeper_rig_await_same(&one, fourth);
    atomic_store(&one.links[3], false);
    atomic_store(&one.links[4], false);
    struct discovery_node eighth = zookeeper_rig_node(2);
    zookeeper_rig_put(many, &folder, &eighth);
    zookeeper_rig_await_same(&one, eighth);
    assert_int_equal(zookeeper_rig_seen(&one, 3).number, 3);
    assert_int_equal(zookeeper_rig_seen(&one, 4).number, 4);
    zookeeper_rig_peer_close(&one);
    zookeeper_disconnect(&few);
    zookeeper_disconnect(&many);
}

static void a_few_nodes_gone_are_gone_whatever_their_links(void **state)
{
    (void)state;
    struct rig_peer one;
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct zookeeper *stays = zookeeper_rig_hand(ensemble.servers);
    struct zookeeper *goes = zookeeper_rig_hand(ensemble.servers);
    for (uint32_t i = 2; i <= 6; i++) {
        const struct discovery_node node = zookeeper_rig_node(i);
        zookeeper_rig_put(i <= 4 ? stays : goes, &folder, &node);
    }
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    for (size_t i = 0; i < RIG_NODES; i++)
        atomic_store(&one.links[i], true);
    zookeeper_rig_publish(&one);
    for (uint32_t i = 2; i <= 6; i++)
        zookeeper_rig_await_same(&one, zookeeper_rig_node(i));
    zookeeper_disconnect(&goes); /* two of six */
    zookeeper_rig_await_gone(&one, 5);
    zookeeper_rig_await_gone(&one, 6);
    assert_int_equal(zookeeper_rig_seen(&one, 4).number, 4);
    zookeeper_rig_peer_close(&one);
    zookeeper_disconnect(&stays);
}

static void what_is_no_node_is_passed_over(void **state)
{
    (void)state;
    struct rig_peer one, two;
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    struct zookeeper *hand = zookeeper_rig_hand(ensemble.servers);
    const struct discovery_node third = zookeeper_rig_node(3);
    zookeeper_rig_put(hand, &folder, &third);
    zookeeper_rig_path(&folder, "stray", path);
    assert_int_equal(zookeeper_create(hand, path, bytes_str("{\"name\":\"stray\"}"), ZOOKEEPER_KEPT), 0);
    zookeeper_rig_path(&folder, "empty", path);
    assert_int_equal(zookeeper_create(hand, path, bytes_str(""), ZOOKEEPER_KEPT), 0);
    zookeeper_rig_peer_open(&one, &folder, 1, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_peer_open(&two, &folder, 2, ensemble.servers, RIG_LONG_MS);
    zookeeper_rig_publish(&one);
    zookeeper_rig_publish(&two);
    zookeeper_rig_await_same(&one, third);
    zookeeper_rig_await_same(&one, two.self);
    struct discovery_view *view = one.discovery->ops->view(one.discovery);
    assert_int_equal(view->count, 3);
    assert_int_equal(view->nodes[0].number, 1);
    discovery_view_unref(view);
    zookeeper_rig_peer_close(&two);
    zookeeper_rig_peer_close(&one);
    zookeeper_disconnect(&hand);
}

struct claimant {
    struct discovery_zookeeper_config config;
    pthread_t thread;
    char name[32];
    uint32_t number;
    int result;
};

static void *do_claim(void *ctx)
{
    struct claimant *claimant = ctx;
    claimant->result = discovery_zookeeper_claim(&claimant->config, claimant->name, RIG_WAIT_MS, &claimant->number);
    return NULL;
}

static void numbers_belong_to_names(void **state)
{
    (void)state;
    struct claimant claimants[6];
    const struct rig_folder folder = zookeeper_rig_folder(folders++);
    const struct discovery_zookeeper_config config = {.servers = ensemble.servers, .root = folder.root};
    for (size_t i = 0; i < 6; i++) { /* two of each name, all at once */
        claimants[i] = (struct claimant){.config = config};
        snprintf(claimants[i].name, sizeof claimants[i].name, "a/b.%zu", i / 2);
        assert_int_equal(pthread_create(&claimants[i].thread, NULL, do_claim, &claimants[i]), 0);
    }
    for (size_t i = 0; i < 6; i++)
        pthread_join(claimants[i].thread, NULL);
    for (size_t i = 0; i < 6; i++) {
        uint32_t again = 0;
        assert_int_equal(claimants[i].result, 0);
        assert_in_range(claimants[i].number, 1, 3);
        for (size_t j = 0; j < 6; j++)
            assert_true((claimants[i].number == claimants[j].number) == (i / 2 == j / 2));
        assert_int_equal(discovery_zookeeper_claim(&config, claimants[i].name, RIG_WAIT_MS, &again), 0);
        assert_int_equal(again, claimants[i].number);
    }
    uint32_t number = 0;
    assert_int_equal(discovery_zookeeper_claim(&config, "", RIG_WAIT_MS, &number), PETREL_E_INVALID);
    const struct discovery_zookeeper_config nobody = {.servers = "127.0.0.1:1", .root = folder.root};
    assert_int_equal(discovery_zookeeper_claim(&nobody, "node", 100, &number), PETREL_E_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_see_each_other_come_change_and_go),
        cmocka_unit_test(load_is_told_at_intervals),
        cmocka_unit_test(a_znode_that_was_deleted_comes_back),
        cmocka_unit_test(an_older_process_of_the_name_gives_way_and_a_newer_does_not),
        cmocka_unit_test(most_nodes_gone_at_once_are_held_by_their_links),
        cmocka_unit_test(a_few_nodes_gone_are_gone_whatever_their_links),
        cmocka_unit_test(what_is_no_node_is_passed_over),
        cmocka_unit_test(numbers_belong_to_names),
    };
    if (!zookeeper_server_open(&ensemble, 1)) {
        fprintf(stderr, "ZooKeeper does not start\n");
        return 1;
    }
    const int failed = cmocka_run_group_tests_name("discovery_zookeeper", tests, NULL, NULL);
    zookeeper_server_close(&ensemble);
    return failed;
}
