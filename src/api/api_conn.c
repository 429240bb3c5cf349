#include "api/api_conn.h"
#include "api/api_auth.h"
#include "api/api_exchange.h"
#include "api/api_proxy.h"
#include "api/api_refresh.h"
#include "api/api_routes.h"
#include "base/err.h"
#include "wire/protocol.h"

#include <stdlib.h>

#define CONGESTED_RETRY_MS 8U
#define CONGESTED_RETRY_MAX_MS 1000U

/* ---- what is held, and strangers ---- */

void api_conn_set_partial(struct api_conn *conn, size_t bytes)
{
    conn->role->held += bytes - conn->partial; /* may wrap on the way; the sum never does */
    conn->partial = bytes;
}

bool api_conn_holds_too_much(const struct api_conn *conn)
{
    return conn->role->held > conn->role->config.max_held_bytes;
}

void api_conn_keep(struct api_role *role, struct api_conn *conn, int64_t bytes)
{
    role->held += (size_t)bytes;
    if (conn != NULL)
        conn->kept += (size_t)bytes;
}

struct bytes api_conn_stranger_key(const struct map_node *node)
{
    const struct api_stranger *stranger = container_of(node, struct api_stranger, node);
    return bytes_of(&stranger->owner, sizeof stranger->owner);
}

void api_conn_trusted(struct api_conn *conn)
{
    struct api_stranger *stranger = conn->stranger;
    conn->stranger = NULL;
    if (stranger == NULL || --stranger->count > 0)
        return;
    map_remove(&conn->role->strangers, &stranger->node);
    free(stranger);
}

/* Whether there is room for one more stranger of that address. */
static bool admit_stranger(struct api_conn *conn, const uint8_t address[16])
{
    struct api_role *role = conn->role;
    const uint64_t owner = netaddr_owner(address);
    struct map_node *node = map_find(&role->strangers, bytes_of(&owner, sizeof owner));
    struct api_stranger *stranger = node != NULL ? container_of(node, struct api_stranger, node) : NULL;
    if (stranger == NULL) {
        stranger = object_zalloc(sizeof *stranger);
        stranger->owner = owner;
        map_insert(&role->strangers, &stranger->node);
    }
    conn->stranger = stranger;
    return ++stranger->count <= role->config.max_strangers_per_address;
}

/* ---- the deadline ---- */

static void on_timer(struct timer *timer);

/* While reading is paused it is not the peer who is late. 0: nothing is waited for. */
static uint64_t due_ms(const struct api_conn *conn)
{
    return conn->paused ? 0 : conn->speech->due_ms(conn);
}

static bool is_quiet(const struct api_conn *conn)
{
    return stream_queued(conn->stream) == 0 && conn->speech->is_quiet(conn);
}

/* A connection's first request has the deadline of a request; afterwards it may rest for longer. */
static uint64_t idle_deadline(const struct api_conn *conn)
{
    const struct api_config *config = &conn->role->config;
    return conn->idle_since_ms + (conn->served ? config->idle_timeout_ms : config->request_timeout_ms);
}

static void arm(struct api_conn *conn)
{
    const uint64_t now_ms = loop_now_ms(conn->role->loop);
    uint64_t look_ms = due_ms(conn);
    if (look_ms == 0)
        look_ms = is_quiet(conn) ? idle_deadline(conn) : now_ms + conn->role->config.request_timeout_ms;
    if (conn->retry_ms > 0 && look_ms > now_ms + conn->retry_ms)
        look_ms = now_ms + conn->retry_ms;
    /* Most requests come and go between two looks of a timer that runs anyway: it is moved only to look sooner. */
    if (!timer_running(&conn->timer) || conn->timer.due_ms > look_ms)
        timer_start(conn->role->loop, &conn->timer, look_ms > now_ms ? look_ms - now_ms : 0, on_timer);
}

/* ---- closing ---- */

static void close_now(struct api_conn *conn)
{
    conn->closing = true;
    conn->last = true;
    timer_stop(&conn->timer);
    stream_close(conn->stream);
}

static void close_flushed(struct api_conn *conn)
{
    conn->closing = true;
    conn->last = true;
    timer_stop(&conn->timer);
    stream_close_flushed(conn->stream, API_CLOSE_FLUSH_MS);
}

static void on_closed(void *owner)
{
    struct api_conn *conn = owner;
    object_check(conn, API_CONN_MAGIC);
    struct api_role *role = conn->role;
    struct list *node, *tmp;
    conn->closing = true;
    api_refresh_forget(conn);
    LIST_FOREACH(node, tmp, &conn->exchanges)
    api_exchange_orphan(container_of(node, struct api_exchange, node));
    timer_stop(&conn->timer);
    api_conn_set_partial(conn, 0);
    api_conn_trusted(conn);
    bytes_reset(&conn->proxy);
    conn->speech->free(conn);
    explicit_bzero(&conn->auth, sizeof conn->auth);
    list_remove(&conn->node);
    role->conns_count--;
    metrics_add(role->shard, METRIC_HTTP_CONNECTIONS, -1);
    conn->magic = 0;
    free(conn);
    api_role_settle(role);
}

/* ---- requests ---- */

void api_conn_write(struct api_conn *conn, struct bytes data)
{
    stream_write_copy(conn->stream, data);
    conn->written += data.len;
}

void api_conn_dispatch(struct api_conn *conn, const struct http_request *request, uint32_t stream)
{
    conn->served = true;
    api_routes_dispatch(api_exchange_new(conn, request, stream), request);
    if (conn->waiting != NULL)
        return;
    conn->wait_covered = false;
    conn->speech->done(conn);
}

void api_conn_settle(struct api_conn *conn)
{
    if (conn->closing)
        return;
    if (conn->speech->is_over(conn)) {
        close_flushed(conn);
        return;
    }
    const bool wait = conn->speech->must_wait(conn);
    if (wait != conn->paused && !conn->ended) {
        conn->paused = wait;
        if (wait) {
            stream_pause(conn->stream);
        } else {
            conn->speech->excuse(conn); /* it was we who kept it waiting */
            stream_resume(conn->stream);
        }
    }
    /* on_drain tells of a socket that was full; what went out at once at the turn's end nobody tells. */
    if (stream_queued(conn->stream) <= API_OUTPUT_MAX)
        conn->retry_ms = 0;
    else if (conn->retry_ms == 0)
        conn->retry_ms = CONGESTED_RETRY_MS;
    arm(conn);
}

void api_conn_go_on(struct api_conn *conn, const struct api_error *error)
{
    object_check(conn, API_CONN_MAGIC);
    struct api_exchange *exchange = conn->waiting;
    const struct http_request *request = conn->speech->request(conn);
    conn->waiting = NULL;
    conn->parsing = true; /* an answer must not have others taken before this request is done with */
    if (error != NULL)
        api_exchange_fail(exchange, error);
    else if (request == NULL)
        api_exchange_refuse(exchange, API_ERROR_UNAVAILABLE, NULL); /* goes nowhere */
    else
        api_routes_dispatch(exchange, request);
    conn->parsing = false;
    conn->wait_covered = false;
    conn->speech->done(conn);
    conn->speech->resume(conn);
}

/* ---- what the peer speaks ---- */

/* With TLS, HTTP/2 is agreed on in the handshake. Without, it has no way to be offered, and is taken from peers that are set up for it. */
static bool may_speak_http2(const struct api_conn *conn)
{
    static const uint8_t MAPPED_LOOPBACK[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    static const uint8_t LOOPBACK[16] = {[15] = 1};
    uint8_t address[16];
    if (stream_is_secure(conn->stream))
        return stream_alpn(conn->stream) == TLS_ALPN_H2;
    switch (conn->role->config.http2_cleartext) {
    case API_CLEARTEXT_NEVER:
        return false;
    case API_CLEARTEXT_ANYWHERE:
        return true;
    case API_CLEARTEXT_LOOPBACK:
        break;
    }
    stream_peer_key(conn->stream, address);
    return memcmp(address, MAPPED_LOOPBACK, sizeof MAPPED_LOOPBACK) == 0 ||
           memcmp(address, LOOPBACK, sizeof LOOPBACK) == 0;
}

/* False while it could be either. The bytes that were part of HTTP/2's preface are heard by whichever it is. */
static bool tell_speech(struct api_conn *conn, struct bytes *data)
{
    const size_t seen = conn->preface;
    const size_t left = HTTP2_PREFACE_LEN - seen;
    const size_t len = data->len < left ? data->len : left;
    const bool alike = memcmp(data->ptr, &HTTP2_PREFACE[seen], len) == 0;
    if (alike && may_speak_http2(conn)) {
        conn->preface = (uint8_t)(seen + len);
        if (len < left)
            return false;
        conn->speech->free(conn);
        api_http2_open(conn);
        *data = bytes_of(data->ptr + len, data->len - len);
    }
    conn->knows_speech = true;
    if (conn->preface > 0)
        conn->speech->hear(conn, bytes_of(HTTP2_PREFACE, conn->preface));
    return true;
}

/* Count the connection for its peer's address, which is not known before a PROXY header that is awaited (NULL). */
static void refuse(struct api_conn *conn, const struct api_error *error)
{
    conn->last = true;
    api_exchange_fail(api_exchange_new(conn, NULL, 0), error); /* in HTTP/1.1, which all can read */
}

static void admit(struct api_conn *conn, const uint8_t *address)
{
    const bool admitted = address == NULL || admit_stranger(conn, address);
    if (admitted && conn->role->conns_count <= conn->role->config.max_connections)
        return;
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_BUSY, NULL, "too many connections %s are open",
                        admitted ? "of all clients" : "of this address that have not shown a valid key");
    refuse(conn, &error);
}

/* Whether it has come, and *data are what follows it. */
static bool take_proxy_header(struct api_conn *conn, struct bytes *data)
{
    uint8_t address[16];
    const int rc = api_proxy_take(conn, data, address);
    if (rc == PETREL_E_NEED_MORE)
        return false;
    conn->awaits_proxy = false;
    if (rc == 0) {
        admit(conn, address);
    } else {
        struct api_error error;
        (void)api_error_set(&error, API_ERROR_BAD_REQUEST, NULL,
                            "connections from this address begin with a PROXY header (api.proxy_from)");
        refuse(conn, &error);
    }
    return !conn->last;
}

/* False when it begins now: what it carries is heard later. */
static bool tell_tls(struct api_conn *conn, struct bytes data)
{
    const struct api_role *role = conn->role;
    const bool begins = protocol_of(data.ptr[0]) == PROTOCOL_TLS;
    conn->knows_tls = true;
    if (begins && role->tls != NULL && role->config.tls != API_TLS_OFF) {
        stream_secure(conn->stream, role->tls, data);
        return false;
    }
    if (role->config.tls == API_TLS_REQUIRED) {
        struct api_error error;
        (void)api_error_set(&error, API_ERROR_BAD_REQUEST, NULL, "this listener takes TLS only");
        refuse(conn, &error);
    }
    return true;
}

static void on_data(void *owner, struct bytes data)
{
    struct api_conn *conn = owner;
    object_check(conn, API_CONN_MAGIC);
    if (conn->closing || (conn->awaits_proxy && (conn->last || !take_proxy_header(conn, &data))))
        return;
    if (!conn->knows_tls && (data.len == 0 || !tell_tls(conn, data)))
        return;
    if (!conn->knows_speech && (conn->last || !tell_speech(conn, &data)))
        return;
    if (!conn->closing && data.len > 0)
        conn->speech->hear(conn, data);
}

static void on_drain(void *owner)
{
    struct api_conn *conn = owner;
    object_check(conn, API_CONN_MAGIC);
    conn->speech->resume(conn);
}

static void on_end(void *owner, int status)
{
    struct api_conn *conn = owner;
    object_check(conn, API_CONN_MAGIC);
    if (status != PETREL_E_EOF) {
        close_now(conn);
        return;
    }
    conn->ended = true;
    conn->speech->resume(conn);
}

/* Between two looks, a request's deadline apart, a peer that reads has taken something of what waits for it. */
static bool takes_nothing(struct api_conn *conn, uint64_t now_ms)
{
    const uint64_t queued = stream_queued(conn->stream);
    if (queued == 0 || now_ms - conn->looked_ms < conn->role->config.request_timeout_ms)
        return false;
    const uint64_t taken = conn->written - queued;
    const bool nothing = conn->looked_ms > 0 && taken == conn->taken_before;
    conn->taken_before = taken;
    conn->looked_ms = now_ms;
    return nothing;
}

/* Only HTTP/2 has a word for it. */
static void leave(struct api_conn *conn)
{
    if (conn->http2 != NULL)
        api_conn_finish(conn);
    else
        close_now(conn);
}

static void on_timer(struct timer *timer)
{
    struct api_conn *conn = container_of(timer, struct api_conn, timer);
    object_check(conn, API_CONN_MAGIC);
    const uint64_t now_ms = loop_now_ms(conn->role->loop);
    if (conn->retry_ms > 0) {
        conn->retry_ms = conn->retry_ms < CONGESTED_RETRY_MAX_MS ? 2 * conn->retry_ms : CONGESTED_RETRY_MAX_MS;
        conn->speech->resume(conn);
        if (conn->closing)
            return;
    }
    const uint64_t due = due_ms(conn);
    if (due > 0 && due <= now_ms)
        conn->speech->expire(conn);
    else if (takes_nothing(conn, now_ms))
        close_now(conn);
    else if (is_quiet(conn) && idle_deadline(conn) <= now_ms)
        leave(conn);
    else
        arm(conn);
}

/* ---- answers ---- */

void api_conn_answered(struct api_conn *conn, struct api_exchange *exchange)
{
    object_check(conn, API_CONN_MAGIC);
    if (conn->closing)
        return; /* on_closed() frees the exchange */
    conn->speech->answer(conn, exchange);
    if (conn->exchanges_count == 0)
        conn->idle_since_ms = loop_now_ms(conn->role->loop);
    conn->speech->resume(conn);
}

bool api_conn_wants(const struct api_exchange *exchange)
{
    const struct api_conn *conn = exchange->conn;
    return conn != NULL && (exchange->stream == 0 || http2_wants(conn->http2, exchange->stream));
}

void api_conn_finish(struct api_conn *conn)
{
    if (conn->closing)
        return;
    conn->speech->finish(conn);
    conn->last = true;
    conn->speech->resume(conn);
}

/* ---- beginning ---- */

static const struct stream_ops stream_ops = {
    .on_data = on_data,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* The kernel says who a process of this machine is: those that may do everything show nothing. It speaks no TLS. */
static void meet_operator(struct api_conn *conn)
{
    const struct api_operators *may = &conn->role->config.operators;
    struct api_operator *operator= & conn->operator;
    if (conn->role->config.kind != API_ADMIN || !stream_peer_user(conn->stream, &operator->uid))
        return;
    conn->knows_tls = true;
    operator->trusted = operator->uid == 0 || operator->uid ==
        may->uid ||(may->gid != LISTENER_NO_GROUP && stream_peer_in_group(conn->stream, may->gid));
}

void api_conn_accept(void *ctx, struct stream *stream)
{
    struct api_role *role = ctx;
    object_check(role, API_ROLE_MAGIC);
    if (role->closing || role->conns_count >= (size_t)role->config.max_connections + API_CONNECTIONS_SPARE) {
        stream_close(stream);
        return;
    }
    struct api_conn *conn = object_zalloc(sizeof *conn);
    conn->magic = API_CONN_MAGIC;
    conn->role = role;
    conn->stream = stream;
    api_http1_open(conn);
    conn->idle_since_ms = loop_now_ms(role->loop);
    list_init(&conn->exchanges);
    list_init(&conn->wait_node);
    list_push_back(&role->conns, &conn->node);
    role->conns_count++;
    metrics_add(role->shard, METRIC_HTTP_CONNECTIONS, 1);
    stream_attach(stream, &stream_ops, conn);
    uint8_t address[16];
    stream_peer_key(stream, address);
    conn->awaits_proxy = netaddr_set_has(&role->config.proxy_from, address);
    meet_operator(conn);
    admit(conn, conn->awaits_proxy ? NULL : address);
    if (conn->operator.trusted)
        api_conn_trusted(conn);
    if (!conn->last)
        arm(conn);
}
