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

static void send_away(struct session *session)
{
    if (session->state == CONN_LIVE)
        session_conn_write_shared(session, session->role->drain.goaway);
}

static void close_one(struct session *session)
{
    const struct session_drain *drain = &session->role->drain;
    bool told = drain->goaway != NULL && session->state == CONN_LIVE;
    if (told)
        session_conn_end(session, true);
    else
        session_conn_fail(session, drain->code, NULL);
}

/* Whether this was the last slice. */
static bool run_slice(struct session_role *role, void (*each)(struct session *session))
{
    struct session_drain *drain = &role->drain;
    uint32_t end = role->table.used - drain->slot > SLICE ? drain->slot + SLICE : role->table.used;
    for (; drain->slot < end; drain->slot++) {
        struct session *session = session_table_at(&role->table, drain->slot);
        if (session != NULL)
            each(session);
    }
    return end == role->table.used;
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
        if (run_slice(role, send_away))
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

static void encode_goaway(const struct session_role *role, struct bytebuf *out)
{
    const struct session_drain *drain = &role->drain;
    uint64_t now_ms = loop_now_ms(role->loop);
    struct session_goaway goaway = {
        .code = drain->code,
        .deadline_ms = drain->deadline_ms > now_ms ? (uint32_t)(drain->deadline_ms - now_ms) : 0,
        .spread_ms = drain->spread_ms,
        .backoff_ms = role->config.backoff_ms,
    };
    session_encode_goaway(out, &goaway);
}

void session_drain_begin(struct session_role *role, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms)
{
    struct session_drain *drain = &role->drain;
    drain->code = code;
    drain->spread_ms = spread_ms;
    drain->deadline_ms = loop_now_ms(role->loop) + deadline_ms;
    drain->phase = SESSION_DRAIN_TELL;
    drain->slot = 0;
    struct bytebuf frame = {0};
    encode_goaway(role, &frame);
    buf_unref(drain->goaway);
    drain->goaway = buf_copy(bytes_view(&frame));
    bytes_reset(&frame);
    next_slice(role);
}

void session_drain_close_all(struct session_role *role)
{
    if (role->drain.code == 0)
        role->drain.code = SESSION_CODE_SHUTDOWN;
    begin_close(role);
}

uint32_t session_drain_code(const struct session_role *role)
{
    return role->drain.code;
}

void session_drain_greet(struct session *session)
{
    struct session_role *role = session->role;
    if (role->drain.phase == SESSION_DRAIN_NONE || session->state != CONN_LIVE)
        return;
    role->out.len = 0;
    encode_goaway(role, &role->out);
    session_conn_write(session, bytes_view(&role->out));
}

void session_drain_reset(struct session_role *role)
{
    timer_stop(&role->drain.timer);
    buf_unref(role->drain.goaway);
    role->drain.goaway = NULL;
}
