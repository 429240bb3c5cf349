#include "base/err.h"
#include "loop/tls.h"
#include "sim/loop/sim_net_impl.h"

#include <stdio.h>
#include <stdlib.h>

static void begin_close(struct stream *stream)
{
    struct sim_conn *conn = stream->conn;
    stream->closing = true;
    timer_stop(&stream->deadline);
    list_remove(&stream->ready);
    list_remove(&stream->node);
    list_push_back(&stream->loop->closing, &stream->node);
    sim_loop_wake(stream->loop);
    if (conn == NULL)
        return;
    stream->conn = NULL;
    conn->stream = NULL;
    /* A host that died says nothing; the device finds out by its silence. */
    if (!stream->loop->ghost || !sim_chance(conn->sim, 3))
        sim_net_send(conn, false, (struct bytes){NULL, 0}, true);
    sim_net_free_if_over(conn);
}

static void on_deadline(struct timer *timer)
{
    begin_close(container_of(timer, struct stream, deadline));
}

/* Hand to the network what it takes. */
static void flush(struct stream *stream)
{
    struct sim_conn *conn = stream->conn;
    bool was_blocked = stream->blocked;
    if (conn != NULL && !stream->loop->ghost) {
        size_t room = conn->under_way < conn->window ? conn->window - conn->under_way : 0;
        size_t len = stream->out.len < room ? stream->out.len : room;
        if (len > 0)
            sim_net_send(conn, false, bytes_of(stream->out.ptr, len), false);
        if (len > 0)
            stream->moved_ms = loop_now_ms(stream->loop);
        conn->under_way += len;
        bytes_consume(&stream->out, len);
    } else {
        stream->out.len = 0;
    }
    stream->blocked = stream->out.len > 0;
    if (!stream->blocked && stream->flushing)
        begin_close(stream);
    else if (!stream->blocked && was_blocked && stream->ops != NULL && stream->ops->on_drain != NULL)
        stream->ops->on_drain(stream->owner);
    else if (stream->blocked && !was_blocked && !stream->flushing && stream->ops != NULL &&
             stream->ops->on_full != NULL)
        stream->ops->on_full(stream->owner);
}

static void read_some(struct stream *stream)
{
    uint8_t bytes[4096];
    while (stream->in.len > 0 && !stream->closing && !stream->paused) {
        size_t len = stream->in.len < sizeof bytes ? stream->in.len : sizeof bytes;
        memcpy(bytes, stream->in.ptr, len);
        bytes_consume(&stream->in, len);
        if (!stream->flushing)
            stream->ops->on_data(stream->owner, bytes_of(bytes, len));
    }
    if (stream->closing || !stream->ended || stream->told || stream->in.len > 0)
        return;
    stream->told = true;
    stream->out.len = 0;
    if (stream->flushing || stream->ops == NULL)
        begin_close(stream);
    else
        stream->ops->on_end(stream->owner, PETREL_E_EOF);
}

void sim_net_read_all(struct loop *loop)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &loop->ready);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct stream *stream = container_of(node, struct stream, ready);
        object_check(stream, SIM_STREAM_MAGIC);
        read_some(stream);
        if (stream->blocked && !stream->closing)
            flush(stream);
    }
}

void sim_net_flush_all(struct loop *loop)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &loop->unflushed);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;)
        flush(container_of(node, struct stream, node));
}

void sim_net_free_closed(struct loop *loop)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &loop->closing);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct stream *stream = container_of(node, struct stream, node);
        if (stream->ops != NULL)
            stream->ops->on_closed(stream->owner);
        bytes_reset(&stream->in);
        bytes_reset(&stream->out);
        stream->magic = 0;
        free(stream);
        loop->streams--;
    }
}

void stream_attach(struct stream *stream, const struct stream_ops *ops, void *owner)
{
    object_check(stream, SIM_STREAM_MAGIC);
    stream->ops = ops;
    stream->owner = owner;
}

void stream_write_copy(struct stream *stream, struct bytes data)
{
    object_check(stream, SIM_STREAM_MAGIC);
    if (stream->closing || stream->flushing || stream->ended)
        return;
    if (stream->out.len == 0)
        stream->moved_ms = loop_now_ms(stream->loop);
    bytes_append(&stream->out, data.ptr, data.len);
    if (!stream->blocked && list_empty(&stream->node))
        list_push_back(&stream->loop->unflushed, &stream->node);
    sim_loop_wake(stream->loop);
}

void stream_write_now(struct stream *stream, struct bytes data)
{
    stream_write_copy(stream, data);
}

void stream_write(struct stream *stream, struct buf *buf)
{
    stream_write_copy(stream, buf_bytes(buf));
}

size_t stream_queued(const struct stream *stream)
{
    return stream->out.len;
}

uint64_t stream_stalled_ms(const struct stream *stream)
{
    return stream->out.len > 0 ? loop_now_ms(stream->loop) - stream->moved_ms : 0;
}

bool stream_blocked(const struct stream *stream)
{
    return stream->blocked;
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
}

void stream_resume(struct stream *stream)
{
    stream->paused = false;
    sim_net_mark_ready(stream);
}

void stream_close(struct stream *stream)
{
    object_check(stream, SIM_STREAM_MAGIC);
    if (!stream->closing)
        begin_close(stream);
}

void stream_close_flushed(struct stream *stream, uint32_t timeout_ms)
{
    object_check(stream, SIM_STREAM_MAGIC);
    if (stream->closing || stream->flushing)
        return;
    stream->flushing = true;
    timer_start(stream->loop, &stream->deadline, timeout_ms, on_deadline);
    if (!stream->blocked && list_empty(&stream->node))
        list_push_back(&stream->loop->unflushed, &stream->node);
    sim_loop_wake(stream->loop);
}

void stream_peer(const struct stream *stream, char out[STREAM_ADDRESS_SIZE])
{
    (void)snprintf(out, STREAM_ADDRESS_SIZE, "device:%u", (unsigned)stream->number);
}

void stream_peer_key(const struct stream *stream, uint8_t out[16])
{
    (void)stream;
    memset(out, 0, 16);
}

struct loop *stream_loop(const struct stream *stream)
{
    return stream->loop;
}

/* Nobody here speaks TLS. */
bool stream_waits(const struct stream *stream)
{
    (void)stream;
    return false;
}

uint32_t tls_loop_wait_ms(const struct loop *loop)
{
    (void)loop;
    return 0;
}

/* ---- listener.h ---- */

uint32_t listener_backlog_max(void)
{
    return UINT16_MAX;
}

int listener_open(struct listener **out, struct loop *loop, const struct listener_config *config,
                  listener_accept_fn *accept, void *ctx)
{
    struct listener *listener = object_zalloc(sizeof *listener);
    listener->of = (struct sim_listener){.loop = loop, .accept = accept, .ctx = ctx, .port = config->port};
    list_push_back(&loop->sim->listeners, &listener->of.node);
    *out = listener;
    return 0;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->of.port;
}

void listener_pause(struct listener *listener)
{
    listener->of.paused = true;
}

void listener_resume(struct listener *listener)
{
    listener->of.paused = false;
}

void listener_close(struct listener **inside)
{
    struct listener *listener = *inside;
    if (listener == NULL)
        return;
    *inside = NULL;
    list_remove(&listener->of.node);
    free(listener);
}

/* ---- TLS: the network of a simulation needs none ---- */

void stream_secure(struct stream *stream, struct tls_server *server, struct bytes first)
{
    (void)stream;
    (void)server;
    (void)first;
    petrel_assert(false && "no role was given certificates");
}

bool stream_is_secure(const struct stream *stream)
{
    (void)stream;
    return false;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    return server;
}

void tls_server_unref(struct tls_server *server)
{
    petrel_assert(server == NULL);
}
