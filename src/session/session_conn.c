#include "session/session_conn.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "session/session_ack.h"
#include "session/session_bind.h"
#include "session/session_flow.h"
#include "session/session_greet.h"
#include "session/session_http.h"
#include "session/session_topics.h"
#include "session/session_websocket.h"

#include <stdlib.h>

/* Sockets that are being refused or closed, beyond which a new one is closed without an answer. */
#define CLOSING_MAX 1024U

static const char *const state_names[] = {
    [CONN_ACCEPTED] = "accepted",
    [CONN_BINDING] = "binding",
    [CONN_LIVE] = "live",
    [CONN_CLOSING] = "closing",
};

/* moves[from] has a bit for each state that may follow. */
static const uint8_t moves[] = {
    [CONN_ACCEPTED] = 1 << CONN_BINDING | 1 << CONN_CLOSING,
    [CONN_BINDING] = 1 << CONN_LIVE | 1 << CONN_CLOSING,
    [CONN_LIVE] = 1 << CONN_CLOSING,
    [CONN_CLOSING] = 0,
};

static void count_sessions(struct session *session, enum conn_state from, enum conn_state to)
{
    struct session_role *role = session_role_of(session);
    bool was = from == CONN_BINDING || from == CONN_LIVE;
    bool is = to == CONN_BINDING || to == CONN_LIVE;
    role->sessions += (uint32_t)is - (uint32_t)was;
    if ((from == CONN_LIVE) == (to == CONN_LIVE))
        return;
    role->live += (uint32_t)(to == CONN_LIVE) - (uint32_t)(from == CONN_LIVE);
    metrics_add(role->metrics, METRIC_SESSIONS, to == CONN_LIVE ? 1 : -1);
    if ((session->flags & SESSION_TOLD) != 0)
        session_goaway_note_left(role);
}

void session_conn_move(struct session *session, enum conn_state to)
{
    enum conn_state from = (enum conn_state)session->state;
    petrel_assert((moves[from] & (1U << to)) != 0);
    log_at(LOG_DEBUG, "session", "move", LOG_NUM("slot", session_slot(session)),
           LOG_NUM("generation", session->generation), LOG_STR("from", state_names[from]),
           LOG_STR("to", state_names[to]));
    session->state = to & 7U;
    count_sessions(session, from, to);
}

void session_conn_write(struct session *session, struct bytes frames)
{
    if (session->speaks == SPEAKS_WEBSOCKET)
        session_websocket_begin_message(session, frames.len);
    stream_write_copy(session->stream, frames);
}

void session_conn_share(struct session *session, struct buf *frames, struct buf **in_message)
{
    if (session->speaks != SPEAKS_WEBSOCKET) {
        stream_write(session->stream, frames);
        return;
    }
    if (*in_message == NULL)
        *in_message = session_websocket_message(frames);
    stream_write(session->stream, *in_message);
}

/* ---- the end ---- */

static void count_end(struct session_role *role, uint32_t code)
{
    switch (code) {
    case SESSION_CODE_OVERLOADED:
        metrics_add(role->metrics, METRIC_OVERLOADED, 1);
        break;
    case SESSION_CODE_HEARTBEAT_TIMEOUT:
        metrics_add(role->metrics, METRIC_HEARTBEAT_TIMEOUTS, 1);
        break;
    case SESSION_CODE_REPLACED:
        metrics_add(role->metrics, METRIC_REPLACED, 1);
        break;
    case SESSION_CODE_PROTOCOL_ERROR:
    case SESSION_CODE_FRAME_TOO_LARGE:
    case SESSION_CODE_UNKNOWN_TYPE:
    case SESSION_CODE_UNSUPPORTED:
    case SESSION_CODE_VERSION:
    case SESSION_CODE_ACK_BEYOND:
    case SESSION_CODE_TOO_FAST:
        metrics_add(role->metrics, METRIC_PROTOCOL_ERRORS, 1);
        break;
    default:
        break;
    }
}

/* Whether the log may hold the session's route. While a bind is under way its answer brings the UNBIND: before it, there is
 * nothing to delete. A storm of refused or replaced sessions should not cost a call each. */
static bool maybe_routed(const struct session *session)
{
    if (session->state == CONN_LIVE)
        return true;
    return session->state == CONN_BINDING && (session->flags & SESSION_PAGING) == 0 && session->busy->door->maybe_bound;
}

/* code: of an ERROR that was written; 0: none was. */
static void end(struct session *session, bool flushed, bool unbind, uint32_t code)
{
    session_call_part(session, unbind && maybe_routed(session));
    session_topics_end(session);
    session_window_forget(session);
    session_conn_move(session, CONN_CLOSING);
    session_door_close(session);
    session_edge_free(session);
    session_admission_review(session_role_of(session));
    if (flushed && session->speaks == SPEAKS_WEBSOCKET)
        session_websocket_part(session, code);
    if (flushed)
        stream_close_flushed(session->stream, SESSION_FLUSH_MS);
    else
        stream_close(session->stream);
}

void session_conn_end(struct session *session, bool flushed)
{
    object_check(session, SESSION_MAGIC);
    if (session->state != CONN_CLOSING)
        end(session, flushed, true, 0);
}

static void write_error(struct session *session, uint32_t code, const char *text, uint32_t backoff_ms)
{
    if (session->speaks == SPEAKS_HTTP) {
        session_http_write_error(session, code, text, backoff_ms);
        return;
    }
    struct bytebuf frame = {0};
    session_encode_error(&frame, code, text, backoff_ms);
    session_conn_write(session, bytes_view(&frame));
    bytes_reset(&frame);
}

/* It is not closing. */
static void fail(struct session *session, uint32_t code, const char *text, uint32_t backoff_ms)
{
    log_at(LOG_DEBUG, "session", "closing", LOG_NUM("slot", session_slot(session)), LOG_NUM("code", code),
           LOG_STR("why", text));
    count_end(session_role_of(session), code);
    write_error(session, code, text, backoff_ms);
    bool route_gone = code == SESSION_CODE_REPLACED || code == SESSION_CODE_REVOKED;
    end(session, true, !route_gone, code);
}

void session_conn_put_off(struct session *session, const char *text, uint32_t wait_ms)
{
    object_check(session, SESSION_MAGIC);
    if (session->state != CONN_CLOSING)
        fail(session, SESSION_CODE_OVERLOADED, text, wait_ms);
}

void session_conn_fail(struct session *session, uint32_t code, const char *text)
{
    object_check(session, SESSION_MAGIC);
    if (session->state == CONN_CLOSING)
        return;
    /* It went where it was told to: that is no other installation's doing, which is what REPLACED says to a client. */
    if (code == SESSION_CODE_REPLACED && (session->flags & SESSION_TOLD) != 0) {
        end(session, true, false, 0);
        return;
    }
    fail(session, code, text != NULL ? text : session_code_text(code),
         session_admission_backoff_ms(session_role_of(session), code));
}

/* ---- frames ---- */

static void on_ping(struct session *session, uint64_t echo)
{
    struct session_role *role = session_role_of(session);
    /* A client that pings and never reads gets no more: what is queued for it stays bounded. */
    if (stream_queued(session->stream) > role->config.high_water_bytes)
        return;
    role->out.len = 0;
    session_encode_pong(&role->out, echo);
    /* A heartbeat comes alone; answers to what comes after another frame go out together. */
    if (session->speaks == SPEAKS_NATIVE && role->flood.frames == 1)
        stream_write_now(session->stream, bytes_view(&role->out));
    else
        session_conn_write(session, bytes_view(&role->out));
}

static void fail_decode(struct session *session, int rc)
{
    if (rc == PETREL_E_UNSUPPORTED)
        session_conn_fail(session, SESSION_CODE_UNSUPPORTED, NULL);
    else if (rc == PETREL_E_NOT_FOUND)
        session_conn_fail(session, SESSION_CODE_UNKNOWN_TYPE, NULL);
    else
        session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR, "the frame's body is not valid for its type");
}

static void on_decoded(struct session *session, const struct session_frame *frame)
{
    bool accepted = session->state == CONN_ACCEPTED;
    switch (frame->type) {
    case SESSION_CONNECT:
        if (accepted)
            session_bind_connect(session, &frame->connect);
        else
            session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR, "CONNECT came twice");
        return;
    case SESSION_PING:
        on_ping(session, frame->echo);
        return;
    case SESSION_ACK:
        if (session->state == CONN_LIVE)
            session_ack_read(session, frame->ack);
        else
            session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR, "ACK came before CONNECTED");
        return;
    case SESSION_SUBSCRIBE:
    case SESSION_UNSUBSCRIBE:
        if (session->state == CONN_LIVE)
            session_topics_asked(session, frame->type, frame->topic);
        else
            session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR, "a subscription came before CONNECTED");
        return;
    case SESSION_DISCONNECT:
        session_conn_end(session, true);
        return;
    default:
        session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR, "only a server sends frames of this type");
        return;
    }
}

/* A frame_fn: non-zero once the session is closing, so that nothing more of what arrived is looked at. */
static int on_frame(void *ctx, const struct frame *frame)
{
    struct session *session = ctx;
    struct session_frame decoded;
    if (!session_flood_frame(session))
        return PETREL_E_CLOSING;
    int rc = session_decode(session_role_of(session)->codec, frame, &decoded);
    if (rc != 0)
        fail_decode(session, rc);
    else
        on_decoded(session, &decoded);
    return session->state == CONN_CLOSING ? PETREL_E_CLOSING : 0;
}

uint32_t session_conn_max_body(const struct session *session)
{
    uint32_t max = session_role_of(session)->config.max_frame_bytes;
    return session->state == CONN_ACCEPTED && max > SESSION_CONNECT_BYTES_MAX ? SESSION_CONNECT_BYTES_MAX : max;
}

/* Keep the reader only while it holds part of a frame. */
static void keep_reader(struct session *session, struct frame_reader *reader)
{
    if (session->state != CONN_CLOSING && reader->partial.len > 0)
        session_busy(session)->reader = *reader;
    else
        frame_reader_reset(reader);
}

static struct frame_reader take_reader(struct session *session)
{
    struct frame_reader reader = {0};
    if (session->busy != NULL) {
        reader = session->busy->reader;
        session->busy->reader = (struct frame_reader){0};
    }
    return reader;
}

void session_conn_take_frames(struct session *session, struct bytes data)
{
    struct frame_reader reader = take_reader(session);
    int rc = frame_reader_feed(&reader, session_conn_max_body(session), data, on_frame, session);
    if (rc == PETREL_E_TOO_LARGE)
        session_conn_fail(session, SESSION_CODE_FRAME_TOO_LARGE, NULL);
    keep_reader(session, &reader);
}

void session_conn_read(struct session *session, struct bytes data)
{
    switch ((enum session_speaks)session->speaks) {
    case SPEAKS_NATIVE:
        session_conn_take_frames(session, data);
        return;
    case SPEAKS_WEBSOCKET:
        session_websocket_read(session, data);
        return;
    case SPEAKS_HTTP:
        session_http_read(session, data);
        return;
    case SPEAKS_PROXY:
    case SPEAKS_UNKNOWN:
        session_greet_read(session, data);
        return;
    }
}

/* ---- the stream ---- */

static void on_data(void *owner, struct bytes data)
{
    struct session *session = owner;
    object_check(session, SESSION_MAGIC);
    if (session->state == CONN_CLOSING || data.len == 0)
        return;
    if (!session_flood_read(session, data.len))
        return;
    session_conn_read(session, data);
    session_flood_end(session);
    session_busy_settle(session);
}

static void on_turn(void *owner)
{
    struct session *session = owner;
    object_check(session, SESSION_MAGIC);
    if (session->state == CONN_CLOSING)
        return;
    session_door_turn(session);
    session_admission_review(session_role_of(session));
}

static void on_full(void *owner)
{
    struct session *session = owner;
    object_check(session, SESSION_MAGIC);
    session_check_full(session);
}

static void on_drain(void *owner)
{
    struct session *session = owner;
    object_check(session, SESSION_MAGIC);
    if (session->state == CONN_LIVE && (session->flags & SESSION_BEHIND) != 0)
        session_flow_refill(session);
    if (session->state == CONN_LIVE)
        session_topics_drained(session);
}

static void on_end(void *owner, int status)
{
    struct session *session = owner;
    object_check(session, SESSION_MAGIC);
    log_at(LOG_DEBUG, "session", "connection ended", LOG_NUM("slot", session_slot(session)),
           LOG_STR("why", err_name(status)));
    if (session->state == CONN_CLOSING)
        stream_close(session->stream);
    else
        session_conn_end(session, false);
}

static void on_closed(void *owner)
{
    struct session *session = owner;
    object_check(session, SESSION_MAGIC);
    struct session_role *role = session_role_of(session);
    session_identity_unref(session->who);
    session_busy_free(session);
    session->magic = 0;
    session_table_give(session);
    role->connections--;
    metrics_add(role->metrics, METRIC_CONNECTIONS, -1);
    session_role_finish_if_idle(role);
}

static const struct stream_ops stream_ops = {
    .on_data = on_data,
    .on_full = on_full,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_turn = on_turn,
    .on_closed = on_closed,
};

/* address NULL: a PROXY header will say. */
static const char *reason_to_refuse(struct session_role *role, const uint8_t *address)
{
    if (role->sessions >= role->config.max_sessions)
        return "max_sessions are held";
    if (role->config.memory_short != NULL && atomic_load_explicit(role->config.memory_short, memory_order_relaxed))
        return "memory is above memory.high_water";
    if (!session_door_admits(role, address))
        return "too many connections without a CONNECT";
    return NULL;
}

void session_conn_accept(void *ctx, struct stream *stream)
{
    struct session_role *role = ctx;
    object_check(role, SESSION_ROLE_MAGIC);
    uint8_t key[16];
    stream_peer_key(stream, key);
    const bool proxied = netaddr_set_has(&role->config.proxy_from, key);
    const uint8_t *address = proxied ? NULL : key;
    const char *refusal = reason_to_refuse(role, address);
    if (refusal != NULL)
        session_door_note_refusal(role, refusal);
    if (role->connections >= role->sessions + role->gate.unauthenticated + CLOSING_MAX && refusal != NULL) {
        session_admission_take(role);
        metrics_add(role->metrics, METRIC_OVERLOADED, 1);
        stream_close(stream);
        return;
    }
    struct session *session = session_table_take(&role->table);
    session->magic = SESSION_MAGIC;
    session->state = CONN_ACCEPTED;
    session->speaks = proxied ? SPEAKS_PROXY : SPEAKS_UNKNOWN;
    session->stream = stream;
    session->heard_s = session_now_s(role);
    role->connections++;
    metrics_add(role->metrics, METRIC_CONNECTIONS, 1);
    if (refusal == NULL)
        session_door_open(session, address);
    session_admission_take(role);
    stream_attach(stream, &stream_ops, session);
    if (refusal != NULL)
        session_conn_fail(session, SESSION_CODE_OVERLOADED, NULL);
}
