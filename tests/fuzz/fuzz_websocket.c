/* A peer's packets: the reader says the same however they arrive, hands over no more than came, and what it took it can be sent again.
 * The first byte chooses the side. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/websocket.h"

#define MESSAGE_MAX 4096

/* What was read, so that two ways of arriving can be compared. */
struct trace {
    struct bytebuf seen;
    struct bytebuf message;
    struct bytebuf again; /* whole messages, as the other side would write them */
    size_t messages;
    bool broken;
};

static const uint8_t MASK[] = {1, 2, 3, 4};

static void note(struct trace *trace, enum websocket_side side, const struct websocket_event *event)
{
    if (event->kind == WEBSOCKET_EVENT_PIECE) {
        bytes_append(&trace->message, event->payload.ptr, event->payload.len);
        petrel_assert(trace->message.len <= MESSAGE_MAX);
        if (!event->ends)
            return;
        bytes_put_blob(&trace->seen, bytes_view(&trace->message));
        websocket_put(&trace->again, WEBSOCKET_BINARY, true, side == WEBSOCKET_SERVER ? MASK : NULL,
                      bytes_view(&trace->message));
        trace->messages++;
        trace->message.len = 0;
        return;
    }
    if (event->kind == WEBSOCKET_EVENT_MORE)
        return;
    petrel_assert(event->payload.len <= WEBSOCKET_CONTROL_MAX);
    petrel_assert((event->kind == WEBSOCKET_EVENT_BROKEN) == (event->reason != NULL));
    bytes_put_u8(&trace->seen, (uint8_t)event->kind);
    bytes_put_u32(&trace->seen, event->code);
    bytes_put_blob(&trace->seen, event->payload);
    trace->broken = event->kind == WEBSOCKET_EVENT_BROKEN;
}

static struct trace read_in_steps(struct bytes stream, enum websocket_side side, size_t step)
{
    struct trace trace = {.messages = 0};
    struct websocket_reader reader = {0};
    struct bytebuf scratch = {0};
    for (size_t at = 0; at < stream.len && !trace.broken; at += step) {
        struct bytes in = bytes_of(stream.ptr + at, stream.len - at < step ? stream.len - at : step);
        struct websocket_event event;
        do {
            /* As the session role does: between messages nothing is kept. */
            if (websocket_reader_idle(&reader))
                reader = (struct websocket_reader){0};
            websocket_read(&reader, side, MESSAGE_MAX, &in, &scratch, &event);
            note(&trace, side, &event);
        } while (event.kind != WEBSOCKET_EVENT_MORE && !trace.broken);
        petrel_assert(trace.broken || in.len == 0);
    }
    bytes_reset(&scratch);
    return trace;
}

static void reset(struct trace *trace)
{
    bytes_reset(&trace->seen);
    bytes_reset(&trace->message);
    bytes_reset(&trace->again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const enum websocket_side side = (data[0] & 1) != 0 ? WEBSOCKET_CLIENT : WEBSOCKET_SERVER;
    const struct bytes stream = bytes_of(data + 1, size - 1);
    struct trace whole = read_in_steps(stream, side, size);
    struct trace pieces = read_in_steps(stream, side, 3);
    petrel_assert(whole.broken == pieces.broken && bytes_equal(bytes_view(&whole.seen), bytes_view(&pieces.seen)));
    struct trace again = read_in_steps(bytes_view(&whole.again), side, SIZE_MAX / 2);
    petrel_assert(!again.broken && again.messages == whole.messages);
    petrel_assert(bytes_equal(bytes_view(&again.again), bytes_view(&whole.again)));
    reset(&whole);
    reset(&pieces);
    reset(&again);
    return 0;
}
