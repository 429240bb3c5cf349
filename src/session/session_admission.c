#include "session/session_admission.h"

#include "base/object.h"
#include "session/session_impl.h"

#define WHOLE 1000U /* credit that one connection costs */
#define SECOND_MS 1000U
/* A client that has other servers to try gives one 3 seconds. */
#define WAIT_S 2U
#define BACKLOG_MIN 128U
#define BACKLOG_MAX 4096U

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
    listener_resume(role->listener);
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
    role->admission.earned_ms = loop_now_ms(role->loop);
    role->admission.credit = (uint64_t)role->config.connects_per_second * SECOND_MS;
}

void session_admission_take(struct session_role *role)
{
    struct session_admission *admission = &role->admission;
    const uint64_t rate = role->config.connects_per_second;
    if (rate == 0)
        return;
    earn(role);
    petrel_assert(admission->credit >= WHOLE);
    admission->credit -= WHOLE;
    if (admission->credit >= WHOLE)
        return;
    listener_pause(role->listener);
    timer_start(role->loop, &admission->timer, (WHOLE - admission->credit + rate - 1) / rate, on_credit);
}

void session_admission_stop(struct session_role *role)
{
    timer_stop(&role->admission.timer);
}
