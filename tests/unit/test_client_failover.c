/* Which server the core goes to next, and when. */
#include "unit/client_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 200
#define AB "{\"servers\":[{\"address\":\"a:1\"},{\"address\":\"b:2\"}],\"ttl_s\":100,\"backoff_ms\":1000"

static int setup(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    if (script == NULL)
        return -1;
    script_begin(script, NULL, false, 7);
    *state = script;
    return 0;
}

static int setup_lookup(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    if (script == NULL)
        return -1;
    script_begin_lookup(script, 7);
    *state = script;
    return 0;
}

static int teardown(void **state)
{
    script_end(*state);
    free(*state);
    return 0;
}

/* "one:1", or "usual". */
static const char *next(struct script *script)
{
    struct petrel_next found;
    petrel_core_next(script->core, script->now, &found);
    return found.address != NULL ? found.address : "usual";
}

static void targets_come_before_the_usual_address(void **state)
{
    struct script *script = *state;
    assert_string_equal(next(script), "usual");
    script_told_to_go(script, 0, 0);
    assert_int_equal(script_pass(script, 0), -1);
    script_lost(script);
    assert_string_equal(next(script), "one:1");
    assert_true(script_lost(script) == 0);
    assert_string_equal(next(script), "two:2");
    assert_true(script_refused(script, SESSION_CODE_UNAVAILABLE, 7000) == 0);
    assert_string_equal(next(script), "usual");
    assert_in_range(script_lost(script), 7000, 14000); /* all have failed */
    assert_string_equal(next(script), "usual");
    assert_in_range(script_lost(script), 7000, 21000);
}

static void targets_are_gone_once_a_session_is_up(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 0, 0);
    assert_int_equal(script_pass(script, 0), -1);
    script_lost(script);
    assert_string_equal(next(script), "one:1");
    script_live(script, 7, 40);
    script_lost(script);
    assert_string_equal(next(script), "usual");
}

/* Of what several servers say of their waits, the shortest counts: the others are tried before it is over. */
static void the_shortest_wait_of_a_round_counts(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 0, 0);
    assert_int_equal(script_pass(script, 0), -1);
    script_lost(script);
    next(script);
    assert_true(script_refused(script, SESSION_CODE_OVERLOADED, 9000) == 0);
    next(script);
    assert_true(script_refused(script, SESSION_CODE_OVERLOADED, 2000) == 0);
    next(script);
    assert_in_range(script_refused(script, SESSION_CODE_OVERLOADED, 30000), 2000, 4000);
}

/* A refusal of the token is none of the server's. */
static void a_refused_token_is_no_reason_to_go_elsewhere(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 0, 0);
    assert_int_equal(script_pass(script, 0), -1);
    script_lost(script);
    assert_string_equal(next(script), "one:1");
    assert_true(script_refused(script, SESSION_CODE_TOKEN_EXPIRED, 700) >= 700);
    assert_string_equal(next(script), "one:1");
    assert_int_equal(script_refused(script, SESSION_CODE_VERSION, 0), -1);
    assert_string_equal(next(script), "one:1");
}

/* Who never asks where to go has one server: not even a GOAWAY's targets make it hurry. */
static void without_asking_there_is_no_other_server(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 0, 0);
    assert_int_equal(script_pass(script, 0), -1);
    script_lost(script);
    next(script);
    assert_true(script_lost(script) == 0);
    assert_in_range(script_lost(script), 5000, 10000);
}

static void a_server_that_does_not_answer_is_left_early_for_another(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 0, 0);
    assert_int_equal(script_pass(script, 0), -1);
    script_lost(script);
    next(script);
    script_connect(script);
    assert_int_equal(script_pass(script, 2999), 0);
    assert_int_equal(script_pass(script, 1), -1);
    assert_true(script_lost(script) == 0);
}

static int64_t answer(struct script *script, const char *json)
{
    return petrel_core_servers(script->core, script->now, json, strlen(json));
}

static void a_lookup_leads_to_a_session(void **state)
{
    struct script *script = *state;
    assert_string_equal(next(script), "usual"); /* NULL: a lookup is due */
    assert_true(answer(script, AB ",\"wait_ms\":1234}") == 1234);
    assert_string_equal(next(script), "a:1");
    script_live(script, 7, 40);
    assert_int_equal(script_pass(script, 30000), 0);
    assert_in_range(script_lost(script), 0, 500);
    assert_string_equal(next(script), "b:2");
    assert_true(script_lost(script) == 0);
    assert_string_equal(next(script), "a:1");
}

/* The first failed round is waited for as lookup says, the next ones longer; servers in between not at all. */
static void only_failed_rounds_are_waited_for(void **state)
{
    (void)state;
    int64_t most[3] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct script script;
        script_begin_lookup(&script, seed);
        for (int i = 0; i < 3; i++) {
            next(&script);
            assert_true(answer(&script, AB "}") == 0);
            assert_string_equal(next(&script), "a:1");
            assert_true(script_refused(&script, SESSION_CODE_SHUTDOWN, 0) == 0);
            assert_string_equal(next(&script), "b:2");
            int64_t wait = script_lost(&script);
            assert_in_range(wait, 0, 1000 << i);
            most[i] = wait > most[i] ? wait : most[i];
        }
        script_end(&script);
    }
    for (int i = 0; i < 3; i++)
        assert_true(most[i] > 900 << i);
}

static void without_lookup_servers_the_waits_grow(void **state)
{
    struct script *script = *state;
    int64_t most = 0;
    for (int i = 0; i < 40; i++) {
        assert_string_equal(next(script), "usual");
        assert_int_equal(petrel_core_unanswered(script->core), -1);
        int64_t wait = script_lost(script);
        most = wait > most ? wait : most;
    }
    assert_in_range(most, 30000, 60000);
    /* Also for a caller that does not say so. */
    most = 0;
    for (int i = 0; i < 40; i++) {
        next(script);
        int64_t wait = script_lost(script);
        most = wait > most ? wait : most;
    }
    assert_in_range(most, 30000, 60000);
}

static void an_old_answer_serves_when_nobody_answers(void **state)
{
    struct script *script = *state;
    next(script);
    answer(script, AB "}");
    assert_string_equal(next(script), "a:1");
    script_live(script, 7, 40);
    assert_int_equal(script_pass(script, 100000), 0);
    script_lost(script);
    assert_string_equal(next(script), "usual");
    assert_int_equal(petrel_core_unanswered(script->core), 0);
    assert_string_equal(next(script), "b:2");
}

/* Servers that take a device and lose it at once, one after the other, are no reason to hurry. */
static void sessions_that_die_young_are_waited_for(void **state)
{
    struct script *script = *state;
    int64_t most = 0;
    next(script);
    answer(script, AB "}");
    for (int i = 0; i < 20; i++) {
        assert_string_equal(next(script), i % 2 == 0 ? "a:1" : "b:2");
        script_live(script, 7, 40);
        int64_t wait = script_lost(script);
        most = wait > most ? wait : most;
    }
    assert_in_range(most, 30000, 60000);
}

static void a_refusal_for_good_stops_whatever_there_is_to_try(void **state)
{
    struct script *script = *state;
    next(script);
    answer(script, AB "}");
    assert_string_equal(next(script), "a:1");
    assert_int_equal(script_refused(script, SESSION_CODE_REVOKED, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(targets_come_before_the_usual_address, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_are_gone_once_a_session_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(the_shortest_wait_of_a_round_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_token_is_no_reason_to_go_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(without_asking_there_is_no_other_server, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_does_not_answer_is_left_early_for_another, setup, teardown),
        cmocka_unit_test(only_failed_rounds_are_waited_for),
        cmocka_unit_test_setup_teardown(a_lookup_leads_to_a_session, setup_lookup, teardown),
        cmocka_unit_test_setup_teardown(without_lookup_servers_the_waits_grow, setup_lookup, teardown),
        cmocka_unit_test_setup_teardown(an_old_answer_serves_when_nobody_answers, setup_lookup, teardown),
        cmocka_unit_test_setup_teardown(sessions_that_die_young_are_waited_for, setup_lookup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_for_good_stops_whatever_there_is_to_try, setup_lookup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
