#include "session/session_move.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "session/session_conn.h"

#include <stdlib.h>

#define DEADLINE_MS 10000U
#define SPREAD_MS 2000U
#define WHOLE 1000U /* credit that one session costs */
#define SECOND_MS 1000U
/* What a late tick may make up for: a stall must not become a burst. */
#define CATCH_UP_MS 250U
/* Slots looked at, and sessions closed, in one tick. */
#define SCAN_MAX 4096U
#define CLOSE_MAX 256U
/* Sessions are not closed faster than their UNBINDs go out: each waits with memory of its own. */
#define PARTING_MAX 4096U
#define TOLD_FIRST 64U

static void on_tick(struct timer *timer);

/* ---- those who were told ---- */

static void push_told(struct session_move *move, const struct session *session, uint64_t deadline_ms)
{
    if (move->told_count == move->told_size && move->told_head > move->told_size / 2) {
        move->told_count -= move->told_head;
        memmove(move->told, move->told + move->told_head, move->told_count * sizeof *move->told);
        move->told_head = 0;
    }
    if (move->told_count == move->told_size) {
        move->told_size = move->told_size == 0 ? TOLD_FIRST : move->told_size * 2;
        move->told = object_realloc(move->told, move->told_size * sizeof *move->told);
    }
    move->told[move->told_count++] =
        (struct session_move_told){session_slot(session), session->generation, deadline_ms};
}

static void tell(struct session *session)
{
    struct session_role *role = session_role_of(session);
    session_goaway_tell(session, SESSION_CODE_DRAIN, DEADLINE_MS, SPREAD_MS);
    push_told(&role->move, session, loop_now_ms(role->loop) + DEADLINE_MS);
}

static void close_stayed(struct session_role *role)
{
    struct session_move *move = &role->move;
    const uint64_t now_ms = loop_now_ms(role->loop);
    for (uint32_t closed = 0; move->told_head < move->told_count && closed < CLOSE_MAX;) {
        const struct session_move_told *first = &move->told[move->told_head];
        if (first->deadline_ms > now_ms || role->calls.parting_count > PARTING_MAX)
            break;
        move->told_head++;
        struct session *session = session_table_find(&role->table, first->slot, first->generation);
        if (session == NULL || session->state != CONN_LIVE)
            continue;
        session_conn_end(session, true);
        closed++;
    }
    if (move->told_head == move->told_count)
        move->told_head = move->told_count = 0;
}

/* ---- those who are to be told ---- */

static uint32_t to_tell(const struct session_role *role)
{
    const uint32_t untold = role->live - role->goaway.told;
    if (role->move.draining)
        return untold;
    return role->move.to_move < untold ? role->move.to_move : untold;
}

static void earn(struct session_role *role)
{
    struct session_move *move = &role->move;
    const uint64_t now_ms = loop_now_ms(role->loop);
    const uint64_t passed_ms = now_ms - move->earned_ms;
    const uint64_t late = (uint64_t)move->per_second * CATCH_UP_MS;
    const uint64_t most = late > WHOLE ? late : WHOLE;
    move->earned_ms = now_ms;
    move->credit += (passed_ms < SECOND_MS ? passed_ms : SECOND_MS) * move->per_second;
    if (move->credit > most)
        move->credit = most;
}

static void tell_due(struct session_role *role)
{
    struct session_move *move = &role->move;
    earn(role);
    const uint32_t table_end = session_table_end(&role->table);
    for (uint32_t scanned = 0; scanned < SCAN_MAX && move->credit >= WHOLE && to_tell(role) > 0; scanned++) {
        if (move->slot >= table_end)
            move->slot %= table_end;
        struct session *session = session_table_at(&role->table, move->slot);
        const bool next = session != NULL && session->state == CONN_LIVE && (session->flags & SESSION_TOLD) == 0;
        move->slot += next ? move->stride : 1;
        if (!next)
            continue;
        tell(session);
        move->credit -= WHOLE;
        move->to_move -= move->to_move > 0;
    }
}

/* ---- the pace ---- */

static uint64_t until_credit(const struct session_move *move)
{
    return move->credit >= WHOLE ? 0 : (WHOLE - move->credit + move->per_second - 1) / move->per_second;
}

/* No timer runs while nobody is to be told and nobody waited for. */
static void arm(struct session_role *role)
{
    struct session_move *move = &role->move;
    uint64_t wait_ms = UINT64_MAX;
    if (to_tell(role) > 0)
        wait_ms = until_credit(move);
    if (move->told_head < move->told_count) {
        const uint64_t now_ms = loop_now_ms(role->loop);
        const uint64_t deadline_ms = move->told[move->told_head].deadline_ms;
        const uint64_t stay_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
        wait_ms = stay_ms < wait_ms ? stay_ms : wait_ms;
    }
    if (wait_ms == UINT64_MAX)
        timer_stop(&move->timer);
    else
        timer_start(role->loop, &move->timer, wait_ms > TIMER_TICK_MS ? wait_ms : TIMER_TICK_MS, on_tick);
}

static void on_tick(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, move.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    close_stayed(role);
    if (to_tell(role) > 0)
        tell_due(role);
    arm(role);
}

static void set_pace(struct session_role *role, uint32_t per_second)
{
    struct session_move *move = &role->move;
    move->per_second = per_second;
    move->credit = 0;
    move->earned_ms = loop_now_ms(role->loop);
}

/* ---- what is asked ---- */

static void set_draining(struct session_role *role, bool draining)
{
    if (role->move.draining == draining)
        return;
    role->move.draining = draining;
    metrics_add(role->metrics, METRIC_DRAINING, draining ? 1 : -1);
    if (role->config.on_draining != NULL)
        role->config.on_draining(role->config.ctx, draining);
}

/* Asked again it goes on from where it is, at the pace asked for now. */
static void begin(struct session_role *role, uint32_t per_second)
{
    struct session_move *move = &role->move;
    set_pace(role, per_second);
    move->to_move = 0;
    move->stride = 1;
    log_at(LOG_INFO, "session", "sessions are drained", LOG_NUM("loop", loop_index(role->loop)),
           LOG_NUM("sessions", role->live), LOG_NUM("per_second", per_second));
    if (move->draining)
        return;
    role->goaway.left = 0;
    set_draining(role, true);
}

static void end(struct session_role *role)
{
    if (role->move.draining || role->move.to_move > 0)
        log_at(LOG_INFO, "session", "sessions stay", LOG_NUM("loop", loop_index(role->loop)),
               LOG_NUM("sessions", role->live));
    role->move.to_move = 0;
    set_draining(role, false);
}

static int begin_move(struct session_role *role, uint32_t count, uint32_t per_second)
{
    struct session_move *move = &role->move;
    if (move->draining)
        return PETREL_E_CONFLICT;
    if (!session_goaway_has_elsewhere(role))
        return PETREL_E_UNAVAILABLE;
    const uint32_t untold = role->live - role->goaway.told;
    set_pace(role, per_second);
    role->goaway.left = 0;
    move->to_move = count < untold ? count : untold;
    const uint32_t table_end = session_table_end(&role->table);
    move->stride = move->to_move > 0 ? table_end / move->to_move : 1;
    move->stride = move->stride > 0 ? move->stride : 1;
    move->slot = table_end > 0 ? (uint32_t)rng_below(loop_rng(role->loop), table_end) : 0;
    log_at(LOG_INFO, "session", "sessions are moved", LOG_NUM("loop", loop_index(role->loop)),
           LOG_NUM("count", move->to_move), LOG_NUM("sessions", role->live), LOG_NUM("per_second", per_second));
    return 0;
}

static int act(struct session_role *role, const struct peer_drain *asked)
{
    if (asked->verb == PEER_DRAIN_LOOK)
        return 0;
    if (session_drain_begun(role))
        return PETREL_E_CLOSING;
    if (asked->verb != PEER_DRAIN_END && asked->per_second == 0)
        return PETREL_E_INVALID;
    int rc = 0;
    if (asked->verb == PEER_DRAIN_BEGIN)
        begin(role, asked->per_second);
    else if (asked->verb == PEER_DRAIN_END)
        end(role);
    else
        rc = begin_move(role, asked->count, asked->per_second);
    arm(role);
    return rc;
}

int session_move_serve(struct session_role *role, const struct peer_drain *asked, struct peer_drained *out)
{
    const int rc = act(role, asked);
    const bool going = session_drain_begun(role);
    *out = (struct peer_drained){
        .draining = role->move.draining || going,
        .sessions = role->live,
        .to_tell = going ? role->live - role->goaway.told : to_tell(role),
        .told = role->goaway.told,
        .left = role->goaway.left,
    };
    return rc;
}

void session_move_greet(struct session *session)
{
    struct session_role *role = session_role_of(session);
    if (!role->move.draining)
        return;
    tell(session);
    arm(role);
}

void session_move_stop(struct session_role *role)
{
    struct session_move *move = &role->move;
    timer_stop(&move->timer);
    free(move->told);
    move->told = NULL;
    move->told_head = move->told_count = move->told_size = 0;
    move->to_move = 0;
    /* The node's state is the process's to tell from here on: it is not up again. */
    if (move->draining)
        metrics_add(role->metrics, METRIC_DRAINING, -1);
    move->draining = false;
}
