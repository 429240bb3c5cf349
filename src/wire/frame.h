/* frame.h: the 4-byte framing that phones and nodes share: byte 0 the type, bytes 1-3 the body's length, big endian.
 * Sans-I/O. */
#ifndef PETREL_WIRE_FRAME_H
#define PETREL_WIRE_FRAME_H

#include "base/bytes.h"

#define FRAME_HEADER_BYTES 4
#define FRAME_BODY_MAX 0xffffffU  /* what the length can say */
#define FRAME_BODY_DEFAULT 65536U /* the session protocol's default cap */

struct frame {
    uint8_t type;
    struct bytes body;
};

/* Take one frame from the front of *in; its body borrows from there. 0; PETREL_E_NEED_MORE (*in as it was);
 * PETREL_E_TOO_LARGE as soon as the header says more than max_body, before any of the body is awaited. */
int frame_take(struct bytes *in, uint32_t max_body, struct frame *out);

/* Write the header of a body of len bytes. */
void frame_header(uint8_t out[FRAME_HEADER_BYTES], uint8_t type, uint32_t len);

/* Turns arriving bytes into frames; keeps a partial frame only while it is partial. {0} is ready. */
struct frame_reader {
    struct bytebuf partial;
};

/* Called for each whole frame, whose body is valid until it returns. Non-zero stops the reader, which returns it. */
typedef int frame_fn(void *ctx, const struct frame *frame);

/* Give it what arrived. 0; PETREL_E_TOO_LARGE; or what on_frame returned. After an error the reader is of no more use.
 * Memory is taken for a partial frame only as its bytes arrive (at most what arrived, rounded up), never by its claimed
 * length. on_frame may free the reader's owner only if it returns non-zero, and then the reader is not touched again. */
int frame_reader_feed(struct frame_reader *reader, uint32_t max_body, struct bytes data, frame_fn *on_frame, void *ctx);
void frame_reader_reset(struct frame_reader *reader);

#endif
