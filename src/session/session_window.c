#include "session/session_window.h"

#include "base/object.h"
#include "session/session_bind.h"
#include "session/session_conn.h"
#include "session/session_impl.h"

#define PERIOD_MS 10000U
/* Answers in time for one more bind, once an answer was late: the window, by this. */
#define GROW_PART 4U

static uint32_t largest(const struct session_role *role)
{
    return role->config.max_handshakes > SESSION_WINDOW_MIN ? role->config.max_handshakes : SESSION_WINDOW_MIN;
}

static void resize(struct session_role *role, uint32_t size)
{
    role->window.size = size;
    metrics_set(role->metrics, METRIC_BIND_WINDOW, size);
}

/* ---- what is late ---- */

static void note_least(struct session_window *window, uint64_t now_ms, uint32_t took_ms)
{
    if (now_ms - window->period_ms >= PERIOD_MS) {
        window->least_ms[0] = now_ms - window->period_ms < (uint64_t)2 * PERIOD_MS ? window->least_ms[1] : took_ms;
        window->least_ms[1] = took_ms;
        window->period_ms = now_ms;
    }
    if (took_ms < window->least_ms[1])
        window->least_ms[1] = took_ms;
}

static bool is_late(const struct session_role *role, uint32_t took_ms)
{
    const struct session_window *window = &role->window;
    const uint32_t least_ms = window->least_ms[0] < window->least_ms[1] ? window->least_ms[0] : window->least_ms[1];
    return took_ms > role->config.bind_target_ms && took_ms / 2 > least_ms;
}

/* ---- the window ---- */

static void shrink(struct session_role *role, uint64_t asked_ms)
{
    struct session_window *window = &role->window;
    if (asked_ms < window->cut_ms)
        return; /* asked under the larger one: it says nothing of this one */
    const uint32_t size = window->size - window->size / 4;
    window->steep = false;
    window->earned = 0;
    window->cut_ms = loop_now_ms(role->loop) + 1;
    resize(role, size > SESSION_WINDOW_MIN ? size : SESSION_WINDOW_MIN);
}

static void grow(struct session_role *role)
{
    struct session_window *window = &role->window;
    if (window->size >= largest(role) || (!window->steep && ++window->earned < window->size / GROW_PART))
        return;
    window->earned = 0;
    resize(role, window->size + 1);
}

static void on_pump(struct loop_task *task)
{
    struct session_role *role = container_of(task, struct session_role, window.pump);
    object_check(role, SESSION_ROLE_MAGIC);
    struct session_window *window = &role->window;
    while (window->under_way < window->size && !list_empty(&window->queue)) {
        struct session_door *door = container_of(list_pop_front(&window->queue), struct session_door, node);
        window->waiting--;
        window->under_way++;
        timer_stop(&door->timer);
        session_bind_ask(door->session);
    }
}

void session_window_init(struct session_role *role)
{
    role->window.steep = true;
    role->window.least_ms[0] = role->window.least_ms[1] = UINT32_MAX;
    role->window.pump.run = on_pump;
    list_init(&role->window.queue);
    resize(role, SESSION_WINDOW_MIN);
}

void session_window_reset(struct session_role *role)
{
    petrel_assert(role->window.under_way == 0 && role->window.waiting == 0);
    loop_undefer(&role->window.pump);
    metrics_set(role->metrics, METRIC_BIND_WINDOW, 0);
}

static void on_waited(struct timer *timer)
{
    struct session_door *door = container_of(timer, struct session_door, timer);
    struct session *session = door->session;
    session_door_note_refusal(session_role_of(session), "binds take too long");
    session_conn_fail(session, SESSION_CODE_OVERLOADED, NULL);
}

bool session_window_enter(struct session *session)
{
    struct session_role *role = session_role_of(session);
    struct session_window *window = &role->window;
    struct session_door *door = session->busy->door;
    if (window->under_way < window->size && window->waiting == 0) {
        window->under_way++;
        return true;
    }
    window->waiting++;
    list_push_back(&window->queue, &door->node);
    timer_start(role->loop, &door->timer, role->config.connect_timeout_ms, on_waited);
    return false;
}

void session_window_leave(struct session_role *role, uint64_t asked_ms, bool overloaded)
{
    struct session_window *window = &role->window;
    const uint64_t now_ms = loop_now_ms(role->loop);
    const uint64_t took_ms = now_ms - asked_ms;
    const bool used = window->waiting > 0 || window->under_way >= window->size / 2;
    petrel_assert(window->under_way > 0);
    window->under_way--;
    note_least(window, now_ms, took_ms < UINT32_MAX ? (uint32_t)took_ms : UINT32_MAX);
    if (overloaded || is_late(role, took_ms < UINT32_MAX ? (uint32_t)took_ms : UINT32_MAX))
        shrink(role, asked_ms);
    else if (used)
        grow(role);
    if (window->waiting > 0)
        loop_defer(role->loop, &window->pump);
}

void session_window_forget(struct session *session)
{
    struct session_door *door = session->busy != NULL ? session->busy->door : NULL;
    if (session->state != CONN_BINDING || door == NULL || list_empty(&door->node))
        return;
    list_remove(&door->node);
    session_role_of(session)->window.waiting--;
}
