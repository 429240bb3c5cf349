/* link_tcp_conn.c: one connection: hello, proof, heartbeats, frames, its end.
 *
 *   caller          called
 *   HELLO    ->
 *            <-     HELLO
 *   PROOF    ->              over both hellos, with the shared secret
 *            <-     PROOF    the caller proves itself first: who only listens learns nothing to guess at
 */
#include "base/err.h"
#include "base/log.h"
#include "discovery/link_tcp_directory.h"
#include "discovery/link_tcp_impl.h"
#include "discovery/link_tcp_peer.h"

#include <stdlib.h>

#define OUT_KEEP_BYTES 65536
#define LEAVE_FLUSH_MS 1000
#define REFUSAL_LOG_MS 1000

static const struct link_tcp_config *config_of(const struct link_tcp_conn *conn)
{
    return &conn->home->set->config;
}

/* ---- writing ---- */

void link_tcp_conn_write(struct link_tcp_conn *conn)
{
    struct bytebuf *out = &conn->home->out;
    stream_write_copy(conn->stream, bytes_view(out));
    conn->wrote = true;
    out->len = 0;
    if (out->cap > OUT_KEEP_BYTES)
        bytes_reset(out);
}

bool link_tcp_conn_has_room(const struct link_tcp_conn *conn)
{
    return stream_queued(conn->stream) < config_of(conn)->outbox_bytes;
}

static void write_bare(struct link_tcp_conn *conn, enum peer_type type)
{
    peer_codec_encode_bare(&conn->home->out, type);
    link_tcp_conn_write(conn);
}

/* There may be room again: go on with what waited for it. */
static void settle(struct link_tcp_conn *conn)
{
    if (conn->state != LINK_TCP_UP || !link_tcp_conn_has_room(conn))
        return;
    if (conn->dirty) {
        conn->dirty = false;
        write_bare(conn, PEER_DIRTY);
    }
    if (conn->paused) {
        conn->paused = false;
        stream_resume(conn->stream);
    }
}

int link_tcp_conn_tell(struct link_tcp_conn *conn, const struct peer_msg *msg)
{
    /* Nothing makes up for APPS that were lost, and they are as rare as an operator's act. */
    const bool droppable = msg->type != PEER_APPS;
    if ((droppable && !link_tcp_conn_has_room(conn)) || peer_codec_encode_tell(&conn->home->out, msg) != 0) {
        conn->dirty = true;
        conn->home->dropped++;
        return PETREL_E_BUSY;
    }
    link_tcp_conn_write(conn);
    return 0;
}

void link_tcp_conn_mark_dirty(struct link_tcp_conn *conn)
{
    conn->dirty = true;
    settle(conn);
}

/* ---- the end ---- */

static void log_unreachable(const struct link_tcp_peer *peer, const char *why)
{
    char address[LINK_TCP_PEER_ADDRESS_SIZE];
    link_tcp_peer_address(peer, address);
    log_at(LOG_WARN, "link", "a node can't be connected to", LOG_NUM("node", link_tcp_peer_number(peer)),
           LOG_STR("address", address), LOG_STR("reason", why));
}

static void log_refusal(struct link_tcp_conn *conn, const char *why)
{
    struct link_tcp_loop *home = conn->home;
    const uint64_t now_ms = loop_now_ms(home->loop);
    home->refused++;
    /* Strangers decide how often they come, not how much is logged. */
    const bool said = conn->peer != NULL ? !link_tcp_peer_tell_once(conn->peer)
                                         : home->refusal_ms != 0 && now_ms - home->refusal_ms < REFUSAL_LOG_MS;
    if (said)
        return;
    if (conn->peer != NULL) {
        log_unreachable(conn->peer, why);
        return;
    }
    home->refusal_ms = now_ms;
    char address[STREAM_ADDRESS_SIZE];
    stream_peer(conn->stream, address);
    log_at(LOG_WARN, "link", "a connection was refused", LOG_NUM("node", conn->other), LOG_STR("address", address),
           LOG_STR("reason", why));
}

/* What every end begins with. */
static void begin_end(struct link_tcp_conn *conn)
{
    if (conn->peer == NULL && conn->state < LINK_TCP_UP)
        conn->home->strangers--;
    conn->state = LINK_TCP_CLOSING;
    timer_stop(&conn->timer);
    link_tcp_directory_leave(conn);
    link_tcp_calls_end(conn);
}

void link_tcp_conn_drop(struct link_tcp_conn *conn, const char *why)
{
    if (conn->state == LINK_TCP_CLOSING)
        return;
    if (conn->state < LINK_TCP_UP)
        log_refusal(conn, why);
    else if (!conn->home->closed)
        log_at(LOG_WARN, "link", "a link is down", LOG_NUM("node", conn->other), LOG_NUM("its_loop", conn->other_loop),
               LOG_STR("reason", why));
    stream_close(conn->stream);
    begin_end(conn);
}

void link_tcp_conn_leave_if_idle(struct link_tcp_conn *conn)
{
    if (!conn->leaving || conn->state != LINK_TCP_UP || conn->calls.count > conn->abandoned)
        return;
    stream_close_flushed(conn->stream, LEAVE_FLUSH_MS);
    begin_end(conn);
}

void link_tcp_conn_leave(struct link_tcp_conn *conn)
{
    conn->leaving = true;
    if (conn->state < LINK_TCP_UP)
        link_tcp_conn_drop(conn, "this node is shutting down");
    else
        link_tcp_conn_leave_if_idle(conn);
}

static void on_closed(void *owner)
{
    struct link_tcp_conn *conn = owner;
    object_check(conn, LINK_TCP_CONN_MAGIC);
    petrel_assert(conn->state == LINK_TCP_CLOSING);
    list_remove(&conn->node);
    if (conn->peer != NULL)
        link_tcp_peer_down(conn->peer);
    else
        conn->home->taken--;
    frame_reader_reset(&conn->reader);
    bytes_reset(&conn->ours);
    bytes_reset(&conn->theirs);
    tls_peer_free(&conn->caller);
    conn->magic = 0;
    free(conn);
}

/* ---- heartbeats ---- */

static void on_tick(struct timer *timer)
{
    struct link_tcp_conn *conn = container_of(timer, struct link_tcp_conn, timer);
    object_check(conn, LINK_TCP_CONN_MAGIC);
    const struct link_tcp_config *config = config_of(conn);
    const uint64_t now_ms = loop_now_ms(conn->home->loop);
    /* After a stall of our own, what the other side said meanwhile is not read yet. */
    if (now_ms - conn->ticked_ms > 2 * (uint64_t)config->heartbeat_ms + TIMER_TICK_MS)
        conn->heard_ms = now_ms;
    conn->ticked_ms = now_ms;
    if (now_ms - conn->heard_ms >= config->silence_ms) {
        link_tcp_conn_drop(conn, "nothing was heard");
        return;
    }
    if (!conn->wrote)
        write_bare(conn, PEER_PING);
    conn->wrote = false;
    timer_start(conn->home->loop, &conn->timer, config->heartbeat_ms, on_tick);
    if (link_tcp_calls_expire(conn, now_ms) != 0)
        link_tcp_conn_drop(conn, "calls are not answered");
    else
        settle(conn);
}

static void on_hello_deadline(struct timer *timer)
{
    struct link_tcp_conn *conn = container_of(timer, struct link_tcp_conn, timer);
    object_check(conn, LINK_TCP_CONN_MAGIC);
    link_tcp_conn_drop(conn, "no connection and hello within the deadline");
}

/* ---- hello and proof ---- */

static void write_hello(struct link_tcp_conn *conn)
{
    const struct link_tcp_config *config = config_of(conn);
    struct peer_hello hello = {.version = PEER_PROTOCOL_VERSION,
                               .node = config->node,
                               .loop = (uint16_t)conn->home->index,
                               .incarnation = config->incarnation,
                               .name = bytes_str(conn->home->set->name),
                               .window = config->window,
                               .serial = conn->peer != NULL ? conn->serial : 0};
    rng_secret(hello.nonce, sizeof hello.nonce);
    struct bytebuf *out = &conn->home->out;
    peer_codec_encode_hello(out, &hello);
    bytes_append(&conn->ours, out->ptr + FRAME_HEADER_BYTES, out->len - FRAME_HEADER_BYTES);
    link_tcp_conn_write(conn);
}

/* What the caller, or who was called, proves itself with. */
static void make_mac(const struct link_tcp_conn *conn, bool caller, uint8_t mac[DIGEST_SHA256_BYTES])
{
    const bool we_call = conn->peer != NULL;
    peer_codec_mac(bytes_view(&conn->home->set->secret), caller, bytes_view(we_call ? &conn->ours : &conn->theirs),
                   bytes_view(we_call ? &conn->theirs : &conn->ours), mac);
}

static void write_proof(struct link_tcp_conn *conn)
{
    uint8_t mac[DIGEST_SHA256_BYTES];
    make_mac(conn, conn->peer != NULL, mac);
    peer_codec_encode_proof(&conn->home->out, mac);
    link_tcp_conn_write(conn);
}

/* NULL: welcome; else why not. */
static const char *take_hello(struct link_tcp_conn *conn, struct bytes body)
{
    struct peer_hello hello;
    const struct link_tcp_config *config = config_of(conn);
    if (peer_codec_version(body) != PEER_PROTOCOL_VERSION)
        return "it speaks another version of the protocol";
    if (peer_codec_decode_hello(conn->home->codec, body, &hello) != 0)
        return "its hello is malformed";
    if (hello.node == config->node)
        return "it has the number of this node";
    if (conn->peer != NULL && hello.node != link_tcp_peer_number(conn->peer))
        return "another node answers at its address";
    conn->other = hello.node;
    const char *not_it = link_tcp_tls_check(conn, &hello);
    if (not_it != NULL)
        return not_it;
    bytes_append(&conn->theirs, body.ptr, body.len);
    conn->other_loop = hello.loop;
    conn->incarnation = hello.incarnation;
    conn->window = hello.window < config->window ? hello.window : config->window;
    if (conn->peer == NULL) {
        conn->serial = hello.serial;
        write_hello(conn);
    } else {
        write_proof(conn);
    }
    conn->state = LINK_TCP_PROVING;
    return NULL;
}

static void come_up(struct link_tcp_conn *conn)
{
    struct link_tcp_loop *home = conn->home;
    if (conn->peer == NULL)
        home->strangers--;
    conn->state = LINK_TCP_UP;
    bytes_reset(&conn->ours);
    bytes_reset(&conn->theirs);
    conn->ticked_ms = loop_now_ms(home->loop);
    timer_start(home->loop, &conn->timer, config_of(conn)->heartbeat_ms, on_tick);
    log_at(LOG_INFO, "link", "a link is up", LOG_NUM("node", conn->other), LOG_NUM("its_loop", conn->other_loop),
           LOG_NUM("loop", home->index), LOG_STR("side", conn->peer != NULL ? "caller" : "called"),
           LOG_STR("tls", stream_is_secure(conn->stream) ? "yes" : "no"));
    if (conn->peer != NULL) {
        link_tcp_peer_up(conn->peer);
        return;
    }
    if (!link_tcp_directory_enter(conn)) {
        link_tcp_conn_drop(conn, "the caller made a newer one");
        return;
    }
    if (home->apps != NULL) {
        const struct peer_msg apps = {.type = PEER_APPS,
                                      .apps = {.version = home->apps_version, .records = home->apps}};
        (void)link_tcp_conn_tell(conn, &apps);
    }
}

static const char *take_proof(struct link_tcp_conn *conn, struct bytes body)
{
    uint8_t theirs[DIGEST_SHA256_BYTES];
    uint8_t expected[DIGEST_SHA256_BYTES];
    if (peer_codec_decode_proof(conn->home->codec, body, theirs) != 0)
        return "its proof is malformed";
    make_mac(conn, conn->peer == NULL, expected);
    if (!digest_equal(theirs, expected))
        return "it does not know the shared secret";
    if (conn->peer == NULL)
        write_proof(conn);
    come_up(conn);
    return NULL;
}

/* ---- frames ---- */

/* Whether a tell is for a session of this loop of this start of the process. */
static bool is_for_us(const struct link_tcp_conn *conn, const struct peer_msg *msg)
{
    const struct link_tcp_config *config = config_of(conn);
    if (msg->type == PEER_APPS || msg->type == PEER_TOPIC_DELIVER)
        return true;
    const struct route *route = peer_route_of(msg);
    return route->node == config->node && route->incarnation == config->incarnation && route->loop == conn->home->index;
}

static int take_tell(struct link_tcp_conn *conn, const struct frame *frame)
{
    const struct link_server *server = &conn->home->link.servers[LINK_SESSION];
    struct peer_msg msg;
    const int rc = peer_codec_decode_tell(conn->home->codec, frame, &msg);
    if (rc != 0)
        return rc;
    if (!conn->home->closed && server->on_tell != NULL && is_for_us(conn, &msg))
        server->on_tell(server->ctx, &msg);
    peer_codec_release_msg(&msg);
    return 0;
}

static int take_dirty(struct link_tcp_conn *conn, const struct frame *frame)
{
    const struct link_server *server = &conn->home->link.servers[LINK_SESSION];
    if (!conn->home->closed && server->on_dirty != NULL)
        server->on_dirty(server->ctx);
    return frame->body.len == 0 ? 0 : PETREL_E_PROTOCOL;
}

static int take_up(struct link_tcp_conn *conn, const struct frame *frame)
{
    if (peer_codec_is_reply(frame->type))
        return link_tcp_calls_replied(conn, frame);
    if (peer_codec_is_call(frame->type))
        return link_tcp_calls_serve(conn, frame);
    if (frame->type == PEER_PING)
        return frame->body.len == 0 ? 0 : PETREL_E_PROTOCOL;
    /* Only who was called tells. */
    if (conn->peer != NULL && frame->type == PEER_DIRTY)
        return take_dirty(conn, frame);
    if (conn->peer != NULL && peer_codec_is_tell(frame->type))
        return take_tell(conn, frame);
    return PETREL_E_PROTOCOL;
}

static int on_frame(void *ctx, const struct frame *frame)
{
    struct link_tcp_conn *conn = ctx;
    const char *why = NULL;
    if (conn->state == LINK_TCP_UP)
        why = take_up(conn, frame) == 0 ? NULL : "it broke the protocol";
    else if (frame->body.len > PEER_CODEC_GREETING_MAX)
        why = "its greeting is too large";
    else if (conn->state == LINK_TCP_GREETING && frame->type == PEER_HELLO)
        why = take_hello(conn, frame->body);
    else if (conn->state == LINK_TCP_PROVING && frame->type == PEER_PROOF)
        why = take_proof(conn, frame->body);
    else
        why = "it does not greet as a node does";
    if (why != NULL)
        link_tcp_conn_drop(conn, why);
    return conn->state == LINK_TCP_CLOSING ? PETREL_E_CLOSING : 0;
}

/* Frames may follow a caller's proof, or what was called's, in the same bytes. */
static uint32_t body_max(const struct link_tcp_conn *conn)
{
    if (conn->state == LINK_TCP_UP || (conn->state == LINK_TCP_PROVING && conn->peer != NULL))
        return FRAME_BODY_MAX;
    return PEER_CODEC_GREETING_MAX;
}

static void on_data(void *owner, struct bytes data)
{
    struct link_tcp_conn *conn = owner;
    object_check(conn, LINK_TCP_CONN_MAGIC);
    conn->heard_ms = loop_now_ms(conn->home->loop);
    if (!conn->begun && link_tcp_tls_begin(conn, data))
        return;
    /* What is queued now has seen a flush, so on_drain will come: who asks and does not read its answers has to wait. */
    const bool stuck = stream_queued(conn->stream) > 2 * (size_t)config_of(conn)->outbox_bytes;
    const int rc = frame_reader_feed(&conn->reader, body_max(conn), data, on_frame, conn);
    if (rc == PETREL_E_TOO_LARGE)
        link_tcp_conn_drop(conn, "its greeting is too large");
    if (stuck && conn->state == LINK_TCP_UP) {
        conn->paused = true;
        stream_pause(conn->stream);
    }
}

static void on_drain(void *owner)
{
    struct link_tcp_conn *conn = owner;
    object_check(conn, LINK_TCP_CONN_MAGIC);
    settle(conn);
}

static void on_end(void *owner, int status)
{
    struct link_tcp_conn *conn = owner;
    char why[LINK_TCP_TLS_WHY_SIZE];
    object_check(conn, LINK_TCP_CONN_MAGIC);
    link_tcp_conn_drop(conn, link_tcp_tls_why(conn, status, why));
}

static void on_open(void *owner)
{
    ((struct link_tcp_conn *)owner)->open = true;
}

static void on_peer(void *owner, struct tls_peer **peer)
{
    struct link_tcp_conn *conn = owner;
    conn->caller = *peer;
    *peer = NULL;
}

static const struct stream_ops conn_ops = {
    .on_open = on_open,
    .on_peer = on_peer,
    .on_data = on_data,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* ---- the beginning ---- */

static struct link_tcp_conn *conn_new(struct link_tcp_loop *home, struct link_tcp_peer *peer)
{
    struct link_tcp_conn *conn = object_zalloc(sizeof *conn);
    conn->magic = LINK_TCP_CONN_MAGIC;
    conn->state = LINK_TCP_GREETING;
    conn->home = home;
    conn->peer = peer;
    conn->heard_ms = loop_now_ms(home->loop);
    link_tcp_calls_init(conn);
    return conn;
}

static void begin(struct link_tcp_conn *conn)
{
    list_push_back(&conn->home->conns, &conn->node);
    timer_start(conn->home->loop, &conn->timer, config_of(conn)->silence_ms, on_hello_deadline);
}

int link_tcp_conn_call(struct link_tcp_loop *home, struct link_tcp_peer *peer)
{
    struct link_tcp_conn *conn = conn_new(home, peer);
    uint16_t port;
    const char *host = link_tcp_peer_host(peer, &port);
    const int rc = stream_connect(&conn->stream, home->loop, host, port, &conn_ops, conn);
    if (rc != 0) {
        if (link_tcp_peer_tell_once(peer))
            log_unreachable(peer, err_text(rc));
        free(conn);
        return rc;
    }
    conn->begun = true;
    conn->serial = ++home->serial;
    link_tcp_peer_attach(peer, conn);
    begin(conn);
    if (link_tcp_tls_call(conn))
        write_hello(conn);
    return 0;
}

void link_tcp_conn_take(struct link_tcp_loop *home, struct stream *stream)
{
    const struct link_tcp_config *config = &home->set->config;
    if (home->closed || home->taken >= config->max_connections || home->strangers >= config->max_strangers) {
        home->refused++;
        stream_close(stream);
        return;
    }
    struct link_tcp_conn *conn = conn_new(home, NULL);
    conn->stream = stream;
    stream_attach(stream, &conn_ops, conn);
    home->taken++;
    home->strangers++;
    begin(conn);
}
