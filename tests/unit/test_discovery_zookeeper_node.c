/* How a node stands in ZooKeeper: packed and read back, and what is not one. */
#include "base/err.h"
#include "discovery/discovery_zookeeper_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const whole =
    "petrel 1\nname=node-7\nnumber=7\nincarnation=1700000000000\nroles=session,api\nstate=draining\nsessions=12\n"
    "max_sessions=1000\nconnects_per_second=50\nloops=4\nsession_address=push.example:7400\npeer_address=10.0.0.7:"
    "7490\npeer_tls=optional\n";

static int unpack(const char *text, struct discovery_node *node)
{
    return discovery_zookeeper_node_unpack(bytes_str(text), node);
}

static void a_node_reads_as_it_was_packed(void **state)
{
    (void)state;
    struct discovery_node node;
    struct bytebuf out = {0};
    assert_int_equal(unpack(whole, &node), 0);
    assert_string_equal(node.name, "node-7");
    assert_int_equal(node.number, 7);
    assert_int_equal(node.incarnation, 1700000000000);
    assert_int_equal(node.roles, DISCOVERY_SESSION | DISCOVERY_API);
    assert_int_equal(node.state, DISCOVERY_DRAINING);
    assert_int_equal(node.sessions, 12);
    assert_int_equal(node.max_sessions, 1000);
    assert_int_equal(node.connects_per_second, 50);
    assert_int_equal(node.loops, 4);
    assert_string_equal(node.session_address, "push.example:7400");
    assert_string_equal(node.peer_address, "10.0.0.7:7490");
    assert_int_equal(node.peer_tls, DISCOVERY_TLS_OPTIONAL);
    discovery_zookeeper_node_pack(&node, &out);
    assert_true(bytes_equal_str(bytes_view(&out), whole));
    bytes_reset(&out);
}

static void the_largest_values_fit(void **state)
{
    (void)state;
    struct discovery_node node = {.number = UINT32_MAX,
                                  .roles = DISCOVERY_SESSION | DISCOVERY_MESSAGE | DISCOVERY_API | DISCOVERY_MANAGER,
                                  .incarnation = UINT64_MAX,
                                  .sessions = UINT64_MAX,
                                  .max_sessions = UINT64_MAX,
                                  .connects_per_second = UINT32_MAX,
                                  .loops = UINT16_MAX};
    struct discovery_node again;
    struct bytebuf out = {0};
    memset(node.name, 'n', sizeof node.name - 1);
    memset(node.session_address, '=', sizeof node.session_address - 1);
    memset(node.peer_address, 'p', sizeof node.peer_address - 1);
    discovery_zookeeper_node_pack(&node, &out);
    assert_int_equal(discovery_zookeeper_node_unpack(bytes_view(&out), &again), 0);
    assert_int_equal(again.number, node.number);
    assert_int_equal(again.roles, node.roles);
    assert_int_equal(again.incarnation, node.incarnation);
    assert_int_equal(again.sessions, node.sessions);
    assert_int_equal(again.connects_per_second, node.connects_per_second);
    assert_int_equal(again.loops, node.loops);
    assert_string_equal(again.name, node.name);
    assert_string_equal(again.session_address, node.session_address);
    bytes_reset(&out);
}

static void keys_that_are_not_known_are_passed_over(void **state)
{
    (void)state;
    struct discovery_node node;
    assert_int_equal(
        unpack("petrel 1\nname=a\nregion=west\nnumber=1\nroles=session,oracle\nincarnation=5\nword\n", &node), 0);
    assert_int_equal(node.roles, DISCOVERY_SESSION);
    assert_int_equal(node.state, DISCOVERY_UP);
    assert_int_equal(node.connects_per_second, 0); /* of a version before there were such */
    assert_int_equal(node.loops, 0);
}

static void nodes_are_the_same_in_everything_that_is_packed(void **state)
{
    (void)state;
    struct discovery_node node;
    struct discovery_node others[12];
    assert_int_equal(unpack(whole, &node), 0);
    for (size_t i = 0; i < 12; i++)
        others[i] = node;
    assert_true(discovery_zookeeper_node_same(&node, &others[0]));
    others[0].number++;
    others[1].roles = 0;
    others[2].incarnation++;
    others[3].state = DISCOVERY_UP;
    others[4].sessions++;
    others[5].max_sessions++;
    others[6].connects_per_second++;
    others[7].loops++;
    others[8].name[0] = 'm';
    others[9].session_address[0] = 'q';
    others[10].peer_address[0] = '2';
    others[11].peer_tls = DISCOVERY_TLS_REQUIRED;
    for (size_t i = 0; i < 12; i++)
        assert_false(discovery_zookeeper_node_same(&node, &others[i]));
}

/* Nodes of versions before and after this one are in its cluster while that is upgraded. */
static void what_links_speak_is_told_across_versions(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum discovery_tls tls;
    } cases[] = {
        {"", DISCOVERY_TLS_OFF},
        {"peer_tls=off\n", DISCOVERY_TLS_OFF},
        {"peer_tls=required\n", DISCOVERY_TLS_REQUIRED},
        {"peer_tls=quantum\n", DISCOVERY_TLS_OPTIONAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct discovery_node node;
        struct bytebuf text = {0};
        bytes_printf(&text, "petrel 1\nname=a\nnumber=1\nincarnation=5\n%s", cases[i].line);
        assert_int_equal(discovery_zookeeper_node_unpack(bytes_view(&text), &node), 0);
        assert_int_equal(node.peer_tls, cases[i].tls);
        bytes_reset(&text);
    }
}

static void what_is_no_node_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "petrel 2\nname=a\nnumber=1\nincarnation=5\n",
        "petrel 1",
        "petrel 1\nnumber=1\nincarnation=5\n",
        "petrel 1\nname=a\nincarnation=5\n",
        "petrel 1\nname=a\nnumber=1\n",
        "petrel 1\nname=a\nnumber=0\nincarnation=5\n",
        "petrel 1\nname=a\nnumber=4294967296\nincarnation=5\n",
        "petrel 1\nname=a\nnumber=-1\nincarnation=5\n",
        "petrel 1\nname=a\nnumber=1\nincarnation=18446744073709551616\n",
        "petrel 1\nname=a\nnumber=1\nincarnation=5\nsessions=\n",
        "petrel 1\nname=a\nnumber=1\nincarnation=5\nloops=65536\n",
        "petrel 1\nname=a\nnumber=1\nincarnation=5\nsessions=1 \n",
        "petrel 1\nname=a\rb\nnumber=1\nincarnation=5\n",
    };
    struct discovery_node node;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(unpack(wrong[i], &node), PETREL_E_INVALID);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct discovery_node node;
    struct bytebuf text = {0};
    bytes_append_str(&text, "petrel 1\nnumber=1\nincarnation=5\nname=");
    for (size_t i = 0; i < DISCOVERY_NAME_MAX; i++)
        bytes_put_u8(&text, 'a');
    assert_int_equal(discovery_zookeeper_node_unpack(bytes_view(&text), &node), 0);
    bytes_put_u8(&text, 'a');
    assert_int_equal(discovery_zookeeper_node_unpack(bytes_view(&text), &node), PETREL_E_INVALID);
    bytes_reset(&text);
}

static void a_node_that_is_cut_is_refused_or_lacks_what_was_cut(void **state)
{
    (void)state;
    struct discovery_node node;
    for (size_t len = 0; len < strlen(whole); len++) {
        /* A copy of just that size, so that a read past its end is seen. */
        uint8_t *cut = malloc(len > 0 ? len : 1);
        assert_non_null(cut);
        memcpy(cut, whole, len);
        const int err = discovery_zookeeper_node_unpack(bytes_of(cut, len), &node);
        assert_true(err == 0 || err == PETREL_E_INVALID);
        assert_true(err != 0 || node.number == 7);
        free(cut);
    }
}

static void paths_have_one_part_for_a_name(void **state)
{
    (void)state;
    char path[DISCOVERY_ZOOKEEPER_PATH_MAX];
    discovery_zookeeper_node_path("/petrel", "nodes", NULL, path);
    assert_string_equal(path, "/petrel/nodes");
    discovery_zookeeper_node_path("/petrel", "nodes", "eu-1.example", path);
    assert_string_equal(path, "/petrel/nodes/eu-1.example");
    discovery_zookeeper_node_path("/petrel", "nodes", "..", path);
    assert_string_equal(path, "/petrel/nodes/%2E.");
    discovery_zookeeper_node_path("/petrel", "names", "a/b%2F", path);
    assert_string_equal(path, "/petrel/names/a%2Fb%252F");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_reads_as_it_was_packed),
        cmocka_unit_test(the_largest_values_fit),
        cmocka_unit_test(keys_that_are_not_known_are_passed_over),
        cmocka_unit_test(nodes_are_the_same_in_everything_that_is_packed),
        cmocka_unit_test(what_links_speak_is_told_across_versions),
        cmocka_unit_test(what_is_no_node_is_refused),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
        cmocka_unit_test(a_node_that_is_cut_is_refused_or_lacks_what_was_cut),
        cmocka_unit_test(paths_have_one_part_for_a_name),
    };
    return cmocka_run_group_tests_name("discovery_zookeeper_node", tests, NULL, NULL);
}
