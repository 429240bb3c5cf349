#include "loop/listener.h"

#include "base/err.h"
#include "base/log.h"
#include "loop/address.h"
#include "loop/local_socket.h"
#include "loop/loop_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER_BACKLOG 4096
#define LISTENER_ACCEPTS_MAX 64 /* a turn: the sessions there are come before a storm of new ones */
#define LISTENER_EXHAUSTED_MS 100

struct listener {
    struct endpoint endpoint;
    struct loop *loop;
    listener_accept_fn *accept;
    void *ctx;
    struct timer retry; /* runs while out of descriptors */
    struct list node;   /* in the loop's closed_listeners */
    enum pollset_part part;
    uint32_t lag_ms;
    int accepts_max; /* in a turn */
    uint16_t port;
    bool paused;
    bool exhausted; /* said so; until an accept succeeds again */
    bool closed;
    struct local_socket *file; /* of a Unix socket; else NULL */
};

static bool switch_on(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof one) == 0;
}

/* Listening on fd, or a negative error with errno's meaning; fd is the caller's in any case. Connections inherit
 * TCP_NODELAY, TCP_NOTSENT_LOWAT and the size of the send buffer, which saves system calls for each. */
static int bind_and_listen(int fd, union address *address, socklen_t size, const struct listener_config *config)
{
    if (!switch_on(fd, SOL_SOCKET, SO_REUSEADDR) || !switch_on(fd, SOL_SOCKET, SO_REUSEPORT) ||
        !switch_on(fd, IPPROTO_TCP, TCP_NODELAY))
        return PETREL_E_IO;
    int both = 0; /* "::" takes IPv4 as well, whatever the machine's default is */
    if (address->any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both);
    int unsent = config->unsent_bytes < INT32_MAX ? (int)config->unsent_bytes : INT32_MAX;
    if (unsent > 0 && setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) != 0)
        return PETREL_E_IO;
    int held = config->send_buffer_bytes < INT32_MAX ? (int)config->send_buffer_bytes : INT32_MAX;
    if (held > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &held, sizeof held) != 0)
        return PETREL_E_IO;
    if (bind(fd, &address->any, size) != 0)
        return errno == EADDRNOTAVAIL ? PETREL_E_INVALID : err_from_errno(errno);
    if (listen(fd, config->backlog > 0 ? config->backlog : LISTENER_BACKLOG) != 0)
        return err_from_errno(errno);
    return getsockname(fd, &address->any, &size) == 0 ? 0 : PETREL_E_IO;
}

/* fd listens: watch it. Takes it over, if it works. */
static int begin(struct listener *listener, struct loop *loop, int fd, const struct listener_config *config,
                 listener_accept_fn *accept, void *ctx)
{
    listener->endpoint = (struct endpoint){LISTENER_MAGIC, fd};
    listener->part = config->crowd ? POLLSET_OF_ALL : POLLSET_OF_FEW;
    listener->loop = loop;
    listener->accept = accept;
    listener->ctx = ctx;
    listener->lag_ms = config->lag_ms;
    listener->accepts_max = LISTENER_ACCEPTS_MAX;
    list_init(&listener->node);
    const int rc = pollset_add(loop, listener->part, &listener->endpoint, EPOLLIN);
    if (rc == 0)
        loop->open++;
    return rc;
}

static void watch(struct listener *listener)
{
    bool accepting = !listener->paused && !timer_running(&listener->retry);
    pollset_change(listener->loop, listener->part, &listener->endpoint, accepting ? EPOLLIN : 0);
}

static void on_retry(struct timer *timer)
{
    watch(container_of(timer, struct listener, retry));
}

static void back_off(struct listener *listener, int errnum)
{
    if (!listener->exhausted)
        log_at(LOG_WARN, "loop", "cannot accept connections for want of resources", LOG_STR("error", strerror(errnum)),
               LOG_NUM("port", listener->port), LOG_NUM("retry_ms", LISTENER_EXHAUSTED_MS));
    listener->exhausted = true;
    timer_start(listener->loop, &listener->retry, LISTENER_EXHAUSTED_MS, on_retry);
    watch(listener);
}

/* Whether there may be more to accept. */
static bool accept_one(struct listener *listener)
{
    struct loop *loop = listener->loop;
    socklen_t size = sizeof loop->newest_peer;
    int fd = accept4(listener->endpoint.fd, &loop->newest_peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct stream *stream = fd >= 0 ? stream_new(loop, listener->part, fd) : NULL;
    if (fd >= 0 && stream == NULL) {
        back_off(listener, ENOSPC);
        (void)close(fd);
        return false;
    }
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            back_off(listener, errno);
        /* The rest are errors of that one connection, which is gone. */
        return errno != EAGAIN && !timer_running(&listener->retry);
    }
    if (listener->exhausted)
        log_at(LOG_INFO, "loop", "accepting connections again", LOG_NUM("port", listener->port));
    listener->exhausted = false;
    loop->newest = stream;
    listener->accept(listener->ctx, stream);
    loop->newest = NULL;
    petrel_assert(stream_is_adopted(stream));
    return true;
}

/* What is accepted in one turn is the work of the next ones: their length follows, half as many at once, then one more a turn. */
static void adapt(struct listener *listener)
{
    const uint64_t lag_ms = loop_lag_ms(listener->loop);
    if (listener->lag_ms == 0)
        return;
    if (lag_ms > listener->lag_ms)
        listener->accepts_max = listener->accepts_max > 1 ? listener->accepts_max / 2 : 1;
    else if (lag_ms <= listener->lag_ms / 2 && listener->accepts_max < LISTENER_ACCEPTS_MAX)
        listener->accepts_max++;
}

void listener_on_events(struct listener *listener)
{
    adapt(listener);
    for (int accepts = 0; accepts < listener->accepts_max; accepts++) {
        if (listener->closed || listener->paused || !accept_one(listener))
            return;
    }
}

/* SO_REUSEADDR alone passes over what is left of closed connections, not over a listener. */
int listener_probe(const struct listener_config *config)
{
    union address address;
    socklen_t size;
    int rc = address_parse(config->host, config->port, &address, &size);
    if (rc != 0 || config->port == 0)
        return rc;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (!switch_on(fd, SOL_SOCKET, SO_REUSEADDR))
        rc = PETREL_E_IO;
    else if (bind(fd, &address.any, size) != 0)
        rc = errno == EADDRNOTAVAIL ? PETREL_E_INVALID : err_from_errno(errno);
    (void)close(fd);
    return rc;
}

int listener_open(struct listener **out, struct loop *loop, const struct listener_config *config,
                  listener_accept_fn *accept, void *ctx)
{
    object_check(loop, LOOP_MAGIC);
    union address address;
    socklen_t size;
    int rc = address_parse(config->host, config->port, &address, &size);
    if (rc != 0)
        return rc;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    struct listener *listener = object_zalloc(sizeof *listener);
    rc = bind_and_listen(fd, &address, size, config);
    listener->port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    if (rc == 0)
        rc = begin(listener, loop, fd, config, accept, ctx);
    if (rc != 0) {
        (void)close(fd);
        free(listener);
        return rc;
    }
    *out = listener;
    return 0;
}

int listener_open_local(struct listener **out, struct loop *loop, const struct listener_local *local,
                        listener_accept_fn *accept, void *ctx)
{
    object_check(loop, LOOP_MAGIC);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    struct listener *listener = object_zalloc(sizeof *listener);
    const struct listener_config config = {0};
    int rc = local_socket_listen(&listener->file, fd, local->path, local->group, LISTENER_BACKLOG);
    if (rc == 0)
        rc = begin(listener, loop, fd, &config, accept, ctx);
    if (rc != 0) {
        local_socket_remove(&listener->file);
        (void)close(fd);
        free(listener);
        return rc;
    }
    *out = listener;
    return 0;
}

uint32_t listener_backlog_max(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
    unsigned most = 0;
    if (file == NULL)
        return SOMAXCONN;
    const bool known = fscanf(file, "%u", &most) == 1 && most > 0;
    (void)fclose(file);
    return known ? most : SOMAXCONN;
}

uint16_t listener_port(const struct listener *listener)
{
    object_check(&listener->endpoint, LISTENER_MAGIC);
    return listener->port;
}

void listener_pause(struct listener *listener)
{
    object_check(&listener->endpoint, LISTENER_MAGIC);
    listener->paused = true;
    watch(listener);
}

void listener_resume(struct listener *listener)
{
    object_check(&listener->endpoint, LISTENER_MAGIC);
    listener->paused = false;
    watch(listener);
}

void listener_close(struct listener **inside)
{
    struct listener *listener = *inside;
    if (listener == NULL)
        return;
    object_check(&listener->endpoint, LISTENER_MAGIC);
    *inside = NULL;
    listener->closed = true;
    timer_stop(&listener->retry);
    local_socket_remove(&listener->file);
    pollset_remove(listener->loop, listener->part, &listener->endpoint);
    (void)close(listener->endpoint.fd);
    list_push_back(&listener->loop->closed_listeners, &listener->node);
}

void listener_free_closed(struct loop *loop)
{
    for (struct list *node; (node = list_pop_front(&loop->closed_listeners)) != NULL;) {
        struct listener *listener = container_of(node, struct listener, node);
        listener->endpoint.magic = 0;
        free(listener);
        loop->open--;
    }
}
