#include "session/session_agenda.h"

#include "base/object.h"
#include "session/session_ack.h"
#include "session/session_bind.h"
#include "session/session_flow.h"
#include "session/session_impl.h"

#include <stdlib.h>

#define ITEMS_FIRST 64U
#define ITEMS_KEPT 4096U
#define RETRY_FIRST_MS 200U
#define RETRY_MAX_MS 5000U

static uint32_t waiting(const struct session_agenda_line *line)
{
    return line->count - line->head;
}

static bool has_work(const struct session_role *role)
{
    const struct session_agenda *agenda = &role->agenda;
    return waiting(&agenda->line) > 0 || waiting(&agenda->checks) > 0 || role->calls.parting_count > 0;
}

static void on_round(struct timer *timer);

static void arm(struct session_role *role, uint32_t delay_ms)
{
    struct session_agenda *agenda = &role->agenda;
    uint32_t wait_ms = agenda->retry_ms > delay_ms ? agenda->retry_ms : delay_ms;
    uint64_t due_ms = loop_now_ms(role->loop) + wait_ms;
    if (!timer_running(&agenda->timer) || (agenda->retry_ms == 0 && due_ms < agenda->timer.due_ms))
        timer_start(role->loop, &agenda->timer, wait_ms, on_round);
}

static void serve(struct session *session)
{
    uint8_t wants = session->wants;
    session->wants &= SESSION_WANT_CHECK;
    session->flags &= (uint8_t)~SESSION_LISTED;
    if (session->state != CONN_LIVE)
        return;
    if ((wants & SESSION_WANT_BIND) != 0)
        session_bind_again(session);
    if ((wants & SESSION_WANT_FETCH) != 0)
        session_flow_refill(session);
    if ((wants & SESSION_WANT_ACK) != 0)
        session_ack_send(session);
}

/* The first in the line; NULL: it has gone. */
static struct session *take_first(struct session_role *role, struct session_agenda_line *line)
{
    const struct session_agenda_item item = line->items[line->head++];
    return session_table_find(&role->table, item.slot, item.generation);
}

static void close_up(struct session_agenda_line *line)
{
    if (line->head == line->count)
        line->head = line->count = 0;
}

/* Items that a round adds are for the next one: what fails at once must not spin. */
static void serve_line(struct session_role *role)
{
    struct session_agenda_line *line = &role->agenda.line;
    uint32_t left = waiting(line);
    for (; left > 0 && session_call_room(&role->calls); left--) {
        struct session *session = take_first(role, line);
        if (session != NULL)
            serve(session);
    }
    line->blocked = left > 0;
    close_up(line);
}

static void serve_checks(struct session_role *role)
{
    struct session_agenda_line *line = &role->agenda.checks;
    uint32_t left = waiting(line);
    for (; left > 0 && session_checks_room(role); left--) {
        struct session *session = take_first(role, line);
        if (session == NULL)
            continue;
        session->wants &= (uint8_t)~SESSION_WANT_CHECK;
        if (session->state == CONN_LIVE)
            session_checks_add(session);
    }
    session_checks_send(role);
    line->blocked = left > 0;
    close_up(line);
}

static void run_round(struct session_role *role)
{
    struct session_agenda *agenda = &role->agenda;
    session_call_pump(role);
    serve_line(role);
    serve_checks(role);
    const bool calls = waiting(&agenda->line) > 0 || role->calls.parting_count > 0;
    if ((calls && !agenda->line.blocked) || (waiting(&agenda->checks) > 0 && !agenda->checks.blocked))
        arm(role, role->config.ack_delay_ms);
}

static void on_round(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, agenda.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    run_round(role);
}

static void on_resume(struct loop_task *task)
{
    struct session_role *role = container_of(task, struct session_role, agenda.resume);
    object_check(role, SESSION_ROLE_MAGIC);
    run_round(role);
}

static void on_check(struct loop_task *task)
{
    struct session_role *role = container_of(task, struct session_role, agenda.check);
    object_check(role, SESSION_ROLE_MAGIC);
    serve_checks(role);
    if (waiting(&role->agenda.checks) > 0 && !role->agenda.checks.blocked)
        arm(role, role->config.ack_delay_ms);
}

void session_agenda_init(struct session_role *role)
{
    role->agenda = (struct session_agenda){.resume.run = on_resume, .check.run = on_check};
}

void session_agenda_reset(struct session_role *role)
{
    timer_stop(&role->agenda.timer);
    loop_undefer(&role->agenda.resume);
    loop_undefer(&role->agenda.check);
    free(role->agenda.line.items);
    free(role->agenda.checks.items);
    session_agenda_init(role);
}

static void trim(struct session_agenda_line *line)
{
    if (waiting(line) > 0 || line->size <= ITEMS_KEPT)
        return;
    free(line->items);
    *line = (struct session_agenda_line){.blocked = line->blocked};
}

void session_agenda_trim(struct session_role *role)
{
    trim(&role->agenda.line);
    trim(&role->agenda.checks);
}

static void append(struct session_agenda_line *line, const struct session *session)
{
    if (line->count == line->size && line->head > line->size / 2) {
        line->count -= line->head;
        memmove(line->items, line->items + line->head, line->count * sizeof *line->items);
        line->head = 0;
    }
    if (line->count == line->size) {
        line->size = line->size == 0 ? ITEMS_FIRST : line->size * 2;
        line->items = object_realloc(line->items, line->size * sizeof *line->items);
    }
    line->items[line->count++] = (struct session_agenda_item){session_slot(session), session->generation};
}

static void list(struct session *session, enum session_want want)
{
    struct session_agenda *agenda = &session_role_of(session)->agenda;
    const bool waits = (session->wants & want) != 0;
    session->wants |= (uint8_t)want;
    if (want == SESSION_WANT_CHECK) {
        if (!waits)
            append(&agenda->checks, session);
        return;
    }
    if ((session->flags & SESSION_LISTED) != 0)
        return;
    session->flags |= SESSION_LISTED;
    append(&agenda->line, session);
}

static void add(struct session *session, enum session_want want, uint32_t delay_ms)
{
    list(session, want);
    arm(session_role_of(session), delay_ms);
}

void session_agenda_want(struct session *session, enum session_want want)
{
    add(session, want, session_role_of(session)->config.ack_delay_ms);
}

void session_agenda_soon(struct session *session, enum session_want want)
{
    add(session, want, 1);
}

void session_agenda_check(struct session *session)
{
    struct session_role *role = session_role_of(session);
    list(session, SESSION_WANT_CHECK);
    if (role->agenda.retry_ms != 0)
        arm(role, role->agenda.retry_ms);
    else
        loop_defer(role->loop, &role->agenda.check);
}

void session_agenda_failed(struct session_role *role)
{
    struct session_agenda *agenda = &role->agenda;
    /* Many calls of one round fail together: the wait grows once per round. */
    if (agenda->retry_ms != 0 && timer_running(&agenda->timer))
        return;
    uint32_t longer = agenda->retry_ms * 2;
    agenda->retry_ms = agenda->retry_ms == 0 ? RETRY_FIRST_MS : longer < RETRY_MAX_MS ? longer : RETRY_MAX_MS;
    if (has_work(role))
        timer_start(role->loop, &agenda->timer, agenda->retry_ms, on_round);
}

void session_agenda_succeeded(struct session_role *role)
{
    role->agenda.retry_ms = 0;
}

void session_agenda_resume(struct session_role *role)
{
    struct session_agenda *agenda = &role->agenda;
    if (!agenda->line.blocked && !agenda->checks.blocked && role->calls.parting_count == 0)
        return;
    if (agenda->retry_ms != 0)
        arm(role, agenda->retry_ms);
    else if (role->calls.paced < SESSION_CALLS_PACED_MAX / 2)
        loop_defer(role->loop, &agenda->resume);
}
