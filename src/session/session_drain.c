#include "session/session_drain.h"

#include "base/object.h"
#include "session/session_conn.h"

#define SLICE 1024U
/* Sessions are not closed faster than their UNBINDs go out: each waits with memory of its own. */
#define PARTING_MAX 4096U

static void on_slice(struct timer *timer);

static void next_slice(struct session_role *role)
{
    timer_start(role->loop, &role->drain.timer, TIMER_TICK_MS, on_slice);
}

static void tell(struct session *session)
{
    const struct session_drain *drain = &session_role_of(session)->drain;
    const uint64_t now_ms = loop_now_ms(session_role_of(session)->loop);
    if (session->state == CONN_LIVE && (session->flags & SESSION_TOLD) == 0)
        session_goaway_tell(session, drain->code, drain->deadline_ms > now_ms ? drain->deadline_ms - now_ms : 0,
                            drain->spread_ms);
}

static void close_one(struct session *session)
{
    if ((session->flags & SESSION_TOLD) != 0)
        session_conn_end(session, true);
    else
        session_conn_fail(session, session_role_of(session)->drain.code, NULL);
}

/* Whether this was the last slice. */
static bool run_slice(struct session_role *role, void (*each)(struct session *session))
{
    struct session_drain *drain = &role->drain;
    uint32_t table_end = session_table_end(&role->table);
    uint32_t end = drain->slot + SLICE < table_end ? drain->slot + SLICE : table_end;
    for (; drain->slot < end; drain->slot++) {
        struct session *session = session_table_at(&role->table, drain->slot);
        if (session != NULL)
            each(session);
    }
    return end == table_end;
}

static void begin_close(struct session_role *role)
{
    role->drain.phase = SESSION_DRAIN_CLOSE;
    role->drain.slot = 0;
    next_slice(role);
}

static void wait_for_deadline(struct session_role *role)
{
    uint64_t now_ms = loop_now_ms(role->loop);
    role->drain.phase = SESSION_DRAIN_WAIT;
    timer_start(role->loop, &role->drain.timer, role->drain.deadline_ms > now_ms ? role->drain.deadline_ms - now_ms : 0,
                on_slice);
}

static void on_slice(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, drain.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    switch (role->drain.phase) {
    case SESSION_DRAIN_TELL:
        if (run_slice(role, tell))
            wait_for_deadline(role);
        else
            next_slice(role);
        return;
    case SESSION_DRAIN_WAIT:
        begin_close(role);
        return;
    case SESSION_DRAIN_CLOSE:
        if (role->calls.parting_count > PARTING_MAX || !run_slice(role, close_one)) {
            next_slice(role);
            return;
        }
        role->drain.phase = SESSION_DRAIN_OVER;
        session_role_finish_if_idle(role);
        return;
    case SESSION_DRAIN_NONE:
    case SESSION_DRAIN_OVER:
        return;
    }
}

/* Who has other nodes to go to must not queue at their doors; who has none comes back here. */
static uint64_t spread_of(const struct session_role *role, uint32_t deadline_ms, uint32_t spread_ms)
{
    const uint64_t admission_ms = session_goaway_admission_ms(role);
    if (admission_ms <= spread_ms)
        return spread_ms;
    return admission_ms < deadline_ms ? admission_ms : deadline_ms;
}

void session_drain_begin(struct session_role *role, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms)
{
    struct session_drain *drain = &role->drain;
    session_move_stop(role);
    drain->code = code;
    drain->spread_ms = spread_of(role, deadline_ms, spread_ms);
    drain->deadline_ms = loop_now_ms(role->loop) + deadline_ms;
    drain->phase = SESSION_DRAIN_TELL;
    drain->slot = 0;
    role->goaway.left = 0;
    next_slice(role);
}

bool session_drain_begun(const struct session_role *role)
{
    return role->drain.phase != SESSION_DRAIN_NONE;
}

void session_drain_close_all(struct session_role *role)
{
    session_move_stop(role);
    if (role->drain.code == 0)
        role->drain.code = SESSION_CODE_SHUTDOWN;
    begin_close(role);
}

uint32_t session_drain_code(const struct session_role *role)
{
    return role->move.draining ? SESSION_CODE_DRAIN : role->drain.code;
}

void session_drain_greet(struct session *session)
{
    if (session->state != CONN_LIVE)
        return;
    if (session_drain_begun(session_role_of(session)))
        tell(session);
    else
        session_move_greet(session);
}

void session_drain_reset(struct session_role *role)
{
    timer_stop(&role->drain.timer);
}
