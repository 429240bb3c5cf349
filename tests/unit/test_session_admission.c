/* More come than can be served: who waits, and where; who is refused, and when it is to come back; that nobody who is there is any
 * the worse for it. */
#include "base/err.h"
#include "session/session_window.h"
#include "unit/session_client.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MANY 32

static void connect_as(struct client *client, struct rig *rig, int number)
{
    char device[16];
    (void)snprintf(device, sizeof device, "device-%d", number);
    client_open(client, rig->port);
    client_connect(client, rig, device, 1, (struct position){0, 0});
}

static void answer_live(struct rig *rig, struct link_call *bind)
{
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, 0}, .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
}

/* A rig whose clock stands, and a session that watches. */
static struct rig *open_rig(const struct session_config *config, struct client *bystander)
{
    struct rig *rig = rig_new_untold(config);
    rig_stop_clock(rig);
    rig_tell_app(rig, "demo", 1);
    (void)client_go_live(bystander, rig, "bystander", 0);
    return rig;
}

static void close_rig(struct rig *rig, struct client *bystander, struct client *clients, int count)
{
    client_expect_silence(bystander);
    client_close(bystander);
    for (int i = 0; i < count; i++)
        client_close(&clients[i]);
    rig_free(&rig);
}

static int64_t window_of(const struct rig *rig)
{
    return metrics_get(rig->metrics, METRIC_BIND_WINDOW);
}

/* ---- the window ---- */

/* Have a full window of binds taken that long, and as many clients be live more; the window after it. */
static int64_t round_of_binds(struct rig *rig, struct client *clients, int *next, uint64_t took_ms)
{
    struct link_call *binds[MANY * 2];
    const int64_t size = window_of(rig);
    for (int i = 0; i < size; i++)
        connect_as(&clients[*next + i], rig, *next + i);
    for (int i = 0; i < size; i++)
        binds[i] = rig_take(rig, PEER_BIND);
    rig_advance(rig, took_ms);
    for (int i = 0; i < size; i++)
        answer_live(rig, binds[i]);
    for (int i = 0; i < size; i++)
        (void)client_take(&clients[*next + i], SESSION_CONNECTED);
    *next += (int)size;
    return window_of(rig);
}

static void binds_beyond_the_window_wait_for_their_turn(void **state)
{
    (void)state;
    struct client bystander, clients[12];
    struct rig *rig = open_rig(NULL, &bystander);
    assert_int_equal(window_of(rig), SESSION_WINDOW_MIN);
    struct link_call *binds[12];
    for (int i = 0; i < 12; i++)
        connect_as(&clients[i], rig, i);
    for (int i = 0; i < 8; i++)
        binds[i] = rig_take(rig, PEER_BIND);
    rig_expect_no_call(rig);
    /* Each answer in time makes room for the next, and for one more. */
    answer_live(rig, binds[0]);
    binds[8] = rig_take(rig, PEER_BIND);
    binds[9] = rig_take(rig, PEER_BIND);
    rig_expect_no_call(rig);
    answer_live(rig, binds[1]);
    binds[10] = rig_take(rig, PEER_BIND);
    binds[11] = rig_take(rig, PEER_BIND);
    for (int i = 2; i < 12; i++)
        answer_live(rig, binds[i]);
    for (int i = 0; i < 12; i++)
        (void)client_take(&clients[i], SESSION_CONNECTED);
    assert_int_equal(metrics_get(rig->metrics, METRIC_SESSIONS), 13);
    close_rig(rig, &bystander, clients, 12);
}

static void late_answers_shrink_the_window_once_a_round(void **state)
{
    (void)state;
    static struct client clients[MANY * 4];
    struct client bystander;
    int next = 0;
    struct rig *rig = open_rig(NULL, &bystander);
    const int64_t grown = round_of_binds(rig, clients, &next, 8);
    assert_true(grown > SESSION_WINDOW_MIN);
    assert_int_equal(round_of_binds(rig, clients, &next, 200), grown - grown / 4);
    /* Not below the least; and back up, but no longer in leaps. */
    for (int i = 0; i < 3; i++)
        assert_true(round_of_binds(rig, clients, &next, 200) >= SESSION_WINDOW_MIN);
    assert_int_equal(window_of(rig), SESSION_WINDOW_MIN);
    const int64_t after = round_of_binds(rig, clients, &next, 8);
    assert_true(after > SESSION_WINDOW_MIN - 1 && after <= SESSION_WINDOW_MIN + 4);
    close_rig(rig, &bystander, clients, next);
}

/* What a bind takes at least is the store's nature. */
static void a_slow_store_is_not_an_overloaded_one(void **state)
{
    (void)state;
    static struct client clients[MANY * 2];
    struct client bystander;
    int next = 0;
    struct rig *rig = open_rig(NULL, &bystander);
    rig_advance(rig, 30000); /* what the bystander's took is forgotten */
    const int64_t first = round_of_binds(rig, clients, &next, 200);
    assert_true(first > SESSION_WINDOW_MIN);
    assert_true(round_of_binds(rig, clients, &next, 200) > first);
    close_rig(rig, &bystander, clients, next);
}

static void a_refusal_for_want_of_room_shrinks_it_too(void **state)
{
    (void)state;
    static struct client clients[MANY];
    struct client bystander, refused;
    int next = 0;
    struct rig *rig = open_rig(NULL, &bystander);
    const int64_t grown = round_of_binds(rig, clients, &next, 8);
    connect_as(&refused, rig, 100);
    rig_answer(rig, rig_take(rig, PEER_BIND), PETREL_E_BUSY);
    client_take_error(&refused, SESSION_CODE_OVERLOADED);
    assert_int_equal(window_of(rig), grown - grown / 4);
    assert_int_equal(metrics_get(rig->metrics, METRIC_OVERLOADED), 1);
    client_close(&refused);
    close_rig(rig, &bystander, clients, next);
}

/* One gives up while it waits, another has waited for long enough. */
static void who_waits_may_leave_and_need_not_wait_for_ever(void **state)
{
    (void)state;
    struct client bystander, clients[11];
    struct rig *rig = open_rig(NULL, &bystander);
    struct link_call *binds[8];
    for (int i = 0; i < 11; i++)
        connect_as(&clients[i], rig, i);
    for (int i = 0; i < 8; i++)
        binds[i] = rig_take(rig, PEER_BIND);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 12);
    rig_expect_no_call(rig);
    client_close(&clients[8]);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 11);
    rig_advance(rig, 10100);
    client_take_error(&clients[9], SESSION_CODE_OVERLOADED);
    client_take_error(&clients[10], SESSION_CODE_OVERLOADED);
    for (int i = 0; i < 8; i++)
        answer_live(rig, binds[i]);
    for (int i = 0; i < 8; i++)
        (void)client_take(&clients[i], SESSION_CONNECTED);
    rig_expect_no_call(rig);
    close_rig(rig, &bystander, clients, 11);
}

/* ---- handshakes ---- */

static void open_silent(struct client *clients, int count, struct rig *rig)
{
    for (int i = 0; i < count; i++)
        client_open(&clients[i], rig->port);
}

static void handshakes_are_bounded_and_the_rest_waits_outside(void **state)
{
    (void)state;
    struct client bystander, clients[6];
    struct session_config config = rig_config();
    config.max_handshakes = 4;
    struct rig *rig = open_rig(&config, &bystander);
    for (int i = 0; i < 4; i++)
        connect_as(&clients[i], rig, i);
    struct link_call *binds[6];
    for (int i = 0; i < 4; i++)
        binds[i] = rig_take(rig, PEER_BIND);
    rig_wait_metric(rig, METRIC_ADMISSION_HELD, 1);
    for (int i = 4; i < 6; i++)
        connect_as(&clients[i], rig, i);
    rig_expect_no_call(rig);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CONNECTIONS), 5);
    client_expect_silence(&bystander);
    for (int i = 0; i < 4; i++)
        answer_live(rig, binds[i]);
    for (int i = 4; i < 6; i++)
        answer_live(rig, rig_take(rig, PEER_BIND));
    for (int i = 0; i < 6; i++)
        (void)client_take(&clients[i], SESSION_CONNECTED);
    assert_int_equal(metrics_get(rig->metrics, METRIC_ADMISSION_HELD), 0);
    assert_int_equal(metrics_get(rig->metrics, METRIC_OVERLOADED), 0);
    close_rig(rig, &bystander, clients, 6);
}

/* The door is pressed for as long as others wait: that ends, and begins again as they come in. */
static void advance_by_steps(struct rig *rig, uint64_t ms)
{
    for (int i = 0; i < 20; i++)
        rig_advance(rig, ms / 20);
}

/* Sockets that say nothing keep others out for a quarter of their time; while nobody waits they have all of it. */
static void silent_sockets_make_room_for_those_outside(void **state)
{
    (void)state;
    struct client bystander, silent[4], more[2], phone;
    struct session_config config = rig_config();
    config.max_handshakes = 4;
    struct rig *rig = open_rig(&config, &bystander);
    open_silent(silent, 4, rig);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 5);
    open_silent(more, 2, rig);
    connect_as(&phone, rig, 1);
    rig_advance(rig, 2400);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CONNECTIONS), 5);
    advance_by_steps(rig, 200);
    for (int i = 0; i < 4; i++)
        client_take_error(&silent[i], SESSION_CODE_CONNECT_TIMEOUT);
    answer_live(rig, rig_take(rig, PEER_BIND));
    (void)client_take(&phone, SESSION_CONNECTED);
    for (int i = 0; i < 4; i++)
        client_close(&silent[i]);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 4);
    advance_by_steps(rig, 5000);
    assert_int_equal(metrics_get(rig->metrics, METRIC_CONNECTIONS), 4);
    advance_by_steps(rig, 5000);
    for (int i = 0; i < 2; i++) {
        client_take_error(&more[i], SESSION_CODE_CONNECT_TIMEOUT);
        client_close(&more[i]);
    }
    close_rig(rig, &bystander, &phone, 1);
}

/* ---- refusals ---- */

static void short_memory_refuses_who_connects_and_nobody_else(void **state)
{
    (void)state;
    struct client bystander, refused, phone;
    atomic_bool is_short;
    atomic_init(&is_short, false);
    struct session_config config = rig_config();
    config.memory_short = &is_short;
    struct rig *rig = open_rig(&config, &bystander);
    atomic_store(&is_short, true);
    client_open(&refused, rig->port);
    client_take_error(&refused, SESSION_CODE_OVERLOADED);
    client_close(&refused);
    client_expect_silence(&bystander);
    atomic_store(&is_short, false);
    connect_as(&phone, rig, 1);
    answer_live(rig, rig_take(rig, PEER_BIND));
    (void)client_take(&phone, SESSION_CONNECTED);
    close_rig(rig, &bystander, &phone, 1);
}

#define REFUSED 100
#define SLOT_MS 50 /* as many a second as are let in at least */

/* The n-th is told to come back after those before it could have been let in, and each at a moment of its own. */
static void refused_clients_come_back_one_by_one(void **state)
{
    (void)state;
    struct client bystander;
    struct session_config config = rig_config();
    config.max_sessions = 1;
    struct rig *rig = open_rig(&config, &bystander);
    const uint32_t least_ms = config.backoff_ms;
    uint32_t first_ms = 0, same = 0;
    for (uint32_t i = 0; i < REFUSED; i++) {
        struct client client;
        client_open(&client, rig->port);
        const uint32_t told_ms = client_take(&client, SESSION_ERROR)->error.backoff_ms;
        assert_in_range(told_ms, least_ms + i * SLOT_MS, least_ms + i * SLOT_MS + least_ms);
        first_ms = i == 0 ? told_ms : first_ms;
        same += told_ms == first_ms + i * SLOT_MS;
        client_close(&client);
    }
    assert_true(same < REFUSED / 2); /* there is chance in it */
    /* Those moments have passed: the next waits no longer than the first. */
    rig_advance(rig, REFUSED * SLOT_MS + 100);
    struct client client;
    client_open(&client, rig->port);
    assert_in_range(client_take(&client, SESSION_ERROR)->error.backoff_ms, least_ms, 2 * least_ms);
    close_rig(rig, &bystander, &client, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_beyond_the_window_wait_for_their_turn),
        cmocka_unit_test(late_answers_shrink_the_window_once_a_round),
        cmocka_unit_test(a_slow_store_is_not_an_overloaded_one),
        cmocka_unit_test(a_refusal_for_want_of_room_shrinks_it_too),
        cmocka_unit_test(who_waits_may_leave_and_need_not_wait_for_ever),
        cmocka_unit_test(handshakes_are_bounded_and_the_rest_waits_outside),
        cmocka_unit_test(silent_sockets_make_room_for_those_outside),
        cmocka_unit_test(short_memory_refuses_who_connects_and_nobody_else),
        cmocka_unit_test(refused_clients_come_back_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
