/* petrel_client finds its servers by lookup and goes from one that fails to the next: over real sockets, against scripted servers. */
#include "unit/client_directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct test {
    struct rig rig;
    struct directory first;
    struct directory second;
    char lookup[128];
};

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    if (test == NULL)
        return -1;
    server_rig_begin(&test->rig);
    directory_begin(&test->first, &test->rig, "first");
    directory_begin(&test->second, &test->rig, "second");
    snprintf(test->lookup, sizeof test->lookup, "127.0.0.1:%u", (unsigned)test->first.port);
    test->rig.lookup = test->lookup;
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    directory_end(&test->first);
    directory_end(&test->second);
    bool ended = server_rig_end(&test->rig);
    free(test);
    return ended ? 0 : -1;
}

static void begin(struct test *test)
{
    server_rig_client(&test->rig, NULL, "abc", false);
}

static bool until(struct test *test, const char *text)
{
    return server_rig_until(&test->rig, text);
}

static void ask_both(struct test *test)
{
    snprintf(test->lookup, sizeof test->lookup, "127.0.0.1:%u,127.0.0.1:%u", (unsigned)test->first.port,
             (unsigned)test->second.port);
}

static unsigned times(struct test *test, const char *text)
{
    unsigned count = 0;
    for (const char *at = server_rig_seen(&test->rig); (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

/* A port of 127.0.0.1 where nobody listens while the socket is there, which is bound and no more. */
static uint16_t dead_port(uv_tcp_t *socket, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int len = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, socket);
    uv_tcp_bind(socket, (const struct sockaddr *)&address, 0);
    uv_tcp_getsockname(socket, (struct sockaddr *)&address, &len);
    return ntohs(address.sin_port);
}

static void a_lookup_names_the_server(void **state)
{
    struct test *test = *state;
    char host[64];
    directory_names(&test->first, test->rig.two.port, test->rig.one.port, ",\"ttl_s\":300,\"backoff_ms\":1000");
    begin(test);
    assert_true(until(test, "app connected; "));
    assert_string_equal(server_rig_seen(&test->rig), "first asked; two CONNECT 0/0#1 abc; app connected; ");
    snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)test->rig.two.port);
    assert_string_equal(petrel_client_server(test->rig.client), host);
    bytes_append(&test->first.question, "", 1);
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", (unsigned)test->first.port);
    assert_non_null(strstr((const char *)test->first.question.ptr, host));
    assert_true(strncmp((const char *)test->first.question.ptr, "GET /v1/lookup HTTP/1.1\r\n", 25) == 0);
    assert_true(server_rig_close(&test->rig));
}

static void answers_may_come_in_chunks_or_end_with_the_connection(void **state)
{
    struct test *test = *state;
    char json[128], answer[512];
    int len =
        snprintf(json, sizeof json, "{\"servers\":[{\"address\":\"127.0.0.1:%u\"}]}", (unsigned)test->rig.one.port);
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
             (unsigned)len, json);
    directory_answer(&test->first, answer);
    begin(test);
    assert_true(until(test, "app connected; "));
    assert_true(server_rig_close(&test->rig));
    bytes_reset(&test->rig.seen);
    snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\r\n\r\n%s", json);
    directory_answer(&test->first, answer);
    test->first.closes = true;
    begin(test);
    assert_true(until(test, "app connected; "));
    assert_true(server_rig_close(&test->rig));
}

static void a_server_that_refuses_is_followed_by_the_next(void **state)
{
    struct test *test = *state;
    uv_tcp_t nobody;
    directory_names(&test->first, dead_port(&nobody, &test->rig.loop), test->rig.two.port, "");
    begin(test);
    bool connected = until(test, "app connected; ");
    uv_close((uv_handle_t *)&nobody, NULL);
    assert_true(connected);
    assert_string_equal(server_rig_seen(&test->rig),
                        "first asked; app disconnected 0 connect: connection refused retry; "
                        "two CONNECT 0/0#1 abc; app connected; ");
    assert_true(server_rig_close(&test->rig));
}

static void a_server_that_has_no_room_is_followed_by_the_next(void **state)
{
    static const uint32_t codes[] = {SESSION_CODE_SHUTDOWN, SESSION_CODE_DRAIN, SESSION_CODE_OVERLOADED,
                                     SESSION_CODE_UNAVAILABLE};
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, test->rig.two.port, "");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char seen[256];
        test->rig.one.answer = ANSWER_ERROR;
        test->rig.one.code = codes[i];
        begin(test);
        assert_true(until(test, "app connected; "));
        snprintf(seen, sizeof seen,
                 "first asked; one CONNECT 0/0#1 abc; app disconnected %u no retry; one end; "
                 "two CONNECT 0/0#2 abc; app connected; ",
                 codes[i]);
        assert_string_equal(server_rig_seen(&test->rig), seen);
        assert_true(server_rig_close(&test->rig));
        bytes_reset(&test->rig.seen);
    }
}

static void a_server_that_closes_at_once_is_followed_by_the_next(void **state)
{
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, test->rig.two.port, "");
    test->rig.one.answer = ANSWER_CLOSE;
    begin(test);
    assert_true(until(test, "two CONNECT 0/0#2 abc; app connected; "));
    assert_int_equal(times(test, "asked"), 1);
    assert_true(server_rig_close(&test->rig));
}

/* Its kernel accepts, it says nothing: stopped, or cut off. */
static void a_server_that_hangs_is_followed_by_the_next(void **state)
{
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, test->rig.two.port, "");
    test->rig.one.answer = ANSWER_NOTHING;
    begin(test);
    assert_true(until(test, "the server has been silent for too long retry; "));
    assert_true(until(test, "two CONNECT 0/0#2 abc; app connected; "));
    assert_true(server_rig_close(&test->rig));
}

static void a_lost_session_goes_on_elsewhere(void **state)
{
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, test->rig.two.port, ",\"ttl_s\":300");
    begin(test);
    assert_true(until(test, "one CONNECT 0/0#1 abc; app connected; "));
    server_drop(&test->rig.one);
    assert_true(until(test, "two CONNECT 7/0#2 abc; app connected; "));
    server_drop(&test->rig.two);
    assert_true(until(test, "one CONNECT 7/0#3 abc; app connected; "));
    assert_int_equal(times(test, "asked"), 1);
    assert_true(server_rig_close(&test->rig));
}

static void an_answer_that_is_old_is_asked_for_again(void **state)
{
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, 0, ",\"ttl_s\":0");
    begin(test);
    assert_true(until(test, "one CONNECT 0/0#1 abc; app connected; "));
    directory_names(&test->first, test->rig.two.port, 0, ",\"ttl_s\":0");
    server_drop(&test->rig.one);
    assert_true(until(test, "first asked; two CONNECT 7/0#2 abc; app connected; "));
    /* And when there is no answer, the old one is better than none. */
    directory_down(&test->first);
    server_drop(&test->rig.two);
    assert_true(until(test, "two CONNECT 7/0#3 abc; app connected; "));
    assert_true(server_rig_close(&test->rig));
}

static void a_list_that_failed_is_asked_for_again(void **state)
{
    struct test *test = *state;
    test->rig.one.answer = test->rig.two.answer = ANSWER_CLOSE;
    directory_names(&test->first, test->rig.one.port, test->rig.two.port, ",\"ttl_s\":300,\"backoff_ms\":1");
    begin(test);
    assert_true(until(test, "two CONNECT 0/0#2"));
    directory_names(&test->first, test->rig.two.port, 0, "");
    test->rig.two.answer = ANSWER_CONNECTED;
    assert_true(until(test, "first asked; two CONNECT 0/0#3 abc; app connected; "));
    assert_true(server_rig_close(&test->rig));
}

static void the_slot_is_kept(void **state)
{
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, 0, ",\"wait_ms\":400");
    begin(test);
    assert_true(until(test, "first asked; "));
    uint64_t asked = uv_now(&test->rig.loop);
    assert_true(until(test, "app connected; "));
    assert_true(uv_now(&test->rig.loop) - asked >= 390);
    assert_true(server_rig_close(&test->rig));
}

static void goaways_targets_come_before_the_list(void **state)
{
    struct test *test = *state;
    directory_names(&test->first, test->rig.one.port, 0, ",\"ttl_s\":300");
    test->rig.one.answer = ANSWER_GOAWAY;
    test->rig.one.next = &test->rig.two;
    test->rig.two.answer = ANSWER_CLOSE;
    begin(test);
    assert_true(until(test, "two CONNECT 7/0#2 abc; "));
    test->rig.one.answer = ANSWER_CONNECTED;
    assert_true(until(test, "one CONNECT 7/0#3 abc; app connected; "));
    assert_int_equal(times(test, "asked"), 1);
    assert_true(server_rig_close(&test->rig));
}

/* Whatever one lookup server answers, the other is asked, and from then on it is asked first. */
static void lookup_servers_are_asked_in_turn(void **state)
{
    struct test *test = *state;
    char large[20000];
    memset(large, ' ', sizeof large);
    large[sizeof large - 1] = '\0';
    memcpy(large, "{\"servers\":[", 12);
    ask_both(test);
    directory_names(&test->second, test->rig.one.port, 0, ",\"ttl_s\":0");
    for (int i = 0; i < 7; i++) {
        if (i == 0)
            directory_answer(&test->first, "\x01\x02 no HTTP");
        else if (i == 1)
            directory_answer_json(&test->first, 503, "{\"error\":{\"status\":\"UNAVAILABLE\"}}");
        else if (i == 2)
            directory_answer_json(&test->first, 200, large);
        else if (i == 3)
            directory_answer_json(&test->first, 200, "{\"servers\":[]}");
        else if (i == 4)
            directory_answer_json(&test->first, 200, "[");
        else if (i == 5)
            directory_answer(&test->first, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"serv");
        else
            directory_down(&test->first);
        test->first.closes = i == 5;
        begin(test); /* which is asked first, is drawn */
        assert_true(until(test, "second asked; one CONNECT 0/0#1 abc; app connected; "));
        bytes_reset(&test->rig.seen);
        server_drop(&test->rig.one);
        assert_true(until(test, "app connected; "));
        assert_string_equal(server_rig_seen(&test->rig),
                            "app disconnected 0 the connection was lost: closed by the server retry; "
                            "second asked; one CONNECT 7/0#2 abc; app connected; ");
        assert_true(server_rig_close(&test->rig));
        bytes_reset(&test->rig.seen);
    }
}

static void without_any_lookup_server_it_tries_again(void **state)
{
    struct test *test = *state;
    directory_down(&test->first);
    begin(test);
    assert_true(until(test, "app disconnected 0 no lookup server answers: connect: connection refused retry; "));
    assert_true(until(test, "retry; app disconnected 0 no lookup server answers: connect: connection refused retry; "));
    assert_true(server_rig_close(&test->rig));
    bytes_reset(&test->rig.seen);
    directory_answer_json(&test->second, 404, "{}");
    snprintf(test->lookup, sizeof test->lookup, "127.0.0.1:%u", (unsigned)test->second.port);
    begin(test);
    assert_true(until(test, "second asked; app disconnected 0 no lookup server answers: HTTP status 404 retry; "));
    assert_true(server_rig_close(&test->rig));
}

static void a_lookup_server_that_hangs_is_given_up(void **state)
{
    struct test *test = *state;
    begin(test);
    assert_true(until(test, "first asked; app disconnected 0 no lookup server answers: no answer in time retry; "));
    assert_true(server_rig_close(&test->rig));
}

static void close_works_in_a_lookup(void **state)
{
    struct test *test = *state;
    begin(test);
    for (int i = 0; i < 3; i++)
        uv_run(&test->rig.loop, UV_RUN_NOWAIT);
    assert_true(server_rig_close(&test->rig));
    bytes_reset(&test->rig.seen);
    begin(test);
    assert_true(until(test, "first asked; "));
    assert_true(server_rig_close(&test->rig));
    bytes_reset(&test->rig.seen);
    directory_names(&test->first, test->rig.one.port, 0, ",\"wait_ms\":60000");
    begin(test);
    assert_true(until(test, "first asked; "));
    for (int i = 0; i < 3; i++)
        uv_run(&test->rig.loop, UV_RUN_NOWAIT);
    assert_true(server_rig_close(&test->rig));
    assert_string_equal(server_rig_seen(&test->rig), "first asked; app closed; ");
}

static void on_message(void *ctx, const struct petrel_message *message)
{
    (void)ctx;
    (void)message;
}

static void lists_must_be_whole(void **state)
{
    struct test *test = *state;
    static const char *const lists[] = {
        "",        ",",       "a",        "a:",
        ":1",      "a:1,",    ",a:1",     "a:0",
        "a:65536", "a:1;b:1", "a:1, b:2", "a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1"};
    static const struct petrel_callbacks callbacks = {.on_message = on_message};
    struct petrel_client_config config = {.loop = &test->rig.loop, .core = {.callbacks = &callbacks}};
    assert_null(petrel_client_new(&config, NULL));
    config.lookup = "a:1";
    config.host = "b";
    assert_null(petrel_client_new(&config, NULL));
    config.host = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        config.lookup = lists[i];
        assert_null(petrel_client_new(&config, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lookup_names_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_may_come_in_chunks_or_end_with_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_refuses_is_followed_by_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_has_no_room_is_followed_by_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_closes_at_once_is_followed_by_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_hangs_is_followed_by_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_session_goes_on_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_that_is_old_is_asked_for_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_that_failed_is_asked_for_again, setup, teardown),
        cmocka_unit_test_setup_teardown(the_slot_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(goaways_targets_come_before_the_list, setup, teardown),
        cmocka_unit_test_setup_teardown(lookup_servers_are_asked_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(without_any_lookup_server_it_tries_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lookup_server_that_hangs_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(close_works_in_a_lookup, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_must_be_whole, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
