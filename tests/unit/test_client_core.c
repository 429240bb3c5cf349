/* What the core accepts, tells, saves and acks. Its endings and retries are in test_client_retry.c. */
#include "unit/client_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    if (script == NULL)
        return -1;
    script_begin(script, NULL, false, 7);
    *state = script;
    return 0;
}

static int teardown(void **state)
{
    script_end(*state);
    free(*state);
    return 0;
}

static void first_connect_saves_then_asks(void **state)
{
    struct script *script = *state;
    assert_true(petrel_core_deadline(script->core) == UINT64_MAX);
    script_connect(script);
    assert_string_equal(script_seen(script), "save 0/0#1; ");
    assert_string_equal(script_sent(script), "CONNECT 0/0#1 token; ");
    script_connected(script, SESSION_NEW, 7, 40);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "connected 1; save 7/40#1; ");
    assert_string_equal(script_sent(script), "");
}

static void reconnect_carries_what_was_saved(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script_push(script, 7, 40, 41, 1);
    script_feed(script, 0);
    petrel_core_lost(script->core, script->now);
    script_seen(script);
    script_connect(script);
    assert_string_equal(script_seen(script), "save 7/41#2; ");
    assert_string_equal(script_sent(script), "CONNECT 7/41#2 token; ");

    struct script other;
    script_begin(&other, &script->saved, false, 7);
    script_connect(&other);
    assert_string_equal(script_sent(&other), "CONNECT 7/41#3 token; ");
    script_end(&other);
}

static void too_long_a_token_is_refused(void **state)
{
    struct script *script = *state;
    char token[SESSION_TOKEN_MAX + 2];
    memset(token, 'a', sizeof token);
    token[SESSION_TOKEN_MAX + 1] = '\0';
    assert_int_equal(petrel_core_connected(script->core, 0, token), -1);
    assert_string_equal(script_seen(script), "");
    token[SESSION_TOKEN_MAX] = '\0';
    assert_int_equal(petrel_core_connected(script->core, 0, token), 0);
}

static void a_batch_is_saved_once(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script_push(script, 7, 40, 42, 1);
    script_push(script, 7, 42, 43, 2);
    script_push(script, 7, 30, 44, 3); /* an older prev proves as much */
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "message 7/42; message 7/43; message 7/44; save 7/44#1; ");
}

static void bytes_may_come_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 60; piece++) {
        struct script script;
        script_begin(&script, NULL, false, 7);
        script_connect(&script);
        script_connected(&script, SESSION_RESUMED, 7, 40);
        script_push(&script, 7, 40, 41, 1);
        script_push(&script, 7, 41, 42, 2);
        assert_int_equal(script_feed(&script, piece), 0);
        assert_true(script.saved.seq == 42 && script.saved.recent_count == 2);
        script_end(&script);
    }
}

static void old_ones_are_dropped(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script_push(script, 7, 39, 40, 1);
    script_push(script, 7, 10, 11, 2);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "");
    assert_int_equal(script_pass(script, 1000), 0);
    assert_string_equal(script_sent(script), "");
}

static void a_hole_breaks_the_connection(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script_push(script, 7, 40, 41, 1);
    script_push(script, 7, 42, 43, 2);
    script_push(script, 7, 43, 44, 3);
    assert_int_equal(script_feed(script, 0), -1);
    assert_string_equal(script_seen(script), "message 7/41; save 7/41#1; ");
    assert_int_equal(script_pass(script, 1), -1);
    assert_true(petrel_core_lost(script->core, script->now) >= 0);
    assert_string_equal(script_seen(script), "disconnected 0 messages are missing before one that came; ");
    script_connect(script);
    assert_string_equal(script_sent(script), "CONNECT 7/41#2 token; ");
}

static void epochs_change_by_gap_alone(void **state)
{
    struct script *script = *state;
    for (uint64_t epoch = 6; epoch <= 8; epoch += 2) {
        script_live(script, 7, 40);
        script_push(script, epoch, 40, 41, 1);
        assert_int_equal(script_feed(script, 0), -1);
        petrel_core_lost(script->core, script->now);
        script_seen(script);
    }
    script_live(script, 7, 40);
    const struct session_gap gap = {.from = 40, .to = {8, 20}, .lost_at_most = 5, .reason = SESSION_GAP_ROLLBACK};
    session_encode_gap(&script->in, &gap);
    script_push(script, 8, 20, 21, 1);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "gap 5 2; message 8/21; save 8/21#3; ");
}

static void a_gap_in_connected_is_told(void **state)
{
    struct script *script = *state;
    script_connect(script);
    script_seen(script);
    script_connected(script, SESSION_GAPPED, 7, 90);
    script_push(script, 7, 90, 91, 1);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "connected 3; gap 3 1; message 7/91; save 7/91#1; ");
}

static void duplicates_move_the_position_only(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script_push(script, 7, 40, 41, 1);
    script_push(script, 7, 41, 42, 2);
    script_push(script, 7, 42, 43, 1);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "message 7/41; message 7/42; save 7/43#1; ");
    assert_int_equal(script_pass(script, 1000), 0);
    assert_string_equal(script_sent(script), "ACK 7/43; ");
    assert_int_equal(script->saved.recent_count, 2);
}

static void ids_are_forgotten_oldest_first(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 0);
    for (uint64_t seq = 1; seq <= PETREL_RECENT_IDS; seq++)
        script_push(script, 7, seq - 1, seq, (uint8_t)seq);
    assert_int_equal(script_feed(script, 0), 0);
    script_seen(script);
    script_push(script, 7, 256, 257, 1); /* the oldest that is known */
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "save 7/257#1; ");
    struct session_message message = {.body = bytes_str("1")};
    message.id.bytes[0] = 1; /* pushes the oldest out */
    struct buf *stored = session_encode_message(&message);
    session_encode_push(&script->in, 0, (struct position){7, 258}, 257, buf_bytes(stored));
    buf_unref(stored);
    script_push(script, 7, 258, 259, 1);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "message 7/258; message 7/259; save 7/259#1; ");
    assert_int_equal(script->saved.recent_count, PETREL_RECENT_IDS);
    assert_int_equal(script->saved.recent[PETREL_RECENT_IDS - 1][15], 1);
    assert_int_equal(script->saved.recent[0][15], 3);
}

static void acks_wait_for_company(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 0);
    script_push(script, 7, 0, 1, 1);
    script_feed(script, 0);
    assert_string_equal(script_sent(script), "");
    assert_true(petrel_core_deadline(script->core) == script->now + 200);
    script_pass(script, 100);
    script_push(script, 7, 1, 2, 2);
    script_feed(script, 0);
    assert_int_equal(script_pass(script, 99), 0);
    assert_string_equal(script_sent(script), "");
    assert_int_equal(script_pass(script, 1), 0);
    assert_string_equal(script_sent(script), "ACK 7/2; ");
    assert_int_equal(script_pass(script, 1000), 0);
    assert_string_equal(script_sent(script), "");
}

static void many_messages_are_acked_at_once(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 0);
    for (uint8_t i = 1; i <= 15; i++)
        script_push(script, 7, i - 1U, i, i);
    script_feed(script, 0);
    assert_string_equal(script_sent(script), "");
    script_push(script, 7, 15, 16, 16);
    script_feed(script, 0);
    assert_string_equal(script_sent(script), "ACK 7/16; ");
}

static void a_stuck_socket_gets_no_second_ack(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 0);
    for (uint8_t round = 0; round < 3; round++) {
        for (uint8_t i = 1; i <= 16; i++) {
            uint8_t seq = (uint8_t)(16 * round + i);
            script_push(script, 7, seq - 1U, seq, seq);
        }
        script_feed(script, 0);
        assert_int_equal(script_pass(script, 1000), 0);
    }
    assert_string_equal(script_sent(script), "ACK 7/16; ");
    assert_int_equal(script_pass(script, 0), 0);
    assert_string_equal(script_sent(script), "ACK 7/48; ");
}

static void a_quiet_session_pings(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 0);
    assert_true(petrel_core_deadline(script->core) == script->now + 100000);
    assert_int_equal(script_pass(script, 99999), 0);
    assert_string_equal(script_sent(script), "");
    assert_int_equal(script_pass(script, 1), 0);
    assert_string_equal(script_sent(script), "PING; ");
    session_encode_pong(&script->in, 5);
    assert_int_equal(script_feed(script, 0), 0);
    /* One and a half intervals and 10 s after the PONG. */
    assert_int_equal(script_pass(script, 159999), 0);
    script_sent(script);
    assert_int_equal(script_pass(script, 1), -1);
    petrel_core_lost(script->core, script->now);
    assert_string_equal(script_seen(script), "disconnected 0 the server has been silent for too long; ");
}

static void a_paused_reader_does_not_blame_the_server(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 0);
    petrel_core_pause(script->core, script->now, true);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(script_pass(script, 100000), 0);
        assert_string_equal(script_sent(script), "PING; ");
    }
    petrel_core_pause(script->core, script->now, false);
    assert_int_equal(script_pass(script, 159999), 0);
    script_sent(script);
    assert_int_equal(script_pass(script, 1), -1);
}

static void other_logs_and_later_frames_are_ignored(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    const struct session_message message = {.body = bytes_str("1")};
    struct buf *stored = session_encode_message(&message);
    session_encode_push(&script->in, 9, (struct position){3, 500}, 400, buf_bytes(stored));
    buf_unref(stored);
    const struct session_gap gap = {.log = 9, .from = 1, .to = {3, 4}, .reason = SESSION_GAP_CAP};
    session_encode_gap(&script->in, &gap);
    bytes_append(&script->in, "\x7f\0\0\1x", 5); /* no type of today's */
    bytes_append(&script->in, "\x48\0\0\0", 4);  /* EVENT_ACK, reserved */
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "");
    assert_true(petrel_core_state(script->core)->seq == 40);
}

static void goodbye_acks_what_was_processed(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script_push(script, 7, 40, 41, 1);
    script_feed(script, 0);
    petrel_core_disconnect(script->core, false);
    petrel_core_disconnect(script->core, true); /* too late to change one's mind */
    assert_string_equal(script_sent(script), "ACK 7/41; DISCONNECT 0; ");
    script_seen(script);
    script_push(script, 7, 41, 42, 2);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "");
    assert_int_equal(petrel_core_lost(script->core, script->now), -1);
}

static void goodbye_inside_a_message_ends_the_batch(void **state)
{
    struct script *script = *state;
    script_live(script, 7, 40);
    script->leave_in_message = true;
    script_push(script, 7, 40, 41, 1);
    script_push(script, 7, 41, 42, 2);
    assert_int_equal(script_feed(script, 0), 0);
    assert_string_equal(script_seen(script), "message 7/41; save 7/41#1; ");
    assert_string_equal(script_sent(script), "ACK 7/41; DISCONNECT 1; ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_connect_saves_then_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(reconnect_carries_what_was_saved, setup, teardown),
        cmocka_unit_test_setup_teardown(too_long_a_token_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_saved_once, setup, teardown),
        cmocka_unit_test(bytes_may_come_in_any_pieces),
        cmocka_unit_test_setup_teardown(old_ones_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hole_breaks_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(epochs_change_by_gap_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gap_in_connected_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(duplicates_move_the_position_only, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_are_forgotten_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(acks_wait_for_company, setup, teardown),
        cmocka_unit_test_setup_teardown(many_messages_are_acked_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stuck_socket_gets_no_second_ack, setup, teardown),
        cmocka_unit_test_setup_teardown(a_quiet_session_pings, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paused_reader_does_not_blame_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(other_logs_and_later_frames_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(goodbye_acks_what_was_processed, setup, teardown),
        cmocka_unit_test_setup_teardown(goodbye_inside_a_message_ends_the_batch, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
