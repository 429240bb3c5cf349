/* Sends to topics and conditions, and subscriptions: what reaches the message role, and each refusal. */
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define TTL_MAX_S 1000
#define PATH "/v1/apps/shop/messages"
#define DEVICE "/v1/apps/shop/users/ann/devices/phone"

static void limit_ttl(struct api_config *config)
{
    config->topics_ttl_max_s = TTL_MAX_S;
}

static int open_rig(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, limit_ttl);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

/* Ask, expect a 200, and hand back what the message role was asked about. */
static const char *asked(struct api_rig *rig, const char *method, const char *path, const char *body)
{
    rig->script.topics[0] = '\0';
    struct api_reply reply = api_rig_ask(rig, API_SEND, method, path, body);
    if (reply.status != 200)
        fail_msg("refused: %s", reply.body);
    api_client_free(&reply);
    return rig->script.topics;
}

static void a_topic_is_one_append(void **state)
{
    struct api_rig *rig = *state;
    assert_string_equal(asked(rig, "POST", PATH, "{\"to\":{\"topic\":\"news\"},\"data\":1}"), "news(0) ");
    assert_int_equal(rig->script.rate, 0);
    assert_false(rig->script.has_key);
    assert_string_equal(asked(rig, "POST", PATH, "{\"to\":{\"topic\":\"all\"},\"data\":1,\"rate\":500}"), "all(0) ");
    assert_int_equal(rig->script.rate, 500);
}

static void a_condition_is_an_append_for_each_of_its_parts(void **state)
{
    struct api_rig *rig = *state;
    assert_string_equal(
        asked(rig, "POST", PATH, "{\"to\":{\"condition\":\"'a' in topics && !('b' in topics)\"},\"data\":1}"), "a(1) ");
    assert_string_equal(asked(rig, "POST", PATH, "{\"to\":{\"condition\":\"!('a' in topics)\"},\"data\":1}"),
                        "all(1) ");
    /* The second part says who has the first. */
    const char *both =
        asked(rig, "POST", PATH, "{\"to\":{\"condition\":\"'a' in topics || 'b' in topics\"},\"data\":1}");
    assert_true(strcmp(both, "a(1) b(2) ") == 0 || strcmp(both, "b(1) a(2) ") == 0);
}

/* A log that was given two would take the second for the first come again. */
static void a_log_is_given_one_part(void **state)
{
    struct api_rig *rig = *state;
    (void)asked(rig, "POST", PATH,
                "{\"to\":{\"condition\":\"'a' in topics && ('b' in topics || 'c' in topics)\"},\"data\":1}");
    assert_string_equal(rig->script.topics, "a(2) ");
}

static void a_key_gives_the_same_id_to_the_same_target_only(void **state)
{
    struct api_rig *rig = *state;
    char headers[512];
    struct id ids[3];
    static const char *const bodies[] = {"{\"to\":{\"topic\":\"a\"},\"data\":1}",
                                         "{\"to\":{\"topic\":\"a\"},\"data\":1}",
                                         "{\"to\":{\"topic\":\"b\"},\"data\":1}"};
    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nIdempotency-Key: k\r\n", rig->key);
    for (size_t i = 0; i < 3; i++) {
        struct api_reply reply = api_rig_ask_with(rig, API_SEND, "POST", PATH, headers, bodies[i]);
        assert_int_equal(reply.status, 200);
        api_client_free(&reply);
        assert_true(rig->script.has_key);
        ids[i] = rig->script.topic_id;
    }
    assert_memory_equal(&ids[0], &ids[1], sizeof ids[0]);
    assert_memory_not_equal(&ids[0], &ids[2], sizeof ids[0]);
}

static void what_is_wrong_is_named(void **state)
{
    struct api_rig *rig = *state;
    static const struct {
        const char *body;
        const char *field;
    } cases[] = {
        {"{\"to\":{\"topic\":\"a/b\"},\"data\":1}", "to.topic"},
        {"{\"to\":{\"topic\":\"\"},\"data\":1}", "to.topic"},
        {"{\"to\":{\"topic\":\"a\",\"user\":\"u\"},\"data\":1}", "to"},
        {"{\"to\":{\"topic\":\"a\",\"condition\":\"'a' in topics\"},\"data\":1}", "to"},
        {"{\"to\":{\"condition\":\"a\"},\"data\":1}", "to.condition"},
        {"{\"to\":{\"condition\":\"'a' in topics && !('a' in topics)\"},\"data\":1}", "to.condition"},
        {"{\"to\":{\"topic\":\"a\"},\"data\":1,\"collapse_key\":\"k\"}", "collapse_key"},
        {"{\"to\":{\"topic\":\"a\"},\"data\":1,\"require_device\":true}", "require_device"},
        {"{\"to\":{\"topic\":\"a\"},\"data\":1,\"rate\":0}", "rate"},
        {"{\"to\":{\"user\":\"u\"},\"data\":1,\"rate\":5}", "rate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        api_rig_expect_refused(rig, cases[i].body, 400, "INVALID", cases[i].field, NULL);
    assert_int_equal(rig->script.calls, 0);
}

static void ids_of_topic_messages_have_no_state(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = api_rig_ask(rig, API_SEND, "POST", PATH, "{\"to\":{\"topic\":\"news\"},\"data\":1}");
    char path[256];
    (void)snprintf(path, sizeof path, PATH "/%s", api_client_text(&reply, "id"));
    api_client_free(&reply);
    api_rig_expect_error(rig, API_SEND, "GET", path, NULL, 404, "NOT_FOUND", "id");
}

static void a_topic_s_ttl_has_a_limit_of_its_own(void **state)
{
    struct api_rig *rig = *state;
    const uint64_t before_ms = (uint64_t)time(NULL) * 1000;
    (void)asked(rig, "POST", PATH, "{\"to\":{\"topic\":\"a\"},\"data\":1}");
    const uint64_t after_ms = (uint64_t)(time(NULL) + 1) * 1000;
    assert_in_range(rig->script.topic_expires_ms, before_ms + TTL_MAX_S * 1000, after_ms + TTL_MAX_S * 1000);
    (void)asked(rig, "POST", PATH, "{\"to\":{\"topic\":\"a\"},\"data\":1,\"ttl\":1000}");
    const int calls = rig->script.calls;
    api_rig_expect_refused(rig, "{\"to\":{\"topic\":\"a\"},\"data\":1,\"ttl\":1001}", 400, "INVALID", "ttl", NULL);
    api_rig_expect_refused(rig, "{\"to\":{\"condition\":\"!('a' in topics)\"},\"data\":1,\"ttl\":1001}", 400, "INVALID",
                           "ttl", NULL);
    assert_int_equal(rig->script.calls, calls);
    struct api_reply reply =
        api_rig_ask(rig, API_SEND, "POST", PATH, "{\"to\":{\"user\":\"u\"},\"data\":1,\"ttl\":1001}");
    assert_int_equal(reply.status, 200);
    api_client_free(&reply);
}

static void devices_are_subscribed(void **state)
{
    struct api_rig *rig = *state;
    assert_string_equal(asked(rig, "PUT", DEVICE "/topics/news", NULL), "news(0) ");
    assert_int_equal(rig->script.last_type, PEER_SUBSCRIBE);
    assert_string_equal(rig->script.target[2], "phone");
    assert_string_equal(asked(rig, "DELETE", DEVICE "/topics/news", NULL), "news(0) ");
    assert_int_equal(rig->script.last_type, PEER_UNSUBSCRIBE);
    struct api_reply reply = api_rig_ask(rig, API_SEND, "GET", DEVICE "/topics", NULL);
    assert_string_equal(api_client_text(&reply, "topics.0.topic"), "news");
    api_client_free(&reply);
    api_rig_expect_error(rig, API_SEND, "PUT", DEVICE "/topics/all", NULL, 400, "INVALID", "topic");
    api_rig_expect_error(rig, API_SEND, "PUT", DEVICE "/topics/a%2fb", NULL, 400, "INVALID", "topic");
    rig->script.status = PETREL_E_NOT_FOUND;
    api_rig_expect_error(rig, API_SEND, "PUT", DEVICE "/topics/news", NULL, 404, "NOT_FOUND", "device");
    rig->script.status = PETREL_E_TOO_LARGE;
    api_rig_expect_error(rig, API_SEND, "PUT", DEVICE "/topics/news", NULL, 400, "FAILED_PRECONDITION", "topic");
}

static void a_topic_says_where_it_is(void **state)
{
    struct api_rig *rig = *state;
    assert_string_equal(asked(rig, "GET", "/v1/apps/shop/topics/news", NULL), "news(0) ");
    rig->script.status = PETREL_E_NOT_FOUND;
    api_rig_expect_error(rig, API_SEND, "GET", "/v1/apps/shop/topics/none", NULL, 404, "NOT_FOUND", "topic");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    static const struct CMUnitTest tests[] = {
        TEST(a_topic_is_one_append),
        TEST(a_condition_is_an_append_for_each_of_its_parts),
        TEST(a_log_is_given_one_part),
        TEST(a_key_gives_the_same_id_to_the_same_target_only),
        TEST(what_is_wrong_is_named),
        TEST(ids_of_topic_messages_have_no_state),
        TEST(a_topic_s_ttl_has_a_limit_of_its_own),
        TEST(devices_are_subscribed),
        TEST(a_topic_says_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
