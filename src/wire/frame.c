#include "wire/frame.h"

#include "base/err.h"
#include "base/object.h"

static uint32_t body_len(const uint8_t header[FRAME_HEADER_BYTES])
{
    return (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | (uint32_t)header[3];
}

int frame_take(struct bytes *in, uint32_t max_body, struct frame *out)
{
    if (in->len < FRAME_HEADER_BYTES)
        return PETREL_E_NEED_MORE;
    uint32_t len = body_len(in->ptr);
    if (len > max_body)
        return PETREL_E_TOO_LARGE;
    if (in->len - FRAME_HEADER_BYTES < len)
        return PETREL_E_NEED_MORE;
    *out = (struct frame){.type = in->ptr[0], .body = bytes_of(in->ptr + FRAME_HEADER_BYTES, len)};
    *in = bytes_of(in->ptr + FRAME_HEADER_BYTES + len, in->len - FRAME_HEADER_BYTES - len);
    return 0;
}

void frame_header(uint8_t out[FRAME_HEADER_BYTES], uint8_t type, uint32_t len)
{
    petrel_assert(len <= FRAME_BODY_MAX);
    out[0] = type;
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
}

/* Move bytes from *data until the partial frame is whole, or *data is empty. 0 when it is whole. */
static int complete_partial(struct bytebuf *partial, uint32_t max_body, struct bytes *data)
{
    for (;;) {
        size_t want = FRAME_HEADER_BYTES;
        if (partial->len >= FRAME_HEADER_BYTES) {
            uint32_t len = body_len(partial->ptr);
            if (len > max_body)
                return PETREL_E_TOO_LARGE;
            want += len;
            if (partial->len == want)
                return 0;
        }
        if (data->len == 0)
            return PETREL_E_NEED_MORE;
        size_t missing = want - partial->len;
        size_t step = missing < data->len ? missing : data->len;
        bytes_append(partial, data->ptr, step);
        *data = bytes_of(data->ptr + step, data->len - step);
    }
}

/* Hand over the frame that was partial and is whole now. */
static int finish_partial(struct frame_reader *reader, uint32_t max_body, frame_fn *on_frame, void *ctx)
{
    /* The bytes are moved out of the reader first: on_frame may free its owner. */
    struct bytebuf whole = reader->partial;
    reader->partial = (struct bytebuf){0};
    struct bytes rest = bytes_view(&whole);
    struct frame frame;
    int rc = frame_take(&rest, max_body, &frame);
    petrel_assert(rc == 0 && rest.len == 0);
    rc = on_frame(ctx, &frame);
    bytes_reset(&whole);
    return rc;
}

int frame_reader_feed(struct frame_reader *reader, uint32_t max_body, struct bytes data, frame_fn *on_frame, void *ctx)
{
    if (reader->partial.len > 0) {
        int rc = complete_partial(&reader->partial, max_body, &data);
        if (rc != 0)
            return rc == PETREL_E_NEED_MORE ? 0 : rc;
        rc = finish_partial(reader, max_body, on_frame, ctx);
        if (rc != 0)
            return rc;
    }
    struct frame frame;
    int rc;
    while ((rc = frame_take(&data, max_body, &frame)) == 0) {
        rc = on_frame(ctx, &frame);
        if (rc != 0)
            return rc;
    }
    if (rc != PETREL_E_NEED_MORE)
        return rc;
    bytes_append(&reader->partial, data.ptr, data.len);
    return 0;
}

void frame_reader_reset(struct frame_reader *reader)
{
    bytes_reset(&reader->partial);
}
