/* A worker of the fleet: plain sockets in one epoll set. Devices say what libpetrel says; they ack what a read brought in one frame, at
 * once. */
#include "bench_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 192 /* below what a server lets strangers of one address have */
/* Of all workers, with TLS: what a server on the same cores gets through well before those in its line have waited for too long. */
#define HANDSHAKES_MAX 4000
#define CUT_BACK_MS 500 /* who was cut off is back within this: the first wait of libpetrel */
#define TURN_MS 20
#define BUSY_TURN_MS 4 /* while devices wait for their time to come */
#define EVENTS_MAX 512

static void ack(struct work *work, struct device *device)
{
    work->frame.len = 0;
    session_encode_ack(&work->frame, device->at);
    bench_device_link_write(work, device, "ACK can't be written");
}

static void on_event(struct work *work, const struct epoll_event *event)
{
    struct device *device = &work->devices[event->data.u32];
    if (device->state == DEVICE_CONNECTING && (event->events & EPOLLOUT) != 0 && (event->events & EPOLLERR) == 0) {
        bench_device_wire_open(work, device);
        return;
    }
    work->acked = false;
    const char *why = bench_device_wire_read(work, device);
    if (why != NULL)
        bench_device_link_lost(work, device, why);
    else if (work->acked)
        ack(work, device);
}

/* ---- orders ---- */

static bool all_are_up(const struct work *work)
{
    return atomic_load(&work->out->connected) + atomic_load(&work->out->gone) == work->count;
}

static uint32_t in_flight_max(const struct work *work)
{
    const uint32_t workers = work->fleet->config.devices / BENCH_DEVICES_PER_WORKER + 1;
    const bool many = work->tls != NULL && workers * IN_FLIGHT_MAX > HANDSHAKES_MAX;
    return many ? HANDSHAKES_MAX / workers : IN_FLIGHT_MAX;
}

static bool connect_some(struct work *work)
{
    const uint32_t most = in_flight_max(work);
    for (; work->cursor < work->count && work->in_flight < most; work->cursor++)
        if (work->devices[work->cursor].state == DEVICE_DOWN && work->due_ms[work->cursor] == 0)
            (void)bench_device_link_begin(work, (uint32_t)work->cursor);
    return all_are_up(work);
}

static void cut_those_before(struct work *work, uint32_t end, uint32_t within_ms)
{
    for (uint32_t i = 0; i < work->count && work->first + i < end; i++)
        if (work->devices[i].fd >= 0)
            bench_device_link_cut(work, &work->devices[i], true, within_ms);
}

/* From here on at this pace, in turn: no device waits for longer than the longest interval that there was. */
static void pace_beats(struct work *work, uint64_t every_us, uint64_t from_us)
{
    work->beat_us = every_us;
    work->beats_at = work->beats;
    work->beats_from_us = from_us;
}

/* In the order of the devices, spread over the interval. */
static void beat_some(struct work *work)
{
    const uint64_t every = atomic_load(&work->fleet->shared->beat_us), now = bench_now_us();
    if (every != work->beat_us)
        pace_beats(work, every, now);
    if (every == 0 || now < work->beats_from_us)
        return;
    const uint64_t due = work->beats_at + (now - work->beats_from_us) * work->count / every;
    for (; work->beats < due; work->beats++) {
        struct device *device = &work->devices[work->beats % work->count];
        if (device->state != DEVICE_UP)
            continue;
        work->frame.len = 0;
        session_encode_ping(&work->frame, work->beats);
        device->begun_us = now;
        atomic_fetch_add(&work->out->beats, 1);
        bench_device_link_write(work, device, "PING can't be written");
    }
}

static void take_order(struct work *work, uint32_t serial)
{
    if (work->order == BENCH_CHURN)
        bench_device_churn_end(work);
    work->order_serial = serial;
    work->order = (enum bench_order)atomic_load(&work->fleet->shared->order);
    work->cursor = 0;
    work->began_us = bench_now_us();
    /* Before an interval is over since the first connect none is due. */
    const uint64_t every_us = atomic_load(&work->fleet->shared->beat_us);
    pace_beats(work, every_us, work->began_us + (work->order == BENCH_CONNECT ? every_us : 0));
    if (work->order == BENCH_STORM)
        cut_those_before(work, atomic_load(&work->fleet->shared->cut_end), CUT_BACK_MS);
    else if (work->order == BENCH_LEAVE)
        cut_those_before(work, UINT32_MAX, 0);
    else if (work->order == BENCH_CHURN)
        bench_device_churn_begin(work);
}

static void obey(struct work *work)
{
    const uint32_t serial = atomic_load(&work->fleet->shared->order_serial);
    if (serial != work->order_serial)
        take_order(work, serial);
    bool done = true;
    if (work->order == BENCH_CONNECT)
        done = connect_some(work);
    else if (work->order == BENCH_STORM)
        done = all_are_up(work);
    if (work->order != BENCH_STORM)
        beat_some(work);
    if (work->order == BENCH_CHURN)
        bench_device_churn_turn(work);
    if (!done || atomic_load(&work->out->order_done) == serial)
        return;
    bench_device_wire_rest(work);
    atomic_store(&work->out->order_done, serial);
}

static struct work *work_new(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count)
{
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL)
        return NULL;
    *work = (struct work){.fleet = fleet,
                          .out = &fleet->shared->workers[worker],
                          .worker = worker,
                          .first = first,
                          .count = count,
                          .apart = first >= fleet->config.devices - fleet->config.apart,
                          .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                          .devices = calloc(count, sizeof *work->devices),
                          .due_ms = calloc(count, sizeof *work->due_ms),
                          .start_us = bench_now_us(),
                          .codec = session_codec_new()};
    rng_seed_system(&work->rng);
    return work->devices != NULL && work->due_ms != NULL && work->epoll_fd >= 0 ? work : NULL;
}

void bench_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count)
{
    struct work *work = work_new(fleet, worker, first, count);
    if (work == NULL)
        _exit(1);
    bench_device_wire_init(work);
    for (uint32_t i = 0; i < count; i++)
        work->devices[i].fd = -1;
    bool more = false;
    for (int ready = 0; work->order != BENCH_LEAVE;) {
        struct epoll_event events[EVENTS_MAX];
        const bool restless = more || work->order == BENCH_CONNECT || work->order == BENCH_STORM;
        const int wait_ms = more ? 0 : work->due_count > 0 ? BUSY_TURN_MS : TURN_MS;
        ready = bench_fleet_poll(fleet, work->epoll_fd, events, EVENTS_MAX, wait_ms, restless ? EVENTS_MAX : ready);
        for (int i = 0; i < ready; i++)
            if (work->devices[events[i].data.u32].fd >= 0)
                on_event(work, &events[i]);
        obey(work);
        if (work->order != BENCH_LEAVE)
            more = bench_device_link_turn(work, work->order == BENCH_CONNECT ? in_flight_max(work) : UINT32_MAX);
    }
    _exit(0);
}
