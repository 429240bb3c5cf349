#include "unit/session_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

int session_frames_set_up(void **state)
{
    static struct session_frames frames;
    frames = (struct session_frames){.codec = session_codec_new()};
    *state = &frames;
    return 0;
}

int session_frames_tear_down(void **state)
{
    struct session_frames *frames = *state;
    session_codec_free(&frames->codec);
    bytes_reset(&frames->wire);
    return 0;
}

int session_frames_decode(struct session_frames *frames, struct session_frame *out)
{
    struct bytes in = bytes_view(&frames->wire);
    struct frame frame;
    assert_int_equal(frame_take(&in, FRAME_BODY_MAX, &frame), 0);
    assert_int_equal(in.len, 0);
    int rc = session_decode(frames->codec, &frame, out);
    frames->wire.len = 0;
    return rc;
}

int session_frames_decode_body(struct session_frames *frames, uint8_t type, const char *body, size_t len,
                               struct session_frame *out)
{
    struct frame frame = {.type = type, .body = bytes_of(body, len)};
    return session_decode(frames->codec, &frame, out);
}

struct id session_frames_id(void)
{
    return (struct id){{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
}

struct session_message session_frames_message(void)
{
    return (struct session_message){.id = session_frames_id(),
                                    .is_json = true,
                                    .body = bytes_str("{\"a\": \"\xc3\xa9\"}\n"),
                                    .sent_ms = 1,
                                    .expires_ms = 2,
                                    .collapse_key = bytes_str("score"),
                                    .high = true,
                                    .late = true};
}
