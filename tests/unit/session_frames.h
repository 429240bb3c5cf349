/* session_frames.h: what the tests of wire/session.h share: a codec and a buffer for each test, and a message with all there is in one. */
#ifndef PETREL_TESTS_SESSION_FRAMES_H
#define PETREL_TESTS_SESSION_FRAMES_H

#include "wire/session.h"

#define SESSION_FRAMES_EPOCH 0x0000000167a1b2c3U

struct session_frames {
    struct session_codec *codec;
    struct bytebuf wire;
};

/* Of each test, whose state is a struct session_frames. */
int session_frames_set_up(void **state);
int session_frames_tear_down(void **state);

/* Decode the one frame in the buffer, and empty the buffer: what session_decode() says. What comes out borrows from the buffer. */
int session_frames_decode(struct session_frames *frames, struct session_frame *out);
/* Decode a body that is no frame yet. */
int session_frames_decode_body(struct session_frames *frames, uint8_t type, const char *body, size_t len,
                               struct session_frame *out);

struct id session_frames_id(void);
/* Of that id. */
struct session_message session_frames_message(void);

#endif
