/* petreld starts, or says why not: its files, its options, what it refuses. */
#include "lib/until.h"
#include "system/rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* Run petreld to its end with these options; the exit code, or -1. What it printed is in the log. */
static int run(struct rig *rig, const char *const *args)
{
    const char *folder = getenv("PETREL_BIN_DIR");
    char binary[1024];
    struct daemon *daemon = &rig->daemon;
    snprintf(binary, sizeof binary, "%s/petreld", folder != NULL ? folder : PETREL_BIN_DIR);
    if (!daemon_spawn(daemon, binary, args) || !until(has_ended, daemon, RIG_WAIT_MS) || !WIFEXITED(daemon->status))
        return -1;
    return WEXITSTATUS(daemon->status);
}

static char *in_data(const struct rig *rig, const char *name, char out[TMPDIR_PATH_MAX + 64])
{
    snprintf(out, TMPDIR_PATH_MAX + 64, "%s/%s", rig->daemon.data_dir, name);
    return out;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static mode_t mode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_mode & 07777 : 0;
}

/* ---- files ---- */

static void the_run_file_and_the_token_are_right(void **state)
{
    struct rig *rig = *state;
    struct daemon *daemon = &rig->daemon;
    char path[TMPDIR_PATH_MAX + 64];
    assert_true(rig_start(rig, NULL));
    assert_int_equal(mode_of(daemon->data_dir), 0700);
    assert_int_equal(mode_of(in_data(rig, "admin.token", path)), 0600);
    assert_int_equal(strlen(daemon->token), 43); /* 32 bytes as base64url */

    json_t *file = json_load_file(in_data(rig, "petreld.json", path), 0, NULL);
    assert_non_null(file);
    assert_int_equal(json_integer_value(json_object_get(file, "pid")), daemon->pid);
    assert_string_equal(json_string_value(json_object_get(file, "version")), PETREL_VERSION);
    json_decref(file);
    assert_int_equal(http_call(&rig->http, "GET", daemon->api, "/healthz", NULL, NULL), 200);
    assert_int_equal(http_call(&rig->http, "GET", daemon->api, "/readyz", NULL, NULL), 200);
    assert_int_equal(http_call(&rig->http, "GET", daemon->admin, "/admin/v1/status", daemon->token, NULL), 200);
    assert_int_equal(http_call(&rig->http, "GET", daemon->admin, "/admin/v1/status", "no-such-token-of-ours", NULL),
                     401);

    char token[sizeof daemon->token];
    strcpy(token, daemon->token);
    assert_true(daemon_stop(daemon, SIGTERM, RIG_WAIT_MS));
    assert_int_equal(daemon->status, 0);
    assert_int_not_equal(access(in_data(rig, "petreld.json", path), F_OK), 0);
    assert_true(rig_start(rig, NULL));
    assert_string_equal(daemon->token, token); /* scripts keep working over a restart */
}

static void a_killed_server_starts_again(void **state)
{
    struct rig *rig = *state;
    char path[TMPDIR_PATH_MAX + 64];
    assert_true(rig_start(rig, NULL));
    assert_true(rig_make_app(rig));
    assert_true(daemon_stop(&rig->daemon, SIGKILL, RIG_WAIT_MS));
    assert_int_equal(access(in_data(rig, "petreld.json", path), F_OK), 0);
    assert_true(rig_start(rig, NULL));
    assert_int_equal(rig_send(rig, "ann", "1", ""), 200); /* the app and its key are there */
}

static void a_token_that_others_can_read_is_refused(void **state)
{
    struct rig *rig = *state;
    char path[TMPDIR_PATH_MAX + 64];
    assert_int_equal(mkdir(rig->daemon.data_dir, 0700), 0);
    write_file(in_data(rig, "admin.token", path), "0123456789abcdefghij\n", 0644);
    assert_int_equal(run(rig, NULL), 1);
    assert_true(rig_logged(rig, path));
    assert_true(rig_logged(rig, "readable by its owner only"));

    write_file(path, "short\n", 0600);
    assert_int_equal(run(rig, NULL), 1);

    write_file(path, "0123456789abcdefghij\n", 0600);
    assert_true(rig_start(rig, NULL));
    assert_string_equal(rig->daemon.token, "0123456789abcdefghij");
}

/* ---- only one ---- */

static void a_data_directory_has_one_server(void **state)
{
    struct rig *rig = *state;
    assert_true(rig_start(rig, NULL));
    struct rig second;
    assert_true(rig_prepare(&second));
    const char *const args[] = {"--data-dir", rig->daemon.data_dir, NULL};
    int code = run(&second, args);
    bool named = rig_logged(&second, rig->daemon.data_dir) && rig_logged(&second, "another petreld runs");
    rig_end(&second);
    assert_int_equal(code, 1);
    assert_true(named);
    /* And the first is none the worse. */
    assert_true(daemon_is_up(&rig->daemon));
    assert_int_equal(http_call(&rig->http, "GET", rig->daemon.api, "/readyz", NULL, NULL), 200);
}

static void a_port_has_one_server(void **state)
{
    struct rig *rig = *state;
    static const char *const flags[] = {"--session-port", "--api-port", "--admin-port"};
    assert_true(rig_start(rig, NULL));
    const char *const taken[] = {rig->daemon.session, rig->daemon.api, rig->daemon.admin};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct rig second;
        const char *port = strchr(taken[i], ':') + 1;
        const char *const args[] = {flags[i], port, NULL};
        assert_true(rig_prepare(&second));
        int code = run(&second, args);
        bool told = rig_logged(&second, port) && rig_logged(&second, "in use");
        print_message("%s", told ? "" : rig_tail(&second));
        rig_end(&second);
        assert_int_equal(code, 1);
        assert_true(told);
    }
}

/* ---- options ---- */

static void help_version_and_reference_are_printed(void **state)
{
    struct rig *rig = *state;
    const char *const help[] = {"--help", NULL}, *const version[] = {"--version", NULL},
                      *const reference[] = {"--reference", NULL};
    char path[TMPDIR_PATH_MAX + 64];
    assert_int_equal(run(rig, version), 0);
    assert_true(rig_logged(rig, "petreld " PETREL_VERSION "\n"));
    assert_int_equal(run(rig, help), 0);
    assert_true(rig_logged(rig, "usage: petreld"));
    assert_true(rig_logged(rig, "--session-port"));
    assert_int_equal(run(rig, reference), 0);
    assert_true(rig_logged(rig, "`session.port`"));
    assert_int_not_equal(access(in_data(rig, "petreld.lock", path), F_OK), 0); /* none of them began to run */
}

static void a_configuration_is_checked(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *text;
        int code;
        const char *told; /* behind the file's name */
    } cases[] = {
        {"[session]\nheartbeat = 2m\n[log]\nlevel = debug\n", 0, ""},
        {"[session]\nheartbeat = 2m\nbogus = 1\n", 2, ":3: no such key: \"session.bogus\""},
        {"[session]\n\nheartbeat = 2 minutes\n", 2,
         ":3: session.heartbeat: \"2 minutes\" is not a whole number with a unit"},
        {"[api]\nmax_body = 4MB\n", 2, ":2: api.max_body: \"4MB\" is not a whole number with a unit"},
        {"[inbox]\ncap_entries = 0\n", 2, ":2: inbox.cap_entries: 0 is out of range: 1 to 10000"},
        {"[log]\nlevel = loud\n", 2, ":2: log.level: \"loud\" is none of debug|info|warn|error"},
    };
    char path[TMPDIR_PATH_MAX + 64], told[TMPDIR_PATH_MAX + 256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(path, sizeof path, "%s/%zu.conf", rig->daemon.tmp.path, i);
        write_file(path, cases[i].text, 0600);
        const char *const args[] = {"--check-config", "--config", path, NULL};
        assert_int_equal(run(rig, args), cases[i].code);
        snprintf(told, sizeof told, "%s%s", cases[i].code != 0 ? path : "the configuration is right", cases[i].told);
        if (!rig_logged(rig, told))
            fail_msg("not told: %s\nbut: %s", told, rig_tail(rig));
    }
    const char *const none[] = {"--config", "/no/such/file.conf", NULL}, *const odd[] = {"--no-such-key", "1", NULL},
                      *const bare[] = {"--log-level", NULL};
    assert_int_equal(run(rig, none), 2);
    assert_true(rig_logged(rig, "/no/such/file.conf"));
    assert_int_equal(run(rig, odd), 2);
    assert_true(rig_logged(rig, "--no-such-key: no such option"));
    assert_int_equal(run(rig, bare), 2);
    assert_true(rig_logged(rig, "--log-level: needs a value"));
}

/* A key's value as the last answer has it. */
static const char *written(const struct rig *rig, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(rig->http.body, key), "written"));
    return text != NULL ? text : "";
}

/* The flag wins over the file. */
static void a_configuration_file_counts(void **state)
{
    struct rig *rig = *state;
    char path[TMPDIR_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/petreld.conf", rig->daemon.tmp.path);
    write_file(path, "node_name = from-file\n[inbox]\ncap_entries = 77\nfate = 2h\n", 0600);
    const char *const args[] = {"--inbox-cap-entries", "78", "--config", path, NULL};
    assert_true(rig_start(rig, args));
    const struct daemon *daemon = &rig->daemon;
    assert_int_equal(http_call(&rig->http, "GET", daemon->admin, "/admin/v1/status", daemon->token, NULL), 200);
    assert_string_equal(http_call_text(&rig->http, "name"), "from-file");
    assert_int_equal(http_call(&rig->http, "GET", daemon->admin, "/admin/v1/config", daemon->token, NULL), 200);
    assert_string_equal(written(rig, "inbox.cap_entries"), "78");
    assert_string_equal(written(rig, "inbox.fate"), "2h");
    assert_string_equal(written(rig, "inbox.lapse"), "30d"); /* the default */
}

static bool is_ready(void *ctx)
{
    return rig_logged(ctx, "ready");
}

static bool has_warned(void *ctx)
{
    return rig_logged(ctx, "session.advertise");
}

static void expect_lookup(struct rig *rig, const char *address)
{
    assert_int_equal(http_call(&rig->http, "GET", rig->daemon.api, "/v1/lookup", NULL, NULL), 200);
    const json_t *first = json_array_get(json_object_get(rig->http.body, "servers"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "address")), address);
}

static void lookup_names_what_is_advertised(void **state)
{
    struct rig *rig = *state;
    const char *const advertised[] = {"--session-advertise", "push.example:443", NULL};
    assert_true(rig_start(rig, advertised));
    expect_lookup(rig, "push.example:443");
    assert_true(until(is_ready, rig, RIG_WAIT_MS));
    assert_true(daemon_stop(&rig->daemon, SIGTERM, RIG_WAIT_MS));
    assert_false(rig_logged(rig, "session.advertise"));
    /* Nothing better is known of this host than that it is reached here: it is said, and that it is not enough. */
    const char *const everywhere[] = {"--session-host", "0.0.0.0", NULL};
    assert_true(rig_start(rig, everywhere));
    expect_lookup(rig, rig->daemon.session);
    assert_true(until(has_warned, rig, RIG_WAIT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_run_file_and_the_token_are_right, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_server_starts_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_that_others_can_read_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_data_directory_has_one_server, setup, teardown),
        cmocka_unit_test_setup_teardown(a_port_has_one_server, setup, teardown),
        cmocka_unit_test_setup_teardown(help_version_and_reference_are_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_configuration_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_configuration_file_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(lookup_names_what_is_advertised, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
