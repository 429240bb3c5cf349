/* What a session costs as there are more of them, from step to step, with a fresh server for each run: hold; send as fast as it goes, which
 * says what a message costs; and send at half that rate, which says how long one takes where there is no queue. */
#include "bench.h"
#include "bench_plot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SESSIONS_DEFAULT 1000000
/* While they are held: more than that of a million is all that the machine does. */
#define HEARTBEATS_PER_SECOND 20000

static const uint32_t steps[] = {10000, 30000, 100000, 300000, 1000000};
#define STEPS_MAX (sizeof steps / sizeof steps[0] + 1)

/* The run of a step that a figure is taken from. */
enum phase { HOLD, FULL_SPEED, PACED };

static const struct column {
    enum phase phase;
    const char *figure;
    const char *title; /* in the table */
    int digits;
} columns[] = {
    {HOLD, "server_rss_bytes_per_session", "RSS B", 0},
    {HOLD, "connect_seconds", "connect s", 1},
    {HOLD, "server_cpu_us_per_connect", "us/connect", 1},
    {HOLD, "server_cpu_us_per_session_settling", "us settling", 1},
    {HOLD, "server_cpu_us_per_heartbeat", "us/beat", 1},
    {FULL_SPEED, "per_second", "messages/s", 0},
    {FULL_SPEED, "server_cpu_s_per_million", "CPU s/M", 1},
    {PACED, "p50_us", "p50 us", 0},
    {PACED, "p99_us", "p99 us", 0},
    {PACED, "lost", "lost", 0},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

struct growth {
    size_t count;
    double sessions[STEPS_MAX];
    double values[COLUMNS][STEPS_MAX];
};

static void take(struct growth *growth, const struct bench *bench, enum phase phase)
{
    for (size_t i = 0; i < COLUMNS; i++)
        if (columns[i].phase == phase)
            growth->values[i][growth->count] = bench_figure_value(bench, columns[i].figure);
}

static int take_step(struct bench *bench, struct growth *growth, uint32_t sessions)
{
    const uint32_t rate = bench->options.rate;
    bench->options.sessions = sessions;
    bench_progress("-- %" PRIu32 " sessions", sessions);
    bench->options.heartbeat = bench_hold_heartbeat(bench->options.seconds);
    if (bench->options.heartbeat < sessions / HEARTBEATS_PER_SECOND)
        bench->options.heartbeat = sessions / HEARTBEATS_PER_SECOND;
    bool good = bench_run_alone(bench, bench_hold) == 0;
    take(growth, bench, HOLD);
    bench->options.rate = 0;
    good = bench_run_alone(bench, bench_send) == 0 && good;
    take(growth, bench, FULL_SPEED);
    const double half = bench_figure_value(bench, "per_second") / 2;
    bench->options.rate = rate > 0 ? rate : half >= 1 ? (uint32_t)half : 1;
    good = bench_run_alone(bench, bench_send) == 0 && good;
    take(growth, bench, PACED);
    bench->options.rate = rate;
    growth->sessions[growth->count++] = sessions;
    return good ? 0 : 1;
}

static void print_table(const struct growth *growth)
{
    printf("%10s", "sessions");
    for (size_t i = 0; i < COLUMNS; i++)
        printf(" %11s", columns[i].title);
    putchar('\n');
    for (size_t k = 0; k < growth->count; k++) {
        printf("%10.0f", growth->sessions[k]);
        for (size_t i = 0; i < COLUMNS; i++)
            printf(" %11.*f", columns[i].digits, growth->values[i][k]);
        putchar('\n');
    }
}

static void print_json(const struct growth *growth)
{
    fputs("{\"growth\":[", stdout);
    for (size_t k = 0; k < growth->count; k++) {
        printf("%s{\"sessions\":%.0f", k > 0 ? "," : "", growth->sessions[k]);
        for (size_t i = 0; i < COLUMNS; i++)
            printf(",\"%s\":%.*f", columns[i].figure, columns[i].digits, growth->values[i][k]);
        putchar('}');
    }
    puts("]}");
}

static void add_line(struct bench_plot_panel *panel, const struct growth *growth, const char *figure, const char *name,
                     double scale)
{
    struct bench_plot_line *line = &panel->lines[panel->lines_count++];
    line->name = name;
    for (size_t i = 0; i < COLUMNS; i++)
        for (size_t k = 0; k < growth->count && strcmp(columns[i].figure, figure) == 0; k++)
            line->y[k] = growth->values[i][k] * scale;
}

static void plot(struct bench *bench, const struct growth *growth)
{
    struct bench_plot_panel panels[] = {{.title = "RSS per session, bytes"},
                                        {.title = "Server CPU per connect, µs"},
                                        {.title = "Server CPU per million messages, s"},
                                        {.title = "Send to arrival at half the full rate, ms"}};
    add_line(&panels[0], growth, "server_rss_bytes_per_session", NULL, 1);
    add_line(&panels[1], growth, "server_cpu_us_per_connect", NULL, 1);
    add_line(&panels[2], growth, "server_cpu_s_per_million", NULL, 1);
    add_line(&panels[3], growth, "p50_us", "p50", 1e-3);
    add_line(&panels[3], growth, "p99_us", "p99", 1e-3);
    if (!bench_plot_write(bench->options.plot, "Petrel: what a session costs, by the number of them",
                          "sessions on one server (logarithmic)", growth->sessions, growth->count, panels,
                          sizeof panels / sizeof panels[0]))
        bench_die(bench, "%s: %s", bench->options.plot, strerror(errno));
}

int bench_growth(struct bench *bench)
{
    struct growth growth = {0};
    const uint32_t most = bench->options.sessions > 0 ? bench->options.sessions : SESSIONS_DEFAULT;
    int status = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && steps[i] < most; i++)
        status = take_step(bench, &growth, steps[i]) != 0 ? 1 : status;
    status = take_step(bench, &growth, most) != 0 ? 1 : status;
    if (!bench->options.json)
        print_table(&growth);
    print_json(&growth);
    if (bench->options.plot != NULL)
        plot(bench, &growth);
    return status;
}
