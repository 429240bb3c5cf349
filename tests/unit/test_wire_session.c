#include "base/err.h"
#include "wire/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EPOCH 0x0000000167a1b2c3U

static const struct id ID = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

struct fixture {
    struct session_codec *codec;
    struct bytebuf wire;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.codec = session_codec_new()};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    session_codec_free(&fixture->codec);
    bytes_reset(&fixture->wire);
    return 0;
}

/* Decode the one frame in the fixture's buffer, and empty the buffer. */
static int decode_rc(struct fixture *fixture, struct session_frame *out)
{
    struct bytes in = bytes_view(&fixture->wire);
    struct frame frame;
    assert_int_equal(frame_take(&in, FRAME_BODY_MAX, &frame), 0);
    assert_int_equal(in.len, 0);
    int rc = session_decode(fixture->codec, &frame, out);
    fixture->wire.len = 0;
    return rc;
}

static struct session_frame decode(struct fixture *fixture, enum session_type type)
{
    struct session_frame out;
    assert_int_equal(decode_rc(fixture, &out), 0);
    assert_int_equal(out.type, type);
    return out;
}

/* Decode a body given as text of bytes. */
static int decode_body(struct fixture *fixture, uint8_t type, const char *body, size_t len, struct session_frame *out)
{
    struct frame frame = {.type = type, .body = bytes_of(body, len)};
    return session_decode(fixture->codec, &frame, out);
}
#define BODY_RC(fixture, type, body)                                                                                   \
    decode_body((fixture), (uint8_t)(type), (body), sizeof(body) - 1, &(struct session_frame){0})

static bool same_position(struct position a, struct position b)
{
    return a.epoch == b.epoch && a.seq == b.seq;
}

static void connect_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct session_connect in = {.version = 1,
                                 .token = bytes_str("a.b.c"),
                                 .attempt = 77,
                                 .position = {EPOCH, 300},
                                 .client = bytes_str("test/1"),
                                 .heartbeat_s = 120};
    session_encode_connect(&fixture->wire, &in);
    struct session_connect out = decode(fixture, SESSION_CONNECT).connect;
    assert_int_equal(out.version, 1);
    assert_true(bytes_equal_str(out.token, "a.b.c"));
    assert_true(out.attempt == 77);
    assert_true(same_position(out.position, in.position));
    assert_true(bytes_equal_str(out.client, "test/1"));
    assert_int_equal(out.heartbeat_s, 120);

    session_encode_connect(&fixture->wire, &(struct session_connect){.version = 1, .attempt = INT64_MAX});
    out = decode(fixture, SESSION_CONNECT).connect;
    assert_true(position_is_none(out.position));
    assert_null(out.token.ptr);
    assert_true(out.attempt == INT64_MAX);
}

static void small_frames_come_back(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t echoes[] = {0, 1, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        session_encode_ping(&fixture->wire, echoes[i]);
        assert_true(decode(fixture, SESSION_PING).echo == echoes[i]);
        session_encode_pong(&fixture->wire, echoes[i]);
        assert_true(decode(fixture, SESSION_PONG).echo == echoes[i]);
    }
    session_encode_ack(&fixture->wire, (struct position){EPOCH, UINT64_MAX});
    assert_true(same_position(decode(fixture, SESSION_ACK).ack, (struct position){EPOCH, UINT64_MAX}));
    session_encode_disconnect(&fixture->wire, 1);
    assert_int_equal(decode(fixture, SESSION_DISCONNECT).disconnect_reason, 1);
    session_encode_disconnect(&fixture->wire, 0);
    assert_int_equal(fixture->wire.len, FRAME_HEADER_BYTES);
    assert_int_equal(decode(fixture, SESSION_DISCONNECT).disconnect_reason, 0);
}

static void connected_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct session_connected in = {.verdict = SESSION_GAPPED,
                                   .position = {EPOCH, 9},
                                   .lost_at_most = 4,
                                   .reason = SESSION_GAP_TRIMMED,
                                   .heartbeat_s = 300,
                                   .max_frame_bytes = 65536,
                                   .server_time_ms = 1800000000000,
                                   .node = bytes_str("n1")};
    session_encode_connected(&fixture->wire, &in);
    struct session_connected out = decode(fixture, SESSION_CONNECTED).connected;
    assert_int_equal(out.verdict, SESSION_GAPPED);
    assert_true(same_position(out.position, in.position));
    assert_true(out.lost_at_most == 4);
    assert_int_equal(out.reason, SESSION_GAP_TRIMMED);
    assert_int_equal(out.heartbeat_s, 300);
    assert_int_equal(out.max_frame_bytes, 65536);
    assert_true(out.server_time_ms == 1800000000000);
    assert_true(bytes_equal_str(out.node, "n1"));
}

static void gap_goaway_and_error_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct session_gap gap = {
        .log = 3, .from = 10, .to = {EPOCH, 20}, .lost_at_most = 10, .reason = SESSION_GAP_ROLLBACK};
    session_encode_gap(&fixture->wire, &gap);
    struct session_gap gap_out = decode(fixture, SESSION_GAP).gap;
    assert_true(gap_out.log == 3 && gap_out.from == 10 && gap_out.lost_at_most == 10);
    assert_true(same_position(gap_out.to, gap.to) && gap_out.reason == SESSION_GAP_ROLLBACK);

    struct session_goaway goaway = {
        .code = SESSION_CODE_DRAIN, .deadline_ms = 5000, .spread_ms = 30000, .backoff_ms = 700, .targets_count = 5};
    for (size_t i = 0; i < goaway.targets_count; i++)
        goaway.targets[i] = bytes_str(i == 4 ? "[::1]:7400" : "a.example:7400");
    session_encode_goaway(&fixture->wire, &goaway);
    struct session_goaway out = decode(fixture, SESSION_GOAWAY).goaway;
    assert_true(out.code == 3001 && out.deadline_ms == 5000 && out.spread_ms == 30000 && out.backoff_ms == 700);
    assert_int_equal(out.targets_count, 5);
    assert_true(bytes_equal_str(out.targets[0], "a.example:7400"));
    assert_true(bytes_equal_str(out.targets[4], "[::1]:7400"));

    session_encode_error(&fixture->wire, SESSION_CODE_REPLACED, session_code_text(SESSION_CODE_REPLACED), 9);
    struct session_error error = decode(fixture, SESSION_ERROR).error;
    assert_true(error.code == 3508 && error.backoff_ms == 9);
    assert_true(bytes_equal_str(error.message, session_code_text(3508)));
}

static void error_text_is_cut_between_characters(void **state)
{
    struct fixture *fixture = *state;
    char text[SESSION_ERROR_TEXT_MAX + 3];
    memset(text, 'x', sizeof text);
    memcpy(text + SESSION_ERROR_TEXT_MAX - 1, "\xc3\xa9", 3);
    session_encode_error(&fixture->wire, 3500, text, 0);
    assert_int_equal(decode(fixture, SESSION_ERROR).error.message.len, SESSION_ERROR_TEXT_MAX - 1);
    session_encode_error(&fixture->wire, 3500, "bad \xff byte", 0);
    assert_true(bytes_equal_str(decode(fixture, SESSION_ERROR).error.message, "bad "));
}

static struct session_message full_message(void)
{
    return (struct session_message){.id = ID,
                                    .is_json = true,
                                    .body = bytes_str("{\"a\": \"\xc3\xa9\"}\n"),
                                    .sent_ms = 1,
                                    .expires_ms = 2,
                                    .collapse_key = bytes_str("score"),
                                    .high = true,
                                    .late = true};
}

static void assert_same_message(const struct session_message *a, const struct session_message *b)
{
    assert_memory_equal(a->id.bytes, b->id.bytes, sizeof a->id.bytes);
    assert_int_equal(a->is_json, b->is_json);
    assert_true(bytes_equal(a->body, b->body));
    assert_true(a->sent_ms == b->sent_ms && a->expires_ms == b->expires_ms);
    assert_true(bytes_equal(a->collapse_key, b->collapse_key));
    assert_int_equal(a->high, b->high);
    assert_int_equal(a->late, b->late);
}

static void messages_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct session_message in[3] = {full_message(), full_message(), full_message()};
    in[1].is_json = false;
    in[1].body = bytes_of("\0\xff\n", 3);
    in[2] = (struct session_message){.id = ID, .body = bytes_str("")};
    for (size_t i = 0; i < 3; i++) {
        struct buf *packed = session_encode_message(&in[i]);
        struct session_message out;
        assert_int_equal(session_decode_message(fixture->codec, buf_bytes(packed), &out), 0);
        assert_same_message(&out, &in[i]);
        assert_non_null(out.body.ptr);
        for (size_t len = 0; len < packed->len; len++) {
            /* Cut between two fields it may be a message of fewer fields; it is never one without its id and body. */
            if (session_decode_message(fixture->codec, bytes_of(packed->data, len), &out) == 0)
                assert_true(bytes_equal(out.body, in[i].body));
        }
        buf_unref(packed);
    }
}

/* What the official encoder writes for a push of this number: see the examples in proto/README.md for whole frames. */
static void push_copies_the_message_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    session_encode_push(&fixture->wire, 0, (struct position){EPOCH, 300}, 127, bytes_str("message"));
    static const uint8_t expected[] = {67,   0,    0,   25,  0x12, 0x0c, 0x09, 0xc3, 0xb2, 0xa1,
                                       0x67, 0x01, 0,   0,   0,    0x10, 0xac, 0x02, 0x18, 0x7f,
                                       0x22, 0x07, 'm', 'e', 's',  's',  'a',  'g',  'e'};
    assert_int_equal(fixture->wire.len, sizeof expected);
    assert_memory_equal(fixture->wire.ptr, expected, sizeof expected);
    fixture->wire.len = 0;

    struct session_message message = full_message();
    struct buf *packed = session_encode_message(&message);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t seq = 1ULL << bit;
        session_encode_push(&fixture->wire, bit / 2 * 2, (struct position){EPOCH << (bit % 8), seq}, seq - 1,
                            buf_bytes(packed));
        struct session_push out = decode(fixture, SESSION_PUSH).push;
        assert_int_equal(out.log, bit / 2 * 2);
        assert_true(out.position.epoch == EPOCH << (bit % 8) && out.position.seq == seq && out.prev == seq - 1);
        assert_same_message(&out.message, &message);
    }
    buf_unref(packed);
}

static void large_pushes_come_back(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 1 << 20;
    struct bytebuf body = {0};
    memset(bytes_reserve(&body, len), 'x', len);
    body.len = len;
    struct session_message message = {.id = ID, .body = bytes_view(&body)};
    struct buf *packed = session_encode_message(&message);
    session_encode_push(&fixture->wire, 0, (struct position){EPOCH, 2}, 1, buf_bytes(packed));
    struct session_push out = decode(fixture, SESSION_PUSH).push;
    assert_int_equal(out.message.body.len, len);
    buf_unref(packed);
    bytes_reset(&body);
}

static void topics_come_back(void **state)
{
    struct fixture *fixture = *state;
    const struct session_topic_position topics[] = {{bytes_str("all"), {EPOCH, 9}}, {bytes_str("news:uk"), {EPOCH, 3}}};
    struct session_connect connect = {.version = 1,
                                      .token = bytes_str("a.b.c"),
                                      .attempt = 1,
                                      .takes_topics = true,
                                      .topics_count = 2,
                                      .topics = topics};
    session_encode_connect(&fixture->wire, &connect);
    const struct session_connect in = decode(fixture, SESSION_CONNECT).connect;
    assert_true(in.takes_topics && in.topics_count == 2);
    assert_true(bytes_equal_str(in.topics[1].topic, "news:uk"));
    assert_true(same_position(in.topics[1].position, topics[1].position));
    session_encode_topic_subscribe(&fixture->wire, bytes_str("a.b"));
    assert_true(bytes_equal_str(decode(fixture, SESSION_SUBSCRIBE).topic, "a.b"));
    session_encode_topic_unsubscribe(&fixture->wire, bytes_str("a.b"));
    assert_true(bytes_equal_str(decode(fixture, SESSION_UNSUBSCRIBE).topic, "a.b"));
    const struct session_subscribed subscribed = {.topic = bytes_str("a"),
                                                  .position = {EPOCH, 5},
                                                  .verdict = SESSION_GAPPED,
                                                  .lost_at_most = 4,
                                                  .reason = SESSION_GAP_CAP};
    session_encode_topic_subscribed(&fixture->wire, &subscribed);
    const struct session_subscribed out = decode(fixture, SESSION_SUBSCRIBED).subscribed;
    assert_true(same_position(out.position, subscribed.position) && out.lost_at_most == 4);
    assert_true(out.verdict == SESSION_GAPPED && out.reason == SESSION_GAP_CAP && out.refused == 0);
}

static void topic_frames_without_their_meaning_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(BODY_RC(fixture, SESSION_SUBSCRIBE, ""), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_SUBSCRIBE,
                             "\x0a\x03"
                             "a/b"),
                     PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_UNSUBSCRIBE, "\x0a\x01 "), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_SUBSCRIBED,
                             "\x0a\x01"
                             "a\x30\x05"),
                     PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_SUBSCRIBED,
                             "\x0a\x01"
                             "a"),
                     0);
    struct session_gap gap = {.log = SESSION_LOG_TOPIC, .to = {EPOCH, 2}, .reason = SESSION_GAP_CAP};
    struct session_frame frame;
    session_encode_gap(&fixture->wire, &gap);
    assert_int_equal(decode_rc(fixture, &frame), PETREL_E_PROTOCOL);
}

static void types_that_are_reserved_or_none(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t known[] = {1, 2, 3, 4, 5, 7, 65, 66, 67, 68, 69, 70, 71};
    static const uint8_t reserved[] = {6, 72};
    for (unsigned type = 0; type < 256; type++) {
        int expected = PETREL_E_NOT_FOUND;
        if (memchr(known, (int)type, sizeof known) != NULL)
            expected = PETREL_E_PROTOCOL;
        else if (memchr(reserved, (int)type, sizeof reserved) != NULL)
            expected = PETREL_E_UNSUPPORTED;
        assert_int_equal(BODY_RC(fixture, type, "\xff"), expected);
    }
}

static void bodies_cut_short_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct session_connect connect = {.version = 1,
                                      .token = bytes_str("aaaa.bbbb.cccc"),
                                      .attempt = 1,
                                      .position = {EPOCH, 300},
                                      .client = bytes_str("test/1"),
                                      .heartbeat_s = 120};
    session_encode_connect(&fixture->wire, &connect);
    struct bytes body = bytes_of(fixture->wire.ptr + FRAME_HEADER_BYTES, fixture->wire.len - FRAME_HEADER_BYTES);
    /* Where fields end, what is left is a body of fewer fields; elsewhere it is none. */
    size_t whole = 0;
    for (size_t len = 0; len < body.len; len++) {
        struct frame frame = {SESSION_CONNECT, bytes_of(body.ptr, len)};
        struct session_frame out;
        int rc = session_decode(fixture->codec, &frame, &out);
        assert_true(rc == 0 || rc == PETREL_E_PROTOCOL);
        whole += rc == 0;
    }
    assert_int_equal(whole, 4); /* nothing; + attempt; + position; + client (a version without an attempt is refused) */
}

static void lengths_that_lie_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECT,
                             "\x12\x05"
                             "abcd"),
                     PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECT,
                             "\x12\xff\xff\xff\xff\x0f"
                             "abcd"),
                     PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECT, "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_ACK, "\x0a\x0d\x09\x01\0\0\0\0\0\0\0\x10\x01"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_ACK, "\x0a\x0a\x09\x01\0\0\0\0\0\0\0\x10"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_PING, "\x09\x01\x02"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_PING, "\x08\x01"), PETREL_E_PROTOCOL);
}

static void values_out_of_range_are_refused(void **state)
{
    struct fixture *fixture = *state;
#define POSITION_1_1 "\x0b\x09\x01\0\0\0\0\0\0\0\x10\x01"
    assert_int_equal(BODY_RC(fixture, SESSION_DISCONNECT, "\x08\x02"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_ACK, ""), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_ACK, "\x0a\x02\x10\x05"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECT, "\x08\x01"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECT, "\x08\x02"), 0); /* another version: its own rules */
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECT, "\x08\x01\x18\x01\x22\x02\x10\x05"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECTED, "\x08\x01\x12" POSITION_1_1), 0);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECTED, "\x08\x01"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECTED, "\x08\x00\x12" POSITION_1_1), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECTED, "\x08\x04\x12" POSITION_1_1), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_CONNECTED, "\x08\x01\x20\x05\x12" POSITION_1_1), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_GAP, "\x28\x01\x1a" POSITION_1_1), 0);
    assert_int_equal(BODY_RC(fixture, SESSION_GAP, "\x1a" POSITION_1_1), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_GAP, "\x28\x01"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_GOAWAY, "\x08\xb8\x17"), 0);                 /* 3000 */
    assert_int_equal(BODY_RC(fixture, SESSION_GOAWAY, "\x08\xac\x1b"), PETREL_E_PROTOCOL); /* 3500 */
    assert_int_equal(BODY_RC(fixture, SESSION_GOAWAY, "\x08\xb8\x17\x22\x00"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_ERROR, "\x08\xac\x1b"), 0);
    assert_int_equal(BODY_RC(fixture, SESSION_ERROR, "\x08\xb7\x17"), PETREL_E_PROTOCOL); /* 2999 */
    assert_int_equal(BODY_RC(fixture, SESSION_ERROR, "\x08\xa0\x1f"), PETREL_E_PROTOCOL); /* 4000 */
    assert_int_equal(BODY_RC(fixture, SESSION_GOAWAY,
                             "\x08\xb8\x17\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a"),
                     0);
    assert_int_equal(BODY_RC(fixture, SESSION_GOAWAY,
                             "\x08\xb8\x17\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a\x22\x01"
                             "a"),
                     PETREL_E_PROTOCOL);
}

#define MESSAGE_ID                                                                                                     \
    "\x0a\x10"                                                                                                         \
    "0123456789abcdef"

static void pushes_without_their_parts_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(BODY_RC(fixture, SESSION_PUSH, "\x12" POSITION_1_1 "\x22\x14" MESSAGE_ID "\x12\x00"), 0);
    assert_int_equal(BODY_RC(fixture, SESSION_PUSH, "\x22\x14" MESSAGE_ID "\x12\x00"), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_PUSH, "\x12" POSITION_1_1), PETREL_E_PROTOCOL);
    assert_int_equal(BODY_RC(fixture, SESSION_PUSH, "\x12" POSITION_1_1 "\x18\x01\x22\x14" MESSAGE_ID "\x12\x00"),
                     PETREL_E_PROTOCOL); /* prev is not before it */
    struct session_message out;
    assert_int_equal(session_decode_message(fixture->codec,
                                            bytes_str(MESSAGE_ID "\x1a\x01"
                                                                 "x"),
                                            &out),
                     0);
    assert_int_equal(session_decode_message(fixture->codec, bytes_str(MESSAGE_ID), &out), PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(fixture->codec,
                                            bytes_str("\x1a\x01"
                                                      "x"),
                                            &out),
                     PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(fixture->codec,
                                            bytes_str("\x0a\x0f"
                                                      "0123456789abcde\x1a\x01"
                                                      "x"),
                                            &out),
                     PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(fixture->codec,
                                            bytes_str("\x0a\x11"
                                                      "0123456789abcdefg\x1a\x01"
                                                      "x"),
                                            &out),
                     PETREL_E_PROTOCOL);
}

static int connect_with(struct fixture *fixture, struct bytes token, struct bytes client)
{
    struct session_connect connect = {.version = 1, .token = token, .attempt = 1, .client = client};
    session_encode_connect(&fixture->wire, &connect);
    struct session_frame out;
    return decode_rc(fixture, &out);
}

static void texts_are_held_to_utf8_and_their_limits(void **state)
{
    struct fixture *fixture = *state;
    static char text[SESSION_TOKEN_MAX + 1];
    memset(text, 'x', sizeof text);
    struct bytes none = {NULL, 0};
    assert_int_equal(connect_with(fixture, bytes_of(text, SESSION_TOKEN_MAX), none), 0);
    assert_int_equal(connect_with(fixture, bytes_of(text, SESSION_TOKEN_MAX + 1), none), PETREL_E_PROTOCOL);
    assert_int_equal(connect_with(fixture, none, bytes_of(text, SESSION_CLIENT_MAX)), 0);
    assert_int_equal(connect_with(fixture, none, bytes_of(text, SESSION_CLIENT_MAX + 1)), PETREL_E_PROTOCOL);
    static const char *const bad[] = {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\nb", "\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(connect_with(fixture, none, bytes_str(bad[i])), PETREL_E_PROTOCOL);
        assert_int_equal(connect_with(fixture, bytes_str(bad[i]), none), PETREL_E_PROTOCOL);
    }
    assert_int_equal(connect_with(fixture, bytes_of("a\0b", 3), none), PETREL_E_PROTOCOL);
    struct session_message out;
    assert_int_equal(session_decode_message(fixture->codec, bytes_str(MESSAGE_ID "\x1a\x02\xc3\xa9"), &out), 0);
    assert_int_equal(session_decode_message(fixture->codec, bytes_str(MESSAGE_ID "\x1a\x02\xc3x"), &out),
                     PETREL_E_PROTOCOL);
    assert_int_equal(session_decode_message(fixture->codec, bytes_str(MESSAGE_ID "\x12\x02\xc3x"), &out), 0);
    assert_int_equal(session_decode_message(fixture->codec, bytes_str(MESSAGE_ID "\x12\x00\x32\x01\n"), &out),
                     PETREL_E_PROTOCOL);
}

static void unknown_fields_are_ignored_but_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct session_frame out;
    struct bytebuf body = {0};
    bytes_append(&body, "\x09\x07\0\0\0\0\0\0\0", 9);
    for (size_t i = 0; i < 100; i++)
        bytes_append_str(&body, "\xa2\x06\x03new"); /* field 100, bytes */
    assert_int_equal(decode_body(fixture, SESSION_PING, (const char *)body.ptr, body.len, &out), 0);
    assert_true(out.echo == 7);
    while (body.len < FRAME_BODY_DEFAULT - 10)
        bytes_append_str(&body, "\xa0\x06\x01");
    assert_int_equal(decode_body(fixture, SESSION_PING, (const char *)body.ptr, body.len, &out), PETREL_E_PROTOCOL);
    bytes_reset(&body);
}

static void any_bytes_are_decoded_or_refused(void **state)
{
    struct fixture *fixture = *state;
    struct session_message message = full_message();
    struct buf *packed = session_encode_message(&message);
    session_encode_push(&fixture->wire, 1, (struct position){EPOCH, 300}, 299, buf_bytes(packed));
    buf_unref(packed);
    for (size_t i = FRAME_HEADER_BYTES; i < fixture->wire.len; i++) {
        uint8_t kept = fixture->wire.ptr[i];
        for (unsigned value = 0; value < 256; value++) {
            fixture->wire.ptr[i] = (uint8_t)value;
            struct frame frame = {
                SESSION_PUSH, bytes_of(fixture->wire.ptr + FRAME_HEADER_BYTES, fixture->wire.len - FRAME_HEADER_BYTES)};
            struct session_frame out;
            int rc = session_decode(fixture->codec, &frame, &out);
            assert_true(rc == 0 || rc == PETREL_E_PROTOCOL);
        }
        fixture->wire.ptr[i] = kept;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(connect_comes_back),
        TEST(small_frames_come_back),
        TEST(connected_comes_back),
        TEST(gap_goaway_and_error_come_back),
        TEST(error_text_is_cut_between_characters),
        TEST(messages_come_back),
        TEST(push_copies_the_message_as_it_is),
        TEST(large_pushes_come_back),
        TEST(topics_come_back),
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
