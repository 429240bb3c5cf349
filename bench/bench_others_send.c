/* Publishers of another server. Where each publish is answered, one is under way on a connection, as with bench_send.c; where none is, a
 * ping behind every few keeps the publisher in step with the server. */
#include "bench_fleet.h"
#include "bench_others.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DELIVER_SECONDS 30
#define UNANSWERED 16 /* publishes to a ping */
#define RATE_MAX 400000
#define TURN_MS 100
#define PACED_TURN_MS 1

struct publisher {
    int fd;
    bool busy;
    uint64_t begun_us;
    struct bytebuf rest;
};

struct publishing {
    struct bench *bench;
    const struct bench_others_codec *codec;
    int epoll_fd;
    struct publisher *publishers;
    uint32_t under_way;
    uint64_t numbers; /* that there are for messages to one; those of broadcasts come after them */
    uint64_t next;
    uint64_t broadcasts;
    uint64_t start_us;
    bool ends;  /* nothing new is published */
    char *text; /* stamp and filler */
    struct bytebuf bytes;
    struct bench_latency latency;
};

struct arrival {
    struct publishing *publishing;
    struct publisher *publisher;
};

/* The number's message for somebody at random, the same in each run. */
static uint64_t user_of(const struct publishing *publishing, uint64_t number)
{
    return number * UINT64_C(2654435761) % publishing->bench->options.sessions;
}

static void put_message(struct publishing *publishing, uint64_t number, const char *to)
{
    char stamp[BENCH_STAMP_BYTES];
    bench_stamp_write(stamp, number, bench_now_us());
    memcpy(publishing->text, stamp, BENCH_STAMP_BYTES - 1);
    publishing->codec->publish(&publishing->bytes, to, bytes_str(publishing->text));
}

static uint64_t allowed(const struct publishing *publishing, uint64_t passed_us)
{
    const uint64_t rate = publishing->bench->options.rate;
    const uint64_t due = rate > 0 ? passed_us * rate / 1000000 : UINT64_MAX;
    return due < publishing->numbers ? due : publishing->numbers;
}

static void publish(struct publishing *publishing, struct publisher *publisher)
{
    const struct bench *bench = publishing->bench;
    const uint64_t passed = bench_now_us() - publishing->start_us, until = allowed(publishing, passed);
    const bool broadcast = bench->broadcasts && passed / 1000 / bench->options.every_ms >= publishing->broadcasts;
    if (publishing->ends || (!broadcast && publishing->next >= until))
        return;
    if (broadcast)
        put_message(publishing, publishing->numbers + publishing->broadcasts++, BENCH_OTHERS_ALL);
    const uint32_t most = broadcast ? 0 : publishing->codec->answers ? 1 : UNANSWERED;
    for (uint32_t i = 0; i < most && publishing->next < until; i++) {
        char to[BENCH_OTHERS_NAME_MAX];
        snprintf(to, sizeof to, "u%" PRIu64, user_of(publishing, publishing->next));
        put_message(publishing, publishing->next++, to);
    }
    if (!publishing->codec->answers)
        publishing->codec->ping(&publishing->bytes);
    const struct bytes bytes = bytes_view(&publishing->bytes);
    if (send(publisher->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL) != (ssize_t)bytes.len)
        bench_die(publishing->bench, "a publish can't be written: %s", strerror(errno));
    publishing->bytes.len = 0;
    publisher->begun_us = bench_now_us();
    publisher->busy = true;
    publishing->under_way++;
}

static int on_event(void *ctx, const struct bench_others_event *event)
{
    struct publishing *publishing = ((struct arrival *)ctx)->publishing;
    struct publisher *publisher = ((struct arrival *)ctx)->publisher;
    if (event->what == BENCH_OTHERS_ASKED) {
        publishing->bytes.len = 0;
        publishing->codec->pong(&publishing->bytes);
        (void)send(publisher->fd, publishing->bytes.ptr, publishing->bytes.len, MSG_NOSIGNAL);
        publishing->bytes.len = 0;
    } else if (event->what == BENCH_OTHERS_TAKEN && publisher->busy) {
        bench_latency_add(&publishing->latency, bench_now_us() - publisher->begun_us);
        publisher->busy = false;
        publishing->under_way--;
    }
    return 0;
}

static void serve(struct publishing *publishing, int timeout_ms)
{
    struct epoll_event events[256];
    uint8_t data[16384];
    const int count = epoll_wait(publishing->epoll_fd, events, 256, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct publisher *publisher = &publishing->publishers[events[i].data.u32];
        struct arrival arrival = {publishing, publisher};
        const ssize_t got = recv(publisher->fd, data, sizeof data, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0 || bench_others_feed(publishing->codec, &publisher->rest, bytes_of(data, (size_t)got), on_event,
                                          &arrival) != 0)
            bench_die(publishing->bench, "the server closed a publisher's connection, or says what nobody asked");
        if (!publisher->busy)
            publish(publishing, publisher);
    }
}

static void open_publishers(struct publishing *publishing)
{
    struct bench *bench = publishing->bench;
    const struct sockaddr_in *to = &bench->target.sessions[0];
    for (uint32_t i = 0; i < bench->options.senders; i++) {
        struct publisher *publisher = &publishing->publishers[i];
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        char name[BENCH_OTHERS_NAME_MAX];
        publisher->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(name, sizeof name, "p%u", i);
        publishing->codec->hello(&publishing->bytes, name, false);
        const struct bytes hello = bytes_view(&publishing->bytes);
        if (publisher->fd < 0 || connect(publisher->fd, (const struct sockaddr *)to, sizeof *to) != 0 ||
            epoll_ctl(publishing->epoll_fd, EPOLL_CTL_ADD, publisher->fd, &event) != 0 ||
            send(publisher->fd, hello.ptr, hello.len, MSG_NOSIGNAL) != (ssize_t)hello.len)
            bench_die(bench, "a publisher can't connect: %s", strerror(errno));
        publishing->bytes.len = 0;
    }
}

static void run_load(struct publishing *publishing)
{
    const struct bench_options *options = &publishing->bench->options;
    const uint64_t length = options->seconds * 1000000ULL;
    publishing->start_us = bench_now_us();
    while (bench_now_us() - publishing->start_us < length) {
        for (uint32_t i = 0; i < options->senders; i++)
            if (!publishing->publishers[i].busy)
                publish(publishing, &publishing->publishers[i]);
        serve(publishing, options->rate > 0 ? PACED_TURN_MS : TURN_MS);
    }
    publishing->ends = true;
    while (publishing->under_way > 0)
        serve(publishing, TURN_MS);
}

struct outcome {
    uint64_t delivered;
    uint64_t duplicates;
    uint64_t broadcast_lost;
};

static struct outcome judge(const struct publishing *publishing)
{
    const struct bench_fleet *fleet = publishing->bench->fleet;
    const uint64_t came = bench_fleet_sum(fleet).broadcasts;
    const uint64_t due = publishing->broadcasts * publishing->bench->options.sessions;
    struct outcome outcome = {.broadcast_lost = due > came ? due - came : 0};
    for (uint64_t i = 0; i < publishing->next; i++) {
        const uint8_t seen = atomic_load_explicit(&fleet->seen[i], memory_order_relaxed);
        outcome.delivered += seen > 0;
        outcome.duplicates += seen > 1 ? (uint64_t)seen - 1 : 0;
    }
    return outcome;
}

/* Named as bench_send.c names them. */
static void report(const struct publishing *publishing, const struct outcome *outcome,
                   const struct bench_snapshot *before, double seconds)
{
    struct bench *bench = publishing->bench;
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    const double lost = (double)(publishing->next - outcome->delivered);
    bench_figure(bench, "senders", bench->options.senders, 0);
    bench_figure(bench, "seconds", seconds, 2);
    bench_figure(bench, "accepted", (double)publishing->next, 0);
    bench_target_figures(bench, before, sums.pushes > 0 ? (double)sums.pushes : 1);
    bench_figure_latency(bench, "send", &publishing->latency);
    bench_figure(bench, "sessions", bench->options.sessions, 0);
    if (bench->broadcasts) {
        bench_figure(bench, "broadcasts", (double)publishing->broadcasts, 0);
        bench_figure(bench, "delivered", (double)sums.broadcasts, 0);
        bench_figure(bench, "lost", (double)outcome->broadcast_lost, 0);
        bench_figure(bench, "duplicates", (double)outcome->duplicates, 0);
        bench_figure_latency(bench, "", &sums.broadcast);
        bench_figure(bench, "push_delivered", (double)outcome->delivered, 0);
        bench_figure(bench, "push_lost", lost, 0);
        bench_figure_latency(bench, "push", &sums.push);
    } else {
        bench_figure(bench, "delivered", (double)outcome->delivered, 0);
        bench_figure(bench, "lost", lost, 0);
        bench_figure(bench, "duplicates", (double)outcome->duplicates, 0);
        bench_figure(bench, "per_second", (double)outcome->delivered / seconds, 0);
        bench_figure_latency(bench, "", &sums.push);
    }
}

static int measure(struct publishing *publishing)
{
    struct bench *bench = publishing->bench;
    struct bench_snapshot before = bench_target_snapshot(bench);
    run_load(publishing);
    const double seconds = (double)(bench_now_us() - publishing->start_us) / 1e6;
    const uint64_t deadline = bench_now_us() + DELIVER_SECONDS * 1000000ULL;
    struct outcome outcome = judge(publishing);
    for (; (outcome.delivered < publishing->next || outcome.broadcast_lost > 0) && bench_now_us() < deadline;
         outcome = judge(publishing))
        usleep(10000);
    report(publishing, &outcome, &before, seconds);
    return outcome.delivered == publishing->next && outcome.broadcast_lost == 0 ? 0 : 1;
}

int bench_others_send(struct bench *bench)
{
    const struct bench_options *options = &bench->options;
    struct publishing publishing = {.bench = bench,
                                    .codec = bench->other->codec,
                                    .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                                    .publishers = calloc(options->senders, sizeof *publishing.publishers),
                                    .text = calloc(1, options->payload_bytes + 1),
                                    .numbers =
                                        (uint64_t)(options->rate > 0 ? options->rate : RATE_MAX) * options->seconds};
    if (publishing.epoll_fd < 0 || publishing.publishers == NULL || publishing.text == NULL)
        bench_die(bench, "out of memory or descriptors");
    memset(publishing.text, 'x', options->payload_bytes);
    bench_fleet_open(bench, &(struct bench_fleet_config){.devices = options->sessions, .numbers = publishing.numbers});
    bench_fleet_connect(bench->fleet);
    bench_settle(bench);
    open_publishers(&publishing);
    const int status = measure(&publishing);
    for (uint32_t i = 0; i < options->senders; i++) {
        close(publishing.publishers[i].fd);
        bytes_reset(&publishing.publishers[i].rest);
    }
    close(publishing.epoll_fd);
    bytes_reset(&publishing.bytes);
    free(publishing.publishers);
    free(publishing.text);
    return status;
}
