/* The main job, end to end: what a backend was told is accepted reaches the device: in order, once. */
#include "system/device.h"
#include "system/raw.h"
#include "system/rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    static const char *const args[] = {"--loops", "2", NULL};
    *state = rig;
    return rig != NULL && rig_begin(rig, args) ? 0 : -1;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

/* ---- conditions ---- */

struct wish {
    struct rig *rig;
    const char *text;
    const char *wanted;
};

static bool state_is(void *ctx)
{
    const struct wish *wish = ctx;
    return strcmp(rig_state(wish->rig, wish->text), wish->wanted) == 0;
}

static bool comes_to_state(struct rig *rig, const char *id, const char *state)
{
    struct wish wish = {rig, id, state};
    return rig_until(rig, state_is, &wish);
}

static bool presence_is(void *ctx)
{
    const struct wish *wish = ctx;
    return rig_get(wish->rig, "/v1/apps/shop/users/%s/presence", wish->text) == 200 &&
           strstr(wish->rig->http.text, wish->wanted) != NULL;
}

static bool comes_to_presence(struct rig *rig, const char *user, const char *wanted)
{
    struct wish wish = {rig, user, wanted};
    return rig_until(rig, presence_is, &wish);
}

static bool has_ended(void *ctx)
{
    struct rig *rig = ctx;
    return daemon_has_ended(&rig->daemon);
}

static void keep_id(const struct rig *rig, char out[512])
{
    snprintf(out, 512, "%s", rig->id);
    assert_true(out[0] != '\0');
}

/* ---- send, get, ack ---- */

static void what_was_sent_before_is_waiting(void **state)
{
    struct rig *rig = *state;
    char id[512];
    assert_int_equal(rig_send(rig, "ann", "{\"text\":\"hello\"}", ""), 200);
    keep_id(rig, id);
    assert_string_equal(rig_state(rig, id), "PENDING");
    struct device *phone = device_join(rig, "ann", "phone");
    assert_non_null(phone);
    assert_true(device_sees(rig, phone, "{\"text\":\"hello\"} "));
    assert_int_equal(device_verdict(phone), PETREL_NEW);
    assert_true(comes_to_state(rig, id, "DELIVERED"));
}

static void what_is_sent_now_comes_now(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    char data[16], seen[512] = "";
    for (int i = 0; i < 30; i++) {
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig_send(rig, "ann", data, ""), 200);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d ", i);
    }
    assert_true(device_sees(rig, phone, seen));
    assert_true(comes_to_state(rig, rig->id, "DELIVERED"));
    assert_true(comes_to_presence(rig, "ann", "\"pending\":0"));
    assert_int_equal(rig_metric(rig, "petrel_pushes_total"), 30);
    assert_int_equal(rig_metric(rig, "petrel_sends_total"), 30);
}

static void a_payload_is_bytes(void **state)
{
    struct rig *rig = *state;
    char *token = rig_register(rig, "ann", "phone");
    struct raw raw;
    struct session_frame frame;
    assert_int_equal(rig_post(rig, "{\"to\":{\"user\":\"ann\"},\"payload\":\"AAH/\"}", "/v1/apps/shop/messages"), 200);
    assert_true(raw_open(&raw, rig->daemon.session, 0));
    assert_true(raw_connect(&raw, token, 1, (struct position){0, 0}));
    assert_true(raw_frame(&raw, &frame));
    assert_int_equal(frame.type, SESSION_PUSH);
    assert_false(frame.push.message.is_json);
    assert_int_equal(frame.push.message.body.len, 3);
    assert_memory_equal(frame.push.message.body.ptr, "\x00\x01\xff", 3);
    raw_close(&raw);
    free(token);
}

/* ---- drop and resume ---- */

static void a_device_gets_exactly_what_it_missed(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_true(device_sees(rig, phone, "1 "));
    assert_true(device_leave(rig, phone));
    assert_int_equal(rig_send(rig, "ann", "2", ""), 200);
    assert_int_equal(rig_send(rig, "ann", "3", ""), 200);
    device_return(rig, phone);
    assert_true(device_connected(rig, phone, 2));
    assert_int_equal(device_verdict(phone), PETREL_RESUMED);
    assert_true(device_sees(rig, phone, "1 2 3 "));
}

/* Not a word of goodbye: the client comes back by itself while messages go on. */
static void a_cut_connection_loses_nothing(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    char data[16], seen[512] = "";
    for (int i = 0; i < 24; i++) {
        if (i % 8 == 4)
            device_cut(phone);
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig_send(rig, "ann", data, ""), 200);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d ", i);
        if (i % 8 == 7)
            assert_true(device_sees(rig, phone, seen));
    }
    assert_int_equal(device_connects(phone), 4);
    assert_int_equal(device_verdict(phone), PETREL_RESUMED);
    assert_true(device_gaps(phone) == 0);
}

static void a_killed_server_lost_nothing(void **state)
{
    struct rig *rig = *state;
    char *token = rig_register(rig, "ann", "phone"), data[16], seen[512] = "";
    for (int i = 0; i < 30; i++) {
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig_send(rig, "ann", data, ""), 200);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d ", i);
    }
    assert_true(rig_restart(rig, SIGKILL, NULL));
    struct device *phone = device_open(rig, token, NULL);
    assert_true(device_sees(rig, phone, seen));
    assert_true(comes_to_state(rig, rig->id, "DELIVERED"));
    free(token);
}

static void a_session_resumes_after_a_restart(void **state)
{
    struct rig *rig = *state;
    static const int signals[] = {SIGTERM, SIGKILL};
    static const char *const sent[] = {"2", "3"}, *const seen[] = {"1 2 ", "1 2 3 "};
    struct device *phone = device_join(rig, "ann", "phone");
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_true(device_sees(rig, phone, "1 "));
    for (unsigned i = 0; i < 2; i++) {
        assert_true(device_leave(rig, phone));
        assert_int_equal(rig_send(rig, "ann", sent[i], ""), 200);
        assert_true(rig_restart(rig, signals[i], NULL));
        device_return(rig, phone);
        assert_true(device_sees(rig, phone, seen[i]));
        assert_int_equal(device_verdict(phone), PETREL_RESUMED);
    }
    assert_true(device_gaps(phone) == 0);
}

/* The same port after a kill, with sessions that were cut by it: the server takes it again, and clients come back by themselves. */
static void clients_come_back_to_a_killed_server(void **state)
{
    struct rig *rig = *state;
    char port[16];
    struct device *phone = device_join(rig, "ann", "phone"), *tablet = device_join(rig, "ann", "tablet");
    assert_true(device_connected(rig, phone, 1) && device_connected(rig, tablet, 1));
    snprintf(port, sizeof port, "%s", strchr(rig->daemon.session, ':') + 1);
    const char *const args[] = {"--loops", "2", "--session-port", port, NULL};
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_true(rig_restart(rig, SIGKILL, args));
    assert_int_equal(rig_send(rig, "ann", "2", ""), 200);
    assert_true(device_sees(rig, phone, "1 2 ") && device_sees(rig, tablet, "1 2 "));
    assert_int_equal(device_connects(phone), 2);
    assert_true(device_gaps(phone) == 0 && device_gaps(tablet) == 0);
}

/* Sent away in order, they come back as well. */
static void clients_come_back_after_a_restart(void **state)
{
    struct rig *rig = *state;
    char port[16];
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    snprintf(port, sizeof port, "%s", strchr(rig->daemon.session, ':') + 1);
    const char *const args[] = {"--loops", "2", "--session-port", port, NULL};
    kill(rig->daemon.pid, SIGTERM);
    assert_true(rig_until(rig, has_ended, rig)); /* the client leaves, as it is told: its loop turns meanwhile */
    assert_int_equal(rig->daemon.status, 0);
    assert_true(rig_start(rig, args));
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_true(device_sees(rig, phone, "1 "));
    assert_int_equal(device_verdict(phone), PETREL_RESUMED);
}

/* ---- devices ---- */

static void every_device_of_a_user_gets_it(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone"), *tablet = device_join(rig, "ann", "tablet"),
                  *other = device_join(rig, "bob", "phone");
    assert_true(device_connected(rig, phone, 1) && device_connected(rig, tablet, 1) && device_connected(rig, other, 1));
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_int_equal(rig_send(rig, "ann/tablet", "2", ""), 200);
    assert_int_equal(rig_send(rig, "ann", "3", ""), 200);
    assert_int_equal(rig_send(rig, "bob", "4", ""), 200);
    assert_true(device_sees(rig, phone, "1 3 "));
    assert_true(device_sees(rig, tablet, "1 2 3 "));
    assert_true(device_sees(rig, other, "4 "));

    /* While away, too: what is for another device is no gap. */
    assert_true(device_leave(rig, phone) && device_leave(rig, tablet));
    assert_int_equal(rig_send(rig, "ann/phone", "5", ""), 200);
    assert_int_equal(rig_send(rig, "ann/tablet", "6", ""), 200);
    device_return(rig, phone);
    device_return(rig, tablet);
    assert_true(device_sees(rig, phone, "1 3 5 "));
    assert_true(device_sees(rig, tablet, "1 2 3 6 "));
    assert_true(device_gaps(phone) == 0 && device_gaps(tablet) == 0);

    assert_int_equal(rig_send(rig, "ann/watch", "7", ""), 404);
    assert_string_equal(rig_error(rig), "UNREGISTERED");
}

static void a_message_is_pending_until_every_device_has_it(void **state)
{
    struct rig *rig = *state;
    char id[512];
    struct device *phone = device_join(rig, "ann", "phone");
    char *token = rig_register(rig, "ann", "tablet");
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    keep_id(rig, id);
    assert_true(device_sees(rig, phone, "1 "));
    assert_true(device_leave(rig, phone));
    assert_string_equal(rig_state(rig, id), "PENDING");
    struct device *tablet = device_open(rig, token, NULL);
    assert_true(device_sees(rig, tablet, "1 "));
    assert_true(comes_to_state(rig, id, "DELIVERED"));
    free(token);
}

static void a_newer_session_replaces_the_older(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    struct petrel_state saved = *device_saved(phone);
    struct device *again = device_open(rig, device_token(phone), &saved);
    assert_true(device_connected(rig, again, 1));
    assert_true(device_stops(rig, phone));
    assert_int_equal(device_code(phone), SESSION_CODE_REPLACED);
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_true(device_sees(rig, again, "1 "));
    assert_string_equal(device_seen(phone), "");
    assert_int_equal(rig_metric(rig, "petrel_sessions_replaced_total"), 1);
}

static void a_revoked_device_is_out(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone"), *tablet = device_join(rig, "ann", "tablet");
    assert_true(device_connected(rig, phone, 1) && device_connected(rig, tablet, 1));
    assert_int_equal(rig_delete(rig, "/v1/apps/shop/users/ann/devices/phone"), 200);
    assert_true(device_stops(rig, phone));
    assert_int_equal(device_code(phone), SESSION_CODE_REVOKED);

    struct device *old = device_open(rig, device_token(phone), device_saved(phone));
    assert_true(device_stops(rig, old));
    assert_int_equal(device_code(old), SESSION_CODE_REVOKED);
    assert_int_equal(rig_send(rig, "ann/phone", "1", ""), 404);
    assert_string_equal(rig_error(rig), "UNREGISTERED");

    /* Over a restart as well, and the other device never notices. */
    assert_true(rig_restart(rig, SIGKILL, NULL));
    struct device *older = device_open(rig, device_token(phone), NULL);
    assert_true(device_stops(rig, older));
    assert_int_equal(device_code(older), SESSION_CODE_REVOKED);
    struct device *fresh = device_join(rig, "ann", "phone");
    assert_non_null(fresh);
    assert_true(device_connected(rig, fresh, 1));
    assert_int_equal(rig_send(rig, "ann/phone", "2", ""), 200);
    assert_true(device_sees(rig, fresh, "2 "));
}

static void presence_says_who_is_online(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_get(rig, "/v1/apps/shop/users/ann/presence"), 200);
    assert_true(json_is_false(json_object_get(rig->http.body, "online")));
    struct device *phone = device_join(rig, "ann", "phone");
    free(rig_register(rig, "ann", "tablet"));
    assert_true(device_connected(rig, phone, 1));
    assert_true(comes_to_presence(rig, "ann", "{\"device\":\"phone\",\"online\":true"));
    assert_true(comes_to_presence(rig, "ann", "{\"device\":\"tablet\",\"online\":false"));
    assert_true(device_leave(rig, phone));
    assert_true(comes_to_presence(rig, "ann", "\"online\":false,\"pending\""));
}

static void an_operator_can_kick_a_session(void **state)
{
    struct rig *rig = *state;
    const struct daemon *daemon = &rig->daemon;
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    assert_int_equal(http_call(&rig->http, "GET", daemon->admin, "/admin/v1/sessions", daemon->token, NULL), 200);
    json_t *sessions = json_object_get(rig->http.body, "sessions");
    assert_int_equal(json_array_size(sessions), 1);
    char path[256];
    snprintf(path, sizeof path, "/admin/v1/sessions/%s",
             json_string_value(json_object_get(json_array_get(sessions, 0), "id")));
    assert_int_equal(http_call(&rig->http, "DELETE", daemon->admin, path, daemon->token, NULL), 200);
    assert_true(device_connected(rig, phone, 2));
    assert_int_equal(device_code(phone), SESSION_CODE_KICKED);
    assert_int_equal(device_verdict(phone), PETREL_RESUMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sent_before_is_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_sent_now_comes_now, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payload_is_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_gets_exactly_what_it_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_connection_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_server_lost_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_resumes_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_come_back_to_a_killed_server, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_come_back_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(every_device_of_a_user_gets_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_is_pending_until_every_device_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_session_replaces_the_older, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revoked_device_is_out, setup, teardown),
        cmocka_unit_test_setup_teardown(presence_says_who_is_online, setup, teardown),
        cmocka_unit_test_setup_teardown(an_operator_can_kick_a_session, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
