#include "sim/loop/sim_loop.h"

#include <stdlib.h>

#define ROUNDS_MAX 8
#define TURN_LATE_US 300 /* a turn comes so late at most */

static bool has_work(const struct loop *loop)
{
    return !list_empty(&loop->deferred) || !list_empty(&loop->turn_end) || !list_empty(&loop->unflushed) ||
           !list_empty(&loop->closing) || !list_empty(&loop->ready) || loop->mail_first != NULL;
}

bool sim_loop_idle(const struct loop *loop)
{
    return !has_work(loop);
}

static void run_tasks(struct list *tasks)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, tasks);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct loop_task *task = container_of(node, struct loop_task, node);
        task->queued = false;
        task->run(task);
    }
}

static void run_mail(struct loop *loop)
{
    struct mail *mail = loop->mail_first;
    loop->mail_first = NULL;
    loop->mail_last = NULL;
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->run(mail);
        mail = next;
    }
}

static void fire_timers(struct loop *loop)
{
    while (!list_empty(&loop->timers)) {
        struct timer *timer = container_of(loop->timers.next, struct timer, node);
        if (timer->due_ms > loop->now_ms)
            return;
        timer_stop(timer);
        timer->fire(timer);
    }
}

static void run_turn(struct loop *loop)
{
    loop->in_turn = true;
    loop->now_ms = clock_mono_ms(&loop->sim->clock.clock) + loop->skew_ms;
    loop->wall_ms = clock_wall_ms(&loop->sim->clock.clock) + loop->skew_ms;
    run_mail(loop);
    sim_net_read_all(loop);
    fire_timers(loop);
    for (int round = 0; round < ROUNDS_MAX && has_work(loop); round++) {
        run_tasks(&loop->deferred);
        run_tasks(&loop->turn_end);
        sim_net_flush_all(loop);
        sim_net_free_closed(loop);
    }
    loop->in_turn = false;
}

static void on_turn(struct sim_event *event);

static void schedule(struct loop *loop, uint64_t at_us)
{
    if (loop->ghost)
        return;
    if (at_us < loop->paused_until_us)
        at_us = loop->paused_until_us;
    if (loop->turn.place != 0 && loop->turn.at_us <= at_us && loop->turn.at_us >= loop->paused_until_us)
        return;
    sim_at(loop->sim, &loop->turn, at_us > loop->sim->now_us ? at_us - loop->sim->now_us : 0, on_turn);
}

/* The wheel of the room fires a tick late at most. */
static void schedule_timers(struct loop *loop)
{
    if (list_empty(&loop->timers))
        return;
    const struct timer *timer = container_of(loop->timers.next, struct timer, node);
    uint64_t now_ms = clock_mono_ms(&loop->sim->clock.clock);
    uint64_t wait_ms = timer->due_ms > now_ms ? timer->due_ms - now_ms : 0;
    schedule(loop, (loop->sim->now_us / SIM_MS + wait_ms) * SIM_MS);
}

static void on_turn(struct sim_event *event)
{
    struct loop *loop = container_of(event, struct loop, turn);
    object_check(loop, SIM_LOOP_MAGIC);
    run_turn(loop);
    if (has_work(loop))
        sim_loop_wake(loop);
    schedule_timers(loop);
}

void sim_loop_wake(struct loop *loop)
{
    if (!loop->in_turn)
        schedule(loop, loop->sim->now_us + rng_below(&loop->sim->rng, TURN_LATE_US));
}

void sim_loop_pause(struct loop *loop, uint64_t us, bool noticed)
{
    loop->paused_until_us = loop->sim->now_us + us;
    if (noticed && us / SIM_MS > loop->longest_turn_ms)
        loop->longest_turn_ms = us / SIM_MS;
    schedule(loop, loop->paused_until_us);
}

void sim_loop_ghost(struct loop *loop)
{
    loop->ghost = true;
    sim_cancel(loop->sim, &loop->turn);
}

void sim_loop_haunt(struct loop *loop)
{
    petrel_assert(loop->ghost);
    if (!list_empty(&loop->timers)) {
        uint64_t due_ms = container_of(loop->timers.next, struct timer, node)->due_ms;
        uint64_t now_ms = clock_mono_ms(&loop->sim->clock.clock) + loop->skew_ms;
        loop->skew_ms += due_ms > now_ms ? due_ms - now_ms : 0;
    }
    run_turn(loop);
}

/* ---- loop.h ---- */

int loop_new(struct loop **out, const struct loop_config *config)
{
    struct loop *loop = object_zalloc(sizeof *loop);
    const struct clock_manual *manual = container_of(config->clock, const struct clock_manual, clock);
    loop->magic = SIM_LOOP_MAGIC;
    loop->index = config->index;
    loop->sim = (struct sim *)container_of(manual, const struct sim, clock);
    rng_seed(&loop->rng, rng_u64(&loop->sim->rng));
    list_init(&loop->timers);
    list_init(&loop->deferred);
    list_init(&loop->turn_end);
    list_init(&loop->ready);
    list_init(&loop->unflushed);
    list_init(&loop->closing);
    *out = loop;
    return 0;
}

void loop_free(struct loop **inside)
{
    struct loop *loop = *inside;
    if (loop == NULL)
        return;
    object_check(loop, SIM_LOOP_MAGIC);
    petrel_assert(loop->streams == 0 && !has_work(loop) && list_empty(&loop->timers));
    sim_cancel(loop->sim, &loop->turn);
    loop->magic = 0;
    free(loop);
    *inside = NULL;
}

uint16_t loop_index(const struct loop *loop)
{
    return loop->index;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return &loop->sim->clock.clock;
}

struct rng *loop_rng(struct loop *loop)
{
    return &loop->rng;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->in_turn ? loop->now_ms : clock_mono_ms(&loop->sim->clock.clock) + loop->skew_ms;
}

uint64_t loop_wall_ms(struct loop *loop)
{
    return loop->in_turn ? loop->wall_ms : clock_wall_ms(&loop->sim->clock.clock) + loop->skew_ms;
}

uint64_t loop_take_longest_turn_ms(struct loop *loop)
{
    uint64_t longest_ms = loop->longest_turn_ms;
    loop->longest_turn_ms = 0;
    return longest_ms;
}

static void queue_task(struct loop *loop, struct list *tasks, struct loop_task *task)
{
    object_check(loop, SIM_LOOP_MAGIC);
    if (task->queued)
        return;
    task->queued = true;
    list_push_back(tasks, &task->node);
    sim_loop_wake(loop);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    queue_task(loop, &loop->deferred, task);
}

void loop_at_turn_end(struct loop *loop, struct loop_task *task)
{
    queue_task(loop, &loop->turn_end, task);
}

void loop_undefer(struct loop_task *task)
{
    if (!task->queued)
        return;
    task->queued = false;
    list_remove(&task->node);
}

/* ---- mailbox.h ---- */

void mailbox_post(struct loop *to, struct mail *mail)
{
    object_check(to, SIM_LOOP_MAGIC);
    mail->next = NULL;
    if (to->mail_first == NULL)
        to->mail_first = mail;
    else
        to->mail_last->next = mail;
    to->mail_last = mail;
    sim_loop_wake(to);
}

/* ---- timer.h ---- */

void timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms, void (*fire)(struct timer *timer))
{
    object_check(loop, SIM_LOOP_MAGIC);
    petrel_assert(timer->loop == NULL || timer->loop == loop);
    timer_stop(timer);
    uint64_t due_ms = loop_now_ms(loop) + (delay_ms < TIMER_MAX_MS ? delay_ms : TIMER_MAX_MS);
    /* Never in this turn: the wheel stands past the tick. */
    timer->due_ms = due_ms > loop_now_ms(loop) ? due_ms : loop_now_ms(loop) + 1;
    timer->fire = fire;
    timer->loop = loop;
    struct list *after = loop->timers.prev;
    while (after != &loop->timers && container_of(after, struct timer, node)->due_ms > timer->due_ms)
        after = after->prev;
    list_push_front(after, &timer->node);
    if (!loop->in_turn)
        schedule_timers(loop);
}

void timer_stop(struct timer *timer)
{
    if (timer->loop == NULL)
        return;
    list_remove(&timer->node);
    timer->loop = NULL;
}

bool timer_running(const struct timer *timer)
{
    return timer->loop != NULL;
}
