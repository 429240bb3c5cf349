/* What a backend changes in a device's subscriptions, before a store and topics that the test scripts: in which order both are asked,
 * and whether the device's session hears of it. One thread: the loop runs when the test says so. */
#include "base/err.h"
#include "base/object.h"
#include "discovery/link_local.h"
#include "message/message_role.h"
#include "store/topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NODE 3
#define INCARNATION 1700000000000ULL

/* Keep every request until the test answers it. */
struct fake_store {
    struct store store; /* first */
    struct store_request *last;
};
struct fake_topics {
    struct topics topics; /* first */
    struct topics_request *last;
};

struct rig {
    struct loop *loop;
    struct link_local *links;
    struct link *link;
    struct metrics *metrics;
    struct message_role *role;
    struct fake_store store;
    struct fake_topics topics;
    struct link_call call;
    int answers;
    int tells;
    struct route told;
    bool closed;
};

static int submit_store(struct store *store, struct store_request *request)
{
    container_of(store, struct fake_store, store)->last = request;
    return 0;
}

static int submit_topics(struct topics *topics, struct topics_request *request)
{
    container_of(topics, struct fake_topics, topics)->last = request;
    return 0;
}

static const struct store_ops store_fake = {.name = "fake", .user = submit_store, .check = submit_store};
static const struct topics_ops topics_fake = {.name = "fake", .submit = submit_topics};

static void on_call(void *ctx, struct link_call *call)
{
    (void)ctx;
    (void)call;
}

static void on_tell(void *ctx, const struct peer_msg *msg)
{
    struct rig *rig = ctx;
    rig->tells += msg->type == PEER_RESUBSCRIBED;
    rig->told = msg->resubscribed.route;
}

static void run_loop(struct rig *rig)
{
    loop_stop(rig->loop);
    loop_run(rig->loop);
}

static void open_rig(struct rig *rig)
{
    *rig = (struct rig){.store.store.ops = &store_fake, .topics.topics.ops = &topics_fake};
    const struct loop_config loop_config = {.index = 0};
    const struct message_config config = {.topics = &rig->topics.topics};
    assert_int_equal(loop_new(&rig->loop, &loop_config), 0);
    rig->links = link_local_new(NODE, INCARNATION, &rig->loop, 1);
    rig->link = link_local_at(rig->links, 0);
    rig->metrics = metrics_new(1);
    link_serve(rig->link, LINK_SESSION, (struct link_server){.ctx = rig, .on_call = on_call, .on_tell = on_tell});
    assert_int_equal(
        message_role_new(&rig->role, rig->loop, rig->link, &rig->store.store, &config, metrics_shard(rig->metrics, 0)),
        0);
}

static void on_closed(void *ctx)
{
    struct rig *rig = ctx;
    rig->closed = true;
}

static void close_rig(struct rig *rig)
{
    message_role_close(&rig->role, on_closed, rig);
    run_loop(rig);
    assert_true(rig->closed);
    loop_free(&rig->loop);
    link_local_free(&rig->links);
    metrics_free(&rig->metrics);
}

static void on_answer(struct link_call *call)
{
    container_of(call, struct rig, call)->answers++;
}

static struct route route_of(uint32_t slot)
{
    return (struct route){.node = NODE, .incarnation = INCARNATION, .slot = slot, .generation = 1};
}

static void ask(struct rig *rig, enum peer_type type, struct route asked_by)
{
    rig->call = (struct link_call){.in.type = type};
    rig->call.in.subscribe = (struct peer_subscribe){
        .target = {.app = bytes_str("demo"), .user = bytes_str("ada"), .device = bytes_str("phone")},
        .topic = bytes_str("news"),
        .asked_by = asked_by};
    assert_int_equal(link_ask(rig->link, &rig->call, on_answer), 0);
    run_loop(rig);
}

/* The store says what devices the user has: one, with that route. */
static void answer_user(struct rig *rig, const char *device, struct route route)
{
    struct store_request *request = rig->store.last;
    struct peer_user user = {.count = 1, .devices = {{.route = route}}};
    assert_non_null(request);
    assert_int_equal(request->op, STORE_USER);
    (void)snprintf(user.devices[0].device, sizeof user.devices[0].device, "%s", device);
    rig->store.last = NULL;
    request->status = 0;
    request->out.user = &user;
    request->done(request);
    run_loop(rig);
}

static void answer_topics(struct rig *rig, enum topics_op op, int status)
{
    struct topics_request *request = rig->topics.last;
    assert_non_null(request);
    assert_int_equal(request->op, op);
    rig->topics.last = NULL;
    request->status = status;
    request->out.subscribed = (struct topics_subscribed){{1, 0}, 7, 6};
    request->done(request);
    run_loop(rig);
}

/* Its session bound, and asked for the subscriptions, after the device was looked up and before the subscription was written. */
static void a_session_that_binds_meanwhile_is_told(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    ask(&rig, PEER_SUBSCRIBE, (struct route){0});
    answer_user(&rig, "phone", (struct route){0});
    answer_topics(&rig, TOPICS_FETCH, PETREL_E_NOT_FOUND);
    assert_int_equal(rig.answers, 0);
    answer_topics(&rig, TOPICS_SUBSCRIBE, 0);
    assert_int_equal(rig.answers + rig.tells, 0);
    answer_user(&rig, "phone", route_of(5));
    assert_int_equal(rig.answers, 1);
    assert_int_equal(rig.call.reply.status, 0);
    assert_int_equal(rig.call.reply.subscribed.version, 7);
    assert_int_equal(rig.call.reply.subscribed.prev, 6);
    assert_int_equal(rig.tells, 1);
    assert_int_equal(rig.told.slot, 5);
    close_rig(&rig);
}

static void nobody_is_told_of_what_was_not_written(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    ask(&rig, PEER_UNSUBSCRIBE, (struct route){0});
    answer_user(&rig, "phone", route_of(5));
    answer_topics(&rig, TOPICS_UNSUBSCRIBE, PETREL_E_UNAVAILABLE);
    assert_int_equal(rig.call.reply.status, PETREL_E_UNAVAILABLE);
    ask(&rig, PEER_SUBSCRIBE, (struct route){0});
    answer_user(&rig, "tablet", route_of(6));
    assert_int_equal(rig.call.reply.status, PETREL_E_NOT_FOUND);
    assert_null(rig.topics.last);
    assert_int_equal(rig.answers, 2);
    assert_int_equal(rig.tells, 0);
    close_rig(&rig);
}

/* The session that asks knows by the answer; another one of the device, which took its place meanwhile, does not. */
static void a_session_s_own_wish_is_told_to_whoever_took_its_place(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    ask(&rig, PEER_UNSUBSCRIBE, route_of(5));
    answer_topics(&rig, TOPICS_UNSUBSCRIBE, 0);
    answer_user(&rig, "phone", route_of(5));
    assert_int_equal(rig.answers, 1);
    assert_int_equal(rig.tells, 0);
    ask(&rig, PEER_UNSUBSCRIBE, route_of(5));
    answer_topics(&rig, TOPICS_UNSUBSCRIBE, 0);
    answer_user(&rig, "phone", route_of(6));
    assert_int_equal(rig.answers, 2);
    assert_int_equal(rig.tells, 1);
    assert_int_equal(rig.told.slot, 6);
    close_rig(&rig);
}

/* ---- checks ---- */

static void ask_check(struct rig *rig, uint32_t count)
{
    rig->call = (struct link_call){.in.type = PEER_CHECK};
    rig->call.in.check = (struct peer_checks){.count = count, .entries = bytes_str("packed")};
    assert_int_equal(link_ask(rig->link, &rig->call, on_answer), 0);
    run_loop(rig);
}

/* The topics first, then the log: each is asked for the same entries. */
static void answer_sets(struct rig *rig, int status, struct peer_checked *checked)
{
    struct topics_request *request = rig->topics.last;
    assert_non_null(request);
    assert_int_equal(request->op, TOPICS_CHECK);
    assert_true(bytes_equal_str(request->in.check.entries, "packed"));
    rig->topics.last = NULL;
    request->status = status;
    request->out.checked = checked;
    request->done(request);
    run_loop(rig);
}

static void answer_logs(struct rig *rig, int status, struct peer_checked *checked)
{
    struct store_request *request = rig->store.last;
    assert_non_null(request);
    assert_int_equal(request->op, STORE_CHECK);
    assert_true(bytes_equal_str(request->in.check.entries, "packed"));
    rig->store.last = NULL;
    request->status = status;
    request->out.checked = checked;
    request->done(request);
    run_loop(rig);
}

/* The reply is lent until the answer's callback returns. */
struct expected {
    struct rig *rig;
    const struct peer_differing *differing;
    uint32_t count;
    struct link_call call;
    bool is_so;
};

static void on_expected(struct link_call *call)
{
    struct expected *expected = container_of(call, struct expected, call);
    const struct peer_checked *checked = call->reply.checked;
    expected->is_so = call->reply.status == 0 && checked->count == expected->count;
    for (uint32_t i = 0; expected->is_so && i < checked->count; i++)
        expected->is_so = checked->differing[i].entry == expected->differing[i].entry &&
                          checked->differing[i].verdict == expected->differing[i].verdict;
}

static void ask_expecting(struct expected *expected, uint32_t count)
{
    expected->call = (struct link_call){.in.type = PEER_CHECK};
    expected->call.in.check = (struct peer_checks){.count = count, .entries = bytes_str("packed")};
    assert_int_equal(link_ask(expected->rig->link, &expected->call, on_expected), 0);
    run_loop(expected->rig);
}

static void what_both_stores_say_is_laid_side_by_side(void **state)
{
    (void)state;
    static const struct peer_differing both[] = {{0, PEER_CHANGED}, {2, PEER_BEHIND},   {3, PEER_UNROUTED},
                                                 {3, PEER_CHANGED}, {4, PEER_REPLACED}, {9, PEER_UNKNOWN}};
    struct peer_checked sets = {3, {{0, PEER_CHANGED}, {3, PEER_CHANGED}, {9, PEER_UNKNOWN}}};
    struct peer_checked logs = {3, {{2, PEER_BEHIND}, {3, PEER_UNROUTED}, {4, PEER_REPLACED}}};
    struct rig rig;
    open_rig(&rig);
    struct expected expected = {.rig = &rig, .differing = both, .count = sizeof both / sizeof both[0]};
    ask_expecting(&expected, PEER_CHECKS_MAX);
    answer_sets(&rig, 0, &sets);
    answer_logs(&rig, 0, &logs);
    assert_true(expected.is_so);
    close_rig(&rig);
}

/* What the log says is told all the same; the sets are to be asked again. */
static void sets_that_can_t_be_asked_are_unknown(void **state)
{
    (void)state;
    static const struct peer_differing both[] = {{0, PEER_UNKNOWN}, {1, PEER_BEHIND}, {1, PEER_UNKNOWN}};
    struct peer_checked logs = {1, {{1, PEER_BEHIND}}};
    struct rig rig;
    open_rig(&rig);
    struct expected expected = {.rig = &rig, .differing = both, .count = sizeof both / sizeof both[0]};
    ask_expecting(&expected, 2);
    answer_sets(&rig, PETREL_E_UNAVAILABLE, NULL);
    answer_logs(&rig, 0, &logs);
    assert_true(expected.is_so);
    ask_check(&rig, 2);
    struct peer_checked none = {.count = 0};
    answer_sets(&rig, 0, &none);
    answer_logs(&rig, PETREL_E_UNAVAILABLE, NULL);
    assert_int_equal(rig.answers, 1);
    assert_int_equal(rig.call.reply.status, PETREL_E_UNAVAILABLE);
    ask_check(&rig, PEER_CHECKS_MAX + 1);
    assert_int_equal(rig.call.reply.status, PETREL_E_INVALID);
    assert_null(rig.topics.last);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_that_binds_meanwhile_is_told),
        cmocka_unit_test(nobody_is_told_of_what_was_not_written),
        cmocka_unit_test(a_session_s_own_wish_is_told_to_whoever_took_its_place),
        cmocka_unit_test(what_both_stores_say_is_laid_side_by_side),
        cmocka_unit_test(sets_that_can_t_be_asked_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
