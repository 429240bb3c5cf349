/* How a connection ends, and when the core wants the next one. */
#include "unit/client_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 400

static int setup(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    if (script == NULL)
        return -1;
    script_begin(script, NULL, false, 7);
    *state = script;
    return 0;
}

static int setup_fresh_tokens(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    if (script == NULL)
        return -1;
    script_begin(script, NULL, true, 7);
    *state = script;
    return 0;
}

static int teardown(void **state)
{
    script_end(*state);
    free(*state);
    return 0;
}

/* Over many seeds the wait after the nth failure fills [0, window] and no more, and windows double up to a minute. */
static void waits_double_with_full_jitter(void **state)
{
    (void)state;
    int64_t least[9], most[9];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct script script;
        script_begin(&script, NULL, false, seed);
        for (int i = 0; i < 9; i++) {
            int64_t wait = script_lost(&script);
            least[i] = seed == 0 || wait < least[i] ? wait : least[i];
            most[i] = seed == 0 || wait > most[i] ? wait : most[i];
        }
        script_end(&script);
    }
    int64_t window = 500;
    for (int i = 0; i < 9; i++, window = window * 2 < 60000 ? window * 2 : 60000) {
        assert_in_range(least[i], 0, window / 10);
        assert_in_range(most[i], window - window / 10, window);
    }
}

static void the_servers_wait_is_the_least(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct script script;
        script_begin(&script, NULL, false, seed);
        assert_in_range(script_refused(&script, SESSION_CODE_OVERLOADED, 8000), 8000, 16000);
        assert_in_range(script_lost(&script), 8000, 24000); /* it holds while the server is away, too */
        assert_in_range(script_refused(&script, SESSION_CODE_OVERLOADED, UINT32_MAX), 3600000, 3660000);
        script_live(&script, 7, 40);
        assert_in_range(script_lost(&script), 0, 4000);
        script_end(&script);
    }
}

static void a_session_that_lived_resets_the_waits(void **state)
{
    struct script *script = *state;
    for (int i = 0; i < 20; i++)
        script_lost(script);
    script_live(script, 7, 40);
    assert_int_equal(script_pass(script, 30000), 0);
    assert_in_range(script_lost(script), 0, 500);
    assert_in_range(script_lost(script), 0, 1000);
}

static void sessions_that_die_young_do_not(void **state)
{
    struct script *script = *state;
    int64_t most = 0;
    for (int i = 0; i < 40; i++) {
        script_live(script, 7, 40);
        assert_int_equal(script_pass(script, 1000), 0);
        int64_t wait = script_lost(script);
        most = wait > most ? wait : most;
    }
    assert_in_range(most, 30000, 60000);
}

static void codes_say_whether_to_come_back(void **state)
{
    struct script *script = *state;
    static const struct {
        uint32_t code;
        bool back;
    } cases[] = {
        {SESSION_CODE_SHUTDOWN, true},
        {SESSION_CODE_OVERLOADED, true},
        {SESSION_CODE_TOKEN_EXPIRED, true},
        {SESSION_CODE_SLOW, true},
        {3499, true},
        {SESSION_CODE_PROTOCOL_ERROR, false},
        {SESSION_CODE_VERSION, false},
        {SESSION_CODE_TOKEN_INVALID, false},
        {SESSION_CODE_REVOKED, false},
        {SESSION_CODE_REPLACED, false},
        {SESSION_CODE_ACK_BEYOND, false},
        {3999, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t wait = script_refused(script, cases[i].code, 0);
        assert_true((wait >= 0) == cases[i].back);
        assert_true(script->retry_ms == wait);
    }
}

static void the_servers_words_are_told(void **state)
{
    struct script *script = *state;
    script_refused(script, SESSION_CODE_REPLACED, 0);
    assert_string_equal(script_seen(script), "save 0/0#1; disconnected 3508 text; ");
    script_connect(script);
    session_encode_error(&script->in, SESSION_CODE_REVOKED, "", 0);
    script_feed(script, 0);
    script_lost(script);
    assert_string_equal(script_seen(script), "save 0/0#2; disconnected 3507 the device was revoked; ");
    script_lost(script);
    assert_string_equal(script_seen(script), "disconnected 0 the server could not be reached; ");
    script_live(script, 7, 40);
    script_lost(script);
    assert_string_equal(script_seen(script), "disconnected 0 the connection was lost; ");
}

static void a_refused_token_can_be_replaced(void **state)
{
    struct script *script = *state;
    assert_true(script_refused(script, SESSION_CODE_TOKEN_INVALID, 0) >= 0);
    assert_true(script_refused(script, SESSION_CODE_UNKNOWN_APP, 0) == -1);
}

/* Whatever attempt the server knows, this installation gets past it, in few tries. */
static void a_lost_attempt_is_overtaken(void **state)
{
    (void)state;
    static const uint64_t known[] = {5, 1000, UINT64_C(1) << 20, UINT64_C(1) << 40, INT64_MAX - 1};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct script script;
        script_begin(&script, NULL, false, i);
        int tries = 0;
        while (petrel_core_state(script.core)->attempt <= known[i]) {
            assert_true(script_refused(&script, SESSION_CODE_STALE_ATTEMPT, 0) >= 0);
            assert_true(tries++ < 100);
        }
        script_end(&script);
    }
}

static void attempts_have_an_end(void **state)
{
    (void)state;
    struct script script;
    const struct petrel_state last = {.attempt = UINT64_MAX};
    script_begin(&script, &last, false, 1);
    assert_true(script_refused(&script, SESSION_CODE_STALE_ATTEMPT, 0) == -1);
    assert_true(petrel_core_state(script.core)->attempt == INT64_MAX);
    script_end(&script);
}

static void goaway_spreads_the_reconnects(void **state)
{
    (void)state;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct script script;
        script_begin(&script, NULL, false, seed);
        script_told_to_go(&script, 60000, 20000);
        uint64_t leave = petrel_core_deadline(script.core) - script.now;
        least = leave < least ? leave : least;
        most = leave > most ? leave : most;
        /* Until then the session goes on. */
        script_push(&script, 7, 40, 41, 1);
        assert_int_equal(script_feed(&script, 0), 0);
        assert_string_equal(script_seen(&script), "message 7/41; save 7/41#1; ");
        assert_int_equal(script_pass(&script, leave), -1);
        assert_true(script_lost(&script) == 0);
        assert_string_equal(script_seen(&script), "disconnected 3001 this node is being drained; reconnect; ");
        /* The second try waits as the GOAWAY said. */
        assert_in_range(script_lost(&script), 5000, 10000);
        script_end(&script);
    }
    assert_in_range(least, 0, 1000);
    assert_in_range(most, 19000, 20000);
}

static void goaway_has_a_deadline(void **state)
{
    (void)state;
    uint64_t most = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct script script;
        script_begin(&script, NULL, false, seed);
        script_told_to_go(&script, 3000, 20000);
        uint64_t stay = petrel_core_deadline(script.core) - script.now;
        assert_true(stay <= 3000);
        assert_int_equal(script_pass(&script, stay), -1);
        uint64_t away = (uint64_t)script_lost(&script);
        assert_true(away <= 20000 - stay);
        most = away > most ? away : most;
        script_end(&script);
    }
    assert_true(most > 15000);
}

static void a_server_that_closes_after_goaway_said_it(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 30000, 30000);
    assert_in_range(script_lost(script), 0, 30000);
    assert_string_equal(script_seen(script), "disconnected 3001 this node is being drained; reconnect; ");
}

static void goaway_does_not_outweigh_a_refusal(void **state)
{
    struct script *script = *state;
    script_told_to_go(script, 30000, 30000);
    script_error(script, SESSION_CODE_REPLACED, 0);
    assert_int_equal(script_feed(script, 0), -1);
    assert_true(script_lost(script) == -1);
}

static void servers_cannot_bounce_a_client(void **state)
{
    struct script *script = *state;
    int64_t most = 0;
    for (int i = 0; i < 40; i++) {
        script_live(script, 7, 40);
        const struct session_goaway goaway = {.code = SESSION_CODE_DRAIN};
        session_encode_goaway(&script->in, &goaway);
        script_feed(script, 0);
        assert_int_equal(script_pass(script, 0), -1);
        int64_t wait = script_lost(script);
        most = wait > most ? wait : most;
    }
    assert_in_range(most, 30000, 60000);
}

static void connect_has_a_deadline(void **state)
{
    struct script *script = *state;
    script_connect(script);
    assert_int_equal(script_pass(script, 19999), 0);
    assert_true(petrel_core_deadline(script->core) == script->now + 1);
    assert_int_equal(script_pass(script, 1), -1);
}

/* What a server may not say; each breaks this connection and is retried. */
static void bad_servers_are_left(void **state)
{
    (void)state;
    enum { BEFORE, LIVE };
    for (int i = 0; i < 12; i++) {
        struct script script;
        script_begin(&script, NULL, false, 3);
        if (i < 6)
            script_connect(&script);
        else
            script_live(&script, 7, 40);
        const struct session_connected no_position = {.verdict = SESSION_NEW, .heartbeat_s = 1};
        const struct session_connected no_reason = {.verdict = SESSION_GAPPED, .position = {1, 1}};
        const struct session_gap gap = {.to = {7, 50}, .reason = SESSION_GAP_CAP};
        switch (i) {
        case 0:
            script_push(&script, 7, 0, 1, 1);
            break;
        case 1:
            session_encode_gap(&script.in, &gap);
            break;
        case 2:
            session_encode_connected(&script.in, &no_position);
            break;
        case 3:
            session_encode_connected(&script.in, &no_reason);
            break;
        case 4:
            bytes_append_str(&script.in, "HTTP/1.1 400 Bad Request\r\n\r\n");
            break;
        case 5:
            bytes_append(&script.in, "\x7f\0\0\0", 4);
            break;
        case 6:
            script_connected(&script, SESSION_RESUMED, 7, 40);
            break;
        case 7:
            bytes_append(&script.in, "\x43\xff\xff\xff", 4); /* 16 MiB */
            break;
        case 8:
            bytes_append(&script.in, "\x43\0\0\1\xff", 5); /* no protobuf */
            break;
        case 9:
            session_encode_ping(&script.in, 1);
            break;
        case 10:
            session_encode_ack(&script.in, (struct position){7, 40});
            break;
        default:
            bytes_append(&script.in, "\x47\0\0\2\x08\x01", 6); /* ERROR 1 */
        }
        assert_int_equal(script_feed(&script, 0), -1);
        assert_int_equal(script_feed(&script, 0), 0); /* nothing left to feed */
        assert_true(petrel_core_receive(script.core, script.now, (const uint8_t *)"", 0) == -1);
        script_seen(&script);
        assert_true(script_lost(&script) >= 0);
        assert_non_null(strstr(script_seen(&script), "disconnected 0 the server"));
        script_end(&script);
    }
}

/* No byte string makes the core read beyond it, abort or accept: every cut of every frame, and every byte of it changed. */
static void broken_frames_break_nothing_else(void **state)
{
    (void)state;
    struct script model;
    script_begin(&model, NULL, false, 3);
    script_connected(&model, SESSION_GAPPED, 7, 40);
    script_push(&model, 7, 40, 41, 1);
    script_error(&model, SESSION_CODE_OVERLOADED, 10);
    for (size_t at = 0; at < model.in.len; at++) {
        for (int flip = 0; flip < 4; flip++) {
            struct script script;
            script_begin(&script, NULL, false, 3);
            script_connect(&script);
            size_t len = flip == 0 ? at : model.in.len;
            bytes_append(&script.in, model.in.ptr, len);
            if (flip > 0)
                script.in.ptr[at] ^= (uint8_t)(0x01 << (3 * flip - 2));
            script_feed(&script, 0);
            script_pass(&script, 100);
            script_lost(&script);
            script_end(&script);
        }
    }
    script_end(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_with_full_jitter),
        cmocka_unit_test(the_servers_wait_is_the_least),
        cmocka_unit_test_setup_teardown(a_session_that_lived_resets_the_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_that_die_young_do_not, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_say_whether_to_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_servers_words_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_token_can_be_replaced, setup_fresh_tokens, teardown),
        cmocka_unit_test(a_lost_attempt_is_overtaken),
        cmocka_unit_test(attempts_have_an_end),
        cmocka_unit_test(goaway_spreads_the_reconnects),
        cmocka_unit_test(goaway_has_a_deadline),
        cmocka_unit_test_setup_teardown(a_server_that_closes_after_goaway_said_it, setup, teardown),
        cmocka_unit_test_setup_teardown(goaway_does_not_outweigh_a_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(servers_cannot_bounce_a_client, setup, teardown),
        cmocka_unit_test_setup_teardown(connect_has_a_deadline, setup, teardown),
        cmocka_unit_test(bad_servers_are_left),
        cmocka_unit_test(broken_frames_break_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
