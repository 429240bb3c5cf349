/* The plot: its points stand where their numbers belong. */
#include "../../bench/bench_plot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

static void points_are_in_their_places(void **state)
{
    (void)state;
    char path[] = "/tmp/petrel-test-plot-XXXXXX";
    close(mkstemp(path));
    const double x[] = {10000, 100000, 1000000};
    const struct bench_plot_panel panels[] = {
        {.title = "bytes", .lines_count = 1, .lines = {{.y = {400, 200, 0}}}},
        {.title = "ms", .lines_count = 2, .lines = {{"p50", {1, 2, 3}}, {"p99", {10, 20, 30}}}}};
    assert_true(bench_plot_write(path, "title", "sessions", x, 3, panels, 2));
    char *text = read_all(path);
    double at[6];
    const char *line = strstr(text, "points=\"");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "points=\"%lf,%lf %lf,%lf %lf,%lf", &at[0], &at[1], &at[2], &at[3], &at[4], &at[5]),
                     6);
    /* Tenfold is as far each time, and half the value is half the way down. */
    assert_true(at[0] < at[2]);
    assert_int_equal((int)(at[2] - at[0]), (int)(at[4] - at[2]));
    assert_true(at[1] < at[3]);
    assert_int_equal((int)(at[3] - at[1]), (int)(at[5] - at[3]));
    assert_non_null(strstr(text, ">10k<"));
    assert_non_null(strstr(text, ">1M<"));
    assert_non_null(strstr(text, ">p99<"));
    assert_non_null(strstr(text, "</svg>"));
    free(text);
    unlink(path);
}

static void one_point_will_do(void **state)
{
    (void)state;
    char path[] = "/tmp/petrel-test-plot-XXXXXX";
    close(mkstemp(path));
    const double x[] = {10000};
    const struct bench_plot_panel panel = {.title = "bytes", .lines_count = 1, .lines = {{.y = {0}}}};
    assert_true(bench_plot_write(path, "title", "sessions", x, 1, &panel, 1));
    char *text = read_all(path);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
    unlink(path);
    assert_false(bench_plot_write("/nonexistent/x.svg", "title", "sessions", x, 1, &panel, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(points_are_in_their_places),
                                       cmocka_unit_test(one_point_will_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
