/* The Redis store on a cluster where a master was deposed and does not know it: empty or behind, it answers for a while for users who
 * are elsewhere. What it says against a position is not believed before others were asked (PROMISE §4). */
#include "contract/store_rig_redis.h"

#include "base/hash.h"

#include <stdlib.h>

struct scene {
    struct store_rig rig;
    struct redis_server_cluster *nodes;
    struct redis_server *old; /* the deposed master */
    struct position at;       /* of the device: before the last message */
    uint64_t head;
    long calls; /* functions that the deposed master was asked, before the test's */
};

static void order(const struct redis_server *server, const char *command)
{
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    assert_true(redis_server_command(server, reply, "%s", command));
    free(reply);
}

/* COPY of the user's key to one beside it, or back. */
static void copy(const struct redis_server *server, bool back)
{
    const unsigned bucket = hash_bucket(bytes_str("app"), bytes_str("u"));
    char *reply = object_alloc(REDIS_SERVER_REPLY_MAX);
    const char *const from = back ? "kept" : "u:app:u", *const to = back ? "u:app:u" : "kept";
    assert_true(redis_server_command(server, reply, "COPY {b%u}%s {b%u}%s REPLACE", bucket, from, bucket, to));
    assert_string_equal(reply, "1");
    free(reply);
}

/* A user with a device and two messages, of which the device has one. The master is deposed; it has nothing of them, or lags: it has
 * not the second one. */
static void open_scene(struct scene *scene, const void *subject, bool lags)
{
    struct store_append_out out;
    store_rig_open(&scene->rig, subject, NULL);
    scene->nodes = &store_rig_redis_of(&scene->rig)->nodes;
    scene->old = store_rig_redis_owner(&scene->rig, "u");
    const struct peer_bound bound = store_rig_bound(&scene->rig, "u", "d", 1);
    scene->at = (struct position){bound.page.epoch, store_rig_put(&scene->rig, "u", "m1")};
    copy(scene->old, false);
    struct peer_send send = store_rig_send(&scene->rig, "u", "m2");
    send.durability = PEER_DURABILITY_REPLICATED;
    assert_int_equal(store_rig_append(&scene->rig, &send, &out), 0);
    scene->head = out.sent.position.seq;
    assert_true(redis_server_cluster_depose(scene->nodes, scene->old));
    if (lags)
        copy(scene->old, true);
    else
        order(scene->old, "FLUSHALL");
    /* A record made now begins ahead of what the device has. */
    store_rig_advance(&scene->rig, 1000);
    scene->calls = redis_server_calls(scene->old, "fcall");
}

/* With the deposed master asked once. */
static void close_scene(struct scene *scene)
{
    assert_int_equal(redis_server_calls(scene->old, "fcall"), scene->calls + 1);
    assert_true(redis_server_cluster_rejoin(scene->nodes, scene->old));
    store_rig_close(&scene->rig);
}

static void a_fetch_finds_who_took_over(void **state)
{
    struct scene scene;
    struct peer_page page;
    open_scene(&scene, *state, false);
    assert_int_equal(store_rig_fetch(&scene.rig, "u", "d", scene.at, 0, &page), 0);
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    store_rig_expect(&page, "m2");
    close_scene(&scene);
}

/* The ack is of the last message where the master lags, else of the first: so many are pending then. */
static void expect_acked(const void *subject, bool lags, uint32_t pending)
{
    struct scene scene;
    struct peer_user user;
    open_scene(&scene, subject, lags);
    const struct position at = {scene.at.epoch, lags ? scene.head : scene.at.seq};
    assert_int_equal(store_rig_ack(&scene.rig, "u", "d", at), 0);
    assert_int_equal(store_rig_user(&scene.rig, "u", &user), 0);
    assert_int_equal(user.pending, pending);
    close_scene(&scene);
}

static void an_ack_finds_who_took_over(void **state)
{
    expect_acked(*state, false, 1);
}

static void an_ack_ahead_of_the_log_finds_who_took_over(void **state)
{
    expect_acked(*state, true, 0);
}

static void a_fetch_ahead_of_the_log_finds_who_took_over(void **state)
{
    struct scene scene;
    struct peer_page page;
    open_scene(&scene, *state, true);
    const struct position at = {scene.at.epoch, scene.head};
    assert_int_equal(store_rig_fetch(&scene.rig, "u", "d", at, 0, &page), 0);
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    assert_int_equal(page.head, scene.head);
    close_scene(&scene);
}

/* It enrolled the device anew in a log of its own: the bind counts where the log is. */
static void a_bind_finds_who_took_over(void **state)
{
    struct scene scene;
    struct peer_bound bound;
    open_scene(&scene, *state, false);
    assert_int_equal(store_rig_bind(&scene.rig, "u", "d", 2, scene.at, &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    assert_int_equal(bound.page.head, scene.head);
    store_rig_expect(&bound.page, "m2");
    const struct position at = {bound.page.epoch, bound.page.upto};
    assert_int_equal(store_rig_check(&scene.rig, "u", "d", 2, at), PEER_SAME);
    close_scene(&scene);
}

/* Where nobody took over, it is believed: a device that was removed, or a log that was lost. */
static void what_no_master_has_is_not_there(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct peer_bound bound;
    store_rig_open(&rig, *state, NULL);
    const struct redis_server *owner = store_rig_redis_owner(&rig, "u");
    const struct position at = {7, 7};
    assert_int_equal(store_rig_fetch(&rig, "u", "d", (struct position){0}, 0, &page), PETREL_E_UNREGISTERED);
    const long before = redis_server_calls(owner, "fcall");
    assert_int_equal(store_rig_fetch(&rig, "u", "d", at, 0, &page), PETREL_E_UNREGISTERED);
    assert_int_equal(store_rig_ack(&rig, "u", "d", at), PETREL_E_UNREGISTERED);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 1, at, &bound), 0);
    assert_int_equal(redis_server_calls(owner, "fcall"), before + 6);
    /* Who never had a position, and who is known, is asked about once. */
    (void)store_rig_bound(&rig, "u", "e", 1);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, bound.position, &bound), 0);
    assert_int_equal(redis_server_calls(owner, "fcall"), before + 8);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_master_has_is_not_there),
        cmocka_unit_test(a_fetch_finds_who_took_over),
        cmocka_unit_test(an_ack_finds_who_took_over),
        cmocka_unit_test(a_bind_finds_who_took_over),
        cmocka_unit_test(an_ack_ahead_of_the_log_finds_who_took_over),
        cmocka_unit_test(a_fetch_ahead_of_the_log_finds_who_took_over),
    };
    return store_rig_main_on("redis-cluster", "store with a deposed master", tests, sizeof tests / sizeof tests[0]);
}
