/* Which server a device tries next: lists, lookups that are due, targets, waits; without sockets. */
#include "client/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ABC                                                                                                            \
    "{\"servers\":[{\"address\":\"a:1\",\"weight\":600},{\"address\":\"b:2\"},{\"address\":\"[::1]:3\"}],\"ttl_s\":"   \
    "100}"
#define TTL_MS 100000

static int setup(void **state)
{
    struct servers *servers = calloc(1, sizeof *servers);
    if (servers == NULL)
        return -1;
    servers->lookup = true;
    *state = servers;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static int64_t answer(struct servers *servers, uint64_t now_ms, const char *json)
{
    return servers_answered(servers, now_ms, json, strlen(json));
}

/* The address, "lookup" or "usual". */
static const char *next(struct servers *servers, uint64_t now_ms)
{
    const char *address;
    uint32_t patience_ms;
    enum servers_step step = servers_next(servers, now_ms, &address, &patience_ms);
    assert_true((address != NULL) == (step == SERVERS_ADDRESS));
    return step == SERVERS_ADDRESS ? address : step == SERVERS_LOOKUP ? "lookup" : "usual";
}

static uint32_t patience(struct servers *servers, uint64_t now_ms)
{
    const char *address;
    uint32_t patience_ms;
    (void)servers_next(servers, now_ms, &address, &patience_ms);
    return patience_ms;
}

/* One round, each server failing: "lookup a:1 b:2". A lookup is answered with `json`, or not at all when that is NULL. */
static const char *failing_round(struct servers *servers, uint64_t now_ms, const char *json)
{
    static char text[2048];
    text[0] = '\0';
    for (int i = 0; i < 20; i++) {
        const char *step = next(servers, now_ms);
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", len > 0 ? " " : "", step);
        bool looked = strcmp(step, "lookup") == 0;
        if (looked && (json != NULL ? answer(servers, now_ms, json) >= 0 : servers_unanswered(servers) == 0))
            continue;
        if (servers_another(servers))
            continue;
        servers_restart(servers, SERVERS_ROUND_FAILED);
        return text;
    }
    return "a round without end";
}

static void tell_targets(struct servers *servers, const char *one, const char *two)
{
    const struct bytes targets[] = {bytes_str(one), bytes_str(two)};
    servers_goaway(servers, targets, 2);
}

static void a_list_is_tried_in_its_order(void **state)
{
    struct servers *servers = *state;
    assert_string_equal(failing_round(servers, 0, ABC), "lookup a:1 b:2 [::1]:3");
}

static void a_list_that_failed_is_looked_up_anew(void **state)
{
    struct servers *servers = *state;
    failing_round(servers, 0, ABC);
    assert_string_equal(failing_round(servers, 1, "{\"servers\":[{\"address\":\"d:4\"}]}"), "lookup d:4");
    assert_string_equal(failing_round(servers, 2, ABC), "lookup a:1 b:2 [::1]:3");
}

static void a_young_list_is_used_again(void **state)
{
    struct servers *servers = *state;
    assert_string_equal(next(servers, 0), "lookup");
    answer(servers, 0, ABC);
    assert_string_equal(next(servers, 0), "a:1");
    servers_live(servers);
    servers_restart(servers, SERVERS_SESSION_ENDED);
    /* But where the session ended comes last. */
    assert_string_equal(failing_round(servers, TTL_MS - 1, NULL), "b:2 [::1]:3 a:1");
}

static void an_old_list_is_looked_up_anew(void **state)
{
    struct servers *servers = *state;
    next(servers, 0);
    answer(servers, 0, ABC);
    assert_string_equal(next(servers, 0), "a:1");
    servers_live(servers);
    servers_restart(servers, SERVERS_SESSION_ENDED);
    assert_string_equal(failing_round(servers, TTL_MS, ABC), "lookup b:2 [::1]:3 a:1");
}

static void a_stale_list_serves_when_nobody_answers(void **state)
{
    struct servers *servers = *state;
    next(servers, 0);
    answer(servers, 0, ABC);
    next(servers, 0);
    servers_live(servers);
    servers_restart(servers, SERVERS_SESSION_ENDED);
    assert_string_equal(failing_round(servers, 10 * TTL_MS, NULL), "lookup b:2 [::1]:3 a:1");
    /* Also one that has failed, after the next question. */
    assert_string_equal(failing_round(servers, 10 * TTL_MS, NULL), "lookup b:2 [::1]:3 a:1");
}

static void without_any_answer_the_round_is_over(void **state)
{
    struct servers *servers = *state;
    assert_string_equal(failing_round(servers, 0, NULL), "lookup");
    assert_string_equal(failing_round(servers, 0, NULL), "lookup");
    assert_string_equal(failing_round(servers, 0, "{}"), "lookup");
}

static void targets_come_first(void **state)
{
    struct servers *servers = *state;
    next(servers, 0);
    answer(servers, 0, ABC);
    assert_string_equal(next(servers, 0), "a:1");
    servers_live(servers);
    tell_targets(servers, "x:9", "y:8");
    servers_restart(servers, SERVERS_SESSION_ENDED);
    assert_string_equal(failing_round(servers, 1, NULL), "x:9 y:8 b:2 [::1]:3 a:1");
    /* They were for once. */
    assert_string_equal(failing_round(servers, 2, ABC), "lookup b:2 [::1]:3 a:1");
}

static void targets_that_are_no_addresses_are_passed_over(void **state)
{
    struct servers *servers = *state;
    servers->lookup = false;
    tell_targets(servers, "nonsense", "y:8");
    assert_string_equal(failing_round(servers, 1, NULL), "y:8 usual");
    assert_string_equal(failing_round(servers, 1, NULL), "usual");
    char long_host[HOSTPORT_MAX + 10];
    memset(long_host, 'h', sizeof long_host - 1);
    long_host[sizeof long_host - 1] = '\0';
    memcpy(long_host + sizeof long_host - 4, ":1", 3);
    tell_targets(servers, long_host, "a b:1");
    assert_string_equal(failing_round(servers, 1, NULL), "usual");
}

static void what_is_not_the_servers_fault_changes_nothing(void **state)
{
    struct servers *servers = *state;
    next(servers, 0);
    answer(servers, 0, ABC);
    assert_string_equal(next(servers, 0), "a:1");
    servers_restart(servers, SERVERS_NOT_THEIRS);
    assert_string_equal(next(servers, 1), "a:1");
}

static void patience_is_short_with_others_to_try_and_grows(void **state)
{
    struct servers *servers = *state;
    assert_int_equal(patience(servers, 0), 2000); /* a lookup server */
    answer(servers, 0, ABC);
    for (int i = 0; i < 3; i++)
        assert_int_equal(patience(servers, 0), 3000);
    servers_restart(servers, SERVERS_ROUND_FAILED);
    assert_int_equal(patience(servers, 0), 4000);
    answer(servers, 0, ABC);
    assert_int_equal(patience(servers, 0), 6000);
    for (int i = 0; i < 10; i++)
        servers_restart(servers, SERVERS_ROUND_FAILED);
    assert_int_equal(patience(servers, 0), 10000);
    answer(servers, 0, ABC);
    assert_int_equal(patience(servers, 0), 20000);
    servers_live(servers);
    servers_restart(servers, SERVERS_SESSION_ENDED);
    assert_int_equal(patience(servers, 1), 3000);
}

static void a_server_alone_has_all_the_time(void **state)
{
    struct servers *servers = *state;
    answer(servers, 0, "{\"servers\":[{\"address\":\"a:1\"}]}");
    assert_int_equal(patience(servers, 0), 20000);
    *servers = (struct servers){.lookup = false};
    assert_int_equal(patience(servers, 0), 20000);
}

static void the_wait_is_the_answers(void **state)
{
    struct servers *servers = *state;
    assert_true(answer(servers, 0, ABC) == 0);
    assert_true(answer(servers, 0, "{\"servers\":[{\"address\":\"a:1\"}],\"wait_ms\":4321}") == 4321);
    assert_true(answer(servers, 0, "{\"servers\":[{\"address\":\"a:1\"}],\"wait_ms\":9999999999}") == 60000);
    assert_true(answer(servers, 0, "{\"servers\":[{\"address\":\"a:1\"}],\"wait_ms\":-5}") == 0);
    assert_true(answer(servers, 0, "{\"servers\":[{\"address\":\"a:1\"}],\"wait_ms\":\"7\"}") == 0);
}

static void answers_are_bounded(void **state)
{
    struct servers *servers = *state;
    assert_true(
        answer(servers, 0,
               "{\"servers\":[{\"address\":\"a:1\"},{\"address\":\"b\"},{\"address\":\":2\"},{\"address\":\"c:0\"},"
               "{\"address\":\"d:65536\"},{\"address\":\"e:1x\"},{\"address\":7},{},3,{\"address\":\"f\\u0001:1\"},"
               "{\"address\":\"\\u00fc:1\"},{\"address\":\"g:1\"},{\"address\":\"h:1\"},{\"address\":\"i:1\"},"
               "{\"address\":\"j:1\"},{\"address\":\"k:1\"}],\"ttl_s\":1e9,\"backoff_ms\":99999999,\"new\":[]}") == 0);
    assert_int_equal(servers->answer.ttl_s, SERVERS_ANSWER_TTL_S); /* 1e9 is no whole number */
    assert_int_equal(servers->answer.backoff_ms, 60000);
    assert_string_equal(failing_round(servers, 0, NULL), "a:1 g:1 h:1 i:1 j:1");
}

static void what_is_no_answer_changes_nothing(void **state)
{
    struct servers *servers = *state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "7",
        "null",
        "{}",
        "{\"servers\":{}}",
        "{\"servers\":[]}",
        "{\"servers\":[{\"address\":\"a\"}]}",
        "{\"servers\":[{\"address\":\"z:1\"}]} x",
        "{\"servers\":[{\"address\":\"z:1\"}],\"servers\":[]}",
        "<html>502</html>",
    };
    answer(servers, 0, ABC);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(answer(servers, 5, texts[i]) == -1);
    assert_true(servers->stale_at_ms == TTL_MS);
    assert_string_equal(failing_round(servers, 5, NULL), "a:1 b:2 [::1]:3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_is_tried_in_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_that_failed_is_looked_up_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_young_list_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_list_is_looked_up_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stale_list_serves_when_nobody_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(without_any_answer_the_round_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_come_first, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_that_are_no_addresses_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_the_servers_fault_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(patience_is_short_with_others_to_try_and_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_alone_has_all_the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_wait_is_the_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_answer_changes_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
