/* Bodies of a session's frames that are refused, each for one reason; and that no bytes do worse than that. */
#include "base/err.h"
#include "unit/session_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EPOCH SESSION_FRAMES_EPOCH

/* A body given as text of bytes. */
struct body {
    uint8_t type;
    const char *text;
    size_t len;
};

#define BODY(type, text)                                                                                               \
    {                                                                                                                  \
        (uint8_t)(type), (text), sizeof(text) - 1                                                                      \
    }
#define COUNT(bodies) (sizeof(bodies) / sizeof(bodies)[0])

#define POSITION_1_1 "\x0b\x09\x01\0\0\0\0\0\0\0\x10\x01"
#define MESSAGE_ID                                                                                                     \
    "\x0a\x10"                                                                                                         \
    "0123456789abcdef"

static void assert_decoded(struct session_frames *frames, const struct body *bodies, size_t count, int expected)
{
    struct session_frame out;
    for (size_t i = 0; i < count; i++) {
        const int rc = session_frames_decode_body(frames, bodies[i].type, bodies[i].text, bodies[i].len, &out);
        if (rc != expected)
            fail_msg("body %zu, of type %u: %d instead of %d", i, bodies[i].type, rc, expected);
    }
}

static void topic_frames_without_their_meaning_are_refused(void **state)
{
    struct session_frames *frames = *state;
    static const struct body bad[] = {
        BODY(SESSION_SUBSCRIBE, ""),
        BODY(SESSION_SUBSCRIBE, "\x0a\x03"
                                "a/b"),
        BODY(SESSION_UNSUBSCRIBE, "\x0a\x01 "),
        BODY(SESSION_SUBSCRIBED, "\x0a\x01"
                                 "a\x30\x05"),
    };
    static const struct body good[] = {
        BODY(SESSION_SUBSCRIBED, "\x0a\x01"
                                 "a"),
    };
    assert_decoded(frames, bad, COUNT(bad), PETREL_E_PROTOCOL);
    assert_decoded(frames, good, COUNT(good), 0);
    struct session_gap gap = {.log = SESSION_LOG_TOPIC, .to = {EPOCH, 2}, .reason = SESSION_GAP_CAP};
    struct session_frame frame;
    session_encode_gap(&frames->wire, &gap);
    assert_int_equal(session_frames_decode(frames, &frame), PETREL_E_PROTOCOL);
}

static void types_that_are_reserved_or_none(void **state)
{
    struct session_frames *frames = *state;
    static const uint8_t known[] = {1, 2, 3, 4, 5, 7, 65, 66, 67, 68, 69, 70, 71};
    static const uint8_t reserved[] = {6, 72};
    for (unsigned type = 0; type < 256; type++) {
        int expected = PETREL_E_NOT_FOUND;
        if (memchr(known, (int)type, sizeof known) != NULL)
            expected = PETREL_E_PROTOCOL;
        else if (memchr(reserved, (int)type, sizeof reserved) != NULL)
            expected = PETREL_E_UNSUPPORTED;
        const struct body body = BODY(type, "\xff");
        assert_decoded(frames, &body, 1, expected);
    }
}

static void bodies_cut_short_are_refused(void **state)
{
    struct session_frames *frames = *state;
    struct session_connect connect = {.version = 1,
                                      .token = bytes_str("aaaa.bbbb.cccc"),
                                      .attempt = 1,
                                      .position = {EPOCH, 300},
                                      .client = bytes_str("test/1"),
                                      .heartbeat_s = 120};
    session_encode_connect(&frames->wire, &connect);
    struct bytes body = bytes_of(frames->wire.ptr + FRAME_HEADER_BYTES, frames->wire.len - FRAME_HEADER_BYTES);
    /* Where fields end, what is left is a body of fewer fields; elsewhere it is none. */
    size_t whole = 0;
    for (size_t len = 0; len < body.len; len++) {
        struct frame frame = {SESSION_CONNECT, bytes_of(body.ptr, len)};
        struct session_frame out;
        int rc = session_decode(frames->codec, &frame, &out);
        assert_true(rc == 0 || rc == PETREL_E_PROTOCOL);
        whole += rc == 0;
    }
    assert_int_equal(whole, 4); /* nothing; + attempt; + position; + client (a version without an attempt is refused) */
}

static void lengths_that_lie_are_refused(void **state)
{
    struct session_frames *frames = *state;
    static const struct body bad[] = {
        BODY(SESSION_CONNECT, "\x12\x05"
                              "abcd"),
        BODY(SESSION_CONNECT, "\x12\xff\xff\xff\xff\x0f"
                              "abcd"),
        BODY(SESSION_CONNECT, "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        BODY(SESSION_ACK, "\x0a\x0d\x09\x01\0\0\0\0\0\0\0\x10\x01"),
        BODY(SESSION_ACK, "\x0a\x0a\x09\x01\0\0\0\0\0\0\0\x10"),
        BODY(SESSION_PING, "\x09\x01\x02"),
        BODY(SESSION_PING, "\x08\x01"),
    };
    assert_decoded(frames, bad, COUNT(bad), PETREL_E_PROTOCOL);
}

static void values_out_of_range_are_refused(void **state)
{
    struct session_frames *frames = *state;
    static const struct body bad[] = {
        BODY(SESSION_DISCONNECT, "\x08\x02"),
        BODY(SESSION_ACK, ""),
        BODY(SESSION_ACK, "\x0a\x02\x10\x05"),
        BODY(SESSION_CONNECT, "\x08\x01"),
        BODY(SESSION_CONNECT, "\x08\x01\x18\x01\x22\x02\x10\x05"),
        BODY(SESSION_CONNECTED, "\x08\x01"),
        BODY(SESSION_CONNECTED, "\x08\x00\x12" POSITION_1_1),
        BODY(SESSION_CONNECTED, "\x08\x04\x12" POSITION_1_1),
        BODY(SESSION_CONNECTED, "\x08\x01\x20\x05\x12" POSITION_1_1),
        BODY(SESSION_GAP, "\x1a" POSITION_1_1),
        BODY(SESSION_GAP, "\x28\x01"),
        BODY(SESSION_GOAWAY, "\x08\xac\x1b"), /* 3500 */
        BODY(SESSION_GOAWAY, "\x08\xb8\x17\x22\x00"),
        BODY(SESSION_ERROR, "\x08\xb7\x17"), /* 2999 */
        BODY(SESSION_ERROR, "\x08\xa0\x1f"), /* 4000 */
        BODY(SESSION_GOAWAY, "\x08\xb8\x17\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a"),
    };
    static const struct body good[] = {
        BODY(SESSION_CONNECT, "\x08\x02"), /* another version: its own rules */
        BODY(SESSION_CONNECTED, "\x08\x01\x12" POSITION_1_1),
        BODY(SESSION_GAP, "\x28\x01\x1a" POSITION_1_1),
        BODY(SESSION_GOAWAY, "\x08\xb8\x17"), /* 3000 */
        BODY(SESSION_ERROR, "\x08\xac\x1b"),
        BODY(SESSION_GOAWAY, "\x08\xb8\x17\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a"),
    };
    assert_decoded(frames, bad, COUNT(bad), PETREL_E_PROTOCOL);
    assert_decoded(frames, good, COUNT(good), 0);
}

static void pushes_without_their_parts_are_refused(void **state)
{
    struct session_frames *frames = *state;
    static const struct body bad[] = {
        BODY(SESSION_PUSH, "\x22\x14" MESSAGE_ID "\x12\x00"), BODY(SESSION_PUSH, "\x12" POSITION_1_1),
        BODY(SESSION_PUSH, "\x12" POSITION_1_1 "\x18\x01\x22\x14" MESSAGE_ID "\x12\x00"), /* prev is not before it */
    };
    static const struct body good[] = {
        BODY(SESSION_PUSH, "\x12" POSITION_1_1 "\x22\x14" MESSAGE_ID "\x12\x00"),
    };
    assert_decoded(frames, bad, COUNT(bad), PETREL_E_PROTOCOL);
    assert_decoded(frames, good, COUNT(good), 0);
    struct session_message out;
    assert_int_equal(session_decode_message(frames->codec,
                                            bytes_str(MESSAGE_ID "\x1a\x01"
                                                                 "x"),
                                            &out),
                     0);
    assert_int_equal(session_decode_message(frames->codec, bytes_str(MESSAGE_ID), &out), PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(frames->codec,
                                            bytes_str("\x1a\x01"
                                                      "x"),
                                            &out),
                     PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(frames->codec,
                                            bytes_str("\x0a\x0f"
                                                      "0123456789abcde\x1a\x01"
                                                      "x"),
                                            &out),
                     PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(frames->codec,
                                            bytes_str("\x0a\x11"
                                                      "0123456789abcdefg\x1a\x01"
                                                      "x"),
                                            &out),
                     PETREL_E_PROTOCOL);
}

static int connect_with(struct session_frames *frames, struct bytes token, struct bytes client)
{
    struct session_connect connect = {.version = 1, .token = token, .attempt = 1, .client = client};
    session_encode_connect(&frames->wire, &connect);
    struct session_frame out;
    return session_frames_decode(frames, &out);
}

static void texts_are_held_to_utf8_and_their_limits(void **state)
{
    struct session_frames *frames = *state;
    static char text[SESSION_TOKEN_MAX + 1];
    memset(text, 'x', sizeof text);
    struct bytes none = {NULL, 0};
    assert_int_equal(connect_with(frames, bytes_of(text, SESSION_TOKEN_MAX), none), 0);
    assert_int_equal(connect_with(frames, bytes_of(text, SESSION_TOKEN_MAX + 1), none), PETREL_E_PROTOCOL);
    assert_int_equal(connect_with(frames, none, bytes_of(text, SESSION_CLIENT_MAX)), 0);
    assert_int_equal(connect_with(frames, none, bytes_of(text, SESSION_CLIENT_MAX + 1)), PETREL_E_PROTOCOL);
    static const char *const bad[] = {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\nb", "\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(connect_with(frames, none, bytes_str(bad[i])), PETREL_E_PROTOCOL);
        assert_int_equal(connect_with(frames, bytes_str(bad[i]), none), PETREL_E_PROTOCOL);
    }
    assert_int_equal(connect_with(frames, bytes_of("a\0b", 3), none), PETREL_E_PROTOCOL);
    struct session_message out;
    assert_int_equal(session_decode_message(frames->codec, bytes_str(MESSAGE_ID "\x1a\x02\xc3\xa9"), &out), 0);
    assert_int_equal(session_decode_message(frames->codec, bytes_str(MESSAGE_ID "\x1a\x02\xc3x"), &out),
                     PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(frames->codec, bytes_str(MESSAGE_ID "\x12\x02\xc3x"), &out), 0);
    assert_int_equal(session_decode_message(frames->codec, bytes_str(MESSAGE_ID "\x12\x00\x32\x01\n"), &out),
                     PETREL_E_PROTOCOL);
}

static void unknown_fields_are_ignored_but_bounded(void **state)
{
    struct session_frames *frames = *state;
    struct session_frame out;
    struct bytebuf body = {0};
    bytes_append(&body, "\x09\x07\0\0\0\0\0\0\0", 9);
    for (size_t i = 0; i < 100; i++)
        bytes_append_str(&body, "\xa2\x06\x03new"); /* field 100, bytes */
    assert_int_equal(session_frames_decode_body(frames, SESSION_PING, (const char *)body.ptr, body.len, &out), 0);
    assert_true(out.echo == 7);
    while (body.len < FRAME_BODY_DEFAULT - 10)
        bytes_append_str(&body, "\xa0\x06\x01");
    assert_int_equal(session_frames_decode_body(frames, SESSION_PING, (const char *)body.ptr, body.len, &out),
                     PETREL_E_PROTOCOL);
    bytes_reset(&body);
}

static void any_bytes_are_decoded_or_refused(void **state)
{
    struct session_frames *frames = *state;
    struct session_message message = session_frames_message();
    struct buf *packed = session_encode_message(&message);
    session_encode_push(&frames->wire, 1, (struct position){EPOCH, 300}, 299, buf_bytes(packed));
    buf_unref(packed);
    for (size_t i = FRAME_HEADER_BYTES; i < frames->wire.len; i++) {
        uint8_t kept = frames->wire.ptr[i];
        for (unsigned value = 0; value < 256; value++) {
            frames->wire.ptr[i] = (uint8_t)value;
            struct frame frame = {
                SESSION_PUSH, bytes_of(frames->wire.ptr + FRAME_HEADER_BYTES, frames->wire.len - FRAME_HEADER_BYTES)};
            struct session_frame out;
            int rc = session_decode(frames->codec, &frame, &out);
            assert_true(rc == 0 || rc == PETREL_E_PROTOCOL);
        }
        frames->wire.ptr[i] = kept;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, session_frames_set_up, session_frames_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(topic_frames_without_their_meaning_are_refused),
        TEST(types_that_are_reserved_or_none),
        TEST(bodies_cut_short_are_refused),
        TEST(lengths_that_lie_are_refused),
        TEST(values_out_of_range_are_refused),
        TEST(pushes_without_their_parts_are_refused),
        TEST(texts_are_held_to_utf8_and_their_limits),
        TEST(unknown_fields_are_ignored_but_bounded),
        TEST(any_bytes_are_decoded_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
