/* Connects of an app and of an address, what a device may send in a second, and addresses that show bad tokens. Time is stopped, so that what is let through is a number. */
#include "base/err.h"
#include "session/session_impl.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FRAMES 100U
#define BYTES 100000U
#define SECOND_MS 1000

/* ---- connects of an app ---- */

/* The clock stands, so the meter is not filled again before it is told to go on. */
static void an_app_has_so_many_connects_a_second(void **state)
{
    (void)state;
    struct scene scene;
    struct session_config config = rig_config();
    config.app_connects_per_second = 3;
    scene_open(&scene, &config);
    rig_stop_clock(scene.rig);
    client_close(&scene.client);
    static const uint32_t own[] = {0, 2}; /* the node's 3, the app's 2 */
    for (uint64_t round = 0; round < 2; round++) {
        const uint32_t may = own[round] != 0 ? own[round] : config.app_connects_per_second;
        rig_limit_app(scene.rig, "demo", 100 + 2 * round, own[round]);
        rig_advance(scene.rig, SECOND_MS);
        for (uint32_t i = 0; i < may + 2; i++) {
            client_open(&scene.client, scene.rig->port);
            client_connect(&scene.client, scene.rig, "phone", 10 * (round + 1) + i, (struct position){0, 0});
            if (i < may) {
                struct link_call *bind = rig_take(scene.rig, PEER_BIND);
                rig_answer(scene.rig, bind, PETREL_E_REVOKED);
                client_take_error(&scene.client, SESSION_CODE_REVOKED);
            } else {
                client_take_error(&scene.client, SESSION_CODE_OVERLOADED);
            }
            client_close(&scene.client);
        }
        /* What was used is not forgotten with the next list of apps. */
        rig_limit_app(scene.rig, "demo", 101 + 2 * round, own[round]);
        client_open(&scene.client, scene.rig->port);
        client_connect(&scene.client, scene.rig, "phone", 100, (struct position){0, 0});
        client_take_error(&scene.client, SESSION_CODE_OVERLOADED);
        client_close(&scene.client);
    }
    scene_close(&scene);
}

/* ---- connects of an address ---- */

#define CONNECTS 3U /* a second */
#define HTTP_GET "GET / HTTP/1.1\r\nHost: p\r\n\r\n"
#define HEADER_OF(family, address, own) "PROXY " family " " address " " own " 51234 7400\r\n"

static struct session_config crowded(void)
{
    struct session_config config = rig_config();
    config.address_connects_per_second = CONNECTS;
    return config;
}

static void open_crowded(struct scene *scene, const char *header)
{
    struct session_config config = crowded();
    if (header != NULL)
        assert_int_equal(netaddr_set_parse("127.0.0.0/8", &config.proxy_from), 0);
    *scene = (struct scene){.rig = rig_new(&config), .header = header};
    rig_stop_clock(scene->rig);
    client_open(&scene->client, scene->rig->port);
    if (header != NULL)
        client_send_raw(&scene->client, bytes_str(header));
}

static void close_crowded(struct scene *scene)
{
    client_close(&scene->client);
    rig_free(&scene->rig);
}

/* The connection that is open is served; then there is a fresh one. */
static void expect_served(struct scene *scene)
{
    client_send_raw(&scene->client, bytes_str(HTTP_GET));
    assert_non_null(strstr(client_take_http(&scene->client), "HTTP/1.1 404 "));
    client_take_end(&scene->client);
    scene_reopen(scene);
}

/* It is told to come again after ms, whatever its token is. */
static void expect_put_off(struct scene *scene, uint32_t ms)
{
    client_connect(&scene->client, scene->rig, "phone", 1, (struct position){0, 0});
    const struct session_frame *frame = client_take(&scene->client, SESSION_ERROR);
    assert_int_equal(frame->error.code, SESSION_CODE_OVERLOADED);
    assert_int_equal(frame->error.backoff_ms, ms);
    client_take_end(&scene->client);
    rig_expect_no_call(scene->rig);
    scene_reopen(scene);
}

static void an_address_has_so_many_connects_a_second(void **state)
{
    (void)state;
    struct scene scene;
    open_crowded(&scene, NULL);
    for (int second = 0; second < 3; second++) {
        for (unsigned i = 0; i < CONNECTS; i++)
            expect_served(&scene);
        /* The next one is open already, and was over the limit when it came. */
        rig_turns(scene.rig);
        rig_advance(scene.rig, SECOND_MS);
        expect_put_off(&scene, rig_config().backoff_ms);
    }
    rig_wait_metric(scene.rig, METRIC_ADDRESS_REFUSED, 3);
    rig_wait_metric(scene.rig, METRIC_OVERLOADED, 3);
    close_crowded(&scene);
}

/* Who is refused pays nothing for it, and is told in what it speaks; before TLS there is nothing to say it in. */
static void who_is_put_off_hears_it_in_its_own_words(void **state)
{
    (void)state;
    struct scene scene;
    open_crowded(&scene, NULL);
    for (unsigned i = 0; i < CONNECTS; i++)
        expect_served(&scene);
    client_send_raw(&scene.client, bytes_str(HTTP_GET));
    const char *answer = client_take_http(&scene.client);
    assert_non_null(strstr(answer, "HTTP/1.1 503 "));
    assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
    assert_non_null(strstr(answer, "\"status\":\"UNAVAILABLE\""));
    client_take_end(&scene.client);
    scene_reopen(&scene);
    client_send_raw(&scene.client, bytes_str("\x16\x03\x01"));
    client_take_end(&scene.client);
    scene_reopen(&scene);
    client_send_raw(&scene.client, bytes_str("x"));
    client_take_error(&scene.client, SESSION_CODE_OVERLOADED);
    rig_wait_metric(scene.rig, METRIC_OVERLOADED, 3);
    rig_advance(scene.rig, SECOND_MS);
    scene_reopen(&scene);
    expect_served(&scene);
    close_crowded(&scene);
}

static void behind_a_proxy_each_address_has_its_connects(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool is_same; /* as the one before */
    } steps[] = {
        {HEADER_OF("TCP4", "203.0.113.7", "192.0.2.1"), false},
        {HEADER_OF("TCP4", "203.0.113.8", "192.0.2.1"), false},
        {HEADER_OF("TCP6", "2001:db8:0:1::1", "2001:db8::2"), false},
        {HEADER_OF("TCP6", "2001:db8:0:1:ff::9", "2001:db8::2"), true},
        {HEADER_OF("TCP6", "2001:db8:0:2::1", "2001:db8::2"), false},
        {"PROXY UNKNOWN\r\n", false}, /* the proxy itself */
    };
    struct scene scene;
    open_crowded(&scene, steps[0].header);
    for (size_t step = 0; step < sizeof steps / sizeof steps[0]; step++) {
        scene.header = steps[step].header;
        if (step > 0)
            scene_reopen(&scene);
        for (unsigned i = 0; i < CONNECTS && !steps[step].is_same; i++)
            expect_served(&scene);
        expect_put_off(&scene, rig_config().backoff_ms);
    }
    close_crowded(&scene);
}

/* ---- floods ---- */

static void open_live(struct scene *scene, struct route *route)
{
    struct session_config config = rig_config();
    config.max_frames_per_second = FRAMES;
    config.max_bytes_per_second = BYTES;
    scene_open(scene, &config);
    rig_stop_clock(scene->rig);
    client_close(&scene->client);
    *route = client_go_live(&scene->client, scene->rig, "phone", 0);
    rig_advance(scene->rig, SECOND_MS);
}

static void put_pings(struct bytebuf *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        session_encode_ping(out, i);
}

static void take_pongs(struct client *client, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(client_take(client, SESSION_PONG)->echo, i);
}

static void expect_too_fast(struct scene *scene)
{
    client_take_error(&scene->client, SESSION_CODE_TOO_FAST);
    rig_answer(scene->rig, rig_take(scene->rig, PEER_UNBIND), 0);
}

static void as_many_frames_as_allowed_are_served_each_second(void **state)
{
    (void)state;
    struct scene scene;
    struct route route;
    struct bytebuf pings = {0};
    open_live(&scene, &route);
    put_pings(&pings, FRAMES);
    for (int second = 0; second < 3; second++) {
        client_send(&scene.client, bytes_view(&pings));
        take_pongs(&scene.client, FRAMES);
        rig_advance(scene.rig, SECOND_MS);
    }
    session_encode_ping(&pings, FRAMES);
    client_send(&scene.client, bytes_view(&pings));
    take_pongs(&scene.client, FRAMES);
    expect_too_fast(&scene);
    bytes_reset(&pings);
    scene_close(&scene);
}

/* Each read has little, and the session is not counted from the first on: it gets a little more, and no more than that. */
static void a_flood_in_small_pieces_ends_soon(void **state)
{
    (void)state;
    struct scene scene;
    struct route route;
    struct session_frame *frame;
    unsigned served = 0;
    open_live(&scene, &route);
    do {
        client_ping(&scene.client, served);
        frame = client_take_any(&scene.client);
        served += frame->type == SESSION_PONG;
    } while (frame->type == SESSION_PONG && served < 10 * FRAMES);
    assert_int_equal(frame->type, SESSION_ERROR);
    assert_int_equal(frame->error.code, SESSION_CODE_TOO_FAST);
    assert_in_range(served, FRAMES, FRAMES + 8);
    client_take_end(&scene.client);
    rig_answer(scene.rig, rig_take(scene.rig, PEER_UNBIND), 0);
    scene_close(&scene);
}

/* PINGs with a field that no version knows yet, and that is skipped. */
static void put_large_ping(struct bytebuf *out, uint64_t echo, uint16_t padding)
{
    const size_t at = out->len;
    session_encode_ping(out, echo);
    const uint8_t field[4] = {0x7a, (uint8_t)(0x80 | (padding & 0x7f)), (uint8_t)(0x80 | ((padding >> 7) & 0x7f)),
                              (uint8_t)(padding >> 14)};
    bytes_append(out, field, sizeof field);
    for (unsigned i = 0; i < padding; i++)
        bytes_append(out, "x", 1);
    const size_t body = out->len - at - FRAME_HEADER_BYTES;
    out->ptr[at + 1] = (uint8_t)(body >> 16);
    out->ptr[at + 2] = (uint8_t)(body >> 8);
    out->ptr[at + 3] = (uint8_t)body;
}

static void bytes_are_bounded_too(void **state)
{
    (void)state;
    struct scene scene;
    struct route route;
    struct bytebuf ping = {0};
    open_live(&scene, &route);
    put_large_ping(&ping, 7, 60000);
    for (int second = 0; second < 3; second++) {
        client_send(&scene.client, bytes_view(&ping));
        assert_int_equal(client_take(&scene.client, SESSION_PONG)->echo, 7);
        rig_advance(scene.rig, SECOND_MS);
    }
    client_send(&scene.client, bytes_view(&ping));
    assert_int_equal(client_take(&scene.client, SESSION_PONG)->echo, 7);
    client_send(&scene.client, bytes_view(&ping));
    expect_too_fast(&scene);
    bytes_reset(&ping);
    scene_close(&scene);
}

static void acks_of_what_was_sent_are_not_counted(void **state)
{
    (void)state;
    struct scene scene;
    struct route route;
    open_live(&scene, &route);
    struct bytebuf acks = {0};
    for (unsigned seq = 1; seq <= 2 * FRAMES; seq++) {
        rig_deliver(scene.rig, route, (struct position){RIG_EPOCH, seq}, seq - 1, "x");
        client_take_push(&scene.client, seq, seq - 1, "x");
        session_encode_ack(&acks, (struct position){RIG_EPOCH, seq});
    }
    client_send(&scene.client, bytes_view(&acks));
    client_expect_silence(&scene.client);
    /* The same one again acknowledges nothing. */
    acks.len = 0;
    for (unsigned i = 0; i <= FRAMES; i++)
        session_encode_ack(&acks, (struct position){RIG_EPOCH, 2 * FRAMES});
    client_send(&scene.client, bytes_view(&acks));
    client_take_error(&scene.client, SESSION_CODE_TOO_FAST);
    bytes_reset(&acks);
    scene_close(&scene);
}

/* ---- bad tokens ---- */

static struct session_config strict(void)
{
    struct session_config config = rig_config();
    config.bad_tokens_per_address = 3;
    return config;
}

static void show_bad(struct scene *scene)
{
    scene_reopen(scene);
    client_connect_token(&scene->client, "not a token");
    client_take_error(&scene->client, SESSION_CODE_TOKEN_INVALID);
}

/* Whatever the token is, the address is told to wait. */
static void expect_wait(struct scene *scene, uint32_t ms)
{
    scene_reopen(scene);
    client_connect(&scene->client, scene->rig, "phone", 1, (struct position){0, 0});
    const struct session_frame *frame = client_take(&scene->client, SESSION_ERROR);
    assert_int_equal(frame->error.code, SESSION_CODE_OVERLOADED);
    assert_int_equal(frame->error.backoff_ms, ms);
    client_take_end(&scene->client);
    rig_expect_no_call(scene->rig);
}

/* A good token is let in; then the session ends. */
static void expect_in(struct scene *scene)
{
    scene_reopen(scene);
    client_connect(&scene->client, scene->rig, "phone", 1, (struct position){0, 0});
    rig_answer(scene->rig, rig_take(scene->rig, PEER_BIND), PETREL_E_REVOKED);
    client_take_error(&scene->client, SESSION_CODE_REVOKED);
}

static void an_address_with_bad_tokens_waits_longer_each_time(void **state)
{
    (void)state;
    struct scene scene;
    const struct session_config config = strict();
    scene_open(&scene, &config);
    rig_stop_clock(scene.rig);
    expect_in(&scene);
    for (int i = 0; i < 3; i++)
        show_bad(&scene); /* these are free */
    uint32_t wait_ms = 1000;
    for (int i = 0; i < 8; i++) {
        show_bad(&scene);
        expect_wait(&scene, wait_ms);
        rig_advance(scene.rig, wait_ms - 1);
        expect_wait(&scene, 1);
        rig_advance(scene.rig, 1);
        wait_ms = wait_ms < 32000 ? 2 * wait_ms : 60000;
    }
    expect_in(&scene);
    scene_close(&scene);
}

static void good_tokens_make_up_for_bad_ones_and_time_for_all(void **state)
{
    (void)state;
    const struct session_config config = strict();
    struct scene scene = {.rig = rig_new(&config)}; /* nobody else would stay for so long */
    rig_stop_clock(scene.rig);
    client_open(&scene.client, scene.rig->port);
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 3; k++)
            show_bad(&scene);
        for (int k = 0; k < 3; k++)
            expect_in(&scene);
    }
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 3; k++)
            show_bad(&scene);
        rig_advance(scene.rig, 600000);
    }
    expect_in(&scene);
    client_close(&scene.client);
    rig_free(&scene.rig);
}

static void behind_a_proxy_each_address_waits_for_itself(void **state)
{
    (void)state;
    struct session_config config = strict();
    assert_int_equal(netaddr_set_parse("127.0.0.0/8", &config.proxy_from), 0);
    struct scene scene = {.rig = rig_new(&config), .header = "PROXY TCP4 203.0.113.7 192.0.2.1 51234 7400\r\n"};
    rig_stop_clock(scene.rig);
    client_open(&scene.client, scene.rig->port);
    for (int i = 0; i < 4; i++)
        show_bad(&scene);
    expect_wait(&scene, 1000);
    scene.header = "PROXY TCP4 203.0.113.8 192.0.2.1 51234 7400\r\n";
    expect_in(&scene);
    client_close(&scene.client);
    rig_free(&scene.rig);
}

static void put_number(uint8_t address[16], uint32_t number)
{
    address[12] = (uint8_t)(number >> 24);
    address[13] = (uint8_t)(number >> 16);
    address[14] = (uint8_t)(number >> 8);
    address[15] = (uint8_t)number;
}

struct addresses {
    size_t kept;
    bool first_waits;
    bool last_waits;
    bool neighbour_waits; /* of the same IPv6 network */
    bool stranger_waits;  /* of another */
};

/* On the loop: more addresses than are kept, each with too many bad tokens; then one of IPv6. */
static void do_blame(struct rig *rig, void *arg)
{
    struct addresses *out = arg;
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff};
    for (uint32_t i = 0; i <= SESSION_PENALTY_ADDRESSES_MAX; i++) {
        put_number(address, i);
        for (int k = 0; k < 4; k++)
            session_penalty_bad(rig->role, address);
    }
    out->kept = rig->role->penalties.by_address.count;
    out->last_waits = session_penalty_wait_ms(rig->role, address) > 0;
    put_number(address, 0);
    out->first_waits = session_penalty_wait_ms(rig->role, address) > 0;
    uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [7] = 1, [15] = 1};
    for (int k = 0; k < 4; k++)
        session_penalty_bad(rig->role, ipv6);
    ipv6[8] = 7;
    out->neighbour_waits = session_penalty_wait_ms(rig->role, ipv6) > 0;
    ipv6[7] = 2;
    out->stranger_waits = session_penalty_wait_ms(rig->role, ipv6) > 0;
}

static void addresses_are_bounded_and_ipv6_is_judged_by_its_network(void **state)
{
    (void)state;
    struct scene scene;
    const struct session_config config = strict();
    struct addresses seen;
    scene_open(&scene, &config);
    rig_stop_clock(scene.rig);
    rig_run(scene.rig, do_blame, &seen);
    assert_int_equal(seen.kept, SESSION_PENALTY_ADDRESSES_MAX);
    assert_false(seen.first_waits);
    assert_true(seen.last_waits);
    assert_true(seen.neighbour_waits);
    assert_false(seen.stranger_waits);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_app_has_so_many_connects_a_second),
        cmocka_unit_test(an_address_has_so_many_connects_a_second),
        cmocka_unit_test(who_is_put_off_hears_it_in_its_own_words),
        cmocka_unit_test(behind_a_proxy_each_address_has_its_connects),
        cmocka_unit_test(as_many_frames_as_allowed_are_served_each_second),
        cmocka_unit_test(a_flood_in_small_pieces_ends_soon),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(acks_of_what_was_sent_are_not_counted),
        cmocka_unit_test(an_address_with_bad_tokens_waits_longer_each_time),
        cmocka_unit_test(addresses_are_bounded_and_ipv6_is_judged_by_its_network),
        cmocka_unit_test(behind_a_proxy_each_address_waits_for_itself),
        cmocka_unit_test(good_tokens_make_up_for_bad_ones_and_time_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
