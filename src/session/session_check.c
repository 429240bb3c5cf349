#include "session/session_check.h"

#include "base/log.h"
#include "base/object.h"
#include "session/session_conn.h"
#include "session/session_impl.h"
#include "session/session_topics.h"

#define SWEEP_MS 500U
#define SWEEP_SLICES 16U
#define SLICE_MIN 1024U
/* So many sessions, side by side, check together: a call for all of them costs little more than one for each. */
#define TOGETHER PEER_CHECKS_MAX
/* Sessions that are visited side by side: what a visit looks at is on its way while others are looked at. */
#define STRETCH 16U
#define STALL_MS 1000U
#define LOG_EVERY_MS 10000U
/* A heartbeat may be late by half its interval, and by this. */
#define HEARTBEAT_GRACE_S 5U

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
    for (uint32_t i = 0; i < count; i++)
        visit(stretch[i], now_s);
}

/* A slice ends where a group does, so that its sessions are found due together. */
static uint32_t slice_of(uint32_t table_end)
{
    const uint32_t share = table_end / SWEEP_SLICES + 1, least = share > SLICE_MIN ? share : SLICE_MIN;
    return (least + TOGETHER - 1) / TOGETHER * TOGETHER;
}

static void on_sweep(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, sweep.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    notice_stall(role);
    struct session_sweep *sweep = &role->sweep;
    const uint32_t now_s = session_now_s(role), table_end = session_table_end(&role->table),
                   slice = slice_of(table_end);
    const uint32_t end = sweep->slot + slice < table_end ? sweep->slot + slice : table_end;
    for (uint32_t slot = sweep->slot; slot < end; slot += STRETCH)
        visit_stretch(role, slot, slot + STRETCH < end ? slot + STRETCH : end, now_s);
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
