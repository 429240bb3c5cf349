#include "unit/http2_peer.h"

#include "wire/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINES_MAX 128

static struct http2_peer_stream *stream_of(struct http2_peer *peer, int32_t id)
{
    for (size_t i = 0; i < peer->count; i++) {
        if (peer->streams[i].id == id)
            return &peer->streams[i];
    }
    return NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct http2_peer_stream *stream = stream_of(ctx, frame->hd.stream_id);
    (void)session, (void)flags;
    if (stream == NULL)
        return 0;
    if (bytes_equal_str(bytes_of(name, name_len), ":status")) {
        stream->continued = stream->continued || bytes_equal_str(bytes_of(value, value_len), "100");
        stream->status = (unsigned)strtoul((const char *)value, NULL, 10);
    }
    bytes_printf(&stream->head, "%.*s: %.*s\n", (int)name_len, (const char *)name, (int)value_len, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx)
{
    (void)session, (void)flags;
    bytes_append(&stream_of(ctx, id)->body, data, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct http2_peer *peer = ctx;
    struct http2_peer_stream *stream = stream_of(peer, frame->hd.stream_id);
    (void)session;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && stream != NULL)
        stream->ended = stream->ended || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->went_away = true;
        peer->goaway = frame->goaway.error_code;
        peer->goaway_last = frame->goaway.last_stream_id;
    }
    peer->pongs += frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    for (size_t i = 0; frame->hd.type == NGHTTP2_SETTINGS && i < frame->settings.niv; i++) {
        if (frame->settings.iv[i].settings_id == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
            peer->max_streams = frame->settings.iv[i].value;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
    struct http2_peer_stream *stream = stream_of(ctx, id);
    (void)session;
    if (stream != NULL) {
        stream->closed = true;
        stream->error = error;
    }
    return 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room, uint32_t *flags,
                       nghttp2_data_source *source, void *ctx)
{
    struct http2_peer_stream *stream = source->ptr;
    const size_t left = stream->sent_len - stream->sent_at;
    const size_t len = left < room ? left : room;
    (void)session, (void)id, (void)ctx;
    if (len == 0 && stream->goes_on)
        return NGHTTP2_ERR_DEFERRED;
    if (len > 0)
        memcpy(out, stream->sent + stream->sent_at, len);
    stream->sent_at += len;
    if (len == left && !stream->goes_on)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

void http2_peer_open(struct http2_peer *peer, uint32_t window, bool hold_windows)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    memset(peer, 0, sizeof *peer);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_auto_window_update(option, hold_windows);
    nghttp2_option_set_peer_max_concurrent_streams(option, HTTP2_PEER_STREAMS_MAX);
    assert_int_equal(nghttp2_session_client_new2(&peer->session, callbacks, peer, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    assert_int_equal(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, &settings, 1), 0);
}

void http2_peer_close(struct http2_peer *peer)
{
    nghttp2_session_del(peer->session);
    for (size_t i = 0; i < peer->count; i++) {
        bytes_reset(&peer->streams[i].head);
        bytes_reset(&peer->streams[i].body);
    }
}

static size_t put_lines(nghttp2_nv *out, size_t count, const char *const *lines)
{
    for (; *lines != NULL; lines += 2) {
        assert_true(count < LINES_MAX);
        out[count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)lines[0], (uint8_t *)(uintptr_t)lines[1], strlen(lines[0]),
                                    strlen(lines[1]), NGHTTP2_NV_FLAG_NONE};
    }
    return count;
}

static size_t submit(struct http2_peer *peer, const nghttp2_nv *lines, size_t count, struct bytes body, bool goes_on)
{
    assert_true(peer->count < HTTP2_PEER_STREAMS_MAX);
    struct http2_peer_stream *stream = &peer->streams[peer->count];
    *stream = (struct http2_peer_stream){.sent = body.ptr, .sent_len = body.len, .goes_on = goes_on};
    const nghttp2_data_provider data = {.source = {.ptr = stream}, .read_callback = on_read};
    stream->id = nghttp2_submit_request(peer->session, NULL, lines, count, body.ptr != NULL ? &data : NULL, stream);
    assert_true(stream->id > 0);
    return peer->count++;
}

size_t http2_peer_ask(struct http2_peer *peer, const struct http2_peer_ask *ask)
{
    const char *const pseudo[] = {":method",    ask->method != NULL ? ask->method : "GET",
                                  ":scheme",    "http",
                                  ":path",      ask->path,
                                  ":authority", "test",
                                  NULL};
    nghttp2_nv lines[LINES_MAX];
    size_t count = put_lines(lines, 0, pseudo);
    if (ask->headers != NULL)
        count = put_lines(lines, count, ask->headers);
    return submit(peer, lines, count, ask->body, ask->goes_on);
}

size_t http2_peer_ask_lines(struct http2_peer *peer, const char *const *texts)
{
    nghttp2_nv lines[LINES_MAX];
    const size_t count = put_lines(lines, 0, texts);
    return submit(peer, lines, count, (struct bytes){NULL, 0}, false);
}

void http2_peer_reset(struct http2_peer *peer, size_t at)
{
    assert_int_equal(nghttp2_submit_rst_stream(peer->session, NGHTTP2_FLAG_NONE, peer->streams[at].id, NGHTTP2_CANCEL),
                     0);
}

void http2_peer_say(struct http2_peer *peer, struct bytebuf *out)
{
    const uint8_t *frame;
    for (ssize_t len; (len = nghttp2_session_mem_send(peer->session, &frame)) != 0;) {
        assert_true(len > 0);
        bytes_append(out, frame, (size_t)len);
    }
}

void http2_peer_hear(struct http2_peer *peer, struct bytes in)
{
    if (in.len > 0)
        assert_int_equal(nghttp2_session_mem_recv(peer->session, in.ptr, in.len), in.len);
}

void http2_peer_frame(struct bytebuf *out, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload)
{
    const uint8_t head[9] = {
        (uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len,   type,           flags,
        (uint8_t)(stream >> 24),      (uint8_t)(stream >> 16),     (uint8_t)(stream >> 8), (uint8_t)stream};
    bytes_append(out, head, sizeof head);
    bytes_append(out, payload.ptr, payload.len);
}
