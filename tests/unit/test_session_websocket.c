/* Sessions in WebSockets: the same as others, in messages; and what bad messages get. */
#include "session/session_impl.h"
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t MASK[] = {9, 8, 7, 6};

static void send_packet(struct client *client, enum websocket_opcode opcode, bool ends, struct bytes payload)
{
    struct bytebuf packet = {0};
    websocket_put(&packet, opcode, ends, MASK, payload);
    client_send_raw(client, bytes_view(&packet));
    bytes_reset(&packet);
}

/* ---- a session ---- */

static void a_session_lives_in_messages(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open_websocket(&client, rig->port);
    struct route route = client_go_on_live(&client, rig, "browser", 0);
    rig_deliver(rig, route, (struct position){RIG_EPOCH, 1}, 0, "one");
    client_take_push(&client, 1, 0, "one");
    client_ack(&client, RIG_EPOCH, 1);
    rig_answer(rig, rig_take(rig, PEER_ACK), 0);
    client_ping(&client, 77);
    assert_int_equal(client_take(&client, SESSION_PONG)->echo, 77);
    assert_int_equal(client.messages, 3); /* CONNECTED, PUSH, PONG */
    assert_int_equal(metrics_get(rig->metrics, METRIC_WEBSOCKETS), 1);
    client_disconnect(&client);
    client_take_close(&client, WEBSOCKET_CODE_NORMAL);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&client);
    rig_free(&rig);
}

static void several_frames_in_one_message(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open_websocket(&client, rig->port);
    client_go_on_live(&client, rig, "browser", 0);
    struct bytebuf frames = {0};
    for (uint64_t echo = 1; echo <= 3; echo++)
        session_encode_ping(&frames, echo);
    client_send(&client, bytes_view(&frames));
    for (uint64_t echo = 1; echo <= 3; echo++)
        assert_int_equal(client_take(&client, SESSION_PONG)->echo, echo);
    bytes_reset(&frames);
    client_close(&client);
    rig_free(&rig);
}

/* The same bytes in ever other pieces: parts of a message, and of packets. */
static void messages_may_come_in_any_pieces(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open_websocket(&client, rig->port);
    client_go_on_live(&client, rig, "browser", 0);
    struct bytebuf frames = {0}, stream = {0};
    session_encode_ping(&frames, 1);
    session_encode_ping(&frames, 2);
    for (size_t cut = 0; cut <= frames.len; cut++) {
        stream.len = 0;
        websocket_put(&stream, WEBSOCKET_BINARY, false, MASK, bytes_of(frames.ptr, cut));
        websocket_put(&stream, WEBSOCKET_PING, true, MASK, bytes_str("between"));
        websocket_put(&stream, WEBSOCKET_CONTINUATION, true, MASK, bytes_of(frames.ptr + cut, frames.len - cut));
        for (size_t i = 0; i < stream.len; i++)
            client_send_raw(&client, bytes_of(stream.ptr + i, 1));
        assert_int_equal(client_take(&client, SESSION_PONG)->echo, 1);
        assert_int_equal(client_take(&client, SESSION_PONG)->echo, 2);
        client_take_pong(&client, bytes_str("between"));
    }
    bytes_reset(&frames);
    bytes_reset(&stream);
    client_close(&client);
    rig_free(&rig);
}

/* What comes behind the request, before its answer, is of the WebSocket. */
static void frames_may_follow_the_request_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open(&client, rig->port);
    struct bytebuf token = {0}, frame = {0}, stream = {0};
    rig_token(rig, "ada", "phone", &token);
    struct session_connect connect = {
        .version = SESSION_PROTOCOL_VERSION, .token = bytes_str((const char *)token.ptr), .attempt = 1};
    session_encode_connect(&frame, &connect);
    bytes_append_str(&stream,
                     "GET /v1/session HTTP/1.1\r\nHost: petrel\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Protocol: petrel.v1\r\n\r\n");
    websocket_put(&stream, WEBSOCKET_BINARY, true, MASK, bytes_view(&frame));
    client_send_raw(&client, bytes_view(&stream));
    struct link_call *bind = rig_take(rig, PEER_BIND);
    assert_non_null(strstr(client_take_http(&client), "101 Switching Protocols"));
    client.is_websocket = true;
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, 0}, .page = rig_page(0, 0)};
    rig_answer_bound(rig, bind, &bound);
    client_take(&client, SESSION_CONNECTED);
    bytes_reset(&token);
    bytes_reset(&frame);
    bytes_reset(&stream);
    client_close(&client);
    rig_free(&rig);
}

/* ---- ends ---- */

static void a_close_is_answered_with_the_same_code(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    const struct {
        struct bytes payload;
        uint32_t code;
    } cases[] = {
        {bytes_of("\x03\xe8", 2), 1000},
        {bytes_of("\x0f\xa0gone", 6), 4000},
        {bytes_of("", 0), WEBSOCKET_CODE_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client;
        client_open_websocket(&client, rig->port);
        client_go_on_live(&client, rig, "browser", 0);
        send_packet(&client, WEBSOCKET_CLOSE, true, cases[i].payload);
        client_take_close(&client, cases[i].code);
        rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
        client_close(&client);
    }
    rig_free(&rig);
}

static void a_session_code_is_the_close_code(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open_websocket(&client, rig->port);
    struct route route = client_go_on_live(&client, rig, "browser", 0);
    rig_evict(rig, route, SESSION_CODE_KICKED);
    client_take_error(&client, SESSION_CODE_KICKED);
    assert_int_equal(client.closed, SESSION_CODE_KICKED);
    client_close(&client);
    client_open_websocket(&client, rig->port);
    client_connect_token(&client, "no token");
    client_take_error(&client, SESSION_CODE_TOKEN_INVALID);
    assert_int_equal(client.closed, SESSION_CODE_TOKEN_INVALID);
    client_close(&client);
    rig_free(&rig);
}

static void the_deadline_is_that_of_a_connect(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_open_websocket(&client, rig->port);
    rig_advance(rig, 5000);
    send_packet(&client, WEBSOCKET_PING, true, bytes_str("still here"));
    client_take_pong(&client, bytes_str("still here"));
    rig_advance(rig, 6000);
    client_take_error(&client, SESSION_CODE_CONNECT_TIMEOUT);
    client_close(&client);
    rig_free(&rig);
}

/* ---- bad input; a bystander never notices ---- */

static void bad_packets_get_a_close(void **state)
{
    (void)state;
    const struct {
        struct bytes in;
        uint32_t code;
    } cases[] = {
        {bytes_of("\x82\x01x", 3), WEBSOCKET_CODE_PROTOCOL_ERROR},           /* not masked */
        {bytes_of("\x81\x81\0\0\0\0x", 7), WEBSOCKET_CODE_UNSUPPORTED_DATA}, /* text */
        {bytes_of("\xc2\x81\0\0\0\0x", 7), WEBSOCKET_CODE_PROTOCOL_ERROR},   /* as if compressed */
        {bytes_of("\x80\x80\0\0\0\0", 6), WEBSOCKET_CODE_PROTOCOL_ERROR},    /* continues nothing */
        {bytes_of("\x89\xfe", 2), WEBSOCKET_CODE_PROTOCOL_ERROR},            /* a long ping */
        {bytes_of("\x88\x83\0\0\0\0\x03\xe8\xff", 9), WEBSOCKET_CODE_INVALID_DATA},
        {bytes_of("\x82\xff\0\0\0\1\0\0\0\0", 10), 0}, /* 4 GiB: refused once the header is whole */
    };
    struct scene scene;
    scene_open(&scene, NULL);
    client_close(&scene.client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int live = 0; live < 2; live++) {
            client_open_websocket(&scene.client, scene.rig->port);
            if (live != 0)
                client_go_on_live(&scene.client, scene.rig, "browser", 0);
            client_send_raw(&scene.client, cases[i].in);
            if (cases[i].code == 0)
                client_send_raw(&scene.client, bytes_str("mask"));
            client_take_close(&scene.client, cases[i].code != 0 ? cases[i].code : WEBSOCKET_CODE_TOO_BIG);
            if (live != 0)
                rig_answer(scene.rig, rig_take(scene.rig, PEER_UNBIND), 0);
            client_close(&scene.client);
        }
    }
    client_open(&scene.client, scene.rig->port);
    scene_close(&scene);
}

static void bad_frames_get_their_code(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_upgrade(&scene.client);
    /* A frame that goes on in the next message. */
    const uint8_t part[] = {SESSION_CONNECT, 0, 0, 200, 8, 1};
    client_send(&scene.client, bytes_of(part, sizeof part));
    client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
    /* A frame that is larger than its message could be. */
    scene_reopen(&scene);
    client_upgrade(&scene.client);
    const uint8_t lie[] = {SESSION_CONNECT, 0xff, 0xff, 0xff};
    client_send(&scene.client, bytes_of(lie, sizeof lie));
    client_take_error(&scene.client, SESSION_CODE_FRAME_TOO_LARGE);
    scene_reopen(&scene);
    client_upgrade(&scene.client);
    client_send_frame(&scene.client, SESSION_PUSH, bytes_str(""));
    client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
    scene_reopen(&scene);
    client_upgrade(&scene.client);
    client_send_frame(&scene.client, 99, bytes_str(""));
    client_take_error(&scene.client, SESSION_CODE_UNKNOWN_TYPE);
    scene_close(&scene);
}

/* What brings no frame is counted as one, before a token was shown as well. */
static void packets_without_a_frame_are_bounded(void **state)
{
    (void)state;
    static const enum websocket_opcode kinds[] = {WEBSOCKET_PING, WEBSOCKET_PONG, WEBSOCKET_BINARY};
    struct session_config config = rig_config();
    config.max_frames_per_second = 40;
    struct rig *rig = rig_new(&config);
    rig_stop_clock(rig);
    struct client client;
    for (size_t i = 0; i < 6; i++) {
        struct bytebuf packets = {0};
        client_open_websocket(&client, rig->port);
        if (i >= 3)
            client_go_on_live(&client, rig, "browser", 0);
        rig_advance(rig, 1000);
        for (uint32_t k = 0; k < config.max_frames_per_second; k++)
            websocket_put(&packets, kinds[i % 3], true, MASK, bytes_str(""));
        client_send_raw(&client, bytes_view(&packets));
        rig_advance(rig, 1000);
        client_send_raw(&client, bytes_view(&packets));
        send_packet(&client, WEBSOCKET_PING, true, bytes_str(""));
        client_take_error(&client, SESSION_CODE_TOO_FAST);
        assert_int_equal(client.closed, SESSION_CODE_TOO_FAST);
        if (i >= 3)
            rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
        client_close(&client);
        bytes_reset(&packets);
    }
    rig_wait_metric(rig, METRIC_TOO_FAST, 6);
    rig_free(&rig);
}

static void who_is_to_wait_has_the_code_in_its_close_too(void **state)
{
    (void)state;
    struct session_config config = rig_config();
    config.app_connects_per_second = 1;
    struct rig *rig = rig_new(&config);
    rig_stop_clock(rig);
    struct client first, second;
    client_open_websocket(&first, rig->port);
    client_go_on_live(&first, rig, "browser", 0);
    client_open_websocket(&second, rig->port);
    client_connect(&second, rig, "phone", 1, (struct position){0, 0});
    client_take_error(&second, SESSION_CODE_OVERLOADED);
    assert_int_equal(second.closed, SESSION_CODE_OVERLOADED);
    rig_wait_metric(rig, METRIC_APP_CONNECTS_REFUSED, 1);
    rig_wait_metric(rig, METRIC_OVERLOADED, 1);
    client_close(&second);
    client_close(&first);
    rig_free(&rig);
}

/* ---- the cost ---- */

static void note_busies(struct rig *rig, void *arg)
{
    *(uint32_t *)arg = rig->role->busies.taken + rig->role->edges.taken;
}

static void an_idle_session_keeps_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    uint32_t kept = UINT32_MAX;
    client_open_websocket(&client, rig->port);
    client_go_on_live(&client, rig, "browser", 0);
    rig_run(rig, note_busies, &kept);
    assert_int_equal(kept, 0);
    send_packet(&client, WEBSOCKET_BINARY, false, bytes_of("\x02", 1));
    send_packet(&client, WEBSOCKET_PING, true, bytes_str("read"));
    client_take_pong(&client, bytes_str("read"));
    rig_run(rig, note_busies, &kept);
    assert_int_equal(kept, 2); /* a frame and a message are partial */
    send_packet(&client, WEBSOCKET_CONTINUATION, true, bytes_of("\0\0\0", 3));
    assert_int_equal(client_take(&client, SESSION_PONG)->echo, 0);
    rig_run(rig, note_busies, &kept);
    assert_int_equal(kept, 0);
    client_close(&client);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_lives_in_messages),
        cmocka_unit_test(several_frames_in_one_message),
        cmocka_unit_test(messages_may_come_in_any_pieces),
        cmocka_unit_test(frames_may_follow_the_request_at_once),
        cmocka_unit_test(a_close_is_answered_with_the_same_code),
        cmocka_unit_test(a_session_code_is_the_close_code),
        cmocka_unit_test(the_deadline_is_that_of_a_connect),
        cmocka_unit_test(bad_packets_get_a_close),
        cmocka_unit_test(bad_frames_get_their_code),
        cmocka_unit_test(packets_without_a_frame_are_bounded),
        cmocka_unit_test(who_is_to_wait_has_the_code_in_its_close_too),
        cmocka_unit_test(an_idle_session_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
