/* A worker of the fleet: plain sockets in one epoll set, a bounded number of connects in flight. Devices say what libpetrel says; they
 * ack what a read brought in one frame, at once. */
#include "bench_fleet.h"

#include "base/err.h"
#include "wire/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 192 /* below what a server lets strangers of one address have */
#define PER_SOURCE 4000   /* connections from one loopback address: well within the ephemeral ports */
#define TURN_MS 20
#define EVENTS_MAX 512
#define READ_BYTES 65536

enum device_state { DEVICE_DOWN, DEVICE_CONNECTING, DEVICE_WAITING, DEVICE_UP };

struct device {
    int fd;
    uint8_t state; /* of enum device_state */
    uint32_t attempt;
    struct position at;
    struct position topic_at; /* in `all` */
    uint64_t begun_us;        /* the connect; of a session, the PING that is not answered yet */
    struct frame_reader reader;
};

struct work {
    struct bench_fleet *fleet;
    struct bench_worker *out;
    uint32_t first;
    uint32_t count;
    int epoll_fd;
    struct device *devices;
    struct session_codec *codec;
    struct bytebuf frame;
    struct bytebuf token;
    uint32_t order_serial; /* under way, or done */
    enum bench_order order;
    uint32_t cursor; /* where the order is among the devices */
    uint32_t in_flight;
    uint64_t began_us;
    bool acked; /* of the read at hand: something is to be acked */
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
    frame_reader_reset(&device->reader);
    close(device->fd);
    device->fd = -1;
}

static void begin(struct work *work, uint32_t index)
{
    const struct bench_target *target = &work->fleet->bench->target;
    struct device *device = &work->devices[index];
    const uint32_t global = work->first + index;
    const struct sockaddr_in *to = &target->sessions[(global + device->attempt) % target->sessions_count];
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + global / PER_SOURCE);
    device->begun_us = bench_now_us();
    device->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (device->fd < 0)
        bench_die(work->fleet->bench, "socket: %s", strerror(errno));
    /* The port is chosen by connect(), which knows the whole connection: bind() would look for one that is free for all. */
    const int on = 1;
    (void)setsockopt(device->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    device->state = DEVICE_CONNECTING;
    work->in_flight++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = index};
    const bool loopback = ntohl(to->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if ((loopback && bind(device->fd, (const struct sockaddr *)&from, sizeof from) != 0) ||
        epoll_ctl(work->epoll_fd, EPOLL_CTL_ADD, device->fd, &event) != 0 ||
        (connect(device->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS))
        go_down(work, device, strerror(errno));
}

static void say_hello(struct work *work, uint32_t index)
{
    const struct bench_target *target = &work->fleet->bench->target;
    struct device *device = &work->devices[index];
    struct token_claims claims = {.issued_s = (uint64_t)time(NULL)};
    claims.expires_s = claims.issued_s + 86400;
    snprintf(claims.app, sizeof claims.app, "%s", target->app);
    snprintf(claims.user, sizeof claims.user, "user-%08u", work->first + index);
    snprintf(claims.device, sizeof claims.device, "device-%08u", work->first + index);
    /* As in life, the same for all who use one library; but petrel-limit, which reads no token, knows the user by it. */
    char client[32] = "petrel-bench";
    if (work->fleet->bench->server == BENCH_LIMIT)
        snprintf(client, sizeof client, "bench-%08u", work->first + index);
    work->token.len = work->frame.len = 0;
    if (token_mint(target->token_key, &claims, &work->token) != 0)
        bench_die(work->fleet->bench, "a token can't be minted");
    struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                      .token = bytes_view(&work->token),
                                      .attempt = ++device->attempt,
                                      .position = device->at,
                                      .client = bytes_str(client),
                                      .takes_topics = work->fleet->bench->broadcasts};
    session_encode_connect(&work->frame, &connect);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (send(device->fd, work->frame.ptr, work->frame.len, MSG_NOSIGNAL) != (ssize_t)work->frame.len)
        go_down(work, device, "CONNECT can't be written");
    else if (epoll_ctl(work->epoll_fd, EPOLL_CTL_MOD, device->fd, &event) == 0)
        device->state = DEVICE_WAITING;
}

/* ---- what a server says ---- */

/* petrel-limit has no topics: there the number says what it is. */
static bool is_broadcast(const struct work *work, const struct session_push *push, uint64_t number)
{
    return push->log == SESSION_LOG_TOPIC || (work->fleet->bench->broadcasts && number >= work->fleet->numbers);
}

static void on_broadcast(struct work *work, struct device *device, const struct session_push *push, uint64_t sent_us)
{
    struct bench_worker *out = work->out;
    if (push->position.epoch == device->topic_at.epoch && push->position.seq <= device->topic_at.seq) {
        atomic_fetch_add(&out->backwards, 1);
        return;
    }
    device->topic_at = push->position;
    atomic_fetch_add_explicit(&out->broadcasts, 1, memory_order_relaxed);
    bench_latency_add(&out->broadcast, bench_now_us() - sent_us);
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
        on_broadcast(work, device, push, sent_us);
        return;
    }
    if (again) {
        atomic_fetch_add(&out->backwards, 1);
        return;
    }
    device->at = push->position;
    work->acked = true;
    if (stamped && number < fleet->numbers) {
        if (atomic_load_explicit(&fleet->seen[number], memory_order_relaxed) < UINT8_MAX)
            atomic_fetch_add_explicit(&fleet->seen[number], 1, memory_order_relaxed);
        bench_latency_add(&out->push, bench_now_us() - sent_us);
    }
}

static void go_up(struct work *work, struct device *device)
{
    device->state = DEVICE_UP;
    work->in_flight--;
    atomic_fetch_add(&work->out->connected, 1);
    atomic_fetch_add(&work->out->connects, 1);
    bench_latency_add(&work->out->connect, bench_now_us() - device->begun_us);
}

static void on_connected(struct work *work, struct device *device, const struct session_connected *connected)
{
    const struct bench *bench = work->fleet->bench;
    device->at = connected->position;
    atomic_fetch_add(&work->out->gaps, connected->lost_at_most);
    /* Who is to have the first broadcast waits until it follows. */
    if (!bench->broadcasts || bench->server == BENCH_LIMIT)
        go_up(work, device);
}

static void on_subscribed(struct work *work, struct device *device, const struct session_subscribed *subscribed)
{
    device->topic_at = subscribed->position;
    if (device->state == DEVICE_WAITING)
        go_up(work, device);
}

struct arrival {
    struct work *work;
    struct device *device;
};

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
        snprintf(work->out->why, sizeof work->out->why, "%u %s", frame.error.code, session_code_name(frame.error.code));
        return PETREL_E_PROTOCOL;
    default:
        return 0;
    }
}

static void ack(struct work *work, struct device *device)
{
    work->frame.len = 0;
    session_encode_ack(&work->frame, device->at);
    if (send(device->fd, work->frame.ptr, work->frame.len, MSG_NOSIGNAL) != (ssize_t)work->frame.len)
        go_down(work, device, "ACK can't be written");
}

static void on_event(struct work *work, const struct epoll_event *event)
{
    struct device *device = &work->devices[event->data.u32];
    if (device->state == DEVICE_CONNECTING && (event->events & EPOLLOUT) != 0 && (event->events & EPOLLERR) == 0) {
        say_hello(work, event->data.u32);
        return;
    }
    ssize_t got = recv(device->fd, work->data, sizeof work->data, 0);
    struct arrival arrival = {work, device};
    work->acked = false;
    if (got > 0 &&
        frame_reader_feed(&device->reader, FRAME_BODY_MAX, bytes_of(work->data, (size_t)got), on_frame, &arrival) != 0)
        go_down(work, device, work->out->why[0] != '\0' ? work->out->why : "a bad frame");
    else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        go_down(work, device, got == 0 ? "the server closed the connection" : strerror(errno));
    else if (work->acked)
        ack(work, device);
}

/* ---- orders ---- */

static bool connect_some(struct work *work)
{
    while (work->cursor < work->count && work->in_flight < IN_FLIGHT_MAX) {
        if (work->devices[work->cursor].state == DEVICE_DOWN)
            begin(work, work->cursor);
        work->cursor++;
    }
    if (work->cursor < work->count || work->in_flight > 0)
        return false;
    /* Those that failed are tried again, for as long as the parent waits. */
    work->cursor = 0;
    return atomic_load(&work->out->connected) == work->count;
}

static bool beat_some(struct work *work)
{
    const uint64_t length = atomic_load(&work->fleet->shared->beat_us);
    const uint64_t passed = bench_now_us() - work->began_us;
    const uint32_t due =
        passed < length ? (uint32_t)((double)work->count * (double)passed / (double)length) : work->count;
    for (; work->cursor < due; work->cursor++) {
        struct device *device = &work->devices[work->cursor];
        if (device->state != DEVICE_UP)
            continue;
        work->frame.len = 0;
        session_encode_ping(&work->frame, work->cursor);
        device->begun_us = bench_now_us();
        if (send(device->fd, work->frame.ptr, work->frame.len, MSG_NOSIGNAL) != (ssize_t)work->frame.len)
            go_down(work, device, "PING can't be written");
    }
    return work->cursor == work->count;
}

static bool cut_all(struct work *work)
{
    /* A reset, as when a network goes: nothing is said. */
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (uint32_t i = 0; i < work->count; i++) {
        struct device *device = &work->devices[i];
        if (device->state == DEVICE_DOWN)
            continue;
        (void)setsockopt(device->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        go_down(work, device, NULL);
    }
    return true;
}

static void obey(struct work *work)
{
    const uint32_t serial = atomic_load(&work->fleet->shared->order_serial);
    if (serial != work->order_serial) {
        work->order_serial = serial;
        work->order = (enum bench_order)atomic_load(&work->fleet->shared->order);
        work->cursor = 0;
        work->began_us = bench_now_us();
    } else if (atomic_load(&work->out->order_done) == serial) {
        return;
    }
    bool done = true;
    if (work->order == BENCH_CONNECT)
        done = connect_some(work);
    else if (work->order == BENCH_BEAT)
        done = beat_some(work);
    else if (work->order == BENCH_CUT || work->order == BENCH_LEAVE)
        done = cut_all(work); /* on leaving, for the ports' sake: closed sockets of ours would hold them for a minute */
    if (done)
        atomic_store(&work->out->order_done, serial);
}

void bench_device_run(struct bench_fleet *fleet, uint32_t worker, uint32_t first, uint32_t count)
{
    struct work *work = calloc(1, sizeof *work);
    if (work != NULL) {
        *work = (struct work){.fleet = fleet,
                              .out = &fleet->shared->workers[worker],
                              .first = first,
                              .count = count,
                              .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                              .devices = calloc(count, sizeof *work->devices),
                              .codec = session_codec_new()};
    }
    if (work == NULL || work->devices == NULL || work->epoll_fd < 0)
        _exit(1);
    for (uint32_t i = 0; i < count; i++)
        work->devices[i].fd = -1;
    while (work->order != BENCH_LEAVE) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(work->epoll_fd, events, EVENTS_MAX, TURN_MS);
        for (int i = 0; i < ready; i++)
            if (work->devices[events[i].data.u32].state != DEVICE_DOWN)
                on_event(work, &events[i]);
        obey(work);
    }
    _exit(0);
}
