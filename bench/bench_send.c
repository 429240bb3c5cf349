/* Senders on keep-alive connections, one request under way on each: what a backend's worker does. Every 2xx is a message that
 * a commit has made durable. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct sender {
    int fd;
    uint64_t begun_us;
    size_t have; /* of the answer */
    char answer[4096];
};

struct sending {
    struct bench *bench;
    int epoll_fd;
    struct sender *senders;
    char *filler;
    uint64_t next_user;
    uint64_t accepted;
    uint64_t refused;
    unsigned last_refusal;
    uint32_t under_way;
    struct bench_latency latency;
};

static void send_next(struct sending *sending, struct sender *sender)
{
    struct bench *bench = sending->bench;
    char body[8192 + 256], request[8192 + 1024];
    int body_len = snprintf(body, sizeof body, "{\"to\":{\"user\":\"user-%08" PRIu64 "\"},\"data\":\"%s\"}",
                            sending->next_user++ % bench->users, sending->filler);
    int len = snprintf(request, sizeof request,
                       "POST /v1/apps/%s/messages HTTP/1.1\r\nHost: petrel\r\nAuthorization: Bearer %s\r\n"
                       "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                       bench->app, bench->api_key, body_len, body);
    sender->have = 0;
    sender->begun_us = bench_now_us();
    if (send(sender->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        bench_die(bench, "a request can't be written: %s", strerror(errno));
    sending->under_way++;
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

static void on_readable(struct sending *sending, struct sender *sender, bool more)
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
    bench_latency_add(&sending->latency, bench_now_us() - sender->begun_us);
    if (status / 100 == 2) {
        sending->accepted++;
    } else {
        sending->refused++;
        sending->last_refusal = status;
    }
    if (more)
        send_next(sending, sender);
}

static void serve(struct sending *sending, bool more)
{
    struct epoll_event events[256];
    int count = epoll_wait(sending->epoll_fd, events, 256, 100);
    for (int i = 0; i < count; i++)
        on_readable(sending, &sending->senders[events[i].data.u32], more);
}

static void open_senders(struct sending *sending)
{
    struct bench *bench = sending->bench;
    const struct sockaddr *to = (const struct sockaddr *)&bench->api_address;
    for (uint32_t i = 0; i < bench->senders; i++) {
        struct sender *sender = &sending->senders[i];
        sender->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (sender->fd < 0 || connect(sender->fd, to, sizeof bench->api_address) != 0 ||
            epoll_ctl(sending->epoll_fd, EPOLL_CTL_ADD, sender->fd, &event) != 0)
            bench_die(bench, "a sender can't connect: %s", strerror(errno));
    }
}

int bench_send(struct bench *bench)
{
    struct sending sending = {.bench = bench, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    sending.senders = calloc(bench->senders, sizeof *sending.senders);
    sending.filler = malloc(bench->payload_bytes + 1);
    if (sending.epoll_fd < 0 || sending.senders == NULL || sending.filler == NULL)
        bench_die(bench, "out of memory or descriptors");
    memset(sending.filler, 'x', bench->payload_bytes);
    sending.filler[bench->payload_bytes] = '\0';
    open_senders(&sending);
    struct bench_usage before = bench_server_usage(bench);
    double commits = bench_server_metric(bench, "petrel_store_commits_total");
    uint64_t start = bench_now_us(), length = bench->seconds * 1000000ULL, shown = start;
    for (uint32_t i = 0; i < bench->senders; i++)
        send_next(&sending, &sending.senders[i]);
    while (bench_now_us() - start < length) {
        serve(&sending, true);
        if (bench_now_us() - shown > 1000000) {
            shown = bench_now_us();
            bench_progress("%" PRIu64 " accepted, %" PRIu64 " refused", sending.accepted, sending.refused);
        }
    }
    double seconds = (double)(bench_now_us() - start) / 1e6;
    struct bench_usage after = bench_server_usage(bench);
    uint64_t accepted = sending.accepted;
    commits = bench_server_metric(bench, "petrel_store_commits_total") - commits;
    while (sending.under_way > 0)
        serve(&sending, false);
    double count = accepted > 0 ? (double)accepted : 1;
    bench_figure(bench, "senders", bench->senders, 0);
    bench_figure(bench, "seconds", seconds, 2);
    bench_figure(bench, "accepted", (double)accepted, 0);
    bench_figure(bench, "refused", (double)sending.refused, 0);
    bench_figure(bench, "last_refusal", sending.last_refusal, 0);
    bench_figure(bench, "per_second", count / seconds, 0);
    bench_figure(bench, "commits", commits, 0);
    bench_figure(bench, "sends_per_commit", commits > 0 ? count / commits : 0, 1);
    bench_figure(bench, "server_cpu_s_per_million", (after.cpu_seconds - before.cpu_seconds) * 1e6 / count, 1);
    bench_figure(bench, "p50_us", (double)bench_latency_at(&sending.latency, 0.5), 0);
    bench_figure(bench, "p99_us", (double)bench_latency_at(&sending.latency, 0.99), 0);
    bench_figure(bench, "max_us", (double)sending.latency.max_us, 0);
    for (uint32_t i = 0; i < bench->senders; i++)
        close(sending.senders[i].fd);
    close(sending.epoll_fd);
    free(sending.senders);
    free(sending.filler);
    return sending.refused == 0 && accepted > 0 ? 0 : 1;
}
