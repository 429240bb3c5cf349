#include "client/client_uv.h"

#include "base/object.h"
#include "client/client_tls.h"
#include "client/hostport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define CLIENT_UV_MAGIC OBJECT_MAGIC('C', 'L', 'U', 'V')
#define READ_BYTES 16384

/* A socket, and a lookup below, free themselves when libuv is done with them; uv is NULL from when they were dropped. */
struct sock {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct client_uv *uv;
    struct client_uv *home;
    uint8_t *writing;
    bool up; /* connected, and TLS is done: the owner knows */
};

struct lookup {
    uv_getaddrinfo_t request;
    struct client_uv *uv;
    struct client_uv *home;
};

struct client_uv {
    uint32_t magic;
    const struct client_uv_ops *ops;
    void *owner;
    uv_loop_t *loop;
    struct client_tls *tls;
    uv_timer_t timer;         /* the owner's */
    uv_timer_t connect_timer; /* of the address being tried, until it is up, or of the lookup */
    const char *protocol;
    char host[HOSTPORT_HOST_MAX + 1];
    unsigned alive; /* sockets, lookups and timers that libuv still knows */
    struct sock *sock;
    struct lookup *lookup;
    struct addrinfo *addresses; /* all that the name has */
    struct addrinfo *next;      /* to be tried */
    uint64_t deadline_ms;
    int refused; /* libuv's error when the lookup could not begin */
    void (*done)(void *owner);
    char text[160];
    uint8_t buffer[READ_BYTES];
};

static void release(struct client_uv *uv)
{
    petrel_assert(uv->alive > 0);
    if (--uv->alive > 0)
        return;
    uv->magic = 0;
    uv->done(uv->owner);
    free(uv);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_sock_closed(uv_handle_t *handle)
{
    struct sock *sock = handle->data;
    struct client_uv *home = sock->home;
    free(sock->writing);
    free(sock);
    release(home);
}

/* The server is told where its socket takes that at once. */
static void end_tls(struct client_uv *uv)
{
    const uint8_t *bytes;
    client_tls_close(uv->tls);
    const size_t len = uv->sock->up && uv->sock->writing == NULL ? client_tls_output(uv->tls, &bytes) : 0;
    uv_buf_t buffer = uv_buf_init(len > 0 ? (char *)(uintptr_t)bytes : NULL, (unsigned)len);
    if (len > 0)
        (void)uv_try_write((uv_stream_t *)&uv->sock->tcp, &buffer, 1);
    client_tls_end(uv->tls);
}

static void drop_sock(struct client_uv *uv)
{
    if (uv->sock == NULL)
        return;
    if (uv->tls != NULL)
        end_tls(uv);
    uv->sock->uv = NULL;
    uv_close((uv_handle_t *)&uv->sock->tcp, on_sock_closed);
    uv->sock = NULL;
}

void client_uv_drop(struct client_uv *uv)
{
    object_check(uv, CLIENT_UV_MAGIC);
    drop_sock(uv);
    if (uv->lookup != NULL) {
        uv->lookup->uv = NULL;
        uv_cancel((uv_req_t *)&uv->lookup->request); /* one that runs already ends by itself */
        uv->lookup = NULL;
    }
    uv_freeaddrinfo(uv->addresses);
    uv->addresses = uv->next = NULL;
    uv_timer_stop(&uv->connect_timer);
}

static void end(struct client_uv *uv, const char *what, const char *why)
{
    snprintf(uv->text, sizeof uv->text, "%s: %s", what, why);
    client_uv_drop(uv);
    uv->ops->on_end(uv->owner, uv->text);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct sock *sock = handle->data;
    *out = uv_buf_init((char *)sock->home->buffer, READ_BYTES);
}

/* ---- writing ---- */

static void on_write(uv_write_t *request, int status);

/* Nothing is on its way. */
static void write_out(struct sock *sock, const uint8_t *bytes, size_t len)
{
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
    int now = uv_try_write((uv_stream_t *)&sock->tcp, &buffer, 1);
    size_t rest = now > 0 ? len - (size_t)now : len;
    if (rest == 0)
        return;
    /* An error of try_write comes again from the write, which has a callback to tell it in. */
    sock->writing = object_alloc(rest);
    memcpy(sock->writing, bytes + (len - rest), rest);
    buffer = uv_buf_init((char *)sock->writing, (unsigned)rest);
    int rc = uv_write(&sock->write, (uv_stream_t *)&sock->tcp, &buffer, 1, on_write);
    petrel_assert(rc == 0);
}

/* What TLS has to send, once the socket takes it. */
static void flush_tls(struct client_uv *uv)
{
    const uint8_t *bytes;
    if (uv->tls == NULL || uv->sock->writing != NULL)
        return;
    const size_t len = client_tls_output(uv->tls, &bytes);
    if (len == 0)
        return;
    write_out(uv->sock, bytes, len);
    client_tls_sent(uv->tls);
}

static void on_write(uv_write_t *request, int status)
{
    struct sock *sock = request->data;
    free(sock->writing);
    sock->writing = NULL;
    if (sock->uv == NULL)
        return;
    if (status != 0) {
        end(sock->uv, "the connection was lost", uv_strerror(status));
        return;
    }
    flush_tls(sock->uv);
    if (sock->up && sock->writing == NULL)
        sock->uv->ops->on_sent(sock->uv->owner);
}

bool client_uv_write(struct client_uv *uv, const uint8_t *bytes, size_t len)
{
    object_check(uv, CLIENT_UV_MAGIC);
    struct sock *sock = uv->sock;
    if (sock == NULL || !sock->up || sock->writing != NULL)
        return false;
    if (uv->tls == NULL)
        write_out(sock, bytes, len);
    else if (client_tls_write(uv->tls, bytes, len)) /* what has failed is told by the next read */
        flush_tls(uv);
    return true;
}

/* ---- connecting and reading ---- */

static void become_up(struct client_uv *uv)
{
    uv_timer_stop(&uv->connect_timer);
    uv_freeaddrinfo(uv->addresses);
    uv->addresses = uv->next = NULL;
    uv->sock->up = true;
    uv->ops->on_open(uv->owner);
}

static void read_tls(struct sock *sock, const uint8_t *bytes, size_t len)
{
    struct client_uv *uv = sock->uv;
    if (!client_tls_feed(uv->tls, bytes, len)) {
        flush_tls(uv); /* the alert */
        end(uv, "TLS", client_tls_why(uv->tls));
        return;
    }
    flush_tls(uv);
    if (!client_tls_is_up(uv->tls))
        return;
    if (!sock->up)
        become_up(uv);
    /* The bytes were copied. Any callback may drop the connection. */
    while (sock->uv != NULL) {
        const int got = client_tls_read(uv->tls, uv->buffer, sizeof uv->buffer);
        flush_tls(uv);
        if (got == 0)
            return;
        if (got < 0)
            end(uv, "the connection was lost", client_tls_why(uv->tls));
        else
            uv->ops->on_read(uv->owner, uv->buffer, (size_t)got);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct sock *sock = stream->data;
    struct client_uv *uv = sock->uv;
    if (uv == NULL || len == 0)
        return;
    object_check(uv, CLIENT_UV_MAGIC);
    if (len < 0)
        end(uv, "the connection was lost", len == UV_EOF ? "closed by the server" : uv_strerror((int)len));
    else if (uv->tls != NULL)
        read_tls(sock, (const uint8_t *)buffer->base, (size_t)len);
    else
        uv->ops->on_read(uv->owner, (const uint8_t *)buffer->base, (size_t)len);
}

static void on_address_failed(struct client_uv *uv, int status);

static void on_connect(uv_connect_t *request, int status)
{
    struct sock *sock = request->data;
    struct client_uv *uv = sock->uv;
    if (uv == NULL)
        return;
    object_check(uv, CLIENT_UV_MAGIC);
    if (status != 0) {
        on_address_failed(uv, status);
        return;
    }
    uv_tcp_nodelay(&sock->tcp, 1);
    uv_read_start((uv_stream_t *)&sock->tcp, on_alloc, on_read);
    if (uv->tls == NULL)
        become_up(uv);
    else if (client_tls_begin(uv->tls, uv->host, uv->protocol))
        flush_tls(uv);
    else
        end(uv, "TLS", client_tls_why(uv->tls));
}

static void on_connect_timeout(uv_timer_t *timer)
{
    struct client_uv *uv = timer->data;
    if (uv->lookup != NULL)
        end(uv, "name lookup", uv_strerror(UV_ETIMEDOUT));
    else
        on_address_failed(uv, uv->refused != 0 ? uv->refused : UV_ETIMEDOUT);
}

/* Each address gets an equal part of what is left of the time. */
static uint64_t time_for_next(const struct client_uv *uv)
{
    uint64_t now = uv_now(uv->loop), count = 0;
    for (const struct addrinfo *address = uv->next; address != NULL; address = address->ai_next)
        count++;
    return uv->deadline_ms > now ? (uv->deadline_ms - now) / count : 0;
}

/* Try the next address. Returns libuv's error when it can't even begin. */
static int try_next(struct client_uv *uv)
{
    struct addrinfo *address = uv->next;
    uint64_t timeout = time_for_next(uv);
    uv->next = address->ai_next;
    struct sock *sock = calloc(1, sizeof *sock);
    if (sock == NULL)
        return UV_ENOMEM;
    int rc = uv_tcp_init(uv->loop, &sock->tcp);
    if (rc != 0) {
        free(sock);
        return rc;
    }
    sock->uv = sock->home = uv;
    sock->tcp.data = sock->connect.data = sock->write.data = sock;
    uv->sock = sock;
    uv->alive++;
    uv_timer_start(&uv->connect_timer, on_connect_timeout, timeout, 0);
    return uv_tcp_connect(&sock->connect, &sock->tcp, address->ai_addr, on_connect);
}

static void on_address_failed(struct client_uv *uv, int status)
{
    drop_sock(uv);
    while (status != 0 && uv->next != NULL) {
        status = try_next(uv);
        if (status != 0)
            drop_sock(uv);
    }
    if (status != 0)
        end(uv, "connect", uv_strerror(status));
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = request->data;
    struct client_uv *uv = lookup->uv, *home = lookup->home;
    free(lookup);
    if (uv == NULL) {
        uv_freeaddrinfo(found);
    } else {
        uv->lookup = NULL;
        uv->addresses = uv->next = found;
        if (status != 0)
            end(uv, "name lookup", uv_strerror(status));
        else
            on_address_failed(uv, UV_EADDRNOTAVAIL); /* none was tried yet: begins with the first */
    }
    release(home);
}

void client_uv_open(struct client_uv *uv, const char *host, uint16_t port, const char *protocol, uint32_t timeout_ms)
{
    object_check(uv, CLIENT_UV_MAGIC);
    petrel_assert(uv->sock == NULL && uv->lookup == NULL);
    char service[8];
    snprintf(uv->host, sizeof uv->host, "%s", host);
    uv->protocol = protocol;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct lookup *lookup = object_zalloc(sizeof *lookup);
    lookup->uv = lookup->home = uv;
    lookup->request.data = lookup;
    uv->deadline_ms = uv_now(uv->loop) + timeout_ms;
    uv_timer_start(&uv->connect_timer, on_connect_timeout, timeout_ms, 0);
    uv->refused = uv_getaddrinfo(uv->loop, &lookup->request, on_lookup, host, service, &hints);
    if (uv->refused != 0) {
        /* A name too long for DNS, for example: told from the loop, like all that fails. */
        free(lookup);
        uv_timer_start(&uv->connect_timer, on_connect_timeout, 0, 0);
        return;
    }
    uv->lookup = lookup;
    uv->alive++;
}

void client_uv_read(struct client_uv *uv, bool on)
{
    object_check(uv, CLIENT_UV_MAGIC);
    if (uv->sock == NULL || !uv->sock->up)
        return;
    if (on)
        uv_read_start((uv_stream_t *)&uv->sock->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&uv->sock->tcp);
}

struct client_uv *client_uv_new(struct uv_loop_s *loop, struct client_tls *tls, const struct client_uv_ops *ops,
                                void *owner)
{
    struct client_uv *uv = calloc(1, sizeof *uv);
    if (uv == NULL)
        return NULL;
    uv->magic = CLIENT_UV_MAGIC;
    uv->ops = ops;
    uv->owner = owner;
    uv->loop = loop;
    uv->tls = tls;
    uv_timer_init(loop, &uv->timer);
    uv_timer_init(loop, &uv->connect_timer);
    uv->timer.data = uv->connect_timer.data = uv;
    uv->alive = 2;
    return uv;
}

void client_uv_close(struct client_uv **uv, void (*done)(void *owner))
{
    struct client_uv *gone = *uv;
    *uv = NULL;
    client_uv_drop(gone);
    gone->done = done;
    uv_close((uv_handle_t *)&gone->timer, on_timer_closed);
    uv_close((uv_handle_t *)&gone->connect_timer, on_timer_closed);
}

uint64_t client_uv_now(const struct client_uv *uv)
{
    return uv_now(uv->loop);
}

static void on_timer(uv_timer_t *timer)
{
    struct client_uv *uv = timer->data;
    object_check(uv, CLIENT_UV_MAGIC);
    uv->ops->on_timer(uv->owner);
}

void client_uv_timer(struct client_uv *uv, uint64_t at_ms)
{
    object_check(uv, CLIENT_UV_MAGIC);
    uint64_t now = uv_now(uv->loop);
    if (at_ms == UINT64_MAX)
        uv_timer_stop(&uv->timer);
    else
        uv_timer_start(&uv->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}
