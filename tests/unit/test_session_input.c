/* What bad input, slow peers and too many of them get. A bystander is live in each rig and never notices. */
#include "base/err.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- bad bytes ---- */

static void garbage_is_told_and_closed(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    const char *const first[] = {"\x16\x03\x01", "\x10\x0c", "\xff", "\x02", "get /", "\r\n\r\n"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        client_send(&scene.client, bytes_str(first[i]));
        client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
        scene_reopen(&scene);
    }
    /* A length beyond the cap is refused before its body is awaited: an unauthenticated peer's cap is lower. */
    const uint8_t lies[][4] = {{1, 0xff, 0xff, 0xff}, {1, 0x00, 0x30, 0x01}};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        client_send(&scene.client, bytes_of(lies[i], 4));
        client_take_error(&scene.client, SESSION_CODE_FRAME_TOO_LARGE);
        scene_reopen(&scene);
    }
    scene_close(&scene);
}

static void truncated_connect_is_judged_at_every_offset(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    struct bytebuf token = {0}, whole = {0};
    rig_token(scene.rig, "ada", "phone", &token);
    struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                      .token = bytes_str((const char *)token.ptr),
                                      .attempt = 300,
                                      .position = {RIG_EPOCH, 300},
                                      .client = bytes_str("test/1")};
    session_encode_connect(&whole, &connect);
    struct bytes body = bytes_of(whole.ptr + FRAME_HEADER_BYTES, whole.len - FRAME_HEADER_BYTES);
    struct session_codec *codec = session_codec_new();
    int bound = 0;
    for (size_t len = 0; len <= body.len; len++) {
        struct frame cut = {.type = SESSION_CONNECT, .body = bytes_of(body.ptr, len)};
        struct session_frame decoded;
        client_send_frame(&scene.client, cut.type, cut.body);
        /* A body cut just behind a field is a smaller message; what it lacks then decides. */
        if (session_decode(codec, &cut, &decoded) != 0) {
            client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
        } else if (decoded.connect.version == 0) {
            client_take_error(&scene.client, SESSION_CODE_VERSION);
        } else {
            bound++;
            rig_answer(scene.rig, rig_take(scene.rig, PEER_BIND), PETREL_E_STALE);
            client_take_error(&scene.client, SESSION_CODE_STALE_ATTEMPT);
        }
        scene_reopen(&scene);
    }
    /* Behind attempt, behind position, and whole. */
    assert_int_equal(bound, 3);
    session_codec_free(&codec);
    bytes_reset(&token);
    bytes_reset(&whole);
    scene_close(&scene);
}

static void bad_frames_of_a_live_session(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    const struct {
        uint8_t type;
        const char *body;
        uint32_t code;
    } cases[] = {
        {0, "", SESSION_CODE_UNKNOWN_TYPE},
        {99, "", SESSION_CODE_UNKNOWN_TYPE},
        {255, "", SESSION_CODE_UNKNOWN_TYPE},
        {SESSION_SUBSCRIBE, "", SESSION_CODE_PROTOCOL_ERROR},
        {SESSION_UNSUBSCRIBE, "", SESSION_CODE_PROTOCOL_ERROR},
        {SESSION_EVENT, "", SESSION_CODE_UNSUPPORTED},
        {SESSION_PONG, "", SESSION_CODE_PROTOCOL_ERROR},
        {SESSION_PING, "\x09\x01", SESSION_CODE_PROTOCOL_ERROR},
        {SESSION_ACK, "", SESSION_CODE_PROTOCOL_ERROR},
        {SESSION_ACK, "\xff\xff\xff", SESSION_CODE_PROTOCOL_ERROR},
    };
    client_close(&scene.client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client_go_live(&scene.client, scene.rig, "phone", 0);
        client_send_frame(&scene.client, cases[i].type, bytes_str(cases[i].body));
        client_take_error(&scene.client, cases[i].code);
        rig_answer(scene.rig, rig_take(scene.rig, PEER_UNBIND), 0);
        client_close(&scene.client);
    }
    client_go_live(&scene.client, scene.rig, "phone", 0);
    const uint8_t oversize[] = {SESSION_PING, 0x01, 0x00, 0x01};
    client_send(&scene.client, bytes_of(oversize, sizeof oversize));
    client_take_error(&scene.client, SESSION_CODE_FRAME_TOO_LARGE);
    assert_true(metrics_get(scene.rig->metrics, METRIC_PROTOCOL_ERRORS) > (int64_t)(sizeof cases / sizeof cases[0]));
    scene_close(&scene);
}

static void frames_may_come_a_byte_at_a_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    struct bytebuf token = {0}, frames = {0};
    rig_token(scene.rig, "ada", "phone", &token);
    struct session_connect connect = {
        .version = SESSION_PROTOCOL_VERSION, .token = bytes_str((const char *)token.ptr), .attempt = 1};
    session_encode_connect(&frames, &connect);
    session_encode_ping(&frames, 5);
    for (size_t i = 0; i < frames.len; i++)
        client_send(&scene.client, bytes_of(frames.ptr + i, 1));
    assert_int_equal(client_take(&scene.client, SESSION_PONG)->echo, 5);
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, 0}, .page = rig_page(0, 0)};
    rig_answer_bound(scene.rig, rig_take(scene.rig, PEER_BIND), &bound);
    client_take(&scene.client, SESSION_CONNECTED);
    bytes_reset(&token);
    bytes_reset(&frames);
    scene_close(&scene);
}

/* ---- deadlines and caps ---- */

static void slow_connect_meets_its_deadline(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    const uint8_t part[] = {SESSION_CONNECT, 0, 0, 200, 8, 1};
    for (size_t i = 0; i < sizeof part; i++) {
        client_send(&scene.client, bytes_of(part + i, 1));
        rig_advance(scene.rig, 1000);
        client_ping(&scene.bystander, 1);
        client_take(&scene.bystander, SESSION_PONG);
    }
    rig_advance(scene.rig, 5000);
    client_take_error(&scene.client, SESSION_CODE_CONNECT_TIMEOUT);
    scene_close(&scene);
}

static void unauthenticated_sockets_are_capped(void **state)
{
    (void)state;
    for (int per_address = 0; per_address < 2; per_address++) {
        struct session_config config = rig_config();
        config.max_unauthenticated = per_address ? 100 : 3;
        config.max_unauthenticated_per_address = per_address ? 3 : 100;
        struct scene scene;
        scene_open(&scene, &config);
        struct client more[3];
        for (int i = 0; i < 2; i++)
            client_open(&more[i], scene.rig->port);
        rig_wait_metric(scene.rig, METRIC_CONNECTIONS, 4);
        client_open(&more[2], scene.rig->port);
        client_take_error(&more[2], SESSION_CODE_OVERLOADED);
        /* One that shows its token makes room for another. */
        client_close(&more[2]);
        client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
        struct link_call *bind = rig_take(scene.rig, PEER_BIND);
        client_open(&more[2], scene.rig->port);
        client_connect(&more[2], scene.rig, "tablet", 1, (struct position){0, 0});
        rig_answer(scene.rig, rig_take(scene.rig, PEER_BIND), PETREL_E_STALE);
        client_take_error(&more[2], SESSION_CODE_STALE_ATTEMPT);
        rig_answer(scene.rig, bind, PETREL_E_STALE);
        for (int i = 0; i < 3; i++)
            client_close(&more[i]);
        scene_close(&scene);
    }
}

static void sessions_are_capped(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.max_sessions = 2;
    struct scene scene;
    scene_open(&scene, &config);
    struct client other;
    client_open(&other, scene.rig->port);
    rig_wait_metric(scene.rig, METRIC_CONNECTIONS, 3);
    client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
    struct link_call *bind = rig_take(scene.rig, PEER_BIND);
    /* Accepted while there was room, refused when its CONNECT comes. */
    client_connect(&other, scene.rig, "tablet", 1, (struct position){0, 0});
    client_take_error(&other, SESSION_CODE_OVERLOADED);
    client_close(&other);
    /* Refused on sight. */
    client_open(&other, scene.rig->port);
    client_take_error(&other, SESSION_CODE_OVERLOADED);
    client_close(&other);
    rig_answer(scene.rig, bind, PETREL_E_STALE);
    scene_close(&scene);
}

/* A client that is fast after a restart must not be told to stay away for good. */
static void who_comes_before_the_list_of_apps_is_to_come_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new_untold(NULL);
    struct client client;
    client_open(&client, rig->port);
    client_connect(&client, rig, "phone", 1, (struct position){0, 0});
    client_take_error(&client, SESSION_CODE_UNAVAILABLE);
    client_close(&client);
    rig_tell_app(rig, "demo", 1);
    client_go_live(&client, rig, "phone", 0);
    client_close(&client);
    rig_free(&rig);
}

static void an_app_is_known_once_the_list_has_it(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct bytebuf token = {0};
    struct token_claims claims = {.app = "later",
                                  .user = "ada",
                                  .device = "phone",
                                  .issued_s = rig_wall_s(rig),
                                  .expires_s = rig_wall_s(rig) + 60};
    rig_token_with(rig->key, &claims, &token);
    struct client client;
    client_open(&client, rig->port);
    client_connect_token(&client, (const char *)token.ptr);
    client_take_error(&client, SESSION_CODE_UNKNOWN_APP);
    client_close(&client);
    rig_tell_app(rig, "later", 2);
    client_open(&client, rig->port);
    client_connect_token(&client, (const char *)token.ptr);
    rig_answer(rig, rig_take(rig, PEER_BIND), PETREL_E_STALE);
    client_take_error(&client, SESSION_CODE_STALE_ATTEMPT);
    client_close(&client);
    /* The list replaces the one before it as a whole; an older one that arrives late does not. */
    rig_tell_app(rig, "demo", 1);
    client_open(&client, rig->port);
    client_connect(&client, rig, "phone", 1, (struct position){0, 0});
    client_take_error(&client, SESSION_CODE_UNKNOWN_APP);
    client_close(&client);
    bytes_reset(&token);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_is_told_and_closed),
        cmocka_unit_test(truncated_connect_is_judged_at_every_offset),
        cmocka_unit_test(bad_frames_of_a_live_session),
        cmocka_unit_test(frames_may_come_a_byte_at_a_time),
        cmocka_unit_test(slow_connect_meets_its_deadline),
        cmocka_unit_test(unauthenticated_sockets_are_capped),
        cmocka_unit_test(sessions_are_capped),
        cmocka_unit_test(who_comes_before_the_list_of_apps_is_to_come_again),
        cmocka_unit_test(an_app_is_known_once_the_list_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
