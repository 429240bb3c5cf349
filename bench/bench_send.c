/* Senders on keep-alive connections, one request under way on each: what a backend's worker does. Every 2xx is a message that is
 * durable. With sessions, each message goes to one that is connected, is pushed, and acked: the whole way. */
#include "bench_fleet.h"
#include "bench_others.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_SECONDS 300
#define DELIVER_SECONDS 30
#define BROADCAST_RATE 100 /* unicasts beside broadcasts, whose latency says what those cost others */
#define BROADCASTS_MAX 1000000
#define RATE_MAX 200000 /* no machine takes more from us: what numbers are there for */

struct sender {
    int fd;
    uint64_t begun_us;
    uint64_t number; /* of its message */
    size_t have;     /* of the answer */
    char answer[4096];
    struct sender *next_idle;
};

struct sending {
    struct bench *bench;
    int epoll_fd;
    struct sender *senders;
    struct sender *idle; /* in turn: a connection that is left alone is closed by the server after a while */
    struct sender *last_idle;
    char *filler;
    uint64_t numbers; /* that there are */
    uint64_t next;
    uint64_t broadcasts; /* begun; their numbers are those after the messages' */
    uint8_t *took;       /* by number: answered 2xx */
    uint64_t accepted;
    uint64_t refused;
    unsigned last_refusal;
    uint32_t under_way;
    struct bench_latency latency;
};

static void send_to(struct sending *sending, struct sender *sender, uint64_t number, const char *to)
{
    const struct bench *bench = sending->bench;
    char stamp[BENCH_STAMP_BYTES], body[8192 + 256], request[8192 + 1024];
    sender->have = 0;
    sender->number = number;
    sender->begun_us = bench_now_us();
    bench_stamp_write(stamp, sender->number, sender->begun_us);
    int body_len = snprintf(body, sizeof body, "{\"to\":%s,\"data\":\"%s%s\"}", to, stamp, sending->filler);
    int len = snprintf(request, sizeof request,
                       "POST /v1/apps/%s/messages HTTP/1.1\r\nHost: petrel\r\nAuthorization: Bearer %s\r\n"
                       "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                       bench->target.app, bench->target.api_key, body_len, body);
    if (send(sender->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        bench_die(sending->bench, "a request can't be written: %s", strerror(errno));
    sending->under_way++;
}

static void send_next(struct sending *sending, struct sender *sender)
{
    const struct bench_options *options = &sending->bench->options;
    const uint32_t users = options->sessions > 0 ? options->sessions : options->users;
    const uint64_t number = sending->next++;
    char to[64];
    snprintf(to, sizeof to, "{\"user\":\"user-%08" PRIu64 "\"}", number % users);
    send_to(sending, sender, number, to);
}

static void send_broadcast(struct sending *sending, struct sender *sender)
{
    send_to(sending, sender, sending->numbers + sending->broadcasts++, "{\"topic\":\"all\"}");
}

/* The status of a whole answer; 0 while it is partial. */
static unsigned status_of(struct bench *bench, struct sender *sender)
{
    sender->answer[sender->have] = '\0';
    const char *end = strstr(sender->answer, "\r\n\r\n");
    if (end == NULL)
        return 0;
    const char *length = strcasestr(sender->answer, "\r\ncontent-length:");
    unsigned status;
    if (length == NULL || length > end || sscanf(sender->answer, "HTTP/1.1 %u", &status) != 1)
        bench_die(bench, "not an answer: %.80s", sender->answer);
    size_t whole = (size_t)(end + 4 - sender->answer) + strtoul(length + 17, NULL, 10);
    return sender->have >= whole ? status : 0;
}

static void put_idle(struct sending *sending, struct sender *sender)
{
    sender->next_idle = NULL;
    if (sending->idle == NULL)
        sending->idle = sender;
    else
        sending->last_idle->next_idle = sender;
    sending->last_idle = sender;
}

static void on_readable(struct sending *sending, struct sender *sender)
{
    ssize_t got = recv(sender->fd, sender->answer + sender->have, sizeof sender->answer - 1 - sender->have, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        bench_die(sending->bench, "the server closed a connection");
    sender->have += (size_t)got;
    unsigned status = status_of(sending->bench, sender);
    if (status == 0)
        return;
    sending->under_way--;
    const bool broadcast = sender->number >= sending->numbers;
    if (!broadcast)
        bench_latency_add(&sending->latency, bench_now_us() - sender->begun_us);
    if (status / 100 == 2) {
        sending->accepted += !broadcast;
        sending->took[sender->number] = 1;
    } else {
        sending->refused++;
        sending->last_refusal = status;
    }
    put_idle(sending, sender);
}

static void serve(struct sending *sending, int timeout_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(sending->epoll_fd, events, 256, timeout_ms);
    for (int i = 0; i < count; i++)
        on_readable(sending, &sending->senders[events[i].data.u32]);
}

static void open_senders(struct sending *sending)
{
    struct bench *bench = sending->bench;
    for (uint32_t i = 0; i < bench->options.senders; i++) {
        const struct sockaddr_in *to = &bench->target.apis[i % bench->target.apis_count];
        struct sender *sender = &sending->senders[i];
        sender->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (sender->fd < 0 || connect(sender->fd, (const struct sockaddr *)to, sizeof *to) != 0 ||
            epoll_ctl(sending->epoll_fd, EPOLL_CTL_ADD, sender->fd, &event) != 0)
            bench_die(bench, "a sender can't connect: %s", strerror(errno));
        put_idle(sending, sender);
    }
}

/* How many may have been begun by now. */
static uint64_t allowed(const struct sending *sending, uint64_t passed_us)
{
    const uint64_t rate = sending->bench->options.rate;
    const uint64_t due = rate > 0 ? passed_us * rate / 1000000 : UINT64_MAX;
    return due < sending->numbers ? due : sending->numbers;
}

static struct sender *take_idle(struct sending *sending)
{
    struct sender *sender = sending->idle;
    sending->idle = sender->next_idle;
    return sender;
}

static bool is_broadcast_due(const struct sending *sending, uint64_t passed_us)
{
    const struct bench *bench = sending->bench;
    return bench->broadcasts && passed_us / 1000 / bench->options.every_ms >= sending->broadcasts;
}

static void run_load(struct sending *sending)
{
    const uint64_t start = bench_now_us(), length = sending->bench->options.seconds * 1000000ULL;
    for (uint64_t now = start, shown = start; now - start < length; now = bench_now_us()) {
        const uint64_t until = allowed(sending, now - start);
        if (sending->idle != NULL && is_broadcast_due(sending, now - start))
            send_broadcast(sending, take_idle(sending));
        while (sending->idle != NULL && sending->next < until)
            send_next(sending, take_idle(sending));
        serve(sending, sending->bench->options.rate > 0 ? 1 : 100);
        if (now - shown > 1000000) {
            shown = now;
            bench_progress("%3" PRIu64 " s: %" PRIu64 " accepted, %" PRIu64 " refused", (now - start) / 1000000,
                           sending->accepted, sending->refused);
        }
    }
    while (sending->under_way > 0)
        serve(sending, 100);
}

/* ---- what came of it ---- */

struct outcome {
    uint64_t delivered;
    uint64_t lost;
    uint64_t duplicates;
};

static struct outcome judge(const struct sending *sending)
{
    const struct bench_fleet *fleet = sending->bench->fleet;
    struct outcome outcome = {0};
    for (uint64_t i = 0; i < sending->next; i++) {
        const uint8_t seen = atomic_load_explicit(&fleet->seen[i], memory_order_relaxed);
        outcome.delivered += seen > 0;
        outcome.lost += sending->took[i] != 0 && seen == 0;
        outcome.duplicates += seen > 1 ? (uint64_t)seen - 1 : 0;
    }
    return outcome;
}

/* Of those that were answered 2xx, to each session one. */
static uint64_t broadcasts_missing(const struct sending *sending)
{
    uint64_t expected = 0;
    for (uint64_t i = 0; i < sending->broadcasts; i++)
        expected += sending->took[sending->numbers + i] != 0 ? sending->bench->options.sessions : 0;
    const uint64_t came = sending->broadcasts > 0 ? bench_fleet_sum(sending->bench->fleet).broadcasts : 0;
    return expected > came ? expected - came : 0;
}

static struct outcome await_delivery(struct sending *sending)
{
    const uint64_t deadline = bench_now_us() + DELIVER_SECONDS * 1000000ULL;
    struct outcome outcome;
    while (((outcome = judge(sending)).lost > 0 || broadcasts_missing(sending) > 0) && bench_now_us() < deadline)
        usleep(10000);
    return outcome;
}

static bool report_delivery(struct sending *sending, struct outcome outcome, double seconds)
{
    struct bench *bench = sending->bench;
    struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    bench_figure(bench, "sessions", bench->options.sessions, 0);
    bench_figure(bench, "delivered", (double)outcome.delivered, 0);
    bench_figure(bench, "lost", (double)outcome.lost, 0);
    bench_figure(bench, "duplicates", (double)(outcome.duplicates + sums.backwards), 0);
    bench_figure(bench, "delivered_per_second", (double)outcome.delivered / seconds, 0);
    bench_figure_latency(bench, "push", &sums.push);
    const uint64_t missing = broadcasts_missing(sending);
    if (bench->broadcasts) {
        bench_figure(bench, "broadcasts", (double)sending->broadcasts, 0);
        bench_figure(bench, "broadcast_delivered", (double)sums.broadcasts, 0);
        bench_figure(bench, "broadcast_lost", (double)missing, 0);
        bench_figure_latency(bench, "broadcast", &sums.broadcast);
    }
    return missing == 0 && outcome.lost == 0 && outcome.duplicates + sums.backwards == 0;
}

static double pushes_of(const struct bench *bench)
{
    const uint64_t pushes = bench_fleet_sum(bench->fleet).pushes;
    return pushes > 0 ? (double)pushes : 1;
}

static bool measure(struct sending *sending)
{
    struct bench *bench = sending->bench;
    const struct bench_options *options = &bench->options;
    const bool whole_way = options->sessions > 0;
    double commits = bench_target_metric(bench, "petrel_store_commits_total");
    struct bench_snapshot before = bench_target_snapshot(bench);
    uint64_t start = bench_now_us();
    run_load(sending);
    double seconds = (double)(bench_now_us() - start) / 1e6;
    struct outcome outcome = whole_way ? await_delivery(sending) : (struct outcome){0};
    double all_seconds = (double)(bench_now_us() - start) / 1e6;
    double count = sending->accepted > 0 ? (double)sending->accepted : 1;
    bench_figure(bench, "senders", options->senders, 0);
    bench_figure(bench, "seconds", seconds, 2);
    bench_figure(bench, "accepted", (double)sending->accepted, 0);
    bench_figure(bench, "refused", (double)sending->refused, 0);
    bench_figure(bench, "last_refusal", sending->last_refusal, 0);
    bench_figure(bench, "per_second", count / seconds, 0);
    bench_target_figures(bench, &before, bench->broadcasts ? pushes_of(bench) : count);
    commits = bench_target_metric(bench, "petrel_store_commits_total") - commits;
    if (commits > 0)
        bench_figure(bench, "sends_per_commit", count / commits, 1);
    bench_figure_latency(bench, "send", &sending->latency);
    const bool good = !whole_way || report_delivery(sending, outcome, all_seconds);
    return good && sending->refused == 0 && sending->accepted > 0;
}

int bench_broadcast(struct bench *bench)
{
    if (bench->options.sessions == 0)
        bench_die(bench, "broadcast needs --sessions");
    bench->broadcasts = true;
    if (bench->options.rate == 0)
        bench->options.rate = BROADCAST_RATE;
    return bench_send(bench);
}

int bench_send(struct bench *bench)
{
    if (bench->server == BENCH_OTHER)
        return bench_others_send(bench);
    const struct bench_options *options = &bench->options;
    const uint64_t rate = options->rate > 0 ? options->rate : RATE_MAX;
    struct sending sending = {
        .bench = bench, .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .numbers = rate * options->seconds};
    if (options->sessions > 0) {
        bench_fleet_open(bench, options->sessions, sending.numbers);
        bench_fleet_order(bench->fleet, BENCH_CONNECT);
        if (!bench_fleet_await(bench->fleet, CONNECT_SECONDS))
            bench_die(bench, "not all sessions could be connected");
    }
    sending.senders = calloc(options->senders, sizeof *sending.senders);
    sending.filler = malloc(options->payload_bytes + 1);
    sending.took = mmap(NULL, sending.numbers + BROADCASTS_MAX, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sending.epoll_fd < 0 || sending.senders == NULL || sending.filler == NULL || sending.took == MAP_FAILED)
        bench_die(bench, "out of memory or descriptors");
    const size_t stamp = BENCH_STAMP_BYTES - 1;
    const size_t filler = options->payload_bytes > stamp ? options->payload_bytes - stamp : 0;
    memset(sending.filler, 'x', filler);
    sending.filler[filler] = '\0';
    open_senders(&sending);
    const bool good = measure(&sending);
    for (uint32_t i = 0; i < options->senders; i++)
        close(sending.senders[i].fd);
    close(sending.epoll_fd);
    munmap(sending.took, sending.numbers + BROADCASTS_MAX);
    free(sending.senders);
    free(sending.filler);
    return good ? 0 : 1;
}
