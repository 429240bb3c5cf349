/* HTTP/2: requests side by side, answers as they come. */
#include "api/api_conn.h"
#include "api/api_exchange.h"

static size_t unsent(const struct api_conn *conn)
{
    return stream_queued(conn->stream) + http2_unsent(conn->http2);
}

/* Those of streams that were reset count until they are answered: taking requests back makes no room for more. */
static bool may_take(const struct api_conn *conn)
{
    return !conn->last && !conn->closing && conn->waiting == NULL &&
           conn->exchanges_count < conn->role->config.max_pipeline && unsent(conn) <= API_OUTPUT_MAX &&
           conn->kept <= conn->role->config.max_body_bytes;
}

static void done(struct api_conn *conn)
{
    http2_done(conn->http2);
}

static void on_refused(struct api_conn *conn, const struct http_refusal *refusal, uint32_t stream)
{
    struct api_error error;
    if (refusal->status == 503)
        (void)api_error_set(&error, API_ERROR_BUSY, NULL, "%s", refusal->message);
    else
        api_error_from_http(&error, refusal->status, refusal->message);
    api_exchange_fail(api_exchange_new(conn, NULL, stream), &error);
    done(conn);
}

static void take_requests(struct api_conn *conn)
{
    uint32_t stream;
    conn->parsing = true;
    while (may_take(conn) && (stream = http2_next(conn->http2)) != 0) {
        const struct http_refusal *refusal = http2_refusal(conn->http2);
        if (refusal != NULL)
            on_refused(conn, refusal, stream);
        else
            api_conn_dispatch(conn, http2_request(conn->http2), stream);
    }
    conn->parsing = false;
}

/* As much as the socket takes without a long queue; the rest stays where its stream can still be reset. */
static void write_out(struct api_conn *conn)
{
    struct bytebuf *out = &conn->role->response;
    for (size_t queued; (queued = stream_queued(conn->stream)) <= API_OUTPUT_MAX;) {
        out->len = 0;
        http2_output(conn->http2, out, API_OUTPUT_MAX + 1 - queued, loop_now_ms(conn->role->loop));
        if (out->len == 0)
            break;
        api_conn_write(conn, bytes_view(out));
    }
}

static void resume(struct api_conn *conn)
{
    if (conn->parsing || conn->closing)
        return;
    take_requests(conn);
    write_out(conn);
    api_conn_set_partial(conn, http2_held(conn->http2));
    api_conn_settle(conn);
}

static void hear(struct api_conn *conn, struct bytes data)
{
    http2_feed(conn->http2, data, loop_now_ms(conn->role->loop));
    api_conn_set_partial(conn, http2_held(conn->http2));
    if (api_conn_holds_too_much(conn))
        http2_shed(conn->http2, "too many large requests are under way");
    resume(conn);
}

static void answer(struct api_conn *conn, struct api_exchange *exchange)
{
    const struct http_response response = api_exchange_response(exchange, true);
    http2_answer(conn->http2, exchange->stream, &response, &exchange->body);
    api_exchange_free(exchange);
}

static const struct http_request *request_of(const struct api_conn *conn)
{
    return http2_request(conn->http2);
}

/* Only while the peer takes nothing: it may have to say that it takes more before an answer can go out. */
static bool must_wait(const struct api_conn *conn)
{
    return stream_queued(conn->stream) > API_OUTPUT_MAX;
}

static bool is_quiet(const struct api_conn *conn)
{
    return conn->exchanges_count == 0 && http2_streams(conn->http2) == 0;
}

static bool is_over(const struct api_conn *conn)
{
    if (stream_queued(conn->stream) > API_OUTPUT_MAX)
        return false; /* more may wait behind it */
    const bool done_with = conn->exchanges_count == 0 && http2_whole(conn->http2) == 0;
    return http2_over(conn->http2) || ((conn->last || conn->ended) && done_with);
}

static uint64_t due_ms(const struct api_conn *conn)
{
    return http2_due_ms(conn->http2, conn->role->config.request_timeout_ms);
}

static void expire(struct api_conn *conn)
{
    http2_expire(conn->http2, loop_now_ms(conn->role->loop), conn->role->config.request_timeout_ms);
    resume(conn);
}

static void excuse(struct api_conn *conn)
{
    http2_excuse(conn->http2, loop_now_ms(conn->role->loop));
}

static void finish(struct api_conn *conn)
{
    http2_finish(conn->http2);
}

static void free_session(struct api_conn *conn)
{
    http2_free(&conn->http2);
}

const struct api_speech api_http2_speech = {
    .hear = hear,
    .resume = resume,
    .answer = answer,
    .request = request_of,
    .done = done,
    .must_wait = must_wait,
    .is_quiet = is_quiet,
    .is_over = is_over,
    .due_ms = due_ms,
    .expire = expire,
    .excuse = excuse,
    .finish = finish,
    .free = free_session,
};

void api_http2_open(struct api_conn *conn)
{
    const struct api_config *config = &conn->role->config;
    const struct http2_limits limits = {.max_body = config->max_body_bytes, .max_streams = config->http2_streams};
    conn->speech = &api_http2_speech;
    conn->http2 = http2_new(&limits, loop_now_ms(conn->role->loop));
}
