/* What sessions cost: bytes while they are idle, nothing left when they are gone, no allocation to deliver to them. */
#include "base/slab.h"
#include "unit/alloc_count.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSIONS 8000U
#define BYTES_PER_SESSION 160U
/* Blocks that are begun and not full, and tables that grow with the sessions. */
#define BYTES_BESIDE (8U * SLAB_BLOCK_BYTES)
#define ROUNDS 500U
#define BURST 20U

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

struct allocated {
    unsigned long calls;
    size_t bytes;
};

static void do_read_allocated(struct rig *rig, void *arg)
{
    (void)rig;
    *(struct allocated *)arg = (struct allocated){alloc_count_calls(), alloc_count_bytes()};
}

/* On the loop. */
static struct allocated allocated(struct rig *rig)
{
    struct allocated now;
    rig_run(rig, do_read_allocated, &now);
    return now;
}

/* Both ends of a session are descriptors of this process. */
static uint32_t sessions_that_fit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint32_t fit = limit.rlim_max < 2 * SESSIONS + 200 ? ((uint32_t)limit.rlim_max - 200) / 2 : SESSIONS;
    assert_true(fit >= 400);
    return fit;
}

static void go_live_as(struct client *client, struct rig *rig, uint32_t number)
{
    char user[16], device[16];
    snprintf(user, sizeof user, "user-%08u", number);
    snprintf(device, sizeof device, "device-%08u", number);
    struct bytebuf token = {0};
    rig_token(rig, user, device, &token);
    client_open(client, rig->port);
    client_connect_as(client, (const char *)token.ptr, 1, at(0));
    bytes_reset(&token);
    struct link_call *bind = rig_take(rig, PEER_BIND);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(1000), .page = rig_page(1000, 1000)};
    rig_answer_bound(rig, bind, &bound);
    client_take(client, SESSION_CONNECTED);
}

/* A session that is live, and of this end nothing but the descriptor. */
static int hold(struct rig *rig, uint32_t number)
{
    struct client client;
    go_live_as(&client, rig, number);
    int fd = client.fd;
    client.fd = -1;
    client_close(&client);
    return fd;
}

static void idle_sessions_cost_little_and_leave_nothing(void **state)
{
    (void)state;
    uint32_t sessions = sessions_that_fit();
    int *fds = calloc(sessions, sizeof *fds);
    assert_non_null(fds);
    struct session_config config = rig_config();
    config.max_unauthenticated_per_address = sessions;
    struct rig *rig = rig_new(&config);
    int first = hold(rig, 0);
    rig_wait_sweep(rig);
    size_t before = allocated(rig).bytes;
    for (uint32_t i = 0; i < sessions; i++)
        fds[i] = hold(rig, i + 1);
    rig_wait_sweep(rig);
    size_t cost = allocated(rig).bytes - before;
    print_message("%u idle sessions: %zu bytes, %zu each\n", sessions, cost, cost / sessions);
    assert_true(cost <= (size_t)sessions * BYTES_PER_SESSION + BYTES_BESIDE);
    assert_true(cost >= (size_t)sessions * 64); /* it was counted */
    atomic_store(&rig->answers_all, true);
    for (uint32_t i = 0; i < sessions; i++)
        (void)close(fds[i]);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 1);
    rig_advance(rig, 2500);
    rig_wait_sweep(rig);
    rig_advance(rig, 2500);
    rig_wait_sweep(rig);
    assert_true(allocated(rig).bytes <= before + BYTES_BESIDE);
    (void)close(first);
    rig_free(&rig);
    free(fds);
}

struct burst {
    struct route route;
    struct buf *message;
    uint64_t first;
};

static void do_burst(struct rig *rig, void *arg)
{
    const struct burst *burst = arg;
    const struct link_server *server = &rig->link->servers[LINK_SESSION];
    for (uint64_t seq = burst->first; seq < burst->first + BURST; seq++) {
        struct peer_msg msg = {.type = PEER_DELIVER};
        msg.deliver = (struct peer_deliver){
            .route = burst->route, .position = at(seq), .prev = seq - 1, .message = burst->message};
        server->on_tell(server->ctx, &msg);
    }
}

/* Push, read, ack, and have the log note it. */
static void round_trip(struct rig *rig, struct client *client, struct burst *burst)
{
    rig_run(rig, do_burst, burst);
    for (uint64_t seq = burst->first; seq < burst->first + BURST; seq++)
        client_take_push(client, seq, seq - 1, "a message of a hundred bytes, or so");
    burst->first += BURST;
    client_ack(client, RIG_EPOCH, burst->first - 1);
    client_expect_silence(client); /* the ack was read */
    rig_advance(rig, 20);
    rig_answer(rig, rig_take(rig, PEER_ACK), 0);
}

static void delivery_allocates_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    rig_stop_clock(rig);
    struct burst burst = {.route = client_go_live(&client, rig, "phone", 0),
                          .message = rig_message("a message of a hundred bytes, or so"),
                          .first = 1};
    for (int i = 0; i < 10; i++)
        round_trip(rig, &client, &burst);
    unsigned long before = allocated(rig).calls;
    assert_true(before > 0); /* they are counted */
    for (uint32_t i = 0; i < ROUNDS; i++)
        round_trip(rig, &client, &burst);
    assert_int_equal(allocated(rig).calls, before);
    assert_int_equal(metrics_get(rig->metrics, METRIC_PUSHES), (ROUNDS + 10) * BURST);
    buf_unref(burst.message);
    client_close(&client);
    rig_free(&rig);
}

#define SLOW 50U
#define SLOW_HIGH_WATER 8192U
#define SLOW_MESSAGE 4000U
#define SLOW_MESSAGES 60U /* to each: many times what it may hold */
/* The frame that went over the mark, and the outbox. */
#define SLOW_BESIDE (SLOW_MESSAGE + 2048U)

struct slow {
    struct client client;
    struct route route;
};

static void open_slow(struct slow *slow, struct rig *rig, uint32_t number)
{
    char device[16];
    snprintf(device, sizeof device, "slow-%u", number);
    client_open_narrow(&slow->client, rig->port);
    client_connect(&slow->client, rig, device, 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    slow->route = bind->in.bind.route;
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
}

static void deliver_to_all(struct rig *rig, const struct slow *slow, uint64_t first, const char *text)
{
    for (uint64_t seq = first; seq < first + SLOW_MESSAGES; seq++) {
        for (uint32_t i = 0; i < SLOW; i++)
            rig_deliver(rig, slow[i].route, at(seq), seq - 1, text);
    }
}

/* What waits for a session is in the log, not here. */
static void who_does_not_read_costs_what_its_socket_may_hold(void **state)
{
    (void)state;
    static struct slow slow[SLOW];
    static char text[SLOW_MESSAGE + 1];
    memset(text, 'x', SLOW_MESSAGE);
    struct session_config config = rig_config();
    config.high_water_bytes = SLOW_HIGH_WATER;
    struct rig *rig = rig_new(&config);
    for (uint32_t i = 0; i < SLOW; i++)
        open_slow(&slow[i], rig, i);
    rig_wait_metric(rig, METRIC_SESSIONS, SLOW);
    const size_t before = allocated(rig).bytes;
    uint64_t next = 1;
    for (int i = 0; i < 20 && metrics_get(rig->metrics, METRIC_BEHIND) < SLOW; i++, next += SLOW_MESSAGES)
        deliver_to_all(rig, slow, next, text);
    assert_int_equal(metrics_get(rig->metrics, METRIC_BEHIND), SLOW);
    const size_t held = allocated(rig).bytes - before;
    print_message("%u sessions that do not read: %zu bytes each\n", SLOW, held / SLOW);
    assert_true(held <= SLOW * (SLOW_HIGH_WATER + SLOW_BESIDE) + BYTES_BESIDE);
    assert_true(held >= SLOW * (size_t)SLOW_MESSAGE); /* it was counted */
    deliver_to_all(rig, slow, next, text);
    assert_true(allocated(rig).bytes <= before + held);
    atomic_store(&rig->answers_all, true);
    for (uint32_t i = 0; i < SLOW; i++)
        client_close(&slow[i].client);
    rig_wait_metric(rig, METRIC_CONNECTIONS, 0);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_sessions_cost_little_and_leave_nothing),
        cmocka_unit_test(delivery_allocates_nothing),
        cmocka_unit_test(who_does_not_read_costs_what_its_socket_may_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
