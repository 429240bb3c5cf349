/* Sockets that are full: what is written to them stays bounded, nothing is lost, nobody else is held up. */
#include "base/err.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct position at(uint64_t seq)
{
    return (struct position){RIG_EPOCH, seq};
}

/* The FETCH that a session asks from `seq` on, answered by page, whose entries are given back. */
static void answer_fetch(struct rig *rig, uint64_t seq, struct peer_page *page)
{
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    assert_int_equal(fetch->in.fetch.position.epoch, RIG_EPOCH);
    assert_int_equal(fetch->in.fetch.position.seq, seq);
    assert_true(fetch->in.fetch.max_entries > 0 && fetch->in.fetch.max_entries <= PEER_PAGE_MAX);
    rig_answer_page(rig, fetch, page);
    rig_page_free(page);
}

/* ---- behind for want of room ---- */

#define BIG_BYTES 60000

static char *big_text(void)
{
    char *text = malloc(BIG_BYTES + 1);
    assert_non_null(text);
    memset(text, 'x', BIG_BYTES);
    text[BIG_BYTES] = '\0';
    return text;
}

/* A client that reads nothing gets a bounded amount; then it is behind, and gets the rest from the log as it reads. */
static void slow_socket_is_refilled_as_it_drains(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.high_water_bytes = 1000;
    struct rig *rig = rig_new(&config);
    struct client client, other;
    struct route other_route = client_go_live(&other, rig, "other", 0);
    client_open_narrow(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    struct route route = bind->in.bind.route;
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    char *text = big_text();
    uint64_t seq = 0;
    while (metrics_get(rig->metrics, METRIC_BEHIND) == 0) {
        assert_true(seq < 2000);
        seq++;
        rig_deliver(rig, route, at(seq), seq - 1, text);
    }
    uint64_t pushed = (uint64_t)metrics_get(rig->metrics, METRIC_PUSHES);
    assert_int_equal(pushed, seq - 1);
    /* No more is written, however much comes. */
    for (int i = 0; i < 20; i++) {
        seq++;
        rig_deliver(rig, route, at(seq), seq - 1, text);
    }
    assert_int_equal(metrics_get(rig->metrics, METRIC_PUSHES), pushed);
    rig_expect_no_call(rig);
    /* Nobody else is held up. */
    rig_deliver(rig, other_route, at(1), 0, "meanwhile");
    client_take_push(&other, 1, 0, "meanwhile");
    client_take(&client, SESSION_CONNECTED);
    for (uint64_t i = 1; i <= pushed; i++)
        client_take_push(&client, i, i - 1, text);
    struct peer_page page = rig_page(seq, seq);
    rig_page_add(&page, seq, "the last");
    answer_fetch(rig, pushed, &page);
    client_take_push(&client, seq, pushed, "the last");
    rig_deliver(rig, route, at(seq + 1), seq, "and on");
    client_take_push(&client, seq + 1, seq, "and on");
    free(text);
    client_close(&client);
    client_close(&other);
    rig_free(&rig);
}

/* All in one turn: the socket is full by count before it was ever tried, and takes everything at the turn's end. */
struct burst {
    struct route route;
    struct buf *message;
    uint64_t count;
};

static void do_burst(struct rig *rig, void *arg)
{
    const struct burst *burst = arg;
    for (uint64_t seq = 1; seq <= burst->count; seq++) {
        struct peer_msg msg = {.type = PEER_DELIVER};
        msg.deliver = (struct peer_deliver){
            .route = burst->route, .position = at(seq), .prev = seq - 1, .message = burst->message};
        (void)link_tell(rig->link, burst->route.node, burst->route.loop, &msg);
    }
}

static void burst_of_one_turn_is_refilled_without_a_drain(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.high_water_bytes = 1000;
    struct rig *rig = rig_new(&config);
    struct client client;
    struct burst burst = {
        .route = client_go_live(&client, rig, "phone", 0), .message = rig_message("burst"), .count = 100};
    rig_run(rig, do_burst, &burst);
    uint64_t pushed = (uint64_t)metrics_get(rig->metrics, METRIC_PUSHES);
    assert_true(pushed > 0 && pushed < burst.count);
    struct peer_page page = rig_page(burst.count, burst.count);
    rig_page_add(&page, burst.count, "burst");
    answer_fetch(rig, pushed, &page);
    for (uint64_t seq = 1; seq <= pushed; seq++)
        client_take_push(&client, seq, seq - 1, "burst");
    client_take_push(&client, burst.count, pushed, "burst");
    buf_unref(burst.message);
    client_close(&client);
    rig_free(&rig);
}

static void pings_of_a_client_that_never_reads_cost_nothing(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.high_water_bytes = 1000;
    struct rig *rig = rig_new(&config);
    struct client client;
    struct route route;
    client_open_narrow(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(0));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    route = bind->in.bind.route;
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(0), .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    char *text = big_text();
    for (uint64_t seq = 1; metrics_get(rig->metrics, METRIC_BEHIND) == 0; seq++)
        rig_deliver(rig, route, at(seq), seq - 1, text);
    uint64_t pushed = (uint64_t)metrics_get(rig->metrics, METRIC_PUSHES);
    for (uint64_t echo = 1; echo <= 1000; echo++)
        client_ping(&client, echo);
    client_ack(&client, RIG_EPOCH, 1);
    rig_wait_metric(rig, METRIC_ACKS, 1);
    client_take(&client, SESSION_CONNECTED);
    for (uint64_t i = 1; i <= pushed; i++)
        client_take_push(&client, i, i - 1, text);
    /* Not one of them was queued behind the pushes. */
    client_expect_silence(&client);
    free(text);
    client_close(&client);
    rig_free(&rig);
}

/* ---- giving up ---- */

/* Take some of what has come, without waiting. */
static void read_a_little(const struct client *client)
{
    char bytes[16384];
    (void)recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

/* A slow reader is served for as long as it takes something; once it takes nothing any more it is closed, though it pings. */
static void socket_that_takes_nothing_is_closed(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.high_water_bytes = 1000;
    struct rig *rig = rig_new(&config);
    struct client client, other;
    client_go_live(&other, rig, "other", 0);
    client_open_narrow(&client, rig->port);
    client_connect(&client, rig, "phone", 1, at(0));
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = at(0), .page = rig_page(40, 40)};
    char *text = big_text();
    for (uint64_t seq = 1; seq <= 40; seq++)
        rig_page_add(&bound.page, seq, text);
    free(text);
    rig_answer_bound(rig, rig_take(rig, PEER_BIND), &bound);
    rig_page_free(&bound.page);
    for (int i = 0; i < 30; i++) {
        read_a_little(&client);
        client_ping(&client, 1);
        rig_advance(rig, 5000);
        client_expect_silence(&other);
        assert_int_equal(metrics_get(rig->metrics, METRIC_SESSIONS), 2);
    }
    for (int i = 0; i < 30 && metrics_get(rig->metrics, METRIC_SESSIONS) == 2; i++) {
        client_ping(&client, 1);
        rig_advance(rig, 5000);
        client_expect_silence(&other);
    }
    rig_wait_metric(rig, METRIC_SESSIONS, 1);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    assert_int_equal(metrics_get(rig->metrics, METRIC_HEARTBEAT_TIMEOUTS), 0);
    client_close(&client);
    client_close(&other);
    rig_free(&rig);
}

/* The agenda's round may come between a page that fills the socket by count and the flush that empties it at once. */
static void a_round_before_the_flush_does_not_end_the_refill(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.high_water_bytes = 1000;
    config.ack_delay_ms = 5000; /* the round comes when the test says so */
    struct rig *rig = rig_new(&config);
    struct client client;
    struct route route = client_go_live(&client, rig, "phone", 0);
    rig_deliver(rig, route, at(1), 0, "first");
    client_take_push(&client, 1, 0, "first");
    client_ack(&client, RIG_EPOCH, 1);
    rig_wait_metric(rig, METRIC_ACKS, 1);
    rig_deliver(rig, route, at(3), 2, "behind a hole");
    struct link_call *fetch = rig_take(rig, PEER_FETCH);
    char text[1501] = ""; /* over the mark, and yet no socket is too full for it */
    memset(text, 'x', sizeof text - 1);
    struct peer_page page = rig_page(2, 3);
    rig_page_add(&page, 2, text);
    rig_turns(rig);
    atomic_fetch_add(&rig->offset_ms, config.ack_delay_ms + 100); /* seen by the turn that takes the page */
    rig_answer_page(rig, fetch, &page);
    rig_page_free(&page);
    client_take_push(&client, 2, 1, text);
    struct link_call *next = rig_take_any(rig);
    if (next->in.type == PEER_ACK) {
        rig_answer(rig, next, 0);
        next = rig_take_any(rig);
    }
    assert_int_equal(next->in.type, PEER_FETCH);
    page = rig_page(3, 3);
    rig_page_add(&page, 3, "behind a hole");
    rig_answer_page(rig, next, &page);
    rig_page_free(&page);
    client_take_push(&client, 3, 2, "behind a hole");
    client_close(&client);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_socket_is_refilled_as_it_drains),
        cmocka_unit_test(burst_of_one_turn_is_refilled_without_a_drain),
        cmocka_unit_test(a_round_before_the_flush_does_not_end_the_refill),
        cmocka_unit_test(pings_of_a_client_that_never_reads_cost_nothing),
        cmocka_unit_test(socket_that_takes_nothing_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
