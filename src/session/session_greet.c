#include "session/session_greet.h"

#include "base/err.h"
#include "session/session_conn.h"
#include "wire/protocol.h"
#include "wire/proxy.h"

/* Its address has as many connects a second as it may. In TLS nothing can be said before the handshake, which is what costs. */
static void put_off(struct session *session, enum protocol protocol, uint32_t wait_ms)
{
    const struct session_role *role = session_role_of(session);
    if (protocol == PROTOCOL_TLS) {
        metrics_add(role->metrics, METRIC_OVERLOADED, 1);
        session_conn_end(session, false);
        return;
    }
    session->speaks = protocol == PROTOCOL_HTTP ? SPEAKS_HTTP : SPEAKS_NATIVE;
    session_conn_put_off(session, "this address has as many connects a second as it may; reconnect after the backoff",
                         wait_ms > role->config.backoff_ms ? wait_ms : role->config.backoff_ms);
}

/* The one place where protocols part. */
static void by_first_byte(struct session *session, struct bytes data)
{
    const struct session_role *role = session_role_of(session);
    const bool secure = stream_is_secure(session->stream);
    const enum protocol protocol = protocol_of(data.ptr[0]);
    const uint32_t wait_ms = session->busy->door->wait_ms;
    if (wait_ms != 0) {
        put_off(session, protocol, wait_ms);
        return;
    }
    switch (protocol) {
    case PROTOCOL_NATIVE:
    case PROTOCOL_HTTP:
        session->speaks = protocol == PROTOCOL_NATIVE ? SPEAKS_NATIVE : SPEAKS_HTTP;
        if (role->tls_required && !secure)
            session_conn_fail(session, SESSION_CODE_UNSUPPORTED, "this server takes TLS only");
        else
            session_conn_read(session, data);
        return;
    case PROTOCOL_TLS:
        if (role->tls == NULL || secure)
            break;
        stream_secure(session->stream, role->tls,
                      data); /* what TLS carries begins anew, with a first byte of its own */
        return;
    case PROTOCOL_NONE:
        break;
    }
    session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR,
                      "a connection begins with a CONNECT frame, type 1, or with an HTTP request");
}

/* Whether it is whole; *data is then what follows it. */
static bool take_header(struct session *session, struct bytes *data)
{
    struct session_edge *edge = session_edge(session);
    struct proxy_header header;
    /* A header that comes in one piece, as nearly all do, is read where it is. */
    const bool pieces = edge->proxy.len > 0;
    const size_t before = edge->proxy.len;
    struct bytes in = *data;
    if (pieces) {
        const size_t room = PROXY_HEADER_MAX - before;
        bytes_append(&edge->proxy, data->ptr, data->len < room ? data->len : room);
        in = bytes_view(&edge->proxy);
    }
    const size_t offered = in.len;
    const int rc = proxy_take(&in, &header);
    if (rc == PETREL_E_NEED_MORE && offered < PROXY_HEADER_MAX) {
        if (!pieces)
            bytes_append(&edge->proxy, data->ptr, data->len);
        return false;
    }
    if (rc != 0) {
        session_conn_fail(session, SESSION_CODE_PROTOCOL_ERROR,
                          "connections from this address begin with a PROXY header (session.proxy_from)");
        return false;
    }
    const size_t taken = offered - in.len - before;
    *data = bytes_of(data->ptr + taken, data->len - taken);
    session_edge_free(session);
    if (session_door_name(session, &header))
        return true;
    session_door_note_refusal(session_role_of(session), "too many connections without a CONNECT");
    session_conn_fail(session, SESSION_CODE_OVERLOADED, NULL);
    return false;
}

void session_greet_read(struct session *session, struct bytes data)
{
    if (session->speaks == SPEAKS_PROXY) {
        if (!take_header(session, &data))
            return;
        session->speaks = SPEAKS_UNKNOWN;
    }
    if (data.len > 0)
        by_first_byte(session, data);
}
