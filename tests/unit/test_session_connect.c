/* From CONNECT to CONNECTED: verdicts and codes. A bystander is live in each rig and never notices. */
#include "base/err.h"
#include "unit/session_client.h"
#include "unit/token_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- what a good CONNECT gets ---- */

static void new_device_is_told_where_it_stands(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_connect(&scene.client, scene.rig, "phone", 9, (struct position){0, 0});
    struct link_call *bind = rig_take(scene.rig, PEER_BIND);
    const struct peer_bind *in = &bind->in.bind;
    assert_true(bytes_equal_str(in->target.app, "demo"));
    assert_true(bytes_equal_str(in->target.user, "ada"));
    assert_true(bytes_equal_str(in->target.device, "phone"));
    assert_int_equal(in->attempt, 9);
    assert_true(in->token_issued_ms > 0);
    assert_true(position_is_none(in->position));
    assert_int_equal(in->route.node, RIG_NODE);
    assert_int_equal(in->route.incarnation, RIG_INCARNATION);
    assert_int_not_equal(in->route.generation, 0);
    struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, 41}, .page = rig_page(41, 41)};
    rig_answer_bound(scene.rig, bind, &bound);
    const struct session_connected *connected = &client_take(&scene.client, SESSION_CONNECTED)->connected;
    assert_int_equal(connected->verdict, SESSION_NEW);
    assert_int_equal(connected->position.epoch, RIG_EPOCH);
    assert_int_equal(connected->position.seq, 41);
    assert_int_equal(connected->heartbeat_s, session_role_defaults().heartbeat_s);
    assert_int_equal(connected->max_frame_bytes, FRAME_BODY_DEFAULT);
    assert_true(connected->server_time_ms / 1000 <= rig_wall_s(scene.rig));
    assert_true(bytes_equal_str(connected->node, "rig"));
    rig_wait_metric(scene.rig, METRIC_SESSIONS, 2);
    assert_int_equal(metrics_get(scene.rig->metrics, METRIC_RESUME_NEW), 2);
    scene_close(&scene);
}

static void resumed_device_gets_the_page_after_connected(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_connect(&scene.client, scene.rig, "phone", 2, (struct position){RIG_EPOCH, 10});
    struct link_call *bind = rig_take(scene.rig, PEER_BIND);
    assert_int_equal(bind->in.bind.position.epoch, RIG_EPOCH);
    assert_int_equal(bind->in.bind.position.seq, 10);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = {RIG_EPOCH, 10}, .page = rig_page(15, 15)};
    rig_page_add(&bound.page, 12, "twelve");
    rig_page_add(&bound.page, 14, "fourteen");
    rig_answer_bound(scene.rig, bind, &bound);
    rig_page_free(&bound.page);
    assert_int_equal(client_take(&scene.client, SESSION_CONNECTED)->connected.verdict, SESSION_RESUMED);
    client_take_push(&scene.client, 12, 10, "twelve");
    client_take_push(&scene.client, 14, 12, "fourteen");
    client_expect_silence(&scene.client);
    scene_close(&scene);
}

static void gap_is_told_in_connected(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_connect(&scene.client, scene.rig, "phone", 2, (struct position){RIG_EPOCH, 10});
    struct link_call *bind = rig_take(scene.rig, PEER_BIND);
    struct peer_bound bound = {.verdict = SESSION_GAPPED, .position = {RIG_EPOCH, 30}, .page = rig_page(31, 31)};
    bound.page.gap =
        (struct peer_gap){.reason = SESSION_GAP_CAP, .from = 10, .to = 30, .floor = 30, .lost_at_most = 20};
    rig_page_add(&bound.page, 31, "after");
    rig_answer_bound(scene.rig, bind, &bound);
    rig_page_free(&bound.page);
    const struct session_connected *connected = &client_take(&scene.client, SESSION_CONNECTED)->connected;
    assert_int_equal(connected->verdict, SESSION_GAPPED);
    assert_int_equal(connected->position.seq, 30);
    assert_int_equal(connected->lost_at_most, 20);
    assert_int_equal(connected->reason, SESSION_GAP_CAP);
    /* Told once: no GAP frame comes before the first PUSH. */
    client_take_push(&scene.client, 31, 30, "after");
    scene_close(&scene);
}

static void heartbeat_is_kept_within_its_bounds(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    const struct {
        uint32_t asked;
        uint32_t told;
    } cases[] = {{0, 240}, {1, 10}, {60, 60}, {100000, 1200}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytebuf token = {0}, frame = {0};
        rig_token(scene.rig, "ada", "phone", &token);
        struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                          .token = bytes_str((const char *)token.ptr),
                                          .attempt = 1,
                                          .heartbeat_s = cases[i].asked};
        session_encode_connect(&frame, &connect);
        client_send(&scene.client, bytes_view(&frame));
        struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, 0}, .page = rig_page(0, 0)};
        rig_answer_bound(scene.rig, rig_take(scene.rig, PEER_BIND), &bound);
        assert_int_equal(client_take(&scene.client, SESSION_CONNECTED)->connected.heartbeat_s, cases[i].told);
        client_disconnect(&scene.client);
        client_take_end(&scene.client);
        rig_answer(scene.rig, rig_take(scene.rig, PEER_UNBIND), 0);
        bytes_reset(&token);
        bytes_reset(&frame);
        scene_reopen(&scene);
    }
    scene_close(&scene);
}

/* ---- what the bind's answers mean ---- */

static void refused_binds_have_their_codes(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    const struct {
        int status;
        uint32_t code;
    } cases[] = {
        {PETREL_E_STALE, SESSION_CODE_STALE_ATTEMPT},
        {PETREL_E_REVOKED, SESSION_CODE_REVOKED},
        {PETREL_E_TOO_LARGE, SESSION_CODE_TOO_MANY_DEVICES},
        {PETREL_E_BUSY, SESSION_CODE_OVERLOADED},
        {PETREL_E_FULL, SESSION_CODE_OVERLOADED},
        {PETREL_E_INTERNAL, SESSION_CODE_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
        rig_answer(scene.rig, rig_take(scene.rig, PEER_BIND), cases[i].status);
        client_take_error(&scene.client, cases[i].code);
        scene_reopen(&scene);
    }
    /* Nothing was bound, so nothing is unbound. */
    rig_expect_no_call(scene.rig);
    assert_int_equal(metrics_get(scene.rig->metrics, METRIC_CONNECTS_REFUSED), sizeof cases / sizeof cases[0]);
    scene_close(&scene);
}

static void unanswered_bind_is_asked_again_as_it_was(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_connect(&scene.client, scene.rig, "phone", 3, (struct position){RIG_EPOCH, 1});
    struct link_call *bind = rig_take(scene.rig, PEER_BIND);
    struct peer_bind first = bind->in.bind;
    rig_answer(scene.rig, bind, PETREL_E_TIMEOUT);
    bind = rig_take(scene.rig, PEER_BIND);
    assert_true(route_equal(&bind->in.bind.route, &first.route));
    assert_int_equal(bind->in.bind.attempt, first.attempt);
    assert_int_equal(bind->in.bind.position.seq, 1);
    struct peer_bound bound = {.verdict = SESSION_RESUMED, .position = {RIG_EPOCH, 1}, .page = rig_page(1, 1)};
    rig_answer_bound(scene.rig, bind, &bound);
    assert_int_equal(client_take(&scene.client, SESSION_CONNECTED)->connected.verdict, SESSION_RESUMED);
    scene_close(&scene);
}

static void bind_is_given_up_after_a_few_tries(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    client_connect(&scene.client, scene.rig, "phone", 3, (struct position){0, 0});
    for (int i = 0; i < 4; i++)
        rig_answer(scene.rig, rig_take(scene.rig, PEER_BIND), PETREL_E_UNAVAILABLE);
    client_take_error(&scene.client, SESSION_CODE_UNAVAILABLE);
    /* One of them may have been written. */
    rig_answer(scene.rig, rig_take(scene.rig, PEER_UNBIND), 0);
    scene_close(&scene);
}

static void socket_that_closes_while_binding_is_unbound_after_the_reply(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    const int statuses[] = {0, PETREL_E_TIMEOUT};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
        struct link_call *bind = rig_take(scene.rig, PEER_BIND);
        struct route route = bind->in.bind.route;
        scene_reopen(&scene);
        rig_wait_metric(scene.rig, METRIC_CONNECTIONS, 2);
        rig_expect_no_call(scene.rig);
        if (statuses[i] == 0) {
            struct peer_bound bound = {.verdict = SESSION_NEW, .position = {RIG_EPOCH, 0}, .page = rig_page(0, 0)};
            rig_answer_bound(scene.rig, bind, &bound);
        } else {
            rig_answer(scene.rig, bind, statuses[i]);
        }
        struct link_call *unbind = rig_take(scene.rig, PEER_UNBIND);
        assert_true(route_equal(&unbind->in.unbind.route, &route));
        assert_true(bytes_equal_str(unbind->in.unbind.target.device, "phone"));
        rig_answer(scene.rig, unbind, 0);
    }
    scene_close(&scene);
}

static void frames_before_connected(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    /* PING is answered while binding. */
    client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
    struct link_call *bind = rig_take(scene.rig, PEER_BIND);
    client_expect_silence(&scene.client);
    /* ACK is not allowed before CONNECTED. */
    client_ack(&scene.client, RIG_EPOCH, 1);
    client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
    rig_answer(scene.rig, bind, PETREL_E_STALE);
    scene_reopen(&scene);
    /* DISCONNECT ends it without an error. */
    client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
    bind = rig_take(scene.rig, PEER_BIND);
    client_disconnect(&scene.client);
    client_take_end(&scene.client);
    rig_answer(scene.rig, bind, PETREL_E_STALE);
    rig_expect_no_call(scene.rig);
    scene_reopen(&scene);
    /* CONNECT comes once, while binding and later. */
    client_connect(&scene.client, scene.rig, "phone", 1, (struct position){0, 0});
    bind = rig_take(scene.rig, PEER_BIND);
    client_connect(&scene.client, scene.rig, "phone", 2, (struct position){0, 0});
    client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
    rig_answer(scene.rig, bind, PETREL_E_STALE);
    client_close(&scene.client);
    client_go_live(&scene.client, scene.rig, "phone", 0);
    client_connect(&scene.client, scene.rig, "phone", 3, (struct position){0, 0});
    client_take_error(&scene.client, SESSION_CODE_PROTOCOL_ERROR);
    rig_answer(scene.rig, rig_take(scene.rig, PEER_UNBIND), 0);
    scene_close(&scene);
}

/* ---- tokens ---- */

static void refused_with(struct scene *scene, const char *token, uint32_t code)
{
    client_connect_token(&scene->client, token);
    client_take_error(&scene->client, code);
    scene_reopen(scene);
}

static void bad_tokens_have_their_codes(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    uint64_t now_s = rig_wall_s(scene.rig);
    struct token_claims claims = {.app = "demo", .user = "ada", .device = "phone", .issued_s = now_s - 7200};
    struct bytebuf token = {0};
    claims.expires_s = now_s - 3600;
    rig_token_with(scene.rig->key, &claims, &token);
    refused_with(&scene, (const char *)token.ptr, SESSION_CODE_TOKEN_EXPIRED);
    claims.expires_s = now_s + 3600;
    struct token_key *other = token_key_new(bytes_str("k1"), bytes_str("another secret of thirty-two byt"));
    token.len = 0;
    rig_token_with(other, &claims, &token);
    refused_with(&scene, (const char *)token.ptr, SESSION_CODE_TOKEN_INVALID);
    token_key_free(&other);
    other = token_key_new(bytes_str("k2"), bytes_str("a secret of thirty-two bytes ..."));
    token.len = 0;
    rig_token_with(other, &claims, &token);
    refused_with(&scene, (const char *)token.ptr, SESSION_CODE_TOKEN_INVALID);
    token_key_free(&other);
    (void)strcpy(claims.app, "nosuch");
    token.len = 0;
    rig_token_with(scene.rig->key, &claims, &token);
    refused_with(&scene, (const char *)token.ptr, SESSION_CODE_UNKNOWN_APP);
    bytes_reset(&token);
    refused_with(&scene, "", SESSION_CODE_TOKEN_INVALID);
    refused_with(&scene, "not a token", SESSION_CODE_TOKEN_INVALID);
    refused_with(&scene, "a.b.c", SESSION_CODE_TOKEN_INVALID);
    /* {"alg":"none"} . {"app":"demo","sub":"ada","device":"phone","exp":4102444800} . */
    refused_with(&scene,
                 "eyJhbGciOiJub25lIn0."
                 "eyJhcHAiOiJkZW1vIiwic3ViIjoiYWRhIiwiZGV2aWNlIjoicGhvbmUiLCJleHAiOjQxMDI0NDQ4MDB9.",
                 SESSION_CODE_TOKEN_INVALID);
    rig_expect_no_call(scene.rig);
    scene_close(&scene);
}

static void tokens_of_public_keys_are_taken(void **state)
{
    (void)state;
    static const char *const tokens[] = {TOKEN_SAMPLES_ES256, TOKEN_SAMPLES_RS256};
    struct scene scene;
    for (size_t i = 0; i < 2; i++) {
        scene_open(&scene, NULL);
        client_connect_token(&scene.client, tokens[i]);
        struct link_call *bind = rig_take(scene.rig, PEER_BIND);
        assert_true(bytes_equal_str(bind->in.bind.target.user, "ada"));
        rig_answer(scene.rig, bind, PETREL_E_REVOKED);
        client_take_error(&scene.client, SESSION_CODE_REVOKED);
        rig_wait_metric(scene.rig, METRIC_TOKENS_PUBLIC, 1);
        scene_close(&scene);
    }
}

static void expect_reason(struct scene *scene, const char *token, const char *part)
{
    client_connect_token(&scene->client, token);
    const struct session_frame *frame = client_take(&scene->client, SESSION_ERROR);
    assert_int_equal(frame->error.code, SESSION_CODE_TOKEN_INVALID);
    if (memmem(frame->error.message.ptr, frame->error.message.len, part, strlen(part)) == NULL)
        fail_msg("'%.*s' does not say '%s'", (int)frame->error.message.len, (const char *)frame->error.message.ptr,
                 part);
    scene_reopen(scene);
}

static void a_token_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct scene scene;
    struct bytebuf token = {0};
    scene_open(&scene, NULL);
    expect_reason(&scene, "a.b.c", "no JWT");
    expect_reason(&scene, TOKEN_SAMPLES_ES256_NO_KID, "kid");
    expect_reason(&scene, TOKEN_SAMPLES_HS256_BY_PUBLIC_PEM, "another algorithm");
    const struct token_claims claims = {
        .app = "demo", .user = "ada", .device = "phone", .expires_s = rig_wall_s(scene.rig) + 3600};
    struct token_key *stranger = token_key_new(bytes_str("k9"), bytes_str("another secret of thirty-two byt"));
    rig_token_with(stranger, &claims, &token);
    expect_reason(&scene, (const char *)token.ptr, "no key of the token's kid");
    token_key_free(&stranger);
    bytes_reset(&token);
    rig_expect_no_call(scene.rig);
    scene_close(&scene);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, NULL);
    struct bytebuf frame = {0};
    struct session_connect connect = {.version = 2, .token = bytes_str("of the future"), .attempt = 1};
    session_encode_connect(&frame, &connect);
    client_send(&scene.client, bytes_view(&frame));
    client_take_error(&scene.client, SESSION_CODE_VERSION);
    bytes_reset(&frame);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_device_is_told_where_it_stands),
        cmocka_unit_test(resumed_device_gets_the_page_after_connected),
        cmocka_unit_test(gap_is_told_in_connected),
        cmocka_unit_test(heartbeat_is_kept_within_its_bounds),
        cmocka_unit_test(refused_binds_have_their_codes),
        cmocka_unit_test(unanswered_bind_is_asked_again_as_it_was),
        cmocka_unit_test(bind_is_given_up_after_a_few_tries),
        cmocka_unit_test(socket_that_closes_while_binding_is_unbound_after_the_reply),
        cmocka_unit_test(frames_before_connected),
        cmocka_unit_test(bad_tokens_have_their_codes),
        cmocka_unit_test(tokens_of_public_keys_are_taken),
        cmocka_unit_test(a_token_is_refused_with_the_reason),
        cmocka_unit_test(another_version_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
