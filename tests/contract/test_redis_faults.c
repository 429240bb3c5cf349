/* The Redis client against a real server that dies, hangs, is full, is locked, or loses its replica. */
#include "contract/redis_load.h"

#include "base/err.h"
#include "base/log.h"
#include "lib/redis_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct redis_server server;
    struct redis_rig rig;
    struct redis_rig_call call;
    char reply[REDIS_SERVER_REPLY_MAX];
};

static int start_with(void **state, const char *const *args)
{
    struct scene *scene = calloc(1, sizeof *scene);
    if (scene == NULL || !redis_server_start(&scene->server, false, args))
        return -1;
    struct redis_config config;
    redis_rig_config(&config, scene->server.port, false);
    redis_rig_open(&scene->rig, &config);
    *state = scene;
    return 0;
}

static int start_server(void **state)
{
    return start_with(state, NULL);
}

/* With everysec, while an fsync takes its time, Redis answers up to two seconds before it writes: a kill then loses what was answered. */
static int start_durable(void **state)
{
    static const char *const args[] = {"--appendfsync", "always", NULL};
    return start_with(state, args);
}

static int end_server(void **state)
{
    struct scene *scene = *state;
    if (scene == NULL)
        return 0;
    redis_server_signal(&scene->server, SIGCONT);
    redis_rig_close(&scene->rig);
    redis_server_free(&scene->server);
    free(scene);
    return 0;
}

static int run(struct scene *scene, const char *word, const char *key, const char *arg, bool replicated)
{
    redis_rig_command(&scene->rig, &scene->call, word, key, arg);
    scene->call.request.replicated = replicated;
    return redis_rig_run(&scene->rig, &scene->call, 1);
}

/* Killed and started again under load, several times: what was answered is there, what was refused is not. */
static void test_kill(void **state)
{
    struct scene *scene = *state;
    struct redis_load *load = redis_load_new(&scene->rig);
    redis_load_start(load);
    for (int i = 0; i < 5; i++) {
        assert_true(redis_load_wait(load, 2000));
        redis_server_kill(&scene->server);
        assert_true(redis_server_restart(&scene->server));
    }
    assert_true(redis_load_wait(load, 2000));
    assert_true(redis_load_stop(load));
    const struct redis_load_audit audit = redis_load_look(load);
    assert_int_equal(audit.lost, 0);
    assert_int_equal(audit.acted, 0);
    assert_true(audit.unknown <= 5 * REDIS_LOAD_WIDTH);
    assert_true(loops_tally_get(&scene->rig.changes) >= 5);
    redis_load_free(load);
}

/* What was written to a server that hangs is not known; what came later waits, and acts once. No reply of the past is used. */
static void test_hang(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(run(scene, "SET", "counter", "0", false), 0);
    redis_server_signal(&scene->server, SIGSTOP);
    assert_int_equal(run(scene, "INCR", "counter", NULL, false), PETREL_E_TIMEOUT);
    struct loops_tally done;
    loops_tally_init(&done);
    redis_rig_command(&scene->rig, &scene->call, "APPEND", "later", "x");
    redis_rig_ask(&scene->rig, &scene->call, 1, &done);
    redis_server_signal(&scene->server, SIGCONT);
    assert_true(loops_tally_wait(&done, 1));
    loops_tally_destroy(&done);
    assert_int_equal(scene->call.status, 0);
    assert_int_equal(scene->call.type, REDIS_INTEGER);
    assert_int_equal(scene->call.integer, 1);
    assert_int_equal(run(scene, "GET", "counter", NULL, false), 0);
    assert_string_equal(scene->call.text, "1"); /* it did act, in the end */
}

static void test_nobody(void **state)
{
    struct scene *scene = *state;
    redis_server_kill(&scene->server);
    assert_int_equal(run(scene, "SET", "key", "1", false), PETREL_E_BUSY);
    assert_true(redis_server_restart(&scene->server));
    assert_int_equal(run(scene, "SET", "key", "1", false), 0);
}

static void test_full(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(run(scene, "SET", "key", "1", false), 0);
    assert_true(redis_server_command(&scene->server, scene->reply, "CONFIG SET maxmemory 1"));
    assert_int_equal(run(scene, "SET", "other", "1", false), PETREL_E_FULL);
    assert_int_equal(redis_rig_one(&scene->rig, &scene->call, scene->rig.once, "hash", "name"), PETREL_E_FULL);
    assert_int_equal(run(scene, "GET", "key", NULL, false), 0);
    assert_true(redis_server_command(&scene->server, scene->reply, "CONFIG SET maxmemory 0"));
    assert_int_equal(redis_rig_one(&scene->rig, &scene->call, scene->rig.once, "hash", "name"), 0);
}

/* A replica that is slow to confirm leaves it unknown: asked again, as a sender does. */
static int run_until_known(struct scene *scene, const char *value)
{
    int status = PETREL_E_UNAVAILABLE;
    for (int i = 0; i < 20 && status == PETREL_E_UNAVAILABLE; i++)
        status = run(scene, "SET", "key", value, true);
    return status;
}

/* Replicated is what all replicas have; nobody's word will do for nobody. */
static void test_replicated(void **state)
{
    struct scene *scene = *state;
    struct redis_server replica;
    char port[8];
    snprintf(port, sizeof port, "%u", scene->server.port);
    assert_int_equal(run(scene, "SET", "alone", "1", true), PETREL_E_UNAVAILABLE);

    const char *const args[] = {"--replicaof", "127.0.0.1", port, NULL};
    assert_true(redis_server_start(&replica, false, args));
    assert_true(redis_server_wait_synced(&replica));
    assert_int_equal(run_until_known(scene, "1"), 0);
    assert_true(redis_server_command(&replica, scene->reply, "GET key"));
    assert_string_equal(scene->reply, "1");

    redis_server_signal(&replica, SIGSTOP);
    assert_int_equal(run(scene, "SET", "key", "2", true), PETREL_E_UNAVAILABLE);
    assert_int_equal(run(scene, "SET", "key", "3", false), 0); /* on a connection that no WAIT blocks */
    redis_server_signal(&replica, SIGCONT);
    assert_int_equal(run_until_known(scene, "4"), 0);
    redis_server_free(&replica);
}

/* A server that has become a replica takes no writes; when it is master again it does. */
static void test_readonly(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(run(scene, "SET", "key", "1", false), 0);
    assert_true(redis_server_command(&scene->server, scene->reply, "REPLICAOF 127.0.0.1 1"));
    assert_int_equal(run(scene, "SET", "key", "2", false), PETREL_E_BUSY);
    assert_int_equal(run(scene, "GET", "key", NULL, false), 0);
    assert_string_equal(scene->call.text, "1");
    assert_true(redis_server_command(&scene->server, scene->reply, "REPLICAOF NO ONE"));
    assert_int_equal(run(scene, "SET", "key", "2", false), 0);
}

struct overheard {
    pthread_mutex_t lock;
    bool secret;
    unsigned lines;
};

static void overhear(void *ctx, const char *line, size_t len)
{
    struct overheard *overheard = ctx;
    pthread_mutex_lock(&overheard->lock);
    overheard->lines++;
    overheard->secret = overheard->secret || memmem(line, len, "s3cret", 6) != NULL;
    pthread_mutex_unlock(&overheard->lock);
}

/* Passwords open the door, wrong ones do not, and neither is ever in the log. */
static void test_password(void **state)
{
    struct scene *scene = *state;
    static const char *const passwords[] = {"right-s3cret", "wrong-s3cret", NULL};
    struct overheard overheard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    assert_true(redis_server_command(&scene->server, scene->reply, "CONFIG SET requirepass right-s3cret"));
    log_set_sink(overhear, &overheard);
    log_set_level(LOG_DEBUG);
    for (int i = 0; i < 3; i++) {
        struct redis_rig rig;
        struct redis_rig_call call;
        struct redis_config config;
        redis_rig_config(&config, scene->server.port, false);
        config.password = passwords[i];
        config.deadline_ms = 300;
        redis_rig_open(&rig, &config);
        const int status = redis_rig_one(&rig, &call, rig.echo, "key", "arg");
        redis_rig_close(&rig);
        assert_int_equal(status, i == 0 ? 0 : PETREL_E_BUSY);
    }
    log_set_sink(NULL, NULL);
    log_set_level(LOG_INFO);
    assert_true(overheard.lines > 0);
    assert_false(overheard.secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kill, start_durable, end_server),
        cmocka_unit_test_setup_teardown(test_hang, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_nobody, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_full, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_replicated, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_readonly, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_password, start_server, end_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
