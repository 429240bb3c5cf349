/* Holds proto/README.md against the code: a client's author has nothing else to go by. */
#include "base/err.h"
#include "wire/session.h"
#include "wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define README PETREL_SOURCE_DIR "/proto/README.md"
#define LINE_MAX_BYTES 1024

/* One hex block: its bytes, and what its comments state, a line each, but for those that only open a part. */
struct example {
    char name[64];
    struct bytebuf wire;
    struct bytebuf stated;
};

static void add_hex(struct example *example, const char *text)
{
    char *end;
    for (const char *at = text;; at = end) {
        unsigned long value = strtoul(at, &end, 16);
        if (end == at)
            break;
        assert_true(value <= 0xff);
        bytes_put_u8(&example->wire, (uint8_t)value);
    }
}

static void add_line(struct example *example, char *line)
{
    char *comment = strchr(line, '#');
    if (comment != NULL) {
        *comment = '\0';
        comment += strspn(comment + 1, " ") + 1;
        if (example->stated.len == 0 || strstr(comment, " = ") != NULL)
            bytes_printf(&example->stated, "%s\n", comment);
    }
    add_hex(example, line);
}

static bool read_line(FILE *file, char line[LINE_MAX_BYTES])
{
    if (fgets(line, LINE_MAX_BYTES, file) == NULL)
        return false;
    size_t len = strlen(line);
    assert_true(len > 0 && line[len - 1] == '\n');
    line[len - 1] = '\0';
    return true;
}

/* Read the next block. False at the end of the file. */
static bool next_block(FILE *file, const char *fence, struct example *example)
{
    const size_t len = strlen(fence);
    char line[LINE_MAX_BYTES];
    *example = (struct example){{0}, {0}, {0}};
    while (read_line(file, line)) {
        if (strncmp(line, fence, len) != 0 || sscanf(line + len, "%63s", example->name) != 1)
            continue;
        while (read_line(file, line) && strcmp(line, "```") != 0)
            add_line(example, line);
        return true;
    }
    return false;
}

static bool next_example(FILE *file, struct example *example)
{
    return next_block(file, "```hex ", example);
}

static void free_example(struct example *example)
{
    bytes_reset(&example->wire);
    bytes_reset(&example->stated);
}

static FILE *open_readme(void)
{
    FILE *file = fopen(README, "r");
    assert_non_null(file);
    return file;
}

/* Printing a frame as the comments state it: fields that are not at their default, in the order of their numbers. */

static void put_int(struct bytebuf *out, const char *name, uint64_t value)
{
    if (value != 0)
        bytes_printf(out, "%s = %llu\n", name, (unsigned long long)value);
}

static void put_text(struct bytebuf *out, const char *name, struct bytes text)
{
    if (text.len > 0)
        bytes_printf(out, "%s = \"%.*s\"\n", name, (int)text.len, (const char *)text.ptr);
}

static void put_word(struct bytebuf *out, const char *name, const char *const words[], unsigned value)
{
    if (value != 0)
        bytes_printf(out, "%s = %s\n", name, words[value]);
}

static void put_position(struct bytebuf *out, const char *name, struct position at)
{
    if (at.epoch != 0)
        bytes_printf(out, "%s.epoch = 0x%016llx\n", name, (unsigned long long)at.epoch);
    if (at.seq != 0)
        bytes_printf(out, "%s.seq = %llu\n", name, (unsigned long long)at.seq);
}

/* A field of a struct, under its own name. */
#define PUT_INT(out, from, field) put_int((out), #field, (from)->field)
#define PUT_TEXT(out, from, field) put_text((out), #field, (from)->field)
#define PUT_POSITION(out, from, field) put_position((out), #field, (from)->field)

static const char *const VERDICTS[] = {"", "NEW", "RESUMED", "GAP"};
static const char *const REASONS[] = {"", "CAP", "ROLLBACK", "LAPSED", "TRIMMED"};

static void put_message(struct bytebuf *out, const struct session_message *message)
{
    char id[ID_TEXT_LEN + 1];
    bytes_printf(out, "message.id = %s\n", id_format(&message->id, id));
    if (message->is_json) {
        put_text(out, "message.data", message->body);
    } else {
        bytes_printf(out, "message.payload =");
        for (size_t i = 0; i < message->body.len; i++)
            bytes_printf(out, " %02x", message->body.ptr[i]);
        bytes_printf(out, "\n");
    }
    put_int(out, "message.sent_ms", message->sent_ms);
    put_int(out, "message.expires_ms", message->expires_ms);
    put_text(out, "message.collapse_key", message->collapse_key);
    if (message->high)
        bytes_printf(out, "message.high = true\n");
    if (message->late)
        bytes_printf(out, "message.late = true\n");
}

static void put_connect(struct bytebuf *out, const struct session_connect *connect)
{
    PUT_INT(out, connect, version);
    PUT_TEXT(out, connect, token);
    PUT_INT(out, connect, attempt);
    PUT_POSITION(out, connect, position);
    PUT_TEXT(out, connect, client);
    PUT_INT(out, connect, heartbeat_s);
    if (connect->takes_topics)
        bytes_printf(out, "takes_topics = true\n");
    for (uint32_t i = 0; i < connect->topics_count; i++) {
        put_text(out, "topics.topic", connect->topics[i].topic);
        put_position(out, "topics.position", connect->topics[i].position);
    }
}

static void put_connected(struct bytebuf *out, const struct session_connected *connected)
{
    put_word(out, "verdict", VERDICTS, connected->verdict);
    PUT_POSITION(out, connected, position);
    PUT_INT(out, connected, lost_at_most);
    put_word(out, "reason", REASONS, connected->reason);
    PUT_INT(out, connected, heartbeat_s);
    PUT_INT(out, connected, max_frame_bytes);
    PUT_INT(out, connected, server_time_ms);
    PUT_TEXT(out, connected, node);
}

static void put_push(struct bytebuf *out, const struct session_push *push)
{
    PUT_INT(out, push, log);
    PUT_POSITION(out, push, position);
    PUT_INT(out, push, prev);
    put_message(out, &push->message);
    PUT_TEXT(out, push, topic);
}

static void put_subscribed(struct bytebuf *out, const struct session_subscribed *subscribed)
{
    PUT_TEXT(out, subscribed, topic);
    PUT_POSITION(out, subscribed, position);
    put_word(out, "verdict", VERDICTS, subscribed->verdict);
    PUT_INT(out, subscribed, lost_at_most);
    put_word(out, "reason", REASONS, subscribed->reason);
    PUT_INT(out, subscribed, refused);
}

static void put_gap(struct bytebuf *out, const struct session_gap *gap)
{
    PUT_INT(out, gap, log);
    PUT_INT(out, gap, from);
    PUT_POSITION(out, gap, to);
    PUT_INT(out, gap, lost_at_most);
    put_word(out, "reason", REASONS, gap->reason);
    PUT_TEXT(out, gap, topic);
}

static void put_goaway(struct bytebuf *out, const struct session_goaway *goaway)
{
    PUT_INT(out, goaway, code);
    PUT_INT(out, goaway, deadline_ms);
    PUT_INT(out, goaway, spread_ms);
    for (size_t i = 0; i < goaway->targets_count; i++)
        put_text(out, "targets", goaway->targets[i]);
    PUT_INT(out, goaway, backoff_ms);
}

static void put_error(struct bytebuf *out, const struct session_error *error)
{
    PUT_INT(out, error, code);
    PUT_TEXT(out, error, message);
    PUT_INT(out, error, backoff_ms);
}

static const char *type_name(enum session_type type)
{
    switch (type) {
    case SESSION_CONNECT:
        return "CONNECT";
    case SESSION_PING:
        return "PING";
    case SESSION_ACK:
        return "ACK";
    case SESSION_SUBSCRIBE:
        return "SUBSCRIBE";
    case SESSION_UNSUBSCRIBE:
        return "UNSUBSCRIBE";
    case SESSION_SUBSCRIBED:
        return "SUBSCRIBED";
    case SESSION_DISCONNECT:
        return "DISCONNECT";
    case SESSION_CONNECTED:
        return "CONNECTED";
    case SESSION_PONG:
        return "PONG";
    case SESSION_PUSH:
        return "PUSH";
    case SESSION_GAP:
        return "GAP";
    case SESSION_GOAWAY:
        return "GOAWAY";
    case SESSION_ERROR:
        return "ERROR";
    default:
        fail_msg("type %d has no body", type);
        return NULL;
    }
}

static void put_frame(struct bytebuf *out, const struct session_frame *frame, size_t body_len)
{
    bytes_printf(out, "%s, %zu bytes\n", type_name(frame->type), body_len);
    if (frame->type == SESSION_CONNECT)
        put_connect(out, &frame->connect);
    else if (frame->type == SESSION_PING || frame->type == SESSION_PONG)
        PUT_INT(out, frame, echo);
    else if (frame->type == SESSION_ACK)
        put_position(out, "position", frame->ack);
    else if (frame->type == SESSION_DISCONNECT)
        put_int(out, "reason", frame->disconnect_reason);
    else if (frame->type == SESSION_CONNECTED)
        put_connected(out, &frame->connected);
    else if (frame->type == SESSION_PUSH)
        put_push(out, &frame->push);
    else if (frame->type == SESSION_SUBSCRIBE || frame->type == SESSION_UNSUBSCRIBE)
        put_text(out, "topic", frame->topic);
    else if (frame->type == SESSION_SUBSCRIBED)
        put_subscribed(out, &frame->subscribed);
    else if (frame->type == SESSION_GAP)
        put_gap(out, &frame->gap);
    else if (frame->type == SESSION_GOAWAY)
        put_goaway(out, &frame->goaway);
    else
        put_error(out, &frame->error);
}

static void encode_push(struct bytebuf *out, const struct session_push *push)
{
    struct buf *message = session_encode_message(&push->message);
    if (push->log == SESSION_LOG_TOPIC)
        session_encode_topic_push(out, push->topic, push->position, push->prev, buf_bytes(message));
    else
        session_encode_push(out, push->log, push->position, push->prev, buf_bytes(message));
    buf_unref(message);
}

static void encode_error(struct bytebuf *out, const struct session_error *error)
{
    char text[SESSION_ERROR_TEXT_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)error->message.len, (const char *)error->message.ptr);
    session_encode_error(out, error->code, text, error->backoff_ms);
}

static void encode_frame(struct bytebuf *out, const struct session_frame *frame)
{
    if (frame->type == SESSION_CONNECT)
        session_encode_connect(out, &frame->connect);
    else if (frame->type == SESSION_PING)
        session_encode_ping(out, frame->echo);
    else if (frame->type == SESSION_PONG)
        session_encode_pong(out, frame->echo);
    else if (frame->type == SESSION_ACK)
        session_encode_ack(out, frame->ack);
    else if (frame->type == SESSION_DISCONNECT)
        session_encode_disconnect(out, frame->disconnect_reason);
    else if (frame->type == SESSION_CONNECTED)
        session_encode_connected(out, &frame->connected);
    else if (frame->type == SESSION_PUSH)
        encode_push(out, &frame->push);
    else if (frame->type == SESSION_SUBSCRIBE)
        session_encode_topic_subscribe(out, frame->topic);
    else if (frame->type == SESSION_UNSUBSCRIBE)
        session_encode_topic_unsubscribe(out, frame->topic);
    else if (frame->type == SESSION_SUBSCRIBED)
        session_encode_topic_subscribed(out, &frame->subscribed);
    else if (frame->type == SESSION_GAP)
        session_encode_gap(out, &frame->gap);
    else if (frame->type == SESSION_GOAWAY)
        session_encode_goaway(out, &frame->goaway);
    else
        encode_error(out, &frame->error);
}

static void assert_same_bytes(const char *what, const char *name, struct bytes actual, struct bytes expected)
{
    if (!bytes_equal(actual, expected))
        fail_msg("%s of %s:\n%.*s\ninstead of\n%.*s", what, name, (int)actual.len, (const char *)actual.ptr,
                 (int)expected.len, (const char *)expected.ptr);
}

static void examples_say_what_the_codec_says(void **state)
{
    (void)state;
    struct session_codec *codec = session_codec_new();
    FILE *file = open_readme();
    struct example example;
    bool seen[256] = {false};
    while (next_example(file, &example)) {
        struct bytes in = bytes_view(&example.wire);
        struct frame frame;
        struct session_frame decoded;
        struct bytebuf out = {0};
        assert_int_equal(frame_take(&in, FRAME_BODY_DEFAULT, &frame), 0);
        assert_int_equal(in.len, 0);
        assert_int_equal(session_decode(codec, &frame, &decoded), 0);
        seen[frame.type] = true;
        put_frame(&out, &decoded, frame.body.len);
        assert_same_bytes("values", example.name, bytes_view(&out), bytes_view(&example.stated));
        out.len = 0;
        encode_frame(&out, &decoded);
        assert_same_bytes("bytes", example.name, bytes_view(&out), bytes_view(&example.wire));
        bytes_reset(&out);
        free_example(&example);
    }
    fclose(file);
    for (unsigned type = 0; type < 256; type++) {
        struct frame frame = {(uint8_t)type, bytes_of("\xff", 1)};
        struct session_frame decoded;
        bool has_body = session_decode(codec, &frame, &decoded) == PETREL_E_PROTOCOL;
        if (has_body != seen[type])
            fail_msg("type %u: %s", type, has_body ? "has no example" : "has an example and no body");
    }
    session_codec_free(&codec);
}

struct code {
    unsigned number;
    const char *name;
    const char *text;
};

static void codes_are_those_of_the_table(void **state)
{
    (void)state;
    static const struct code codes[] = {
#define CODE_ROW(num, name, text) {(num), #name, text},
        SESSION_CODE_TABLE(CODE_ROW)
#undef CODE_ROW
    };
    FILE *file = open_readme();
    char line[LINE_MAX_BYTES];
    size_t count = 0;
    while (read_line(file, line)) {
        unsigned number;
        char name[64];
        char text[256];
        if (sscanf(line, "| %u | %63[A-Z_] | %255[^|]", &number, name, text) != 3 || number < 3000)
            continue;
        assert_true(count < sizeof codes / sizeof codes[0]);
        const struct code *code = &codes[count++];
        text[strlen(text) - 1] = '\0'; /* the space before '|' */
        assert_int_equal(number, code->number);
        assert_string_equal(name, code->name);
        assert_string_equal(text, code->text);
        assert_string_equal(session_code_name(number), code->name);
        assert_string_equal(session_code_text(number), code->text);
        assert_int_equal(session_code_retry(number), number < 3500);
    }
    fclose(file);
    assert_int_equal(count, sizeof codes / sizeof codes[0]);
    assert_string_equal(session_code_name(1), "UNKNOWN");
}

static void frame_types_are_those_of_the_codec(void **state)
{
    (void)state;
    struct session_codec *codec = session_codec_new();
    FILE *file = open_readme();
    char line[LINE_MAX_BYTES];
    size_t count = 0;
    while (read_line(file, line)) {
        unsigned number;
        unsigned hex;
        char name[64];
        if (sscanf(line, "| %63[A-Z_] | %u | `%x` |", name, &number, &hex) != 3)
            continue;
        assert_int_equal(number, hex);
        struct frame frame = {(uint8_t)number, bytes_of("\xff", 1)};
        struct session_frame decoded;
        bool reserved = strstr(line, "| reserved") != NULL;
        assert_int_equal(session_decode(codec, &frame, &decoded), reserved ? PETREL_E_UNSUPPORTED : PETREL_E_PROTOCOL);
        if (!reserved)
            assert_string_equal(name, type_name((enum session_type)number));
        count++;
    }
    fclose(file);
    assert_int_equal(count, 15);
    session_codec_free(&codec);
}

/* ---- WebSocket ---- */

static void a_message_is_read_and_written_again(void **state)
{
    (void)state;
    static const uint8_t mask[] = {0x37, 0xfa, 0x21, 0x3d};
    FILE *file = open_readme();
    struct example example;
    assert_true(next_block(file, "```websocket ", &example));
    struct bytebuf frame = {0}, again = {0}, scratch = {0};
    session_encode_ping(&frame, 0x0102030405060708);
    websocket_put(&again, WEBSOCKET_BINARY, true, mask, bytes_view(&frame));
    assert_true(bytes_equal(bytes_view(&example.wire), bytes_view(&again)));
    struct websocket_reader reader = {0};
    struct websocket_event event;
    struct bytes in = bytes_view(&example.wire);
    websocket_read(&reader, WEBSOCKET_SERVER, UINT32_MAX, &in, &scratch, &event);
    assert_int_equal(event.kind, WEBSOCKET_EVENT_PIECE);
    assert_true(event.ends && bytes_equal(event.payload, bytes_view(&frame)));
    bytes_reset(&frame);
    bytes_reset(&again);
    bytes_reset(&scratch);
    free_example(&example);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_say_what_the_codec_says),
        cmocka_unit_test(codes_are_those_of_the_table),
        cmocka_unit_test(frame_types_are_those_of_the_codec),
        cmocka_unit_test(a_message_is_read_and_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
