/* Which hints follow what the store answers: messages to deliver, sessions to evict, the list of apps; and routes of processes that are
 * gone, which get none. */
#include "unit/message_rig.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

static void append_is_answered_and_delivered(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct message_rig_asked asked = message_rig_send(message);
    asked.call.in.send.priority = PEER_PRIORITY_HIGH;
    message_rig_ask(&rig, &asked);
    assert_int_equal(asked.answers, 0);
    assert_int_equal(rig.store.last->op, STORE_APPEND);
    assert_ptr_equal(rig.store.last->in.append.message, message);
    rig.store.last->out.append = (struct store_append_out){
        .sent = {.position = {4, 12}},
        .prev = 11,
        .hits_count = 2,
        .hits = {{.route = message_rig_route(1), .target = true}, {.route = message_rig_route(2), .target = false}}};
    message_rig_answer(&rig, 0);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(asked.call.reply.sent.position.seq, 12);
    assert_int_equal(rig.tells_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct peer_deliver *deliver = &rig.tells[i].deliver;
        struct route route = message_rig_route(i == 0 ? 1 : 2);
        assert_int_equal(rig.tells[i].type, PEER_DELIVER);
        assert_true(route_equal(&deliver->route, &route));
        assert_int_equal(deliver->position.epoch, 4);
        assert_int_equal(deliver->position.seq, 12);
        assert_int_equal(deliver->prev, 11);
        assert_ptr_equal(deliver->message, i == 0 ? message : NULL);
        assert_true(deliver->high);
    }
    assert_int_equal(metrics_get(rig.metrics, METRIC_DELIVERS), 2);
    buf_unref(message);
    message_rig_close(&rig);
}

static void hint_that_reaches_nobody_does_not_harm_the_send(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct message_rig_asked asked = message_rig_send(message);
    message_rig_ask(&rig, &asked);
    struct route gone = message_rig_route(1);
    gone.node++; /* of which nothing is known */
    rig.store.last->out.append = (struct store_append_out){
        .sent = {.position = {4, 12}}, .prev = 11, .hits_count = 1, .hits = {{.route = gone, .target = true}}};
    message_rig_answer(&rig, 0);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(rig.tells_count, 0);
    assert_int_equal(metrics_get(rig.metrics, METRIC_DELIVERS_DROPPED), 1);
    buf_unref(message);
    message_rig_close(&rig);
}

static void a_dead_route_gets_no_deliver_and_is_unbound(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct discovery_view *view = object_zalloc(sizeof *view + sizeof view->nodes[0]);
    view->count = 1;
    view->nodes[0] = (struct discovery_node){.number = MESSAGE_RIG_NODE + 1, .incarnation = MESSAGE_RIG_INCARNATION};
    message_role_view(rig.role, view);
    free(view);
    struct buf *message = buf_copy(bytes_str("message"));
    struct message_rig_asked asked = message_rig_send(message);
    message_rig_ask(&rig, &asked);
    struct route dead = message_rig_route(1);
    dead.node++;
    dead.incarnation--;
    rig.store.last->out.append = (struct store_append_out){
        .sent = {.position = {4, 12}},
        .prev = 11,
        .hits_count = 2,
        .hits = {{.route = dead, .target = true}, {.route = message_rig_route(2), .target = true}}};
    struct store_request *append = rig.store.last;
    append->status = 0;
    append->done(append);
    message_rig_turn(&rig);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(rig.tells_count, 1);
    assert_int_equal(rig.tells[0].deliver.route.slot, 2);
    assert_false(rig.tells[0].deliver.high);
    assert_int_equal(metrics_get(rig.metrics, METRIC_DELIVERS_DROPPED), 0);

    assert_int_equal(rig.store.last->op, STORE_USER);
    struct peer_user user = {.count = 1, .devices = {{.device = "phone", .route = dead}}};
    rig.store.last->out.user = &user;
    message_rig_answer(&rig, 0);
    assert_int_equal(rig.store.last->op, STORE_UNBIND);
    assert_true(route_equal(&rig.store.last->in.unbind.route, &dead));
    /* The role waits for it. */
    message_rig_begin_close(&rig);
    assert_int_equal(rig.closed, 0);
    message_rig_answer(&rig, 0);
    assert_int_equal(rig.closed, 1);
    assert_int_equal(metrics_get(rig.metrics, METRIC_ROUTES_DEAD), 1);
    buf_unref(message);
    message_rig_close(&rig);
}

static void who_looks_at_a_user_s_devices_meets_dead_routes_too(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct route dead = message_rig_route(1);
    dead.incarnation--; /* an earlier start of this very node */
    struct peer_user user = {
        .count = 2, .devices = {{.device = "new", .route = message_rig_route(2)}, {.device = "old", .route = dead}}};
    struct message_rig_asked asked = {.call.in = {.type = PEER_USER, .user = message_rig_target()}};
    message_rig_ask(&rig, &asked);
    rig.store.last->out.user = &user;
    message_rig_answer(&rig, 0);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(rig.store.last->op, STORE_USER);
    rig.store.last->out.user = &user;
    message_rig_answer(&rig, 0);
    assert_int_equal(rig.store.last->op, STORE_UNBIND);
    assert_true(bytes_equal_str(rig.store.last->in.unbind.target.device, "old"));
    message_rig_answer(&rig, 0);
    assert_null(rig.store.last);

    /* A bind that finds no room has its user's devices looked at. */
    struct message_rig_asked bind = {.call.in.type = PEER_BIND};
    bind.call.in.bind = (struct peer_bind){.target = message_rig_target(), .attempt = 1, .route = message_rig_route(3)};
    message_rig_ask(&rig, &bind);
    rig.store.last->out.bound = NULL;
    message_rig_answer(&rig, PETREL_E_TOO_LARGE);
    assert_int_equal(bind.call.reply.status, PETREL_E_TOO_LARGE);
    assert_int_equal(rig.store.last->op, STORE_USER);
    user.count = 1;
    rig.store.last->out.user = &user;
    message_rig_answer(&rig, 0);
    assert_null(rig.store.last);
    assert_int_equal(metrics_get(rig.metrics, METRIC_ROUTES_DEAD), 1);
    message_rig_close(&rig);
}

static void failed_append_delivers_nothing(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    const int statuses[] = {PETREL_E_FULL, PETREL_E_UNAVAILABLE, PETREL_E_UNREGISTERED, PETREL_E_CONFLICT};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct message_rig_asked asked = message_rig_send(message);
        message_rig_ask(&rig, &asked);
        rig.store.last->out.append.hits_count = 1;
        rig.store.last->out.append.hits[0] = (struct store_hit){message_rig_route(1), true};
        message_rig_answer(&rig, statuses[i]);
        assert_int_equal(asked.call.reply.status, statuses[i]);
    }
    assert_int_equal(rig.tells_count, 0);
    buf_unref(message);
    message_rig_close(&rig);
}

static void bind_evicts_the_session_it_replaced(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct message_rig_asked asked = message_rig_bind(message_rig_route(2));
    message_rig_ask(&rig, &asked);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = {4, 9}, .replaced = message_rig_route(1)};
    rig.store.last->out.bound = &bound;
    message_rig_answer(&rig, 0);
    assert_ptr_equal(asked.call.reply.bound, &bound);
    assert_int_equal(rig.tells_count, 1);
    struct route replaced = message_rig_route(1);
    assert_int_equal(rig.tells[0].type, PEER_EVICT);
    assert_true(route_equal(&rig.tells[0].evict.route, &replaced));
    assert_int_equal(rig.tells[0].evict.code, SESSION_CODE_REPLACED);
    message_rig_close(&rig);
}

static void bind_asked_again_evicts_nobody(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    /* The same bind a second time; a first one; a refused one, that leaves no reply. */
    const struct route replaced[] = {message_rig_route(2), {0}};
    for (int i = 0; i < 2; i++) {
        struct message_rig_asked asked = message_rig_bind(message_rig_route(2));
        message_rig_ask(&rig, &asked);
        struct peer_bound bound = {.verdict = SESSION_RESUMED, .replaced = replaced[i]};
        rig.store.last->out.bound = &bound;
        message_rig_answer(&rig, 0);
        assert_int_equal(asked.answers, 1);
    }
    struct message_rig_asked asked = message_rig_bind(message_rig_route(2));
    message_rig_ask(&rig, &asked);
    message_rig_answer(&rig, PETREL_E_STALE);
    assert_int_equal(asked.call.reply.status, PETREL_E_STALE);
    assert_int_equal(rig.tells_count, 0);
    message_rig_close(&rig);
}

static void removal_evicts_the_device(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    for (int bound = 0; bound < 2; bound++) {
        struct message_rig_asked asked = {.call.in.type = PEER_REMOVE};
        asked.call.in.remove = (struct peer_remove){.target = message_rig_target(), .revoked_ms = 5};
        message_rig_ask(&rig, &asked);
        rig.store.last->out.removed.route = bound ? message_rig_route(1) : (struct route){0};
        message_rig_answer(&rig, 0);
        assert_int_equal(asked.answers, 1);
        assert_int_equal(rig.tells_count, bound);
    }
    assert_int_equal(rig.tells[0].type, PEER_EVICT);
    assert_int_equal(rig.tells[0].evict.code, SESSION_CODE_REVOKED);
    message_rig_close(&rig);
}

static void apps_are_told_to_the_sessions(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct buf *records = buf_copy(bytes_str("records"));
    message_role_publish_apps(rig.role, 17, records);
    message_rig_turn(&rig);
    assert_int_equal(rig.tells_count, 1);
    assert_int_equal(rig.tells[0].type, PEER_APPS);
    assert_int_equal(rig.tells[0].apps.version, 17);
    assert_ptr_equal(rig.tells[0].apps.records, records);
    buf_unref(records);
    message_rig_close(&rig);
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
        cmocka_unit_test(apps_are_told_to_the_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
