/* The ledger against a real petreld and a real cluster: it finds the promise kept, and it finds the one message that was swallowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <jansson.h>

#include "lib/tmpdir.h"

/* Run bin/petrel-ledger; its exit code, and the JSON of its last line, which the caller gives back. */
static int run(const char *args, json_t **last)
{
    const char *folder = getenv("PETREL_BIN_DIR");
    char command[1200], line[1000], text[1000] = "";
    snprintf(command, sizeof command, "exec timeout -k 5 110 %s/petrel-ledger %s",
             folder != NULL ? folder : PETREL_BIN_DIR, args);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    while (fgets(line, sizeof line, output) != NULL) {
        fputs(line, stdout);
        snprintf(text, sizeof text, "%s", line);
    }
    int status = pclose(output);
    *last = json_loads(text, 0, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static long long number(const json_t *last, const char *member)
{
    const json_t *value = json_object_get(last, member);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* The ledger with these words beside its own finds nothing amiss. */
static void expect_zeros(const char *words)
{
    json_t *last;
    char args[200];
    snprintf(args, sizeof args, "--kills 2 --seconds 4 --devices 40 --rate 100 --senders 8 --seed 11 %s", words);
    int code = run(args, &last);
    long long accepted = number(last, "accepted"), delivered = number(last, "delivered");
    static const char *const zeros[] = {"lost", "out_of_order", "duplicates", "refused", "gaps"};
    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++)
        assert_int_equal(number(last, zeros[i]), 0);
    assert_int_equal(number(last, "kills"), 2);
    assert_int_equal(number(last, "seed"), 11);
    assert_true(accepted > 20 && delivered >= accepted);
    const json_t *topics = json_object_get(last, "topics");
    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++)
        assert_int_equal(number(topics, zeros[i]), 0);
    assert_true(number(topics, "accepted") > 5 && number(topics, "delivered") > number(topics, "accepted"));
    assert_int_equal(number(topics, "turns"), 1);
    assert_int_equal(code, 0);
    json_decref(last);
}

static void a_kept_promise_is_zeros(void **state)
{
    (void)state;
    expect_zeros("");
}

static void a_kept_promise_is_zeros_over_tls(void **state)
{
    (void)state;
    expect_zeros("--tls");
}

static void a_kept_promise_is_zeros_over_websocket(void **state)
{
    (void)state;
    expect_zeros("--ws");
    expect_zeros("--tls --ws");
}

static void one_swallowed_message_is_one_lost(void **state)
{
    (void)state;
    json_t *last;
    int code = run("--drop-one --kills 1 --seconds 2 --devices 20 --rate 50 --senders 4 --seed 12", &last);
    assert_int_equal(number(last, "lost"), 1);
    assert_int_equal(number(last, "out_of_order") + number(last, "duplicates"), 0);
    assert_int_equal(code, 1);
    json_decref(last);
}

/* Of a cluster, too: its session node dies, nothing else is lost, and the devices of that node were elsewhere in time. */
static void expect_one_lost_of_a_cluster(const char *more)
{
    json_t *last;
    struct tmpdir dir;
    char args[TMPDIR_PATH_MAX + 200];
    assert_true(tmpdir_make(&dir));
    snprintf(args, sizeof args,
             "--cluster %s --drop-one --faults kill-session --seconds 10 --devices 60 --rate 60 --senders 8 --seed 13 "
             "--dir %s/cluster",
             more, dir.path);
    int code = run(args, &last);
    assert_int_equal(number(last, "lost"), 1);
    assert_int_equal(number(last, "out_of_order") + number(last, "duplicates") + number(last, "refused"), 0);
    assert_int_equal(number(json_object_get(last, "faults"), "kill-session"), 1);
    assert_string_equal(json_string_value(json_object_get(last, "durability")), "replicated");
    assert_true(number(last, "failover_devices") > 0 && number(last, "failover_p99_ms") < 60000);
    assert_int_equal(code, 1);
    json_decref(last);
    tmpdir_remove(&dir);
}

static void one_swallowed_message_of_a_cluster_is_one_lost(void **state)
{
    (void)state;
    expect_one_lost_of_a_cluster("");
}

static void one_swallowed_message_of_a_cluster_is_one_lost_over_tls(void **state)
{
    (void)state;
    expect_one_lost_of_a_cluster("--tls");
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    static const char *const wrong[] = {"--kills many 2>&1",   "--rate 0 2>&1",
                                        "--devices -1 2>&1",   "nonsense 2>&1",
                                        "--what 2>&1",         "--cluster --faults kill-me 2>&1",
                                        "--faults all 2>&1",   "--cluster --kills 2 2>&1",
                                        "--cluster --ws 2>&1", "--cluster --durability some 2>&1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_t *last;
        assert_int_equal(run(wrong[i], &last), 2);
        assert_null(last);
    }
    json_t *last;
    assert_int_equal(run("--help", &last), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_promise_is_zeros),
        cmocka_unit_test(a_kept_promise_is_zeros_over_tls),
        cmocka_unit_test(a_kept_promise_is_zeros_over_websocket),
        cmocka_unit_test(one_swallowed_message_is_one_lost),
        cmocka_unit_test(one_swallowed_message_of_a_cluster_is_one_lost),
        cmocka_unit_test(one_swallowed_message_of_a_cluster_is_one_lost_over_tls),
        cmocka_unit_test(wrong_usage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
