/* The message role before a store that the test scripts: what goes to the store, what comes back, which hints follow. One
 * thread: the loop runs when the test says so. */
#include "base/err.h"
#include "base/object.h"
#include "discovery/link_local.h"
#include "message/message_role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODE 3
#define INCARNATION 1700000000000ULL
#define TELLS_MAX 32

/* Keeps every request until the test answers it. */
struct fake_store {
    struct store store; /* first */
    struct store_request *last;
    int submitted;
    int refusal;
};

struct rig {
    struct loop *loop;
    struct link_local *links;
    struct link *link;
    struct metrics *metrics;
    struct message_role *role;
    struct fake_store store;
    struct peer_msg tells[TELLS_MAX];
    int tells_count;
    int closed;
};

struct asked {
    struct link_call call;
    int answers;
};

static int fake_submit(struct store *store, struct store_request *request)
{
    struct fake_store *fake = container_of(store, struct fake_store, store);
    if (fake->refusal != 0)
        return fake->refusal;
    fake->last = request;
    fake->submitted++;
    return 0;
}

static void fake_close(struct store *store)
{
    (void)store;
}

static const struct store_ops fake_ops = {
    .name = "fake",
    .bind = fake_submit,
    .unbind = fake_submit,
    .enrol = fake_submit,
    .remove = fake_submit,
    .append = fake_submit,
    .fetch = fake_submit,
    .ack = fake_submit,
    .check = fake_submit,
    .recall = fake_submit,
    .message_state = fake_submit,
    .user = fake_submit,
    .close = fake_close,
};

static void on_session_tell(void *ctx, const struct peer_msg *msg)
{
    struct rig *rig = ctx;
    petrel_assert(rig->tells_count < TELLS_MAX);
    rig->tells[rig->tells_count++] = *msg;
}

static void on_session_call(void *ctx, struct link_call *call)
{
    (void)ctx;
    (void)call;
}

static void open_rig(struct rig *rig, uint32_t max_inflight)
{
    *rig = (struct rig){.store.store.ops = &fake_ops};
    struct loop_config loop_config = {.index = 0};
    struct message_config config = {.max_inflight = max_inflight};
    assert_int_equal(loop_new(&rig->loop, &loop_config), 0);
    rig->links = link_local_new(NODE, INCARNATION, &rig->loop, 1);
    rig->link = link_local_at(rig->links, 0);
    rig->metrics = metrics_new(1);
    link_serve(rig->link, LINK_SESSION,
               (struct link_server){.ctx = rig, .on_call = on_session_call, .on_tell = on_session_tell});
    assert_int_equal(
        message_role_new(&rig->role, rig->loop, rig->link, &rig->store.store, &config, metrics_shard(rig->metrics, 0)),
        0);
}

static void run_loop(struct rig *rig)
{
    loop_stop(rig->loop);
    loop_run(rig->loop);
}

static void on_closed(void *ctx)
{
    struct rig *rig = ctx;
    rig->closed++;
}

static void close_rig(struct rig *rig)
{
    if (rig->role != NULL)
        message_role_close(&rig->role, on_closed, rig);
    run_loop(rig);
    assert_int_equal(rig->closed, 1);
    loop_free(&rig->loop);
    link_local_free(&rig->links);
    metrics_free(&rig->metrics);
}

static void on_answer(struct link_call *call)
{
    struct asked *asked = container_of(call, struct asked, call);
    asked->answers++;
}

static void ask(struct rig *rig, struct asked *asked)
{
    asked->answers = 0;
    assert_int_equal(link_ask(rig->link, &asked->call, on_answer), 0);
    run_loop(rig);
}

/* Have the store answer its last request. */
static void answer(struct rig *rig, int status)
{
    struct store_request *request = rig->store.last;
    rig->store.last = NULL;
    request->status = status;
    request->done(request);
    run_loop(rig);
}

static struct peer_target target(void)
{
    return (struct peer_target){.app = bytes_str("demo"), .user = bytes_str("ada"), .device = bytes_str("phone")};
}

static struct route route_of(uint32_t slot)
{
    return (struct route){.node = NODE, .incarnation = INCARNATION, .slot = slot, .generation = 1};
}

static struct asked send_of(struct buf *message)
{
    struct asked asked = {.call.in.type = PEER_SEND};
    asked.call.in.send = (struct peer_send){.target = target(), .message = message, .expires_ms = 1};
    return asked;
}

static void append_is_answered_and_delivered(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct asked asked = send_of(message);
    ask(&rig, &asked);
    assert_int_equal(asked.answers, 0);
    assert_int_equal(rig.store.last->op, STORE_APPEND);
    assert_ptr_equal(rig.store.last->in.append.message, message);
    rig.store.last->out.append = (struct store_append_out){
        .sent = {.position = {4, 12}},
        .prev = 11,
        .hits_count = 2,
        .hits = {{.route = route_of(1), .target = true}, {.route = route_of(2), .target = false}}};
    answer(&rig, 0);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(asked.call.reply.sent.position.seq, 12);
    assert_int_equal(rig.tells_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct peer_deliver *deliver = &rig.tells[i].deliver;
        struct route route = route_of(i == 0 ? 1 : 2);
        assert_int_equal(rig.tells[i].type, PEER_DELIVER);
        assert_true(route_equal(&deliver->route, &route));
        assert_int_equal(deliver->position.epoch, 4);
        assert_int_equal(deliver->position.seq, 12);
        assert_int_equal(deliver->prev, 11);
        assert_ptr_equal(deliver->message, i == 0 ? message : NULL);
    }
    assert_int_equal(metrics_get(rig.metrics, METRIC_DELIVERS), 2);
    buf_unref(message);
    close_rig(&rig);
}

static void hint_that_reaches_nobody_does_not_harm_the_send(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct asked asked = send_of(message);
    ask(&rig, &asked);
    struct route gone = route_of(1);
    gone.node++; /* of which nothing is known */
    rig.store.last->out.append = (struct store_append_out){
        .sent = {.position = {4, 12}}, .prev = 11, .hits_count = 1, .hits = {{.route = gone, .target = true}}};
    answer(&rig, 0);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(rig.tells_count, 0);
    assert_int_equal(metrics_get(rig.metrics, METRIC_DELIVERS_DROPPED), 1);
    buf_unref(message);
    close_rig(&rig);
}

static void a_dead_route_gets_no_deliver_and_is_unbound(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct discovery_view *view = object_zalloc(sizeof *view + sizeof view->nodes[0]);
    view->count = 1;
    view->nodes[0] = (struct discovery_node){.number = NODE + 1, .incarnation = INCARNATION};
    message_role_view(rig.role, view);
    free(view);
    struct buf *message = buf_copy(bytes_str("message"));
    struct asked asked = send_of(message);
    ask(&rig, &asked);
    struct route dead = route_of(1);
    dead.node++;
    dead.incarnation--;
    rig.store.last->out.append =
        (struct store_append_out){.sent = {.position = {4, 12}},
                                  .prev = 11,
                                  .hits_count = 2,
                                  .hits = {{.route = dead, .target = true}, {.route = route_of(2), .target = true}}};
    struct store_request *append = rig.store.last;
    append->status = 0;
    append->done(append);
    run_loop(&rig);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(rig.tells_count, 1);
    assert_int_equal(rig.tells[0].deliver.route.slot, 2);
    assert_int_equal(metrics_get(rig.metrics, METRIC_DELIVERS_DROPPED), 0);

    assert_int_equal(rig.store.last->op, STORE_USER);
    struct peer_user user = {.count = 1, .devices = {{.device = "phone", .route = dead}}};
    rig.store.last->out.user = &user;
    answer(&rig, 0);
    assert_int_equal(rig.store.last->op, STORE_UNBIND);
    assert_true(route_equal(&rig.store.last->in.unbind.route, &dead));
    /* The role waits for it. */
    message_role_close(&rig.role, on_closed, &rig);
    run_loop(&rig);
    assert_int_equal(rig.closed, 0);
    answer(&rig, 0);
    assert_int_equal(rig.closed, 1);
    assert_int_equal(metrics_get(rig.metrics, METRIC_ROUTES_DEAD), 1);
    buf_unref(message);
    close_rig(&rig);
}

static void who_looks_at_a_user_s_devices_meets_dead_routes_too(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct route dead = route_of(1);
    dead.incarnation--; /* an earlier start of this very node */
    struct peer_user user = {.count = 2,
                             .devices = {{.device = "new", .route = route_of(2)}, {.device = "old", .route = dead}}};
    struct asked asked = {.call.in = {.type = PEER_USER, .user = target()}};
    ask(&rig, &asked);
    rig.store.last->out.user = &user;
    answer(&rig, 0);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(rig.store.last->op, STORE_USER);
    rig.store.last->out.user = &user;
    answer(&rig, 0);
    assert_int_equal(rig.store.last->op, STORE_UNBIND);
    assert_true(bytes_equal_str(rig.store.last->in.unbind.target.device, "old"));
    answer(&rig, 0);
    assert_null(rig.store.last);

    /* A bind that finds no room has its user's devices looked at. */
    struct asked bind = {.call.in.type = PEER_BIND};
    bind.call.in.bind = (struct peer_bind){.target = target(), .attempt = 1, .route = route_of(3)};
    ask(&rig, &bind);
    rig.store.last->out.bound = NULL;
    answer(&rig, PETREL_E_TOO_LARGE);
    assert_int_equal(bind.call.reply.status, PETREL_E_TOO_LARGE);
    assert_int_equal(rig.store.last->op, STORE_USER);
    user.count = 1;
    rig.store.last->out.user = &user;
    answer(&rig, 0);
    assert_null(rig.store.last);
    assert_int_equal(metrics_get(rig.metrics, METRIC_ROUTES_DEAD), 1);
    close_rig(&rig);
}

static void failed_append_delivers_nothing(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    const int statuses[] = {PETREL_E_FULL, PETREL_E_UNAVAILABLE, PETREL_E_UNREGISTERED, PETREL_E_CONFLICT};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct asked asked = send_of(message);
        ask(&rig, &asked);
        rig.store.last->out.append.hits_count = 1;
        rig.store.last->out.append.hits[0] = (struct store_hit){route_of(1), true};
        answer(&rig, statuses[i]);
        assert_int_equal(asked.call.reply.status, statuses[i]);
    }
    assert_int_equal(rig.tells_count, 0);
    buf_unref(message);
    close_rig(&rig);
}

static struct asked bind_of(struct route route)
{
    struct asked asked = {.call.in.type = PEER_BIND};
    asked.call.in.bind = (struct peer_bind){.target = target(), .attempt = 2, .route = route};
    return asked;
}

static void bind_evicts_the_session_it_replaced(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct asked asked = bind_of(route_of(2));
    ask(&rig, &asked);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = {4, 9}, .replaced = route_of(1)};
    rig.store.last->out.bound = &bound;
    answer(&rig, 0);
    assert_ptr_equal(asked.call.reply.bound, &bound);
    assert_int_equal(rig.tells_count, 1);
    struct route replaced = route_of(1);
    assert_int_equal(rig.tells[0].type, PEER_EVICT);
    assert_true(route_equal(&rig.tells[0].evict.route, &replaced));
    assert_int_equal(rig.tells[0].evict.code, SESSION_CODE_REPLACED);
    close_rig(&rig);
}

static void bind_asked_again_evicts_nobody(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    /* The same bind a second time; a first one; a refused one, that leaves no reply. */
    const struct route replaced[] = {route_of(2), {0}};
    for (int i = 0; i < 2; i++) {
        struct asked asked = bind_of(route_of(2));
        ask(&rig, &asked);
        struct peer_bound bound = {.verdict = SESSION_RESUMED, .replaced = replaced[i]};
        rig.store.last->out.bound = &bound;
        answer(&rig, 0);
        assert_int_equal(asked.answers, 1);
    }
    struct asked asked = bind_of(route_of(2));
    ask(&rig, &asked);
    answer(&rig, PETREL_E_STALE);
    assert_int_equal(asked.call.reply.status, PETREL_E_STALE);
    assert_int_equal(rig.tells_count, 0);
    close_rig(&rig);
}

static void removal_evicts_the_device(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    for (int bound = 0; bound < 2; bound++) {
        struct asked asked = {.call.in.type = PEER_REMOVE};
        asked.call.in.remove = (struct peer_remove){.target = target(), .revoked_ms = 5};
        ask(&rig, &asked);
        rig.store.last->out.removed.route = bound ? route_of(1) : (struct route){0};
        answer(&rig, 0);
        assert_int_equal(asked.answers, 1);
        assert_int_equal(rig.tells_count, bound);
    }
    assert_int_equal(rig.tells[0].type, PEER_EVICT);
    assert_int_equal(rig.tells[0].evict.code, SESSION_CODE_REVOKED);
    close_rig(&rig);
}

static void every_call_has_its_operation(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    const struct {
        enum peer_type type;
        enum store_op op;
    } cases[] = {
        {PEER_UNBIND, STORE_UNBIND}, {PEER_FETCH, STORE_FETCH},   {PEER_ACK, STORE_ACK},
        {PEER_ENROL, STORE_ENROL},   {PEER_RECALL, STORE_RECALL}, {PEER_STATE, STORE_MESSAGE_STATE},
        {PEER_USER, STORE_USER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* The target is the first member of each of these. */
        struct asked asked = {.call.in.type = cases[i].type};
        asked.call.in.user = target();
        ask(&rig, &asked);
        assert_non_null(rig.store.last);
        assert_int_equal(rig.store.last->op, cases[i].op);
        assert_true(bytes_equal_str(rig.store.last->in.user.user, "ada"));
        answer(&rig, PETREL_E_NOT_FOUND);
        assert_int_equal(asked.answers, 1);
        assert_int_equal(asked.call.reply.status, PETREL_E_NOT_FOUND);
    }
    close_rig(&rig);
}

static void a_group_of_checks_is_one_request(void **state)
{
    struct rig rig;
    (void)state;
    open_rig(&rig, 0);
    struct peer_checked checked = {1, {{2, PEER_REPLACED}}};
    struct asked asked = {.call.in.type = PEER_CHECK};
    asked.call.in.check = (struct peer_checks){.count = PEER_CHECKS_MAX, .entries = bytes_str("packed")};
    ask(&rig, &asked);
    assert_int_equal(rig.store.last->op, STORE_CHECK);
    assert_int_equal(rig.store.last->in.check.count, PEER_CHECKS_MAX);
    assert_true(bytes_equal_str(rig.store.last->in.check.entries, "packed"));
    rig.store.last->out.checked = &checked;
    answer(&rig, 0);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(asked.answers, 1);
    static const uint32_t wrong[] = {0, PEER_CHECKS_MAX + 1};
    for (size_t i = 0; i < 2; i++) {
        struct asked refused = {.call.in.type = PEER_CHECK};
        refused.call.in.check.count = wrong[i];
        ask(&rig, &refused);
        assert_int_equal(refused.call.reply.status, PETREL_E_INVALID);
    }
    close_rig(&rig);
}

static void bad_targets_never_reach_the_store(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct buf *large = buf_new(1024 * 1024);
    struct asked cases[11];
    for (int i = 0; i < 8; i++)
        cases[i] = send_of(message);
    cases[0].call.in.send.target.app = bytes_str("No App");
    cases[1].call.in.send.target.app = (struct bytes){NULL, 0};
    cases[2].call.in.send.target.user = bytes_str("a\nb");
    cases[3].call.in.send.target.user = (struct bytes){NULL, 0};
    cases[4].call.in.send.target.device = bytes_str("a b");
    cases[5].call.in.send.message = NULL;
    cases[6].call.in.send.collapse_key = bytes_str("\x01");
    cases[7].call.in.send.message = large;
    cases[8] = bind_of((struct route){0});
    cases[9] = bind_of(route_of(1));
    cases[9].call.in.bind.target.device = (struct bytes){NULL, 0};
    cases[10] = send_of(message);
    cases[10].call.in.send.target.device = bytes_str(""); /* empty is not absent, which means all */
    for (int i = 0; i < 11; i++) {
        ask(&rig, &cases[i]);
        assert_int_equal(cases[i].answers, 1);
        assert_int_equal(cases[i].call.reply.status, i == 7 ? PETREL_E_TOO_LARGE : PETREL_E_INVALID);
    }
    assert_int_equal(rig.store.submitted, 0);
    buf_unref(message);
    buf_unref(large);
    close_rig(&rig);
}

static void work_under_way_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 2);
    struct buf *message = buf_copy(bytes_str("message"));
    struct asked asked[3];
    struct store_request *requests[2];
    for (int i = 0; i < 3; i++) {
        asked[i] = send_of(message);
        ask(&rig, &asked[i]);
        if (i < 2)
            requests[i] = rig.store.last;
    }
    assert_int_equal(asked[2].answers, 1);
    assert_int_equal(asked[2].call.reply.status, PETREL_E_BUSY);
    /* What ends makes room again. */
    rig.store.last = requests[0];
    requests[0]->out.append.hits_count = 0;
    answer(&rig, 0);
    ask(&rig, &asked[2]);
    assert_int_equal(asked[2].answers, 0);
    answer(&rig, PETREL_E_FULL);
    rig.store.last = requests[1];
    answer(&rig, PETREL_E_FULL);
    /* A store that takes no more answers for itself. */
    rig.store.refusal = PETREL_E_BUSY;
    ask(&rig, &asked[0]);
    assert_int_equal(asked[0].call.reply.status, PETREL_E_BUSY);
    buf_unref(message);
    close_rig(&rig);
}

static void close_waits_and_refuses(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct asked first = send_of(message), second = send_of(message), third = send_of(message);
    ask(&rig, &first);
    message_role_close(&rig.role, on_closed, &rig);
    run_loop(&rig);
    assert_int_equal(rig.closed, 0);
    ask(&rig, &second);
    assert_int_equal(second.call.reply.status, PETREL_E_CLOSING);
    rig.store.last->out.append.hits_count = 0;
    answer(&rig, 0);
    assert_int_equal(first.answers, 1);
    assert_int_equal(rig.closed, 1);
    /* Nobody serves it any more. */
    ask(&rig, &third);
    assert_int_equal(third.call.reply.status, PETREL_E_UNAVAILABLE);
    buf_unref(message);
    close_rig(&rig);
}

static void apps_are_told_to_the_sessions(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, 0);
    struct buf *records = buf_copy(bytes_str("records"));
    message_role_publish_apps(rig.role, 17, records);
    run_loop(&rig);
    assert_int_equal(rig.tells_count, 1);
    assert_int_equal(rig.tells[0].type, PEER_APPS);
    assert_int_equal(rig.tells[0].apps.version, 17);
    assert_ptr_equal(rig.tells[0].apps.records, records);
    buf_unref(records);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_is_answered_and_delivered),
        cmocka_unit_test(hint_that_reaches_nobody_does_not_harm_the_send),
        cmocka_unit_test(a_dead_route_gets_no_deliver_and_is_unbound),
        cmocka_unit_test(who_looks_at_a_user_s_devices_meets_dead_routes_too),
        cmocka_unit_test(failed_append_delivers_nothing),
        cmocka_unit_test(bind_evicts_the_session_it_replaced),
        cmocka_unit_test(bind_asked_again_evicts_nobody),
        cmocka_unit_test(removal_evicts_the_device),
        cmocka_unit_test(every_call_has_its_operation),
        cmocka_unit_test(a_group_of_checks_is_one_request),
        cmocka_unit_test(bad_targets_never_reach_the_store),
        cmocka_unit_test(work_under_way_is_bounded),
        cmocka_unit_test(close_waits_and_refuses),
        cmocka_unit_test(apps_are_told_to_the_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
