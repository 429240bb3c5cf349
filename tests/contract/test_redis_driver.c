/* The Redis client against a real server: scripts, pipelines, a server that dies, hangs, is full, loses its replica. */
#include "contract/redis_rig.h"

#include "base/err.h"
#include "base/log.h"
#include "lib/redis_server.h"
#include "lib/until.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 3000

static struct redis_server *server_of(void **state)
{
    return *state;
}

static int start_server(void **state)
{
    struct redis_server *server = calloc(1, sizeof *server);
    if (server == NULL || !redis_server_start(server, false, NULL))
        return -1;
    *state = server;
    return 0;
}

static int free_server(void **state)
{
    redis_server_free(*state);
    free(*state);
    return 0;
}

static void open_rig(struct redis_rig *rig, const struct redis_server *server)
{
    struct redis_config config;
    redis_rig_config(&config, server->port, false);
    redis_rig_open(rig, &config);
}

static const char library_text[] =
    "redis.register_function(library .. '_run', function(keys, args) return {keys[1], args[1]} end)";

static struct redis_rig_call *make_calls(struct redis_rig *rig, const struct redis_script *script, size_t count)
{
    struct redis_rig_call *calls = calloc(count, sizeof *calls);
    assert_non_null(calls);
    for (size_t i = 0; i < count; i++) {
        char key[32], arg[32];
        snprintf(key, sizeof key, "{b%zu}u", i % 97);
        snprintf(arg, sizeof arg, "%zu", i);
        redis_rig_make(rig, &calls[i], script, key, arg);
    }
    return calls;
}

static struct redis_rig_call *make_many(struct redis_rig *rig, size_t count)
{
    return make_calls(rig, rig->echo, count);
}

/* Each was answered once, with what belongs to it. */
static void assert_echoed(const struct redis_rig_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char expected[REDIS_RIG_TEXT];
        snprintf(expected, sizeof expected, "%s %s", calls[i].key, calls[i].args[0]);
        assert_int_equal(calls[i].status, 0);
        assert_int_equal(calls[i].calls, 1);
        assert_string_equal(calls[i].text, expected);
    }
}

static void test_replies(void **state)
{
    struct redis_rig rig;
    struct redis_rig_call call;
    open_rig(&rig, server_of(state));
    redis_rig_script(&rig,
                     "if ARGV[1] == 'fail' then return redis.error_reply('MINE it is') end return {1, {'a', false}}");

    assert_int_equal(redis_rig_one(&rig, &call, rig.echo, "k", "v w\r\n"), 0);
    assert_string_equal(call.text, "k v w\r\n");
    redis_rig_command(&rig, &call, "SET", "plain", "1");
    assert_int_equal(redis_rig_run(&rig, &call, 1), 0);
    assert_int_equal(call.type, REDIS_STATUS);
    redis_rig_command(&rig, &call, "INCR", "plain", NULL);
    assert_int_equal(redis_rig_run(&rig, &call, 1), 0);
    assert_int_equal(call.type, REDIS_INTEGER);
    assert_int_equal(call.integer, 2);
    redis_rig_command(&rig, &call, "GET", "nothing", NULL);
    assert_int_equal(redis_rig_run(&rig, &call, 1), 0);
    assert_int_equal(call.type, REDIS_NIL);
    assert_int_equal(redis_rig_one(&rig, &call, rig.extra, "k", "x"), 0);
    assert_int_equal(call.type, REDIS_ARRAY);
    assert_int_equal(redis_rig_one(&rig, &call, rig.extra, "k", "fail"), 0);
    assert_int_equal(call.type, REDIS_ERROR);
    assert_string_equal(call.text, "MINE it is");
    redis_rig_close(&rig);
}

static void test_pipeline(void **state)
{
    struct redis_rig rig;
    open_rig(&rig, server_of(state));
    struct redis_rig_call *calls = make_many(&rig, MANY);
    redis_rig_run(&rig, calls, MANY);
    assert_echoed(calls, MANY);
    free(calls);
    redis_rig_close(&rig);
}

/* A server that forgets its scripts again and again. */
static void test_script_flush(void **state)
{
    struct redis_rig rig;
    char reply[REDIS_SERVER_REPLY_MAX];
    open_rig(&rig, server_of(state));
    for (int round = 0; round < 5; round++) {
        struct loops_tally done;
        loops_tally_init(&done);
        struct redis_rig_call *calls = make_many(&rig, MANY);
        redis_rig_ask(&rig, calls, MANY, &done);
        assert_true(redis_server_command(server_of(state), reply, "SCRIPT FLUSH"));
        assert_true(loops_tally_wait(&done, MANY));
        assert_echoed(calls, MANY);
        free(calls);
        loops_tally_destroy(&done);
    }
    redis_rig_close(&rig);
}

/* A server that forgets its libraries again and again, or never had them; other clients may be the first to bring them. */
static void test_library_flush(void **state)
{
    struct redis_rig rigs[2];
    struct redis_rig_call call;
    struct loops_tally done;
    char reply[REDIS_SERVER_REPLY_MAX];
    loops_tally_init(&done);
    for (size_t i = 0; i < 2; i++) {
        open_rig(&rigs[i], server_of(state));
        redis_rig_library(&rigs[i], library_text);
    }
    for (int round = 0; round < 5; round++) {
        struct redis_rig_call *calls[2];
        const uint64_t before = loops_tally_get(&done);
        for (size_t i = 0; i < 2; i++) {
            calls[i] = make_calls(&rigs[i], rigs[i].extra, MANY);
            redis_rig_ask(&rigs[i], calls[i], MANY, &done);
        }
        assert_true(redis_server_command(server_of(state), reply, "FUNCTION FLUSH"));
        assert_true(loops_tally_wait(&done, before + 2 * MANY));
        for (size_t i = 0; i < 2; i++) {
            assert_echoed(calls[i], MANY);
            free(calls[i]);
        }
    }
    /* The last flush may have come after the last answer. */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(redis_rig_one(&rigs[i], &call, rigs[i].extra, "k", "v"), 0);
    assert_true(redis_server_command(server_of(state), reply, "FUNCTION LIST"));
    assert_non_null(strstr(reply, "test_"));
    assert_null(strstr(strstr(reply, "test_") + 64, "library_name"));
    loops_tally_destroy(&done);
    for (size_t i = 0; i < 2; i++)
        redis_rig_close(&rigs[i]);
}

/* Two versions of a library, as during an upgrade: each client calls its own. */
static void test_library_versions(void **state)
{
    struct redis_rig rigs[2];
    struct redis_rig_call call;
    char text[2][192];
    for (size_t i = 0; i < 2; i++) {
        snprintf(text[i], sizeof text[i],
                 "redis.register_function(library .. '_run', function(keys, args) return 'version %zu' end)", i);
        open_rig(&rigs[i], server_of(state));
        redis_rig_library(&rigs[i], text[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "version %zu", i % 2);
        assert_int_equal(redis_rig_one(&rigs[i % 2], &call, rigs[i % 2].extra, "k", "v"), 0);
        assert_string_equal(call.text, expected);
    }
    for (size_t i = 0; i < 2; i++)
        redis_rig_close(&rigs[i]);
}

/* A server that is full takes no library: so it is said, and once there is room all goes on. */
static void test_library_refused(void **state)
{
    struct redis_rig rig;
    struct redis_rig_call call;
    char reply[REDIS_SERVER_REPLY_MAX];
    open_rig(&rig, server_of(state));
    redis_rig_library(&rig, library_text);
    assert_true(redis_server_command(server_of(state), reply, "FUNCTION FLUSH"));
    assert_true(redis_server_command(server_of(state), reply, "CONFIG SET maxmemory 1"));
    assert_int_equal(redis_rig_one(&rig, &call, rig.extra, "k", "v"), PETREL_E_FULL);
    assert_int_equal(redis_rig_one(&rig, &call, rig.extra, "k", "v"), PETREL_E_FULL);
    assert_true(redis_server_command(server_of(state), reply, "CONFIG SET maxmemory 0"));
    assert_int_equal(redis_rig_one(&rig, &call, rig.extra, "k", "v"), 0);
    assert_string_equal(call.text, "k v");
    redis_rig_close(&rig);
}

static void test_busy(void **state)
{
    struct redis_rig rig;
    struct redis_config config;
    redis_rig_config(&config, server_of(state)->port, false);
    config.max_inflight = 10;
    redis_rig_open(&rig, &config);
    struct redis_rig_call *calls = make_many(&rig, 20);
    redis_rig_run(&rig, calls, 20);
    assert_echoed(calls, 10);
    for (size_t i = 10; i < 20; i++) {
        assert_int_equal(calls[i].accepted, PETREL_E_BUSY);
        assert_int_equal(calls[i].calls, 0);
    }
    free(calls);
    redis_rig_close(&rig);
}

/* Every request is told once, also those that were never connected. */
static void test_close(void **state)
{
    struct redis_rig rig;
    struct loops_tally done;
    open_rig(&rig, server_of(state));
    loops_tally_init(&done);
    redis_server_signal(server_of(state), SIGSTOP);
    struct redis_rig_call *calls = make_many(&rig, MANY);
    redis_rig_ask(&rig, calls, MANY, &done);
    redis_rig_close_client(&rig);
    redis_server_signal(server_of(state), SIGCONT);
    assert_int_equal(loops_tally_get(&done), MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].status, PETREL_E_CLOSING);
        assert_int_equal(calls[i].calls, 1);
    }
    loops_tally_destroy(&done);
    free(calls);
    redis_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_script_flush),
        cmocka_unit_test(test_library_flush),
        cmocka_unit_test(test_library_versions),
        cmocka_unit_test(test_library_refused),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_close),
    };
    return cmocka_run_group_tests(tests, start_server, free_server);
}
