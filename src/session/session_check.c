#include "session/session_check.h"

#include "base/log.h"
#include "base/object.h"
#include "session/session_bind.h"
#include "session/session_conn.h"
#include "session/session_flow.h"
#include "session/session_topics.h"

#define SWEEP_MS 500U
#define SWEEP_SLICES 16U
#define SLICE_MIN 1024U
/* So many sessions, side by side, check together: a check alone costs twice what it costs among others. */
#define TOGETHER 256U
#define STALL_MS 1000U
#define LOG_EVERY_MS 10000U
/* A heartbeat may be late by half its interval, and by this. */
#define HEARTBEAT_GRACE_S 5U

/* ---- checks ---- */

static void on_verdict(struct session *session, enum peer_verdict verdict)
{
    if (verdict != PEER_SAME)
        metrics_add(session_role_of(session)->metrics, METRIC_CHECKS_FAILED, 1);
    switch (verdict) {
    case PEER_SAME:
        return;
    case PEER_BEHIND:
        /* A page that is under way may have been read before what this check saw. */
        if ((session->flags & SESSION_PAGING) != 0)
            session_agenda_want(session, SESSION_WANT_CHECK);
        else
            session_flow_fall_behind(session);
        return;
    case PEER_UNROUTED:
        session_bind_again(session);
        return;
    case PEER_REPLACED:
        session_conn_fail(session, SESSION_CODE_REPLACED, NULL);
        return;
    }
}

static void on_checked(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_role *role = call->role;
    bool again = session_call_again(link->reply.status);
    if (!again)
        session_agenda_succeeded(role);
    if (session != NULL) {
        session->flags &= (uint8_t)~SESSION_CHECKING;
        if (again)
            session_agenda_want(session, SESSION_WANT_CHECK);
        else if (link->reply.status == 0)
            on_verdict(session, link->reply.checked);
        else
            /* The log has no such user or device any more: binding again says what became of it. */
            on_verdict(session, PEER_UNROUTED);
        session_busy_settle(session);
    }
    if (again)
        session_agenda_failed(role);
    session_call_give(call);
}

void session_check_ask(struct session *session)
{
    if ((session->flags & (SESSION_CHECKING | SESSION_PAGING)) != 0) {
        session_agenda_want(session, SESSION_WANT_CHECK);
        return;
    }
    struct session_call *call = session_call_take(session, true);
    call->link.in = (struct peer_msg){.type = PEER_CHECK};
    call->link.in.check = (struct peer_check){
        .target = session_identity_target(call->who),
        .position = session->at,
        .route = session_route(session),
        .attempt = call->who->attempt,
    };
    session->flags |= SESSION_CHECKING;
    metrics_add(session_role_of(session)->metrics, METRIC_CHECKS, 1);
    if (session_call_ask(call, on_checked) == 0)
        return;
    session->flags &= (uint8_t)~SESSION_CHECKING;
    session_agenda_want(session, SESSION_WANT_CHECK);
    session_agenda_failed(session_role_of(session));
}

/* ---- the sweep ---- */

static bool silent(const struct session *session, uint32_t now_s)
{
    uint32_t patience_s = session->heartbeat_s + session->heartbeat_s / 2U + HEARTBEAT_GRACE_S;
    return now_s - session->heard_s > patience_s;
}

static bool expired(const struct session *session)
{
    uint64_t now_s = loop_wall_ms(session_role_of(session)->loop) / 1000;
    return now_s > session->who->expires_s + TOKEN_LEEWAY_S;
}

/* Whether the socket has taken nothing for too long, though there was something to take. */
static bool stuck(const struct session *session)
{
    return stream_stalled_ms(session->stream) > session_role_of(session)->config.slow_timeout_ms;
}

/* Intervals that are over at that time. They begin at another second for each group of sessions that check together. */
static uint32_t intervals_at(const struct session *session, uint32_t at_s)
{
    const uint32_t interval_s = session_role_of(session)->config.check_interval_s;
    const uint32_t phase_s = (session_slot(session) / TOGETHER * 2654435761U) % interval_s;
    return (uint32_t)(((uint64_t)at_s + interval_s - phase_s) / interval_s);
}

static bool check_due(struct session *session, uint32_t now_s)
{
    const struct session_role *role = session_role_of(session);
    uint16_t losses = (uint16_t)role->sweep.losses;
    bool lost = session->losses != losses;
    if (!lost && intervals_at(session, now_s) == intervals_at(session, session->checked_s))
        return false;
    if (lost)
        session_topics_refresh(session);
    session->losses = losses;
    session->checked_s = now_s;
    return true;
}

static bool app_gone(const struct session *session)
{
    const struct session_role *role = session_role_of(session);
    return role->sweep.app_visits > 0 && !session_auth_knows(role->keyring, session_identity_target(session->who).app);
}

static void visit(struct session *session, uint32_t now_s)
{
    if (silent(session, now_s))
        session_conn_fail(session, SESSION_CODE_HEARTBEAT_TIMEOUT, NULL);
    else if (expired(session))
        session_conn_fail(session, SESSION_CODE_TOKEN_EXPIRED, NULL);
    else if (app_gone(session))
        session_conn_fail(session, SESSION_CODE_UNKNOWN_APP, NULL);
    else if (stuck(session))
        session_conn_fail(session, SESSION_CODE_SLOW, NULL);
    else if (check_due(session, now_s))
        session_agenda_soon(session, SESSION_WANT_CHECK);
}

static void notice_stall(struct session_role *role)
{
    uint64_t longest_ms = loop_take_longest_turn_ms(role->loop);
    if (longest_ms <= STALL_MS)
        return;
    metrics_add(role->metrics, METRIC_LOOP_STALLS, 1);
    session_check_all(role, "the loop stalled");
}

static void on_sweep(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, sweep.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    notice_stall(role);
    struct session_sweep *sweep = &role->sweep;
    uint32_t now_s = session_now_s(role);
    uint32_t table_end = session_table_end(&role->table);
    uint32_t slice = table_end / SWEEP_SLICES + 1;
    slice = slice > SLICE_MIN ? slice : SLICE_MIN;
    uint32_t end = sweep->slot + slice < table_end ? sweep->slot + slice : table_end;
    for (uint32_t slot = sweep->slot; slot < end; slot++) {
        struct session *session = session_table_at(&role->table, slot);
        if (session != NULL && session->state == CONN_LIVE)
            visit(session, now_s);
    }
    sweep->slot = end < table_end ? end : 0;
    sweep->app_visits -= sweep->app_visits > 0;
    session_role_trim(role);
    if (role->sessions > 0)
        timer_start(role->loop, timer, SWEEP_MS, on_sweep);
    else
        session_role_trim(role); /* nobody is left to need what is empty */
}

void session_check_begin(struct session *session)
{
    struct session_role *role = session_role_of(session);
    uint32_t now_s = session_now_s(role);
    session->checked_s = now_s;
    if (timer_running(&role->sweep.timer))
        return;
    /* What the loop did while there was no session is no loss of theirs. */
    (void)loop_take_longest_turn_ms(role->loop);
    timer_start(role->loop, &role->sweep.timer, SWEEP_MS, on_sweep);
}

void session_check_apps(struct session_role *role)
{
    role->sweep.app_visits = SWEEP_SLICES + 1; /* one more: the present slice may be half over the table's end */
}

void session_check_all(struct session_role *role, const char *why)
{
    struct session_sweep *sweep = &role->sweep;
    uint64_t now_ms = loop_now_ms(role->loop);
    sweep->losses++;
    session_topics_check(role);
    /* As with the links' first hellos: nobody is here who may have lost anything. */
    if (role->sessions == 0)
        return;
    if (sweep->told_ms != 0 && now_ms - sweep->told_ms < LOG_EVERY_MS)
        return;
    sweep->told_ms = now_ms;
    log_at(LOG_WARN, "session", "messages may be late; all sessions check", LOG_STR("why", why),
           LOG_NUM("loop", loop_index(role->loop)), LOG_NUM("sessions", role->sessions));
}

void session_check_stop(struct session_role *role)
{
    timer_stop(&role->sweep.timer);
}
