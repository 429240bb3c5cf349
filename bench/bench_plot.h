/* bench_plot.h: figures over the number of sessions, as an SVG: a panel for each unit, a line for each figure. */
#ifndef PETREL_BENCH_BENCH_PLOT_H
#define PETREL_BENCH_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_PLOT_LINES_MAX 3
#define BENCH_PLOT_POINTS_MAX 8

struct bench_plot_line {
    const char *name; /* NULL: the panel's title says it */
    double y[BENCH_PLOT_POINTS_MAX];
};

struct bench_plot_panel {
    const char *title; /* with the unit */
    size_t lines_count;
    struct bench_plot_line lines[BENCH_PLOT_LINES_MAX];
};

/* x is logarithmic, y begins at 0. false, with errno: it can't be written. */
bool bench_plot_write(const char *path, const char *title, const char *x_title, const double *x, size_t x_count,
                      const struct bench_plot_panel *panels, size_t panels_count);

#endif
