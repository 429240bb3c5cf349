/* Requests with a key that the snapshot does not know: what they wait for, and what becomes of them. */
#include "base/object.h"
#include "lib/until.h"
#include "registry/snapshot.h"
#include "unit/api_rig.h"
#include "unit/http2_client.h"
#include "wire/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATH "/v1/apps/shop/messages"
#define BODY "{\"to\":{\"user\":\"ann\"},\"data\":1}"
#define NEW_ID "00000000000000ab"
#define NEW_KEY "pk_" NEW_ID "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
#define GUESS "pk_00000000000000cd_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
#define WAIT_MS 30000
#define CROWD 20

/* The rig, with a registry that is looked at when the test says so. */
struct scene {
    struct api_rig rig;
    struct registry_ops ops;
    const struct registry_ops *real;
    atomic_int looks;              /* begun so far */
    struct registry_request *look; /* under way; the loop's */
    int status;                    /* of the look that is ended next */
    bool made;                     /* the key has been made elsewhere: the look shows it */
};

static struct scene *scene_of(struct api_rig *rig)
{
    return container_of(rig, struct scene, rig);
}

static struct registry_ops *ops_of(struct registry *registry)
{
    return (struct registry_ops *)(uintptr_t)registry->ops;
}

static int refresh(struct registry *registry, struct registry_request *request)
{
    struct scene *scene = container_of(ops_of(registry), struct scene, ops);
    petrel_assert(scene->look == NULL); /* one at a time */
    scene->look = request;
    atomic_fetch_add(&scene->looks, 1);
    return 0;
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    api_rig_open(&scene->rig, NULL);
    scene->real = scene->rig.registry->ops;
    scene->ops = *scene->real;
    scene->ops.refresh = refresh;
    scene->rig.registry->ops = &scene->ops;
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    scene->rig.registry->ops = scene->real;
    api_rig_close(&scene->rig);
    free(scene);
    return 0;
}

static void show_new_key(struct api_rig *rig)
{
    struct snapshot_app app = {.name = "shop", .key_window_ms = 1000};
    struct snapshot_key key = {.id = NEW_ID};
    digest_sha256(bytes_str(NEW_KEY), key.sha256);
    const struct snapshot_content content = {.apps = &app, .apps_count = 1, .keys = &key, .keys_count = 1};
    struct snapshot *snapshot = snapshot_new(99, &content, NULL);
    api_role_set_snapshot(rig->send, snapshot);
    snapshot_unref(snapshot);
}

static void end_look_on_loop(struct api_rig *rig)
{
    struct scene *scene = scene_of(rig);
    struct registry_request *look = scene->look;
    if (look == NULL)
        return;
    if (scene->made)
        show_new_key(rig);
    scene->look = NULL;
    look->status = scene->status;
    look->done(look);
}

static void end_look(struct scene *scene, int status, bool made)
{
    scene->status = status;
    scene->made = made;
    api_rig_run(&scene->rig, end_look_on_loop);
}

struct count {
    struct scene *scene;
    int value;
};

static bool has_looked(void *ctx)
{
    const struct count *count = ctx;
    return atomic_load(&count->scene->looks) >= count->value;
}

static void wait_looks(struct scene *scene, int looks)
{
    struct count count = {scene, looks};
    assert_true(until(has_looked, &count, WAIT_MS));
    assert_int_equal(atomic_load(&scene->looks), looks);
}

static bool has_connections(void *ctx)
{
    const struct count *count = ctx;
    return metrics_get(count->scene->rig.metrics, METRIC_HTTP_CONNECTIONS) == count->value;
}

static void ask(struct api_client *client, const char *key)
{
    char headers[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", key);
    api_client_request(client, "POST", PATH, headers, BODY);
}

static void a_key_that_was_made_elsewhere_opens_at_once(void **state)
{
    struct scene *scene = *state;
    struct api_client client;
    api_client_open(&client, scene->rig.ports[API_SEND]);
    ask(&client, NEW_KEY);
    ask(&client, NEW_KEY); /* pipelined: it waits behind the first */
    wait_looks(scene, 1);
    end_look(scene, 0, true);
    api_client_expect_status(&client, 200);
    api_client_expect_status(&client, 200);
    assert_int_equal(atomic_load(&scene->looks), 1);
    api_client_close(&client);
}

static void a_key_that_nobody_made_is_refused_after_a_look(void **state)
{
    struct scene *scene = *state;
    struct api_client client;
    api_client_open(&client, scene->rig.ports[API_SEND]);
    for (int look = 1; look <= 2; look++) {
        ask(&client, GUESS);
        wait_looks(scene, look);
        end_look(scene, 0, false);
        api_client_expect_status(&client, 401);
    }
    ask(&client, scene->rig.key);
    api_client_expect_status(&client, 200);
    api_client_close(&client);
}

static void what_no_look_can_mend_is_refused_at_once(void **state)
{
    struct scene *scene = *state;
    char forged[REGISTRY_KEY_TEXT_MAX];
    struct api_client client;
    (void)snprintf(forged, sizeof forged, "%.20s0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", scene->rig.key);
    const char *const keys[] = {"x", "pk_00000000000000cd_short", forged};
    api_client_open(&client, scene->rig.ports[API_SEND]);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        ask(&client, keys[i]);
        api_client_expect_status(&client, 401);
    }
    assert_int_equal(atomic_load(&scene->looks), 0);
    api_client_close(&client);
}

static void expect_unavailable(struct api_client *client)
{
    char retry[16];
    struct api_reply reply = api_client_read(client, false);
    assert_int_equal(reply.status, 503);
    assert_string_equal(api_client_text(&reply, "error.status"), "UNAVAILABLE");
    assert_true(api_client_header(&reply, "Retry-After", retry, sizeof retry));
    api_client_free(&reply);
}

static void a_key_that_cannot_be_looked_for_is_not_refused_for_good(void **state)
{
    struct scene *scene = *state;
    struct api_client client;
    api_client_open(&client, scene->rig.ports[API_SEND]);
    ask(&client, NEW_KEY);
    wait_looks(scene, 1);
    end_look(scene, PETREL_E_UNAVAILABLE, false);
    expect_unavailable(&client);
    ask(&client, scene->rig.key);
    api_client_expect_status(&client, 200);
    api_client_close(&client);
}

static void a_look_that_hangs_is_not_waited_for(void **state)
{
    struct scene *scene = *state;
    struct api_client client;
    api_client_open(&client, scene->rig.ports[API_SEND]);
    ask(&client, NEW_KEY);
    ask(&client, scene->rig.key);
    expect_unavailable(&client);
    api_client_expect_status(&client, 200);
    /* Its end is nobody's any more; the next has a look of its own. */
    end_look(scene, 0, false);
    ask(&client, NEW_KEY);
    wait_looks(scene, 2);
    end_look(scene, 0, true);
    api_client_expect_status(&client, 200);
    api_client_close(&client);
}

static bool all_are_answered(void *ctx)
{
    const struct count *count = ctx;
    end_look(count->scene, 0, true);
    return metrics_get(count->scene->rig.metrics, METRIC_HTTP_REQUESTS) >= count->value;
}

static void many_share_a_look(void **state)
{
    struct scene *scene = *state;
    struct api_client clients[CROWD];
    const int before = (int)metrics_get(scene->rig.metrics, METRIC_HTTP_REQUESTS);
    struct count open = {scene, CROWD}, answered = {scene, before + CROWD};
    for (size_t i = 0; i < CROWD; i++) {
        api_client_open(&clients[i], scene->rig.ports[API_SEND]);
        ask(&clients[i], i % 2 == 0 ? NEW_KEY : GUESS);
    }
    wait_looks(scene, 1);
    assert_true(until(has_connections, &open, WAIT_MS));
    /* Before the key is made: whoever came after this look began is not refused by it. */
    end_look(scene, 0, false);
    assert_true(until(all_are_answered, &answered, WAIT_MS));
    assert_in_range(atomic_load(&scene->looks), 2, CROWD - 1);
    unsigned opened = 0;
    for (size_t i = 0; i < CROWD; i++) {
        struct api_reply reply = api_client_read(&clients[i], false);
        assert_true(reply.status == 401 || (reply.status == 200 && i % 2 == 0));
        opened += reply.status == 200;
        api_client_free(&reply);
        api_client_close(&clients[i]);
    }
    assert_true(opened >= CROWD / 2 - 1);
}

static void ask_health(struct scene *scene)
{
    for (int i = 0; i < 3; i++) {
        struct api_reply reply = api_rig_ask(&scene->rig, API_SEND, "GET", "/healthz", NULL);
        assert_int_equal(reply.status, 200);
        api_client_free(&reply);
    }
}

static void a_connection_that_breaks_waits_no_more(void **state)
{
    struct scene *scene = *state;
    struct api_client client;
    struct count none = {scene, 0};
    assert_true(until(has_connections, &none, WAIT_MS)); /* of the rig's own requests */
    api_client_open(&client, scene->rig.ports[API_SEND]);
    ask(&client, NEW_KEY);
    wait_looks(scene, 1);
    api_client_break(&client);
    assert_true(until(has_connections, &none, WAIT_MS));
    end_look(scene, 0, true);
    api_client_open(&client, scene->rig.ports[API_SEND]);
    ask(&client, NEW_KEY);
    api_client_expect_status(&client, 200);
    api_client_close(&client);
}

/* Over HTTP/2 a request may be taken back while it waits; others wait behind it, and are judged by their own keys. */
static void a_request_that_is_taken_back_waits_no_more(void **state)
{
    struct scene *scene = *state;
    struct http2_client *client = calloc(1, sizeof *client);
    const char *const unknown[] = {"authorization", "Bearer " NEW_KEY, NULL};
    const struct http2_peer_ask ask = {.method = "POST", .path = PATH, .headers = unknown, .body = bytes_str(BODY)};
    http2_client_open(client, &scene->rig);
    const size_t taken_back = http2_peer_ask(&client->peer, &ask);
    http2_client_flush(client);
    wait_looks(scene, 1);
    const size_t behind = http2_client_send(client, "d");
    http2_peer_reset(&client->peer, taken_back);
    http2_client_flush(client);
    ask_health(scene); /* by then both have been read */
    assert_int_equal(scene->rig.script.calls, 0);
    end_look(scene, 0, false);
    http2_client_expect(client, behind, 200, "\"id\"");
    assert_int_equal(scene->rig.script.calls, 1);

    const size_t waits = http2_peer_ask(&client->peer, &ask);
    http2_client_flush(client);
    wait_looks(scene, 2);
    end_look(scene, 0, true);
    http2_client_expect(client, waits, 200, "\"id\"");
    assert_int_equal(scene->rig.script.calls, 2);
    http2_client_close(client);
    free(client);
}

static void closing_answers_who_waits(void **state)
{
    struct scene *scene = *state;
    struct api_client client;
    api_client_open(&client, scene->rig.ports[API_SEND]);
    ask(&client, NEW_KEY);
    wait_looks(scene, 1);
    api_rig_begin_close(&scene->rig);
    end_look(scene, PETREL_E_UNAVAILABLE, false);
    expect_unavailable(&client);
    api_client_expect_end(&client);
    api_client_close(&client);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        CASE(a_key_that_was_made_elsewhere_opens_at_once),
        CASE(a_key_that_nobody_made_is_refused_after_a_look),
        CASE(what_no_look_can_mend_is_refused_at_once),
        CASE(a_key_that_cannot_be_looked_for_is_not_refused_for_good),
        CASE(a_look_that_hangs_is_not_waited_for),
        CASE(many_share_a_look),
        CASE(a_connection_that_breaks_waits_no_more),
        CASE(a_request_that_is_taken_back_waits_no_more),
        CASE(closing_answers_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
