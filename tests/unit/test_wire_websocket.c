/* The WebSocket reader and writer, with wslay as the peer, and bytes that no peer should send. */
#include "wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include <cmocka.h>

#define MESSAGE_MAX 70000U
#define BYTES(text) bytes_of(text, sizeof(text) - 1)

static const uint8_t MASK[] = {0x11, 0x22, 0x33, 0x44};

/* ---- what a reader says of a stream ---- */

struct trace {
    struct bytebuf text; /* "p:5." a piece that ends, "i:2" ping, "o:0" pong, "c:1000", "b:1002" */
    struct bytebuf payload;
    const char *reason;
};

static void note(struct trace *trace, const struct websocket_event *event)
{
    switch (event->kind) {
    case WEBSOCKET_EVENT_PIECE:
        if (event->payload.len > 0)
            bytes_append(&trace->payload, event->payload.ptr, event->payload.len);
        if (event->ends) {
            bytes_printf(&trace->text, "p:%zu ", trace->payload.len);
            trace->payload.len = 0;
        }
        break;
    case WEBSOCKET_EVENT_PING:
        bytes_printf(&trace->text, "i:%.*s ", (int)event->payload.len, (const char *)event->payload.ptr);
        break;
    case WEBSOCKET_EVENT_PONG:
        bytes_printf(&trace->text, "o:%.*s ", (int)event->payload.len, (const char *)event->payload.ptr);
        break;
    case WEBSOCKET_EVENT_CLOSE:
        bytes_printf(&trace->text, "c:%u ", event->code);
        break;
    case WEBSOCKET_EVENT_BROKEN:
        bytes_printf(&trace->text, "b:%u ", event->code);
        trace->reason = event->reason;
        break;
    case WEBSOCKET_EVENT_MORE:
        break;
    }
}

/* Feed it in steps of so many bytes. Whether the reader ended between messages. */
static bool read_all(struct bytes stream, enum websocket_side side, size_t step, struct trace *trace)
{
    struct websocket_reader reader = {0};
    struct bytebuf scratch = {0};
    struct websocket_event event = {0};
    *trace = (struct trace){.reason = NULL};
    for (size_t at = 0; at < stream.len && event.kind != WEBSOCKET_EVENT_BROKEN; at += step) {
        struct bytes in = bytes_of(stream.ptr + at, stream.len - at < step ? stream.len - at : step);
        do {
            websocket_read(&reader, side, MESSAGE_MAX, &in, &scratch, &event);
            note(trace, &event);
        } while (event.kind != WEBSOCKET_EVENT_MORE && event.kind != WEBSOCKET_EVENT_BROKEN);
        assert_true(in.len == 0 || event.kind == WEBSOCKET_EVENT_BROKEN);
    }
    bytes_reset(&scratch);
    bytes_append(&trace->text, "", 1);
    return websocket_reader_idle(&reader);
}

static void trace_reset(struct trace *trace)
{
    bytes_reset(&trace->text);
    bytes_reset(&trace->payload);
}

static void expect(struct bytes stream, enum websocket_side side, const char *text)
{
    static const size_t steps[] = {1, 2, 3, 7, 4096, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct trace trace;
        (void)read_all(stream, side, steps[i], &trace);
        assert_string_equal((const char *)trace.text.ptr, text);
        trace_reset(&trace);
    }
}

static void put(struct bytebuf *out, enum websocket_opcode opcode, bool ends, const char *payload)
{
    websocket_put(out, opcode, ends, MASK, bytes_str(payload));
}

static void messages_and_what_stands_between_their_parts(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    put(&out, WEBSOCKET_BINARY, true, "hello");
    put(&out, WEBSOCKET_BINARY, true, "");
    put(&out, WEBSOCKET_BINARY, false, "he");
    put(&out, WEBSOCKET_PING, true, "are you there");
    put(&out, WEBSOCKET_CONTINUATION, false, "");
    put(&out, WEBSOCKET_CONTINUATION, false, "ll");
    put(&out, WEBSOCKET_PONG, true, "");
    put(&out, WEBSOCKET_CONTINUATION, true, "o, world");
    put(&out, WEBSOCKET_CLOSE, true, "\x0f\xa0gone");
    expect(bytes_view(&out), WEBSOCKET_SERVER, "p:5 p:0 i:are you there o: p:12 c:4000 ");
    bytes_reset(&out);
}

static void a_reader_is_idle_between_messages_only(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    struct trace trace;
    put(&out, WEBSOCKET_BINARY, false, "he");
    const size_t first = out.len;
    put(&out, WEBSOCKET_PING, true, "x");
    put(&out, WEBSOCKET_CONTINUATION, true, "llo");
    for (size_t len = 0; len <= out.len; len++) {
        const bool idle = read_all(bytes_of(out.ptr, len), WEBSOCKET_SERVER, SIZE_MAX / 2, &trace);
        assert_int_equal(idle, len == 0 || len == out.len);
        trace_reset(&trace);
    }
    assert_true(first < out.len);
    bytes_reset(&out);
}

/* ---- wslay on the other side ---- */

struct pipe {
    struct bytebuf bytes;
    size_t at;
    struct bytebuf got; /* payloads that wslay read */
    unsigned close_code;
};

static ssize_t pipe_send(const uint8_t *data, size_t len, int flags, void *user)
{
    struct pipe *pipe = user;
    (void)flags;
    bytes_append(&pipe->bytes, data, len);
    return (ssize_t)len;
}

static ssize_t pipe_recv(uint8_t *data, size_t len, int flags, void *user)
{
    struct pipe *pipe = user;
    (void)flags;
    size_t left = pipe->bytes.len - pipe->at;
    if (left == 0)
        return -1;
    len = left < len ? left : len;
    memcpy(data, pipe->bytes.ptr + pipe->at, len);
    pipe->at += len;
    return (ssize_t)len;
}

static ssize_t event_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
    (void)ctx;
    return pipe_send(data, len, flags, user);
}

static ssize_t event_recv(wslay_event_context_ptr ctx, uint8_t *data, size_t len, int flags, void *user)
{
    ssize_t got = pipe_recv(data, len, flags, user);
    if (got < 0)
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return got;
}

static int event_genmask(wslay_event_context_ptr ctx, uint8_t *out, size_t len, void *user)
{
    (void)ctx;
    (void)user;
    memset(out, 0x5a, len);
    return 0;
}

static void event_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct pipe *pipe = user;
    (void)ctx;
    bytes_printf(&pipe->got, "%u:%zu ", arg->opcode, arg->msg_length);
    if (arg->opcode == WSLAY_CONNECTION_CLOSE)
        pipe->close_code = arg->status_code;
}

static const struct wslay_event_callbacks CALLBACKS = {
    .recv_callback = event_recv,
    .send_callback = event_send,
    .genmask_callback = event_genmask,
    .on_msg_recv_callback = event_message,
};

static uint8_t *filled(size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7);
    return bytes;
}

static const size_t SIZES[] = {0, 1, 125, 126, 127, 65535, 65536, MESSAGE_MAX};
#define SIZES_COUNT (sizeof SIZES / sizeof SIZES[0])

static void what_wslay_sends_is_read(void **state)
{
    (void)state;
    struct pipe pipe = {0};
    wslay_event_context_ptr client;
    assert_int_equal(wslay_event_context_client_init(&client, &CALLBACKS, &pipe), 0);
    struct bytebuf text = {0};
    for (size_t i = 0; i < SIZES_COUNT; i++) {
        uint8_t *body = filled(SIZES[i]);
        struct wslay_event_msg message = {.opcode = WSLAY_BINARY_FRAME, .msg = body, .msg_length = SIZES[i]};
        assert_int_equal(wslay_event_queue_msg(client, &message), 0);
        bytes_printf(&text, "p:%zu ", SIZES[i]);
        free(body);
    }
    /* wslay lets control packets overtake what is queued. */
    assert_int_equal(wslay_event_send(client), 0);
    struct wslay_event_msg ping = {.opcode = WSLAY_PING, .msg = (const uint8_t *)"hi", .msg_length = 2};
    assert_int_equal(wslay_event_queue_msg(client, &ping), 0);
    assert_int_equal(wslay_event_send(client), 0);
    assert_int_equal(wslay_event_queue_close(client, 1000, (const uint8_t *)"bye", 3), 0);
    assert_int_equal(wslay_event_send(client), 0);
    struct trace trace;
    assert_true(read_all(bytes_view(&pipe.bytes), WEBSOCKET_SERVER, 1000, &trace));
    bytes_append(&text, "i:hi c:1000 ", sizeof "i:hi c:1000 ");
    assert_string_equal((const char *)text.ptr, (const char *)trace.text.ptr);
    trace_reset(&trace);
    bytes_reset(&text);
    bytes_reset(&pipe.bytes);
    wslay_event_context_free(client);
}

/* Byte for byte: lengths alone would not show a mask that was turned wrong where a read ended. */
static void payloads_come_out_as_they_went_in(void **state)
{
    (void)state;
    uint8_t *body = filled(MESSAGE_MAX);
    struct bytebuf stream = {0}, scratch = {0}, came = {0};
    websocket_put(&stream, WEBSOCKET_BINARY, true, MASK, bytes_of(body, MESSAGE_MAX));
    struct websocket_reader reader = {0};
    struct websocket_event event;
    size_t step = 1;
    for (size_t at = 0; at < stream.len; at += step, step = step % 97 + 1) {
        struct bytes in = bytes_of(stream.ptr + at, stream.len - at < step ? stream.len - at : step);
        do {
            websocket_read(&reader, WEBSOCKET_SERVER, MESSAGE_MAX, &in, &scratch, &event);
            if (event.kind == WEBSOCKET_EVENT_PIECE)
                bytes_append(&came, event.payload.ptr, event.payload.len);
        } while (event.kind != WEBSOCKET_EVENT_MORE);
    }
    assert_int_equal(came.len, MESSAGE_MAX);
    assert_memory_equal(came.ptr, body, MESSAGE_MAX);
    bytes_reset(&stream);
    bytes_reset(&scratch);
    bytes_reset(&came);
    free(body);
}

static void what_is_sent_wslay_reads(void **state)
{
    (void)state;
    struct pipe pipe = {0};
    wslay_event_context_ptr client;
    assert_int_equal(wslay_event_context_client_init(&client, &CALLBACKS, &pipe), 0);
    struct bytebuf text = {0};
    for (size_t i = 0; i < SIZES_COUNT; i++) {
        uint8_t *body = filled(SIZES[i]);
        uint8_t header[WEBSOCKET_SERVER_HEADER_MAX];
        bytes_append(&pipe.bytes, header, websocket_header(header, WEBSOCKET_BINARY, SIZES[i]));
        bytes_append(&pipe.bytes, body, SIZES[i]);
        bytes_printf(&text, "2:%zu ", SIZES[i]);
        free(body);
    }
    websocket_put(&pipe.bytes, WEBSOCKET_PONG, true, NULL, BYTES("there"));
    websocket_put_close(&pipe.bytes, 3500, "the frame breaks the protocol");
    assert_int_equal(wslay_event_recv(client), 0);
    bytes_append_str(&text, "10:5 8:31 ");
    assert_true(bytes_equal(bytes_view(&pipe.got), bytes_view(&text)));
    assert_int_equal(pipe.close_code, 3500);
    bytes_reset(&text);
    bytes_reset(&pipe.got);
    bytes_reset(&pipe.bytes);
    wslay_event_context_free(client);
}

static void a_close_fits_whatever_its_reason(void **state)
{
    (void)state;
    struct bytebuf out = {0};
    char reason[200];
    memset(reason, 'r', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    websocket_put_close(&out, 1002, reason);
    assert_int_equal(out.len, 2 + WEBSOCKET_CONTROL_MAX);
    expect(bytes_view(&out), WEBSOCKET_CLIENT, "c:1002 ");
    out.len = 0;
    websocket_put_close(&out, WEBSOCKET_CODE_NONE, "");
    assert_int_equal(out.len, 2);
    expect(bytes_view(&out), WEBSOCKET_CLIENT, "c:1005 ");
    bytes_reset(&out);
}

/* ---- what no peer should send ---- */

static void a_server_refuses(void **state)
{
    (void)state;
    const struct {
        const char *what;
        struct bytes in;
        const char *text;
    } cases[] = {
        {"not masked", BYTES("\x82\x01x"), "b:1002 "},
        {"a reserved bit", BYTES("\xc2\x80\1\2\3\4"), "b:1002 "},
        {"the last reserved bit", BYTES("\x92\x80\1\2\3\4"), "b:1002 "},
        {"text", BYTES("\x81\x80\1\2\3\4"), "b:1003 "},
        {"an opcode of data that is none", BYTES("\x83\x80\1\2\3\4"), "b:1002 "},
        {"the last of them", BYTES("\x87\x80\1\2\3\4"), "b:1002 "},
        {"an opcode of control that is none", BYTES("\x8b\x80\1\2\3\4"), "b:1002 "},
        {"the last of those", BYTES("\x8f\x80\1\2\3\4"), "b:1002 "},
        {"a ping in parts", BYTES("\x09\x80\1\2\3\4"), "b:1002 "},
        {"a ping that is too long", BYTES("\x89\xfe"), "b:1002 "},
        {"a continuation of nothing", BYTES("\x80\x80\1\2\3\4"), "b:1002 "},
        {"a message within another", BYTES("\x02\x80\1\2\3\4\x82\x80\1\2\3\4"), "b:1002 "},
        {"125 said in two bytes", BYTES("\x82\xfe\x00\x7d\1\2\3\4"), "b:1002 "},
        {"65535 said in eight bytes", BYTES("\x82\xff\0\0\0\0\0\0\xff\xff\1\2\3\4"), "b:1002 "},
        {"a length of 64 bits", BYTES("\x82\xff\x80\0\0\0\0\0\0\0\1\2\3\4"), "b:1002 "},
        {"a message that is too large", BYTES("\x82\xff\0\0\0\0\0\1\x11\x71\1\2\3\4"), "b:1009 "},
        {"the largest length", BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4"), "b:1009 "},
        {"a close of one byte", BYTES("\x88\x81\0\0\0\0\x03"), "b:1002 "},
        {"a close with 999", BYTES("\x88\x82\0\0\0\0\x03\xe7"), "b:1002 "},
        {"a close with 1004", BYTES("\x88\x82\0\0\0\0\x03\xec"), "b:1002 "},
        {"a close with 1005", BYTES("\x88\x82\0\0\0\0\x03\xed"), "b:1002 "},
        {"a close with 1006", BYTES("\x88\x82\0\0\0\0\x03\xee"), "b:1002 "},
        {"a close with 1015", BYTES("\x88\x82\0\0\0\0\x03\xf7"), "b:1002 "},
        {"a close with 5000", BYTES("\x88\x82\0\0\0\0\x13\x88"), "b:1002 "},
        {"a close with a reason that is no UTF-8", BYTES("\x88\x83\0\0\0\0\x03\xe8\xff"), "b:1007 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace trace;
        (void)read_all(cases[i].in, WEBSOCKET_SERVER, 1, &trace);
        if (strcmp((const char *)trace.text.ptr, cases[i].text) != 0)
            fail_msg("%s: %s", cases[i].what, (const char *)trace.text.ptr);
        assert_non_null(trace.reason);
        trace_reset(&trace);
        expect(cases[i].in, WEBSOCKET_SERVER, cases[i].text);
    }
}

static void the_parts_of_a_message_count_together(void **state)
{
    (void)state;
    uint8_t *body = filled(MESSAGE_MAX);
    struct bytebuf out = {0};
    websocket_put(&out, WEBSOCKET_BINARY, false, MASK, bytes_of(body, MESSAGE_MAX - 1));
    put(&out, WEBSOCKET_CONTINUATION, true, "x");
    put(&out, WEBSOCKET_BINARY, true, "y");
    expect(bytes_view(&out), WEBSOCKET_SERVER, "p:70000 p:1 ");
    out.len = 0;
    websocket_put(&out, WEBSOCKET_BINARY, false, MASK, bytes_of(body, MESSAGE_MAX - 1));
    put(&out, WEBSOCKET_CONTINUATION, true, "xy");
    expect(bytes_view(&out), WEBSOCKET_SERVER, "b:1009 ");
    bytes_reset(&out);
    free(body);
}

static void a_client_refuses_masked_packets(void **state)
{
    (void)state;
    expect(BYTES("\x82\x81\1\2\3\4x"), WEBSOCKET_CLIENT, "b:1002 ");
    expect(BYTES("\x82\x01x"), WEBSOCKET_CLIENT, "p:1 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_what_stands_between_their_parts),
        cmocka_unit_test(a_reader_is_idle_between_messages_only),
        cmocka_unit_test(what_wslay_sends_is_read),
        cmocka_unit_test(payloads_come_out_as_they_went_in),
        cmocka_unit_test(what_is_sent_wslay_reads),
        cmocka_unit_test(a_close_fits_whatever_its_reason),
        cmocka_unit_test(a_server_refuses),
        cmocka_unit_test(the_parts_of_a_message_count_together),
        cmocka_unit_test(a_client_refuses_masked_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
