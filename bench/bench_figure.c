#include "bench.h"
#include "bench_latency.h"

#include <stdio.h>
#include <string.h>

void bench_figure(struct bench *bench, const char *name, double value, int digits)
{
    const bool unknown = bench->target.processes_count == 0 && strncmp(name, "server_", 7) == 0;
    if (unknown || bench->figures_count == BENCH_FIGURES_MAX)
        return;
    struct bench_figure *figure = &bench->figures[bench->figures_count++];
    snprintf(figure->name, sizeof figure->name, "%s", name);
    figure->value = value;
    figure->digits = digits;
}

void bench_figure_latency(struct bench *bench, const char *name, const struct bench_latency *latency)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"p999_us", 0.999}, {"max_us", 1}};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        char text[BENCH_NAME_MAX];
        snprintf(text, sizeof text, "%s%s%s", name, name[0] != '\0' ? "_" : "", points[i].name);
        bench_figure(bench, text, (double)bench_latency_at(latency, points[i].share), 0);
    }
}

const struct bench_figure *bench_figure_find(const struct bench_figure *figures, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(figures[i].name, name) == 0)
            return &figures[i];
    return NULL;
}

double bench_figure_value(const struct bench *bench, const char *name)
{
    const struct bench_figure *figure = bench_figure_find(bench->figures, bench->figures_count, name);
    return figure != NULL ? figure->value : 0;
}

void bench_figure_table(const struct bench *bench)
{
    for (size_t i = 0; i < bench->figures_count; i++)
        printf("%-32s %14.*f\n", bench->figures[i].name, bench->figures[i].digits, bench->figures[i].value);
}

void bench_figure_json(const struct bench_figure *figures, size_t count)
{
    putchar('{');
    for (size_t i = 0; i < count; i++)
        printf("%s\"%s\":%.*f", i == 0 ? "" : ",", figures[i].name, figures[i].digits, figures[i].value);
    putchar('}');
}
