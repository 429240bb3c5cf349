/* A worker of the fleet for another server: its devices subscribe to what is theirs and to what is everybody's, and count what comes. */
#include "bench_fleet.h"
#include "bench_others.h"

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 64 /* some listen with a backlog of 100 */
#define PER_SOURCE 4000
#define TURN_MS 20
#define EVENTS_MAX 512
#define READ_BYTES 65536

enum device_state { DEVICE_DOWN, DEVICE_CONNECTING, DEVICE_WAITING, DEVICE_UP };

struct device {
    int fd;
    enum device_state state;
    uint64_t begun_us; /* the connect, then the ping that is not answered yet */
    struct bytebuf rest;
};

struct work {
    struct bench_fleet *fleet;
    struct bench_worker *out;
    const struct bench_others_codec *codec;
    uint32_t first;
    uint32_t count;
    int epoll_fd;
    struct device *devices;
    struct bytebuf bytes; /* to write */
    uint32_t order_serial;
    enum bench_order order;
    uint64_t cursor; /* among the devices; of heartbeats, how many are through */
    uint32_t in_flight;
    uint64_t began_us;
    uint8_t data[READ_BYTES];
};

static void go_down(struct work *work, struct device *device, const char *why)
{
    if (device->state == DEVICE_CONNECTING || device->state == DEVICE_WAITING)
        work->in_flight--;
    if (device->state == DEVICE_UP)
        atomic_fetch_sub(&work->out->connected, 1);
    if (why != NULL) {
        atomic_fetch_add(&work->out->failed, 1);
        snprintf(work->out->why, sizeof work->out->why, "%s", why);
    }
    device->state = DEVICE_DOWN;
    bytes_reset(&device->rest);
    close(device->fd);
    device->fd = -1;
}

static void begin(struct work *work, uint32_t index)
{
    struct device *device = &work->devices[index];
    const struct sockaddr_in *to = &work->fleet->bench->target.sessions[0];
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (work->first + index) / PER_SOURCE);
    const int on = 1;
    device->begun_us = bench_now_us();
    device->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (device->fd < 0)
        bench_die(work->fleet->bench, "socket: %s", strerror(errno));
    (void)setsockopt(device->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    device->state = DEVICE_CONNECTING;
    work->in_flight++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = index};
    if (bind(device->fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        epoll_ctl(work->epoll_fd, EPOLL_CTL_ADD, device->fd, &event) != 0 ||
        (connect(device->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS))
        go_down(work, device, strerror(errno));
}

/* What was put into work->bytes. */
static void say(struct work *work, struct device *device)
{
    if (send(device->fd, work->bytes.ptr, work->bytes.len, MSG_NOSIGNAL) != (ssize_t)work->bytes.len)
        go_down(work, device, "the socket takes no more");
    work->bytes.len = 0;
}

static void say_hello(struct work *work, uint32_t index)
{
    struct device *device = &work->devices[index];
    char name[BENCH_OTHERS_NAME_MAX];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    snprintf(name, sizeof name, "u%u", work->first + index);
    work->codec->hello(&work->bytes, name, true);
    device->state = DEVICE_WAITING;
    if (epoll_ctl(work->epoll_fd, EPOLL_CTL_MOD, device->fd, &event) != 0)
        bench_die(work->fleet->bench, "epoll_ctl: %s", strerror(errno));
    say(work, device);
}

static void go_up(struct work *work, struct device *device)
{
    device->state = DEVICE_UP;
    work->in_flight--;
    atomic_fetch_add(&work->out->connected, 1);
    atomic_fetch_add(&work->out->connects, 1);
    bench_latency_add(&work->out->connect, bench_now_us() - device->begun_us);
}

static void on_message(struct work *work, struct bytes data)
{
    struct bench_worker *out = work->out;
    const struct bench_fleet *fleet = work->fleet;
    uint64_t number, sent_us;
    if (!bench_stamp_read((const char *)data.ptr, data.len, &number, &sent_us))
        return;
    atomic_fetch_add_explicit(&out->pushes, 1, memory_order_relaxed);
    if (number >= fleet->config.numbers) {
        atomic_fetch_add_explicit(&out->broadcasts, 1, memory_order_relaxed);
        bench_latency_add(&out->broadcast, bench_now_us() - sent_us);
        return;
    }
    if (atomic_load_explicit(&fleet->seen[number], memory_order_relaxed) < UINT8_MAX)
        atomic_fetch_add_explicit(&fleet->seen[number], 1, memory_order_relaxed);
    bench_latency_add(&out->push, bench_now_us() - sent_us);
}

struct arrival {
    struct work *work;
    struct device *device;
};

static int on_event(void *ctx, const struct bench_others_event *event)
{
    struct work *work = ((struct arrival *)ctx)->work;
    struct device *device = ((struct arrival *)ctx)->device;
    const bool waiting = device->state == DEVICE_WAITING;
    if (waiting && (event->what == BENCH_OTHERS_READY || event->what == BENCH_OTHERS_TAKEN)) {
        go_up(work, device);
    } else if (event->what == BENCH_OTHERS_MESSAGE) {
        on_message(work, event->data);
        if (event->id != 0)
            work->codec->ack(&work->bytes, event->id);
    } else if (event->what == BENCH_OTHERS_TAKEN) {
        atomic_fetch_add(&work->out->pongs, 1);
        bench_latency_add(&work->out->pong, bench_now_us() - device->begun_us);
    } else if (event->what == BENCH_OTHERS_ASKED) {
        work->codec->pong(&work->bytes);
    }
    return 0;
}

static void serve(struct work *work, const struct epoll_event *event)
{
    struct device *device = &work->devices[event->data.u32];
    if (device->state == DEVICE_CONNECTING && (event->events & EPOLLOUT) != 0 && (event->events & EPOLLERR) == 0) {
        say_hello(work, event->data.u32);
        return;
    }
    struct arrival arrival = {work, device};
    const ssize_t got = recv(device->fd, work->data, sizeof work->data, 0);
    if (got > 0 &&
        bench_others_feed(work->codec, &device->rest, bytes_of(work->data, (size_t)got), on_event, &arrival) != 0)
        go_down(work, device, "not what the protocol has");
    else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        go_down(work, device, got == 0 ? "the server closed the connection" : strerror(errno));
    else if (work->bytes.len > 0)
        say(work, device);
}

/* ---- orders ---- */

static bool connect_some(struct work *work)
{
    for (; work->cursor < work->count && work->in_flight < IN_FLIGHT_MAX; work->cursor++)
        if (work->devices[work->cursor].state == DEVICE_DOWN)
            begin(work, (uint32_t)work->cursor);
    if (work->cursor < work->count || work->in_flight > 0)
        return false;
    work->cursor = 0;
    return atomic_load(&work->out->connected) == work->count;
}

/* In the order of the devices, spread over the interval. */
static void beat_some(struct work *work)
{
    const uint64_t every = atomic_load(&work->fleet->shared->beat_us), now = bench_now_us();
    const uint64_t due = every > 0 ? (now - work->began_us) * work->count / every : 0;
    for (; work->cursor < due; work->cursor++) {
        struct device *device = &work->devices[work->cursor % work->count];
        if (device->state != DEVICE_UP)
            continue;
        device->begun_us = now;
        atomic_fetch_add(&work->out->beats, 1);
        work->codec->ping(&work->bytes);
        say(work, device);
    }
}

static void leave(struct work *work)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (uint32_t i = 0; i < work->count; i++)
        if (work->devices[i].fd >= 0)
            (void)setsockopt(work->devices[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    _exit(0);
}

static void obey(struct work *work)
{
    const uint32_t serial = atomic_load(&work->fleet->shared->order_serial);
    if (serial != work->order_serial) {
        work->order_serial = serial;
        work->order = (enum bench_order)atomic_load(&work->fleet->shared->order);
        work->cursor = 0;
        work->began_us = bench_now_us();
    } else if (work->order == BENCH_CONNECT && atomic_load(&work->out->order_done) == serial) {
        return;
    }
    if (work->order == BENCH_LEAVE)
        leave(work);
    if (work->order == BENCH_WAIT)
        beat_some(work);
    if (work->order != BENCH_CONNECT || connect_some(work))
        atomic_store(&work->out->order_done, serial);
}

void bench_others_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count)
{
    struct work *work = calloc(1, sizeof *work);
    struct device *devices = calloc(count, sizeof *devices);
    if (work == NULL || devices == NULL)
        _exit(1);
    *work = (struct work){.fleet = fleet,
                          .out = &fleet->shared->workers[worker],
                          .codec = fleet->bench->other->codec,
                          .first = first,
                          .count = count,
                          .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                          .devices = devices};
    if (work->epoll_fd < 0)
        _exit(1);
    for (uint32_t i = 0; i < count; i++)
        devices[i].fd = -1;
    for (int ready = 0;;) {
        struct epoll_event events[EVENTS_MAX];
        ready = bench_fleet_poll(work->fleet, work->epoll_fd, events, EVENTS_MAX, TURN_MS,
                                 work->order == BENCH_CONNECT ? EVENTS_MAX : ready);
        for (int i = 0; i < ready; i++)
            if (work->devices[events[i].data.u32].state != DEVICE_DOWN)
                serve(work, &events[i]);
        obey(work);
    }
}
