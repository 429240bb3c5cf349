/* The loop's epoll sets: the one in which it sleeps, and in it one for the few. The kernel tells of sockets in the order in which they
 * became ready; with a crowd of them ready, an API's request or another node's answer would wait for all that came before. */
#include "base/err.h"
#include "loop/loop_impl.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Sockets of either part that are served in one turn; the others keep until the next, so that mail and timers get theirs. */
#define POLLSET_BATCH 32
/* The loop has the alarm wake it when it may sleep for so long. */
#define ALARM_MIN_MS 100
#define POLLSET_LINE_BYTES 64

static void tell_few(struct loop *loop);

static void tell(struct loop *loop, struct endpoint *endpoint, uint32_t events)
{
    switch (endpoint->magic) {
    case STREAM_MAGIC:
        stream_on_events((struct stream *)(void *)endpoint, events);
        return;
    case LISTENER_MAGIC:
        listener_on_events((struct listener *)(void *)endpoint);
        return;
    case FEW_MAGIC:
        tell_few(loop);
        return;
    case ALARM_MAGIC:
        loop->alarm.at_ms = 0;
        return;
    case SIGNALS_MAGIC:
        signal_on_events((struct signals *)(void *)endpoint);
        return;
    default:
        object_check(endpoint, WAKEUP_MAGIC); /* mail, which is run already */
    }
}

static bool is_connection(const struct endpoint *endpoint)
{
    return endpoint->magic == STREAM_MAGIC;
}

static void tell_of_few(struct loop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (is_connection(events[i].data.ptr))
            loop->pace.few_said_ms = loop->now_ms;
        tell(loop, events[i].data.ptr, events[i].events);
    }
}

static void tell_few(struct loop *loop)
{
    struct epoll_event events[POLLSET_BATCH];
    int count = epoll_wait(loop->few.fd, events, POLLSET_BATCH, 0);
    petrel_assert(count >= 0 || errno == EINTR);
    loop->drained = loop->drained && count < POLLSET_BATCH;
    tell_of_few(loop, events, count);
}

/* What epoll_wait() is to be told of a wait of wait_ms. An alarm that is set for earlier will do: the wait begins anew then. */
static int with_alarm(struct loop *loop, int wait_ms)
{
    if (wait_ms < ALARM_MIN_MS)
        return wait_ms;
    struct alarm *alarm = &loop->alarm;
    const uint64_t due_ms = loop->ended_ms + (uint64_t)wait_ms;
    if (alarm->at_ms > loop->ended_ms && alarm->at_ms <= due_ms)
        return -1;
    const struct itimerspec in = {.it_value = {wait_ms / 1000, wait_ms % 1000 * 1000000L}};
    int rc = timerfd_settime(alarm->endpoint.fd, 0, &in, NULL);
    petrel_assert(rc == 0);
    alarm->at_ms = due_ms;
    return -1;
}

/* All that a turn will look at one after the other, at once. */
static void prefetch(const struct loop *loop, const struct epoll_event *events, int count)
{
    for (const char *line = (const char *)loop; line < (const char *)loop->wheel.slots; line += POLLSET_LINE_BYTES)
        __builtin_prefetch(line);
    for (int i = 0; i < count; i++)
        slab_prefetch(events[i].data.ptr);
}

static void tell_all(struct loop *loop, const struct epoll_event *events, int count)
{
    uint32_t crowd = 0;
    bool accepted = false;
    for (int i = 0; i < count; i++) {
        crowd += is_connection(events[i].data.ptr);
        accepted = accepted || ((struct endpoint *)events[i].data.ptr)->magic == LISTENER_MAGIC;
        tell(loop, events[i].data.ptr, events[i].events);
    }
    crowd_served(loop, crowd, accepted);
}

static void serve_all(struct loop *loop, int wait_ms)
{
    struct epoll_event events[POLLSET_BATCH];
    int count = epoll_wait(loop->epoll_fd, events, POLLSET_BATCH, with_alarm(loop, wait_ms));
    prefetch(loop, events, count);
    petrel_assert(count >= 0 || errno == EINTR);
    loop_turn_begin(loop);
    /* Mail first: what was posted before a connection was made is known before it is accepted. */
    (void)mailbox_run(loop);
    loop->drained = loop->drained && count < POLLSET_BATCH;
    if (!loop->drained)
        tell_few(loop);
    tell_all(loop, events, count);
}

/* Whether none of them had anything, nor was there mail. */
static bool serve_few(struct loop *loop, int wait_ms)
{
    struct epoll_event events[POLLSET_BATCH];
    int count = epoll_wait(loop->few.fd, events, POLLSET_BATCH, wait_ms);
    petrel_assert(count >= 0 || errno == EINTR);
    loop_turn_begin(loop);
    (void)mailbox_run(loop);
    loop->drained = count < POLLSET_BATCH;
    tell_of_few(loop, events, count);
    return count <= 0;
}

void pollset_wait(struct loop *loop, int wait_ms)
{
    if (loop->held) {
        (void)serve_few(loop, wait_ms);
        return;
    }
    if (loop->pace.rests) {
        const int rest_ms = crowd_rest_ms(loop, wait_ms);
        const bool rested = serve_few(loop, rest_ms) && rest_ms > 0;
        if (loop->held || (!rested && crowd_rest_ms(loop, -1) > 0))
            return;
        wait_ms = 0;
    }
    serve_all(loop, wait_ms);
}

int pollset_init(struct loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->few = (struct endpoint){FEW_MAGIC, epoll_create1(EPOLL_CLOEXEC)};
    loop->alarm.endpoint = (struct endpoint){ALARM_MAGIC, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    if (loop->epoll_fd < 0 || loop->few.fd < 0 || loop->alarm.endpoint.fd < 0)
        return PETREL_E_IO;
    /* Of the alarm each ringing is told once, and nobody needs to read it. */
    const int rc = pollset_add(loop, POLLSET_OF_ALL, &loop->alarm.endpoint, EPOLLIN | EPOLLET);
    return rc == 0 ? pollset_add(loop, POLLSET_OF_ALL, &loop->few, EPOLLIN) : rc;
}

void pollset_destroy(struct loop *loop)
{
    if (loop->alarm.endpoint.fd >= 0)
        (void)close(loop->alarm.endpoint.fd);
    if (loop->few.fd >= 0)
        (void)close(loop->few.fd);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
}

static int set_of(const struct loop *loop, enum pollset_part part)
{
    return part == POLLSET_OF_FEW ? loop->few.fd : loop->epoll_fd;
}

int pollset_add(struct loop *loop, enum pollset_part part, struct endpoint *endpoint, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    return epoll_ctl(set_of(loop, part), EPOLL_CTL_ADD, endpoint->fd, &event) == 0 ? 0 : PETREL_E_IO;
}

void pollset_change(struct loop *loop, enum pollset_part part, struct endpoint *endpoint, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    int rc = epoll_ctl(set_of(loop, part), EPOLL_CTL_MOD, endpoint->fd, &event);
    petrel_assert(rc == 0);
}

/* Where only the few are waited for, mail is one of them. */
static void place_mail(struct loop *loop, bool held, bool rests)
{
    const bool was = loop->held || loop->pace.rests;
    loop->held = held;
    loop->pace.rests = rests;
    if (was == (held || rests))
        return;
    if (was)
        pollset_remove(loop, POLLSET_OF_FEW, &loop->mailbox.wakeup);
    else
        (void)pollset_add(loop, POLLSET_OF_FEW, &loop->mailbox.wakeup, EPOLLIN | EPOLLET);
}

void pollset_hold(struct loop *loop, bool held)
{
    place_mail(loop, held, loop->pace.rests);
}

void pollset_rest(struct loop *loop, bool rests)
{
    place_mail(loop, loop->held, rests);
}

/* Said to the kernel even though close() follows: a forked child that still has the descriptor would keep it in the set,
 * with a pointer to what is freed. */
void pollset_remove(struct loop *loop, enum pollset_part part, struct endpoint *endpoint)
{
    int rc = epoll_ctl(set_of(loop, part), EPOLL_CTL_DEL, endpoint->fd, NULL);
    petrel_assert(rc == 0);
}
