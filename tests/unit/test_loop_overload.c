/* A loop that can't keep up: it knows for how long what is ready has waited, and its listener takes fewer new ones at a time. */
#include "base/object.h"
#include "loop/listener.h"
#include "loop/turnstile.h"
#include "unit/loop_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTIONS 300
#define LAG_MS 10
#define SLOW_TURNS 8
#define TURNS_MAX 100

/* Everything on the main thread, with a clock that moves when told: what a turn takes is a number. */
struct crowd {
    struct clock_manual clock;
    struct loop *loop;
    struct listener *listener;
    int fds[CONNECTIONS];
    struct stream *streams[CONNECTIONS];
    int accepted;
    int in_turn[TURNS_MAX]; /* accepted in each turn that accepted any */
    int turns;
    int slow_turns; /* turns that take long */
    int heard;
    uint64_t lag_of_first;           /* as the second turn that heard something began */
    struct listener *other_listener; /* whose connections are no crowd */
    int other_fd;
    struct stream *other;
    int heard_before; /* of the crowd, when the other was heard */
    struct loop_task turn_end;
    void (*on_all)(struct crowd *crowd);
    bool with_other;
    struct turnstile *turnstile;
    struct turnstile_pass *others; /* other loops, which have the turnstile's place until the other is heard */
};

static void on_data(void *owner, struct bytes data)
{
    struct crowd *crowd = owner;
    (void)data;
    if (crowd->others != NULL && crowd->heard == 0)
        petrel_assert(send(crowd->other_fd, "x", 1, MSG_NOSIGNAL) == 1);
    if (++crowd->heard == 33)
        crowd->lag_of_first = loop_lag_ms(crowd->loop);
    clock_manual_advance(&crowd->clock, 1);
    if (crowd->heard < CONNECTIONS)
        return;
    for (int i = 0; i < CONNECTIONS; i++)
        stream_close(crowd->streams[i]);
    loop_stop(crowd->loop);
}

static void on_end(void *owner, int status)
{
    (void)owner;
    (void)status;
}

static void on_closed(void *owner)
{
    (void)owner;
}

static const struct stream_ops ops = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void on_turn_end(struct loop_task *task)
{
    struct crowd *crowd = container_of(task, struct crowd, turn_end);
    if (crowd->turns++ < crowd->slow_turns)
        clock_manual_advance(&crowd->clock, LAG_MS + 1);
    petrel_assert(crowd->turns < TURNS_MAX);
    if (crowd->accepted == CONNECTIONS)
        crowd->on_all(crowd);
}

static void on_accept(void *ctx, struct stream *stream)
{
    struct crowd *crowd = ctx;
    stream_attach(stream, &ops, crowd);
    crowd->streams[crowd->accepted++] = stream;
    crowd->in_turn[crowd->turns]++;
    loop_at_turn_end(crowd->loop, &crowd->turn_end);
}

static void on_other_data(void *owner, struct bytes data)
{
    struct crowd *crowd = owner;
    (void)data;
    crowd->heard_before = crowd->heard;
    stream_close(crowd->other);
    if (crowd->others != NULL)
        turnstile_leave(crowd->others);
}

static const struct stream_ops other_ops = {.on_data = on_other_data, .on_end = on_end, .on_closed = on_closed};

static void on_other(void *ctx, struct stream *stream)
{
    struct crowd *crowd = ctx;
    crowd->other = stream;
    stream_attach(stream, &other_ops, crowd);
    listener_close(&crowd->other_listener);
}

static void on_let_in(void *ctx)
{
    (void)ctx;
}

static void run(struct crowd *crowd, uint32_t lag_ms)
{
    clock_manual_init(&crowd->clock, 1000, 1700000000000);
    crowd->turn_end.run = on_turn_end;
    struct loop_config loop_config = {.clock = &crowd->clock.clock, .crowds = crowd->turnstile};
    assert_int_equal(loop_new(&crowd->loop, &loop_config), 0);
    if (crowd->turnstile != NULL) {
        crowd->others = turnstile_join(crowd->turnstile, crowd->loop, on_let_in, NULL);
        assert_true(turnstile_enter(crowd->others));
    }
    struct listener_config config = {.host = "127.0.0.1", .crowd = true, .lag_ms = lag_ms};
    assert_int_equal(listener_open(&crowd->listener, crowd->loop, &config, on_accept, crowd), 0);
    if (crowd->with_other) {
        config.crowd = false;
        assert_int_equal(listener_open(&crowd->other_listener, crowd->loop, &config, on_other, crowd), 0);
        crowd->other_fd = loop_rig_connect(listener_port(crowd->other_listener));
    }
    for (int i = 0; i < CONNECTIONS; i++)
        crowd->fds[i] = loop_rig_connect(listener_port(crowd->listener));
    loop_run(crowd->loop);
    assert_int_equal(crowd->accepted, CONNECTIONS);
}

static void end(struct crowd *crowd)
{
    turnstile_part(&crowd->others);
    loop_free(&crowd->loop);
    turnstile_free(&crowd->turnstile);
    for (int i = 0; i < CONNECTIONS; i++)
        (void)close(crowd->fds[i]);
}

static void all_leave(struct crowd *crowd)
{
    listener_close(&crowd->listener);
    for (int i = 0; i < CONNECTIONS; i++)
        stream_close(crowd->streams[i]);
    loop_stop(crowd->loop);
}

static void long_turns_make_fewer_accepts(void **state)
{
    (void)state;
    static const int expected[] = {64, 32, 16, 8,  4,  2,  1,  1,  1,  2,  3,  4,  5, 6,
                                   7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 1};
    struct crowd crowd = {.slow_turns = SLOW_TURNS, .on_all = all_leave};
    run(&crowd, LAG_MS);
    assert_int_equal(crowd.turns, sizeof expected / sizeof expected[0]);
    for (int i = 0; i < crowd.turns; i++)
        assert_int_equal(crowd.in_turn[i], expected[i]);
    end(&crowd);
}

static void without_a_bound_turns_are_as_long_as_they_are(void **state)
{
    (void)state;
    struct crowd crowd = {.slow_turns = SLOW_TURNS, .on_all = all_leave};
    run(&crowd, 0);
    assert_int_equal(crowd.turns, 5);
    assert_int_equal(crowd.in_turn[3], 64);
    end(&crowd);
}

static void all_speak(struct crowd *crowd)
{
    listener_close(&crowd->listener);
    for (int i = 0; i < CONNECTIONS; i++)
        petrel_assert(send(crowd->fds[i], "x", 1, MSG_NOSIGNAL) == 1);
}

/* A turn serves 32 sockets. The others have waited for it, and for their own. */
static void who_is_served_in_the_next_turn_has_waited_for_both(void **state)
{
    (void)state;
    struct crowd crowd = {.on_all = all_speak};
    run(&crowd, 0);
    assert_int_equal(crowd.heard, CONNECTIONS);
    assert_int_equal(crowd.lag_of_first, 32);
    assert_int_equal(loop_lag_ms(crowd.loop), CONNECTIONS);
    end(&crowd);
}

static void all_speak_and_the_other_last(struct crowd *crowd)
{
    all_speak(crowd);
    petrel_assert(send(crowd->other_fd, "x", 1, MSG_NOSIGNAL) == 1);
}

static void a_crowd_does_not_keep_others_waiting(void **state)
{
    (void)state;
    struct crowd crowd = {.on_all = all_speak_and_the_other_last, .with_other = true, .heard_before = -1};
    run(&crowd, 0);
    assert_int_equal(crowd.heard_before, 0);
    assert_int_equal(crowd.heard, CONNECTIONS);
    end(&crowd);
    (void)close(crowd.other_fd);
}

/* A turn's worth of the crowd is served before the loop knows that it is one. */
static void crowds_wait_for_those_of_other_loops(void **state)
{
    (void)state;
    struct crowd crowd = {.on_all = all_speak, .with_other = true, .heard_before = -1, .turnstile = turnstile_new(1)};
    run(&crowd, 0);
    assert_int_equal(crowd.heard_before, 32);
    assert_int_equal(crowd.heard, CONNECTIONS);
    end(&crowd);
    (void)close(crowd.other_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_turns_make_fewer_accepts),
        cmocka_unit_test(without_a_bound_turns_are_as_long_as_they_are),
        cmocka_unit_test(who_is_served_in_the_next_turn_has_waited_for_both),
        cmocka_unit_test(a_crowd_does_not_keep_others_waiting),
        cmocka_unit_test(crowds_wait_for_those_of_other_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
