#include "base/err.h"
#include "loop/stream_impl.h"
#include "loop/tls_conn.h"
#include "loop/tls_loop.h"
#include "loop/tls_peer.h"

#include <errno.h>
#include <sys/socket.h>

static struct tls_conn *conn_of(const struct stream *stream)
{
    struct tls_conn *conn = slab_at(&stream_loop(stream)->tls->conns, stream->tls - 1);
    petrel_assert(conn != NULL);
    return conn;
}

/* Queue what TLS itself has to say. */
static void queue_out(struct stream *stream)
{
    struct bytebuf *out = &stream_loop(stream)->tls->out;
    if (out->len > 0)
        outbox_hold(stream_outbox(stream), bytes_view(out));
    out->len = 0;
}

static struct tls_loop *loop_for(struct stream *stream)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    struct loop *loop = stream_loop(stream);
    petrel_assert(stream->tls == 0 && !stream->closing && !stream->broken && !stream->flushing);
    petrel_assert(loop->read_buffer_size >= (size_t)2 * (TLS_HEADER_SIZE + TLS_ANY_MAX));
    return tls_loop_of(loop);
}

void stream_secure(struct stream *stream, struct tls_server *server, struct bytes first)
{
    struct tls_conn *conn = tls_conn_accept(loop_for(stream), stream, server, first);
    stream->tls = slab_index(conn) + 1;
}

int stream_secure_client(struct stream *stream, struct tls_client *client, const char *hostname, struct bytes session)
{
    struct tls_loop *tls = loop_for(stream);
    struct tls_conn *conn;
    int rc = tls_conn_connect(&conn, tls, stream, client, hostname, session);
    if (rc != 0) {
        tls->out.len = 0;
        return rc;
    }
    stream->tls = slab_index(conn) + 1;
    stream->unopened = stream->connecting;
    queue_out(stream);
    return 0;
}

enum tls_alpn stream_alpn(const struct stream *stream)
{
    return stream->tls != 0 ? (enum tls_alpn)conn_of(stream)->alpn : TLS_ALPN_NONE;
}

bool stream_is_secure(const struct stream *stream)
{
    return stream->tls != 0;
}

bool stream_waits(const struct stream *stream)
{
    return stream->tls != 0 && tls_conn_waits(conn_of(stream));
}

void stream_tls_end(struct stream *stream)
{
    if (stream->tls == 0)
        return;
    tls_conn_free(conn_of(stream));
    stream->tls = 0;
}

void stream_tls_told(struct loop *loop)
{
    if (loop->tls != NULL)
        loop->tls->why[0] = '\0';
}

/* ---- reading ---- */

size_t stream_tls_partial(const struct stream *stream)
{
    return tls_conn_partial(conn_of(stream), stream_loop(stream)->read_buffer);
}

/* The handshake is done: what waited for it can go. */
static void on_opened(struct stream *stream)
{
    if (stream->out != NULL)
        (void)stream_outbox(stream);
    if (!stream->unopened)
        return;
    stream->unopened = false;
    if (stream_ops_of(stream)->on_open != NULL)
        stream_ops_of(stream)->on_open(stream->owner);
}

static void tell_session(struct stream *stream)
{
    struct bytebuf session = stream_loop(stream)->tls->session;
    if (session.len == 0)
        return;
    stream_loop(stream)->tls->session = (struct bytebuf){0};
    if (stream_ops_of(stream)->on_session != NULL)
        stream_ops_of(stream)->on_session(stream->owner, bytes_view(&session));
    bytes_reset(&session);
}

static void tell_peer(struct stream *stream, bool wanted)
{
    struct tls_peer *peer = stream_loop(stream)->tls->peer;
    stream_loop(stream)->tls->peer = NULL;
    if (peer != NULL && wanted && stream_ops_of(stream)->on_peer != NULL)
        stream_ops_of(stream)->on_peer(stream->owner, &peer);
    tls_peer_free(&peer);
}

/* The alert that says why goes out where the socket takes it at once and no record is cut by it. */
static void fail(struct stream *stream, int status)
{
    struct bytebuf *out = &stream_loop(stream)->tls->out;
    if (out->len > 0 && (stream->out == NULL || outbox_held(stream->out).len == 0))
        (void)send(stream->endpoint.fd, out->ptr, out->len, MSG_NOSIGNAL);
    out->len = 0;
    stream_break_off(stream, status);
}

static bool may_tell(const struct stream *stream)
{
    return !stream->closing && !stream->flushing && !stream->broken;
}

void stream_tls_read(struct stream *stream, size_t len)
{
    struct tls_conn *conn = conn_of(stream);
    struct bytes data;
    bool was_open = tls_conn_open(conn);
    int rc = tls_conn_read(conn, stream_loop(stream)->read_buffer, len, &data);
    bool failed = rc != 0 && rc != PETREL_E_EOF;
    if (!failed)
        queue_out(stream);
    if (!was_open && tls_conn_open(conn))
        on_opened(stream);
    tell_peer(stream, may_tell(stream));
    if (may_tell(stream))
        tell_session(stream);
    if (data.len > 0 && may_tell(stream))
        stream_ops_of(stream)->on_data(stream->owner, data);
    if (failed && !stream->closing && !stream->broken)
        fail(stream, rc);
    else if (rc == PETREL_E_EOF && !stream->closing && !stream->ended)
        stream_end_reading(stream);
    stream_tls_told(stream_loop(stream));
}

void stream_tls_begin(struct stream *stream, int rc)
{
    object_check(&stream->endpoint, STREAM_MAGIC);
    if (rc != 0)
        stream_break_off(stream, rc);
    if (rc != 0 || stream->flushing)
        return;
    stream->stranger = false;
    if (stream->kind != 0 && stream_ops_of(stream)->on_turn != NULL)
        stream_ops_of(stream)->on_turn(stream->owner);
    if (!may_tell(stream))
        return;
    size_t len = stream_tls_partial(stream);
    if (len > 0)
        stream_tls_read(stream, len);
    if (!stream->closing)
        stream_watch(stream);
}

/* ---- writing ---- */

/* As send(), but 0 when the socket is full. */
static ssize_t send_some(struct stream *stream, struct bytes bytes)
{
    for (;;) {
        ssize_t sent = send(stream->endpoint.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent >= 0 || errno == EAGAIN)
            return sent >= 0 ? sent : 0;
        if (errno != EINTR)
            return -1;
    }
}

static int write_held(struct stream *stream)
{
    struct bytes held = outbox_held(stream->out);
    ssize_t sent = send_some(stream, held);
    if (sent < 0)
        return err_from_errno(errno);
    if (sent > 0)
        outbox_release(stream->out, (size_t)sent, loop_now_ms(stream_loop(stream)));
    return (size_t)sent < held.len ? PETREL_E_NEED_MORE : 0;
}

/* Seal a record and send it; what the socket does not take is held. */
static int write_record(struct stream *stream)
{
    struct loop *loop = stream_loop(stream);
    uint64_t moved_ms = stream->out->moved_ms;
    size_t len = outbox_take(stream->out, loop->tls->seal + TLS_SEAL_AT, TLS_DATA_MAX, loop_now_ms(loop));
    struct bytes sealed = tls_conn_seal(conn_of(stream), len);
    if (sealed.len == 0)
        return PETREL_E_PROTOCOL;
    ssize_t sent = send_some(stream, sealed);
    if (sent < 0)
        return err_from_errno(errno);
    if (sent == 0)
        stream->out->moved_ms = moved_ms; /* it has only been sealed */
    if ((size_t)sent == sealed.len)
        return 0;
    outbox_hold(stream->out, bytes_of(sealed.ptr + sent, sealed.len - (size_t)sent));
    return PETREL_E_NEED_MORE;
}

int stream_tls_write(struct stream *stream)
{
    struct tls_conn *conn = conn_of(stream);
    for (int writes = 0; writes < STREAM_WRITES_MAX; writes++) {
        int rc;
        if (outbox_held(stream->out).len > 0) {
            rc = write_held(stream);
        } else if (!tls_conn_open(conn)) {
            return 0;
        } else if (stream->out->queued > 0) {
            rc = write_record(stream);
        } else if (stream->flushing) {
            tls_conn_close(conn);
            queue_out(stream);
            if (outbox_held(stream->out).len == 0)
                return 0;
            rc = 0;
        } else {
            return 0;
        }
        if (rc != 0)
            return rc;
    }
    return outbox_size(stream->out) > 0 ? PETREL_E_NEED_MORE : 0;
}
