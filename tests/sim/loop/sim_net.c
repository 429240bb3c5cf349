#include "sim/loop/sim_net.h"

#include "base/err.h"
#include "sim/loop/sim_loop.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW_MIN 600
#define WINDOW_MAX 12000
#define LATENCY_MIN_US 500
#define LATENCY_MAX_US (60 * SIM_MS)
#define CONN_MAGIC OBJECT_MAGIC('S', 'C', 'O', 'N')
#define STREAM_MAGIC OBJECT_MAGIC('S', 'S', 'T', 'R')

struct packet {
    struct list node; /* of its direction */
    struct sim_event event;
    struct sim_conn *conn;
    bool to_server;
    bool end; /* after the data: nothing more comes */
    struct bytebuf data;
};

struct sim_conn {
    uint32_t magic;
    uint32_t number;
    struct list node; /* of the simulation */
    struct sim *sim;
    struct stream *stream; /* NULL: not accepted yet, or gone */
    const struct sim_conn_ops *ops;
    void *owner; /* NULL: gone */
    struct sim_event opening;
    struct sim_event ending;
    struct loop *loop; /* with the accept's mail under way */
    struct mail accept;
    bool accepting;
    bool busy;              /* in a callback of the device */
    struct bytebuf arrived; /* at the device */
    struct list packets[2]; /* [1]: to the server */
    uint64_t last_us[2];
    size_t under_way; /* bytes to the device, also those that it has not read */
    size_t window;
    uint64_t latency_us;
    uint16_t port;
};

struct stream {
    uint32_t magic;
    struct loop *loop;
    const struct stream_ops *ops;
    void *owner;
    struct sim_conn *conn; /* NULL: the other end is gone */
    struct bytebuf in;
    struct bytebuf out;
    struct list ready;
    struct list node; /* of unflushed or closing */
    struct timer deadline;
    uint32_t number;
    bool paused, blocked, ended, told, flushing, closing;
};

struct sim_listener {
    struct list node;
    struct loop *loop;
    listener_accept_fn *accept;
    void *ctx;
    uint16_t port;
};

struct listener {
    struct sim_listener of;
};

/* ---- conns ---- */

static void free_packet(struct packet *packet)
{
    sim_cancel(packet->conn->sim, &packet->event);
    list_remove(&packet->node);
    bytes_reset(&packet->data);
    free(packet);
}

static void free_conn(struct sim_conn *conn)
{
    for (int way = 0; way < 2; way++) {
        while (!list_empty(&conn->packets[way]))
            free_packet(container_of(conn->packets[way].next, struct packet, node));
    }
    sim_cancel(conn->sim, &conn->opening);
    sim_cancel(conn->sim, &conn->ending);
    list_remove(&conn->node);
    bytes_reset(&conn->arrived);
    conn->magic = 0;
    free(conn);
}

static void free_if_over(struct sim_conn *conn)
{
    bool server = conn->stream != NULL || conn->accepting || conn->opening.place != 0;
    if (!server && conn->owner == NULL && conn->ending.place == 0 && !conn->busy)
        free_conn(conn);
}

static void mark_ready(struct stream *stream)
{
    if (list_empty(&stream->ready))
        list_push_back(&stream->loop->ready, &stream->ready);
    sim_loop_wake(stream->loop);
}

static void end_device(struct sim_conn *conn)
{
    void *owner = conn->owner;
    conn->owner = NULL;
    if (owner != NULL)
        conn->ops->on_end(owner);
    free_if_over(conn);
}

/* The server's end hears no more of this conn. */
static void let_go_stream(struct sim_conn *conn)
{
    if (conn->stream == NULL)
        return;
    conn->stream->conn = NULL;
    conn->stream->ended = true;
    mark_ready(conn->stream);
    conn->stream = NULL;
}

static void arrive_at_server(struct sim_conn *conn, struct packet *packet)
{
    struct stream *stream = conn->stream;
    if (stream == NULL)
        return;
    bytes_append(&stream->in, packet->data.ptr, packet->data.len);
    if (packet->end)
        let_go_stream(conn);
    else
        mark_ready(stream);
}

static void on_packet(struct sim_event *event)
{
    struct packet *packet = container_of(event, struct packet, event);
    struct sim_conn *conn = packet->conn;
    object_check(conn, CONN_MAGIC);
    bool to_server = packet->to_server, end = packet->end;
    /* What waits for the accept keeps its order. */
    bool waits = conn->stream == NULL && (conn->accepting || conn->opening.place != 0);
    if (to_server && (waits || conn->packets[1].next != &packet->node)) {
        sim_at(conn->sim, event, SIM_MS, on_packet);
        return;
    }
    if (to_server)
        arrive_at_server(conn, packet);
    else if (conn->owner != NULL)
        bytes_append(&conn->arrived, packet->data.ptr, packet->data.len);
    free_packet(packet);
    conn->busy = true;
    if (!to_server && conn->owner != NULL && conn->arrived.len > 0)
        conn->ops->on_readable(conn->owner);
    conn->busy = false;
    if (!to_server && end && conn->owner != NULL)
        end_device(conn);
    else
        free_if_over(conn);
}

static void send(struct sim_conn *conn, bool to_server, struct bytes data, bool end, uint64_t late_us)
{
    struct packet *packet = object_zalloc(sizeof *packet);
    struct sim *sim = conn->sim;
    packet->conn = conn;
    packet->to_server = to_server;
    packet->end = end;
    if (data.len > 0)
        bytes_append(&packet->data, data.ptr, data.len);
    uint64_t at_us = sim->now_us + sim_between(sim, conn->latency_us / 2, conn->latency_us) + late_us;
    if (at_us <= conn->last_us[to_server])
        at_us = conn->last_us[to_server] + 1;
    conn->last_us[to_server] = at_us;
    list_push_back(&conn->packets[to_server], &packet->node);
    sim_at(sim, &packet->event, at_us - sim->now_us, on_packet);
}

static void on_ending(struct sim_event *event)
{
    struct sim_conn *conn = container_of(event, struct sim_conn, ending);
    end_device(conn);
}

static void on_accept(struct mail *mail)
{
    struct sim_conn *conn = container_of(mail, struct sim_conn, accept);
    object_check(conn, CONN_MAGIC);
    struct sim_listener *listener = NULL;
    struct list *node, *next;
    conn->accepting = false;
    LIST_FOREACH(node, next, &conn->sim->listeners)
    {
        struct sim_listener *at = container_of(node, struct sim_listener, node);
        if (at->port == conn->port && at->loop == conn->loop)
            listener = at;
    }
    if (listener == NULL || conn->loop->ghost) {
        sim_at(conn->sim, &conn->ending, SIM_MS, on_ending);
        return;
    }
    struct stream *stream = object_zalloc(sizeof *stream);
    stream->magic = STREAM_MAGIC;
    stream->loop = conn->loop;
    stream->conn = conn;
    stream->number = conn->number;
    list_init(&stream->ready);
    list_init(&stream->node);
    conn->stream = stream;
    conn->loop->streams++;
    listener->accept(listener->ctx, stream);
    if (conn->owner != NULL && conn->stream != NULL)
        conn->ops->on_open(conn->owner);
}

static void on_opening(struct sim_event *event)
{
    struct sim_conn *conn = container_of(event, struct sim_conn, opening);
    object_check(conn, CONN_MAGIC);
    struct list *node, *next;
    LIST_FOREACH(node, next, &conn->sim->listeners)
    {
        struct sim_listener *listener = container_of(node, struct sim_listener, node);
        if (listener->port != conn->port)
            continue;
        conn->loop = listener->loop;
        conn->accepting = true;
        conn->accept.run = on_accept;
        mailbox_post(conn->loop, &conn->accept);
        return;
    }
    sim_at(conn->sim, &conn->ending, SIM_MS, on_ending);
}

struct sim_conn *sim_conn_new(struct sim *sim, uint16_t port, const struct sim_conn_ops *ops, void *owner)
{
    struct sim_conn *conn = object_zalloc(sizeof *conn);
    conn->magic = CONN_MAGIC;
    conn->number = ++sim->conns_made;
    conn->sim = sim;
    conn->ops = ops;
    conn->owner = owner;
    conn->port = port;
    conn->window = (size_t)sim_between(sim, WINDOW_MIN, WINDOW_MAX);
    conn->latency_us = sim_between(sim, LATENCY_MIN_US, LATENCY_MAX_US);
    list_init(&conn->packets[0]);
    list_init(&conn->packets[1]);
    list_push_back(&sim->conns, &conn->node);
    sim_at(sim, &conn->opening, conn->latency_us, on_opening);
    return conn;
}

void sim_conn_write(struct sim_conn *conn, struct bytes data)
{
    object_check(conn, CONN_MAGIC);
    while (data.len > 0) {
        size_t len = sim_chance(conn->sim, 4) ? (size_t)sim_between(conn->sim, 1, data.len) : data.len;
        send(conn, true, bytes_of(data.ptr, len), false, 0);
        data = bytes_of(data.ptr + len, data.len - len);
    }
}

size_t sim_conn_read(struct sim_conn *conn, uint8_t *into, size_t max)
{
    object_check(conn, CONN_MAGIC);
    size_t len = conn->arrived.len < max ? conn->arrived.len : max;
    if (len > 0)
        memcpy(into, conn->arrived.ptr, len);
    bytes_consume(&conn->arrived, len);
    bool was_full = conn->under_way >= conn->window;
    conn->under_way -= len;
    if (len > 0 && was_full && conn->stream != NULL && conn->stream->blocked)
        mark_ready(conn->stream);
    return len;
}

void sim_conn_close(struct sim_conn *conn)
{
    object_check(conn, CONN_MAGIC);
    conn->owner = NULL;
    send(conn, true, (struct bytes){NULL, 0}, true, 0);
    free_if_over(conn);
}

void sim_conn_vanish(struct sim_conn *conn, uint64_t late_us)
{
    object_check(conn, CONN_MAGIC);
    struct list *node, *next;
    conn->owner = NULL;
    LIST_FOREACH(node, next, &conn->packets[1])
    {
        struct packet *packet = container_of(node, struct packet, node);
        uint64_t left_us = packet->event.at_us - conn->sim->now_us;
        sim_at(conn->sim, &packet->event, left_us + late_us, on_packet);
    }
    if (late_us > 0 && conn->opening.place != 0)
        sim_at(conn->sim, &conn->opening, late_us, on_opening);
    free_if_over(conn);
}

void sim_conn_break(struct sim_conn *conn)
{
    object_check(conn, CONN_MAGIC);
    conn->owner = NULL;
    sim_cancel(conn->sim, &conn->opening);
    while (!list_empty(&conn->packets[1]))
        free_packet(container_of(conn->packets[1].next, struct packet, node));
    send(conn, true, (struct bytes){NULL, 0}, true, 0);
    free_if_over(conn);
}

void sim_net_reset(struct sim *sim)
{
    while (!list_empty(&sim->conns))
        free_conn(container_of(sim->conns.next, struct sim_conn, node));
}

/* ---- stream.h ---- */

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
        send(conn, false, (struct bytes){NULL, 0}, true, 0);
    free_if_over(conn);
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
            send(conn, false, bytes_of(stream->out.ptr, len), false, 0);
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
        object_check(stream, STREAM_MAGIC);
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
    object_check(stream, STREAM_MAGIC);
    stream->ops = ops;
    stream->owner = owner;
}

void stream_write_copy(struct stream *stream, struct bytes data)
{
    object_check(stream, STREAM_MAGIC);
    if (stream->closing || stream->flushing || stream->ended)
        return;
    bytes_append(&stream->out, data.ptr, data.len);
    if (!stream->blocked && list_empty(&stream->node))
        list_push_back(&stream->loop->unflushed, &stream->node);
    sim_loop_wake(stream->loop);
}

void stream_write(struct stream *stream, struct buf *buf)
{
    stream_write_copy(stream, buf_bytes(buf));
}

size_t stream_queued(const struct stream *stream)
{
    return stream->out.len;
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
    mark_ready(stream);
}

void stream_close(struct stream *stream)
{
    object_check(stream, STREAM_MAGIC);
    if (!stream->closing)
        begin_close(stream);
}

void stream_close_flushed(struct stream *stream, uint32_t timeout_ms)
{
    object_check(stream, STREAM_MAGIC);
    if (stream->closing || stream->flushing)
        return;
    stream->flushing = true;
    timer_start(stream->loop, &stream->deadline, timeout_ms, on_deadline);
    if (!stream->blocked && list_empty(&stream->node))
        list_push_back(&stream->loop->unflushed, &stream->node);
    sim_loop_wake(stream->loop);
}

/* The window says how much is unsent. */
void stream_limit_unsent(struct stream *stream, uint32_t bytes)
{
    (void)stream;
    (void)bytes;
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

/* ---- listener.h ---- */

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

void listener_close(struct listener **inside)
{
    struct listener *listener = *inside;
    if (listener == NULL)
        return;
    *inside = NULL;
    list_remove(&listener->of.node);
    free(listener);
}
