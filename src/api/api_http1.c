/* HTTP/1.1: requests one after the other, answers in their order (pipelining). */
#include "api/api_conn.h"
#include "api/api_exchange.h"

static bool may_take(const struct api_conn *conn)
{
    return !conn->last && !conn->closing && !conn->http1.want_continue && conn->waiting == NULL &&
           conn->exchanges_count < conn->role->config.max_pipeline && stream_queued(conn->stream) <= API_OUTPUT_MAX &&
           conn->kept <= conn->role->config.max_body_bytes;
}

/* Answer in the connection's order, then close. */
static void refuse(struct api_conn *conn, const struct api_error *error)
{
    conn->last = true;
    conn->http1.began_ms = 0;
    api_conn_set_partial(conn, 0);
    api_exchange_fail(api_exchange_new(conn, NULL, 0), error);
}

static const struct http_request *request_of(const struct api_conn *conn)
{
    return http_reader_request(conn->http1.reader);
}

static void done(struct api_conn *conn)
{
    api_conn_set_partial(conn, 0);
    http_reader_next(conn->http1.reader);
}

static void on_request(struct api_conn *conn)
{
    const struct http_request *request = request_of(conn);
    conn->http1.began_ms = 0;
    if (!request->keep_alive)
        conn->last = true;
    api_conn_dispatch(conn, request, 0);
}

static void on_refused(struct api_conn *conn)
{
    const struct http_refusal *refusal = http_reader_refusal(conn->http1.reader);
    struct api_error error;
    api_error_from_http(&error, refusal->status, refusal->message);
    refuse(conn, &error);
}

static void on_more(struct api_conn *conn, size_t taken)
{
    if (!http_reader_busy(conn->http1.reader))
        return;
    api_conn_set_partial(conn, conn->partial + taken);
    if (conn->http1.began_ms == 0)
        conn->http1.began_ms = loop_now_ms(conn->role->loop);
    if (!api_conn_holds_too_much(conn))
        return;
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_BUSY, NULL, "too many large requests are under way");
    refuse(conn, &error);
}

static void say_continue(struct api_conn *conn)
{
    conn->http1.want_continue = conn->exchanges_count > 0; /* it must not overtake answers */
    if (!conn->http1.want_continue)
        api_conn_write(conn, bytes_str(HTTP_CONTINUE_TEXT));
}

/* Take requests from the front of *in as long as there is room for their answers. */
static void take_requests(struct api_conn *conn, struct bytes *in)
{
    conn->parsing = true;
    while (in->len > 0 && may_take(conn)) {
        const size_t before = in->len;
        switch (http_reader_feed(conn->http1.reader, in)) {
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

/* What has not been taken is kept until something makes room. */
static void take_rest(struct api_conn *conn)
{
    struct api_http1 *http1 = &conn->http1;
    if (http1->rest.len == 0 || !may_take(conn))
        return;
    struct bytes in = bytes_of(http1->rest.ptr + http1->rest_at, http1->rest.len - http1->rest_at);
    take_requests(conn, &in);
    http1->rest_at = http1->rest.len - in.len;
    if (in.len == 0 || conn->last) {
        bytes_reset(&http1->rest);
        http1->rest_at = 0;
    }
}

static void resume(struct api_conn *conn)
{
    struct api_http1 *http1 = &conn->http1;
    if (conn->parsing || conn->closing)
        return;
    if (http1->want_continue && conn->exchanges_count == 0)
        say_continue(conn);
    if (conn->ended)
        http1->began_ms = 0; /* a request that is partly read will never be whole */
    take_rest(conn);
    api_conn_settle(conn);
}

static void hear(struct api_conn *conn, struct bytes data)
{
    struct bytebuf *rest = &conn->http1.rest;
    if (conn->last)
        return;
    if (rest->len == 0)
        take_requests(conn, &data);
    if (data.len > 0 && !conn->last)
        bytes_append(rest, data.ptr, data.len); /* reading pauses: at most what one turn brought */
    resume(conn);
}

static void write_answer(struct api_conn *conn, const struct api_exchange *exchange)
{
    struct bytebuf *out = &conn->role->response;
    const bool is_last = conn->last && conn->exchanges_count == 1;
    const struct http_response response = api_exchange_response(exchange, !is_last);
    out->len = 0;
    http_response_write(&response, out);
    api_conn_write(conn, bytes_view(out));
}

static void answer(struct api_conn *conn, struct api_exchange *ignored)
{
    (void)ignored;
    while (!list_empty(&conn->exchanges)) {
        struct api_exchange *exchange = container_of(conn->exchanges.next, struct api_exchange, node);
        if (!exchange->answered)
            break;
        write_answer(conn, exchange);
        api_exchange_free(exchange);
    }
}

static bool must_wait(const struct api_conn *conn)
{
    return !may_take(conn);
}

static bool is_quiet(const struct api_conn *conn)
{
    return conn->http1.began_ms == 0 && conn->exchanges_count == 0 && conn->http1.rest.len == 0;
}

static bool is_over(const struct api_conn *conn)
{
    return conn->exchanges_count == 0 && (conn->last || (conn->ended && conn->http1.rest.len == 0));
}

static uint64_t due_ms(const struct api_conn *conn)
{
    return conn->http1.began_ms > 0 ? conn->http1.began_ms + conn->role->config.request_timeout_ms : 0;
}

static void expire(struct api_conn *conn)
{
    struct api_error error;
    (void)api_error_set(&error, API_ERROR_REQUEST_TIMEOUT, NULL, NULL);
    refuse(conn, &error);
    resume(conn);
}

static void excuse(struct api_conn *conn)
{
    if (conn->http1.began_ms > 0)
        conn->http1.began_ms = loop_now_ms(conn->role->loop);
}

static void finish(struct api_conn *conn)
{
    conn->http1.began_ms = 0;
}

static void free_reader(struct api_conn *conn)
{
    http_reader_free(&conn->http1.reader);
    bytes_reset(&conn->http1.rest);
}

const struct api_speech api_http1_speech = {
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
    .free = free_reader,
};

void api_http1_open(struct api_conn *conn)
{
    conn->speech = &api_http1_speech;
    conn->http1.reader = http_reader_new(conn->role->config.max_body_bytes);
}
