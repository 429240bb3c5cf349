/* A peer's bytes: framing, then the session codec. What decodes is encoded and decoded again, and must then stay the same. */
#include "base/err.h"
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/session.h"

#include <stdio.h>

#define MAX_BODY 65536

struct run {
    struct session_codec *codec;
    struct bytebuf out;
};

static void encode_error(struct bytebuf *out, const struct session_error *error)
{
    char text[SESSION_ERROR_TEXT_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)error->message.len, (const char *)error->message.ptr);
    session_encode_error(out, error->code, text, error->backoff_ms);
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

static void encode(struct bytebuf *out, const struct session_frame *frame)
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
    else if (frame->type == SESSION_GAP)
        session_encode_gap(out, &frame->gap);
    else if (frame->type == SESSION_SUBSCRIBE)
        session_encode_topic_subscribe(out, frame->topic);
    else if (frame->type == SESSION_UNSUBSCRIBE)
        session_encode_topic_unsubscribe(out, frame->topic);
    else if (frame->type == SESSION_SUBSCRIBED)
        session_encode_topic_subscribed(out, &frame->subscribed);
    else if (frame->type == SESSION_GOAWAY)
        session_encode_goaway(out, &frame->goaway);
    else
        encode_error(out, &frame->error);
}

static int on_frame(void *ctx, const struct frame *frame)
{
    struct run *run = ctx;
    struct session_frame decoded;
    petrel_assert(frame->body.len <= MAX_BODY);
    if (session_decode(run->codec, frame, &decoded) != 0)
        return 0;
    run->out.len = 0;
    encode(&run->out, &decoded);

    struct bytes in = bytes_view(&run->out);
    struct frame again;
    petrel_assert(frame_take(&in, FRAME_BODY_MAX, &again) == 0 && in.len == 0 && again.type == frame->type);
    petrel_assert(session_decode(run->codec, &again, &decoded) == 0);
    struct bytebuf twice = {0};
    encode(&twice, &decoded);
    petrel_assert(bytes_equal(bytes_view(&twice), bytes_view(&run->out)));
    bytes_reset(&twice);
    return 0;
}

static int read_in_steps(struct run *run, struct bytes stream, size_t step)
{
    struct frame_reader reader = {{0}};
    int rc = 0;
    for (size_t at = 0; at < stream.len && rc == 0; at += step) {
        size_t len = stream.len - at < step ? stream.len - at : step;
        rc = frame_reader_feed(&reader, MAX_BODY, bytes_of(stream.ptr + at, len), on_frame, run);
    }
    frame_reader_reset(&reader);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.codec = session_codec_new()};
    struct bytes stream = bytes_of(data, size);
    int whole = read_in_steps(&run, stream, size + 1);
    int pieces = read_in_steps(&run, stream, 7);
    petrel_assert(whole == pieces && (whole == 0 || whole == PETREL_E_TOO_LARGE));
    bytes_reset(&run.out);
    session_codec_free(&run.codec);
    return 0;
}
