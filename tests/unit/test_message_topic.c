/* What a backend changes in a device's subscriptions, and checks that compare them: in which order store and topics are asked, and whether
 * the device's session hears of it. */
#include "unit/message_rig.h"

#include "base/err.h"

#include <stdio.h>

/* ---- changes ---- */

static void ask_change(struct message_rig *rig, struct message_rig_asked *asked, enum peer_type type,
                       struct route asked_by)
{
    *asked = (struct message_rig_asked){.call.in.type = type};
    asked->call.in.subscribe =
        (struct peer_subscribe){.target = message_rig_target(), .topic = bytes_str("news"), .asked_by = asked_by};
    message_rig_ask(rig, asked);
}

/* The store says what devices the user has: one, with that route. */
static void answer_user(struct message_rig *rig, const char *device, struct route route)
{
    struct peer_user user = {.count = 1, .devices = {{.route = route}}};
    assert_non_null(rig->store.last);
    assert_int_equal(rig->store.last->op, STORE_USER);
    (void)snprintf(user.devices[0].device, sizeof user.devices[0].device, "%s", device);
    rig->store.last->out.user = &user;
    message_rig_answer(rig, 0);
}

static void answer_topics(struct message_rig *rig, enum topics_op op, int status)
{
    assert_non_null(rig->topics.last);
    assert_int_equal(rig->topics.last->op, op);
    rig->topics.last->out.subscribed = (struct topics_subscribed){{1, 0}, 7, 6};
    message_rig_answer_topics(rig, status);
}

/* Nobody else was told anything. */
static void assert_told(const struct message_rig *rig, uint32_t slot)
{
    assert_int_equal(rig->tells_count, 1);
    assert_int_equal(rig->tells[0].type, PEER_RESUBSCRIBED);
    assert_int_equal(rig->tells[0].resubscribed.route.slot, slot);
}

/* Its session bound, and asked for the subscriptions, after the device was looked up and before the subscription was written. */
static void a_session_that_binds_meanwhile_is_told(void **state)
{
    (void)state;
    struct message_rig rig;
    struct message_rig_asked asked;
    message_rig_open_with_topics(&rig);
    ask_change(&rig, &asked, PEER_SUBSCRIBE, (struct route){0});
    answer_user(&rig, "phone", (struct route){0});
    answer_topics(&rig, TOPICS_FETCH, PETREL_E_NOT_FOUND);
    assert_int_equal(asked.answers, 0);
    answer_topics(&rig, TOPICS_SUBSCRIBE, 0);
    assert_int_equal(asked.answers + rig.tells_count, 0);
    answer_user(&rig, "phone", message_rig_route(5));
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(asked.call.reply.subscribed.version, 7);
    assert_int_equal(asked.call.reply.subscribed.prev, 6);
    assert_told(&rig, 5);
    message_rig_close(&rig);
}

static void nobody_is_told_of_what_was_not_written(void **state)
{
    (void)state;
    struct message_rig rig;
    struct message_rig_asked first, second;
    message_rig_open_with_topics(&rig);
    ask_change(&rig, &first, PEER_UNSUBSCRIBE, (struct route){0});
    answer_user(&rig, "phone", message_rig_route(5));
    answer_topics(&rig, TOPICS_UNSUBSCRIBE, PETREL_E_UNAVAILABLE);
    assert_int_equal(first.call.reply.status, PETREL_E_UNAVAILABLE);
    ask_change(&rig, &second, PEER_SUBSCRIBE, (struct route){0});
    answer_user(&rig, "tablet", message_rig_route(6));
    assert_int_equal(second.call.reply.status, PETREL_E_NOT_FOUND);
    assert_null(rig.topics.last);
    assert_int_equal(first.answers, 1);
    assert_int_equal(second.answers, 1);
    assert_int_equal(rig.tells_count, 0);
    message_rig_close(&rig);
}

/* The session that asks knows by the answer; another one of the device, which took its place meanwhile, does not. */
static void a_session_s_own_wish_is_told_to_whoever_took_its_place(void **state)
{
    (void)state;
    struct message_rig rig;
    struct message_rig_asked asked;
    message_rig_open_with_topics(&rig);
    ask_change(&rig, &asked, PEER_UNSUBSCRIBE, message_rig_route(5));
    answer_topics(&rig, TOPICS_UNSUBSCRIBE, 0);
    answer_user(&rig, "phone", message_rig_route(5));
    assert_int_equal(asked.answers, 1);
    assert_int_equal(rig.tells_count, 0);
    ask_change(&rig, &asked, PEER_UNSUBSCRIBE, message_rig_route(5));
    answer_topics(&rig, TOPICS_UNSUBSCRIBE, 0);
    answer_user(&rig, "phone", message_rig_route(6));
    assert_int_equal(asked.answers, 1);
    assert_told(&rig, 6);
    message_rig_close(&rig);
}

/* ---- checks ---- */

static void ask_check(struct message_rig *rig, struct message_rig_asked *asked, uint32_t count)
{
    *asked = (struct message_rig_asked){.call.in.type = PEER_CHECK};
    asked->call.in.check = (struct peer_checks){.count = count, .entries = bytes_str("packed")};
    message_rig_ask(rig, asked);
}

/* The topics are asked first, then the log: each for the same entries. */
static void answer_sets(struct message_rig *rig, int status, struct peer_checked *checked)
{
    assert_non_null(rig->topics.last);
    assert_int_equal(rig->topics.last->op, TOPICS_CHECK);
    assert_true(bytes_equal_str(rig->topics.last->in.check.entries, "packed"));
    rig->topics.last->out.checked = checked;
    message_rig_answer_topics(rig, status);
}

static void answer_logs(struct message_rig *rig, int status, struct peer_checked *checked)
{
    assert_non_null(rig->store.last);
    assert_int_equal(rig->store.last->op, STORE_CHECK);
    assert_true(bytes_equal_str(rig->store.last->in.check.entries, "packed"));
    rig->store.last->out.checked = checked;
    message_rig_answer(rig, status);
}

static void assert_differing(const struct message_rig_asked *asked, const struct peer_differing *expected,
                             uint32_t count)
{
    assert_int_equal(asked->answers, 1);
    assert_int_equal(asked->call.reply.status, 0);
    assert_int_equal(asked->checked.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(asked->checked.differing[i].entry, expected[i].entry);
        assert_int_equal(asked->checked.differing[i].verdict, expected[i].verdict);
    }
}

static void what_both_stores_say_is_laid_side_by_side(void **state)
{
    (void)state;
    static const struct peer_differing both[] = {{0, PEER_CHANGED}, {2, PEER_BEHIND},   {3, PEER_UNROUTED},
                                                 {3, PEER_CHANGED}, {4, PEER_REPLACED}, {9, PEER_UNKNOWN}};
    struct peer_checked sets = {3, {{0, PEER_CHANGED}, {3, PEER_CHANGED}, {9, PEER_UNKNOWN}}};
    struct peer_checked logs = {3, {{2, PEER_BEHIND}, {3, PEER_UNROUTED}, {4, PEER_REPLACED}}};
    struct message_rig rig;
    struct message_rig_asked asked;
    message_rig_open_with_topics(&rig);
    ask_check(&rig, &asked, PEER_CHECKS_MAX);
    answer_sets(&rig, 0, &sets);
    answer_logs(&rig, 0, &logs);
    assert_differing(&asked, both, sizeof both / sizeof both[0]);
    message_rig_close(&rig);
}

/* What the log says is told all the same; the sets are to be asked again. */
static void sets_that_can_t_be_asked_are_unknown(void **state)
{
    (void)state;
    static const struct peer_differing both[] = {{0, PEER_UNKNOWN}, {1, PEER_BEHIND}, {1, PEER_UNKNOWN}};
    struct peer_checked logs = {1, {{1, PEER_BEHIND}}};
    struct message_rig rig;
    struct message_rig_asked asked;
    message_rig_open_with_topics(&rig);
    ask_check(&rig, &asked, 2);
    answer_sets(&rig, PETREL_E_UNAVAILABLE, NULL);
    answer_logs(&rig, 0, &logs);
    assert_differing(&asked, both, sizeof both / sizeof both[0]);
    ask_check(&rig, &asked, 2);
    struct peer_checked none = {.count = 0};
    answer_sets(&rig, 0, &none);
    answer_logs(&rig, PETREL_E_UNAVAILABLE, NULL);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.call.reply.status, PETREL_E_UNAVAILABLE);
    ask_check(&rig, &asked, PEER_CHECKS_MAX + 1);
    assert_int_equal(asked.call.reply.status, PETREL_E_INVALID);
    assert_null(rig.topics.last);
    message_rig_close(&rig);
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
