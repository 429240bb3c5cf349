#include "session/session_admission.h"

#include "base/object.h"
#include "session/session_impl.h"

#define WHOLE 1000U /* credit that one connection costs */
#define SECOND_MS 1000U
/* A client that has other servers to try gives one 3 seconds. */
#define WAIT_S 2U
/* So long at most; with the time in the backlog it is no longer than such a client waits. */
#define LINE_MS 2000U
#define BACKLOG_MIN 128U
#define BACKLOG_MAX 65535U /* the kernel cuts it to net.core.somaxconn */
/* Slots a second at least: where nobody is let in, nothing says how many could be soon. */
#define SLOTS_MIN 20U
/* No slot is further away; once they are given out up to there, each client gets one of them at random. */
#define SLOT_MAX_MS 300000U
#define MS_US 1000U
#define SECOND_US 1000000U

enum hold {
    HOLD_CREDIT = 1,     /* of this second's connects none is left */
    HOLD_HANDSHAKES = 2, /* as many as may be; until a quarter of them is over */
    HOLD_TLS =
        4, /* those that stand in line for a TLS handshake are as many as begin in LINE_MS; until half of them have */
};

/* ---- connects a second ---- */

static void earn(struct session_role *role)
{
    struct session_admission *admission = &role->admission;
    const uint64_t rate = role->config.connects_per_second;
    const uint64_t now_ms = loop_now_ms(role->loop);
    const uint64_t passed_ms = now_ms - admission->earned_ms;
    admission->earned_ms = now_ms;
    admission->credit += (passed_ms < SECOND_MS ? passed_ms : SECOND_MS) * rate;
    if (admission->credit > SECOND_MS * rate)
        admission->credit = SECOND_MS * rate;
}

static void on_credit(struct timer *timer)
{
    struct session_role *role = container_of(timer, struct session_role, admission.timer);
    object_check(role, SESSION_ROLE_MAGIC);
    earn(role);
    session_admission_review(role);
}

int session_admission_backlog(const struct session_role *role)
{
    const uint64_t rate = role->config.connects_per_second;
    const uint64_t waiting = rate * WAIT_S;
    if (rate == 0)
        return 0;
    return waiting < BACKLOG_MIN ? (int)BACKLOG_MIN : waiting < BACKLOG_MAX ? (int)waiting : (int)BACKLOG_MAX;
}

void session_admission_begin(struct session_role *role)
{
    role->admission.earned_ms = role->admission.counted_ms = loop_now_ms(role->loop);
    role->admission.credit = (uint64_t)role->config.connects_per_second * SECOND_MS;
}

void session_admission_take(struct session_role *role)
{
    struct session_admission *admission = &role->admission;
    const uint64_t rate = role->config.connects_per_second;
    if (rate != 0) {
        earn(role);
        petrel_assert(admission->credit >= WHOLE);
        admission->credit -= WHOLE;
    }
    if (rate != 0 && admission->credit < WHOLE)
        timer_start(role->loop, &admission->timer, (WHOLE - admission->credit + rate - 1) / rate, on_credit);
    session_admission_review(role);
}

/* ---- holds ---- */

static uint8_t holds_now(const struct session_role *role)
{
    const uint32_t handshakes = role->gate.unauthenticated + role->sessions - role->live;
    const uint32_t most = role->config.max_handshakes;
    const uint8_t before = role->admission.holds;
    uint8_t holds = timer_running(&role->admission.timer) ? HOLD_CREDIT : 0;
    if (handshakes >= ((before & HOLD_HANDSHAKES) != 0 ? most - most / 4 : most))
        holds |= HOLD_HANDSHAKES;
    if (tls_loop_wait_ms(role->loop) >= ((before & HOLD_TLS) != 0 ? LINE_MS / 2 : LINE_MS))
        holds |= HOLD_TLS;
    return holds;
}

void session_admission_review(struct session_role *role)
{
    struct session_admission *admission = &role->admission;
    if (role->listeners.count == 0)
        return;
    const uint8_t before = admission->holds;
    admission->holds = holds_now(role);
    if ((before ^ admission->holds) & HOLD_HANDSHAKES)
        session_door_press(role, (admission->holds & HOLD_HANDSHAKES) != 0);
    if ((before == 0) == (admission->holds == 0))
        return;
    metrics_set(role->metrics, METRIC_ADMISSION_HELD, admission->holds != 0);
    if (admission->holds != 0)
        session_listen_pause(role);
    else
        session_listen_resume(role);
}

void session_admission_stop(struct session_role *role)
{
    timer_stop(&role->admission.timer);
    session_door_press(role, false);
    role->admission.holds = 0;
    metrics_set(role->metrics, METRIC_ADMISSION_HELD, 0);
}

/* ---- coming back ---- */

static void count_second(struct session_role *role)
{
    struct session_admission *admission = &role->admission;
    const uint64_t passed_ms = loop_now_ms(role->loop) - admission->counted_ms;
    if (passed_ms < SECOND_MS)
        return;
    admission->rate = (uint32_t)((uint64_t)admission->lived * SECOND_MS / passed_ms);
    admission->lived = 0;
    admission->counted_ms += passed_ms;
}

void session_admission_note_live(struct session_role *role)
{
    count_second(role);
    role->admission.lived++;
}

/* How far away the next slot is. */
static uint32_t take_slot_ms(struct session_role *role)
{
    struct session_admission *admission = &role->admission;
    count_second(role);
    const uint64_t now_us = loop_now_ms(role->loop) * MS_US;
    const uint32_t rate = admission->rate > SLOTS_MIN ? admission->rate : SLOTS_MIN;
    if (admission->slot_us < now_us)
        admission->slot_us = now_us;
    const uint64_t wait_us = admission->slot_us - now_us;
    if (wait_us > (uint64_t)SLOT_MAX_MS * MS_US)
        return (uint32_t)rng_below(loop_rng(role->loop), SLOT_MAX_MS);
    admission->slot_us += SECOND_US / rate;
    return (uint32_t)(wait_us / MS_US);
}

uint32_t session_admission_backoff_ms(struct session_role *role, uint32_t code)
{
    const uint32_t least_ms = role->config.backoff_ms;
    if (!session_code_retry(code))
        return 0;
    if (code != SESSION_CODE_OVERLOADED && code != SESSION_CODE_UNAVAILABLE)
        return least_ms;
    return least_ms + take_slot_ms(role) + (uint32_t)rng_below(loop_rng(role->loop), (uint64_t)least_ms + 1);
}
