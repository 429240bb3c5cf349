#include "sim/loop/sim_net_impl.h"

#include <stdlib.h>

#define WINDOW_MIN 600
#define WINDOW_MAX 12000
#define LATENCY_MIN_US 500
#define LATENCY_MAX_US (60 * SIM_MS)

struct packet {
    struct list node; /* of its direction */
    struct sim_event event;
    struct sim_conn *conn;
    bool to_server;
    bool end; /* after the data: nothing more comes */
    struct bytebuf data;
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

void sim_net_free_if_over(struct sim_conn *conn)
{
    bool server = conn->stream != NULL || conn->accepting || conn->opening.place != 0;
    if (!server && conn->owner == NULL && conn->ending.place == 0 && !conn->busy)
        free_conn(conn);
}

void sim_net_mark_ready(struct stream *stream)
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
    sim_net_free_if_over(conn);
}

/* The server's end hears no more of this conn. */
static void let_go_stream(struct sim_conn *conn)
{
    if (conn->stream == NULL)
        return;
    conn->stream->conn = NULL;
    conn->stream->ended = true;
    sim_net_mark_ready(conn->stream);
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
        sim_net_mark_ready(stream);
}

static void on_packet(struct sim_event *event)
{
    struct packet *packet = container_of(event, struct packet, event);
    struct sim_conn *conn = packet->conn;
    object_check(conn, SIM_CONN_MAGIC);
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
        sim_net_free_if_over(conn);
}

void sim_net_send(struct sim_conn *conn, bool to_server, struct bytes data, bool end)
{
    struct packet *packet = object_zalloc(sizeof *packet);
    struct sim *sim = conn->sim;
    packet->conn = conn;
    packet->to_server = to_server;
    packet->end = end;
    if (data.len > 0)
        bytes_append(&packet->data, data.ptr, data.len);
    uint64_t at_us = sim->now_us + sim_between(sim, conn->latency_us / 2, conn->latency_us);
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

static void on_opening(struct sim_event *event);

static void on_accept(struct mail *mail)
{
    struct sim_conn *conn = container_of(mail, struct sim_conn, accept);
    object_check(conn, SIM_CONN_MAGIC);
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
    if (listener->paused) { /* it was not when the mail was sent */
        sim_at(conn->sim, &conn->opening, SIM_MS, on_opening);
        return;
    }
    struct stream *stream = object_zalloc(sizeof *stream);
    stream->magic = SIM_STREAM_MAGIC;
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
    object_check(conn, SIM_CONN_MAGIC);
    struct list *node, *next;
    LIST_FOREACH(node, next, &conn->sim->listeners)
    {
        struct sim_listener *listener = container_of(node, struct sim_listener, node);
        if (listener->port != conn->port)
            continue;
        if (listener->paused) {
            sim_at(conn->sim, event, SIM_MS, on_opening);
            return;
        }
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
    conn->magic = SIM_CONN_MAGIC;
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
    object_check(conn, SIM_CONN_MAGIC);
    while (data.len > 0) {
        size_t len = sim_chance(conn->sim, 4) ? (size_t)sim_between(conn->sim, 1, data.len) : data.len;
        sim_net_send(conn, true, bytes_of(data.ptr, len), false);
        data = bytes_of(data.ptr + len, data.len - len);
    }
}

size_t sim_conn_read(struct sim_conn *conn, uint8_t *into, size_t max)
{
    object_check(conn, SIM_CONN_MAGIC);
    size_t len = conn->arrived.len < max ? conn->arrived.len : max;
    if (len > 0)
        memcpy(into, conn->arrived.ptr, len);
    bytes_consume(&conn->arrived, len);
    bool was_full = conn->under_way >= conn->window;
    conn->under_way -= len;
    if (len > 0 && was_full && conn->stream != NULL && conn->stream->blocked)
        sim_net_mark_ready(conn->stream);
    return len;
}

void sim_conn_close(struct sim_conn *conn)
{
    object_check(conn, SIM_CONN_MAGIC);
    conn->owner = NULL;
    sim_net_send(conn, true, (struct bytes){NULL, 0}, true);
    sim_net_free_if_over(conn);
}

void sim_conn_vanish(struct sim_conn *conn, uint64_t late_us)
{
    object_check(conn, SIM_CONN_MAGIC);
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
    sim_net_free_if_over(conn);
}

void sim_conn_break(struct sim_conn *conn)
{
    object_check(conn, SIM_CONN_MAGIC);
    conn->owner = NULL;
    sim_cancel(conn->sim, &conn->opening);
    while (!list_empty(&conn->packets[1]))
        free_packet(container_of(conn->packets[1].next, struct packet, node));
    sim_net_send(conn, true, (struct bytes){NULL, 0}, true);
    sim_net_free_if_over(conn);
}

void sim_net_reset(struct sim *sim)
{
    while (!list_empty(&sim->conns))
        free_conn(container_of(sim->conns.next, struct sim_conn, node));
}
