/* Batches: order, the window, results per line. */
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATH "/v1/apps/shop/messages:batch"

static void few_lines(struct api_config *config)
{
    config->max_batch_lines = 200;
}

static int open_rig(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, few_lines);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

static char *lines_to(int count)
{
    char *text = malloc((size_t)count * 64 + 1);
    assert_non_null(text);
    char *at = text;
    for (int i = 0; i < count; i++)
        at += sprintf(at, "{\"to\":{\"user\":\"u\",\"device\":\"d%d\"},\"data\":%d}\n", i, i);
    return text;
}

/* The result line of that index, parsed. */
static json_t *result(const struct api_reply *reply, int index)
{
    const char *line = reply->body;
    for (int i = 0; i < index; i++)
        line = strchr(line, '\n') + 1;
    json_t *value = json_loadb(line, strcspn(line, "\n"), 0, NULL);
    assert_non_null(value);
    return value;
}

static int count_results(const struct api_reply *reply)
{
    int count = 0;
    for (const char *at = reply->body; *at != '\0'; at++)
        count += *at == '\n';
    return count;
}

static void begin(struct api_rig *rig, struct api_client *client, const char *body)
{
    char headers[160];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", rig->key);
    api_client_open(client, rig->ports[API_SEND]);
    api_client_request(client, "POST", PATH, headers, body);
}

static void lines_are_submitted_in_order_through_a_window(void **state)
{
    struct api_rig *rig = *state;
    rig->script.hold = true;
    char *body = lines_to(150);
    struct api_client client;
    begin(rig, &client, body);
    free(body);
    api_rig_wait_calls(rig, 64);
    struct api_reply other = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&other);
    assert_int_equal(rig->script.calls, 64); /* the window is full, and the loop serves others */
    api_rig_release(rig, true);
    struct api_reply reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 200);
    assert_int_equal(count_results(&reply), 150);
    char expected[2048] = "";
    for (int i = 0; i < 150; i++)
        (void)sprintf(expected + strlen(expected), "d%d,", i);
    assert_string_equal(rig->script.order, expected);
    json_t *first = result(&reply, 0);
    assert_string_equal(json_string_value(json_object_get(first, "id")) + 37, "dQBkMA"); /* u\0d0 */
    json_t *last = result(&reply, 149);
    assert_string_equal(json_string_value(json_object_get(last, "id")) + 37, "dQBkMTQ5"); /* u\0d149 */
    json_decref(first);
    json_decref(last);
    api_client_free(&reply);
    api_client_close(&client);
    assert_int_equal(metrics_get(rig->metrics, METRIC_SENDS), 150);
}

static void each_line_has_its_own_result(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = api_rig_ask(rig, API_SEND, "POST", PATH,
                                         "{\"to\":{\"user\":\"a\"},\"data\":1,\"idempotency_key\":\"k1\"}\r\n"
                                         "\n"
                                         "{\"to\":{\"user\":\"a\"},\"data\":}\n"
                                         "  \t\n"
                                         "{\"to\":{\"user\":\"a\"},\"data\":1,\"deliver_at\":1}\n"
                                         "{\"to\":{\"user\":\"b\"},\"data\":1,\"validate_only\":true}\n"
                                         "{\"to\":{\"user\":\"b\"},\"payload\":\"AA==\",\"idempotency_key\":\"a b\"}");
    assert_int_equal(reply.status, 200);
    assert_int_equal(count_results(&reply), 5);
    static const struct {
        int index;
        int line;
        const char *status;
        const char *field;
    } errors[] = {
        {1, 3, "INVALID_JSON", NULL}, {2, 5, "UNSUPPORTED", "deliver_at"}, {4, 7, "INVALID", "idempotency_key"}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        json_t *line = result(&reply, errors[i].index);
        json_t *error = json_object_get(line, "error");
        assert_int_equal(json_integer_value(json_object_get(error, "line")), errors[i].line);
        assert_string_equal(json_string_value(json_object_get(error, "status")), errors[i].status);
        if (errors[i].field != NULL)
            assert_string_equal(json_string_value(json_object_get(error, "field")), errors[i].field);
        json_decref(line);
    }
    json_t *validated = result(&reply, 3);
    assert_true(json_is_true(json_object_get(validated, "validate_only")));
    json_decref(validated);
    assert_int_equal(rig->script.calls, 1);
    assert_true(rig->script.send.has_key);
    api_client_free(&reply);
}

static void what_the_log_refuses_stands_in_its_line(void **state)
{
    struct api_rig *rig = *state;
    rig->script.status = PETREL_E_FULL;
    struct api_reply reply = api_rig_ask(rig, API_SEND, "POST", PATH, "{\"to\":{\"user\":\"a\"},\"data\":1}");
    assert_int_equal(reply.status, 200);
    json_t *line = result(&reply, 0);
    json_t *error = json_object_get(line, "error");
    assert_string_equal(json_string_value(json_object_get(error, "status")), "FULL");
    assert_int_equal(json_integer_value(json_object_get(error, "line")), 1);
    json_decref(line);
    api_client_free(&reply);
}

static void batches_are_bounded(void **state)
{
    struct api_rig *rig = *state;
    api_rig_expect_error(rig, API_SEND, "POST", PATH, "", 400, "INVALID", NULL);
    api_rig_expect_error(rig, API_SEND, "POST", PATH, "\n \n", 400, "INVALID", NULL);
    char *body = lines_to(201);
    api_rig_expect_error(rig, API_SEND, "POST", PATH, body, 413, "TOO_LARGE", NULL);
    free(body);
    char headers[256];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nIdempotency-Key: k\r\n", rig->key);
    struct api_reply reply = api_rig_ask_with(rig, API_SEND, "POST", PATH, headers, "{}");
    assert_int_equal(reply.status, 400);
    assert_string_equal(api_client_text(&reply, "error.field"), "Idempotency-Key");
    api_client_free(&reply);
    assert_int_equal(rig->script.calls, 0);
}

static void a_sender_that_goes_stops_its_batch(void **state)
{
    struct api_rig *rig = *state;
    rig->script.hold = true;
    char *body = lines_to(200);
    struct api_client client;
    begin(rig, &client, body);
    free(body);
    api_rig_wait_calls(rig, 64);
    api_client_break(&client);
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&reply);
    api_rig_release(rig, false);
    reply = api_rig_ask(rig, API_SEND, "GET", "/healthz", NULL);
    api_client_free(&reply);
    assert_int_equal(rig->script.calls, 64); /* and close_rig() sees that nothing of it is left */
}

static void a_batch_ends_before_its_role_does(void **state)
{
    struct api_rig *rig = *state;
    rig->script.hold = true;
    char *body = lines_to(100);
    struct api_client client;
    begin(rig, &client, body);
    free(body);
    api_rig_wait_calls(rig, 64);
    api_rig_begin_close(rig);
    api_rig_release(rig, false);
    struct api_reply reply = api_client_read(&client, false);
    assert_int_equal(reply.status, 200);
    assert_int_equal(count_results(&reply), 100);
    assert_false(reply.keep_alive);
    api_client_free(&reply);
    api_client_expect_end(&client);
    api_client_close(&client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_submitted_in_order_through_a_window, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(each_line_has_its_own_result, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(what_the_log_refuses_stands_in_its_line, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(batches_are_bounded, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_sender_that_goes_stops_its_batch, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_batch_ends_before_its_role_does, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
