#include "unit/http2_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BEGAN_MS 1000000

void http2_rig_reopen(struct http2_rig *rig, uint32_t window, bool hold_windows)
{
    const struct http2_limits limits = {.max_body = HTTP2_RIG_BODY_MAX, .max_streams = HTTP2_RIG_STREAMS};
    if (rig->http2 != NULL) {
        http2_free(&rig->http2);
        http2_peer_close(&rig->peer);
    }
    rig->http2 = http2_new(&limits, rig->now_ms);
    rig->ended = false;
    http2_peer_open(&rig->peer, window, hold_windows);
}

int http2_rig_setup(void **state)
{
    struct http2_rig *rig = calloc(1, sizeof *rig);
    if (rig == NULL)
        return -1;
    rig->now_ms = BEGAN_MS;
    http2_rig_reopen(rig, NGHTTP2_INITIAL_WINDOW_SIZE, false);
    *state = rig;
    return 0;
}

int http2_rig_teardown(void **state)
{
    struct http2_rig *rig = *state;
    http2_free(&rig->http2);
    http2_peer_close(&rig->peer);
    bytes_reset(&rig->raw);
    free(rig);
    return 0;
}

static void feed(struct http2_rig *rig, struct bytes in)
{
    const size_t step = rig->step > 0 ? rig->step : in.len;
    for (size_t at = 0; at < in.len; at += step)
        http2_feed(rig->http2, bytes_of(in.ptr + at, in.len - at < step ? in.len - at : step), rig->now_ms);
}

bool http2_rig_hear(struct http2_rig *rig)
{
    struct bytebuf said = {0};
    http2_peer_say(&rig->peer, &said);
    const bool any = said.len + rig->raw.len > 0;
    feed(rig, bytes_view(&said));
    feed(rig, bytes_view(&rig->raw));
    rig->raw.len = 0;
    bytes_reset(&said);
    return any;
}

/* By the frames themselves: to what the test said by itself the client did not expect an answer, and is deaf afterwards. */
static void look_for_goaway(struct http2_rig *rig, struct bytes said)
{
    for (size_t at = 0; at < said.len;) {
        const uint8_t *frame = said.ptr + at;
        assert_true(said.len - at >= 9);
        const uint32_t code = frame[3] == NGHTTP2_GOAWAY ? frame[16] : NGHTTP2_NO_ERROR; /* none is larger */
        if (code != NGHTTP2_NO_ERROR) {
            assert_false(rig->ended);
            rig->ended = true;
            rig->code = code;
        }
        at += 9 + ((size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2]);
        assert_true(at <= said.len);
    }
}

bool http2_rig_half_turn(struct http2_rig *rig)
{
    struct bytebuf said = {0};
    const bool heard = http2_rig_hear(rig);
    http2_output(rig->http2, &said, SIZE_MAX, rig->now_ms);
    const bool any = heard || said.len > 0;
    look_for_goaway(rig, bytes_view(&said));
    http2_peer_hear(&rig->peer, bytes_view(&said));
    bytes_reset(&said);
    return any;
}

void http2_rig_turn(struct http2_rig *rig)
{
    while (http2_rig_half_turn(rig))
        continue;
}

void http2_rig_answer(struct http2_rig *rig, uint32_t stream, unsigned status, const char *text)
{
    struct bytebuf body = {0};
    bytes_append_str(&body, text);
    const struct http_response response = {.status = status, .content_type = "text/plain", .body = bytes_view(&body)};
    http2_answer(rig->http2, stream, &response, &body);
    assert_null(body.ptr);
}

void http2_rig_answer_next(struct http2_rig *rig, unsigned status, const char *text)
{
    const uint32_t stream = http2_next(rig->http2);
    assert_int_not_equal(stream, 0);
    http2_done(rig->http2);
    http2_rig_answer(rig, stream, status, text);
}

void http2_rig_expect(const struct http2_rig *rig, size_t at, unsigned status, const char *text)
{
    const struct http2_peer_stream *stream = &rig->peer.streams[at];
    assert_int_equal(stream->status, status);
    assert_true(stream->ended);
    assert_true(bytes_equal_str(bytes_view(&stream->body), text));
}

void http2_rig_expect_head(const struct http2_rig *rig, size_t at, const char *head)
{
    const struct bytebuf *got = &rig->peer.streams[at].head;
    if (!bytes_equal_str(bytes_view(got), head))
        fail_msg("the head is %.*s", (int)got->len, (const char *)got->ptr);
}

void http2_rig_expect_end(const struct http2_rig *rig, uint32_t code)
{
    assert_true(rig->ended);
    assert_int_equal(rig->code, code);
    assert_true(http2_over(rig->http2));
}
