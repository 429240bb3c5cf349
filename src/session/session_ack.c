#include "session/session_ack.h"

#include "session/session_conn.h"
#include "session/session_impl.h"

uint64_t session_ack_due(const struct session *session)
{
    const struct session_busy *busy = session->busy;
    return busy == NULL || busy->acked >= busy->told ? session->at.seq : busy->acked;
}

void session_ack_note(struct session *session)
{
    if (session->busy != NULL && session_ack_due(session) > session->busy->logged)
        session_agenda_want(session, SESSION_WANT_ACK);
}

void session_ack_read(struct session *session, struct position at)
{
    metrics_add(session_role_of(session)->metrics, METRIC_ACKS, 1);
    if (session_later(at, session->at)) {
        if (at.epoch == session->at.epoch && (session->flags & SESSION_REWOUND) != 0)
            return;
        session_conn_fail(session, SESSION_CODE_ACK_BEYOND, NULL);
        return;
    }
    struct session_busy *busy = session->busy;
    if (busy == NULL || at.epoch < session->at.epoch || at.seq <= busy->acked)
        return;
    busy->acked = at.seq;
    session->proven = true;
    session_flood_forgive(session);
    session_ack_note(session);
}

static void on_acked(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_role *role = call->role;
    int status = link->reply.status;
    bool again = session_call_again(status);
    if (!again)
        session_agenda_succeeded(role);
    if (session != NULL) {
        session->flags &= (uint8_t)~SESSION_ACKING;
        struct position sent = link->in.ack.position;
        struct session_busy *busy = session_busy(session);
        if (!again && sent.epoch == session->at.epoch && sent.seq > busy->logged)
            busy->logged = sent.seq;
        /* A refusal for good: the device or its log is not what this session believes. */
        if (!again && status != 0)
            session_agenda_want(session, SESSION_WANT_CHECK);
        if (busy->acked > busy->logged)
            session_agenda_want(session, SESSION_WANT_ACK);
        session_busy_settle(session);
    }
    if (again)
        session_agenda_failed(role);
    session_call_give(call);
}

void session_ack_send(struct session *session)
{
    uint64_t seq = session_ack_due(session);
    if ((session->flags & SESSION_ACKING) != 0 || session->busy == NULL || seq <= session->busy->logged)
        return; /* on_acked looks again */
    struct session_call *call = session_call_take(session, true);
    call->link.in = (struct peer_msg){.type = PEER_ACK};
    call->link.in.ack = (struct peer_ack){
        .target = session_identity_target(call->who),
        .position = {session->at.epoch, seq},
    };
    session->flags |= SESSION_ACKING;
    if (session_call_ask(call, on_acked) == 0)
        return;
    session->flags &= (uint8_t)~SESSION_ACKING;
    session_agenda_want(session, SESSION_WANT_ACK);
    session_agenda_failed(session_role_of(session));
}
