#include "base/object.h"
#include "loop/loop_impl.h"
#include "loop/timer.h"
#include "unit/loop_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_MS 3600000ULL

/* The wheel under a clock that moves only when told; time passes from turn to turn. */
struct wheel_test {
    struct clock_manual clock;
    struct loop *loop;
};

static int set_up(void **state)
{
    struct wheel_test *test = object_zalloc(sizeof *test);
    clock_manual_init(&test->clock, 12345, 0);
    *state = test;
    return loop_new(&test->loop, &(struct loop_config){.clock = &test->clock.clock});
}

static int tear_down(void **state)
{
    struct wheel_test *test = *state;
    loop_free(&test->loop);
    free(test);
    return 0;
}

static void pass(struct wheel_test *test, uint64_t ms)
{
    clock_manual_advance(&test->clock, ms);
    test->loop->in_turn = false;
    loop_turn_begin(test->loop);
    timer_wheel_advance(test->loop);
}

struct probe {
    struct timer timer;
    struct wheel_test *test;
    uint64_t started_ms;
    uint64_t delay_ms;
    uint64_t fired_ms;
    int fired;
};

static void record(struct timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);
    probe->fired++;
    probe->fired_ms = loop_now_ms(probe->test->loop);
}

static void start(struct probe *probe, struct wheel_test *test, uint64_t delay_ms)
{
    probe->test = test;
    probe->started_ms = loop_now_ms(test->loop);
    probe->delay_ms = delay_ms;
    timer_start(test->loop, &probe->timer, delay_ms, record);
}

/* A sleeping loop: from one wake-up that the wheel asks for to the next. */
static void every_timer_fires_on_time_whatever_its_delay(void **state)
{
    struct wheel_test *test = *state;
    enum { COUNT = 3000 };
    struct probe *probes = object_zalloc(COUNT * sizeof *probes);
    struct rng rng;
    rng_seed(&rng, 3);
    pass(test, 0);
    for (int i = 0; i < COUNT; i++)
        start(&probes[i], test, rng_below(&rng, UINT64_C(1) << (1 + rng_below(&rng, 27))));
    uint64_t next_ms;
    int wakes = 0;
    while ((next_ms = timer_wheel_next_ms(test->loop)) != UINT64_MAX) {
        assert_true(next_ms >= loop_now_ms(test->loop));
        pass(test, next_ms - loop_now_ms(test->loop));
        wakes++;
        assert_true(wakes < COUNT * TIMER_LEVELS);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(probes[i].fired, 1);
        uint64_t due_ms = probes[i].started_ms + probes[i].delay_ms;
        assert_in_range(probes[i].fired_ms, due_ms, due_ms + TIMER_TICK_MS);
    }
    free(probes);
}

/* Random steps, restarts and stops against the rule: fires once, not early, in the first step past the tick. */
static void timers_agree_with_a_model(void **state)
{
    struct wheel_test *test = *state;
    enum { COUNT = 200, STEPS = 20000 };
    struct probe *probes = object_zalloc(COUNT * sizeof *probes);
    bool running[COUNT] = {false};
    struct rng rng;
    rng_seed(&rng, 4);
    pass(test, 0);
    for (int step = 0; step < STEPS; step++) {
        size_t pick = rng_below(&rng, COUNT);
        if (rng_below(&rng, 4) == 0) {
            timer_stop(&probes[pick].timer);
            running[pick] = false;
        } else {
            probes[pick].fired = 0;
            start(&probes[pick], test, rng_below(&rng, UINT64_C(1) << rng_below(&rng, 20)));
            running[pick] = true;
        }
        uint64_t before_ms = loop_now_ms(test->loop);
        pass(test, rng_below(&rng, UINT64_C(1) << rng_below(&rng, 12)));
        uint64_t now_ms = loop_now_ms(test->loop);
        for (size_t i = 0; i < COUNT; i++) {
            uint64_t due_ms = probes[i].started_ms + probes[i].delay_ms;
            bool fired = running[i] && probes[i].fired == 1;
            assert_int_equal(timer_running(&probes[i].timer), running[i] && !fired);
            if (fired)
                assert_true(now_ms >= due_ms && probes[i].fired_ms > before_ms);
            else if (running[i])
                assert_true(now_ms < due_ms + TIMER_TICK_MS + 1);
            running[i] = running[i] && !fired;
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        timer_stop(&probes[i].timer);
    free(probes);
}

static void timers_fire_in_the_order_of_their_ticks(void **state)
{
    struct wheel_test *test = *state;
    struct probe late = {.fired = 0}, early = {.fired = 0}, middle = {.fired = 0};
    start(&late, test, 1000);
    start(&early, test, 10);
    start(&middle, test, 400);
    pass(test, 9);
    assert_int_equal(early.fired, 0);
    pass(test, 9);
    assert_int_equal(early.fired, 1);
    pass(test, 391);
    assert_int_equal(middle.fired, 1);
    assert_int_equal(late.fired, 0);
    pass(test, 10 * HOUR_MS);
    assert_int_equal(late.fired, 1);
}

static void a_started_timer_moves_and_delays_are_cut(void **state)
{
    struct wheel_test *test = *state;
    struct probe probe = {.fired = 0};
    start(&probe, test, 100);
    start(&probe, test, 2 * HOUR_MS);
    pass(test, HOUR_MS);
    assert_int_equal(probe.fired, 0);
    start(&probe, test, UINT64_MAX);
    pass(test, TIMER_MAX_MS - 1);
    assert_int_equal(probe.fired, 0);
    pass(test, 1 + TIMER_TICK_MS);
    assert_int_equal(probe.fired, 1);
    assert_false(timer_running(&probe.timer));
    timer_stop(&probe.timer);
}

/* An idle wheel asks for no wake-up; a timer, however distant, for one. */
static void the_wheel_sleeps(void **state)
{
    struct wheel_test *test = *state;
    assert_true(timer_wheel_next_ms(test->loop) == UINT64_MAX);
    struct probe probe = {.fired = 0};
    for (uint64_t delay_ms = 1; delay_ms <= 48 * HOUR_MS; delay_ms += delay_ms / 3 + 1) {
        probe.fired = 0;
        start(&probe, test, delay_ms);
        pass(test, timer_wheel_next_ms(test->loop) - loop_now_ms(test->loop));
        assert_int_equal(probe.fired, 1);
    }
    assert_true(timer_wheel_next_ms(test->loop) == UINT64_MAX);
    start(&probe, test, HOUR_MS);
    assert_true(timer_wheel_next_ms(test->loop) <= loop_now_ms(test->loop) + HOUR_MS + TIMER_TICK_MS);
    timer_stop(&probe.timer);
    assert_true(timer_wheel_next_ms(test->loop) == UINT64_MAX);
}

/* However many wait in a slot, the loop wakes for the first of them, or where the slot begins. */
static void a_crowded_slot_wakes_in_time(void **state)
{
    struct wheel_test *test = *state;
    enum { COUNT = 40 };
    struct probe probes[COUNT] = {{.fired = 0}};
    pass(test, TIMER_TICK_MS);
    for (int i = 0; i < COUNT; i++)
        start(&probes[i], test, (uint64_t)(TIMER_SLOTS * 3 / 2 + COUNT - i) * TIMER_TICK_MS);
    const uint64_t first_ms = probes[COUNT - 1].started_ms + probes[COUNT - 1].delay_ms;
    while (probes[COUNT - 1].fired == 0) {
        assert_true(timer_wheel_next_ms(test->loop) <= first_ms + TIMER_TICK_MS);
        pass(test, timer_wheel_next_ms(test->loop) - loop_now_ms(test->loop));
    }
    assert_int_equal(probes[0].fired, 0);
    for (int i = 0; i < COUNT; i++)
        timer_stop(&probes[i].timer);
}

struct chain {
    struct timer timer;
    struct chain *victim;   /* stopped by this one */
    struct chain *restarts; /* started anew by this one */
    struct loop *loop;
    bool frees_itself;
    int *fired;
};

static void act(struct timer *timer)
{
    struct chain *chain = container_of(timer, struct chain, timer);
    ++*chain->fired;
    if (chain->victim != NULL)
        timer_stop(&chain->victim->timer);
    if (chain->restarts != NULL) {
        timer_start(chain->loop, &chain->restarts->timer, 0, act);
        chain->restarts = NULL;
    }
    if (chain->frees_itself)
        free(chain);
}

static void a_firing_timer_may_stop_restart_and_free(void **state)
{
    struct wheel_test *test = *state;
    int fired[4] = {0};
    struct chain victim = {.loop = test->loop, .fired = &fired[0]};
    struct chain moved = {.loop = test->loop, .fired = &fired[1]};
    struct chain self = {.loop = test->loop, .fired = &fired[2]};
    struct chain *freed = object_zalloc(sizeof *freed);
    *freed = (struct chain){.loop = test->loop, .fired = &fired[3], .frees_itself = true};
    self.victim = &victim;
    self.restarts = &self;
    freed->restarts = &moved;
    timer_start(test->loop, &self.timer, 50, act); /* all in one slot, in this order */
    timer_start(test->loop, &freed->timer, 50, act);
    timer_start(test->loop, &victim.timer, 50, act);
    timer_start(test->loop, &moved.timer, 50, act);
    pass(test, 60);
    pass(test, TIMER_TICK_MS);
    assert_int_equal(fired[0], 0);
    assert_int_equal(fired[1], 1);
    assert_int_equal(fired[2], 2);
    assert_int_equal(fired[3], 1);
    assert_true(timer_wheel_next_ms(test->loop) == UINT64_MAX);
}

struct real {
    struct timer timer;
    struct loop_rig *rig;
    uint64_t due_ms;
    int rounds;
    int early;
    int done;
};

static void tick(struct timer *timer)
{
    struct real *real = container_of(timer, struct real, timer);
    if (clock_mono_ms(clock_system()) < real->due_ms)
        real->early++;
    if (++real->rounds == 5) {
        loop_rig_bump(real->rig, &real->done);
        return;
    }
    real->due_ms = loop_now_ms(real->rig->loop) + 12;
    timer_start(real->rig->loop, timer, 12, tick);
}

static void start_real(void *arg)
{
    struct real *real = arg;
    timer_start(real->rig->loop, &real->timer, 1, tick);
}

static void a_sleeping_loop_is_woken_by_its_wheel(void **state)
{
    (void)state;
    struct loop_rig rig;
    loop_rig_start(&rig);
    struct real real = {.rig = &rig};
    loop_rig_call(&rig, start_real, &real);
    loop_rig_wait(&rig, &real.done, 1);
    loop_rig_stop(&rig);
    assert_int_equal(real.rounds, 5);
    assert_int_equal(real.early, 0);
}

static void finish_real(struct timer *timer)
{
    struct real *real = container_of(timer, struct real, timer);
    loop_rig_bump(real->rig, &real->done);
}

static void outlast_a_timer(void *arg)
{
    struct real *real = arg;
    timer_start(real->rig->loop, &real->timer, 1, finish_real);
    uint64_t until_ms = real->timer.due_ms + 2 * TIMER_TICK_MS;
    while (clock_mono_ms(clock_system()) < until_ms) {
    }
}

/* Due before the loop gets to sleep: it must not sleep then. */
static void a_timer_may_come_due_within_the_turn_that_starts_it(void **state)
{
    (void)state;
    struct loop_rig rig;
    loop_rig_start(&rig);
    struct real real = {.rig = &rig};
    loop_rig_call(&rig, outlast_a_timer, &real);
    loop_rig_wait(&rig, &real.done, 1);
    loop_rig_stop(&rig);
}

/* Long beside what a machine under load takes to let a loop come to sleep. */
#define LONG_MS 2000
#define SHORT_MS 1000

/* What the alarm is set for when the loop has come to sleep, twice. */
struct sleeper {
    struct real late;
    struct real soon;
    struct loop_rig *rig;
    uint64_t alarm_ms;
};

static void start_late(void *arg)
{
    struct sleeper *sleeper = arg;
    timer_start(sleeper->rig->loop, &sleeper->late.timer, LONG_MS, finish_real);
    sleeper->late.due_ms = loop_now_ms(sleeper->rig->loop) + LONG_MS;
}

static void start_soon(void *arg)
{
    struct sleeper *sleeper = arg;
    timer_start(sleeper->rig->loop, &sleeper->soon.timer, SHORT_MS, finish_real);
    sleeper->soon.due_ms = loop_now_ms(sleeper->rig->loop) + SHORT_MS;
}

static void read_alarm(void *arg)
{
    struct sleeper *sleeper = arg;
    sleeper->alarm_ms = sleeper->rig->loop->alarm.at_ms;
}

/* Whether it has come to sleep, with the alarm set for that timer, before that was due. */
static bool await_alarm(struct sleeper *sleeper, struct real *real)
{
    do {
        loop_rig_call(sleeper->rig, read_alarm, sleeper);
        if (sleeper->alarm_ms >= real->due_ms && sleeper->alarm_ms <= real->due_ms + TIMER_TICK_MS)
            return true;
    } while (loop_rig_read(sleeper->rig, &real->done) == 0);
    return false;
}

/* Woken in between, it has the alarm go on; only for an earlier timer it is set anew, and after that for the one before. */
static void a_long_sleep_is_ended_by_the_alarm(void **state)
{
    (void)state;
    struct loop_rig rig;
    loop_rig_start(&rig);
    struct sleeper sleeper = {.rig = &rig, .late = {.rig = &rig}, .soon = {.rig = &rig}};
    loop_rig_call(&rig, start_late, &sleeper);
    assert_true(await_alarm(&sleeper, &sleeper.late));
    const uint64_t set_ms = sleeper.alarm_ms;
    loop_rig_turns(&rig);
    loop_rig_call(&rig, read_alarm, &sleeper);
    assert_int_equal(sleeper.alarm_ms, set_ms);
    loop_rig_call(&rig, start_soon, &sleeper);
    assert_true(sleeper.soon.due_ms + TIMER_TICK_MS >= set_ms || await_alarm(&sleeper, &sleeper.soon));
    loop_rig_wait(&rig, &sleeper.soon.done, 1);
    assert_true(await_alarm(&sleeper, &sleeper.late));
    loop_rig_wait(&rig, &sleeper.late.done, 1);
    const uint64_t now_ms = clock_mono_ms(clock_system());
    loop_rig_stop(&rig);
    assert_true(now_ms >= sleeper.late.due_ms && now_ms >= sleeper.soon.due_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_timer_fires_on_time_whatever_its_delay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timers_agree_with_a_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_ticks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_started_timer_moves_and_delays_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_wheel_sleeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crowded_slot_wakes_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_firing_timer_may_stop_restart_and_free, set_up, tear_down),
        cmocka_unit_test(a_sleeping_loop_is_woken_by_its_wheel),
        cmocka_unit_test(a_timer_may_come_due_within_the_turn_that_starts_it),
        cmocka_unit_test(a_long_sleep_is_ended_by_the_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
