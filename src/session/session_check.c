#include "session/session_check.h"

#include "base/log.h"
#include "base/object.h"
#include "session/session_conn.h"
#include "session/session_impl.h"
#include "session/session_topics.h"

#define SWEEP_MS 1000U
/* So many sweeps see to all groups at least, and each to so many groups. */
#define SWEEPS 8U
#define GROUPS_MIN 8U
/* So many sessions, side by side, check together: a call for all of them costs little more than one for each. */
#define TOGETHER SESSION_DUE_GROUP
/* Sessions that are visited side by side: what a visit looks at is on its way while others are looked at. */
#define STRETCH 16U
#define STALL_MS 1000U
#define LOG_EVERY_MS 10000U
/* A heartbeat may be late by half its interval, and by this. */
#define HEARTBEAT_GRACE_S 5U

/* The last second in which a session need not have been heard again. */
static uint32_t heard_by(const struct session *session)
{
    return session->heard_s + session->heartbeat_s + session->heartbeat_s / 2U + HEARTBEAT_GRACE_S;
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

/* When the interval in which it checked last is over. They begin at another second for each group of sessions that check together. */
static uint32_t check_at(const struct session *session)
{
    const uint32_t interval_s = session_role_of(session)->config.check_interval_s;
    const uint32_t phase_s = (session_slot(session) / TOGETHER * 2654435761U) % interval_s;
    const uint32_t over = (uint32_t)(((uint64_t)session->checked_s + interval_s - phase_s) / interval_s);
    return over * interval_s + phase_s;
}

/* Whether Delivers to it may have been lost since it checked last. */
static bool missed_some(const struct session *session)
{
    return session->losses != (uint16_t)session_role_of(session)->sweep.losses;
}

static bool check_due(struct session *session, uint32_t now_s)
{
    const bool lost = missed_some(session);
    if (!lost && now_s < check_at(session))
        return false;
    session->losses = (uint16_t)session_role_of(session)->sweep.losses;
    session->checked_s = now_s;
    return true;
}

static bool app_gone(const struct session *session)
{
    const struct session_role *role = session_role_of(session);
    return !session_auth_knows(role->keyring, session_identity_target(session->who).app);
}

/* What its socket is full of has until then to move. */
static uint32_t moved_by(const struct session *session, uint32_t now_s)
{
    if (stream_queued(session->stream) == 0)
        return SESSION_DUE_NEVER - 1;
    const uint64_t patience_ms = session_role_of(session)->config.slow_timeout_ms;
    const uint64_t stalled_ms = stream_stalled_ms(session->stream);
    return now_s + (uint32_t)((patience_ms > stalled_ms ? patience_ms - stalled_ms : 0) / 1000);
}

/* Once it is live. */
static struct session_due due_of(const struct session *session, uint32_t now_s)
{
    const uint32_t heard = heard_by(session) + 1, moved = moved_by(session, now_s) + 1, check = check_at(session);
    const uint32_t first = heard < moved ? heard : moved;
    return (struct session_due){.at_s = first < check ? first : check, .wall_s = session->who->expires_s};
}

static void visit(struct session *session, uint32_t now_s)
{
    if (now_s > heard_by(session))
        session_conn_fail(session, SESSION_CODE_HEARTBEAT_TIMEOUT, NULL);
    else if (expired(session))
        session_conn_fail(session, SESSION_CODE_TOKEN_EXPIRED, NULL);
    else if (app_gone(session))
        session_conn_fail(session, SESSION_CODE_UNKNOWN_APP, NULL);
    else if (stuck(session))
        session_conn_fail(session, SESSION_CODE_SLOW, NULL);
    else if (check_due(session, now_s))
        session_agenda_check(session);
}

static void notice_stall(struct session_role *role)
{
    uint64_t longest_ms = loop_take_longest_turn_ms(role->loop);
    if (longest_ms <= STALL_MS)
        return;
    metrics_add(role->metrics, METRIC_LOOP_STALLS, 1);
    session_check_all(role, "the loop stalled");
}

static void visit_stretch(struct session_role *role, uint32_t slot, uint32_t end, uint32_t now_s)
{
    struct session *stretch[STRETCH];
    uint32_t count = 0;
    for (; slot < end; slot++) {
        struct session *session = session_table_at(&role->table, slot);
        if (session == NULL || session->state != CONN_LIVE)
            continue;
        __builtin_prefetch(session->who);
        __builtin_prefetch(session->stream);
        stretch[count++] = session;
    }
    for (uint32_t i = 0; i < count; i++) {
        visit(stretch[i], now_s);
        if (stretch[i]->state == CONN_LIVE)
            session_due_by(&role->sweep.dues, session_slot(stretch[i]), due_of(stretch[i], now_s));
    }
}

static void visit_group(struct session_role *role, uint32_t slot, uint32_t now_s)
{
    const uint32_t end = slot + SESSION_DUE_GROUP;
    for (; slot < end; slot += STRETCH)
        visit_stretch(role, slot, slot + STRETCH, now_s);
}

/* Those whose token may be over: as long ago as that they need to have expired. */
static struct session_due due_now(const struct session_role *role)
{
    const uint64_t wall_s = loop_wall_ms(role->loop) / 1000;
    return (struct session_due){.at_s = session_now_s(role), .wall_s = (uint32_t)(wall_s - TOKEN_LEEWAY_S - 1)};
}

static void on_sweep(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, sweep.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    notice_stall(role);
    const uint32_t groups = session_table_end(&role->table) / SESSION_DUE_GROUP + 1, share = groups / SWEEPS + 1;
    const struct session_due now = due_now(role);
    uint32_t slot, left = share > GROUPS_MIN ? share : GROUPS_MIN;
    for (; left > 0 && session_due_take(&role->sweep.dues, now, &slot); left--)
        visit_group(role, slot, now.at_s);
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
    /* What was said to all while it was binding was not said to it. */
    const bool at_once = missed_some(session) || app_gone(session);
    session_due_by(&role->sweep.dues, session_slot(session),
                   at_once ? (struct session_due){0} : due_of(session, now_s));
    if (timer_running(&role->sweep.timer))
        return;
    /* What the loop did while there was no session is no loss of theirs. */
    (void)loop_take_longest_turn_ms(role->loop);
    timer_start(role->loop, &role->sweep.timer, SWEEP_MS, on_sweep);
}

void session_check_full(struct session *session)
{
    struct session_role *role = session_role_of(session);
    const struct session_due due = {moved_by(session, session_now_s(role)) + 1, SESSION_DUE_NEVER};
    session_due_by(&role->sweep.dues, session_slot(session), due);
}

void session_check_apps(struct session_role *role)
{
    session_due_all(&role->sweep.dues);
}

void session_check_all(struct session_role *role, const char *why)
{
    struct session_sweep *sweep = &role->sweep;
    uint64_t now_ms = loop_now_ms(role->loop);
    sweep->losses++;
    session_due_all(&sweep->dues);
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

void session_check_reset(struct session_role *role)
{
    session_check_stop(role);
    session_due_reset(&role->sweep.dues);
}
