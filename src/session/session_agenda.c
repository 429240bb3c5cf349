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

static bool has_work(const struct session_role *role)
{
    return role->agenda.head < role->agenda.count || role->calls.parting_count > 0;
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
    session->wants = 0;
    session->flags &= (uint8_t)~SESSION_LISTED;
    if (session->state != CONN_LIVE)
        return;
    if ((wants & SESSION_WANT_BIND) != 0)
        session_bind_again(session);
    if ((wants & SESSION_WANT_FETCH) != 0)
        session_flow_refill(session);
    if ((wants & SESSION_WANT_ACK) != 0)
        session_ack_send(session);
    if ((wants & SESSION_WANT_CHECK) != 0)
        session_check_ask(session);
}

/* Items that a round adds are for the next one: what fails at once must not spin. */
static void run_round(struct session_role *role)
{
    struct session_agenda *agenda = &role->agenda;
    session_call_pump(role);
    uint32_t waiting = agenda->count - agenda->head;
    agenda->blocked = false;
    for (; waiting > 0; waiting--) {
        if (!session_call_room(&role->calls)) {
            agenda->blocked = true;
            break;
        }
        struct session_agenda_item item = agenda->items[agenda->head++];
        struct session *session = session_table_find(&role->table, item.slot, item.generation);
        if (session != NULL)
            serve(session);
    }
    if (agenda->head == agenda->count)
        agenda->head = agenda->count = 0;
    if (has_work(role) && !agenda->blocked)
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

void session_agenda_init(struct session_role *role)
{
    role->agenda = (struct session_agenda){.resume.run = on_resume};
}

void session_agenda_reset(struct session_role *role)
{
    timer_stop(&role->agenda.timer);
    loop_undefer(&role->agenda.resume);
    free(role->agenda.items);
    session_agenda_init(role);
}

void session_agenda_trim(struct session_role *role)
{
    struct session_agenda *agenda = &role->agenda;
    if (agenda->head < agenda->count || agenda->size <= ITEMS_KEPT)
        return;
    free(agenda->items);
    agenda->items = NULL;
    agenda->head = agenda->count = agenda->size = 0;
}

static void append(struct session_agenda *agenda, const struct session *session)
{
    if (agenda->count == agenda->size && agenda->head > agenda->size / 2) {
        agenda->count -= agenda->head;
        memmove(agenda->items, agenda->items + agenda->head, agenda->count * sizeof *agenda->items);
        agenda->head = 0;
    }
    if (agenda->count == agenda->size) {
        agenda->size = agenda->size == 0 ? ITEMS_FIRST : agenda->size * 2;
        agenda->items = object_realloc(agenda->items, agenda->size * sizeof *agenda->items);
    }
    agenda->items[agenda->count++] = (struct session_agenda_item){session_slot(session), session->generation};
}

static void add(struct session *session, enum session_want want, uint32_t delay_ms)
{
    session->wants |= (uint8_t)want;
    if ((session->flags & SESSION_LISTED) == 0) {
        session->flags |= SESSION_LISTED;
        append(&session_role_of(session)->agenda, session);
    }
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
    if (!agenda->blocked && role->calls.parting_count == 0)
        return;
    if (agenda->retry_ms != 0)
        arm(role, agenda->retry_ms);
    else if (role->calls.paced < SESSION_CALLS_PACED_MAX / 2)
        loop_defer(role->loop, &agenda->resume);
}
