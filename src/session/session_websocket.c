#include "session/session_websocket.h"

#include "base/log.h"
#include "session/session_conn.h"
#include "wire/frame.h"

/* ---- writing ---- */

void session_websocket_begin_message(struct session *session, size_t len)
{
    uint8_t header[WEBSOCKET_SERVER_HEADER_MAX];
    stream_write_copy(session->stream, bytes_of(header, websocket_header(header, WEBSOCKET_BINARY, len)));
}

struct buf *session_websocket_message(const struct buf *frames)
{
    uint8_t header[WEBSOCKET_SERVER_HEADER_MAX];
    const size_t len = websocket_header(header, WEBSOCKET_BINARY, frames->len);
    struct buf *message = buf_new(len + frames->len);
    memcpy(message->data, header, len);
    memcpy(message->data + len, frames->data, frames->len);
    return message;
}

static void write_close(struct session *session, uint32_t code, const char *reason)
{
    struct bytebuf packet = {0};
    if (session->parted)
        return;
    session->parted = 1;
    websocket_put_close(&packet, code, reason);
    stream_write_copy(session->stream, bytes_view(&packet));
    bytes_reset(&packet);
}

void session_websocket_part(struct session *session, uint32_t code)
{
    if (code != 0)
        write_close(session, code, session_code_text(code));
    else if ((session->flags & SESSION_TOLD) != 0)
        write_close(session, WEBSOCKET_CODE_GOING_AWAY, "");
    else
        write_close(session, WEBSOCKET_CODE_NORMAL, "");
}

/* ---- reading ---- */

static void on_piece(struct session *session, const struct websocket_event *event)
{
    if (event->payload.len > 0)
        session_conn_take_frames(session, event->payload);
    const bool cut = session->busy != NULL && session->busy->reader.partial.len > 0;
    if (event->ends && cut)
        session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR, "a WebSocket message ends within a frame");
}

static void on_ping(struct session *session, struct bytes payload)
{
    struct session_role *role = session_role_of(session);
    /* As for PING: who pings and never reads gets no more. */
    if (stream_queued(session->stream) > role->config.high_water_bytes)
        return;
    role->out.len = 0;
    websocket_put(&role->out, WEBSOCKET_PONG, true, NULL, payload);
    stream_write_copy(session->stream, bytes_view(&role->out));
}

static void on_broken(struct session *session, const struct websocket_event *event)
{
    log_at(LOG_DEBUG, "session", "closing", LOG_NUM("slot", session_slot(session)), LOG_NUM("code", event->code),
           LOG_STR("why", event->reason));
    metrics_add(session_role_of(session)->metrics, METRIC_PROTOCOL_ERRORS, 1);
    write_close(session, event->code, event->reason);
    session_conn_end(session, true);
}

static bool brings_no_frame(const struct websocket_event *event)
{
    return event->kind == WEBSOCKET_EVENT_PING || event->kind == WEBSOCKET_EVENT_PONG ||
           (event->kind == WEBSOCKET_EVENT_PIECE && event->payload.len == 0);
}

static void on_event(struct session *session, const struct websocket_event *event)
{
    if (brings_no_frame(event) && !session_flood_frame(session))
        return;
    switch (event->kind) {
    case WEBSOCKET_EVENT_PIECE:
        on_piece(session, event);
        return;
    case WEBSOCKET_EVENT_PING:
        on_ping(session, event->payload);
        return;
    case WEBSOCKET_EVENT_CLOSE:
        write_close(session, event->code, "");
        session_conn_end(session, true);
        return;
    case WEBSOCKET_EVENT_BROKEN:
        on_broken(session, event);
        return;
    case WEBSOCKET_EVENT_PONG:
    case WEBSOCKET_EVENT_MORE:
        return;
    }
}

static void keep_reader(struct session *session, const struct websocket_reader *reader)
{
    if (session->state != CONN_CLOSING && !websocket_reader_idle(reader))
        session_edge(session)->websocket = *reader;
    else
        session_edge_free(session);
}

void session_websocket_read(struct session *session, struct bytes data)
{
    struct session_role *role = session_role_of(session);
    struct websocket_reader reader = {0};
    struct websocket_event event = {0};
    if (session->busy != NULL && session->busy->edge != NULL)
        reader = session->busy->edge->websocket;
    do {
        const uint64_t most = (uint64_t)FRAME_HEADER_BYTES + session_conn_max_body(session);
        websocket_read(&reader, WEBSOCKET_SERVER, most, &data, &role->unmasked, &event);
        on_event(session, &event);
    } while (session->state != CONN_CLOSING && event.kind != WEBSOCKET_EVENT_MORE);
    keep_reader(session, &reader);
}
