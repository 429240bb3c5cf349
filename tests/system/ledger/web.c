#include "system/ledger/web.h"

#include "base/object.h"
#include "wire/frame.h"

#define ANSWER_MAX 4096

struct bytes web_request(void)
{
    return bytes_str("GET /v1/session HTTP/1.1\r\nHost: ledger\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Protocol: petrel.v1\r\n\r\n");
}

/* The server says nothing after it before it has heard CONNECT. */
static int take_answer(struct web *web, struct bytes in)
{
    static const char good[] = "HTTP/1.1 101 ", end[] = "\r\n\r\n";
    struct bytebuf *answer = &web->answer;
    bytes_append(answer, in.ptr, in.len);
    if (answer->len < sizeof good || memcmp(answer->ptr + answer->len - 4, end, 4) != 0)
        return answer->len < ANSWER_MAX ? 0 : -1;
    web->upgraded = memcmp(answer->ptr, good, sizeof good - 1) == 0;
    return web->upgraded ? 0 : -1;
}

static int take_event(struct web *web, const struct websocket_event *event)
{
    static const uint8_t no_mask[4] = {0};
    switch (event->kind) {
    case WEBSOCKET_EVENT_PIECE:
        bytes_append(&web->frames, event->payload.ptr, event->payload.len);
        return 0;
    case WEBSOCKET_EVENT_PING:
        websocket_put(&web->pongs, WEBSOCKET_PONG, true, no_mask, event->payload);
        return 0;
    case WEBSOCKET_EVENT_MORE:
    case WEBSOCKET_EVENT_PONG:
        return 0;
    case WEBSOCKET_EVENT_CLOSE: /* what was said before it counts; the end follows */
        return 0;
    case WEBSOCKET_EVENT_BROKEN:
        break;
    }
    return -1;
}

int web_take(struct web *web, struct bytes in)
{
    web->frames.len = 0;
    if (!web->upgraded)
        return take_answer(web, in);
    struct websocket_event event = {.kind = WEBSOCKET_EVENT_PIECE};
    int rc = 0;
    while (rc == 0 && event.kind != WEBSOCKET_EVENT_MORE && event.kind != WEBSOCKET_EVENT_CLOSE) {
        websocket_read(&web->reader, WEBSOCKET_CLIENT, FRAME_BODY_MAX, &in, &web->scratch, &event);
        rc = take_event(web, &event);
    }
    return rc;
}

void web_wrap(struct web *web, struct rng *rng, struct bytes frames)
{
    web->out.len = 0;
    bytes_append(&web->out, web->pongs.ptr, web->pongs.len);
    web->pongs.len = 0;
    while (frames.len > 0) {
        const struct bytes whole = frames;
        struct frame frame;
        const int rc = frame_take(&frames, FRAME_BODY_MAX, &frame);
        petrel_assert(rc == 0);
        const uint64_t mask = rng_u64(rng);
        websocket_put(&web->out, WEBSOCKET_BINARY, true, (const uint8_t *)&mask,
                      bytes_of(whole.ptr, whole.len - frames.len));
    }
}

void web_reset(struct web *web)
{
    bytes_reset(&web->answer);
    bytes_reset(&web->scratch);
    bytes_reset(&web->frames);
    bytes_reset(&web->out);
    bytes_reset(&web->pongs);
    *web = (struct web){0};
}
