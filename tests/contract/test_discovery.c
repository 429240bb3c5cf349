/* The contract of discovery.h, held against every implementation. To add one: a row in `fixtures`. */
#include "base/err.h"
#include "base/object.h"
#include "contract/loops.h"
#include "discovery/discovery_single.h"
#include "discovery/discovery_zookeeper.h"
#include "lib/until.h"
#include "lib/zookeeper_server.h"
#include "loop/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL_MS 1700000000000
#define READERS 3
#define ROUNDS 3000

#define HEALTHY_MS 60000

/* With a service behind it, of which every world sees a part of its own. */
struct fixture {
    const char *name;
    int (*open)(struct discovery **out, const struct clock *clock, struct loop *main_loop);
};

static struct zookeeper_server zookeeper;
static unsigned worlds;

static int open_single(struct discovery **out, const struct clock *clock, struct loop *main_loop)
{
    (void)main_loop;
    return discovery_single_open(out, clock);
}

static int open_zookeeper(struct discovery **out, const struct clock *clock, struct loop *main_loop)
{
    char root[32];
    snprintf(root, sizeof root, "/world-%u", worlds++);
    const struct discovery_zookeeper_config config = {
        .servers = zookeeper.servers, .root = root, .clock = clock, .loop = main_loop};
    return discovery_zookeeper_open(out, &config);
}

static const struct fixture fixtures[] = {
    {"single", open_single},
    {"zookeeper", open_zookeeper},
};

struct world {
    struct clock_manual clock;
    struct discovery *discovery;
    struct loops main; /* one, on which it is published */
};

static bool is_healthy(void *ctx)
{
    struct world *world = ctx;
    return world->discovery->ops->healthy(world->discovery);
}

static void open_world(struct world *world, const struct fixture *fixture)
{
    clock_manual_init(&world->clock, 0, WALL_MS);
    loops_open(&world->main, 1);
    assert_int_equal(fixture->open(&world->discovery, &world->clock.clock, world->main.loops[0]), 0);
    loops_start(&world->main);
    assert_true(until(is_healthy, world, HEALTHY_MS));
}

static void close_world(struct world *world)
{
    loops_stop(&world->main);
    world->discovery->ops->close(world->discovery);
    loops_free(&world->main);
}

static struct discovery_node node_with(uint64_t sessions)
{
    return (struct discovery_node){
        .number = 1,
        .roles = DISCOVERY_SESSION | DISCOVERY_MESSAGE,
        .incarnation = WALL_MS - 5000,
        .state = DISCOVERY_UP,
        .sessions = sessions,
        .max_sessions = 1000,
        .name = "petrel-1",
        .session_address = "push.example:7400",
    };
}

struct publication {
    struct world *world;
    struct discovery_node node;
    int result;
};

static void do_publish(void *ctx)
{
    struct publication *publication = ctx;
    struct discovery *discovery = publication->world->discovery;
    publication->result = discovery->ops->publish(discovery, &publication->node);
}

static int publish_node(struct world *world, struct discovery_node node)
{
    struct publication publication = {.world = world, .node = node};
    loops_run_on(&world->main, 0, do_publish, &publication);
    return publication.result;
}

static int publish(struct world *world, uint64_t sessions)
{
    return publish_node(world, node_with(sessions));
}

static struct discovery_view *view(struct world *world)
{
    return world->discovery->ops->view(world->discovery);
}

static void nobody_is_there_before_the_first_publish(void **state)
{
    struct world world;
    open_world(&world, *state);
    struct discovery_view *empty = view(&world);
    assert_int_equal(empty->count, 0);
    discovery_view_unref(empty);
    assert_true(world.discovery->ops->healthy(world.discovery));
    close_world(&world);
}

static void a_published_node_is_in_the_view(void **state)
{
    struct world world;
    open_world(&world, *state);
    struct discovery_view *before = view(&world);
    clock_manual_advance(&world.clock, 250);
    assert_int_equal(publish(&world, 12), 0);
    struct discovery_view *after = view(&world);
    assert_true(after->version > before->version);
    assert_int_equal(after->as_of_ms, WALL_MS + 250);
    assert_int_equal(after->count, 1);
    const struct discovery_node *node = &after->nodes[0];
    assert_int_equal(node->number, 1);
    assert_int_equal(node->roles, DISCOVERY_SESSION | DISCOVERY_MESSAGE);
    assert_int_equal(node->incarnation, WALL_MS - 5000);
    assert_int_equal(node->state, DISCOVERY_UP);
    assert_int_equal(node->sessions, 12);
    assert_int_equal(node->max_sessions, 1000);
    assert_string_equal(node->name, "petrel-1");
    assert_string_equal(node->session_address, "push.example:7400");
    assert_string_equal(node->peer_address, "");
    discovery_view_unref(before);
    discovery_view_unref(after);
    close_world(&world);
}

static void a_view_that_is_held_never_changes(void **state)
{
    struct world world;
    open_world(&world, *state);
    struct discovery_view *views[20];
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(publish(&world, i), 0);
        views[i] = view(&world);
    }
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(views[i]->nodes[0].sessions, i);
        assert_true(i == 0 || views[i]->version > views[i - 1]->version);
    }
    close_world(&world);
    for (size_t i = 0; i < 20; i++)
        discovery_view_unref(views[i]); /* they outlive the object */
}

static void a_text_without_an_end_or_of_two_lines_is_refused(void **state)
{
    struct world world;
    open_world(&world, *state);
    struct discovery_node node = node_with(1);
    memset(node.session_address, 'x', sizeof node.session_address);
    assert_int_equal(publish_node(&world, node), PETREL_E_INVALID);
    node = node_with(1);
    node.peer_address[0] = '\n';
    assert_int_equal(publish_node(&world, node), PETREL_E_INVALID);
    struct discovery_view *empty = view(&world);
    assert_int_equal(empty->count, 0);
    discovery_view_unref(empty);
    close_world(&world);
}

struct watcher {
    struct world *world;
    struct loop *loop;
    int result;
    uint64_t version;
    uint64_t sessions;
    bool went_back;
    pthread_t own, called_on;
    struct loops_tally called; /* its value is the sessions of the newest view */
};

static void on_view(void *ctx, struct discovery_view *seen)
{
    struct watcher *watcher = ctx;
    watcher->went_back = watcher->went_back || seen->version <= watcher->version;
    watcher->version = seen->version;
    watcher->called_on = pthread_self();
    loops_tally_add(&watcher->called, seen->nodes[0].sessions - watcher->sessions);
    watcher->sessions = seen->nodes[0].sessions;
}

static void do_watch(void *ctx)
{
    struct watcher *watcher = ctx;
    struct discovery *discovery = watcher->world->discovery;
    watcher->own = pthread_self();
    watcher->result = discovery->ops->watch(discovery, watcher->loop, on_view, watcher);
}

static void watchers_get_the_newest_view_on_their_loops(void **state)
{
    struct world world;
    struct loops loops;
    struct watcher watchers[3] = {0};
    open_world(&world, *state);
    loops_open(&loops, 3);
    loops_start(&loops);
    for (size_t i = 0; i < 3; i++) {
        watchers[i].world = &world;
        watchers[i].loop = loops.loops[i];
        loops_tally_init(&watchers[i].called);
        loops_run_on(&loops, i, do_watch, &watchers[i]);
        assert_int_equal(watchers[i].result, 0);
    }
    for (uint64_t sessions = 1; sessions <= 500; sessions++)
        assert_int_equal(publish(&world, sessions), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(loops_tally_wait(&watchers[i].called, 500));
        assert_false(watchers[i].went_back);
        assert_true(pthread_equal(watchers[i].called_on, watchers[i].own));
    }
    assert_int_equal(publish(&world, 501), 0);
    for (size_t i = 0; i < 3; i++)
        assert_true(loops_tally_wait(&watchers[i].called, 501));
    loops_stop(&loops);
    close_world(&world);
    loops_free(&loops);
    for (size_t i = 0; i < 3; i++)
        loops_tally_destroy(&watchers[i].called);
}

static void nobody_is_called_after_close(void **state)
{
    struct world world;
    struct loops loops;
    struct watcher watcher = {.world = &world};
    open_world(&world, *state);
    loops_open(&loops, 1);
    watcher.loop = loops.loops[0];
    loops_tally_init(&watcher.called);
    do_watch(&watcher);
    assert_int_equal(publish(&world, 5), 0);
    close_world(&world);
    loops_free(&loops); /* runs the mail that was on its way */
    assert_int_equal(loops_tally_get(&watcher.called), 0);
    loops_tally_destroy(&watcher.called);
}

static void a_loop_watches_once_and_so_many_loops_watch(void **state)
{
    struct world world;
    struct loops loops;
    struct watcher watcher = {.world = &world};
    open_world(&world, *state);
    (void)descriptors_raise();
    loops_open(&loops, DISCOVERY_WATCHERS_MAX + 1);
    for (size_t i = 0; i < DISCOVERY_WATCHERS_MAX; i++) {
        watcher.loop = loops.loops[i];
        do_watch(&watcher);
        assert_int_equal(watcher.result, 0);
        do_watch(&watcher);
        assert_int_equal(watcher.result, PETREL_E_EXISTS);
    }
    watcher.loop = loops.loops[DISCOVERY_WATCHERS_MAX];
    do_watch(&watcher);
    assert_int_equal(watcher.result, PETREL_E_TOO_LARGE);
    close_world(&world);
    loops_free(&loops);
}

struct reader {
    struct world *world;
    pthread_t thread;
    uint32_t torn;
};

static void *read_views(void *ctx)
{
    struct reader *reader = ctx;
    uint64_t last_version = 0, last_sessions = 0;
    while (last_sessions < ROUNDS) {
        struct discovery_view *seen = view(reader->world);
        reader->torn += seen->version < last_version || seen->count != 1 || seen->nodes[0].sessions < last_sessions;
        last_version = seen->version;
        last_sessions = seen->nodes[0].sessions;
        discovery_view_unref(seen);
    }
    return NULL;
}

static void views_are_read_while_they_are_replaced(void **state)
{
    struct world world;
    struct reader readers[READERS];
    open_world(&world, *state);
    assert_int_equal(publish(&world, 0), 0);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.world = &world};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_views, &readers[i]), 0);
    }
    for (uint64_t sessions = 1; sessions <= ROUNDS; sessions++)
        (void)publish(&world, sessions);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].torn, 0);
    }
    close_world(&world);
}

#define CASE(test)                                                                                                     \
    {                                                                                                                  \
#test, test, NULL, NULL, NULL                                                                                  \
    }
static const struct CMUnitTest cases[] = {
    CASE(nobody_is_there_before_the_first_publish),    CASE(a_published_node_is_in_the_view),
    CASE(a_view_that_is_held_never_changes),           CASE(a_text_without_an_end_or_of_two_lines_is_refused),
    CASE(watchers_get_the_newest_view_on_their_loops), CASE(nobody_is_called_after_close),
    CASE(a_loop_watches_once_and_so_many_loops_watch), CASE(views_are_read_while_they_are_replaced),
};
#define CASES (sizeof cases / sizeof cases[0])

int main(void)
{
    if (!zookeeper_server_open(&zookeeper, 1)) {
        fprintf(stderr, "ZooKeeper does not start\n");
        return 1;
    }
    int failed = 0;
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
        struct CMUnitTest tests[CASES];
        memcpy(tests, cases, sizeof cases);
        for (size_t j = 0; j < CASES; j++)
            tests[j].initial_state = (void *)&fixtures[i];
        failed += cmocka_run_group_tests_name(fixtures[i].name, tests, NULL, NULL);
    }
    zookeeper_server_close(&zookeeper);
    return failed;
}
