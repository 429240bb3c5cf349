/* Thousands of seeds keep the promise, each twice the same run; and faults that are planted in the simulated parts are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static int run_sim(const char *arguments)
{
    char command[512];
    int len = snprintf(command, sizeof command, "'%s/petrel-sim' %s", PETREL_BIN_DIR, arguments);
    assert_true(len > 0 && (size_t)len < sizeof command);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void seeds_keep_the_promise(void **state)
{
    (void)state;
    assert_int_equal(run_sim("--seed 1 --seeds 2000"), 0);
}

static void a_seed_is_one_run(void **state)
{
    (void)state;
    assert_int_equal(run_sim("--seed 100001 --seeds 200 --verify 200"), 0);
}

static void planted_faults_are_found(void **state)
{
    (void)state;
    assert_int_equal(run_sim("--plant prev --seeds 1000 --expect-failure"), 0);
    assert_int_equal(run_sim("--plant silent --seeds 1000 --expect-failure"), 0);
    assert_int_equal(run_sim("--plant dirty --seeds 1000 --expect-failure"), 0);
    assert_int_equal(run_sim("--plant hits --seeds 1000 --expect-failure"), 0);
}

static void bad_usage_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_sim("--seeds none 2>/dev/null"), 2);
    assert_int_equal(run_sim("--plant weeds 2>/dev/null"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_keep_the_promise),
        cmocka_unit_test(a_seed_is_one_run),
        cmocka_unit_test(planted_faults_are_found),
        cmocka_unit_test(bad_usage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
