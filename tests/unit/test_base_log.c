#include "base/err.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct capture {
    char line[LOG_LINE_MAX + 1];
    size_t len;
    int lines;
};

static void capture_line(void *ctx, const char *line, size_t len)
{
    struct capture *capture = ctx;
    assert_true(len > 0 && len <= LOG_LINE_MAX);
    memcpy(capture->line, line, len);
    capture->line[len] = '\0';
    capture->len = len;
    capture->lines++;
}

static int set_up(void **state)
{
    static struct capture capture;
    capture = (struct capture){.len = 0};
    *state = &capture;
    log_set_sink(capture_line, &capture);
    log_set_level(LOG_INFO);
    log_set_format(LOG_TEXT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    return 0;
}

/* What follows the time, which is 24 characters in text and quoted in JSON. */
static void text_quotes_only_what_needs_it(void **state)
{
    struct capture *capture = *state;
    log_at(LOG_WARN, "store", "commit failed", LOG_STR("path", "/a/b.db"),
           LOG_STR("cause", "disk \"full\"\n\x1b[0m\xff"), LOG_NUM("code", -5), LOG_STR("none", (const char *)NULL),
           LOG_STR("empty", ""));
    assert_string_equal(capture->line + 24, " warn store: commit failed path=/a/b.db"
                                            " cause=\"disk \\\"full\\\"\\n\\x1b[0m\\xff\" code=-5 none=- empty=\"\"\n");
}

static void json_is_always_json(void **state)
{
    struct capture *capture = *state;
    log_set_format(LOG_JSON);
    log_at(LOG_ERROR, "api", "bad \"request\"", LOG_STR("who", "J\xc3\xb6rg\\\t\xff"), LOG_NUM("n", INT64_MIN));
    assert_memory_equal(capture->line, "{\"time\":\"", 9);
    assert_string_equal(capture->line + 9 + 24,
                        "\",\"level\":\"error\",\"area\":\"api\",\"event\":\"bad \\\"request\\\"\""
                        ",\"who\":\"J\xc3\xb6rg\\\\\\u0009\\ufffd\",\"n\":-9223372036854775808}\n");
}

static void long_values_and_lines_are_cut_and_say_so(void **state)
{
    struct capture *capture = *state;
    char value[4000];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    log_at(LOG_INFO, "a", "e", LOG_STR("k", value));
    const char *start = strchr(capture->line, '"');
    assert_non_null(start);
    assert_int_equal(strspn(start + 1, "v"), 256);
    assert_string_equal(start + 1 + 256, "...\"\n");

    struct log_field many[20];
    for (size_t i = 0; i < 20; i++)
        many[i] = LOG_STR("k", value);
    log_write(LOG_INFO, "a", "e", many, 20);
    assert_string_equal(capture->line + capture->len - 5, " ...\n");
    log_set_format(LOG_JSON);
    log_write(LOG_INFO, "a", "e", many, 20);
    const char tail[] = "vvv...\",\"cut\":\"...\"}\n";
    assert_string_equal(capture->line + capture->len - strlen(tail), tail);
}

/* A two-byte character that straddles the cut is left out, not broken. */
static void a_cut_does_not_split_a_character(void **state)
{
    struct capture *capture = *state;
    char value[300];
    memset(value, 'v', 255);
    strcpy(value + 255, "\xc3\xb6 and more");
    log_at(LOG_INFO, "a", "e", LOG_STR("k", value));
    assert_non_null(strstr(capture->line, "v...\"\n"));
    assert_null(strchr(capture->line, '\\'));
}

static void levels_filter(void **state)
{
    struct capture *capture = *state;
    log_event(LOG_DEBUG, "a", "hidden");
    assert_int_equal(capture->lines, 0);
    assert_false(log_enabled(LOG_DEBUG));
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "a", "shown");
    assert_int_equal(capture->lines, 1);
    assert_string_equal(capture->line + 24, " debug a: shown\n");
}

static void names_are_parsed(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    enum log_format format = LOG_TEXT;
    assert_int_equal(log_parse_level("warn", &level), 0);
    assert_int_equal(level, LOG_WARN);
    assert_int_equal(log_parse_level("WARN", &level), PETREL_E_INVALID);
    assert_int_equal(log_parse_format("json", &format), 0);
    assert_int_equal(format, LOG_JSON);
    assert_int_equal(log_parse_format("", &format), PETREL_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_quotes_only_what_needs_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_is_always_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_values_and_lines_are_cut_and_say_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_does_not_split_a_character, set_up, tear_down),
        cmocka_unit_test_setup_teardown(levels_filter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_parsed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
