#include "bench_device.h"

#include "base/err.h"

struct arrival {
    struct work *work;
    struct device *device;
};

/* petrel-limit has no topics: there the number says what it is. */
static bool is_broadcast(const struct work *work, const struct session_push *push, uint64_t number)
{
    return push->log == SESSION_LOG_TOPIC || (work->fleet->bench->broadcasts && number >= work->fleet->config.numbers);
}

/* false: it was there before. */
static bool tick_off(const struct work *work, const struct device *device, uint64_t broadcast)
{
    const struct bench_fleet *fleet = work->fleet;
    const size_t row = work->first + (size_t)(device - work->devices);
    uint64_t *word = &fleet->heard[row * fleet->heard_words + broadcast / 64];
    const uint64_t bit = UINT64_C(1) << broadcast % 64;
    const bool fresh = (*word & bit) == 0;
    *word |= bit;
    return fresh;
}

static void on_broadcast(struct work *work, struct device *device, const struct session_push *push, uint64_t number,
                         uint64_t sent_us)
{
    struct bench_worker *out = work->out;
    const struct bench_fleet *fleet = work->fleet;
    const uint64_t broadcast = number - fleet->config.numbers;
    device->topic_at = push->position;
    if (number < fleet->config.numbers || broadcast >= fleet->config.broadcasts)
        return;
    if (!tick_off(work, device, broadcast)) {
        atomic_fetch_add(&out->backwards, 1);
        return;
    }
    const uint64_t us = bench_now_us() - sent_us;
    atomic_store_explicit(&fleet->spread_us[broadcast * BENCH_WORKERS_MAX + work->worker],
                          us < UINT32_MAX ? (uint32_t)us : UINT32_MAX, memory_order_relaxed);
    atomic_fetch_add_explicit(&out->broadcasts, 1, memory_order_relaxed);
    bench_latency_add(&out->broadcast, us);
}

static void on_push(struct work *work, struct device *device, const struct session_push *push)
{
    struct bench_worker *out = work->out;
    const struct bench_fleet *fleet = work->fleet;
    const bool again = push->position.epoch == device->at.epoch && push->position.seq <= device->at.seq;
    const struct bytes body = push->message.body; /* a JSON text that begins with the stamp */
    uint64_t number = 0, sent_us = 0;
    const bool stamped = body.len > 1 && bench_stamp_read((const char *)body.ptr + 1, body.len - 1, &number, &sent_us);
    atomic_fetch_add_explicit(&out->pushes, 1, memory_order_relaxed);
    if (is_broadcast(work, push, number)) {
        on_broadcast(work, device, push, number, sent_us);
        return;
    }
    if (again) {
        atomic_fetch_add(&out->backwards, 1);
        return;
    }
    device->at = push->position;
    work->acked = true;
    if (stamped && number < fleet->config.numbers) {
        if (atomic_load_explicit(&fleet->seen[number], memory_order_relaxed) < UINT8_MAX)
            atomic_fetch_add_explicit(&fleet->seen[number], 1, memory_order_relaxed);
        bench_latency_add(&out->push, bench_now_us() - sent_us);
    }
}

static void on_connected(struct work *work, struct device *device, const struct session_connected *connected)
{
    const struct bench *bench = work->fleet->bench;
    device->at = connected->position;
    atomic_fetch_add(&work->out->gaps, connected->lost_at_most);
    /* Who is to have the first broadcast waits until it follows; who brings a position goes on from there. */
    if (!bench->broadcasts || bench->server == BENCH_LIMIT || device->topic_at.epoch != 0)
        bench_device_link_up(work, device);
}

static void on_subscribed(struct work *work, struct device *device, const struct session_subscribed *subscribed)
{
    device->topic_at = subscribed->position;
    atomic_fetch_add(&work->out->gaps, subscribed->lost_at_most);
    if (device->state == DEVICE_WAITING)
        bench_device_link_up(work, device);
}

static int on_frame(void *ctx, const struct frame *raw)
{
    struct work *work = ((struct arrival *)ctx)->work;
    struct device *device = ((struct arrival *)ctx)->device;
    struct session_frame frame;
    int err = session_decode(work->codec, raw, &frame);
    if (err != 0)
        return err;
    switch (frame.type) {
    case SESSION_CONNECTED:
        if (device->state == DEVICE_WAITING)
            on_connected(work, device, &frame.connected);
        return 0;
    case SESSION_PUSH:
        on_push(work, device, &frame.push);
        return 0;
    case SESSION_GAP:
        atomic_fetch_add(&work->out->gaps, frame.gap.lost_at_most);
        if (frame.gap.log == SESSION_LOG_TOPIC)
            device->topic_at = frame.gap.to;
        else
            device->at = frame.gap.to;
        return 0;
    case SESSION_SUBSCRIBED:
        on_subscribed(work, device, &frame.subscribed);
        return 0;
    case SESSION_PONG:
        atomic_fetch_add(&work->out->pongs, 1);
        bench_latency_add(&work->out->pong, bench_now_us() - device->begun_us);
        return 0;
    case SESSION_ERROR:
        device->told = (uint16_t)frame.error.code;
        device->told_ms = frame.error.backoff_ms;
        return PETREL_E_CLOSING;
    case SESSION_GOAWAY: /* it goes at once: there is no other server that it would have to look for first */
        device->told = (uint16_t)frame.goaway.code;
        device->told_ms = frame.goaway.backoff_ms;
        return PETREL_E_CLOSING;
    default:
        return 0;
    }
}

int bench_device_hear(struct work *work, struct device *device, struct bytes bytes)
{
    struct arrival arrival = {work, device};
    return frame_reader_feed(&device->reader, FRAME_BODY_MAX, bytes, on_frame, &arrival);
}
