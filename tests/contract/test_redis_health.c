/* What the Redis client tells operators of its servers, by gauges: none is reached; one may forget. */
#include "contract/redis_rig.h"

#include "base/err.h"
#include "lib/redis_server.h"
#include "lib/until.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WAIT_MS 20000

struct scene {
    struct redis_server server;
    struct redis_config config;
    struct redis_rig rig;
    struct redis_rig_call call;
    char reply[REDIS_SERVER_REPLY_MAX];
};

static int start_server(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    if (scene == NULL || !redis_server_start(&scene->server, false, NULL))
        return -1;
    redis_rig_config(&scene->config, scene->server.port, false);
    *state = scene;
    return 0;
}

static int end_server(void **state)
{
    struct scene *scene = *state;
    if (scene != NULL)
        redis_server_free(&scene->server);
    free(scene);
    return 0;
}

static bool is_down(void *ctx)
{
    const struct scene *scene = ctx;
    return metrics_get(scene->rig.metrics, METRIC_STORE_DOWN) == 1;
}

static bool is_up(void *ctx)
{
    return !is_down(ctx);
}

static bool is_unsafe(void *ctx)
{
    const struct scene *scene = ctx;
    return metrics_get(scene->rig.metrics, METRIC_REDIS_UNSAFE) == 1;
}

static void order(struct scene *scene, const char *command)
{
    assert_true(redis_server_command(&scene->server, scene->reply, "%s", command));
}

static int echo(struct scene *scene)
{
    return redis_rig_one(&scene->rig, &scene->call, scene->rig.echo, "key", "arg");
}

/* Nobody asks for anything while it is away, nor when it is back: it is found out all the same. */
static void test_down_and_back(void **state)
{
    struct scene *scene = *state;
    redis_rig_open(&scene->rig, &scene->config);
    assert_int_equal(echo(scene), 0);
    assert_true(is_up(scene));
    for (int round = 0; round < 2; round++) {
        redis_server_kill(&scene->server);
        assert_true(until(is_down, scene, WAIT_MS));
        assert_true(redis_server_restart(&scene->server));
        assert_true(until(is_up, scene, WAIT_MS));
    }
    assert_int_equal(echo(scene), 0);
    /* A client that is closed while its server is away leaves nothing behind. */
    redis_server_kill(&scene->server);
    assert_true(until(is_down, scene, WAIT_MS));
    redis_rig_close_client(&scene->rig);
    assert_true(is_up(scene));
    redis_rig_close(&scene->rig);
}

/* Of two clients of a loop one tells, so that a server that is away counts once. */
static void test_only_one_of_two_tells(void **state)
{
    struct scene *scene = *state;
    struct redis_rig other;
    struct redis_rig_call call;
    struct redis_config config = scene->config;
    config.unwatched = true;
    redis_rig_open(&scene->rig, &scene->config);
    redis_rig_open(&other, &config);
    order(scene, "CONFIG SET appendonly no");
    assert_int_equal(echo(scene), 0);
    assert_int_equal(redis_rig_one(&other, &call, other.echo, "key", "arg"), 0);
    redis_server_kill(&scene->server);
    assert_true(until(is_down, scene, WAIT_MS));
    assert_int_not_equal(redis_rig_one(&other, &call, other.echo, "key", "arg"), 0);
    assert_int_equal(metrics_get(other.metrics, METRIC_STORE_DOWN), 0);
    assert_int_equal(metrics_get(other.metrics, METRIC_REDIS_UNSAFE), 0);
    redis_rig_close(&other);
    redis_rig_close(&scene->rig);
}

static void test_never_there(void **state)
{
    struct scene *scene = *state;
    redis_server_kill(&scene->server);
    scene->config.deadline_ms = 200;
    redis_rig_open(&scene->rig, &scene->config);
    assert_true(is_up(scene)); /* nobody has tried */
    assert_int_equal(echo(scene), PETREL_E_BUSY);
    assert_true(is_down(scene));
    redis_rig_close(&scene->rig);
}

static void test_unsafe(void **state)
{
    static const char *const orders[][2] = {
        {"CONFIG SET appendonly no", "CONFIG SET appendonly yes"},
        {"CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction"},
    };
    struct scene *scene = *state;
    for (size_t i = 0; i < 2; i++) {
        order(scene, orders[i][0]);
        redis_rig_open(&scene->rig, &scene->config);
        assert_int_equal(echo(scene), 0);
        assert_true(until(is_unsafe, scene, WAIT_MS));
        redis_rig_close_client(&scene->rig);
        assert_int_equal(metrics_get(scene->rig.metrics, METRIC_REDIS_UNSAFE), 0);
        redis_rig_close(&scene->rig);
        order(scene, orders[i][1]);
    }
    redis_rig_open(&scene->rig, &scene->config);
    assert_int_equal(echo(scene), 0);
    assert_false(is_unsafe(scene));
    redis_rig_close(&scene->rig);
}

/* A user without the right to ask is served as well; nothing is claimed then. */
static void test_no_right_to_ask(void **state)
{
    struct scene *scene = *state;
    order(scene, "CONFIG SET appendonly no");
    order(scene, "ACL SETUSER petrel on >word ~* +@all -info -ping");
    scene->config.username = "petrel";
    scene->config.password = "word";
    redis_rig_open(&scene->rig, &scene->config);
    for (int i = 0; i < 3; i++)
        assert_int_equal(echo(scene), 0);
    assert_true(is_up(scene));
    assert_false(is_unsafe(scene));
    redis_rig_close(&scene->rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_down_and_back, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_only_one_of_two_tells, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_never_there, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_unsafe, start_server, end_server),
        cmocka_unit_test_setup_teardown(test_no_right_to_ask, start_server, end_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
