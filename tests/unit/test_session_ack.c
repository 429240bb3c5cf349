/* Acks, from the frame to the log: checked, coalesced, retried, and not lost when the session ends. */
#include "base/err.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* Live at 0, with 1..count pushed and read. */
static struct route go_live_with(struct client *client, struct rig *rig, uint64_t count)
{
    struct route route = client_go_live(client, rig, "phone", 0);
    for (uint64_t seq = 1; seq <= count; seq++) {
        rig_deliver(rig, route, at(seq), seq - 1, "m");
        client_take_push(client, seq, seq - 1, "m");
    }
    return route;
}

static struct link_call *take_ack(struct rig *rig, uint64_t seq)
{
    struct link_call *ack = rig_take(rig, PEER_ACK);
    assert_int_equal(ack->in.ack.position.epoch, RIG_EPOCH);
    assert_int_equal(ack->in.ack.position.seq, seq);
    assert_true(bytes_equal_str(ack->in.ack.target.device, "phone"));
    return ack;
}

static void acks_of_a_moment_are_one_call(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.ack_delay_ms = 3600000; /* until the test moves the clock */
    struct rig *rig = rig_new(&config);
    struct client client;
    go_live_with(&client, rig, 5);
    for (uint64_t seq = 1; seq <= 4; seq++)
        client_ack(&client, RIG_EPOCH, seq);
    client_ack(&client, RIG_EPOCH, 2); /* an older one is nothing */
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    rig_advance(rig, 100000);
    client_expect_silence(&client);
    assert_int_equal(metrics_get(rig->metrics, METRIC_ACKS), 5);
    client_disconnect(&client);
    client_take_end(&client);
    rig_answer(rig, take_ack(rig, 4), 0);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&client);
    rig_free(&rig);
}

static void ack_goes_to_the_log_after_the_delay(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    go_live_with(&client, rig, 5);
    client_ack(&client, RIG_EPOCH, 3);
    struct link_call *ack = take_ack(rig, 3);
    /* What comes while one is under way follows it. */
    client_ack(&client, RIG_EPOCH, 4);
    client_ack(&client, RIG_EPOCH, 5);
    client_expect_silence(&client);
    rig_wait_sweep(rig);
    rig_expect_no_call(rig);
    rig_answer(rig, ack, 0);
    rig_answer(rig, take_ack(rig, 5), 0);
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void all_acked_means_everything_up_to_at(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = go_live_with(&client, rig, 2);
    rig_deliver(rig, route, at(3), 2, NULL);
    rig_deliver(rig, route, at(4), 3, NULL);
    client_ack(&client, RIG_EPOCH, 1);
    rig_answer(rig, take_ack(rig, 1), 0);
    client_ack(&client, RIG_EPOCH, 2);
    rig_answer(rig, take_ack(rig, 4), 0);
    client_close(&client);
    rig_free(&rig);
}

static void empty_page_is_acked_for_the_device(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(10));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    /* 11 to 15 were for other devices. */
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(10), .page = rig_page(15, 15)};
    rig_answer_bound(rig, bind, &bound);
    client_take(&client, SESSION_CONNECTED);
    rig_answer(rig, take_ack(rig, 15), 0);
    client_close(&client);
    rig_free(&rig);
}

static void failed_ack_is_sent_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    go_live_with(&client, rig, 3);
    client_ack(&client, RIG_EPOCH, 2);
    const int statuses[] = {PETREL_E_FULL, PETREL_E_UNAVAILABLE, PETREL_E_BUSY};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        rig_answer(rig, take_ack(rig, 2), statuses[i]);
    client_ack(&client, RIG_EPOCH, 3);
    client_expect_silence(&client);
    rig_answer(rig, take_ack(rig, 3), 0);
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void ack_refused_for_good_leads_to_a_check(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    atomic_store(&rig->answers_checks, false);
    go_live_with(&client, rig, 1);
    client_ack(&client, RIG_EPOCH, 1);
    rig_answer(rig, take_ack(rig, 1), PETREL_E_NOT_FOUND);
    rig_answer_checked(rig, rig_take(rig, PEER_CHECK), PEER_SAME);
    client_expect_silence(&client);
    rig_expect_no_call(rig);
    client_close(&client);
    rig_free(&rig);
}

static void ack_beyond_what_was_sent_closes(void **state)
{
    (void)state;
    const struct position beyond[] = {{RIG_EPOCH, 3}, {RIG_EPOCH, UINT64_MAX}, {RIG_EPOCH + 1, 1}};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        struct rig *rig = rig_new(NULL);
        struct client client, bystander;
        client_go_live(&bystander, rig, "other", 0);
        go_live_with(&client, rig, 2);
        client_ack(&client, beyond[i].epoch, beyond[i].seq);
        client_take_error(&client, SESSION_CODE_ACK_BEYOND);
        rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
        client_expect_silence(&bystander);
        client_close(&client);
        client_close(&bystander);
        rig_free(&rig);
    }
}

static void ack_of_an_older_epoch_is_passed_over(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    go_live_with(&client, rig, 2);
    client_ack(&client, RIG_EPOCH - 1, 2);
    client_expect_silence(&client);
    client_disconnect(&client);
    client_take_end(&client);
    /* No ACK comes first. */
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&client);
    rig_free(&rig);
}

enum end { END_CLOSE, END_DISCONNECT, END_ERROR, END_EVICT, END_ROLE };

/* However a session ends, the acks that were read reach the log, and before its UNBIND. */
static void acks_read_are_sent_before_unbind(void **state)
{
    (void)state;
    for (enum end end = END_CLOSE; end <= END_ROLE; end++) {
        struct session_config config = rig_config();
        config.ack_delay_ms = 3600000;
        struct rig *rig = rig_new(&config);
        struct client client;
        struct route route = go_live_with(&client, rig, 3);
        client_ack(&client, RIG_EPOCH, 2);
        client_expect_silence(&client);
        rig_expect_no_call(rig);
        if (end == END_CLOSE)
            client_close(&client);
        else if (end == END_DISCONNECT)
            client_disconnect(&client);
        else if (end == END_ERROR)
            client_send_frame(&client, 99, bytes_str(""));
        else if (end == END_EVICT)
            rig_evict(rig, route, SESSION_CODE_KICKED);
        else
            rig_begin_close_role(rig);
        rig_answer(rig, take_ack(rig, 2), 0);
        struct link_call *unbind = rig_take(rig, PEER_UNBIND);
        assert_true(route_equal(&unbind->in.unbind.route, &route));
        rig_answer(rig, unbind, 0);
        if (end == END_ROLE)
            rig_wait_role_closed(rig);
        client_close(&client);
        rig_free(&rig);
    }
}

static void unbind_refused_for_want_of_room_is_asked_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    struct route route = go_live_with(&client, rig, 0);
    client_close(&client);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), PETREL_E_BUSY);
    struct link_call *unbind = rig_take(rig, PEER_UNBIND);
    assert_true(route_equal(&unbind->in.unbind.route, &route));
    rig_answer(rig, unbind, 0);
    rig_expect_no_call(rig);
    rig_free(&rig);
}

/* A device is told to begin at 19, for what is before has been dropped; then the log forgets that it dropped it. Whether the device
 * heard so is not known, so it is not said to have what the log has again. */
static void a_rollback_acks_nothing_for_a_device_that_has_said_nothing(void **state)
{
    (void)state;
    for (int says = 0; says <= 1; says++) {
        struct rig *rig = rig_new(NULL);
        struct client client;
        client_open(&client, rig->port);
        client_connect(&client, rig, "phone", 1, (struct position){0, 0});
        struct link_call *bind = rig_take(rig, PEER_BIND);
        const struct route route = bind->in.bind.route;
        struct peer_bound bound = {.verdict = SESSION_GAPPED, .position = {RIG_EPOCH, 19}, .page = rig_page(20, 20)};
        bound.page.gap = (struct peer_gap){.reason = SESSION_GAP_CAP, .to = 19, .floor = 19, .lost_at_most = 19};
        rig_page_add(&bound.page, 20, "kept");
        rig_answer_bound(rig, bind, &bound);
        rig_page_free(&bound.page);
        client_take(&client, SESSION_CONNECTED);
        client_take_push(&client, 20, 19, "kept");
        if (says != 0) {
            client_ack(&client, RIG_EPOCH, 20);
            rig_answer(rig, rig_take(rig, PEER_ACK), 0);
        }
        rig_deliver(rig, route, (struct position){RIG_EPOCH + 1, 7}, 6, "later");
        struct peer_page page = {.epoch = RIG_EPOCH + 1, .upto = 6, .head = 6};
        page.gap = (struct peer_gap){.reason = SESSION_GAP_ROLLBACK, .from = 20, .to = 6, .lost_at_most = 14};
        rig_answer_page(rig, rig_take(rig, PEER_FETCH), &page);
        assert_int_equal(client_take(&client, SESSION_GAP)->gap.to.seq, 6);
        rig_advance(rig, 100);
        if (says != 0) {
            struct link_call *ack = rig_take(rig, PEER_ACK);
            assert_int_equal(ack->in.ack.position.seq, 6);
            rig_answer(rig, ack, 0);
        }
        rig_expect_no_call(rig);
        client_close(&client);
        rig_free(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks_of_a_moment_are_one_call),
        cmocka_unit_test(ack_goes_to_the_log_after_the_delay),
        cmocka_unit_test(all_acked_means_everything_up_to_at),
        cmocka_unit_test(empty_page_is_acked_for_the_device),
        cmocka_unit_test(failed_ack_is_sent_again),
        cmocka_unit_test(ack_refused_for_good_leads_to_a_check),
        cmocka_unit_test(ack_beyond_what_was_sent_closes),
        cmocka_unit_test(ack_of_an_older_epoch_is_passed_over),
        cmocka_unit_test(acks_read_are_sent_before_unbind),
        cmocka_unit_test(unbind_refused_for_want_of_room_is_asked_again),
        cmocka_unit_test(a_rollback_acks_nothing_for_a_device_that_has_said_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
