/* The number that a node keeps in its data directory: for its name and root alone. */
#include "base/err.h"
#include "lib/tmpdir.h"
#include "petreld/node_number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
    struct tmpdir tmp;
    struct datadir *dir;
};

static int open_rig(void **state)
{
    static struct rig rig;
    *state = &rig;
    return tmpdir_make(&rig.tmp) && datadir_open(&rig.dir, rig.tmp.path) == 0 ? 0 : -1;
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    datadir_close(&rig->dir);
    tmpdir_remove(&rig->tmp);
    return 0;
}

static int load(void **state, const char *root, const char *name, uint32_t *number)
{
    const struct rig *rig = *state;
    return node_number_load(rig->dir, root, name, number);
}

static int save(void **state, const char *root, const char *name, uint32_t number)
{
    const struct rig *rig = *state;
    return node_number_save(rig->dir, root, name, number);
}

static void a_number_is_kept_for_its_name_and_root(void **state)
{
    uint32_t number = 0;
    assert_int_equal(load(state, "/petrel", "a b", &number), PETREL_E_NOT_FOUND);
    assert_int_equal(save(state, "/petrel", "a b", UINT32_MAX), 0);
    assert_int_equal(load(state, "/petrel", "a b", &number), 0);
    assert_int_equal(number, UINT32_MAX);
    number = 5;
    assert_int_equal(load(state, "/petrel", "a", &number), PETREL_E_NOT_FOUND);
    assert_int_equal(load(state, "/petrel2", "a b", &number), PETREL_E_NOT_FOUND);
    assert_int_equal(load(state, "", "/petrel\na b", &number), PETREL_E_NOT_FOUND);
    assert_int_equal(number, 5);
    assert_int_equal(save(state, "/petrel", "a b", UINT32_MAX), 0);
    assert_int_equal(save(state, "/petrel", "a b", 7), 0);
    assert_int_equal(load(state, "/petrel", "a b", &number), 0);
    assert_int_equal(number, 7);
    assert_int_equal(save(state, "/other", "a b", 9), 0); /* the node was moved to another cluster */
    assert_int_equal(load(state, "/petrel", "a b", &number), PETREL_E_NOT_FOUND);
}

static void what_is_damaged_is_no_number(void **state)
{
    const struct rig *rig = *state;
    static const char *const wrong[] = {
        "",
        "7",
        "7\n/petrel\na",
        "7\n/petrel\na\n\n",
        "+7\n/petrel\na\n",
        "07\n/petrel\na\n",
        "0\n/petrel\na\n",
        "4294967303\n/petrel\na\n",
        "-1\n/petrel\na\n",
        "seven\n/petrel\na\n",
    };
    uint32_t number = 5;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(datadir_write(rig->dir, "node.number", bytes_str(wrong[i])), 0);
        assert_int_equal(load(state, "/petrel", "a", &number), PETREL_E_NOT_FOUND);
    }
    assert_int_equal(datadir_write(rig->dir, "node.number", bytes_of("7\n/petrel\na\n\0", 13)), 0);
    assert_int_equal(load(state, "/petrel", "a", &number), PETREL_E_NOT_FOUND);
    assert_int_equal(number, 5);
    char large[2000];
    memset(large, '7', sizeof large);
    assert_int_equal(datadir_write(rig->dir, "node.number", bytes_of(large, sizeof large)), 0);
    assert_true(load(state, "/petrel", "a", &number) < 0);
    assert_int_equal(datadir_write(rig->dir, "node.number", bytes_str("7\n/petrel\na\n")), 0);
    assert_int_equal(load(state, "/petrel", "a", &number), 0);
    assert_int_equal(number, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_number_is_kept_for_its_name_and_root, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_no_number, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
