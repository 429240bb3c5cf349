#include "api/api_auth.h"
#include "api/api_exchange.h"
#include "api/api_proxy.h"
#include "api/api_refresh.h"
#include "api/api_routes.h"
#include "base/err.h"

#include <stdlib.h>

#define CONGESTED_RETRY_MS 8U
#define CONGESTED_RETRY_MAX_MS 1000U

/* ---- what is held, and strangers ---- */

static void set_partial(struct api_conn *conn, size_t bytes)
{
    conn->role->held += bytes - conn->partial; /* may wrap on the way; the sum never does */
    conn->partial = bytes;
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
    return bytes_of(stranger->address, sizeof stranger->address);
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
    struct map_node *node = map_find(&role->strangers, bytes_of(address, 16));
    struct api_stranger *stranger = node != NULL ? container_of(node, struct api_stranger, node) : NULL;
    if (stranger == NULL) {
        stranger = object_zalloc(sizeof *stranger);
        memcpy(stranger->address, address, sizeof stranger->address);
        map_insert(&role->strangers, &stranger->node);
    }
    conn->stranger = stranger;
    return ++stranger->count <= role->config.max_strangers_per_address;
}

/* ---- the deadline ---- */

static void on_timer(struct timer *timer);

/* Whether the peer is the one who is late: a request is partly read, and reading goes on. */
static bool has_deadline(const struct api_conn *conn)
{
    return conn->request_began_ms > 0 && !conn->paused;
}

static uint64_t request_deadline(const struct api_conn *conn)
{
    return conn->request_began_ms + conn->role->config.request_timeout_ms;
}

static bool is_quiet(const struct api_conn *conn)
{
    return conn->request_began_ms == 0 && conn->exchanges_count == 0 && conn->rest.len == 0 &&
           stream_queued(conn->stream) == 0;
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
    uint64_t due_ms = now_ms + conn->role->config.request_timeout_ms;
    if (has_deadline(conn))
        due_ms = request_deadline(conn);
    else if (is_quiet(conn))
        due_ms = idle_deadline(conn);
    if (conn->retry_ms > 0 && due_ms > now_ms + conn->retry_ms)
        due_ms = now_ms + conn->retry_ms;
    /* Most requests come and go between two looks of a timer that runs anyway: it is moved only to look sooner. */
    if (!timer_running(&conn->timer) || conn->timer.due_ms > due_ms)
        timer_start(conn->role->loop, &conn->timer, due_ms > now_ms ? due_ms - now_ms : 0, on_timer);
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
    set_partial(conn, 0);
    api_conn_trusted(conn);
    http_reader_free(&conn->reader);
    bytes_reset(&conn->proxy);
    bytes_reset(&conn->rest);
    explicit_bzero(&conn->auth, sizeof conn->auth);
    list_remove(&conn->node);
    role->conns_count--;
    metrics_add(role->shard, METRIC_HTTP_CONNECTIONS, -1);
    conn->magic = 0;
    free(conn);
    api_role_settle(role);
}

/* ---- requests ---- */

static bool may_take(const struct api_conn *conn)
{
    return !conn->last && !conn->closing && !conn->want_continue && conn->waiting == NULL &&
           conn->exchanges_count < conn->role->config.max_pipeline && stream_queued(conn->stream) <= API_OUTPUT_MAX &&
           conn->kept <= conn->role->config.max_body_bytes;
}

/* Answer in the connection's order, then close. */
static void refuse(struct api_conn *conn, const struct api_error *error)
{
    conn->last = true;
    conn->request_began_ms = 0;
    set_partial(conn, 0);
    struct api_exchange *exchange = api_exchange_new(conn, NULL);
    api_exchange_fail(exchange, error);
}

/* What it is made of is needed no more. */
static void end_request(struct api_conn *conn)
{
    conn->wait_covered = false;
    set_partial(conn, 0);
    http_reader_next(conn->reader);
}

static void on_request(struct api_conn *conn)
{
    const struct http_request *request = http_reader_request(conn->reader);
    conn->served = true;
    conn->request_began_ms = 0;
    if (!request->keep_alive)
        conn->last = true;
    api_routes_dispatch(api_exchange_new(conn, request), request);
    if (conn->waiting == NULL)
        end_request(conn);
}

static void on_refused(struct api_conn *conn)
{
    const struct http_refusal *refusal = http_reader_refusal(conn->reader);
    struct api_error error;
    api_error_from_http(&error, refusal->status, refusal->message);
    refuse(conn, &error);
}

static void on_more(struct api_conn *conn, size_t taken)
{
    if (!http_reader_busy(conn->reader))
        return;
    set_partial(conn, conn->partial + taken);
    if (conn->request_began_ms == 0)
        conn->request_began_ms = loop_now_ms(conn->role->loop);
    if (conn->role->held <= conn->role->config.max_held_bytes)
        return;
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_BUSY, NULL, "too many large requests are under way");
    refuse(conn, &error);
}

static void write_out(struct api_conn *conn, struct bytes data)
{
    stream_write_copy(conn->stream, data);
    conn->written += data.len;
}

static void say_continue(struct api_conn *conn)
{
    conn->want_continue = conn->exchanges_count > 0; /* it must not overtake answers */
    if (!conn->want_continue)
        write_out(conn, bytes_str(HTTP_CONTINUE_TEXT));
}

/* Take requests from the front of *in as long as there is room for their answers. */
static void take_requests(struct api_conn *conn, struct bytes *in)
{
    conn->parsing = true;
    while (in->len > 0 && may_take(conn)) {
        const size_t before = in->len;
        switch (http_reader_feed(conn->reader, in)) {
        case HTTP_READER_MORE:
            on_more(conn, before - in->len);
            break;
        case HTTP_READER_REQUEST:
            on_request(conn);
            break;
        case HTTP_READER_REFUSED:
            on_refused(conn);
            break;
        case HTTP_READER_WANT_CONTINUE:
            on_more(conn, before - in->len);
            say_continue(conn);
            break;
        }
    }
    conn->parsing = false;
}

/* Read on, or not, as may_take() says now. */
static void settle_reading(struct api_conn *conn)
{
    if (conn->closing)
        return;
    const bool wait = !may_take(conn);
    if (wait != conn->paused && !conn->ended) {
        conn->paused = wait;
        if (wait)
            stream_pause(conn->stream);
        else
            stream_resume(conn->stream);
    }
    /* on_drain tells of a socket that was full; what went out at once at the turn's end nobody tells. */
    if (stream_queued(conn->stream) <= API_OUTPUT_MAX)
        conn->retry_ms = 0;
    else if (conn->retry_ms == 0)
        conn->retry_ms = CONGESTED_RETRY_MS;
    arm(conn);
}

/* Where the peer has no more requests, and all answers are on their way, the connection ends. */
static bool close_when_done(struct api_conn *conn)
{
    if (conn->exchanges_count > 0 || (!conn->last && !(conn->ended && conn->rest.len == 0)))
        return false;
    close_flushed(conn);
    return true;
}

/* Something made room: take the requests that wait. */
static void resume(struct api_conn *conn)
{
    if (conn->parsing || conn->closing)
        return;
    if (conn->want_continue && conn->exchanges_count == 0)
        say_continue(conn);
    if (conn->paused && conn->request_began_ms > 0 && may_take(conn))
        conn->request_began_ms = loop_now_ms(conn->role->loop); /* it was we who kept it waiting */
    if (conn->rest.len > 0 && may_take(conn)) {
        struct bytes in = bytes_of(conn->rest.ptr + conn->rest_at, conn->rest.len - conn->rest_at);
        take_requests(conn, &in);
        conn->rest_at = conn->rest.len - in.len;
        if (in.len == 0 || conn->last) {
            bytes_reset(&conn->rest);
            conn->rest_at = 0;
        }
    }
    if (!conn->closing && !close_when_done(conn))
        settle_reading(conn);
}

void api_conn_go_on(struct api_conn *conn, const struct api_error *error)
{
    object_check(conn, API_CONN_MAGIC);
    struct api_exchange *exchange = conn->waiting;
    conn->waiting = NULL;
    conn->parsing = true; /* an answer must not have the reader fed before it is done with this request */
    if (error != NULL)
        api_exchange_fail(exchange, error);
    else
        api_routes_dispatch(exchange, http_reader_request(conn->reader));
    conn->parsing = false;
    end_request(conn);
    resume(conn);
}

/* Count the connection for its peer's address, which is not known before a PROXY header that is awaited (NULL). */
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

static void on_data(void *owner, struct bytes data)
{
    struct api_conn *conn = owner;
    object_check(conn, API_CONN_MAGIC);
    if (conn->last || conn->closing || (conn->awaits_proxy && !take_proxy_header(conn, &data)))
        return;
    if (conn->rest.len == 0)
        take_requests(conn, &data);
    if (data.len > 0 && !conn->last)
        bytes_append(&conn->rest, data.ptr, data.len); /* reading pauses: at most what one turn brought */
    resume(conn);
}

static void on_drain(void *owner)
{
    struct api_conn *conn = owner;
    object_check(conn, API_CONN_MAGIC);
    resume(conn);
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
    conn->request_began_ms = 0; /* a request that is partly read will never be whole */
    resume(conn);
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

static void on_timer(struct timer *timer)
{
    struct api_conn *conn = container_of(timer, struct api_conn, timer);
    object_check(conn, API_CONN_MAGIC);
    const uint64_t now_ms = loop_now_ms(conn->role->loop);
    if (conn->retry_ms > 0) {
        conn->retry_ms = conn->retry_ms < CONGESTED_RETRY_MAX_MS ? 2 * conn->retry_ms : CONGESTED_RETRY_MAX_MS;
        resume(conn);
        if (conn->closing)
            return;
    }
    if (has_deadline(conn) && request_deadline(conn) <= now_ms) {
        struct api_error error;
        (void)api_error_set(&error, API_ERROR_REQUEST_TIMEOUT, NULL, NULL);
        refuse(conn, &error);
        resume(conn);
    } else if ((is_quiet(conn) && idle_deadline(conn) <= now_ms) || takes_nothing(conn, now_ms)) {
        close_now(conn);
    } else {
        arm(conn);
    }
}

/* ---- answers ---- */

static void write_answer(struct api_conn *conn, struct api_exchange *exchange)
{
    struct bytebuf *out = &conn->role->response;
    const bool is_last = conn->last && conn->exchanges_count == 1;
    const struct http_response response = {
        .status = exchange->status,
        .content_type = exchange->content_type,
        .body = bytes_view(&exchange->body),
        .retry_after_s = exchange->retry_after_s,
        .allow = exchange->allow[0] != '\0' ? exchange->allow : NULL,
        .keep_alive = !is_last,
        .head_only = exchange->head_only,
    };
    out->len = 0;
    http_response_write(&response, out);
    write_out(conn, bytes_view(out));
}

void api_conn_answered(struct api_conn *conn)
{
    object_check(conn, API_CONN_MAGIC);
    if (conn->closing)
        return; /* on_closed() frees the exchange */
    while (!list_empty(&conn->exchanges)) {
        struct api_exchange *exchange = container_of(conn->exchanges.next, struct api_exchange, node);
        if (!exchange->answered)
            break;
        write_answer(conn, exchange);
        api_exchange_free(exchange);
    }
    if (conn->exchanges_count == 0)
        conn->idle_since_ms = loop_now_ms(conn->role->loop);
    resume(conn);
}

void api_conn_finish(struct api_conn *conn)
{
    if (conn->closing)
        return;
    conn->last = true;
    conn->request_began_ms = 0;
    resume(conn);
}

/* ---- beginning ---- */

static const struct stream_ops stream_ops = {
    .on_data = on_data,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_closed = on_closed,
};

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
    conn->reader = http_reader_new(role->config.max_body_bytes);
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
    admit(conn, conn->awaits_proxy ? NULL : address);
    if (!conn->last)
        arm(conn);
}
