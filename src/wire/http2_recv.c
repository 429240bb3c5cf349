/* What nghttp2 tells while it reads. */
#include "wire/http2_impl.h"

/* A stream of which more than this waits for its window may soon have to stop. */
#define NEARLY_STARVED (HTTP2_STREAM_WINDOW / 2)

/* The connection ends with that code. */
static int end_with(struct http2 *http2, uint32_t verdict)
{
    if (http2->verdict == NGHTTP2_NO_ERROR)
        http2->verdict = verdict;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int spend(struct http2 *http2, struct http2_bucket *bucket, uint64_t burst, uint64_t per_s)
{
    bucket->milli += (http2->now_ms - bucket->at_ms) * per_s;
    bucket->at_ms = http2->now_ms;
    if (bucket->milli > 1000 * burst)
        bucket->milli = 1000 * burst;
    if (bucket->milli < 1000)
        return end_with(http2, NGHTTP2_ENHANCE_YOUR_CALM);
    bucket->milli -= 1000;
    return 0;
}

static int spend_reset(struct http2 *http2)
{
    return spend(http2, &http2->resets, HTTP2_RESETS_BURST, HTTP2_RESETS_PER_S);
}

static int spend_idle_frame(struct http2 *http2)
{
    return spend(http2, &http2->idle_frames, HTTP2_IDLE_FRAMES_BURST, HTTP2_IDLE_FRAMES_PER_S);
}

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* A frame's first bytes; not of CONTINUATION, and not of frames that nobody knows, which cost no more than their bytes. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *ctx)
{
    struct http2 *http2 = ctx;
    (void)session;
    http2->block_stream = 0; /* however the head before it ended */
    switch (frame->type) {
    case NGHTTP2_DATA:
        return frame->length == 0 && (frame->flags & NGHTTP2_FLAG_END_STREAM) == 0 ? spend_idle_frame(http2) : 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_WINDOW_UPDATE:
        return 0;
    case NGHTTP2_RST_STREAM:
        return spend_reset(http2);
    default:
        return spend_idle_frame(http2);
    }
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct http2 *http2 = ctx;
    http2->blocks++;
    http2->block_bytes = 0;
    http2->block_began_ms = http2->now_ms;
    http2->block_stream = frame->hd.stream_id;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct http2_stream *stream = http2_open_stream(http2, frame->hd.stream_id);
    (void)nghttp2_session_set_stream_user_data(session, stream->id, stream); /* fails only without such a stream */
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct http2 *http2 = ctx;
    struct http2_stream *stream = stream_of(session, frame->hd.stream_id);
    (void)flags;
    if (stream == NULL)
        return 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        http2_head_add(stream, bytes_of(name, name_len), bytes_of(value, value_len));
    else
        stream->listed += name_len + value_len; /* a trailer: nothing here wants one */
    /* A few bytes may stand for many that were said before. */
    return stream->listed > HTTP2_BLOCK_MAX ? end_with(http2, NGHTTP2_ENHANCE_YOUR_CALM) : 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct http2_stream *stream = stream_of(session, frame->hd.stream_id);
    (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)ctx;
    if (stream != NULL)
        http2_refuse(stream, 400, "a header holds a character that none may");
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *ctx)
{
    struct http2 *http2 = ctx;
    struct http2_stream *stream = stream_of(session, id);
    (void)flags;
    if (nghttp2_session_consume_connection(session, len) != 0)
        return end_with(http2, NGHTTP2_INTERNAL_ERROR);
    if (stream == NULL || stream->refusal.status != 0)
        return 0; /* without a window it will stop */
    if (len > http2->limits.max_body - stream->body.len) {
        http2_refuse(stream, 413, "the body is larger than is accepted");
        http2_settle(stream);
        return 0;
    }
    bytes_append(&stream->body, data, len);
    http2->held += len;
    stream->withheld += len;
    if (http2->granted == NULL && stream->withheld > NEARLY_STARVED) {
        http2_grant(stream);
    } else if (http2->granted == stream) {
        stream->withheld = 0;
        (void)nghttp2_session_consume_stream(session, id, len);
    } else if (stream->withheld > NEARLY_STARVED && stream->phase == HTTP2_READING) {
        http2_move(stream, HTTP2_STARVED);
    }
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct http2 *http2 = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct http2_stream *stream = stream_of(session, frame->hd.stream_id);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        http2->block_stream = 0;
    if (stream == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        http2_head_check(stream, !ends);
    if (ends || stream->refusal.status != 0)
        http2_settle(stream);
    return 0;
}

/* That we had to reset a stream is the peer's doing as much as if it had done so; but not what we do by ourselves. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct http2 *http2 = ctx;
    const uint32_t code = frame->rst_stream.error_code;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        return code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL ? 0 : spend_reset(http2);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (ends && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
        http2_move(stream_of(session, frame->hd.stream_id), HTTP2_LINGERING);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct http2 *http2 = ctx;
    struct http2_stream *stream = stream_of(session, id);
    (void)code;
    if (http2->block_stream == id)
        http2->block_stream = 0; /* nobody told of a head's end that was malformed */
    if (stream == NULL)
        return 0;
    if (stream == http2->standing)
        stream->gone = true; /* its request is lent */
    else
        http2_free_stream(stream);
    return 0;
}

void http2_recv_set(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
