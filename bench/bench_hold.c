/* Connect sessions with valid tokens from one process, a bounded number in flight, hold them with heartbeats answered, and
 * compare the server's memory and CPU before and after. */
#include "bench.h"

#include "base/err.h"
#include "wire/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 256
#define CONNECT_SECONDS 120
#define PER_SOURCE 4000 /* connections from one loopback address: well within the ephemeral ports */

enum device_state { DEVICE_NONE, DEVICE_CONNECTING, DEVICE_WAITING, DEVICE_UP, DEVICE_LOST };

struct device {
    int fd;
    enum device_state state;
    struct frame_reader reader;
};

struct hold {
    struct bench *bench;
    int epoll_fd;
    struct device *devices;
    struct session_codec *codec;
    uint32_t begun;
    uint32_t connected;
    uint32_t failed;
    uint32_t in_flight;
    uint32_t heartbeat_s;
    uint64_t pongs;
    struct bench_latency connect;
    uint64_t *begun_us;
    char why[128];
};

static void lose(struct hold *hold, struct device *device, const char *why)
{
    if (device->state == DEVICE_CONNECTING || device->state == DEVICE_WAITING)
        hold->in_flight--;
    if (device->state == DEVICE_UP)
        hold->connected--;
    hold->failed++;
    snprintf(hold->why, sizeof hold->why, "%s", why);
    device->state = DEVICE_LOST;
    frame_reader_reset(&device->reader);
    close(device->fd);
    device->fd = -1;
}

static void begin(struct hold *hold, uint32_t index)
{
    struct device *device = &hold->devices[index];
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / PER_SOURCE);
    hold->begun_us[index] = bench_now_us();
    device->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (device->fd < 0)
        bench_die(hold->bench, "socket: %s", strerror(errno));
    device->state = DEVICE_CONNECTING;
    hold->in_flight++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = index};
    const struct sockaddr *to = (const struct sockaddr *)&hold->bench->session_address;
    if (bind(device->fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        epoll_ctl(hold->epoll_fd, EPOLL_CTL_ADD, device->fd, &event) != 0 ||
        (connect(device->fd, to, sizeof hold->bench->session_address) != 0 && errno != EINPROGRESS))
        lose(hold, device, strerror(errno));
}

static void say_hello(struct hold *hold, uint32_t index)
{
    struct device *device = &hold->devices[index];
    struct token_claims claims = {.issued_s = (uint64_t)time(NULL)};
    claims.expires_s = claims.issued_s + 86400;
    snprintf(claims.app, sizeof claims.app, "%s", hold->bench->app);
    snprintf(claims.user, sizeof claims.user, "user-%08u", index);
    snprintf(claims.device, sizeof claims.device, "device-%08u", index);
    struct bytebuf token = {0}, frame = {0};
    if (token_mint(hold->bench->token_key, &claims, &token) != 0)
        bench_die(hold->bench, "a token can't be minted");
    struct session_connect connect = {
        .version = SESSION_PROTOCOL_VERSION, .token = bytes_view(&token), .attempt = 1, .client = bytes_str("bench")};
    session_encode_connect(&frame, &connect);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (send(device->fd, frame.ptr, frame.len, MSG_NOSIGNAL) != (ssize_t)frame.len)
        lose(hold, device, "CONNECT can't be written");
    else if (epoll_ctl(hold->epoll_fd, EPOLL_CTL_MOD, device->fd, &event) == 0)
        device->state = DEVICE_WAITING;
    bytes_reset(&token);
    bytes_reset(&frame);
}

struct arrival {
    struct hold *hold;
    uint32_t index;
};

static int on_frame(void *ctx, const struct frame *raw)
{
    struct arrival *arrival = ctx;
    struct hold *hold = arrival->hold;
    struct device *device = &hold->devices[arrival->index];
    struct session_frame frame;
    int err = session_decode(hold->codec, raw, &frame);
    if (err != 0)
        return err;
    if (frame.type == SESSION_CONNECTED && device->state == DEVICE_WAITING) {
        device->state = DEVICE_UP;
        hold->in_flight--;
        hold->connected++;
        hold->heartbeat_s = frame.connected.heartbeat_s;
        bench_latency_add(&hold->connect, bench_now_us() - hold->begun_us[arrival->index]);
    } else if (frame.type == SESSION_PONG) {
        hold->pongs++;
    } else if (frame.type == SESSION_ERROR) {
        snprintf(hold->why, sizeof hold->why, "%u %s", frame.error.code, session_code_name(frame.error.code));
        return PETREL_E_PROTOCOL;
    }
    return 0;
}

static void on_event(struct hold *hold, const struct epoll_event *event)
{
    uint32_t index = event->data.u32;
    struct device *device = &hold->devices[index];
    if (device->state == DEVICE_CONNECTING && (event->events & EPOLLOUT) != 0 && (event->events & EPOLLERR) == 0) {
        say_hello(hold, index);
        return;
    }
    uint8_t data[4096];
    ssize_t got = recv(device->fd, data, sizeof data, 0);
    struct arrival arrival = {hold, index};
    if (got > 0 &&
        frame_reader_feed(&device->reader, FRAME_BODY_DEFAULT, bytes_of(data, (size_t)got), on_frame, &arrival) != 0)
        lose(hold, device, hold->why[0] != '\0' ? hold->why : "a bad frame");
    else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        lose(hold, device, got == 0 ? "the server closed the connection" : strerror(errno));
}

static void serve(struct hold *hold, int timeout_ms)
{
    struct epoll_event events[512];
    int count = epoll_wait(hold->epoll_fd, events, 512, timeout_ms);
    for (int i = 0; i < count; i++)
        if (hold->devices[events[i].data.u32].state != DEVICE_LOST)
            on_event(hold, &events[i]);
}

static void connect_all(struct hold *hold)
{
    uint32_t wanted = hold->bench->sessions;
    uint64_t start = bench_now_us(), shown = start;
    while ((hold->begun < wanted || hold->in_flight > 0) && bench_now_us() - start < CONNECT_SECONDS * 1000000ULL) {
        while (hold->begun < wanted && hold->in_flight < IN_FLIGHT_MAX)
            begin(hold, hold->begun++);
        serve(hold, 100);
        if (bench_now_us() - shown > 1000000) {
            shown = bench_now_us();
            bench_progress("%u of %u connected, %u failed", hold->connected, wanted, hold->failed);
        }
    }
}

static void ping(struct hold *hold, uint32_t index)
{
    struct device *device = &hold->devices[index];
    struct bytebuf frame = {0};
    session_encode_ping(&frame, index);
    if (device->state == DEVICE_UP && send(device->fd, frame.ptr, frame.len, MSG_NOSIGNAL) < 0)
        lose(hold, device, "PING can't be written");
    bytes_reset(&frame);
}

/* Every session sends one PING, spread over the time; the server's silence would be a loss. */
static void hold_on(struct hold *hold)
{
    const uint32_t all = hold->bench->sessions;
    uint64_t start = bench_now_us(), length = hold->bench->seconds * 1000000ULL;
    for (uint32_t pinged = 0; pinged < all;) {
        uint64_t passed = bench_now_us() - start;
        uint32_t due = passed < length ? (uint32_t)((double)all * (double)passed / (double)length) : all;
        while (pinged < due)
            ping(hold, pinged++);
        serve(hold, 20);
    }
    uint64_t patience = bench_now_us() + 2000000;
    while (hold->pongs < hold->connected && bench_now_us() < patience)
        serve(hold, 20);
}

int bench_hold(struct bench *bench)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_max < bench->sessions + 64)
            bench_die(bench, "%u sessions need that many descriptors; the hard limit here is %lu", bench->sessions,
                      (unsigned long)limit.rlim_max);
    }
    struct hold hold = {.bench = bench, .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .codec = session_codec_new()};
    hold.devices = calloc(bench->sessions, sizeof *hold.devices);
    hold.begun_us = calloc(bench->sessions, sizeof *hold.begun_us);
    if (hold.epoll_fd < 0 || hold.devices == NULL || hold.begun_us == NULL)
        bench_die(bench, "out of memory or descriptors");
    struct bench_usage before = bench_server_usage(bench);
    uint64_t start = bench_now_us();
    connect_all(&hold);
    double seconds = (double)(bench_now_us() - start) / 1e6;
    struct bench_usage up = bench_server_usage(bench);
    bench_progress("%u connected in %.1f s, %u failed %s; holding for %u s", hold.connected, seconds, hold.failed,
                   hold.why, bench->seconds);
    hold_on(&hold);
    struct bench_usage held = bench_server_usage(bench);
    uint32_t count = hold.connected > 0 ? hold.connected : 1;
    double grown = held.rss_bytes > before.rss_bytes ? (double)(held.rss_bytes - before.rss_bytes) : 0;
    bench_figure(bench, "sessions", bench->sessions, 0);
    bench_figure(bench, "connected", hold.connected, 0);
    bench_figure(bench, "failed", hold.failed, 0);
    bench_figure(bench, "connect_seconds", seconds, 2);
    bench_figure(bench, "connect_p50_us", (double)bench_latency_at(&hold.connect, 0.5), 0);
    bench_figure(bench, "connect_p99_us", (double)bench_latency_at(&hold.connect, 0.99), 0);
    bench_figure(bench, "server_cpu_us_per_connect", (up.cpu_seconds - before.cpu_seconds) * 1e6 / count, 1);
    bench_figure(bench, "server_rss_bytes_before", (double)before.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_held", (double)held.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_per_session", grown / count, 0);
    bench_figure(bench, "held_seconds", bench->seconds, 0);
    bench_figure(bench, "heartbeats_answered", (double)hold.pongs, 0);
    bench_figure(bench, "server_cpu_us_per_heartbeat", (held.cpu_seconds - up.cpu_seconds) * 1e6 / count, 1);
    for (uint32_t i = 0; i < bench->sessions; i++) {
        frame_reader_reset(&hold.devices[i].reader);
        if (hold.devices[i].state != DEVICE_NONE && hold.devices[i].fd >= 0)
            close(hold.devices[i].fd);
    }
    close(hold.epoll_fd);
    free(hold.devices);
    free(hold.begun_us);
    session_codec_free(&hold.codec);
    return hold.failed == 0 && hold.connected == bench->sessions && hold.pongs == hold.connected ? 0 : 1;
}
