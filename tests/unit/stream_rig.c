#include "unit/stream_rig.h"

#include "base/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PIECE_MAX 65536

/* The owner of one accepted stream. */
struct owner {
    struct stream_rig *rig;
    struct stream *stream;
    bool closed;
    bool ended;
};

static void close_now(struct owner *owner)
{
    owner->closed = true;
    if (owner->rig->flushed)
        stream_close_flushed(owner->stream, 20000);
    else
        stream_close(owner->stream);
    stream_write_copy(owner->stream, bytes_str("never")); /* what comes after a close is dropped */
    stream_close_flushed(owner->stream, 20000);
}

static void on_data(void *ctx, struct bytes data)
{
    struct owner *owner = ctx;
    struct stream_rig *rig = owner->rig;
    if (owner->closed || owner->ended)
        rig->after_end++;
    if (rig->peek && !stream_is_secure(owner->stream)) {
        stream_secure(owner->stream, rig->tls, data);
        return;
    }
    rig->alpn = stream_alpn(owner->stream);
    rig->bytes += data.len;
    if (rig->echo && rig->at_once)
        stream_write_now(owner->stream, data);
    else if (rig->echo)
        stream_write_copy(owner->stream, data);
    if (rig->pause_in_data)
        stream_pause(owner->stream);
    if (rig->close_in == CLOSE_IN_DATA)
        close_now(owner);
    loop_rig_bump(&rig->loop, &rig->data);
}

static void on_full(void *ctx)
{
    struct owner *owner = ctx;
    struct stream_rig *rig = owner->rig;
    if (owner->closed || stream_queued(owner->stream) == 0 || !stream_blocked(owner->stream))
        rig->after_end++;
    loop_rig_bump(&rig->loop, &rig->full);
}

static void on_drain(void *ctx)
{
    struct owner *owner = ctx;
    struct stream_rig *rig = owner->rig;
    if (owner->closed || stream_queued(owner->stream) != 0)
        rig->after_end++;
    if (rig->close_in == CLOSE_IN_DRAIN)
        close_now(owner);
    loop_rig_bump(&rig->loop, &rig->drained);
}

static void on_end(void *ctx, int status)
{
    struct owner *owner = ctx;
    struct stream_rig *rig = owner->rig;
    if (owner->closed || owner->ended)
        rig->after_end++;
    owner->ended = true;
    rig->end_status = status;
    if (!rig->keep_after_end)
        close_now(owner);
    loop_rig_bump(&rig->loop, &rig->ended);
}

static void on_turn(void *ctx)
{
    struct owner *owner = ctx;
    loop_rig_bump(&owner->rig->loop, &owner->rig->turns);
}

static void on_closed(void *ctx)
{
    struct owner *owner = ctx;
    struct stream_rig *rig = owner->rig;
    if (rig->last == owner->stream)
        rig->last = NULL;
    free(owner);
    loop_rig_bump(&rig->loop, &rig->closed);
}

static const struct stream_ops OPS = {.on_data = on_data,
                                      .on_full = on_full,
                                      .on_drain = on_drain,
                                      .on_end = on_end,
                                      .on_turn = on_turn,
                                      .on_closed = on_closed};

static void on_accept(void *ctx, struct stream *stream)
{
    struct stream_rig *rig = ctx;
    if (rig->close_in == CLOSE_IN_ACCEPT) {
        stream_write_copy(stream, bytes_str("go away"));
        if (rig->flushed)
            stream_close_flushed(stream, 20000);
        else
            stream_close(stream);
        loop_rig_bump(&rig->loop, &rig->accepted);
        return;
    }
    struct owner *owner = object_zalloc(sizeof *owner);
    *owner = (struct owner){.rig = rig, .stream = stream};
    if (rig->pause)
        stream_pause(stream);
    if (rig->tls != NULL && !rig->peek)
        stream_secure(stream, rig->tls, bytes_of("", 0));
    stream_attach(stream, &OPS, owner);
    rig->last = stream;
    loop_rig_bump(&rig->loop, &rig->accepted);
}

struct opening {
    struct stream_rig *rig;
    const char *host;
    int rc;
};

static void open_listener(void *arg)
{
    struct opening *opening = arg;
    struct stream_rig *rig = opening->rig;
    struct listener_config config = {.host = opening->host};
    opening->rc = listener_open(&rig->listener, rig->loop.loop, &config, on_accept, rig);
    if (opening->rc == 0)
        rig->port = listener_port(rig->listener);
}

static bool start(struct stream_rig *rig, bool ipv6, uint32_t read_bytes)
{
    *rig = (struct stream_rig){.port = 0};
    loop_rig_start_with(&rig->loop, &(struct loop_config){.index = 1, .read_buffer_bytes = read_bytes});
    struct opening opening = {.rig = rig, .host = ipv6 ? "::1" : "127.0.0.1"};
    loop_rig_call(&rig->loop, open_listener, &opening);
    if (opening.rc != 0 && ipv6) {
        loop_rig_stop(&rig->loop);
        return false;
    }
    assert_int_equal(opening.rc, 0);
    return true;
}

bool stream_rig_start(struct stream_rig *rig, bool ipv6)
{
    return start(rig, ipv6, 0);
}

void stream_rig_start_reading(struct stream_rig *rig, uint32_t bytes)
{
    assert_true(start(rig, false, bytes));
}

static void close_all(void *arg)
{
    struct stream_rig *rig = arg;
    listener_close(&rig->listener);
    if (rig->last != NULL)
        stream_close(rig->last);
}

void stream_rig_stop(struct stream_rig *rig)
{
    loop_rig_call(&rig->loop, close_all, rig);
    loop_rig_stop(&rig->loop);
    assert_null(rig->listener);
    assert_int_equal(rig->closed, rig->close_in == CLOSE_IN_ACCEPT ? 0 : rig->accepted);
    assert_int_equal(rig->after_end, 0);
}

static uint8_t pattern_at(size_t place)
{
    return (uint8_t)(place * 31 + place / 251);
}

size_t stream_rig_check_pattern(const uint8_t *data, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != pattern_at(from + i))
            return i;
    }
    return len;
}

void stream_rig_write_pattern(struct stream_rig *rig, size_t count)
{
    struct rng rng;
    rng_seed(&rng, count);
    for (size_t at = 0; at < count;) {
        uint64_t bound = rng_below(&rng, 2) == 0 ? 200 : PIECE_MAX;
        size_t len = 1 + rng_below(&rng, bound);
        if (len > count - at)
            len = count - at;
        struct buf *piece = buf_new(len);
        for (size_t i = 0; i < len; i++)
            piece->data[i] = pattern_at(at + i);
        if (bound == PIECE_MAX)
            stream_write(rig->last, piece);
        else
            stream_write_copy(rig->last, buf_bytes(piece));
        buf_unref(piece);
        at += len;
    }
}
