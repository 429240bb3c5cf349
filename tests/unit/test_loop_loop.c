#include "base/object.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/signal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct trace {
    struct loop *loop;
    char text[64];
};

struct step {
    struct loop_task task;
    struct trace *trace;
    char name;
    struct step *defers;
    struct step *at_turn_end;
    int again;
    bool stops;
};

static void run_step(struct loop_task *task)
{
    struct step *step = container_of(task, struct step, task);
    strncat(step->trace->text, &step->name, 1);
    if (step->defers != NULL)
        loop_defer(step->trace->loop, &step->defers->task);
    if (step->at_turn_end != NULL)
        loop_at_turn_end(step->trace->loop, &step->at_turn_end->task);
    if (step->again-- > 0)
        loop_defer(step->trace->loop, task);
    if (step->stops)
        loop_stop(step->trace->loop);
}

static struct step step_of(struct trace *trace, char name)
{
    return (struct step){.task = {.run = run_step}, .trace = trace, .name = name};
}

static struct loop *new_loop(const struct clock *clock)
{
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &(struct loop_config){.index = 7, .clock = clock}), 0);
    return loop;
}

static void tasks_run_in_order_and_turn_end_comes_last(void **state)
{
    (void)state;
    struct trace trace = {.loop = new_loop(NULL)};
    struct step a = step_of(&trace, 'a'), b = step_of(&trace, 'b'), c = step_of(&trace, 'c');
    struct step e = step_of(&trace, 'e'), undone = step_of(&trace, 'u');
    a.defers = &c;
    a.at_turn_end = &e;
    e.stops = true;
    loop_at_turn_end(trace.loop, &e.task);
    loop_defer(trace.loop, &a.task);
    loop_defer(trace.loop, &undone.task);
    loop_defer(trace.loop, &b.task);
    loop_defer(trace.loop, &a.task); /* queued already */
    loop_undefer(&undone.task);
    loop_undefer(&undone.task);
    loop_run(trace.loop);
    assert_string_equal(trace.text, "abec");
    loop_free(&trace.loop);
}

/* More rounds than a turn allows: the rest comes in the turns after, and none is lost. */
static void a_task_that_queues_itself_does_not_stop_the_loop(void **state)
{
    (void)state;
    struct trace trace = {.loop = new_loop(NULL)};
    struct step again = step_of(&trace, 'x');
    again.again = 29;
    loop_stop(trace.loop);
    loop_stop(trace.loop);
    loop_defer(trace.loop, &again.task);
    loop_run(trace.loop);
    assert_int_equal(strlen(trace.text), 30);
    loop_free(&trace.loop);
}

struct endless {
    struct loop_task task;
    struct mail mail;
    struct loop *loop;
    bool heard;
};

static void defer_until_heard(struct loop_task *task)
{
    struct endless *endless = container_of(task, struct endless, task);
    if (!endless->heard)
        loop_defer(endless->loop, task);
}

static void hear(struct mail *mail)
{
    struct endless *endless = container_of(mail, struct endless, mail);
    endless->heard = true;
    loop_stop(endless->loop);
}

static void mail_gets_through_to_a_busy_loop(void **state)
{
    (void)state;
    struct endless endless = {.task = {.run = defer_until_heard}, .mail = {.run = hear}, .loop = new_loop(NULL)};
    loop_defer(endless.loop, &endless.task);
    mailbox_post(endless.loop, &endless.mail);
    loop_run(endless.loop);
    assert_true(endless.heard);
    loop_free(&endless.loop);
}

struct slow {
    struct loop_task task;
    struct clock_manual *clock;
    struct loop *loop;
    uint64_t now_after;
};

static void take_long(struct loop_task *task)
{
    struct slow *slow = container_of(task, struct slow, task);
    clock_manual_advance(slow->clock, 1500);
    slow->now_after = loop_now_ms(slow->loop);
    loop_stop(slow->loop);
}

static void turns_are_measured_and_time_stands_still_in_them(void **state)
{
    (void)state;
    struct clock_manual clock;
    clock_manual_init(&clock, 1000, 5000);
    struct slow slow = {.task = {.run = take_long}, .clock = &clock, .loop = new_loop(&clock.clock)};
    assert_ptr_equal(loop_clock(slow.loop), &clock.clock);
    assert_int_equal(loop_index(slow.loop), 7);
    clock_manual_advance(&clock, 100);
    assert_int_equal(loop_now_ms(slow.loop), 1100);
    assert_int_equal(loop_wall_ms(slow.loop), 5100);
    loop_defer(slow.loop, &slow.task);
    loop_run(slow.loop);
    assert_int_equal(slow.now_after, 1100);
    assert_int_equal(loop_now_ms(slow.loop), 2600);
    assert_int_equal(loop_take_longest_turn_ms(slow.loop), 1500);
    assert_int_equal(loop_take_longest_turn_ms(slow.loop), 0);
    loop_free(&slow.loop);
    loop_free(&slow.loop);
}

static void two_loops_differ_in_chance(void **state)
{
    (void)state;
    struct loop *a = new_loop(NULL), *b = new_loop(NULL);
    assert_true(rng_u64(loop_rng(a)) != rng_u64(loop_rng(b)));
    loop_free(&a);
    loop_free(&b);
}

struct watcher {
    struct loop *loop;
    struct signal_watch *watch;
    int signum;
    int calls;
};

static void on_signal(void *ctx, int signum)
{
    struct watcher *watcher = ctx;
    watcher->signum = signum;
    watcher->calls++;
    if (watcher->calls == 1) {
        kill(getpid(), signum);
        return;
    }
    signal_watch_close(&watcher->watch);
    loop_stop(watcher->loop);
}

static void signals_become_callbacks_and_hold_the_loop_until_closed(void **state)
{
    (void)state;
    struct watcher watcher = {.loop = new_loop(NULL)};
    assert_int_equal(signal_watch_open(&watcher.watch, watcher.loop, SIGUSR1, on_signal, &watcher), 0);
    struct signal_watch *none = NULL;
    assert_true(signal_watch_open(&none, watcher.loop, -1, on_signal, &watcher) < 0);
    assert_null(none);
    signal_watch_close(&none);
    loop_stop(watcher.loop); /* asked early: what is open keeps it running */
    kill(getpid(), SIGUSR1);
    loop_run(watcher.loop);
    assert_int_equal(watcher.calls, 2);
    assert_int_equal(watcher.signum, SIGUSR1);
    assert_null(watcher.watch);
    loop_free(&watcher.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_order_and_turn_end_comes_last),
        cmocka_unit_test(a_task_that_queues_itself_does_not_stop_the_loop),
        cmocka_unit_test(mail_gets_through_to_a_busy_loop),
        cmocka_unit_test(turns_are_measured_and_time_stands_still_in_them),
        cmocka_unit_test(two_loops_differ_in_chance),
        cmocka_unit_test(signals_become_callbacks_and_hold_the_loop_until_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
