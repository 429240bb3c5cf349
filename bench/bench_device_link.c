#include "bench_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PER_SOURCE 4000 /* connections from one loopback address: well within the ephemeral ports */
#define WAIT_MIN_MS 500 /* as libpetrel waits, proto/README.md section 9 */
#define WAIT_MAX_MS 60000
#define TOLD_MAX_MS 3600000   /* no server can send a device away for longer */
#define PATIENCE_US 20000000U /* with a server that does not answer */
#define LOOK_US 4000          /* from one look at those that wait to the next */
#define WORKS_MAX 8           /* connects that are work, in a turn */
#define SLOW_BUFFER 2048

static uint32_t now_ms(const struct work *work)
{
    return (uint32_t)((bench_now_us() - work->start_us) / 1000);
}

static void come_back(struct work *work, const struct device *device, uint64_t wait_ms)
{
    work->due_ms[device - work->devices] = now_ms(work) + (uint32_t)wait_ms + 1;
    work->due_count++;
}

static bool is_on_its_way(const struct device *device)
{
    return device->state >= DEVICE_CONNECTING && device->state <= DEVICE_WAITING;
}

static void go_down(struct work *work, struct device *device)
{
    if (is_on_its_way(device))
        work->in_flight--;
    if (device->state == DEVICE_UP)
        atomic_fetch_sub(&work->out->connected, 1);
    device->state = DEVICE_DOWN;
    frame_reader_reset(&device->reader);
    bench_device_wire_close(device);
    if (device->fd >= 0)
        close(device->fd);
    device->fd = -1;
}

/* What the server told is the least; on top a random part that doubles with each failure. */
static uint64_t wait_ms(struct work *work, struct device *device)
{
    const uint64_t least = device->told_ms < TOLD_MAX_MS ? device->told_ms : TOLD_MAX_MS;
    uint64_t window = least > WAIT_MIN_MS ? least : WAIT_MIN_MS;
    for (uint8_t i = 0; i < device->failures && window < WAIT_MAX_MS; i++)
        window *= 2;
    if (device->failures < UINT8_MAX)
        device->failures++;
    return least + rng_below(&work->rng, (window < WAIT_MAX_MS ? window : WAIT_MAX_MS) + 1);
}

void bench_device_link_lost(struct work *work, struct device *device, const char *why)
{
    struct bench_worker *out = work->out;
    const bool later = device->told != 0 && session_code_retry(device->told);
    const bool never = device->told != 0 && !later;
    if (device->told != 0)
        snprintf(out->why, sizeof out->why, "%u %s", device->told, session_code_name(device->told));
    else
        snprintf(out->why, sizeof out->why, "%s", why);
    go_down(work, device);
    atomic_fetch_add(later ? &out->refused : &out->failed, 1);
    if (never) {
        device->state = DEVICE_GONE;
        atomic_fetch_add(&out->gone, 1);
        return;
    }
    come_back(work, device, wait_ms(work, device));
}

void bench_device_link_cut(struct work *work, struct device *device, bool reset, uint32_t within_ms)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        (void)setsockopt(device->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    else
        bench_device_wire_farewell(work, device);
    go_down(work, device);
    if (within_ms > 0)
        come_back(work, device, rng_below(&work->rng, within_ms));
}

bool bench_device_link_begin(struct work *work, uint32_t index)
{
    const struct bench_target *target = &work->fleet->bench->target;
    struct device *device = &work->devices[index];
    const uint32_t global = work->first + index;
    const struct sockaddr_in *to = &target->sessions[(global + device->attempt) % target->sessions_count];
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + global / PER_SOURCE);
    if (work->due_ms[index] != 0)
        work->due_count--;
    work->due_ms[index] = 0;
    device->told = 0;
    device->told_ms = 0;
    device->begun_us = bench_now_us();
    device->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (device->fd < 0)
        bench_die(work->fleet->bench, "socket: %s", strerror(errno));
    /* The port is chosen by connect(), which knows the whole connection: bind() would look for one that is free for all. */
    const int on = 1, small = SLOW_BUFFER;
    (void)setsockopt(device->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (work->apart && work->fleet->config.slow)
        (void)setsockopt(device->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    const bool works = bench_device_wire_prepare(work, device);
    device->state = DEVICE_CONNECTING;
    work->in_flight++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = index};
    const bool loopback = ntohl(to->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if ((loopback && bind(device->fd, (const struct sockaddr *)&from, sizeof from) != 0) ||
        epoll_ctl(work->epoll_fd, EPOLL_CTL_ADD, device->fd, &event) != 0 ||
        (connect(device->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS))
        bench_device_link_lost(work, device, strerror(errno));
    return works;
}

void bench_device_link_watch(struct work *work, struct device *device, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(device - work->devices)};
    if (epoll_ctl(work->epoll_fd, EPOLL_CTL_MOD, device->fd, &event) != 0)
        bench_die(work->fleet->bench, "epoll_ctl: %s", strerror(errno));
}

void bench_device_link_write(struct work *work, struct device *device, const char *what)
{
    if (!bench_device_wire_write(work, device))
        bench_device_link_lost(work, device, what);
}

void bench_device_link_hello(struct work *work, struct device *device)
{
    const struct bench *bench = work->fleet->bench;
    const uint32_t global = work->first + (uint32_t)(device - work->devices);
    struct token_claims claims = {.issued_s = (uint64_t)time(NULL)};
    claims.expires_s = claims.issued_s + 86400;
    snprintf(claims.app, sizeof claims.app, "%s", bench->target.app);
    snprintf(claims.user, sizeof claims.user, "user-%08u", global);
    snprintf(claims.device, sizeof claims.device, "device-%08u", global);
    /* As in life, the same for all who use one library; but petrel-limit, which reads no token, knows the user by it. */
    char client[32] = "petrel-bench";
    if (bench->server == BENCH_LIMIT)
        snprintf(client, sizeof client, "bench-%08u", global);
    work->token.len = work->frame.len = 0;
    if (token_mint(bench->target.token_key, &claims, &work->token) != 0)
        bench_die(work->fleet->bench, "a token can't be minted");
    const struct session_topic_position all = {.topic = bytes_str("all"), .position = device->topic_at};
    struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                      .token = bytes_view(&work->token),
                                      .attempt = ++device->attempt,
                                      .position = device->at,
                                      .client = bytes_str(client),
                                      .takes_topics = bench->broadcasts,
                                      .topics_count = bench->broadcasts && device->topic_at.epoch != 0,
                                      .topics = &all};
    session_encode_connect(&work->frame, &connect);
    device->state = DEVICE_WAITING;
    bench_device_link_watch(work, device, EPOLLIN);
    bench_device_link_write(work, device, "CONNECT can't be written");
}

void bench_device_link_up(struct work *work, struct device *device)
{
    device->state = DEVICE_UP;
    device->failures = 0;
    work->in_flight--;
    atomic_fetch_add(&work->out->connected, 1);
    atomic_fetch_add(&work->out->connects, 1);
    bench_latency_add(&work->out->connect, bench_now_us() - device->begun_us);
}

static void give_up(struct work *work, uint64_t now)
{
    for (uint32_t i = 0; i < work->count; i++) {
        struct device *device = &work->devices[i];
        if (is_on_its_way(device) && now > device->begun_us + PATIENCE_US)
            bench_device_link_lost(work, device, "the server does not answer");
    }
}

bool bench_device_link_turn(struct work *work, uint32_t in_flight_max)
{
    const uint64_t now = bench_now_us();
    if (now < work->looked_us + LOOK_US)
        return false;
    if (work->in_flight > 0 && now / PATIENCE_US != work->looked_us / PATIENCE_US)
        give_up(work, now);
    work->looked_us = now;
    const uint32_t ms = now_ms(work);
    uint32_t works = 0;
    for (uint32_t i = 0; i < work->count && work->due_count > 0 && work->in_flight < in_flight_max; i++) {
        if (work->due_ms[i] == 0 || work->due_ms[i] > ms)
            continue;
        /* A phone has a core of its own: those that a server has answered go before those that begin. */
        if (works == WORKS_MAX) {
            work->looked_us = now - LOOK_US;
            return true;
        }
        works += bench_device_link_begin(work, i);
    }
    return false;
}
