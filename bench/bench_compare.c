/* Petrel beside what the machine itself costs: the same run against petrel-limit and against petreld, in turn, and the ratios. */
#include "bench_fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 2

struct side {
    size_t count;
    struct bench_figure sums[BENCH_FIGURES_MAX];
    bool failed;
};

static void run_once(struct bench *bench, enum bench_server server, int (*run)(struct bench *bench), struct side *side)
{
    bench_progress("-- %s", server == BENCH_LIMIT ? "limit" : "petreld");
    bench->server = server;
    bench->figures_count = 0;
    bench_target_open(bench);
    side->failed = run(bench) != 0 || side->failed;
    bench_fleet_close(&bench->fleet);
    bench_target_close(&bench->target);
    memset(&bench->target, 0, sizeof bench->target);
    for (size_t i = 0; i < bench->figures_count; i++) {
        double before = i < side->count ? side->sums[i].value : 0;
        side->sums[i] = bench->figures[i];
        side->sums[i].value += before;
    }
    side->count = bench->figures_count;
}

static const struct bench_figure *find(const struct side *side, const char *name)
{
    for (size_t i = 0; i < side->count; i++)
        if (strcmp(side->sums[i].name, name) == 0)
            return &side->sums[i];
    return NULL;
}

/* The table has the means of both; the figures that go into the JSON are petreld's, the limit's and the ratio of each. */
int bench_compare(struct bench *bench, int (*run)(struct bench *bench))
{
    struct side *sides = calloc(2, sizeof *sides);
    if (sides == NULL)
        bench_die(bench, "memory is out");
    for (int round = 0; round < ROUNDS; round++) {
        run_once(bench, BENCH_LIMIT, run, &sides[BENCH_LIMIT]);
        run_once(bench, BENCH_PETRELD, run, &sides[BENCH_PETRELD]);
    }
    const struct side *petreld = &sides[BENCH_PETRELD];
    bench->figures_count = 0;
    printf("%-32s %14s %14s %8s\n", "mean of 2 runs each, in turn", "petreld", "limit", "ratio");
    for (size_t i = 0; i < petreld->count; i++) {
        const struct bench_figure *mine = &petreld->sums[i], *theirs = find(&sides[BENCH_LIMIT], mine->name);
        const double a = mine->value / ROUNDS, b = theirs != NULL ? theirs->value / ROUNDS : 0;
        printf("%-32s %14.*f %14.*f", mine->name, mine->digits, a, mine->digits, b);
        printf(b > 0 ? " %8.2f\n" : "\n", b > 0 ? a / b : 0);
        bench_figure(bench, mine->name, a, mine->digits);
    }
    for (size_t i = 0; i < petreld->count; i++) {
        char name[BENCH_NAME_MAX + 8];
        const struct bench_figure *theirs = find(&sides[BENCH_LIMIT], petreld->sums[i].name);
        snprintf(name, sizeof name, "limit_%s", petreld->sums[i].name);
        if (theirs != NULL)
            bench_figure(bench, name, theirs->value / ROUNDS, theirs->digits);
    }
    const bool failed = sides[0].failed || sides[1].failed;
    free(sides);
    return failed ? 1 : 0;
}
