#include "loop/tls_conn.h"

#include "base/err.h"
#include "base/object.h"
#include "loop/tls_loop.h"
#include "loop/tls_peer.h"
#include "loop/tls_talk.h"

#include <stdio.h>
#include <stdlib.h>

static struct tls_loop *loop_of(const struct tls_conn *conn)
{
    return slab_keeper(conn);
}

static bool is_server(const struct tls_conn *conn)
{
    return conn->talk->server != NULL;
}

/* ---- stages ---- */

/* Where a stage is counted. */
static void count(struct tls_conn *conn, int change)
{
    struct tls_loop *tls = loop_of(conn);
    const struct {
        uint32_t *number;
        enum metric metric;
    } places[] = {
        [TLS_HEARING] = {NULL, METRIC_COUNT},
        [TLS_WAITING] = {&tls->counts.waiting, METRIC_TLS_WAITING},
        [TLS_HANDSHAKE] = {&tls->counts.handshaking, METRIC_TLS_HANDSHAKING},
        [TLS_LINGERING] = {&tls->counts.kept, METRIC_TLS_OPENSSL},
        [TLS_KEPT] = {&tls->counts.kept, METRIC_TLS_OPENSSL},
        [TLS_COMPACT] = {&tls->counts.compact, METRIC_TLS_COMPACT},
    };
    if (places[conn->stage].number == NULL)
        return;
    *places[conn->stage].number += (uint32_t)change;
    metrics_add(tls->metrics, places[conn->stage].metric, change);
}

static void enter(struct tls_conn *conn, enum tls_stage stage)
{
    conn->stage = (uint8_t)stage;
    count(conn, 1);
}

static void leave(struct tls_conn *conn)
{
    count(conn, -1);
    if (conn->stage == TLS_WAITING)
        tls_loop_leave(loop_of(conn), conn->talk);
    if (conn->stage == TLS_HANDSHAKE)
        tls_loop_note_ended(loop_of(conn));
}

static void move(struct tls_conn *conn, enum tls_stage stage)
{
    leave(conn);
    enter(conn, stage);
}

/* Let go of OpenSSL's object; whether that was possible. */
static bool become_compact(struct tls_conn *conn)
{
    struct tls_talk *talk = conn->talk;
    petrel_assert(talk->partial == NULL);
    if (!tls_talk_hand_over(talk, &conn->record))
        return false;
    conn->partial = NULL;
    tls_talk_free(talk);
    move(conn, TLS_COMPACT);
    return true;
}

static int finish_handshake(struct tls_conn *conn)
{
    struct tls_talk *talk = conn->talk;
    struct tls_loop *tls = loop_of(conn);
    conn->alpn = (uint8_t)tls_talk_alpn(talk);
    if (is_server(conn)) {
        bool resumed = SSL_session_reused(talk->ssl) == 1;
        tls->counts.resumed += resumed;
        tls->counts.full += !resumed;
        metrics_add(tls->metrics, resumed ? METRIC_TLS_RESUMED : METRIC_TLS_FULL, 1);
        tls->peer = talk->server->nodes ? tls_peer_of(talk->ssl) : NULL;
    } else if (talk->client->sessions && talk->client->compact) {
        move(conn, TLS_LINGERING);
        return 0;
    }
    if (become_compact(conn))
        return 0;
    if (is_server(conn) && tls->counts.kept >= tls->limits.kept) {
        tls->counts.refused++;
        metrics_add(tls->metrics, METRIC_TLS_REFUSED, 1);
        return PETREL_E_BUSY;
    }
    move(conn, TLS_KEPT);
    return 0;
}

/* Whoever speaks something else is not waited for until it has said as much as its first bytes mean as a length. */
static bool begins_record(struct bytes bytes)
{
    return bytes.len == 0 || (bytes.ptr[0] >= SSL3_RT_CHANGE_CIPHER_SPEC && bytes.ptr[0] <= SSL3_RT_APPLICATION_DATA);
}

/* ---- life ---- */

static struct tls_conn *new_conn(struct tls_loop *tls, struct stream *stream)
{
    struct tls_conn *conn = slab_take(&tls->conns);
    conn->talk = tls_talk_new(tls, conn, stream);
    return conn;
}

/* A server's turn is for who has something to say: a whole record, or what will be none. It stays as it came until then. */
static void hear(struct tls_conn *conn, struct bytes bytes)
{
    size_t size = 0;
    conn->talk->partial = bytes.len > 0 ? buf_copy(bytes) : NULL;
    int rc = tls_record_size(bytes, TLS_ANY_MAX, &size);
    if (begins_record(bytes) && (rc == PETREL_E_NEED_MORE || (rc == 0 && size > bytes.len)))
        return;
    move(conn, TLS_WAITING);
    tls_loop_wait(loop_of(conn), conn->talk);
}

struct tls_conn *tls_conn_accept(struct tls_loop *tls, struct stream *stream, struct tls_server *server,
                                 struct bytes first)
{
    struct tls_conn *conn = new_conn(tls, stream);
    conn->talk->server = tls_server_ref(server);
    enter(conn, TLS_HEARING);
    hear(conn, first);
    return conn;
}

int tls_conn_begin(struct tls_conn *conn)
{
    petrel_assert(conn->stage <= TLS_WAITING);
    move(conn, TLS_HANDSHAKE);
    return tls_talk_accept(conn->talk);
}

int tls_conn_connect(struct tls_conn **out, struct tls_loop *tls, struct stream *stream, struct tls_client *client,
                     const char *hostname, struct bytes session)
{
    struct tls_conn *conn = new_conn(tls, stream);
    conn->talk->client = tls_client_ref(client);
    enter(conn, TLS_HANDSHAKE);
    int rc = tls_talk_connect(conn->talk, hostname, session);
    if (rc != 0) {
        tls_conn_free(conn);
        return rc;
    }
    *out = conn;
    return 0;
}

void tls_conn_free(struct tls_conn *conn)
{
    leave(conn);
    if (conn->stage == TLS_COMPACT)
        buf_unref(conn->partial);
    else
        tls_talk_free(conn->talk);
    tls_record_wipe(&conn->record);
    slab_give(conn);
}

bool tls_conn_waits(const struct tls_conn *conn)
{
    return conn->stage == TLS_WAITING;
}

bool tls_conn_open(const struct tls_conn *conn)
{
    return conn->stage >= TLS_LINGERING;
}

/* ---- reading ---- */

static struct buf **partial_of(struct tls_conn *conn)
{
    return conn->stage == TLS_COMPACT ? &conn->partial : &conn->talk->partial;
}

size_t tls_conn_partial(const struct tls_conn *conn, uint8_t *buffer)
{
    const struct buf *partial = conn->stage == TLS_COMPACT ? conn->partial : conn->talk->partial;
    if (partial == NULL)
        return 0;
    memcpy(buffer, partial->data, partial->len);
    return partial->len;
}

/* Put a session where the stream finds it, to be told; whether there is one. */
static bool take_session(struct tls_conn *conn)
{
    struct bytebuf *session = &conn->talk->session;
    if (session->len == 0)
        return false;
    loop_of(conn)->session.len = 0;
    bytes_append(&loop_of(conn)->session, session->ptr, session->len);
    session->len = 0;
    return true;
}

static int read_talk(struct tls_conn *conn, uint8_t *record, size_t size, struct bytes *data)
{
    int rc = tls_talk_read(conn->talk, record, size, data);
    bool told = take_session(conn);
    /* A client that waits for its ticket has waited enough when it has come, or data instead. */
    if (rc == 0 && conn->stage == TLS_LINGERING && (told || data->len > 0) && !become_compact(conn))
        move(conn, TLS_KEPT);
    return rc;
}

static int shake(struct tls_conn *conn, struct bytes record)
{
    bool done = false;
    int rc = tls_talk_shake(conn->talk, record, &done);
    if (rc != 0 || !done)
        return rc;
    (void)take_session(conn); /* before 1.3 it comes with the handshake */
    return finish_handshake(conn);
}

/* OpenSSL has no words for one that came with TLS 1.3. */
static const char *alert_text(uint8_t alert)
{
    return alert == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required" : SSL_alert_desc_string_long(alert);
}

static int read_compact(struct tls_conn *conn, uint8_t *record, size_t size, struct bytes *data)
{
    struct tls_loop *tls = loop_of(conn);
    int rc = tls_record_open(&conn->record, tls->cipher, record, size, data);
    /* It is not the peer that did wrong, so its alert lies open in the record. */
    if (rc == PETREL_E_PROTOCOL && conn->record.alert == 0)
        (void)snprintf(tls->why, sizeof tls->why, "alert: %s", alert_text(record[TLS_HEADER_SIZE + 1]));
    return rc;
}

/* One whole record. */
static int read_record(struct tls_conn *conn, uint8_t *record, size_t size, struct bytes *data)
{
    if (conn->stage == TLS_COMPACT)
        return read_compact(conn, record, size, data);
    if (conn->stage == TLS_HANDSHAKE)
        return shake(conn, bytes_of(record, size));
    return read_talk(conn, record, size, data);
}

static size_t largest(const struct tls_conn *conn)
{
    return conn->stage == TLS_COMPACT ? TLS_SEALED_MAX : TLS_ANY_MAX;
}

/* Tell the peer what it did wrong, where OpenSSL has not. */
static int fail(struct tls_conn *conn, int rc)
{
    struct tls_loop *tls = loop_of(conn);
    if (conn->stage == TLS_HANDSHAKE && is_server(conn)) {
        tls->counts.failed++;
        metrics_add(tls->metrics, METRIC_TLS_FAILED, 1);
    }
    if (conn->stage != TLS_COMPACT)
        return rc == PETREL_E_TOO_LARGE ? PETREL_E_PROTOCOL : rc;
    if (rc == PETREL_E_TOO_LARGE)
        conn->record.alert = TLS_ALERT_RECORD_OVERFLOW;
    if (conn->record.alert != 0 && !conn->record.out_closed) {
        uint8_t alert[TLS_ALERT_SIZE];
        struct bytes sealed = tls_record_alert(&conn->record, tls->cipher, (enum tls_alert)conn->record.alert, alert);
        bytes_append(&tls->out, sealed.ptr, sealed.len);
    }
    return PETREL_E_PROTOCOL;
}

int tls_conn_read(struct tls_conn *conn, uint8_t *bytes, size_t len, struct bytes *data)
{
    struct buf **partial = partial_of(conn);
    buf_unref(*partial);
    *partial = NULL;
    *data = bytes_of(bytes, 0);
    if (conn->stage == TLS_HEARING) {
        hear(conn, bytes_of(bytes, len));
        return 0;
    }
    size_t at = 0;
    size_t got = 0;
    size_t size = 0;
    int rc = 0;
    while (rc == 0) {
        struct bytes rest = bytes_of(bytes + at, len - at);
        rc = conn->stage != TLS_HANDSHAKE || begins_record(rest) ? tls_record_size(rest, largest(conn), &size)
                                                                 : PETREL_E_PROTOCOL;
        if (rc != 0 || size > len - at)
            break;
        struct bytes opened = {0};
        rc = read_record(conn, bytes + at, size, &opened);
        if (opened.len > 0)
            memmove(bytes + got, opened.ptr, opened.len);
        got += opened.len;
        at += size;
    }
    if (rc == PETREL_E_NEED_MORE)
        rc = 0;
    *data = bytes_of(bytes, got);
    if (rc == 0 && at < len)
        *partial_of(conn) = buf_copy(bytes_of(bytes + at, len - at));
    return rc == 0 || rc == PETREL_E_EOF ? rc : fail(conn, rc);
}

/* ---- writing ---- */

struct bytes tls_conn_seal(struct tls_conn *conn, size_t len)
{
    struct tls_loop *tls = loop_of(conn);
    petrel_assert(tls_conn_open(conn));
    if (conn->stage == TLS_COMPACT) {
        if (conn->record.out_closed)
            return (struct bytes){0};
        return tls_record_seal(&conn->record, tls->cipher, tls->seal, len);
    }
    tls->out.len = 0;
    int rc = tls_talk_write(conn->talk, bytes_of(tls->seal + TLS_SEAL_AT, len));
    struct bytes sealed = rc == 0 ? bytes_view(&tls->out) : (struct bytes){0};
    tls->out.len = 0; /* its bytes stay where they are until the next call */
    return sealed;
}

void tls_conn_close(struct tls_conn *conn)
{
    struct tls_loop *tls = loop_of(conn);
    if (conn->stage != TLS_COMPACT) {
        tls_talk_close(conn->talk);
        return;
    }
    if (conn->record.out_closed)
        return;
    uint8_t alert[TLS_ALERT_SIZE];
    struct bytes sealed = tls_record_alert(&conn->record, tls->cipher, TLS_ALERT_CLOSE_NOTIFY, alert);
    bytes_append(&tls->out, sealed.ptr, sealed.len);
}
