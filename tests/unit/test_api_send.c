/* Single messages: what is accepted and how it travels on, and each refusal. */
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATH "/v1/apps/shop/messages"

static int open_rig(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

static struct api_reply post(struct api_rig *rig, const char *body)
{
    return api_rig_ask(rig, API_SEND, "POST", PATH, body);
}

static struct api_reply post_with_key(struct api_rig *rig, const char *key, const char *body)
{
    char headers[512];
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nIdempotency-Key: %s\r\n", rig->key, key);
    return api_rig_ask_with(rig, API_SEND, "POST", PATH, headers, body);
}

static void accepted(struct api_reply reply)
{
    if (reply.status != 200)
        fail_msg("refused: %s", reply.body);
    api_client_free(&reply);
}

static void a_message_travels_as_it_was_written(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = post(
        rig, "{ \"to\": {\"user\":\"ann\",\"device\":\"phone\"}, \"data\" : { \"a\" : [ 1.10, -0 , \"x y\\\"}\" ] },"
             "\"ttl\":60, \"priority\":\"high\", \"collapse_key\":\"k\", \"require_device\":true}");
    assert_int_equal(reply.status, 200);
    const char *id = api_client_text(&reply, "id");
    assert_non_null(id);
    assert_string_equal(id + 36, "~YW5uAHBob25l"); /* base64url of "ann\0phone" */
    const struct api_rig_script *script = &rig->script;
    assert_string_equal(script->target[0], "shop");
    assert_string_equal(script->target[1], "ann");
    assert_string_equal(script->target[2], "phone");
    assert_true(script->message.is_json);
    const char *data = "{\"a\":[1.10,-0,\"x y\\\"}\"]}";
    assert_int_equal(script->message.body.len, strlen(data));
    assert_memory_equal(script->message.body.ptr, data, strlen(data));
    assert_true(script->message.high);
    assert_string_equal(script->collapse_key, "k");
    assert_int_equal(script->send.priority, PEER_PRIORITY_HIGH);
    assert_true(script->send.require_device);
    assert_false(script->send.has_key);
    assert_int_equal(script->send.expires_ms, script->send.sent_ms + 60000);
    assert_int_equal(script->message.expires_ms, script->send.expires_ms);
    assert_memory_equal(&script->message.id, &script->send.id, sizeof script->send.id);
    api_client_free(&reply);
}

static void with_replicas(struct api_config *config)
{
    config->replicas = true;
}

static int open_rig_with_replicas(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    api_rig_open(rig, with_replicas);
    *state = rig;
    return 0;
}

static void a_store_with_replicas_is_asked_for_them(void **state)
{
    struct api_rig *rig = *state;
    accepted(post(rig, "{\"to\":{\"user\":\"ann\"},\"data\":1,\"durability\":\"replicated\"}"));
    assert_int_equal(rig->script.send.durability, PEER_DURABILITY_REPLICATED);
    accepted(post(rig, "{\"to\":{\"user\":\"ann\"},\"data\":1,\"durability\":\"standard\"}"));
    assert_int_equal(rig->script.send.durability, PEER_DURABILITY_STANDARD);
}

/* Out of memory, or of the disk of servers that others look after: it passes, as what is away comes back. */
static void a_shared_store_is_full_for_a_while(void **state)
{
    struct api_rig *rig = *state;
    rig->script.status = PETREL_E_FULL;
    api_rig_expect_refused(rig, "{\"to\":{\"user\":\"ann\"},\"data\":1}", 503, "STORE_FULL", NULL, NULL);
}

static void payloads_are_bytes(void **state)
{
    struct api_rig *rig = *state;
    accepted(post(rig, "{\"to\":{\"user\":\"ann\"},\"payload\":\"AAH/\"}"));
    assert_false(rig->script.message.is_json);
    assert_int_equal(rig->script.message.body.len, 3);
    assert_memory_equal(rig->script.message.body.ptr, "\0\1\377", 3);
    assert_int_equal(rig->script.send.priority, PEER_PRIORITY_NORMAL);
    assert_int_equal(rig->script.send.expires_ms, rig->script.send.sent_ms + 28 * 86400000ULL);
    accepted(post(rig, "{\"to\":{\"user\":\"ann\"},\"payload\":\"\"}"));
    assert_int_equal(rig->script.message.body.len, 0);
}

static void any_json_value_is_data(void **state)
{
    struct api_rig *rig = *state;
    static const char *const values[] = {"null", "0", "\"\"", "[]", "{}", "true", "1e3", "\"\\u0000\"", "\"\xc3\xa9\""};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char body[128];
        (void)snprintf(body, sizeof body, "{\"data\":%s,\"to\":{\"user\":\"ann\"}}", values[i]);
        accepted(post(rig, body));
        assert_int_equal(rig->script.message.body.len, strlen(values[i]));
        assert_memory_equal(rig->script.message.body.ptr, values[i], strlen(values[i]));
    }
    /* The name may be written in escapes; its value is found all the same. */
    accepted(post(rig, "{\"to\":{\"user\":\"u\"},\"d\\u0061ta\": [1, 2]}"));
    assert_memory_equal(rig->script.message.body.ptr, "[1,2]", 5);
}

static void keys_make_ids_and_digests(void **state)
{
    struct api_rig *rig = *state;
    accepted(post_with_key(rig, "order-1", "{\"to\":{\"user\":\"ann\"},\"data\":1}"));
    const struct peer_send first = rig->script.send;
    assert_true(first.has_key);
    assert_int_equal(first.id.bytes[6] >> 4, 8);
    assert_int_equal(first.key_expires_ms, first.sent_ms + 24 * 3600000ULL);
    accepted(post_with_key(rig, "order-1", "{\"data\": 1 , \"to\":{\"user\":\"ann\"}}"));
    assert_memory_equal(&rig->script.send.id, &first.id, sizeof first.id);
    assert_memory_equal(rig->script.send.key, first.key, sizeof first.key);
    assert_true(rig->script.send.body_hash == first.body_hash);
    accepted(post_with_key(rig, "order-1", "{\"to\":{\"user\":\"ann\"},\"data\":2}"));
    assert_memory_equal(rig->script.send.key, first.key, sizeof first.key);
    assert_true(rig->script.send.body_hash != first.body_hash);
    accepted(post_with_key(rig, "order-1", "{\"to\":{\"user\":\"ann\"},\"payload\":\"MQ==\"}"));
    assert_true(rig->script.send.body_hash != first.body_hash); /* the same byte, but no JSON */
    accepted(post_with_key(rig, "order-1", "{\"to\":{\"user\":\"bob\"},\"data\":1}"));
    assert_memory_not_equal(rig->script.send.key, first.key, sizeof first.key);
    accepted(post_with_key(rig, "order-2", "{\"to\":{\"user\":\"ann\"},\"data\":1}"));
    assert_memory_not_equal(rig->script.send.key, first.key, sizeof first.key);
}

static void a_duplicate_says_so_and_a_conflict_is_409(void **state)
{
    struct api_rig *rig = *state;
    rig->script.duplicate = true;
    struct api_reply reply = post_with_key(rig, "k", "{\"to\":{\"user\":\"ann\"},\"data\":1}");
    assert_int_equal(reply.status, 200);
    assert_true(json_is_true(api_client_at(&reply, "duplicate")));
    api_client_free(&reply);
    rig->script.status = PETREL_E_CONFLICT;
    reply = post_with_key(rig, "k", "{\"to\":{\"user\":\"ann\"},\"data\":2}");
    assert_int_equal(reply.status, 409);
    assert_string_equal(api_client_text(&reply, "error.status"), "CONFLICT");
    assert_string_equal(api_client_text(&reply, "error.field"), "Idempotency-Key");
    api_client_free(&reply);
}

static void idempotency_keys_are_checked(void **state)
{
    struct api_rig *rig = *state;
    char long_key[130];
    memset(long_key, 'k', sizeof long_key);
    long_key[129] = '\0';
    const char *const keys[] = {long_key, "a b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct api_reply reply = post_with_key(rig, keys[i], "{\"to\":{\"user\":\"ann\"},\"data\":1}");
        assert_int_equal(reply.status, 400);
        assert_string_equal(api_client_text(&reply, "error.field"), "Idempotency-Key");
        api_client_free(&reply);
    }
    long_key[128] = '\0';
    accepted(post_with_key(rig, long_key, "{\"to\":{\"user\":\"ann\"},\"data\":1}"));
    api_rig_expect_refused(rig, "{\"to\":{\"user\":\"a\"},\"data\":1,\"idempotency_key\":\"k\"}", 400, "INVALID",
                           "idempotency_key", "Idempotency-Key");
}

static void validate_only_sends_nothing(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = post(rig, "{\"to\":{\"user\":\"ann\"},\"data\":1,\"validate_only\":true}");
    assert_int_equal(reply.status, 200);
    assert_true(json_is_true(api_client_at(&reply, "validate_only")));
    assert_null(api_client_at(&reply, "id"));
    api_client_free(&reply);
    assert_int_equal(rig->script.calls, 0);
}

#define TO "\"to\":{\"user\":\"ann\"}"

static void bad_json_says_where(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        {"", "line 1, column 1"},
        {"{", "line 1"},
        {"{\"to\":{\"user\":\"ann\"},\n  \"data\": nul}", "line 2, column "},
        {"{" TO ",\"data\":1}x", "line 1"},
        {"{" TO ",\"data\":1,\"data\":2}", "duplicate"},
        {"{" TO ",\"data\":\"\xff\"}", "line 1"},
        {"{" TO ",\"data\":123456789012345678901234567890}", "too big"},
        {"[]", "an object is expected, not an array"},
        {"\"{}\"", "an object is expected, not a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        api_rig_expect_refused(rig, cases[i].body, 400, "INVALID_JSON", NULL, cases[i].says);
    char deep[512] = "{" TO ",\"data\":";
    for (int i = 0; i < 64; i++)
        strcat(deep, "[");
    api_rig_expect_refused(rig, deep, 400, "INVALID_JSON", NULL, "deeper than 64");
    assert_int_equal(rig->script.calls, 0);
}

static void fields_are_checked_and_named(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *body;
        const char *field;
        const char *says;
    } cases[] = {
        {"{\"data\":1}", "to", "missing"},
        {"{\"to\":{},\"data\":1}", "to", "exactly one"},
        {"{\"to\":{\"device\":\"d\"},\"data\":1}", "to.user", "missing"},
        {"{\"to\":{\"user\":\"u\",\"token\":\"t\"},\"data\":1}", "to", "exactly one"},
        {"{\"to\":{\"token\":\"AQAAAAA\"},\"data\":1}", "to.token", "not the address"},
        {"{\"to\":{\"user\":\"\"},\"data\":1}", "to.user", "1 to 128"},
        {"{\"to\":{\"user\":\"a\\nb\"},\"data\":1}", "to.user", "printable"},
        {"{\"to\":{\"user\":\"a\\u0000b\"},\"data\":1}", "to.user", "printable"},
        {"{\"to\":{\"user\":\"u\",\"device\":\"a b\"},\"data\":1}", "to.device", "A-Z"},
        {"{\"to\":{\"user\":7},\"data\":1}", "to.user", "must be a string, is an integer"},
        {"{\"to\":\"ann\",\"data\":1}", "to", "must be an object, is a string"},
        {"{\"to\":{\"usr\":\"ann\"},\"data\":1}", "to.usr", "unknown field"},
        {"{" TO "}", "data", "is missing"},
        {"{" TO ",\"data\":1,\"payload\":\"AA==\"}", "data", "alone"},
        {"{" TO ",\"payload\":\"AA\"}", "payload", "base64"},
        {"{" TO ",\"payload\":17}", "payload", "must be a string"},
        {"{" TO ",\"data\":1,\"ttl\":-1}", "ttl", "from 0 to 2419200, is -1"},
        {"{" TO ",\"data\":1,\"ttl\":2419201}", "ttl", "from 0 to 2419200"},
        {"{" TO ",\"data\":1,\"ttl\":1.5}", "ttl", "must be an integer, is a number with a fraction"},
        {"{" TO ",\"data\":1,\"ttl\":\"60\"}", "ttl", "must be an integer, is a string"},
        {"{" TO ",\"data\":1,\"ttl\":null}", "ttl", "is null"},
        {"{" TO ",\"data\":1,\"priority\":\"urgent\"}", "priority", "\"high\""},
        {"{" TO ",\"data\":1,\"collapse_key\":\"\"}", "collapse_key", "1 to 64"},
        {"{" TO ",\"data\":1,\"durability\":\"best\"}", "durability", "standard"},
        {"{" TO ",\"data\":1,\"require_device\":1}", "require_device", "true or false"},
        {"{" TO ",\"data\":1,\"Ttl\":1}", "Ttl", "unknown field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        api_rig_expect_refused(rig, cases[i].body, 400, "INVALID", cases[i].field, cases[i].says);
    api_rig_expect_refused(rig, "{" TO ",\"data\":1,\"deliver_at\":\"x\"}", 400, "UNSUPPORTED", "deliver_at", NULL);
    api_rig_expect_refused(rig, "{" TO ",\"data\":1,\"durability\":\"replicated\"}", 400, "FAILED_PRECONDITION",
                           "durability", "no replicas");
    assert_int_equal(rig->script.calls, 0);
}

static char *message_of(size_t body_len)
{
    char *text = malloc(body_len + 64);
    assert_non_null(text);
    const int head = sprintf(text, "{" TO ",\"data\":\"");
    memset(text + head, 'x', body_len - 2);
    memcpy(text + head + body_len - 2, "\"}", 3);
    return text;
}

static void large_messages_are_refused(void **state)
{
    struct api_rig *rig = *state;
    char *text = message_of(16384);
    accepted(post(rig, text));
    free(text);
    text = message_of(16385);
    api_rig_expect_refused(rig, text, 413, "TOO_LARGE", "data", "limit is 16384");
    free(text);
    text = message_of(100000);
    api_rig_expect_refused(rig, text, 413, "TOO_LARGE", NULL, "limit is 65536");
    free(text);
}

static void what_the_log_answers_is_told(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        int status;
        unsigned http;
        const char *name;
        const char *field;
        const char *retry;
    } cases[] = {
        {PETREL_E_UNREGISTERED, 404, "UNREGISTERED", "to.device", NULL},
        {PETREL_E_RATE_LIMITED, 429, "RATE_LIMITED", NULL, "5"},
        {PETREL_E_BUSY, 503, "BUSY", NULL, "1"},
        {PETREL_E_UNAVAILABLE, 503, "UNKNOWN_OUTCOME", NULL, "1"},
        {PETREL_E_TIMEOUT, 503, "UNKNOWN_OUTCOME", NULL, "1"},
        {PETREL_E_CLOSING, 503, "UNAVAILABLE", NULL, "2"},
        {PETREL_E_FULL, 507, "FULL", NULL, "30"},
        {PETREL_E_TOO_LARGE, 413, "TOO_LARGE", NULL, NULL},
        {PETREL_E_INTERNAL, 500, "INTERNAL", NULL, NULL},
        {PETREL_E_NOMEM, 500, "INTERNAL", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig->script.status = cases[i].status;
        struct api_reply reply = post(rig, "{\"to\":{\"user\":\"ann\",\"device\":\"phone\"},\"data\":1}");
        assert_int_equal(reply.status, cases[i].http);
        assert_string_equal(api_client_text(&reply, "error.status"), cases[i].name);
        const char *field = api_client_text(&reply, "error.field");
        assert_string_equal(field != NULL ? field : "", cases[i].field != NULL ? cases[i].field : "");
        char retry[16] = "";
        (void)api_client_header(&reply, "Retry-After", retry, sizeof retry);
        assert_string_equal(retry, cases[i].retry != NULL ? cases[i].retry : "");
        api_client_free(&reply);
    }
    rig->script.status = PETREL_E_UNREGISTERED;
    api_rig_expect_refused(rig, "{" TO ",\"data\":1,\"require_device\":true}", 404, "UNREGISTERED", "to.user", NULL);
    assert_int_equal(metrics_get(rig->metrics, METRIC_SENDS), 0);
    assert_int_equal(metrics_get(rig->metrics, METRIC_SENDS_REFUSED), 11);
}

static void states_and_recalls(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply sent = post(rig, "{" TO ",\"data\":1}");
    char path[256];
    (void)snprintf(path, sizeof path, PATH "/%s", api_client_text(&sent, "id"));
    rig->script.stated =
        (struct peer_stated){.state = PEER_STATE_PENDING, .position = {9, 4}, .expires_ms = 1700000000000, .count = 2};
    (void)snprintf(rig->script.stated.devices[0].device, ROUTE_DEVICE_MAX, "phone");
    (void)snprintf(rig->script.stated.devices[1].device, ROUTE_DEVICE_MAX, "tab");
    rig->script.stated.devices[0].acked = 4;
    rig->script.stated.devices[1].acked = 3;
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", path, NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(api_client_text(&reply, "state"), "PENDING");
    assert_string_equal(api_client_text(&reply, "id"), api_client_text(&sent, "id"));
    assert_string_equal(api_client_text(&reply, "expires_at"), "2023-11-14T22:13:20.000Z");
    assert_int_equal(json_integer_value(api_client_at(&reply, "position.seq")), 4);
    assert_true(json_is_true(api_client_at(&reply, "devices.0.acked")));
    assert_true(json_is_false(api_client_at(&reply, "devices.1.acked")));
    api_client_free(&reply);
    reply = api_rig_ask(rig, API_SEND, "DELETE", path, NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(api_client_text(&reply, "state"), "RECALLED");
    assert_int_equal(rig->script.last_type, PEER_RECALL);
    assert_string_equal(rig->script.target[1], "ann");
    api_client_free(&reply);
    rig->script.status = PETREL_E_ALREADY_DELIVERED;
    api_rig_expect_error(rig, API_SEND, "DELETE", path, NULL, 409, "ALREADY_DELIVERED", "id");
    rig->script.status = PETREL_E_NOT_FOUND;
    api_rig_expect_error(rig, API_SEND, "DELETE", path, NULL, 404, "NOT_FOUND", "id");
    reply = api_rig_ask(rig, API_SEND, "GET", path, NULL);
    assert_int_equal(reply.status, 200);
    assert_string_equal(api_client_text(&reply, "state"), "UNKNOWN");
    api_client_free(&reply);
    rig->script.status = PETREL_E_UNAVAILABLE;
    api_rig_expect_error(rig, API_SEND, "GET", path, NULL, 503, "UNAVAILABLE", NULL);
    api_client_free(&sent);
}

static void ids_that_are_none_are_404(void **state)
{
    struct api_rig *rig = *state;
    static const char *const ids[] = {"x",
                                      "018f0000-0000-7000-8000-000000000000",
                                      "018f0000-0000-7000-8000-000000000000~",
                                      "018f0000-0000-7000-8000-000000000000~!!",
                                      "018f0000-0000-7000-8000-000000000000~AA",
                                      "018f0000-0000-7000-8000-00000000000g~YW5u",
                                      "018f0000-0000-7000-8000-000000000000~YW5uAA"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, PATH "/%s", ids[i]);
        api_rig_expect_error(rig, API_SEND, "GET", path, NULL, 404, "NOT_FOUND", "id");
    }
    assert_int_equal(rig->script.calls, 0);
}

/* The message node dies under the call: what another one says to the same id is the answer. */
static void a_send_that_was_lost_on_its_way_is_asked_once_more(void **state)
{
    struct api_rig *rig = *state;
    rig->script.lost = 1;
    rig->script.duplicate = true; /* the first had been written */
    struct api_reply reply = api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/messages", "{" TO ",\"data\":1}");
    assert_int_equal(reply.status, 200);
    assert_null(api_client_at(&reply, "duplicate")); /* of nothing that the sender knows */
    assert_int_equal(rig->script.calls, 2);
    assert_memory_equal(&rig->script.lost_id, &rig->script.send.id, sizeof rig->script.lost_id);
    api_client_free(&reply);

    rig->script.lost = 1;
    reply = api_rig_ask(rig, API_SEND, "POST", "/v1/apps/shop/messages:batch",
                        "{" TO ",\"data\":1,\"idempotency_key\":\"k\"}\n");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"duplicate\":true")); /* with a key it may be the sender's own */
    assert_int_equal(rig->script.calls, 4);
    api_client_free(&reply);

    rig->script.lost = 2;
    api_rig_expect_refused(rig, "{" TO ",\"data\":1}", 503, "UNKNOWN_OUTCOME", NULL, NULL);
    assert_int_equal(rig->script.calls, 6);
    rig->script.status = PETREL_E_CLOSING; /* it takes no more: no other does here */
    api_rig_expect_refused(rig, "{" TO ",\"data\":1}", 503, "UNAVAILABLE", NULL, NULL);
    assert_int_equal(rig->script.calls, 8);
    rig->script.status = PETREL_E_TIMEOUT; /* of a node that is there, and was asked for long enough */
    api_rig_expect_refused(rig, "{" TO ",\"data\":1}", 503, "UNKNOWN_OUTCOME", NULL, NULL);
    assert_int_equal(rig->script.calls, 9);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_travels_as_it_was_written, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_store_with_replicas_is_asked_for_them, open_rig_with_replicas, close_rig),
        cmocka_unit_test_setup_teardown(a_shared_store_is_full_for_a_while, open_rig_with_replicas, close_rig),
        cmocka_unit_test_setup_teardown(payloads_are_bytes, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_send_that_was_lost_on_its_way_is_asked_once_more, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(any_json_value_is_data, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(keys_make_ids_and_digests, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_duplicate_says_so_and_a_conflict_is_409, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(idempotency_keys_are_checked, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(validate_only_sends_nothing, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(bad_json_says_where, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(fields_are_checked_and_named, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(large_messages_are_refused, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(what_the_log_answers_is_told, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(states_and_recalls, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(ids_that_are_none_are_404, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
