#include "bench_senders.h"

#include "bench_fleet.h"

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

struct sender {
    int fd;
    uint64_t begun_us;
    uint64_t number; /* of its message */
    size_t have;     /* of the answer */
    char answer[4096];
    struct sender *next_idle;
};

struct bench_senders {
    struct bench *bench;
    int epoll_fd;
    struct sender *all;
    struct sender *idle; /* in turn: a connection that is left alone is closed by the server after a while */
    struct sender *last_idle;
    char filler[BENCH_SENDERS_BYTES_MAX];
    uint64_t numbers;
    uint8_t *took; /* by number: answered 2xx */
    struct bench_senders_sums sums;
};

bool bench_senders_are_idle(const struct bench_senders *senders)
{
    return senders->idle != NULL;
}

void bench_senders_send(struct bench_senders *senders, uint64_t number, const char *to, uint32_t bytes)
{
    const struct bench_target *target = &senders->bench->target;
    struct sender *sender = senders->idle;
    char stamp[BENCH_STAMP_BYTES], body[BENCH_SENDERS_BYTES_MAX + 256], request[BENCH_SENDERS_BYTES_MAX + 1024];
    senders->idle = sender->next_idle;
    sender->have = 0;
    sender->number = number;
    sender->begun_us = bench_now_us();
    bench_stamp_write(stamp, sender->number, sender->begun_us);
    const int filler = bytes > BENCH_STAMP_BYTES - 1 ? (int)bytes - (BENCH_STAMP_BYTES - 1) : 0;
    int body_len = snprintf(body, sizeof body, "{\"to\":%s,\"data\":\"%s%.*s\"}", to, stamp, filler, senders->filler);
    int len = snprintf(request, sizeof request,
                       "POST /v1/apps/%s/messages HTTP/1.1\r\nHost: petrel\r\nAuthorization: Bearer %s\r\n"
                       "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                       target->app, target->api_key, body_len, body);
    if (send(sender->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        bench_die(senders->bench, "a request can't be written: %s", strerror(errno));
    senders->sums.under_way++;
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

static void put_idle(struct bench_senders *senders, struct sender *sender)
{
    sender->next_idle = NULL;
    if (senders->idle == NULL)
        senders->idle = sender;
    else
        senders->last_idle->next_idle = sender;
    senders->last_idle = sender;
}

static void on_readable(struct bench_senders *senders, struct sender *sender)
{
    ssize_t got = recv(sender->fd, sender->answer + sender->have, sizeof sender->answer - 1 - sender->have, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        bench_die(senders->bench, "the server closed a connection");
    sender->have += (size_t)got;
    const unsigned status = status_of(senders->bench, sender);
    if (status == 0)
        return;
    struct bench_senders_sums *sums = &senders->sums;
    sums->under_way--;
    bench_latency_add(&sums->latency, bench_now_us() - sender->begun_us);
    if (status / 100 == 2) {
        sums->accepted++;
        senders->took[sender->number] = 1;
    } else {
        sums->refused++;
        sums->last_refusal = status;
    }
    put_idle(senders, sender);
}

void bench_senders_serve(struct bench_senders *senders, int timeout_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(senders->epoll_fd, events, 256, timeout_ms);
    for (int i = 0; i < count; i++)
        on_readable(senders, &senders->all[events[i].data.u32]);
}

bool bench_senders_took(const struct bench_senders *senders, uint64_t number)
{
    return senders->took[number] != 0;
}

const struct bench_senders_sums *bench_senders_sum(const struct bench_senders *senders)
{
    return &senders->sums;
}

static void connect_all(struct bench_senders *senders)
{
    struct bench *bench = senders->bench;
    for (uint32_t i = 0; i < bench->options.senders; i++) {
        const struct sockaddr_in *to = &bench->target.apis[i % bench->target.apis_count];
        struct sender *sender = &senders->all[i];
        sender->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (sender->fd < 0 || connect(sender->fd, (const struct sockaddr *)to, sizeof *to) != 0 ||
            epoll_ctl(senders->epoll_fd, EPOLL_CTL_ADD, sender->fd, &event) != 0)
            bench_die(bench, "a sender can't connect: %s", strerror(errno));
        put_idle(senders, sender);
    }
}

struct bench_senders *bench_senders_open(struct bench *bench, uint64_t numbers)
{
    const struct bench_options *options = &bench->options;
    struct bench_senders *senders = calloc(1, sizeof *senders);
    if (senders == NULL)
        bench_die(bench, "memory is out");
    senders->bench = bench;
    senders->numbers = numbers;
    senders->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    senders->all = calloc(options->senders, sizeof *senders->all);
    senders->took = mmap(NULL, numbers + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (senders->epoll_fd < 0 || senders->all == NULL || senders->took == MAP_FAILED)
        bench_die(bench, "out of memory or descriptors");
    memset(senders->filler, 'x', sizeof senders->filler);
    connect_all(senders);
    return senders;
}

void bench_senders_close(struct bench_senders **senders)
{
    struct bench_senders *old = *senders;
    *senders = NULL;
    for (uint32_t i = 0; i < old->bench->options.senders; i++)
        close(old->all[i].fd);
    close(old->epoll_fd);
    munmap(old->took, old->numbers + 1);
    free(old->all);
    free(old);
}
