#include "bench_others.h"

#include "base/err.h"

/* How many bytes were whole things; negative: an error. */
static ssize_t take_all(const struct bench_others_codec *codec, struct bytes in, bench_others_on_event *on_event,
                        void *ctx)
{
    size_t at = 0;
    while (at < in.len) {
        struct bench_others_event event = {.what = BENCH_OTHERS_NOTHING};
        const ssize_t taken = codec->take(bytes_of(in.ptr + at, in.len - at), &event);
        if (taken < 0)
            return PETREL_E_PROTOCOL;
        if (taken == 0)
            break;
        at += (size_t)taken;
        const int err = on_event(ctx, &event);
        if (err != 0)
            return err;
    }
    return (ssize_t)at;
}

int bench_others_feed(const struct bench_others_codec *codec, struct bytebuf *rest, struct bytes in,
                      bench_others_on_event *on_event, void *ctx)
{
    const bool joined = rest->len > 0;
    if (joined) {
        bytes_append(rest, in.ptr, in.len);
        in = bytes_view(rest);
    }
    const ssize_t taken = take_all(codec, in, on_event, ctx);
    if (taken < 0)
        return (int)taken;
    const size_t left = in.len - (size_t)taken;
    if (left == 0)
        bytes_reset(rest);
    else if (joined)
        bytes_consume(rest, (size_t)taken);
    else
        bytes_append(rest, in.ptr + taken, left);
    return 0;
}
