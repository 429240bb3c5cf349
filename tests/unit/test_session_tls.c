/* Devices that stand in line for a TLS handshake: how long they have, and who is let in behind them. */
#include "base/err.h"
#include "unit/session_client.h"
#include "unit/tls_peer.h"
#include "unit/tls_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define HELLO_MAX 2048
#define FOREVER_MS 600000U

struct place {
    struct tls_site site;
    struct tls_server *tls;
    struct tls_limits limits;
    struct rig *rig;
    uint8_t hello[HELLO_MAX];
    size_t hello_size;
};

static void show(struct rig *rig, void *arg)
{
    struct place *place = arg;
    tls_loop_limit(rig->loop, &place->limits, metrics_shard(rig->metrics, 0));
    session_role_set_tls(rig->role, place->tls, false);
}

static void open_place(struct place *place, struct tls_limits limits)
{
    struct session_config config = rig_config();
    config.connect_timeout_ms = 10000;
    place->rig = rig_new(&config);
    rig_stop_clock(place->rig);
    place->limits = limits;
    rig_run(place->rig, show, place);
}

static void greet(struct place *place, struct client *client)
{
    client_open(client, place->rig->port);
    client_send_raw(client, bytes_of(place->hello, place->hello_size));
}

static void expect_answer(const struct client *client)
{
    char byte;
    assert_int_equal(recv(client->fd, &byte, 1, MSG_PEEK), 1);
}

static int64_t connections(const struct place *place)
{
    return metrics_get(place->rig->metrics, METRIC_CONNECTIONS);
}

static void advance_by_steps(struct place *place, uint64_t ms)
{
    for (uint64_t i = 0; i < ms / 500; i++)
        rig_advance(place->rig, 500);
    rig_turns(place->rig);
}

/* ---- the tests ---- */

static void the_deadline_runs_from_the_turn(void **state)
{
    struct place *place = *state;
    struct client first, second;
    open_place(place, (struct tls_limits){.handshakes = 1, .wait_ms = FOREVER_MS});
    greet(place, &first);
    rig_wait_metric(place->rig, METRIC_TLS_HANDSHAKING, 1);
    greet(place, &second);
    rig_wait_metric(place->rig, METRIC_TLS_WAITING, 1);
    expect_answer(&first);
    advance_by_steps(place, 9000);
    assert_int_equal(connections(place), 2);
    advance_by_steps(place, 1500); /* the first one's time is up; the second one's would be, but it waited */
    expect_answer(&second);
    advance_by_steps(place, 2000); /* which is how long the first one has for its FIN */
    rig_wait_metric(place->rig, METRIC_CONNECTIONS, 1);
    advance_by_steps(place, 7000);
    assert_int_equal(metrics_get(place->rig->metrics, METRIC_TLS_HANDSHAKING), 1);
    advance_by_steps(place, 4000);
    rig_wait_metric(place->rig, METRIC_CONNECTIONS, 0);
    client_close(&first);
    client_close(&second);
}

static void the_line_itself_has_a_bound(void **state)
{
    struct place *place = *state;
    struct client first, second;
    open_place(place, (struct tls_limits){.handshakes = 1, .wait_ms = 4000});
    greet(place, &first);
    rig_wait_metric(place->rig, METRIC_TLS_HANDSHAKING, 1);
    greet(place, &second);
    rig_wait_metric(place->rig, METRIC_TLS_WAITING, 1);
    advance_by_steps(place, 3500);
    assert_int_equal(connections(place), 2);
    advance_by_steps(place, 1000);
    rig_wait_metric(place->rig, METRIC_CONNECTIONS, 1);
    assert_int_equal(metrics_get(place->rig->metrics, METRIC_TLS_REFUSED), 1);
    client_close(&first);
    client_close(&second);
}

/* At one handshake a second two in line are two seconds: who comes then waits in the backlog, and comes in when there are fewer. */
static void a_long_line_leaves_the_next_outside(void **state)
{
    struct place *place = *state;
    struct client clients[3], one_more, last;
    open_place(place, (struct tls_limits){.handshakes_per_second = 1, .wait_ms = FOREVER_MS});
    for (int i = 0; i < 3; i++) {
        greet(place, &clients[i]);
        rig_wait_metric(place->rig, i == 0 ? METRIC_TLS_HANDSHAKING : METRIC_TLS_WAITING, i == 0 ? 1 : i);
    }
    assert_int_equal(metrics_get(place->rig->metrics, METRIC_ADMISSION_HELD), 0);
    client_open(&one_more, place->rig->port);
    rig_wait_metric(place->rig, METRIC_ADMISSION_HELD, 1);
    client_open(&last, place->rig->port);
    rig_turns(place->rig);
    assert_int_equal(connections(place), 4);
    advance_by_steps(place, 3000);
    rig_wait_metric(place->rig, METRIC_ADMISSION_HELD, 0);
    rig_wait_metric(place->rig, METRIC_CONNECTIONS, 5);
    for (int i = 0; i < 3; i++)
        client_close(&clients[i]);
    client_close(&one_more);
    client_close(&last);
}

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    tls_site_make(&place->site);
    place->hello_size = tls_peer_hello(place->hello, sizeof place->hello);
    assert_true(place->hello_size > 0);
    place->tls = tls_site_server(&place->site, (struct tls_server_config){.compact = true});
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    rig_free(&place->rig);
    tls_server_unref(place->tls);
    tls_site_remove(&place->site);
    free(place);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_deadline_runs_from_the_turn, make_place, remove_place),
        cmocka_unit_test_setup_teardown(the_line_itself_has_a_bound, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_long_line_leaves_the_next_outside, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
