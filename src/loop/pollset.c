/* The loop's own epoll set, watched by one uv_poll_t: an idle socket costs no handle of libuv. */
#include "base/err.h"
#include "loop/loop_impl.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Sockets served in one turn; the others keep until the next, so that mail and timers get theirs. */
#define POLLSET_BATCH 256

static void on_ready(uv_poll_t *handle, int status, int uv_events)
{
    (void)uv_events;
    struct loop *loop = container_of(handle, struct loop, sockets);
    object_check(loop, LOOP_MAGIC);
    petrel_assert(status == 0);
    loop_turn_begin(loop);
    /* Mail first: what was posted before a connection was made is known before it is accepted. */
    (void)mailbox_run(loop);
    struct epoll_event events[POLLSET_BATCH];
    int count = epoll_wait(loop->epoll_fd, events, POLLSET_BATCH, 0);
    petrel_assert(count >= 0 || errno == EINTR);
    loop->drained = count < POLLSET_BATCH;
    for (int i = 0; i < count; i++) {
        struct endpoint *endpoint = events[i].data.ptr;
        if (endpoint->magic == STREAM_MAGIC) {
            stream_on_events((struct stream *)(void *)endpoint, events[i].events);
        } else {
            object_check(endpoint, LISTENER_MAGIC);
            listener_on_events((struct listener *)(void *)endpoint);
        }
    }
}

int pollset_init(struct loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return PETREL_E_IO;
    if (uv_poll_init(&loop->uv, &loop->sockets, loop->epoll_fd) != 0)
        return PETREL_E_IO;
    return uv_poll_start(&loop->sockets, UV_READABLE, on_ready) == 0 ? 0 : PETREL_E_IO;
}

void pollset_destroy(struct loop *loop)
{
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
}

int pollset_add(struct loop *loop, struct endpoint *endpoint, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, endpoint->fd, &event) == 0 ? 0 : PETREL_E_IO;
}

void pollset_change(struct loop *loop, struct endpoint *endpoint, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, endpoint->fd, &event);
    petrel_assert(rc == 0);
}

/* Said to the kernel even though close() follows: a forked child that still has the descriptor would keep it in the set,
 * with a pointer to what is freed. */
void pollset_remove(struct loop *loop, struct endpoint *endpoint)
{
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, endpoint->fd, NULL);
    petrel_assert(rc == 0);
}
