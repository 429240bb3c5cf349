/* MOVED and ASK between two scripted servers that call themselves a cluster. */
#include "base/err.h"
#include "contract/redis_rig.h"
#include "unit/redis_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct redis_fake fake;
    struct redis_rig rig;
    struct redis_rig_call call;
    struct loops_tally done;
    uint32_t slot; /* of "key", which is in the upper half */
};

static void open_scene(struct scene *scene, uint32_t deadline_ms)
{
    struct redis_config config;
    redis_fake_open(&scene->fake);
    redis_rig_config(&config, scene->fake.ports[0], true);
    config.deadline_ms = deadline_ms;
    config.replicated_ms = deadline_ms;
    redis_rig_open(&scene->rig, &config);
    loops_tally_init(&scene->done);
    scene->slot = redis_slot(bytes_str("key"));
}

static void close_scene(struct scene *scene)
{
    redis_rig_close(&scene->rig);
    redis_fake_close(&scene->fake);
    loops_tally_destroy(&scene->done);
}

static void ask(struct scene *scene, bool replicated)
{
    redis_rig_command(&scene->rig, &scene->call, "SET", "key", NULL);
    scene->call.request.replicated = replicated;
    redis_rig_ask(&scene->rig, &scene->call, 1, &scene->done);
}

static int status_of(struct scene *scene, uint64_t n)
{
    assert_true(loops_tally_wait(&scene->done, n));
    assert_int_equal(scene->call.calls, 1);
    return scene->call.status;
}

static void refuse(struct redis_fake_conn *conn, const char *word, uint32_t slot, const char *host, unsigned port)
{
    char text[128];
    snprintf(text, sizeof text, "-%s %u %s:%u\r\n", word, slot, host, port);
    redis_fake_say(conn, text);
}

/* A slot that has moved: the request follows, and the next one goes there at once; who watches is told. */
static void test_moved(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0);
    ask(&scene, false);
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "SET key");
    assert_int_equal(conn->server, 0);
    scene.fake.masters = 2; /* what the servers say of themselves from now on */
    refuse(conn, "MOVED", scene.slot, "127.0.0.1", scene.fake.ports[1]);
    for (uint64_t i = 1; i <= 2; i++) {
        conn = redis_fake_expect(&scene.fake, "SET key");
        assert_int_equal(conn->server, 1);
        redis_fake_say(conn, "+OK\r\n");
        assert_int_equal(status_of(&scene, i), 0);
        if (i == 1)
            ask(&scene, false);
    }
    /* And again by the next view, if it has come already: other slots moved as well. */
    assert_true(loops_tally_get(&scene.rig.changes) >= 1);
    close_scene(&scene);
}

/* An empty host is the host of who says so. */
static void test_moved_same_host(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0);
    ask(&scene, false);
    refuse(redis_fake_expect(&scene.fake, "SET key"), "MOVED", scene.slot, "", scene.fake.ports[1]);
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "SET key");
    assert_int_equal(conn->server, 1);
    redis_fake_say(conn, "+OK\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    close_scene(&scene);
}

/* ASKING goes right before the request, the answer to it is not the request's, and the next request asks the owner again. */
static void test_ask(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0);
    ask(&scene, false);
    refuse(redis_fake_expect(&scene.fake, "SET key"), "ASK", scene.slot, "127.0.0.1", scene.fake.ports[1]);
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "ASKING");
    assert_int_equal(conn->server, 1);
    assert_ptr_equal(redis_fake_expect(&scene.fake, "SET key"), conn);
    redis_fake_say(conn, "+OK\r\n+done\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    assert_string_equal(scene.call.text, "done");
    ask(&scene, false);
    conn = redis_fake_expect(&scene.fake, "SET key");
    assert_int_equal(conn->server, 0);
    redis_fake_say(conn, "+OK\r\n");
    assert_int_equal(status_of(&scene, 2), 0);
    assert_int_equal(loops_tally_get(&scene.rig.changes), 0);
    close_scene(&scene);
}

/* A script that the asked node does not know: ASKING is needed again, after SCRIPT LOAD. */
static void test_ask_noscript(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0);
    redis_rig_make(&scene.rig, &scene.call, scene.rig.once, "key", "arg");
    redis_rig_ask(&scene.rig, &scene.call, 1, &scene.done);
    refuse(redis_fake_expect(&scene.fake, "EVALSHA"), "ASK", scene.slot, "127.0.0.1", scene.fake.ports[1]);
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "ASKING");
    redis_fake_expect(&scene.fake, "EVALSHA");
    redis_fake_say(conn, "+OK\r\n-NOSCRIPT No matching script.\r\n");
    redis_fake_expect(&scene.fake, "SCRIPT LOAD");
    redis_fake_expect(&scene.fake, "ASKING");
    redis_fake_expect(&scene.fake, "EVALSHA");
    redis_fake_say(conn, "$3\r\nsha\r\n+OK\r\n+done\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    assert_string_equal(scene.call.text, "done");
    close_scene(&scene);
}

/* Two that send each other the request do not make it spin: it takes rests. */
static void test_circle(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0);
    ask(&scene, false);
    unsigned tries = 0;
    char text[REDIS_FAKE_TEXT];
    while (tries < 30) {
        struct redis_fake_conn *conn = redis_fake_next(&scene.fake, text);
        assert_string_equal(text, "SET key");
        refuse(conn, "MOVED", scene.slot, "127.0.0.1", scene.fake.ports[1 - conn->server]);
        tries++;
    }
    /* What a redirected request does at its new node is not forgotten: written there, it may have acted. */
    redis_fake_hang_up(redis_fake_next(&scene.fake, text));
    assert_int_equal(status_of(&scene, 1), PETREL_E_UNAVAILABLE);
    assert_true(metrics_get(scene.rig.metrics, METRIC_REDIS_RETRIES) >= 3);
    close_scene(&scene);
}

/* Addresses that are none: the client looks at the map again and asks the owner it knows. */
static void test_bad_redirects(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-MOVED\r\n",
        "-MOVED 1\r\n",
        "-MOVED 1 127.0.0.1\r\n",
        "-MOVED x 127.0.0.1:1\r\n",
        "-MOVED 16384 127.0.0.1:1\r\n",
        "-MOVED 1 localhost:1\r\n",
        "-MOVED 1 127.0.0.1:0\r\n",
        "-MOVED 1 127.0.0.1:65536\r\n",
        "-ASK 1 127.0.0.1:99999999999\r\n",
        "-ASK 1 :\r\n",
    };
    struct scene scene;
    open_scene(&scene, 0);
    ask(&scene, false);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        redis_fake_say(redis_fake_expect(&scene.fake, "SET key"), bad[i]);
    redis_fake_say(redis_fake_expect(&scene.fake, "SET key"), "+OK\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    close_scene(&scene);
}

/* WAIT counts all replicas that the map knows of. A request that moves away in a batch does not hold up the others' answers. */
static void test_replicated(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, 0);
    scene.fake.replicas = 3;
    ask(&scene, true);
    struct redis_fake_conn *conn = redis_fake_expect(&scene.fake, "SET key");
    assert_ptr_equal(redis_fake_expect(&scene.fake, "WAIT 3"), conn);
    scene.fake.masters = 2;
    refuse(conn, "MOVED", scene.slot, "127.0.0.1", scene.fake.ports[1]);
    redis_fake_say(conn, ":3\r\n");
    conn = redis_fake_expect(&scene.fake, "SET key");
    assert_int_equal(conn->server, 1);
    assert_ptr_equal(redis_fake_expect(&scene.fake, "WAIT 3"), conn);
    redis_fake_say(conn, "+OK\r\n:3\r\n");
    assert_int_equal(status_of(&scene, 1), 0);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved),      cmocka_unit_test(test_moved_same_host),
        cmocka_unit_test(test_ask),        cmocka_unit_test(test_ask_noscript),
        cmocka_unit_test(test_circle),     cmocka_unit_test(test_bad_redirects),
        cmocka_unit_test(test_replicated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
