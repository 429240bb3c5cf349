/* A petreld above memory.high_water: who connects is refused and told when to come back; sends are taken; operators see why. */
#include "system/raw.h"
#include "system/rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024

struct crowd {
    struct rig rig;
    char *token;
    long long bytes; /* what a petreld takes that nobody is connected to */
};

static int setup(void **state)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    *state = crowd;
    return crowd != NULL && rig_begin(&crowd->rig, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    struct crowd *crowd = *state;
    rig_end(&crowd->rig);
    free(crowd->token);
    free(crowd);
    return 0;
}

/* The same petreld again, with the mark at so many per cent of what it takes by itself. */
static void restart_with_mark(struct crowd *crowd, long long percent)
{
    char mark[64];
    const char *args[] = {mark, NULL};
    (void)snprintf(mark, sizeof mark, "--memory-high-water=%lldKiB", crowd->bytes / 100 * percent / KIB);
    if (!rig_restart(&crowd->rig, SIGTERM, args))
        fail_msg("it does not come up: %s", rig_tail(&crowd->rig));
}

/* GET on the admin listener; what it answered stands in rig.http. */
static long ask(struct crowd *crowd, const char *path)
{
    return http_call(&crowd->rig.http, "GET", crowd->rig.daemon.admin, path, crowd->rig.daemon.token, NULL);
}

static void above_the_mark_who_connects_is_refused(void **state)
{
    struct crowd *crowd = *state;
    struct rig *rig = &crowd->rig;
    struct session_frame frame;
    struct raw raw;
    crowd->token = rig_register(rig, "ada", "phone");
    assert_non_null(crowd->token);
    crowd->bytes = rig_metric(rig, "petrel_memory_bytes");
    assert_true(crowd->bytes > KIB * KIB);
    assert_int_equal(rig_metric(rig, "petrel_memory_short"), 0);
    restart_with_mark(crowd, 50);
    assert_int_equal(rig_metric(rig, "petrel_memory_short"), 1);
    assert_true(raw_open(&raw, rig->daemon.session, 0));
    assert_true(raw_frame_of(&raw, SESSION_ERROR, &frame));
    assert_int_equal(frame.error.code, SESSION_CODE_OVERLOADED);
    assert_true(frame.error.backoff_ms >= 1000);
    raw_close(&raw);
    assert_int_equal(rig_metric(rig, "petrel_overloaded_total"), 1);
    assert_int_equal(rig_send(rig, "ada", "1", ""), 200);
    assert_int_equal(ask(crowd, "/readyz"), 200);
    assert_non_null(strstr(rig->http.text, "\"what\":\"memory\""));
    assert_int_equal(ask(crowd, "/admin/v1/status"), 200);
    assert_non_null(strstr(rig->http.text, "\"memory_short\":1"));
    assert_true(rig_logged(rig, "memory is above memory.high_water"));
    /* With room again it is as if nothing had been: what was sent meanwhile comes. */
    restart_with_mark(crowd, 1000);
    assert_int_equal(rig_metric(rig, "petrel_memory_short"), 0);
    assert_true(raw_open(&raw, rig->daemon.session, 0));
    assert_true(raw_connect(&raw, crowd->token, 1, (struct position){0, 0}));
    assert_true(raw_frame_of(&raw, SESSION_PUSH, &frame));
    raw_close(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(above_the_mark_who_connects_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
