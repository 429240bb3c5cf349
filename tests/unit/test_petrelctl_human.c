#include "petrelctl/human.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void test_time(void **state)
{
    (void)state;
    char out[HUMAN_SIZE];
    assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
    tzset();
    assert_string_equal(human_time(1769862896789, out), "2026-01-31 13:34:56");
    assert_string_equal(human_time_ms(1769862896789, out), "2026-01-31 13:34:56.789");
    assert_string_equal(human_time_ms(1785500000007, out), "2026-07-31 14:13:20.007");
    assert_string_equal(human_time(0, out), "-");
    assert_string_equal(human_time_ms(0, out), "-");
}

static void test_span(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},      {999, "999 ms"},        {1000, "1 s"},          {59999, "59 s"},
        {60000, "1 min"}, {200000, "3 min 20 s"}, {3600000, "1 h"},       {18120000, "5 h 2 min"},
        {3601000, "1 h"}, {86400000, "1 d"},      {792000000, "9 d 4 h"}, {UINT64_C(315360000000), "3650 d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[HUMAN_SIZE];
        assert_string_equal(human_span(cases[i].ms, out), cases[i].text);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {1048575, "1.0 MiB"},
        {UINT64_C(3435973837), "3.2 GiB"},
        {UINT64_MAX, "16777216.0 TiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[HUMAN_SIZE];
        assert_string_equal(human_bytes(cases[i].bytes, out), cases[i].text);
    }
}

static void test_safe(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *safe;
    } cases[] = {
        {"", ""},
        {"plain \"text\"", "plain \"text\""},
        {"\xc3\xa4 \xe6\xbc\xa2 \xf0\x9f\x90\xa6", "\xc3\xa4 \xe6\xbc\xa2 \xf0\x9f\x90\xa6"},
        {"\x1b[2J\r\n\t\x7f", "?[2J????"},
        {"\xc2\x9b"
         "31m",
         "?31m"},
        {"cut \xe6\xbc", "cut ??"},
        {"\xff\xc0\x80", "???"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *safe = human_safe(bytes_str(cases[i].text));
        assert_string_equal(safe, cases[i].safe);
        free(safe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
