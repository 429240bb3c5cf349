#include "bench_plot.h"

#include <math.h>
#include <stdio.h>

#define PANEL_WIDTH 420
#define PANEL_HEIGHT 260
#define COLUMNS 2
#define TOP 56  /* the whole one's title */
#define LEFT 64 /* in a panel: room for the numbers of an axis, a title */
#define RIGHT 20
#define ABOVE 34
#define BELOW 46
#define GRID_LINES 4

static const char *const colours[BENCH_PLOT_LINES_MAX] = {"#1f5fa8", "#c8571b", "#2f7d32"};

struct frame {
    FILE *file;
    double left, top;     /* of the panel */
    double x_low, x_high; /* logarithms */
    double y_high;
};

static double place_x(const struct frame *frame, double x)
{
    const double share =
        frame->x_high > frame->x_low ? (log10(x) - frame->x_low) / (frame->x_high - frame->x_low) : 0.5;
    return frame->left + LEFT + share * (PANEL_WIDTH - LEFT - RIGHT);
}

static double place_y(const struct frame *frame, double y)
{
    return frame->top + PANEL_HEIGHT - BELOW - y / frame->y_high * (PANEL_HEIGHT - ABOVE - BELOW);
}

/* The smallest of 1, 2, 4, 6, 8 and 10 times a power of ten that is no less: a quarter of it reads well too. */
static double round_up(double value)
{
    static const double steps[] = {1, 2, 4, 6, 8, 10};
    const double power = pow(10, floor(log10(value > 0 ? value : 1)));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i] * power >= value)
            return steps[i] * power;
    return 10 * power;
}

static void write_count(FILE *file, double count)
{
    if (count >= 1e6)
        fprintf(file, "%gM", count / 1e6);
    else if (count >= 1e3)
        fprintf(file, "%gk", count / 1e3);
    else
        fprintf(file, "%g", count);
}

static void draw_axes(const struct frame *frame, const char *x_title, const double *x, size_t x_count)
{
    FILE *file = frame->file;
    const double left = frame->left + LEFT, right = frame->left + PANEL_WIDTH - RIGHT;
    for (int i = 0; i <= GRID_LINES; i++) {
        const double value = frame->y_high * i / GRID_LINES, y = place_y(frame, value);
        fprintf(file, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", left, y, right, y);
        fprintf(file, "<text class=\"tick\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%g</text>\n", left - 6, y + 4,
                value);
    }
    for (size_t i = 0; i < x_count; i++) {
        fprintf(file, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">", place_x(frame, x[i]),
                place_y(frame, 0) + 16);
        write_count(file, x[i]);
        fputs("</text>\n", file);
    }
    fprintf(file, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", (left + right) / 2,
            place_y(frame, 0) + 34, x_title);
}

static void draw_line(const struct frame *frame, const struct bench_plot_panel *panel, size_t index, const double *x,
                      size_t x_count)
{
    FILE *file = frame->file;
    const struct bench_plot_line *line = &panel->lines[index];
    const char *colour = colours[index];
    fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour);
    for (size_t i = 0; i < x_count; i++)
        fprintf(file, "%.1f,%.1f ", place_x(frame, x[i]), place_y(frame, line->y[i]));
    fputs("\"/>\n", file);
    for (size_t i = 0; i < x_count; i++)
        fprintf(file, "<circle fill=\"%s\" r=\"3\" cx=\"%.1f\" cy=\"%.1f\"><title>%g</title></circle>\n", colour,
                place_x(frame, x[i]), place_y(frame, line->y[i]), line->y[i]);
    if (line->name != NULL)
        fprintf(file, "<text class=\"tick\" style=\"fill:%s\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                colour, place_x(frame, x[x_count - 1]), place_y(frame, line->y[x_count - 1]) - 8, line->name);
}

static void draw_panel(FILE *file, size_t index, const struct bench_plot_panel *panel, const char *x_title,
                       const double *x, size_t x_count)
{
    struct frame frame = {.file = file,
                          .left = (double)(index % COLUMNS) * PANEL_WIDTH,
                          .top = TOP + (double)(index / COLUMNS) * PANEL_HEIGHT,
                          .x_low = log10(x[0]),
                          .x_high = log10(x[x_count - 1])};
    double most = 0;
    for (size_t i = 0; i < panel->lines_count; i++)
        for (size_t k = 0; k < x_count; k++)
            most = fmax(most, panel->lines[i].y[k]);
    frame.y_high = round_up(most);
    fprintf(file, "<text class=\"panel\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", frame.left + LEFT, frame.top + ABOVE - 18,
            panel->title);
    draw_axes(&frame, x_title, x, x_count);
    for (size_t i = 0; i < panel->lines_count; i++)
        draw_line(&frame, panel, i, x, x_count);
}

bool bench_plot_write(const char *path, const char *title, const char *x_title, const double *x, size_t x_count,
                      const struct bench_plot_panel *panels, size_t panels_count)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return false;
    const int width = COLUMNS * PANEL_WIDTH;
    const int height = TOP + (int)((panels_count + COLUMNS - 1) / COLUMNS) * PANEL_HEIGHT;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
            "<style>text{font-family:sans-serif;fill:#222}.title{font-size:18px;font-weight:bold}"
            ".panel{font-size:13px;font-weight:bold}.tick{font-size:11px;fill:#555}.grid{stroke:#ddd}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text class=\"title\" text-anchor=\"middle\" x=\"%d\" y=\"32\">%s</text>\n",
            width, height, width, height, width / 2, title);
    for (size_t i = 0; i < panels_count && x_count > 0; i++)
        draw_panel(file, i, &panels[i], x_title, x, x_count);
    fputs("</svg>\n", file);
    return fclose(file) == 0;
}
