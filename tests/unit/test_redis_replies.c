/* What a Redis server may say, in pieces, late, wrong or too much, and what becomes of the request. One server, scripted. */
#include "base/err.h"
#include "contract/redis_rig.h"
#include "unit/redis_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROLE_TWO_REPLICAS "*3\r\n$6\r\nmaster\r\n:0\r\n*2\r\n*0\r\n*0\r\n"

struct scene {
    struct redis_fake fake;
    struct redis_rig rig;
    struct redis_rig_call call;
    struct loops_tally done;
};

static void open_scene(struct scene *scene, uint32_t timeout_ms, uint32_t deadline_ms)
{
    struct redis_config config;
    redis_fake_open(&scene->fake);
    redis_rig_config(&config, scene->fake.ports[0], false);
    config.timeout_ms = timeout_ms;
    config.deadline_ms = deadline_ms;
    config.replicated_ms = deadline_ms;
    redis_rig_open(&scene->rig, &config);
    loops_tally_init(&scene->done);
}

static void close_scene(struct scene *scene)
{
    redis_rig_close(&scene->rig);
    redis_fake_close(&scene->fake);
    loops_tally_destroy(&scene->done);
}

static void ask(struct scene *scene, const char *word)
{
    redis_rig_command(&scene->rig, &scene->call, word, "key", NULL);
    redis_rig_ask(&scene->rig, &scene->call, 1, &scene->done);
}

/* Wait for the end of the n-th request. */
static int status_of(struct scene *scene, uint64_t n)
{
    assert_true(loops_tally_wait(&scene->done, n));
    assert_int_equal(scene->call.calls, 1);
    return scene->call.status;
}

static void test_in_pieces(void **state)
{
    (void)state;
    static const char reply[] = "*3\r\n$3\r\none\r\n:2\r\n$5\r\nth\r\ne\r\n";
    struct scene scene;
    open_scene(&scene, 0, 0);
    ask(&scene, "LRANGE");
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "LRANGE key");
    for (size_t i = 0; i < sizeof reply - 1; i++) {
        const char piece[2] = {reply[i], '\0'};
        redis_fake_say(conn, piece);
    }
    assert_int_equal(status_of(&scene, 1), 0);
    assert_int_equal(scene.call.type, REDIS_ARRAY);
    assert_string_equal(scene.call.text, "one  th\r\ne");
    close_scene(&scene);
}

/* Refusals that pass: the request is asked again until it is answered. */
static void test_refused_for_now(void **state)
{
    (void)state;
    static const char *const refusals[] = {
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
        "-CLUSTERDOWN Hash slot not served\r\n",
        "-MASTERDOWN Link with MASTER is down\r\n",
        "-NOREPLICAS Not enough good replicas to write.\r\n",
        "-BUSY Redis is busy running a script.\r\n",
        "-MOVED 1 127.0.0.1:1\r\n", /* from a server that is no cluster to us */
    };
    struct scene scene;
    open_scene(&scene, 0, 0);
    ask(&scene, "SET");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        redis_fake_say(redis_fake_expect(&scene.fake, "SET key"), refusals[i]);
    redis_fake_say(redis_fake_expect(&scene.fake, "SET key"), "+OK\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    assert_string_equal(scene.call.text, "OK");
    assert_int_equal(scene.fake.accepted, 1);
    close_scene(&scene);
}

static void test_refused_to_the_end(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0, 1000);
    ask(&scene, "SET");
    /* Refused some times, and then until its deadline there is nobody. */
    struct redis_fake_conn *conn = NULL;
    for (int i = 0; i < 3; i++) {
        conn = redis_fake_expect(&scene.fake, "SET");
        redis_fake_say(conn, "-LOADING\r\n");
    }
    scene.fake.role = NULL;
    redis_fake_hang_up(conn);
    assert_int_equal(status_of(&scene, 1), PETREL_E_BUSY);
    close_scene(&scene);
}

static void test_full(void **state)
{
    (void)state;
    static const char *const refusals[] = {"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
                                           "-MISCONF Errors writing to the AOF file: No space left on device\r\n"};
    struct scene scene;
    open_scene(&scene, 0, 0);
    for (uint64_t i = 0; i < 2; i++) {
        ask(&scene, "SET");
        redis_fake_say(redis_fake_expect(&scene.fake, "SET key"), refusals[i]);
        assert_int_equal(status_of(&scene, i + 1), PETREL_E_FULL);
    }
    close_scene(&scene);
}

static void test_own_error(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0, 0);
    ask(&scene, "SET");
    redis_fake_say(redis_fake_expect(&scene.fake, "SET key"), "-LOADINGS are not it\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    assert_int_equal(scene.call.type, REDIS_ERROR);
    assert_string_equal(scene.call.text, "LOADINGS are not it");
    close_scene(&scene);
}

/* One SCRIPT LOAD for all that were under way. */
static void test_noscript(void **state)
{
    (void)state;
    struct scene scene;
    struct redis_rig_call calls[3];
    struct redis_fake_conn *conn = NULL;
    char sha[64];
    open_scene(&scene, 0, 0);
    redis_rig_script(&scene.rig, "return 1");
    for (size_t i = 0; i < 3; i++)
        redis_rig_make(&scene.rig, &calls[i], scene.rig.extra, "key", "arg");
    redis_rig_ask(&scene.rig, calls, 3, &scene.done);
    /* SHA-1 of "return 1", as Redis computes it. */
    snprintf(sha, sizeof sha, "EVALSHA %s 1 key arg", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    for (size_t i = 0; i < 3; i++)
        conn = redis_fake_expect(&scene.fake, sha);
    redis_fake_say(conn, "-NOSCRIPT No matching script.\r\n");
    redis_fake_expect(&scene.fake, "SCRIPT LOAD return 1");
    redis_fake_expect(&scene.fake, sha);
    redis_fake_say(conn, "-NOSCRIPT No matching script.\r\n-NOSCRIPT No matching script.\r\n");
    redis_fake_expect(&scene.fake, sha);
    redis_fake_expect(&scene.fake, sha);
    redis_fake_say(conn, "$3\r\nsha\r\n:1\r\n:2\r\n:3\r\n");
    assert_true(loops_tally_wait(&scene.done, 3));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].status, 0);
        assert_int_equal(calls[i].integer, i + 1);
    }
    close_scene(&scene);
}

static void test_late(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 400, 0);
    ask(&scene, "FIRST");
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "FIRST");
    assert_int_equal(status_of(&scene, 1), PETREL_E_TIMEOUT);
    const size_t accepted = scene.fake.accepted;
    redis_fake_say(conn, "+late\r\n");
    ask(&scene, "SECOND");
    struct redis_fake_conn *next = redis_fake_expect(&scene.fake, "SECOND");
    assert_true(scene.fake.accepted > accepted);
    redis_fake_say(next, "+fresh\r\n");
    assert_int_equal(status_of(&scene, 2), 0);
    assert_string_equal(scene.call.text, "fresh");
    assert_true(loops_tally_get(&scene.rig.changes) > 0);
    close_scene(&scene);
}

/* No protocol, or more than was asked for, or more than may be: the connection ends, the request may have acted, the next goes on. */
static void test_garbage(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "hello\r\n",
        "*2147483647\r\n",
        "*-7\r\n",
        "$abc\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ":12a\r\n",
        "\r\n",
    };
    struct scene scene;
    open_scene(&scene, 500, 0);
    uint64_t asked = 0;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        ask(&scene, "SET");
        redis_fake_say(redis_fake_expect(&scene.fake, "SET"), garbage[i]);
        const int status = status_of(&scene, ++asked);
        /* hiredis takes some lengths that are none for NIL; never for a value. */
        if (status == 0)
            assert_int_equal(scene.call.type, REDIS_NIL);
        else
            assert_true(status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT);
    }
    ask(&scene, "LAST");
    redis_fake_say(redis_fake_expect(&scene.fake, "LAST"), "+well\r\n");
    assert_int_equal(status_of(&scene, ++asked), 0);
    assert_string_equal(scene.call.text, "well");
    close_scene(&scene);
}

static void test_unasked(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0, 0);
    ask(&scene, "FIRST");
    redis_fake_say(redis_fake_expect(&scene.fake, "FIRST"), "+one\r\n+two\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    redis_fake_wait_ended(&scene.fake, 1);
    ask(&scene, "SECOND");
    redis_fake_say(redis_fake_expect(&scene.fake, "SECOND"), "+three\r\n");
    assert_int_equal(status_of(&scene, 2), 0);
    assert_string_equal(scene.call.text, "three");
    close_scene(&scene);
}

/* A connection that breaks: before anything was written, the request goes on; after, only one that has no effect does. */
static void test_broken(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0, 0);
    scene.fake.role = NULL;
    ask(&scene, "FIRST");
    redis_fake_hang_up(redis_fake_expect(&scene.fake, "ROLE"));
    redis_fake_say(redis_fake_expect(&scene.fake, "ROLE"), "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    redis_fake_hang_up(redis_fake_expect(&scene.fake, "FIRST"));
    assert_int_equal(status_of(&scene, 1), PETREL_E_UNAVAILABLE);

    scene.fake.role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    redis_rig_command(&scene.rig, &scene.call, "GET", "key", NULL);
    scene.call.request.readonly = true;
    redis_rig_ask(&scene.rig, &scene.call, 1, &scene.done);
    redis_fake_hang_up(redis_fake_expect(&scene.fake, "GET"));
    redis_fake_say(redis_fake_expect(&scene.fake, "GET"), "$5\r\nthere\r\n");
    assert_int_equal(status_of(&scene, 2), 0);
    assert_string_equal(scene.call.text, "there");
    close_scene(&scene);
}

/* A server that takes connections and says nothing, as a stopped one does, is never given anything that would act later. */
static void test_mute(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 50, 300);
    scene.fake.role = NULL;
    ask(&scene, "SET");
    redis_fake_expect(&scene.fake, "ROLE");
    assert_int_equal(status_of(&scene, 1), PETREL_E_BUSY);
    close_scene(&scene);
}

static void test_refused_greeting(void **state)
{
    (void)state;
    struct scene scene;
    struct redis_config config;
    redis_fake_open(&scene.fake);
    redis_rig_config(&config, scene.fake.ports[0], false);
    config.deadline_ms = 300;
    config.username = "petrel";
    config.password = "secret word";
    redis_rig_open(&scene.rig, &config);
    loops_tally_init(&scene.done);
    ask(&scene, "SET");
    redis_fake_say(redis_fake_expect(&scene.fake, "AUTH petrel secret word"), "-WRONGPASS invalid\r\n");
    assert_int_equal(status_of(&scene, 1), PETREL_E_BUSY);
    close_scene(&scene);
}

/* One WAIT for a batch, for as many replicas as there are; without them all, what became of it is unknown. */
static void test_replicated(void **state)
{
    (void)state;
    struct scene scene;
    struct redis_rig_call calls[4];
    struct redis_fake_conn *conn = NULL;
    open_scene(&scene, 0, 0);
    scene.fake.role = ROLE_TWO_REPLICAS;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 4; i++) {
            redis_rig_command(&scene.rig, &calls[i], "SET", "key", "value");
            calls[i].request.replicated = true;
        }
        redis_rig_ask(&scene.rig, calls, 4, &scene.done);
        for (size_t i = 0; i < 4; i++) {
            conn = redis_fake_expect(&scene.fake, "SET key value");
            redis_fake_say(conn, "+OK\r\n");
        }
        redis_fake_expect(&scene.fake, "WAIT 2 751");
        assert_int_equal(loops_tally_get(&scene.done), 4 * (uint64_t)round);
        redis_fake_say(conn, round == 0 ? ":2\r\n" ROLE_TWO_REPLICAS : ":1\r\n" ROLE_TWO_REPLICAS);
        scene.fake.role = NULL; /* said already */
        assert_true(loops_tally_wait(&scene.done, 4 * (uint64_t)(round + 1)));
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(calls[i].status, round == 0 ? 0 : PETREL_E_UNAVAILABLE);
        redis_fake_expect(&scene.fake, "ROLE");
    }
    close_scene(&scene);
}

static void test_bad_config(void **state)
{
    (void)state;
    struct redis *redis;
    struct redis_config config = {0};
    assert_int_equal(redis_new(&redis, NULL, &config, NULL), PETREL_E_INVALID);
    redis_rig_config(&config, 0, false);
    assert_int_equal(redis_new(&redis, NULL, &config, NULL), PETREL_E_INVALID);
    redis_rig_config(&config, 1, false);
    strcpy(config.seeds[0].host, "localhost");
    assert_int_equal(redis_new(&redis, NULL, &config, NULL), PETREL_E_INVALID);
    redis_rig_config(&config, 1, false);
    config.seeds_count = 2;
    config.seeds[1] = config.seeds[0];
    assert_int_equal(redis_new(&redis, NULL, &config, NULL), PETREL_E_INVALID);
}

static void test_slot(void **state)
{
    (void)state;
    assert_int_equal(redis_slot(bytes_str("123456789")), 0x31C3 % 16384);
    assert_int_equal(redis_slot(bytes_str("foo")), 12182);
    assert_int_equal(redis_slot(bytes_str("{foo}.bar")), 12182);
    assert_int_equal(redis_slot(bytes_str("a{foo}{bar}")), 12182);
    assert_int_equal(redis_slot(bytes_str("")), 0);
    assert_int_not_equal(redis_slot(bytes_str("{}foo")), redis_slot(bytes_str("{}bar")));
    assert_int_not_equal(redis_slot(bytes_str("{foo")), 12182);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_pieces),  cmocka_unit_test(test_refused_for_now),
        cmocka_unit_test(test_full),       cmocka_unit_test(test_refused_to_the_end),
        cmocka_unit_test(test_own_error),  cmocka_unit_test(test_noscript),
        cmocka_unit_test(test_late),       cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_unasked),    cmocka_unit_test(test_broken),
        cmocka_unit_test(test_mute),       cmocka_unit_test(test_refused_greeting),
        cmocka_unit_test(test_replicated), cmocka_unit_test(test_bad_config),
        cmocka_unit_test(test_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
