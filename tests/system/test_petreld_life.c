/* petreld's end, its signals, and what it tells its surroundings. */
#include "lib/until.h"
#include "system/raw.h"
#include "system/rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    return rig != NULL && rig_prepare(rig) ? 0 : -1;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

static bool has_ended(void *ctx)
{
    return daemon_has_ended(ctx);
}

/* ---- the end ---- */

#define SESSIONS 3

static void join(struct rig *rig, struct raw sessions[SESSIONS])
{
    for (size_t i = 0; i < SESSIONS; i++) {
        char user[16];
        snprintf(user, sizeof user, "user-%zu", i);
        char *token = rig_register(rig, user, "phone");
        assert_non_null(token);
        assert_true(raw_open(&sessions[i], rig->daemon.session, 0));
        assert_true(raw_connect(&sessions[i], token, 1, (struct position){0, 0}));
        free(token);
    }
}

static void expect_goaway(struct raw *raw, uint32_t spread_ms)
{
    struct session_frame frame;
    assert_true(raw_frame(raw, &frame));
    assert_int_equal(frame.type, SESSION_GOAWAY);
    assert_int_equal(frame.goaway.code, SESSION_CODE_SHUTDOWN);
    assert_int_equal(frame.goaway.spread_ms, spread_ms);
}

static void close_all(struct raw sessions[SESSIONS])
{
    for (size_t i = 0; i < SESSIONS; i++)
        raw_close(&sessions[i]);
}

/* The grace is longer than anything waits here: it ends because the sessions have left. */
static void sessions_are_sent_away_and_leave(void **state)
{
    struct rig *rig = *state;
    struct raw sessions[SESSIONS];
    const char *const args[] = {"--shutdown-grace", "10m", "--shutdown-spread", "7s", NULL};
    assert_true(rig_start(rig, args) && rig_make_app(rig));
    join(rig, sessions);
    kill(rig->daemon.pid, SIGTERM);
    for (size_t i = 0; i < SESSIONS; i++)
        expect_goaway(&sessions[i], 7000);
    assert_true(raw_ping(&sessions[0], 4)); /* it still serves who has not left */
    assert_false(daemon_has_ended(&rig->daemon));
    close_all(sessions);
    assert_true(until(has_ended, &rig->daemon, RIG_WAIT_MS));
    assert_int_equal(rig->daemon.status, 0);
}

static void the_grace_ends_sessions_that_stay(void **state)
{
    struct rig *rig = *state;
    struct raw sessions[SESSIONS];
    const char *const args[] = {"--shutdown-grace", "300ms", "--shutdown-spread", "100ms", NULL};
    assert_true(rig_start(rig, args) && rig_make_app(rig));
    join(rig, sessions);
    kill(rig->daemon.pid, SIGTERM);
    for (size_t i = 0; i < SESSIONS; i++) {
        expect_goaway(&sessions[i], 100);
        assert_true(raw_read_end(&sessions[i]));
    }
    assert_true(until(has_ended, &rig->daemon, RIG_WAIT_MS));
    assert_int_equal(rig->daemon.status, 0);
    close_all(sessions);
}

static void end_at_once(struct rig *rig, int first, int second)
{
    struct raw sessions[SESSIONS];
    const char *const args[] = {"--shutdown-grace", "10m", NULL};
    assert_true(rig_start(rig, args) && rig_make_app(rig));
    join(rig, sessions);
    kill(rig->daemon.pid, first);
    for (size_t i = 0; i < SESSIONS; i++)
        expect_goaway(&sessions[i], 5000);
    kill(rig->daemon.pid, second);
    assert_true(until(has_ended, &rig->daemon, RIG_WAIT_MS));
    assert_int_equal(rig->daemon.status, 0);
    close_all(sessions);
}

static void a_second_sigterm_ends_at_once(void **state)
{
    end_at_once(*state, SIGTERM, SIGTERM);
}

static void sigint_is_like_sigterm(void **state)
{
    end_at_once(*state, SIGINT, SIGINT);
}

static bool has_run_file(const struct rig *rig)
{
    char path[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/petreld.json", rig->daemon.data_dir);
    return access(path, F_OK) == 0;
}

/* The file is written while some of the loops are not up yet: the signal finds them at every step of the way. */
static void a_sigterm_while_it_starts_ends_in_order(void **state)
{
    struct rig *rig = *state;
    const char *const args[] = {"--loops", "16", "--shutdown-grace", "0s", "--shutdown-spread", "0s", NULL};
    for (unsigned try = 0; try < 30; try++) {
        uint64_t end_ms = until_now_ms() + RIG_WAIT_MS;
        assert_true(daemon_spawn(&rig->daemon, PETREL_BIN_DIR "/petreld", args));
        while (!has_run_file(rig) && until_now_ms() < end_ms) /* a wait of whole milliseconds would miss the moment */
            continue;
        for (unsigned turn = 0; turn < try * 10; turn++)
            has_run_file(rig);
        kill(rig->daemon.pid, SIGTERM);
        assert_true(until(has_ended, &rig->daemon, RIG_WAIT_MS));
        if (rig->daemon.status != 0)
            fail_msg("try %u ended with status %d\n%s", try, rig->daemon.status, rig_tail(rig));
    }
}

struct comer {
    struct rig *rig;
    struct raw *raw;
    const char *token;
    uint64_t attempt;
};

/* A node that has just started says that it is to be asked again (3003) until its loop has heard of the apps. */
static bool comes_in(void *ctx)
{
    struct comer *comer = ctx;
    if (!raw_open(comer->raw, comer->rig->daemon.session, 0))
        return false;
    if (raw_connect(comer->raw, comer->token, ++comer->attempt, (struct position){0, 0}))
        return true;
    raw_close(comer->raw);
    return false;
}

/* Nothing that was answered 2xx is left behind by an orderly end. */
static void an_orderly_end_keeps_what_was_accepted(void **state)
{
    struct rig *rig = *state;
    assert_true(rig_start(rig, NULL) && rig_make_app(rig));
    char *token = rig_register(rig, "ann", "phone");
    assert_int_equal(rig_send(rig, "ann", "\"kept\"", ""), 200);
    assert_true(rig_restart(rig, SIGTERM, NULL));
    assert_int_equal(rig->daemon.status, 0);
    struct raw raw;
    struct session_frame frame;
    struct comer comer = {.rig = rig, .raw = &raw, .token = token};
    assert_true(until(comes_in, &comer, RIG_WAIT_MS));
    assert_true(raw_frame(&raw, &frame));
    assert_int_equal(frame.type, SESSION_PUSH);
    assert_memory_equal(frame.push.message.body.ptr, "\"kept\"", 6);
    raw_close(&raw);
    free(token);
}

/* ---- logs ---- */

struct wanted {
    const char *path;
    const char *text;
};

static bool file_holds(void *ctx)
{
    const struct wanted *wanted = ctx;
    char text[16384];
    FILE *file = fopen(wanted->path, "r");
    if (file == NULL)
        return false;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return strstr(text, wanted->text) != NULL;
}

static void sighup_opens_the_log_again(void **state)
{
    struct rig *rig = *state;
    char path[TMPDIR_PATH_MAX + 32], moved[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/own.log", rig->daemon.tmp.path);
    snprintf(moved, sizeof moved, "%s/own.log.1", rig->daemon.tmp.path);
    const char *const args[] = {"--log-file", path, NULL};
    assert_true(rig_start(rig, args));
    struct wanted ready = {path, "ready"}, reopened = {path, "SIGHUP"}, late = {path, "stopped"},
                  in_old = {moved, "stopped"};
    assert_true(until(file_holds, &ready, RIG_WAIT_MS));
    assert_int_equal(rename(path, moved), 0);
    kill(rig->daemon.pid, SIGHUP);
    assert_true(until(file_holds, &reopened, RIG_WAIT_MS));
    assert_true(daemon_stop(&rig->daemon, SIGTERM, RIG_WAIT_MS));
    assert_int_equal(rig->daemon.status, 0);
    assert_true(file_holds(&late));
    assert_false(file_holds(&in_old));
}

static void a_log_that_cannot_be_opened_again_goes_on_in_the_old_file(void **state)
{
    struct rig *rig = *state;
    char path[TMPDIR_PATH_MAX + 32], moved[TMPDIR_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/own.log", rig->daemon.tmp.path);
    snprintf(moved, sizeof moved, "%s/own.log.1", rig->daemon.tmp.path);
    const char *const args[] = {"--log-file", path, NULL};
    assert_true(rig_start(rig, args));
    struct wanted ready = {path, "ready"}, told = {moved, "can't be opened again"}, late = {moved, "stopped"};
    assert_true(until(file_holds, &ready, RIG_WAIT_MS));
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    kill(rig->daemon.pid, SIGHUP);
    assert_true(until(file_holds, &told, RIG_WAIT_MS));
    assert_true(daemon_stop(&rig->daemon, SIGTERM, RIG_WAIT_MS));
    assert_true(file_holds(&late));
}

static void json_lines_are_json(void **state)
{
    struct rig *rig = *state;
    const char *const args[] = {
        "--log-format", "json", "--log-level", "debug", "--node-name", "a \"quoted\\ name\xc3\xa9", NULL};
    assert_true(rig_start(rig, args) && rig_make_app(rig));
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200);
    assert_true(daemon_stop(&rig->daemon, SIGTERM, RIG_WAIT_MS));
    char path[TMPDIR_PATH_MAX + 32], *line = NULL;
    size_t size = 0, lines = 0;
    bool ready = false;
    snprintf(path, sizeof path, "%s/petreld.log", rig->daemon.tmp.path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        json_error_t error;
        json_t *object = json_loads(line, 0, &error);
        if (object == NULL)
            fail_msg("%s: %s", error.text, line);
        const char *node = json_string_value(json_object_get(object, "node"));
        ready = ready || (node != NULL && strcmp(node, "a \"quoted\\ name\xc3\xa9") == 0);
        assert_non_null(json_object_get(object, "level"));
        json_decref(object);
        lines++;
    }
    fclose(file);
    free(line);
    assert_true(lines >= 3);
    assert_true(ready);
}

/* ---- the supervisor ---- */

static void expect_note(int fd, const char *wanted)
{
    char text[512];
    ssize_t len = recv(fd, text, sizeof text - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, wanted));
}

static void the_supervisor_is_told(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = RIG_WAIT_MS / 1000};
    int len = snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", rig->daemon.tmp.path);
    assert_true(len > 0 && (size_t)len < sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    bool started = rig_start(rig, NULL);
    unsetenv("NOTIFY_SOCKET");
    assert_true(started);
    expect_note(fd, "READY=1");
    kill(rig->daemon.pid, SIGTERM);
    expect_note(fd, "STOPPING=1");
    assert_true(until(has_ended, &rig->daemon, RIG_WAIT_MS));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions_are_sent_away_and_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(the_grace_ends_sessions_that_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_sigterm_ends_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(sigint_is_like_sigterm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sigterm_while_it_starts_ends_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(an_orderly_end_keeps_what_was_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(sighup_opens_the_log_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_opened_again_goes_on_in_the_old_file, setup, teardown),
        cmocka_unit_test_setup_teardown(json_lines_are_json, setup, teardown),
        cmocka_unit_test_setup_teardown(the_supervisor_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
