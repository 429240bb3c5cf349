/* What the kernel tells of memory: a tree of files as it would be, and the machine's own. */
#include "base/memory.h"

#include "lib/tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1024ULL * 1024)

static struct tmpdir root;

static void put(const char *path, const char *text)
{
    char whole[512];
    (void)snprintf(whole, sizeof whole, "%s/%s", root.path, path);
    for (char *at = whole + strlen(root.path) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(whole, 0700);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct memory_usage measure(void)
{
    char proc[256], groups[256];
    struct memory_gauge gauge;
    struct memory_usage usage;
    (void)snprintf(proc, sizeof proc, "%s/p", root.path);
    (void)snprintf(groups, sizeof groups, "%s/g", root.path);
    memory_init(&gauge, proc, groups);
    memory_measure(&gauge, &usage);
    return usage;
}

static int make_machine(void **state)
{
    (void)state;
    assert_true(tmpdir_make(&root));
    put("p/self/statm", "1000 256 3 4 0 5 0\n");
    put("p/meminfo", "MemTotal:        1048576 kB\nMemFree:          100 kB\nMemAvailable:     786432 kB\n");
    return 0;
}

static int drop_machine(void **state)
{
    (void)state;
    tmpdir_remove(&root);
    return 0;
}

static void without_a_group_it_is_the_machine(void **state)
{
    (void)state;
    put("p/self/cgroup", "4:memory:/old\n0::/\n");
    const struct memory_usage usage = measure();
    assert_int_equal(usage.rss, 256 * (uint64_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(usage.limit, 1024 * MIB);
    assert_int_equal(usage.used, 256 * MIB);
}

static void the_group_that_limits_most_counts(void **state)
{
    (void)state;
    put("p/self/cgroup", "0::/system/petrel\n");
    put("g/memory.max", "max\n");
    put("g/system/memory.max", "104857600\n"); /* 100 MiB */
    put("g/system/memory.current", "94371840\n");
    put("g/system/memory.stat", "anon 5\ninactive_file 10485760\nslab_reclaimable 5242880\n");
    put("g/system/petrel/memory.max", "209715200\n");
    put("g/system/petrel/memory.current", "1048576\n");
    const struct memory_usage usage = measure();
    assert_int_equal(usage.limit, 100 * MIB);
    assert_int_equal(usage.used, 75 * MIB);
}

static void a_limit_above_the_machines_is_none(void **state)
{
    (void)state;
    put("p/self/cgroup", "0::/petrel\n");
    put("g/petrel/memory.max", "99999999999\n");
    put("g/petrel/memory.current", "1048576\n");
    const struct memory_usage usage = measure();
    assert_int_equal(usage.limit, 1024 * MIB);
    assert_int_equal(usage.used, 256 * MIB);
}

static void a_kernel_that_tells_nothing_limits_nothing(void **state)
{
    (void)state;
    struct memory_gauge gauge;
    struct memory_usage usage;
    memory_init(&gauge, "/nowhere", "/nowhere");
    memory_measure(&gauge, &usage);
    assert_int_equal(usage.limit, 0);
    assert_int_equal(usage.used, 0);
    assert_int_equal(usage.rss, 0);
}

static void this_machine_has_some(void **state)
{
    (void)state;
    struct memory_gauge gauge;
    struct memory_usage usage;
    memory_init(&gauge, NULL, NULL);
    memory_measure(&gauge, &usage);
    assert_true(usage.rss > MIB / 4);
    assert_true(usage.limit > usage.used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_group_it_is_the_machine, make_machine, drop_machine),
        cmocka_unit_test_setup_teardown(the_group_that_limits_most_counts, make_machine, drop_machine),
        cmocka_unit_test_setup_teardown(a_limit_above_the_machines_is_none, make_machine, drop_machine),
        cmocka_unit_test(a_kernel_that_tells_nothing_limits_nothing),
        cmocka_unit_test(this_machine_has_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
