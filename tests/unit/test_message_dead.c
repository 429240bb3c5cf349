/* Routes of processes that are gone: which are taken for dead, and how the store is rid of them. Store, link and clock are the test's own;
 * one thread, and the loop turns when the test says so. */
#include "base/err.h"
#include "base/object.h"
#include "message/message_dead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SETTLE_MS 30000U
#define STARTED 1700000000500ULL /* every listed node's process */
#define REQUESTS_MAX 32

struct rig {
    struct clock_manual clock;
    struct loop *loop;
    struct link link;
    struct store store;
    struct metrics *metrics;
    struct message_dead *dead;
    struct store_request *requests[REQUESTS_MAX]; /* all there were */
    int count;
    int refusal;
    uint32_t linked;  /* the node whose link stands */
    uint32_t greeted; /* the node whose process of STARTED has said hello */
    int idle;
};

static int take(struct store *store, struct store_request *request)
{
    struct rig *rig = container_of(store, struct rig, store);
    petrel_assert(rig->count < REQUESTS_MAX);
    if (rig->refusal == 0)
        rig->requests[rig->count++] = request;
    return rig->refusal;
}

static const struct store_ops store_ops = {.name = "fake", .unbind = take, .user = take};

static bool knows(struct link *link, const struct route *route)
{
    return container_of(link, struct rig, link)->linked == route->node;
}

static bool outlived(struct link *link, const struct route *route)
{
    return container_of(link, struct rig, link)->greeted == route->node && route->incarnation < STARTED;
}

static const struct link_ops link_ops = {.name = "fake", .knows = knows, .outlived = outlived};

static void on_idle(void *ctx)
{
    struct rig *rig = ctx;
    rig->idle++;
}

static void open_rig(struct rig *rig)
{
    *rig = (struct rig){.link.ops = &link_ops, .store.ops = &store_ops};
    clock_manual_init(&rig->clock, 1000000, 1700000000000);
    const struct loop_config config = {.clock = &rig->clock.clock};
    assert_int_equal(loop_new(&rig->loop, &config), 0);
    rig->metrics = metrics_new(1);
    const struct message_dead_config dead = {.settle_ms = SETTLE_MS,
                                             .loop = rig->loop,
                                             .link = &rig->link,
                                             .store = &rig->store,
                                             .metrics = metrics_shard(rig->metrics, 0),
                                             .on_idle = on_idle,
                                             .ctx = rig};
    rig->dead = message_dead_new(&dead);
}

static void close_rig(struct rig *rig)
{
    message_dead_free(rig->dead);
    loop_free(&rig->loop);
    metrics_free(&rig->metrics);
}

static void pass(struct rig *rig, uint64_t ms)
{
    clock_manual_advance(&rig->clock, ms);
    loop_stop(rig->loop);
    loop_run(rig->loop);
}

static void show(struct rig *rig, bool current, const uint32_t *numbers, size_t count)
{
    struct discovery_view *view = object_zalloc(sizeof *view + count * sizeof view->nodes[0]);
    view->current = current;
    view->count = count;
    for (size_t i = 0; i < count; i++)
        view->nodes[i] = (struct discovery_node){.number = numbers[i], .incarnation = STARTED};
    message_dead_view(rig->dead, view);
    free(view);
}

static struct route route_of(uint32_t node, uint64_t incarnation)
{
    return (struct route){.node = node, .incarnation = incarnation, .slot = 4, .generation = 9};
}

static bool is_dead(struct rig *rig, uint32_t node, uint64_t incarnation)
{
    const struct route route = route_of(node, incarnation);
    return message_dead_is(rig->dead, &route);
}

static void a_process_is_dead_when_a_newer_one_of_its_node_is_known(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    assert_false(is_dead(&rig, 2, STARTED - 1)); /* nobody is known */
    show(&rig, false, (uint32_t[]){7, 2, 5}, 3);
    assert_true(is_dead(&rig, 2, STARTED - 1));
    assert_true(is_dead(&rig, 7, 1));
    assert_false(is_dead(&rig, 2, STARTED));
    assert_false(is_dead(&rig, 5, STARTED + 1)); /* discovery lags behind it */
    rig.greeted = 3;
    assert_true(is_dead(&rig, 3, STARTED - 1));
    assert_false(is_dead(&rig, 3, STARTED));
    close_rig(&rig);
}

static void of_two_processes_of_a_node_the_newer_counts(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    struct discovery_view *view = object_zalloc(sizeof *view + 2 * sizeof view->nodes[0]);
    view->count = 2;
    view->nodes[0] = (struct discovery_node){.number = 2, .incarnation = STARTED - 100};
    view->nodes[1] = (struct discovery_node){.number = 2, .incarnation = STARTED};
    message_dead_view(rig.dead, view);
    assert_true(is_dead(&rig, 2, STARTED - 100));
    assert_false(is_dead(&rig, 2, STARTED));
    free(view);
    close_rig(&rig);
}

static void who_is_not_listed_is_dead_after_a_while_without_a_link(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    rig.linked = 4;
    show(&rig, true, (uint32_t[]){2}, 1);
    assert_false(is_dead(&rig, 3, STARTED));
    pass(&rig, SETTLE_MS - 1);
    show(&rig, true, (uint32_t[]){2, 5}, 2); /* a later view does not begin it anew */
    assert_false(is_dead(&rig, 3, STARTED));
    pass(&rig, 1);
    assert_true(is_dead(&rig, 3, STARTED));
    assert_false(is_dead(&rig, 4, STARTED)); /* its link stands */
    assert_false(is_dead(&rig, 2, STARTED));
    close_rig(&rig);
}

static void nobody_is_missed_while_discovery_is_away_and_for_a_while_after(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    show(&rig, true, (uint32_t[]){2}, 1);
    pass(&rig, SETTLE_MS);
    assert_true(is_dead(&rig, 3, STARTED));
    show(&rig, false, (uint32_t[]){2}, 1);
    assert_false(is_dead(&rig, 3, STARTED));
    pass(&rig, 10 * SETTLE_MS);
    assert_false(is_dead(&rig, 3, STARTED));
    show(&rig, true, (uint32_t[]){2}, 1);
    assert_false(is_dead(&rig, 3, STARTED)); /* it may just not be listed again yet */
    pass(&rig, SETTLE_MS);
    assert_true(is_dead(&rig, 3, STARTED));
    close_rig(&rig);
}

static void append(struct rig *rig, const char *user, bool met)
{
    const struct peer_target target = {.app = bytes_str("demo"), .user = bytes_str(user)};
    message_dead_appended(rig->dead);
    if (met)
        message_dead_met(rig->dead, &target);
}

static struct peer_device device_of(const char *name, struct route route)
{
    struct peer_device device = {.route = route};
    snprintf(device.device, sizeof device.device, "%s", name);
    return device;
}

/* Answer the request of that place. */
static void answer(struct rig *rig, int at, int status, struct peer_user *user)
{
    struct store_request *request = rig->requests[at];
    request->status = status;
    request->out.user = user;
    request->done(request);
}

static void a_burial_unbinds_every_dead_route_of_the_user_as_a_whole(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    show(&rig, true, (uint32_t[]){2}, 1);
    append(&rig, "ada", true);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.requests[0]->op, STORE_USER);
    assert_true(bytes_equal_str(rig.requests[0]->in.user.user, "ada"));
    assert_true(bytes_equal_str(rig.requests[0]->in.user.app, "demo"));
    struct peer_user user = {.count = 4};
    user.devices[0] = device_of("old", route_of(2, STARTED - 1));
    user.devices[1] = device_of("away", (struct route){0});
    user.devices[2] = device_of("here", route_of(2, STARTED));
    user.devices[3] = device_of("older", route_of(2, STARTED - 2));
    answer(&rig, 0, 0, &user);
    const char *const names[] = {"old", "older"};
    const uint64_t incarnations[] = {STARTED - 1, STARTED - 2};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig.count, 2 + i);
        const struct peer_unbind *unbind = &rig.requests[1 + i]->in.unbind;
        const struct route route = route_of(2, incarnations[i]);
        assert_int_equal(rig.requests[1 + i]->op, STORE_UNBIND);
        assert_true(bytes_equal_str(unbind->target.device, names[i]));
        assert_true(bytes_equal_str(unbind->target.user, "ada"));
        assert_true(route_equal(&unbind->route, &route));
        assert_false(message_dead_idle(rig.dead));
        answer(&rig, 1 + i, 0, NULL);
    }
    assert_int_equal(rig.count, 3);
    assert_true(message_dead_idle(rig.dead));
    assert_int_equal(rig.idle, 1);
    assert_int_equal(metrics_get(rig.metrics, METRIC_ROUTES_DEAD), 2);
    close_rig(&rig);
}

static void a_burial_ends_with_the_store_s_no(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    show(&rig, true, (uint32_t[]){2}, 1);
    rig.refusal = PETREL_E_BUSY;
    append(&rig, "ada", true);
    assert_true(message_dead_idle(rig.dead));
    rig.refusal = 0;
    append(&rig, "ada", true);
    answer(&rig, 0, PETREL_E_UNAVAILABLE, NULL);
    assert_true(message_dead_idle(rig.dead));
    assert_int_equal(metrics_get(rig.metrics, METRIC_ROUTES_DEAD), 0);
    append(&rig, "ada", true); /* the next append tries again */
    struct peer_user user = {.count = 1};
    user.devices[0] = device_of("old", route_of(2, 1));
    rig.refusal = PETREL_E_CLOSING;
    answer(&rig, 1, 0, &user);
    assert_true(message_dead_idle(rig.dead));
    close_rig(&rig);
}

static void burials_are_few_at_a_time_and_one_a_user(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    append(&rig, "ada", true);
    append(&rig, "ada", true);
    append(&rig, "ada", false);
    assert_int_equal(rig.count, 1);
    for (int i = 0; i < 2 * MESSAGE_DEAD_BURIALS; i++)
        append(&rig, (const char[]){(char)('a' + i), '\0'}, true);
    assert_int_equal(rig.count, MESSAGE_DEAD_BURIALS);
    answer(&rig, 3, PETREL_E_NOT_FOUND, NULL);
    append(&rig, "next", true);
    append(&rig, "after", true);
    assert_int_equal(rig.count, MESSAGE_DEAD_BURIALS + 1);
    for (int i = 0; i < rig.count; i++) {
        if (i != 3)
            answer(&rig, i, PETREL_E_NOT_FOUND, NULL);
    }
    assert_int_equal(rig.idle, 1);
    close_rig(&rig);
}

static void burials_cost_a_fraction_of_the_appends(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    int begun = 0;
    const int appends = 100 * MESSAGE_DEAD_COST;
    for (int i = 0; i < appends; i++) { /* each of them meets a dead route, and the store is quick */
        append(&rig, "ada", true);
        begun += rig.count;
        if (rig.count > 0)
            answer(&rig, 0, PETREL_E_NOT_FOUND, NULL);
        rig.count = 0;
    }
    assert_in_range(begun, MESSAGE_DEAD_SAVED, MESSAGE_DEAD_SAVED + appends / MESSAGE_DEAD_COST);
    close_rig(&rig);
}

static void nothing_is_begun_after_close(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    show(&rig, true, (uint32_t[]){2}, 1);
    append(&rig, "ada", true);
    message_dead_close(rig.dead);
    append(&rig, "bob", true);
    assert_int_equal(rig.count, 1);
    struct peer_user user = {.count = 1};
    user.devices[0] = device_of("old", route_of(2, 1));
    answer(&rig, 0, 0, &user);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.idle, 1);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_dead_when_a_newer_one_of_its_node_is_known),
        cmocka_unit_test(of_two_processes_of_a_node_the_newer_counts),
        cmocka_unit_test(who_is_not_listed_is_dead_after_a_while_without_a_link),
        cmocka_unit_test(nobody_is_missed_while_discovery_is_away_and_for_a_while_after),
        cmocka_unit_test(a_burial_unbinds_every_dead_route_of_the_user_as_a_whole),
        cmocka_unit_test(a_burial_ends_with_the_store_s_no),
        cmocka_unit_test(burials_are_few_at_a_time_and_one_a_user),
        cmocka_unit_test(burials_cost_a_fraction_of_the_appends),
        cmocka_unit_test(nothing_is_begun_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
