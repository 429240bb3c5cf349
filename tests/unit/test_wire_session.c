/* The frames of a session come back as they were encoded. What is refused is in test_wire_session_bad.c. */
#include "unit/session_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EPOCH SESSION_FRAMES_EPOCH

static struct session_frame decode(struct session_frames *frames, enum session_type type)
{
    struct session_frame out;
    assert_int_equal(session_frames_decode(frames, &out), 0);
    assert_int_equal(out.type, type);
    return out;
}

static bool same_position(struct position a, struct position b)
{
    return a.epoch == b.epoch && a.seq == b.seq;
}

static void connect_comes_back(void **state)
{
    struct session_frames *frames = *state;
    struct session_connect in = {.version = 1,
                                 .token = bytes_str("a.b.c"),
                                 .attempt = 77,
                                 .position = {EPOCH, 300},
                                 .client = bytes_str("test/1"),
                                 .heartbeat_s = 120};
    session_encode_connect(&frames->wire, &in);
    struct session_connect out = decode(frames, SESSION_CONNECT).connect;
    assert_int_equal(out.version, 1);
    assert_true(bytes_equal_str(out.token, "a.b.c"));
    assert_true(out.attempt == 77);
    assert_true(same_position(out.position, in.position));
    assert_true(bytes_equal_str(out.client, "test/1"));
    assert_int_equal(out.heartbeat_s, 120);

    session_encode_connect(&frames->wire, &(struct session_connect){.version = 1, .attempt = INT64_MAX});
    out = decode(frames, SESSION_CONNECT).connect;
    assert_true(position_is_none(out.position));
    assert_null(out.token.ptr);
    assert_true(out.attempt == INT64_MAX);
}

static void small_frames_come_back(void **state)
{
    struct session_frames *frames = *state;
    static const uint64_t echoes[] = {0, 1, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        session_encode_ping(&frames->wire, echoes[i]);
        assert_true(decode(frames, SESSION_PING).echo == echoes[i]);
        session_encode_pong(&frames->wire, echoes[i]);
        assert_true(decode(frames, SESSION_PONG).echo == echoes[i]);
    }
    session_encode_ack(&frames->wire, (struct position){EPOCH, UINT64_MAX});
    assert_true(same_position(decode(frames, SESSION_ACK).ack, (struct position){EPOCH, UINT64_MAX}));
    session_encode_disconnect(&frames->wire, 1);
    assert_int_equal(decode(frames, SESSION_DISCONNECT).disconnect_reason, 1);
    session_encode_disconnect(&frames->wire, 0);
    assert_int_equal(frames->wire.len, FRAME_HEADER_BYTES);
    assert_int_equal(decode(frames, SESSION_DISCONNECT).disconnect_reason, 0);
}

static void connected_comes_back(void **state)
{
    struct session_frames *frames = *state;
    struct session_connected in = {.verdict = SESSION_GAPPED,
                                   .position = {EPOCH, 9},
                                   .lost_at_most = 4,
                                   .reason = SESSION_GAP_TRIMMED,
                                   .heartbeat_s = 300,
                                   .max_frame_bytes = 65536,
                                   .server_time_ms = 1800000000000,
                                   .node = bytes_str("n1")};
    session_encode_connected(&frames->wire, &in);
    struct session_connected out = decode(frames, SESSION_CONNECTED).connected;
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
    struct session_frames *frames = *state;
    struct session_gap gap = {
        .log = 3, .from = 10, .to = {EPOCH, 20}, .lost_at_most = 10, .reason = SESSION_GAP_ROLLBACK};
    session_encode_gap(&frames->wire, &gap);
    struct session_gap gap_out = decode(frames, SESSION_GAP).gap;
    assert_true(gap_out.log == 3 && gap_out.from == 10 && gap_out.lost_at_most == 10);
    assert_true(same_position(gap_out.to, gap.to) && gap_out.reason == SESSION_GAP_ROLLBACK);

    struct session_goaway goaway = {
        .code = SESSION_CODE_DRAIN, .deadline_ms = 5000, .spread_ms = 30000, .backoff_ms = 700, .targets_count = 5};
    for (size_t i = 0; i < goaway.targets_count; i++)
        goaway.targets[i] = bytes_str(i == 4 ? "[::1]:7400" : "a.example:7400");
    session_encode_goaway(&frames->wire, &goaway);
    struct session_goaway out = decode(frames, SESSION_GOAWAY).goaway;
    assert_true(out.code == 3001 && out.deadline_ms == 5000 && out.spread_ms == 30000 && out.backoff_ms == 700);
    assert_int_equal(out.targets_count, 5);
    assert_true(bytes_equal_str(out.targets[0], "a.example:7400"));
    assert_true(bytes_equal_str(out.targets[4], "[::1]:7400"));

    session_encode_error(&frames->wire, SESSION_CODE_REPLACED, session_code_text(SESSION_CODE_REPLACED), 9);
    struct session_error error = decode(frames, SESSION_ERROR).error;
    assert_true(error.code == 3508 && error.backoff_ms == 9);
    assert_true(bytes_equal_str(error.message, session_code_text(3508)));
}

static void error_text_is_cut_between_characters(void **state)
{
    struct session_frames *frames = *state;
    char text[SESSION_ERROR_TEXT_MAX + 3];
    memset(text, 'x', sizeof text);
    memcpy(text + SESSION_ERROR_TEXT_MAX - 1, "\xc3\xa9", 3);
    session_encode_error(&frames->wire, 3500, text, 0);
    assert_int_equal(decode(frames, SESSION_ERROR).error.message.len, SESSION_ERROR_TEXT_MAX - 1);
    session_encode_error(&frames->wire, 3500, "bad \xff byte", 0);
    assert_true(bytes_equal_str(decode(frames, SESSION_ERROR).error.message, "bad "));
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
    struct session_frames *frames = *state;
    struct session_message in[3] = {session_frames_message(), session_frames_message(), session_frames_message()};
    in[1].is_json = false;
    in[1].body = bytes_of("\0\xff\n", 3);
    in[2] = (struct session_message){.id = session_frames_id(), .body = bytes_str("")};
    for (size_t i = 0; i < 3; i++) {
        struct buf *packed = session_encode_message(&in[i]);
        struct session_message out;
        assert_int_equal(session_decode_message(frames->codec, buf_bytes(packed), &out), 0);
        assert_same_message(&out, &in[i]);
        assert_non_null(out.body.ptr);
        for (size_t len = 0; len < packed->len; len++) {
            /* Cut between two fields it may be a message of fewer fields; it is never one without its id and body. */
            if (session_decode_message(frames->codec, bytes_of(packed->data, len), &out) == 0)
                assert_true(bytes_equal(out.body, in[i].body));
        }
        buf_unref(packed);
    }
}

/* What the official encoder writes for a push of this number: see the examples in proto/README.md for whole frames. */
static void push_copies_the_message_as_it_is(void **state)
{
    struct session_frames *frames = *state;
    session_encode_push(&frames->wire, 0, (struct position){EPOCH, 300}, 127, bytes_str("message"));
    static const uint8_t expected[] = {67,   0,    0,   25,  0x12, 0x0c, 0x09, 0xc3, 0xb2, 0xa1,
                                       0x67, 0x01, 0,   0,   0,    0x10, 0xac, 0x02, 0x18, 0x7f,
                                       0x22, 0x07, 'm', 'e', 's',  's',  'a',  'g',  'e'};
    assert_int_equal(frames->wire.len, sizeof expected);
    assert_memory_equal(frames->wire.ptr, expected, sizeof expected);
    frames->wire.len = 0;

    struct session_message message = session_frames_message();
    struct buf *packed = session_encode_message(&message);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t seq = 1ULL << bit;
        session_encode_push(&frames->wire, bit / 2 * 2, (struct position){EPOCH << (bit % 8), seq}, seq - 1,
                            buf_bytes(packed));
        struct session_push out = decode(frames, SESSION_PUSH).push;
        assert_int_equal(out.log, bit / 2 * 2);
        assert_true(out.position.epoch == EPOCH << (bit % 8) && out.position.seq == seq && out.prev == seq - 1);
        assert_same_message(&out.message, &message);
    }
    buf_unref(packed);
}

static void large_pushes_come_back(void **state)
{
    struct session_frames *frames = *state;
    size_t len = 1 << 20;
    struct bytebuf body = {0};
    memset(bytes_reserve(&body, len), 'x', len);
    body.len = len;
    struct session_message message = {.id = session_frames_id(), .body = bytes_view(&body)};
    struct buf *packed = session_encode_message(&message);
    session_encode_push(&frames->wire, 0, (struct position){EPOCH, 2}, 1, buf_bytes(packed));
    struct session_push out = decode(frames, SESSION_PUSH).push;
    assert_int_equal(out.message.body.len, len);
    buf_unref(packed);
    bytes_reset(&body);
}

static void topics_come_back(void **state)
{
    struct session_frames *frames = *state;
    const struct session_topic_position topics[] = {{bytes_str("all"), {EPOCH, 9}}, {bytes_str("news:uk"), {EPOCH, 3}}};
    struct session_connect connect = {.version = 1,
                                      .token = bytes_str("a.b.c"),
                                      .attempt = 1,
                                      .takes_topics = true,
                                      .topics_count = 2,
                                      .topics = topics};
    session_encode_connect(&frames->wire, &connect);
    const struct session_connect in = decode(frames, SESSION_CONNECT).connect;
    assert_true(in.takes_topics && in.topics_count == 2);
    assert_true(bytes_equal_str(in.topics[1].topic, "news:uk"));
    assert_true(same_position(in.topics[1].position, topics[1].position));
    session_encode_topic_subscribe(&frames->wire, bytes_str("a.b"));
    assert_true(bytes_equal_str(decode(frames, SESSION_SUBSCRIBE).topic, "a.b"));
    session_encode_topic_unsubscribe(&frames->wire, bytes_str("a.b"));
    assert_true(bytes_equal_str(decode(frames, SESSION_UNSUBSCRIBE).topic, "a.b"));
    const struct session_subscribed subscribed = {.topic = bytes_str("a"),
                                                  .position = {EPOCH, 5},
                                                  .verdict = SESSION_GAPPED,
                                                  .lost_at_most = 4,
                                                  .reason = SESSION_GAP_CAP};
    session_encode_topic_subscribed(&frames->wire, &subscribed);
    const struct session_subscribed out = decode(frames, SESSION_SUBSCRIBED).subscribed;
    assert_true(same_position(out.position, subscribed.position) && out.lost_at_most == 4);
    assert_true(out.verdict == SESSION_GAPPED && out.reason == SESSION_GAP_CAP && out.refused == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, session_frames_set_up, session_frames_tear_down)
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
