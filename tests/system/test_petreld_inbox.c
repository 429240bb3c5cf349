/* What a sender may ask of a message, end to end: collapse, ttl, priority, recall, idempotency, batches, the cap. */
#include "system/device.h"
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
    static const char *const args[] = {"--loops", "2", "--inbox-cap-entries", "8", NULL};
    *state = rig;
    return rig != NULL && rig_begin(rig, args) ? 0 : -1;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

struct wish {
    struct rig *rig;
    const char *id;
    const char *state;
};

static bool state_is(void *ctx)
{
    const struct wish *wish = ctx;
    return strcmp(rig_state(wish->rig, wish->id), wish->state) == 0;
}

static bool comes_to_state(struct rig *rig, const char *id, const char *state)
{
    struct wish wish = {rig, id, state};
    return rig_until(rig, state_is, &wish);
}

/* A device that has been here once and is away now. */
static struct device *absent(struct rig *rig, const char *user)
{
    struct device *device = device_join(rig, user, "phone");
    assert_non_null(device);
    assert_true(device_connected(rig, device, 1));
    assert_true(device_leave(rig, device));
    return device;
}

static void keep_id(const struct rig *rig, char out[512])
{
    snprintf(out, 512, "%s", rig->id);
    assert_true(out[0] != '\0');
}

static void a_collapse_key_leaves_the_newest(void **state)
{
    struct rig *rig = *state;
    char first[512];
    struct device *phone = absent(rig, "ann");
    assert_int_equal(rig_send(rig, "ann", "1", ",\"collapse_key\":\"score\""), 200);
    keep_id(rig, first);
    assert_int_equal(rig_send(rig, "ann", "2", ""), 200);
    assert_int_equal(rig_send(rig, "ann", "3", ",\"collapse_key\":\"score\""), 200);
    assert_int_equal(rig_send(rig, "ann", "4", ",\"collapse_key\":\"other\""), 200);
    assert_string_equal(rig_state(rig, first), "COLLAPSED");
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "2 3 4 "));
    assert_true(device_gaps(phone) == 0);
}

static void an_expired_message_does_not_come(void **state)
{
    struct rig *rig = *state;
    char id[512];
    struct device *phone = absent(rig, "ann");
    assert_int_equal(rig_send(rig, "ann", "1", ",\"ttl\":1"), 200);
    keep_id(rig, id);
    assert_int_equal(rig_send(rig, "ann", "2", ",\"ttl\":600"), 200);
    assert_true(comes_to_state(rig, id, "EXPIRED"));
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "2 "));
    assert_true(device_gaps(phone) == 0);
}

/* ttl 0: now or never. */
static void ttl_zero_is_for_who_is_there(void **state)
{
    struct rig *rig = *state;
    struct device *phone = device_join(rig, "ann", "phone");
    assert_true(device_connected(rig, phone, 1));
    assert_int_equal(rig_send(rig, "ann", "1", ",\"ttl\":0"), 200);
    assert_true(device_sees(rig, phone, "1 "));
    assert_true(device_leave(rig, phone));
    assert_int_equal(rig_send(rig, "ann", "2", ",\"ttl\":0"), 200);
    assert_int_equal(rig_send(rig, "ann", "3", ""), 200);
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "1 3 "));
}

static void a_recalled_message_does_not_come(void **state)
{
    struct rig *rig = *state;
    char id[512];
    struct device *phone = absent(rig, "ann");
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    keep_id(rig, id);
    assert_int_equal(rig_send(rig, "ann", "2", ""), 200);
    assert_int_equal(rig_delete(rig, "/v1/apps/shop/messages/%s", id), 200);
    assert_string_equal(rig_state(rig, id), "RECALLED");
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "2 "));
    assert_true(device_gaps(phone) == 0);

    assert_true(comes_to_state(rig, rig->id, "DELIVERED"));
    assert_int_equal(rig_delete(rig, "/v1/apps/shop/messages/%s", rig->id), 409);
    assert_string_equal(rig_error(rig), "ALREADY_DELIVERED");
    assert_int_equal(rig_delete(rig, "/v1/apps/shop/messages/no-such-id"), 404);
}

/* To ann, as a batch of one line, which is where a key stands in the body. */
static long send_keyed(struct rig *rig, const char *key, const char *data)
{
    char body[256];
    snprintf(body, sizeof body, "{\"to\":{\"user\":\"ann\"},\"data\":%s,\"idempotency_key\":\"%s\"}\n", data, key);
    return rig_post(rig, body, "/v1/apps/shop/messages:batch");
}

static void a_retry_is_the_same_message(void **state)
{
    struct rig *rig = *state;
    char id[512];
    struct device *phone = absent(rig, "ann");
    assert_int_equal(send_keyed(rig, "order-1", "1"), 200);
    snprintf(id, sizeof id, "%s", http_call_text(&rig->http, "id"));
    assert_true(id[0] != '\0');
    assert_int_equal(send_keyed(rig, "order-1", "1"), 200);
    assert_string_equal(http_call_text(&rig->http, "id"), id);
    assert_true(json_is_true(json_object_get(rig->http.body, "duplicate")));
    assert_int_equal(send_keyed(rig, "order-1", "2"), 200);
    assert_string_equal(rig_error(rig), "CONFLICT");
    assert_int_equal(send_keyed(rig, "order-2", "2"), 200);
    assert_string_not_equal(http_call_text(&rig->http, "id"), id);
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "1 2 "));

    /* The key is remembered when the message has long gone, and when the server was killed. */
    assert_true(comes_to_state(rig, id, "DELIVERED"));
    assert_true(rig_restart(rig, SIGKILL, NULL));
    assert_int_equal(send_keyed(rig, "order-1", "1"), 200);
    assert_string_equal(http_call_text(&rig->http, "id"), id);
    assert_int_equal(send_keyed(rig, "order-3", "3"), 200);
    assert_true(device_leave(rig, phone));
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "1 2 3 "));
}

static void a_batch_keeps_its_order(void **state)
{
    struct rig *rig = *state;
    char body[4096] = "", seen[256] = "";
    struct device *phone = device_join(rig, "ann", "phone"), *other = device_join(rig, "bob", "phone");
    assert_true(device_connected(rig, phone, 1) && device_connected(rig, other, 1));
    for (int i = 0; i < 40; i++) {
        size_t len = strlen(body);
        snprintf(body + len, sizeof body - len, "{\"to\":{\"user\":\"%s\"},\"data\":%d}\n", i % 2 == 0 ? "ann" : "bob",
                 i);
        if (i % 2 == 0)
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d ", i);
    }
    strcat(body, "{\"to\":{\"user\":\"ann\"},\"data\":40,\"ttl\":\"long\"}\n{\"to\":{\"user\":\"ann\"},\"data\":42}\n");
    strcat(seen, "42 ");
    assert_int_equal(rig_post(rig, body, "/v1/apps/shop/messages:batch"), 200);
    size_t lines = 0;
    for (const char *at = rig->http.text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 42);
    assert_non_null(strstr(rig->http.text, "\"line\":41"));
    assert_true(device_sees(rig, phone, seen));
}

/* The cap of this server is 8 messages a user: of 20, 12 have gone when the device comes back. */
static void the_cap_is_told_to_who_comes_back(void **state)
{
    struct rig *rig = *state;
    char data[16], first[512];
    struct device *phone = absent(rig, "ann");
    for (int i = 0; i < 20; i++) {
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig_send(rig, "ann", data, ""), 200);
        if (i == 0)
            keep_id(rig, first);
    }
    assert_string_equal(rig_state(rig, first), "DROPPED");
    device_return(rig, phone);
    assert_true(device_sees(rig, phone, "12 13 14 15 16 17 18 19 "));
    assert_int_equal(device_verdict(phone), PETREL_GAP);
    assert_true(device_gaps(phone) == 12);
    assert_int_equal(rig_metric(rig, "petrel_resume_gap_total"), 1);
    /* Once: it is told no second time. */
    assert_true(device_leave(rig, phone));
    device_return(rig, phone);
    assert_true(device_connected(rig, phone, 3));
    assert_int_equal(device_verdict(phone), PETREL_RESUMED);
    assert_true(device_gaps(phone) == 12);
}

/* Nothing that is left moves the device on from where it was: the gap itself does. */
static void a_loss_is_told_once_even_when_nothing_is_left(void **state)
{
    struct rig *rig = *state;
    char last[512];
    struct device *phone = absent(rig, "ann");
    for (int i = 0; i < 20; i++)
        assert_int_equal(rig_send(rig, "ann", "1", ",\"ttl\":2"), 200);
    keep_id(rig, last);
    assert_true(comes_to_state(rig, last, "EXPIRED"));
    device_return(rig, phone);
    assert_true(device_connected(rig, phone, 2));
    assert_int_equal(device_verdict(phone), PETREL_GAP);
    assert_true(device_gaps(phone) > 0);
    uint64_t told = device_gaps(phone);
    assert_true(device_leave(rig, phone));
    device_return(rig, phone);
    assert_true(device_connected(rig, phone, 3));
    assert_int_equal(device_verdict(phone), PETREL_RESUMED);
    assert_true(device_gaps(phone) == told);
}

static void the_cap_drops_low_priority_first(void **state)
{
    struct rig *rig = *state;
    char data[16], seen[256] = "";
    struct device *phone = absent(rig, "ann");
    for (int i = 0; i < 15; i++) {
        bool high = i % 2 == 0;
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig_send(rig, "ann", data, high ? ",\"priority\":\"high\"" : ",\"priority\":\"low\""), 200);
        if (high)
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d ", i);
    }
    device_return(rig, phone);
    /* All that is high is there, in its order; only the low ones had to go. */
    assert_true(device_connected(rig, phone, 2));
    assert_true(device_sees(rig, phone, seen));
    assert_true(device_last_high(phone));
    assert_int_equal(device_verdict(phone), PETREL_GAP);
    assert_true(device_gaps(phone) >= 7);
}

/* A server keeps the fates of a user's last 32 messages: of those, not of the first. */
static void the_newest_messages_states_are_remembered(void **state)
{
    struct rig *rig = *state;
    static const char *const args[] = {"--inbox-cap-entries", "200", NULL};
    char data[16], first[512] = "";
    assert_true(rig_restart(rig, SIGTERM, args));
    struct device *phone = absent(rig, "ann");
    for (int i = 0; i < 40; i++) {
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig_send(rig, "ann", data, ""), 200);
        if (i == 0)
            keep_id(rig, first);
    }
    assert_string_equal(rig_state(rig, first), "PENDING");
    device_return(rig, phone);
    assert_true(comes_to_state(rig, first, "UNKNOWN"));
    assert_string_equal(rig_state(rig, rig->id), "DELIVERED");
}

static void a_device_must_exist_if_it_is_required(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_send(rig, "nobody", "1", ",\"require_device\":true"), 404);
    assert_string_equal(rig_error(rig), "UNREGISTERED");
    assert_int_equal(rig_send(rig, "nobody", "1", ",\"validate_only\":true"), 200);
    struct device *phone = device_join(rig, "nobody", "phone");
    assert_true(device_connected(rig, phone, 1));
    assert_int_equal(rig_send(rig, "nobody", "2", ",\"require_device\":true"), 200);
    assert_true(device_sees(rig, phone, "2 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_collapse_key_leaves_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expired_message_does_not_come, setup, teardown),
        cmocka_unit_test_setup_teardown(ttl_zero_is_for_who_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_recalled_message_does_not_come, setup, teardown),
        cmocka_unit_test_setup_teardown(a_retry_is_the_same_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_keeps_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cap_is_told_to_who_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loss_is_told_once_even_when_nothing_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cap_drops_low_priority_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_messages_states_are_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_must_exist_if_it_is_required, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
