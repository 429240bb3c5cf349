/* petrel_client over real sockets, against scripted servers. */
#include "unit/client_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    if (rig == NULL)
        return -1;
    server_rig_begin(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    bool ended = server_rig_end(rig);
    free(rig);
    return ended ? 0 : -1;
}

static void messages_come_and_are_acked(void **state)
{
    struct rig *rig = *state;
    rig->one.answer = ANSWER_MESSAGES;
    rig->one.messages = 2;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_until(rig, "ACK 2"));
    assert_true(petrel_client_state(rig->client)->seq == 2);
    assert_true(server_rig_close(rig));
    assert_string_equal(server_rig_seen(rig), "one CONNECT 0/0#1 abc; app connected; app message 1; app message 2; "
                                              "one ACK 2; one DISCONNECT; app closed; ");
}

static void lost_connections_are_made_again(void **state)
{
    struct rig *rig = *state;
    rig->one.answer = ANSWER_MESSAGES;
    rig->one.messages = 1;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_until(rig, "ACK 1"));
    server_drop(&rig->one);
    assert_true(server_rig_until(rig, "ACK 2"));
    assert_non_null(strstr(server_rig_seen(rig),
                           "app disconnected 0 the connection was lost: closed by the server retry; "
                           "one CONNECT 7/1#2 abc; app connected; app message 2; "));
    assert_true(server_rig_close(rig));
}

static void names_are_looked_up(void **state)
{
    struct rig *rig = *state;
    server_rig_client(rig, "localhost", "abc", false); /* ::1, where it is first, does not answer */
    assert_true(server_rig_until(rig, "app connected"));
    assert_true(server_rig_close(rig));
}

static void names_that_are_none_are_told(void **state)
{
    struct rig *rig = *state;
    char name[400];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    server_rig_client(rig, name, "abc", false);
    assert_true(server_rig_until(rig, "app disconnected 0 "));
    assert_non_null(strstr(server_rig_seen(rig), "retry"));
    assert_true(server_rig_close(rig));
}

static void refused_connections_are_retried(void **state)
{
    struct rig *rig = *state;
    uint16_t port = rig->one.port;
    uv_close((uv_handle_t *)&rig->two.listener, NULL);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    rig->one.port = rig->two.port; /* nobody listens there now */
    server_rig_client(rig, "127.0.0.1", "abc", false);
    rig->one.port = port;
    assert_true(server_rig_until(rig, "connection refused retry; app disconnected"));
    assert_true(server_rig_close(rig));
    uv_tcp_init(&rig->loop, &rig->two.listener); /* for the teardown to close */
}

/* A backlog that is full answers no SYN. */
static void silence_runs_into_the_connect_timeout(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[4];
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    uint16_t port = rig->one.port;
    rig->one.port = ntohs(address.sin_port);
    server_rig_client(rig, "127.0.0.1", "abc", false);
    rig->one.port = port;
    assert_true(server_rig_until(rig, "app disconnected 0 connect: connection timed out retry"));
    assert_true(server_rig_close(rig));
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close(listener);
}

static void tokens_are_fetched(void **state)
{
    struct rig *rig = *state;
    rig->tokens[1] = "fresh";
    rig->tokens[2] = "fresher";
    rig->tokens[3] = "freshest";
    rig->one.answer = ANSWER_ERROR;
    rig->one.code = SESSION_CODE_TOKEN_EXPIRED;
    server_rig_client(rig, "127.0.0.1", NULL, true);
    assert_true(server_rig_until(rig, "app connected"));
    assert_string_equal(server_rig_seen(rig),
                        "app fetch; app disconnected 0 no token could be had retry; "
                        "app fetch; one CONNECT 0/0#1 fresh; app disconnected 3007 no retry; one end; "
                        "app fetch; one CONNECT 0/0#2 fresher; app connected; ");
    rig->one.answer = ANSWER_ERROR;
    rig->one.code = SESSION_CODE_TOKEN_INVALID;
    server_drop(&rig->one);
    assert_true(server_rig_until(rig, "app fetch; one CONNECT 7/0#4 freshest; app connected"));
    assert_true(server_rig_close(rig));
}

static void a_refused_token_stops_until_there_is_another(void **state)
{
    struct rig *rig = *state;
    rig->one.answer = ANSWER_ERROR;
    rig->one.code = SESSION_CODE_TOKEN_INVALID;
    server_rig_client(rig, "127.0.0.1", "bad", false);
    assert_true(server_rig_until(rig, "app disconnected 3505 no stop; "));
    petrel_client_token(rig->client, NULL);
    petrel_client_token(rig->client, "good");
    assert_true(server_rig_until(rig, "one CONNECT 0/0#2 good; app connected; "));
    assert_true(server_rig_close(rig));
}

static void a_client_without_a_token_waits_for_one(void **state)
{
    struct rig *rig = *state;
    server_rig_client(rig, "127.0.0.1", NULL, false);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_string_equal(server_rig_seen(rig), "");
    petrel_client_token(rig->client, "late");
    assert_true(server_rig_until(rig, "one CONNECT 0/0#1 late; app connected; "));
    assert_true(server_rig_close(rig));
}

static void a_replaced_session_stops(void **state)
{
    struct rig *rig = *state;
    rig->one.answer = ANSWER_ERROR;
    rig->one.code = SESSION_CODE_REPLACED;
    server_rig_client(rig, "127.0.0.1", "abc", true);
    assert_true(server_rig_until(rig, "app disconnected 3508 no stop; "));
    assert_true(server_rig_close(rig));
}

static void goaway_moves_to_its_target(void **state)
{
    struct rig *rig = *state;
    rig->one.answer = ANSWER_GOAWAY;
    rig->one.next = &rig->two;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_until(rig, "two CONNECT 7/0#2 abc; app connected; "));
    /* The old connection ends before anything is said on the new one. */
    const char *end = strstr(server_rig_seen(rig), "one end; ");
    assert_non_null(end);
    assert_true(end < strstr(server_rig_seen(rig), "two CONNECT"));
    /* And when the target is lost, where it began is tried again. */
    rig->one.answer = ANSWER_CONNECTED;
    server_drop(&rig->two);
    assert_true(server_rig_until(rig, "one CONNECT 7/0#3 abc; app connected; "));
    assert_true(server_rig_close(rig));
}

static void a_paused_client_reads_nothing(void **state)
{
    struct rig *rig = *state;
    rig->quiet = true;
    rig->one.answer = ANSWER_MESSAGES;
    rig->one.messages = 3000;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    petrel_client_pause(rig->client);
    assert_true(server_rig_until(rig, "one CONNECT"));
    for (int i = 0; i < 20; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_true(rig->messages == 0);
    petrel_client_resume(rig->client);
    assert_true(server_rig_until(rig, "app connected"));
    petrel_client_pause(rig->client);
    uint64_t before = rig->messages;
    for (int i = 0; i < 20; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_true(rig->messages == before && before < 3000);
    petrel_client_resume(rig->client);
    for (int i = 0; i < 100000 && rig->messages < 3000; i++)
        uv_run(&rig->loop, UV_RUN_ONCE);
    assert_true(rig->messages == 3000);
    assert_true(server_rig_close(rig));
}

static void close_works_anywhere(void **state)
{
    struct rig *rig = *state;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_close(rig)); /* before the loop ran */
    assert_string_equal(server_rig_seen(rig), "app closed; ");

    bytes_reset(&rig->seen);
    server_rig_client(rig, "127.0.0.1", "abc", false);
    for (int i = 0; i < 3; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT); /* in the lookup, or the connect */
    assert_true(server_rig_close(rig));

    bytes_reset(&rig->seen);
    rig->close_in = "fetch";
    server_rig_client(rig, "127.0.0.1", NULL, true);
    assert_true(server_rig_until(rig, "app fetch; app closed; "));

    bytes_reset(&rig->seen);
    rig->close_in = "disconnected";
    rig->one.answer = ANSWER_CLOSE;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_until(rig, "retry; app closed; "));

    bytes_reset(&rig->seen);
    rig->close_in = "message";
    rig->one.answer = ANSWER_MESSAGES;
    rig->one.messages = 5;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_until(rig, "app closed; "));
    assert_string_equal(server_rig_seen(rig), "one CONNECT 0/0#1 abc; app connected; app message 1; one ACK 1; "
                                              "one DISCONNECT; app closed; ");
}

static void a_silent_server_does_not_hold_up_close(void **state)
{
    struct rig *rig = *state;
    rig->one.answer = ANSWER_NOTHING;
    server_rig_client(rig, "127.0.0.1", "abc", false);
    assert_true(server_rig_until(rig, "one CONNECT"));
    assert_true(server_rig_close(rig));
}

static void config_must_be_whole(void **state)
{
    struct rig *rig = *state;
    static const struct petrel_callbacks none = {NULL, NULL, NULL, NULL, NULL, NULL};
    struct petrel_client_config config = {.loop = &rig->loop, .host = "h", .core = {.callbacks = &none}};
    assert_null(petrel_client_new(&config, NULL));
    config.core.callbacks = NULL;
    assert_null(petrel_client_new(&config, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_come_and_are_acked, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_connections_are_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_are_none_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_connections_are_retried, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_runs_into_the_connect_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_are_fetched, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_token_stops_until_there_is_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_without_a_token_waits_for_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replaced_session_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(goaway_moves_to_its_target, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paused_client_reads_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(close_works_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_does_not_hold_up_close, setup, teardown),
        cmocka_unit_test_setup_teardown(config_must_be_whole, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
