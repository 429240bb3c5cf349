/* The copy of the nodes last believed: its text, what is no such text, and its file. */
#include "base/err.h"
#include "discovery/discovery_zookeeper_copy.h"
#include "lib/tmpdir.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *const whole =
    "petrel nodes 1\nroot=/petrel\nas_of_ms=1700000000123\ncount=2\n\n"
    "petrel 1\nname=end\nnumber=7\nincarnation=1700000000000\nroles=message\nstate=up\nsessions=0\nmax_sessions=0\n"
    "connects_per_second=0\nloops=0\nsession_address=\npeer_address=10.0.0.7:7490\npeer_tls=off\n\n"
    "petrel 1\nname=b\nnumber=8\nincarnation=1700000000001\nroles=session\nstate=draining\nsessions=3\nmax_sessions=9\n"
    "connects_per_second=50\nloops=4\nsession_address=push.example:7400\npeer_address=10.0.0.8:7490\npeer_tls="
    "required\nend\n";

static int unpack(const char *text, const char *root, struct discovery_zookeeper_copy *copy)
{
    return discovery_zookeeper_copy_unpack(bytes_str(text), root, copy);
}

static void refused(const char *text)
{
    struct discovery_zookeeper_copy copy;
    assert_int_equal(unpack(text, "/petrel", &copy), PETREL_E_INVALID);
    assert_null(copy.nodes);
    assert_int_equal(copy.count, 0);
}

static void a_copy_reads_as_it_was_packed(void **state)
{
    (void)state;
    struct discovery_zookeeper_copy copy;
    struct bytebuf out = {0};
    assert_int_equal(unpack(whole, "/petrel", &copy), 0);
    assert_int_equal(copy.as_of_ms, 1700000000123);
    assert_int_equal(copy.count, 2);
    assert_string_equal(copy.nodes[0].name, "end");
    assert_string_equal(copy.nodes[0].peer_address, "10.0.0.7:7490");
    assert_int_equal(copy.nodes[1].number, 8);
    assert_int_equal(copy.nodes[1].state, DISCOVERY_DRAINING);
    discovery_zookeeper_copy_pack(&copy, "/petrel", &out);
    assert_true(bytes_equal_str(bytes_view(&out), whole));
    discovery_zookeeper_copy_reset(&copy);

    out.len = 0;
    discovery_zookeeper_copy_pack(&copy, "/petrel", &out);
    assert_int_equal(discovery_zookeeper_copy_unpack(bytes_view(&out), "/petrel", &copy), 0);
    assert_int_equal(copy.count, 0);
    discovery_zookeeper_copy_reset(&copy);
    bytes_reset(&out);
}

static void another_root_is_not_shown_it(void **state)
{
    (void)state;
    static const char *const roots[] = {"/petrel2", "/petre", "", "/petrel\nas_of_ms=1700000000123"};
    struct discovery_zookeeper_copy copy;
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++)
        assert_int_equal(unpack(whole, roots[i], &copy), PETREL_E_INVALID);
}

static void a_copy_that_is_cut_is_refused(void **state)
{
    (void)state;
    struct discovery_zookeeper_copy copy;
    for (size_t len = 0; len < strlen(whole); len++) {
        /* A copy of just that size, so that a read past its end is seen. */
        uint8_t *cut = malloc(len > 0 ? len : 1);
        assert_non_null(cut);
        memcpy(cut, whole, len);
        assert_int_equal(discovery_zookeeper_copy_unpack(bytes_of(cut, len), "/petrel", &copy), PETREL_E_INVALID);
        free(cut);
    }
}

static void what_is_no_copy_is_refused(void **state)
{
    (void)state;
#define HEAD "petrel nodes 1\nroot=/petrel\nas_of_ms=5\n"
#define NODE "\npetrel 1\nname=a\nnumber=1\nincarnation=5\n"
    struct discovery_zookeeper_copy copy;
    assert_int_equal(unpack(HEAD "count=1\n" NODE "end\n", "/petrel", &copy), 0);
    discovery_zookeeper_copy_reset(&copy);
    refused("petrel nodes 2\nroot=/petrel\nas_of_ms=5\ncount=0\nend\n");
    refused("petrel nodes 1\nroot=/petrel\ncount=0\nas_of_ms=5\nend\n");
    refused("petrel nodes 1\nroot=/petrel\nas_of_ms=5x\ncount=0\nend\n");
    refused("petrel nodes 1\nroot=/petrel\nas_of_ms=\ncount=0\nend\n");
    refused("petrel nodes 1\nroot=/petrel\nas_of_ms=99999999999999999999\ncount=0\nend\n");
    refused(HEAD "count=-1\nend\n");
    refused(HEAD "count=8193\nend\n");
    refused(HEAD "count=18446744073709551615\nend\n");
    refused(HEAD "count=0\nend\nmore\n");
    refused(HEAD "count=0\nfin\n");
    refused(HEAD "count=0\n" NODE "end\n");
    refused(HEAD "count=1\nend\n");
    refused(HEAD "count=2\n" NODE "end\n");
    refused(HEAD "count=1\n" NODE NODE "end\n");
    refused(HEAD "count=1\n\nend\n");
    refused(HEAD "count=1\n\npetrel 1\nname=a\nnumber=0\nincarnation=5\nend\n");
#undef HEAD
#undef NODE
}

static void too_many_are_left_out(void **state)
{
    (void)state;
    struct discovery_zookeeper_copy copy = {.count = DISCOVERY_ZOOKEEPER_COPY_NODES_MAX + 1}, again;
    struct bytebuf out = {0};
    copy.nodes = calloc(copy.count, sizeof *copy.nodes);
    assert_non_null(copy.nodes);
    for (size_t i = 0; i < copy.count; i++) {
        struct discovery_node *node = &copy.nodes[i];
        *node = (struct discovery_node){.number = UINT32_MAX, .roles = 15, .incarnation = UINT64_MAX};
        node->sessions = node->max_sessions = UINT64_MAX;
        memset(node->name, 'n', DISCOVERY_NAME_MAX);
        memset(node->session_address, 's', DISCOVERY_ADDRESS_MAX);
        memset(node->peer_address, 'p', DISCOVERY_ADDRESS_MAX);
    }
    discovery_zookeeper_copy_pack(&copy, "/petrel", &out);
    assert_true(out.len <= DISCOVERY_ZOOKEEPER_COPY_BYTES_MAX);
    assert_int_equal(discovery_zookeeper_copy_unpack(bytes_view(&out), "/petrel", &again), 0);
    assert_int_equal(again.count, copy.count - 1);
    discovery_zookeeper_copy_reset(&copy);
    discovery_zookeeper_copy_reset(&again);
    bytes_reset(&out);
}

static void a_change_is_written_soon_and_loads_are_not(void **state)
{
    (void)state;
    struct discovery_zookeeper_copy one, other;
    assert_int_equal(unpack(whole, "/petrel", &one), 0);
    assert_int_equal(unpack(whole, "/petrel", &other), 0);
    other.as_of_ms++;
    other.nodes[1].sessions++;
    assert_true(discovery_zookeeper_copy_due(&one, &other, 59999, 2000) == UINT64_MAX);
    assert_int_equal(discovery_zookeeper_copy_due(&one, &other, 60000, 2000), 0);
    other.nodes[1].incarnation++;
    assert_int_equal(discovery_zookeeper_copy_due(&one, &other, 2000, 2000), 0);
    assert_int_equal(discovery_zookeeper_copy_due(&one, &other, 500, 2000), 1500);
    other.nodes[1] = one.nodes[1];
    other.count--;
    assert_int_equal(discovery_zookeeper_copy_due(&one, &other, 0, 2000), 2000);
    discovery_zookeeper_copy_reset(&one);
    discovery_zookeeper_copy_reset(&other);
}

static void a_file_is_replaced_whole_and_for_its_owner_only(void **state)
{
    (void)state;
    struct tmpdir tmp;
    char path[PATH_MAX], beside[PATH_MAX + 8];
    struct stat st;
    struct discovery_zookeeper_copy copy;
    assert_true(tmpdir_make(&tmp));
    snprintf(path, sizeof path, "%s/nodes.copy", tmp.path);
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(discovery_zookeeper_copy_read(path, "/petrel", &copy), PETREL_E_NOT_FOUND);
    assert_int_equal(discovery_zookeeper_copy_write(path, bytes_str("garbage")), 0);
    assert_int_equal(discovery_zookeeper_copy_read(path, "/petrel", &copy), PETREL_E_NOT_FOUND);
    assert_int_equal(discovery_zookeeper_copy_write(path, bytes_str(whole)), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(discovery_zookeeper_copy_read(path, "/other", &copy), PETREL_E_NOT_FOUND);
    assert_int_equal(discovery_zookeeper_copy_read(path, "/petrel", &copy), 0);
    assert_int_equal(copy.count, 2);
    discovery_zookeeper_copy_reset(&copy);

    /* What can't be written leaves what stood there. */
    assert_int_equal(mkdir(beside, 0700), 0);
    assert_true(discovery_zookeeper_copy_write(path, bytes_str("garbage")) < 0);
    assert_int_equal(discovery_zookeeper_copy_read(path, "/petrel", &copy), 0);
    discovery_zookeeper_copy_reset(&copy);
    tmpdir_remove(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_reads_as_it_was_packed),
        cmocka_unit_test(another_root_is_not_shown_it),
        cmocka_unit_test(a_copy_that_is_cut_is_refused),
        cmocka_unit_test(what_is_no_copy_is_refused),
        cmocka_unit_test(too_many_are_left_out),
        cmocka_unit_test(a_change_is_written_soon_and_loads_are_not),
        cmocka_unit_test(a_file_is_replaced_whole_and_for_its_owner_only),
    };
    return cmocka_run_group_tests_name("discovery_zookeeper_copy", tests, NULL, NULL);
}
