#include "session/session_http.h"

#include "discovery/lookup.h"
#include "session/session_conn.h"
#include "wire/websocket_upgrade.h"

/* A request here has no body and few headers: who sends more than this is no client of ours. */
#define HEAD_MAX 8192U
#define LOOKUP_TTL_S 300U
#define JSON "application/json"

#define UPGRADE_MORE "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

/* The stable names of statuses, as the send API has them. */
static const char *status_name(unsigned status)
{
    static const struct {
        unsigned status;
        const char *name;
    } names[] = {
        {403, "FORBIDDEN"},       {404, "NOT_FOUND"},         {405, "METHOD_NOT_ALLOWED"}, {408, "REQUEST_TIMEOUT"},
        {413, "TOO_LARGE"},       {414, "URI_TOO_LONG"},      {417, "EXPECTATION_FAILED"}, {426, "UPGRADE_REQUIRED"},
        {501, "NOT_IMPLEMENTED"}, {431, "HEADERS_TOO_LARGE"}, {503, "UNAVAILABLE"},        {505, "HTTP_VERSION"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].status == status)
            return names[i].name;
    }
    return "BAD_REQUEST";
}

static void write_response(struct session *session, struct http_response *response)
{
    struct bytebuf *out = &session_role_of(session)->out;
    out->len = 0;
    http_response_write(response, out);
    stream_write_copy(session->stream, bytes_view(out));
}

/* message is one of the program's own texts: nothing in it needs escaping. */
static void write_error(struct session *session, struct http_response *response, const char *message)
{
    struct bytebuf body = {0};
    bytes_printf(&body, "{\"error\":{\"code\":%u,\"status\":\"%s\",\"message\":\"%s\"}}", response->status,
                 status_name(response->status), message);
    response->content_type = JSON;
    response->body = bytes_view(&body);
    write_response(session, response);
    bytes_reset(&body);
}

static void refuse(struct session *session, unsigned status, const char *message)
{
    struct http_response response = {.status = status, .more = status == 426 ? UPGRADE_MORE : NULL};
    write_error(session, &response, message);
    session_conn_end(session, true);
}

static unsigned status_of(uint32_t code)
{
    if (code == SESSION_CODE_CONNECT_TIMEOUT)
        return 408;
    return session_code_retry(code) ? 503 : 400;
}

void session_http_write_error(struct session *session, uint32_t code, const char *text, uint32_t backoff_ms)
{
    struct http_response response = {.status = status_of(code)};
    if (response.status == 503)
        response.retry_after_s = (backoff_ms + 999) / 1000;
    write_error(session, &response, text);
}

/* ---- lookup ---- */

/* Loops that answer lookups as this one does: each gives out its part of a server's slots. */
static uint32_t pacers(const struct discovery_view *view)
{
    uint32_t count = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct discovery_node *node = &view->nodes[i];
        if ((node->roles & DISCOVERY_SESSION) != 0)
            count += node->loops > 0 ? (uint32_t)node->loops : 1;
    }
    return count > 0 ? count : 1;
}

/* Of pages that may connect, as far as it can be told before the CONNECT names an app, which may have a list of its own. */
static const char *origins_for(const struct session_role *role, const struct http_request *request)
{
    const struct bytes origin = http_request_header(request, "Origin");
    const bool of_an_app = origin.ptr != NULL && session_auth_serves_origin(role->keyring, origin);
    return of_an_app ? "*" : role->config.origins;
}

/* A page of another host may read the answer where it may connect. */
static void allow_origin(const struct session_role *role, const struct http_request *request, struct bytebuf *out)
{
    const struct bytes origin = http_request_header(request, "Origin");
    bytes_append_str(out, "Cache-Control: no-store\r\nVary: Origin\r\n");
    if (origin.ptr != NULL && websocket_upgrade_origin_may(request, origins_for(role, request)))
        bytes_printf(out, "Access-Control-Allow-Origin: %.*s\r\n", (int)origin.len, (const char *)origin.ptr);
    bytes_append(out, "", 1);
}

static void answer_lookup(struct session *session, const struct http_request *request)
{
    struct session_role *role = session_role_of(session);
    struct lookup_server servers[LOOKUP_MAX];
    const struct discovery_view *view = role->goaway.view;
    const size_t count = view != NULL ? lookup_rank(view, 0, loop_rng(role->loop), servers) : 0;
    struct bytebuf more = {0}, body = {0};
    allow_origin(role, request, &more);
    struct http_response response = {.status = 200, .content_type = JSON, .more = (const char *)more.ptr};
    if (count > 0) {
        const uint32_t wait_ms = lookup_pacer_take(role->pacer, servers[0].node, pacers(view), loop_now_ms(role->loop));
        lookup_answer_put(&body, servers, count, wait_ms, role->config.backoff_ms, LOOKUP_TTL_S);
        response.body = bytes_view(&body);
        write_response(session, &response);
    } else {
        response.status = 503;
        response.retry_after_s = 2;
        write_error(session, &response, "no session server has room");
    }
    bytes_reset(&more);
    bytes_reset(&body);
    session_conn_end(session, true);
}

/* ---- WebSocket ---- */

/* rest: what came behind the request. */
static void upgrade(struct session *session, const struct http_request *request, struct bytes rest)
{
    struct session_role *role = session_role_of(session);
    const char *why;
    if (!websocket_upgrade_asked(request)) {
        refuse(session, 426, "this path serves WebSockets: Connection: Upgrade, Upgrade: websocket");
        return;
    }
    const unsigned status = websocket_upgrade_check(request, origins_for(role, request), &why);
    if (status != 0) {
        refuse(session, status, why);
        return;
    }
    role->out.len = 0;
    websocket_upgrade_answer(request, &role->out);
    stream_write_copy(session->stream, bytes_view(&role->out));
    const struct bytes origin = http_request_header(request, "Origin");
    if (origin.ptr != NULL)
        session_busy(session)->origin = object_strndup((const char *)origin.ptr, origin.len);
    session_edge_free(session);
    session->speaks = SPEAKS_WEBSOCKET;
    metrics_add(role->metrics, METRIC_WEBSOCKETS, 1);
    if (rest.len > 0)
        session_conn_read(session, rest);
}

/* ---- requests ---- */

static void serve(struct session *session, const struct http_request *request, struct bytes rest)
{
    const bool is_session = bytes_equal_str(request->path, "/v1/session");
    if (!is_session && !bytes_equal_str(request->path, "/v1/lookup")) {
        refuse(session, 404, "this port serves /v1/session and /v1/lookup");
    } else if (request->method != HTTP_METHOD_GET) {
        struct http_response response = {
            .status = 405, .allow = "GET", .head_only = request->method == HTTP_METHOD_HEAD};
        write_error(session, &response, "this port serves GET only");
        session_conn_end(session, true);
    } else if (is_session) {
        upgrade(session, request, rest);
    } else {
        answer_lookup(session, request);
    }
}

void session_http_read(struct session *session, struct bytes data)
{
    struct session_edge *edge = session_edge(session);
    if (edge->http == NULL)
        edge->http = http_reader_new(0);
    const size_t offered = data.len;
    const enum http_reader_event event = http_reader_feed(edge->http, &data);
    edge->http_taken += offered - data.len;
    if (event == HTTP_READER_REFUSED) {
        const struct http_refusal *refusal = http_reader_refusal(edge->http);
        refuse(session, refusal->status, refusal->message);
    } else if (edge->http_taken > HEAD_MAX) {
        refuse(session, 431, "the head is larger than is accepted");
    } else if (event == HTTP_READER_WANT_CONTINUE) {
        refuse(session, 417, "a request here has no body");
    } else if (event == HTTP_READER_REQUEST) {
        serve(session, http_reader_request(edge->http), data);
    }
}
