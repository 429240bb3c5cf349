/* The message role before its store: which operation a call is, what is refused without asking, how much is under way, closing. What is
 * told to sessions of it is in test_message_hints.c. */
#include "unit/message_rig.h"

#include "base/err.h"

static void every_call_has_its_operation(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
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
        struct message_rig_asked asked = {.call.in.type = cases[i].type};
        asked.call.in.user = message_rig_target();
        message_rig_ask(&rig, &asked);
        assert_non_null(rig.store.last);
        assert_int_equal(rig.store.last->op, cases[i].op);
        assert_true(bytes_equal_str(rig.store.last->in.user.user, "ada"));
        message_rig_answer(&rig, PETREL_E_NOT_FOUND);
        assert_int_equal(asked.answers, 1);
        assert_int_equal(asked.call.reply.status, PETREL_E_NOT_FOUND);
    }
    message_rig_close(&rig);
}

static void a_group_of_checks_is_one_request(void **state)
{
    struct message_rig rig;
    (void)state;
    message_rig_open(&rig, 0);
    struct peer_checked checked = {1, {{2, PEER_REPLACED}}};
    struct message_rig_asked asked = {.call.in.type = PEER_CHECK};
    asked.call.in.check = (struct peer_checks){.count = PEER_CHECKS_MAX, .entries = bytes_str("packed")};
    message_rig_ask(&rig, &asked);
    assert_int_equal(rig.store.last->op, STORE_CHECK);
    assert_int_equal(rig.store.last->in.check.count, PEER_CHECKS_MAX);
    assert_true(bytes_equal_str(rig.store.last->in.check.entries, "packed"));
    rig.store.last->out.checked = &checked;
    message_rig_answer(&rig, 0);
    assert_int_equal(asked.call.reply.status, 0);
    assert_int_equal(asked.answers, 1);
    static const uint32_t wrong[] = {0, PEER_CHECKS_MAX + 1};
    for (size_t i = 0; i < 2; i++) {
        struct message_rig_asked refused = {.call.in.type = PEER_CHECK};
        refused.call.in.check.count = wrong[i];
        message_rig_ask(&rig, &refused);
        assert_int_equal(refused.call.reply.status, PETREL_E_INVALID);
    }
    message_rig_close(&rig);
}

static void bad_targets_never_reach_the_store(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct buf *large = buf_new(1024 * 1024);
    struct message_rig_asked cases[11];
    for (int i = 0; i < 8; i++)
        cases[i] = message_rig_send(message);
    cases[0].call.in.send.target.app = bytes_str("No App");
    cases[1].call.in.send.target.app = (struct bytes){NULL, 0};
    cases[2].call.in.send.target.user = bytes_str("a\nb");
    cases[3].call.in.send.target.user = (struct bytes){NULL, 0};
    cases[4].call.in.send.target.device = bytes_str("a b");
    cases[5].call.in.send.message = NULL;
    cases[6].call.in.send.collapse_key = bytes_str("\x01");
    cases[7].call.in.send.message = large;
    cases[8] = message_rig_bind((struct route){0});
    cases[9] = message_rig_bind(message_rig_route(1));
    cases[9].call.in.bind.target.device = (struct bytes){NULL, 0};
    cases[10] = message_rig_send(message);
    cases[10].call.in.send.target.device = bytes_str(""); /* empty is not absent, which means all */
    for (int i = 0; i < 11; i++) {
        message_rig_ask(&rig, &cases[i]);
        assert_int_equal(cases[i].answers, 1);
        assert_int_equal(cases[i].call.reply.status, i == 7 ? PETREL_E_TOO_LARGE : PETREL_E_INVALID);
    }
    assert_int_equal(rig.store.submitted, 0);
    buf_unref(message);
    buf_unref(large);
    message_rig_close(&rig);
}

static void work_under_way_is_bounded(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 2);
    struct buf *message = buf_copy(bytes_str("message"));
    struct message_rig_asked asked[3];
    struct store_request *requests[2];
    for (int i = 0; i < 3; i++) {
        asked[i] = message_rig_send(message);
        message_rig_ask(&rig, &asked[i]);
        if (i < 2)
            requests[i] = rig.store.last;
    }
    assert_int_equal(asked[2].answers, 1);
    assert_int_equal(asked[2].call.reply.status, PETREL_E_BUSY);
    /* What ends makes room again. */
    rig.store.last = requests[0];
    requests[0]->out.append.hits_count = 0;
    message_rig_answer(&rig, 0);
    message_rig_ask(&rig, &asked[2]);
    assert_int_equal(asked[2].answers, 0);
    message_rig_answer(&rig, PETREL_E_FULL);
    rig.store.last = requests[1];
    message_rig_answer(&rig, PETREL_E_FULL);
    /* A store that takes no more answers for itself. */
    rig.store.refusal = PETREL_E_BUSY;
    message_rig_ask(&rig, &asked[0]);
    assert_int_equal(asked[0].call.reply.status, PETREL_E_BUSY);
    buf_unref(message);
    message_rig_close(&rig);
}

static void close_waits_and_refuses(void **state)
{
    (void)state;
    struct message_rig rig;
    message_rig_open(&rig, 0);
    struct buf *message = buf_copy(bytes_str("message"));
    struct message_rig_asked first = message_rig_send(message), second = message_rig_send(message),
                             third = message_rig_send(message);
    message_rig_ask(&rig, &first);
    message_rig_begin_close(&rig);
    assert_int_equal(rig.closed, 0);
    message_rig_ask(&rig, &second);
    assert_int_equal(second.call.reply.status, PETREL_E_CLOSING);
    rig.store.last->out.append.hits_count = 0;
    message_rig_answer(&rig, 0);
    assert_int_equal(first.answers, 1);
    assert_int_equal(rig.closed, 1);
    /* Nobody serves it any more. */
    message_rig_ask(&rig, &third);
    assert_int_equal(third.call.reply.status, PETREL_E_UNAVAILABLE);
    buf_unref(message);
    message_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_has_its_operation),      cmocka_unit_test(a_group_of_checks_is_one_request),
        cmocka_unit_test(bad_targets_never_reach_the_store), cmocka_unit_test(work_under_way_is_bounded),
        cmocka_unit_test(close_waits_and_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
