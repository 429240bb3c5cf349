/* Sessions that end by themselves: those that are silent, and those whose token runs out. */
#include "unit/session_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void silent_session_is_closed_and_a_pinging_one_lives(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client silent, pinging;
    client_go_live(&silent, rig, "silent", 0);
    client_go_live(&pinging, rig, "pinging", 0);
    /* 1.5 x 240 s + 5 s. */
    rig_advance(rig, 200000);
    client_expect_silence(&pinging);
    rig_advance(rig, 160000);
    client_expect_silence(&pinging);
    rig_advance(rig, 10000);
    client_take_error(&silent, SESSION_CODE_HEARTBEAT_TIMEOUT);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_expect_silence(&pinging);
    rig_wait_metric(rig, METRIC_HEARTBEAT_TIMEOUTS, 1);
    client_close(&silent);
    client_close(&pinging);
    rig_free(&rig);
}

static void expired_token_ends_the_session(void **state)
{
    (void)state;
    struct rig *rig = rig_new(NULL);
    struct client client;
    client_go_live(&client, rig, "phone", 0);
    for (int i = 0; i < 12; i++) {
        rig_advance(rig, 300000);
        client_expect_silence(&client);
    }
    rig_advance(rig, (TOKEN_LEEWAY_S + 5) * 1000);
    client_take_error(&client, SESSION_CODE_TOKEN_EXPIRED);
    rig_answer(rig, rig_take(rig, PEER_UNBIND), 0);
    client_close(&client);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_session_is_closed_and_a_pinging_one_lives),
        cmocka_unit_test(expired_token_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
