/* The typed table: defaults, units, ranges, the file's lines, the command line, and what each mistake is told. */
#include "base/err.h"
#include "petreld/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct config config;
static struct config_error error;

static int set_up(void **state)
{
    (void)state;
    config_defaults(&config);
    error = (struct config_error){.where = "", .what = ""};
    return 0;
}

static int read_text(const char *text)
{
    return config_read_bytes(&config, bytes_str(text), "petreld.conf", &error);
}

static void assert_told(const char *where, const char *part)
{
    assert_string_equal(error.where, where);
    if (strstr(error.what, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.what, part);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(config.session_port, 7400);
    assert_int_equal(config.session_heartbeat, 240000);
    assert_int_equal(config.session_max_frame, 65536);
    assert_string_equal(config.log_level, "info");
    assert_int_equal(config_check(&config, &error), 0);
}

static void test_values_of_every_type(void **state)
{
    (void)state;
    assert_int_equal(read_text("# a comment\n"
                               "data_dir = /srv/petrel\n"
                               "\n"
                               "[session]\n"
                               "port = 0 ; an inline comment\n"
                               "heartbeat = 90s\r\n"
                               "max_frame = 128KiB\n"
                               "[log]\n"
                               "format = json\n"
                               "file ="),
                     0);
    assert_string_equal(config.data_dir, "/srv/petrel");
    assert_int_equal(config.session_port, 0);
    assert_int_equal(config.session_heartbeat, 90000);
    assert_int_equal(config.session_max_frame, 131072);
    assert_string_equal(config.log_format, "json");
    assert_string_equal(config.log_file, "");
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *text;
        int expect;
    } cases[] = {
        {"session.heartbeat", "1500ms", 0},
        {"session.heartbeat", "2m", 0},
        {"session.heartbeat", "1h", 0},
        {"session.heartbeat", "240", PETREL_E_INVALID},
        {"session.heartbeat", "4 m", PETREL_E_INVALID},
        {"session.heartbeat", "4M", PETREL_E_INVALID},
        {"session.heartbeat", "-4m", PETREL_E_INVALID},
        {"session.heartbeat", "", PETREL_E_INVALID},
        {"session.heartbeat", "1.5m", PETREL_E_INVALID},
        {"session.heartbeat", "9999999999999999999d", PETREL_E_INVALID},
        {"session.max_frame", "64KB", PETREL_E_INVALID},
        {"session.max_frame", "64kib", PETREL_E_INVALID},
        {"session.max_frame", "65536B", 0},
        {"session.max_frame", "65536", PETREL_E_INVALID},
        {"store.min_free", "0", 0},
        {"session.port", "7400x", PETREL_E_INVALID},
        {"session.port", "65536", PETREL_E_INVALID},
        {"store.checkpoint", "999999999999999999GiB", PETREL_E_INVALID},
        {"log.level", "warning", PETREL_E_INVALID},
        {"log.level", "", PETREL_E_INVALID},
        {"log.level", "info|warn", PETREL_E_INVALID},
        {"log.file", "a\tb", PETREL_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (config_set(&config, cases[i].key, cases[i].text, &error) != cases[i].expect)
            fail_msg("%s = \"%s\"", cases[i].key, cases[i].text);
}

static void test_mistakes_in_a_file(void **state)
{
    (void)state;
    char longer[400];
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "data_dir = ", 11);
    longer[sizeof longer - 1] = '\0';
    const struct {
        const char *text;
        const char *where;
        const char *what;
    } cases[] = {
        {"\n[session]\nprot = 1\n", "petreld.conf:3", "no such key: \"session.prot\""},
        {"[session]\nheartbeat = 4 parsecs\n", "petreld.conf:2", "a unit: ms, s, m, h or d"},
        {"[session]\nport = 70000\n", "petreld.conf:2", "out of range: 0 to 65535"},
        {"[session]\nport = 1\nport = 2\n", "petreld.conf:3", "a second time"},
        {"[session]\nport\n", "petreld.conf:2", "key = value"},
        {"[session\nport = 1\n", "petreld.conf:1", "[section]"},
        {"data_dir = a\n  b\n", "petreld.conf:2", "begins with a space"},
        {longer, "petreld.conf:1", "longer than 190 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_up(NULL);
        assert_int_equal(read_text(cases[i].text), PETREL_E_INVALID);
        assert_told(cases[i].where, cases[i].what);
    }
    set_up(NULL);
    assert_int_equal(config_read_bytes(&config, bytes_of("data_dir = a\0b\n", 15), "petreld.conf", &error),
                     PETREL_E_INVALID);
    assert_told("petreld.conf:1", "NUL byte");
}

static void test_a_file_that_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(config_read_file(&config, "/nowhere/petreld.conf", &error), PETREL_E_NOT_FOUND);
    assert_told("/nowhere/petreld.conf", "can't be opened");
}

static void test_keys_that_contradict(void **state)
{
    (void)state;
    assert_int_equal(read_text("[session]\nheartbeat_min = 5m\nheartbeat = 4m\n"), 0);
    assert_int_equal(config_check(&config, &error), PETREL_E_INVALID);
    assert_told("configuration", "session.heartbeat");
    set_up(NULL);
    assert_int_equal(read_text("[api]\nmax_message = 60KiB\n[session]\nmax_frame = 32KiB\n"), 0);
    assert_int_equal(config_check(&config, &error), PETREL_E_INVALID);
    assert_told("configuration", "one frame");
    set_up(NULL);
    assert_int_equal(read_text("[topics]\ncap_bytes = 17KiB\n"), 0);
    assert_int_equal(config_check(&config, &error), PETREL_E_INVALID);
    assert_told("configuration", "topics.cap_bytes");
    set_up(NULL);
    assert_int_equal(read_text("[topics]\nkeep = 30d\n"), 0);
    assert_int_equal(config_check(&config, &error), PETREL_E_INVALID);
    assert_told("configuration", "topics.keep");
    set_up(NULL);
    assert_int_equal(read_text("[topics]\nkeep = 20d\nlapse = 10d\nttl_max = 20d\n"), 0);
    assert_int_equal(config_check(&config, &error), 0);
    assert_int_equal(read_text("[topics]\nper_device = 65\n"), PETREL_E_INVALID);
    assert_told("petreld.conf:2", "64");
    set_up(NULL);
    assert_int_equal(read_text("[session]\nmax_frame = 1MiB\nmax_bytes_per_second = 1MiB\n"), 0);
    assert_int_equal(config_check(&config, &error), PETREL_E_INVALID);
    assert_told("configuration", "session.max_bytes_per_second");
}

static int parse(struct options *options, char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    return options_parse(options, argc, argv, &error);
}

static void test_flags_win_over_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/petrel-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "[session]\nport = 1111\nheartbeat = 1m\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    struct options options;
    assert_int_equal(
        parse(&options, (char *[]){"petreld", "--session-port", "2222", "--config", path, "--log-level=debug", NULL}),
        0);
    assert_int_equal(options.config.session_port, 2222);
    assert_int_equal(options.config.session_heartbeat, 60000);
    assert_string_equal(options.config.log_level, "debug");
    assert_int_equal(options.action, OPTIONS_RUN);
    unlink(path);
}

static void test_mistakes_on_the_command_line(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(parse(&options, (char *[]){"petreld", "--sesion-port", "1", NULL}), PETREL_E_INVALID);
    assert_told("--sesion-port", "no such option");
    assert_int_equal(parse(&options, (char *[]){"petreld", "--session-port", NULL}), PETREL_E_INVALID);
    assert_told("--session-port", "needs a value");
    assert_int_equal(parse(&options, (char *[]){"petreld", "--session-port=x", NULL}), PETREL_E_INVALID);
    assert_told("--session-port", "whole number");
    assert_int_equal(parse(&options, (char *[]){"petreld", "serve", NULL}), PETREL_E_INVALID);
    assert_told("serve", "options only");
    assert_int_equal(parse(&options, (char *[]){"petreld", "--help", NULL}), 0);
    assert_int_equal(options.action, OPTIONS_HELP);
}

/* What the table writes, the parser reads: every default and both ends of every range. */
static void test_every_entry_round_trips(void **state)
{
    (void)state;
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    for (size_t i = 0; i < count; i++) {
        struct bytebuf text = {0};
        config_format(&config, &entries[i], &text);
        bytes_append(&text, "", 1);
        if (config_set(&config, entries[i].key, (const char *)text.ptr, &error) != 0)
            fail_msg("%s: %s", entries[i].key, error.what);
        assert_string_equal((const char *)text.ptr, entries[i].initial);
        bytes_reset(&text);
    }
}

static void test_reference_names_every_key(void **state)
{
    (void)state;
    struct bytebuf reference = {0}, json = {0};
    config_render_reference(&reference);
    bytes_append(&reference, "", 1);
    config_render_json(&config, &json);
    bytes_append(&json, "", 1);
    size_t count;
    const struct config_entry *entries = config_entries(&count);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(strstr((const char *)reference.ptr, entries[i].key));
        assert_non_null(strstr((const char *)json.ptr, entries[i].key));
    }
    bytes_reset(&reference);
    bytes_reset(&json);
}

/* README.md holds what `petreld --reference` prints. */
static void test_readme_has_the_reference(void **state)
{
    (void)state;
    struct bytebuf readme = {0}, reference = {0};
    FILE *file = fopen(PETREL_SOURCE_DIR "/README.md", "re");
    assert_non_null(file);
    readme.len = fread(bytes_reserve(&readme, 262144), 1, 262143, file);
    fclose(file);
    bytes_append(&readme, "", 1);
    bytes_append_str(&reference, "<!-- reference: petreld --reference -->\n");
    config_render_reference(&reference);
    bytes_append_str(&reference, "<!-- end of reference -->\n");
    bytes_append(&reference, "", 1);
    if (strstr((const char *)readme.ptr, (const char *)reference.ptr) == NULL)
        fail_msg("the reference in README.md is not what petreld --reference prints: put that in its place");
    bytes_reset(&readme);
    bytes_reset(&reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, set_up),
        cmocka_unit_test_setup(test_values_of_every_type, set_up),
        cmocka_unit_test_setup(test_units, set_up),
        cmocka_unit_test_setup(test_mistakes_in_a_file, set_up),
        cmocka_unit_test_setup(test_a_file_that_is_not_there, set_up),
        cmocka_unit_test_setup(test_keys_that_contradict, set_up),
        cmocka_unit_test_setup(test_flags_win_over_the_file, set_up),
        cmocka_unit_test_setup(test_mistakes_on_the_command_line, set_up),
        cmocka_unit_test_setup(test_every_entry_round_trips, set_up),
        cmocka_unit_test_setup(test_reference_names_every_key, set_up),
        cmocka_unit_test(test_readme_has_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
