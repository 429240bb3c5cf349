/* Petrel beside what the machine itself costs, and beside other servers: the same run against each, in turn, and the ratios. */
#include "bench_fleet.h"
#include "bench_others.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIDES_MAX 8
#define COLUMN 15

/* One of those that are compared: what it gave, summed over its rounds. */
struct side {
    const char *name;
    enum bench_server server;
    const struct bench_other *other;
    uint32_t rounds;
    bool failed;
    size_t count;
    struct bench_figure sums[BENCH_FIGURES_MAX];
};

struct comparison {
    struct bench *bench;
    int (*run)(struct bench *bench);
    uint32_t sessions;
    uint32_t seconds;
    size_t sides_count;
    struct side sides[SIDES_MAX]; /* petreld, the limit, others */
};

static void add_side(struct comparison *comparison, const char *name, enum bench_server server,
                     const struct bench_other *other)
{
    if (comparison->sides_count < SIDES_MAX)
        comparison->sides[comparison->sides_count++] = (struct side){.name = name, .server = server, .other = other};
}

static void add_others(struct comparison *comparison)
{
    const struct bench_other *other;
    for (size_t i = 0; (other = bench_others_at(i)) != NULL; i++) {
        if (bench_others_is_installed(other))
            add_side(comparison, other->name, BENCH_OTHER, other);
        else
            bench_progress("%s is not installed", other->program);
    }
    if (comparison->sessions > bench_others_sessions_max())
        bench_progress("other servers get %u sessions: what the limit of descriptors allows a process",
                       bench_others_sessions_max());
}

/* A failure of theirs is theirs alone: the run is in a process of its own, which ends with it. */
static int run_apart(struct bench *bench, int (*run)(struct bench *bench))
{
    struct bench *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        bench_die(bench, "memory is out");
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        const int status = bench_run_alone(bench, run);
        *shared = *bench;
        _exit(status);
    }
    int status = 1;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        bench_die(bench, "a run of %s can't be watched", bench->other->name);
    bench->figures_count = shared->figures_count;
    memcpy(bench->figures, shared->figures, sizeof bench->figures);
    munmap(shared, sizeof *shared);
    return status;
}

static void run_side(struct comparison *comparison, struct side *side)
{
    struct bench *bench = comparison->bench;
    struct bench_options *options = &bench->options;
    const uint32_t max = bench_others_sessions_max();
    bench_progress("-- %s", side->name);
    bench->server = side->server;
    bench->other = side->other;
    options->seconds =
        side->server != BENCH_PETRELD && options->limit_seconds > 0 ? options->limit_seconds : comparison->seconds;
    options->sessions = side->server == BENCH_OTHER && comparison->sessions > max ? max : comparison->sessions;
    const int status =
        side->server == BENCH_OTHER ? run_apart(bench, comparison->run) : bench_run_alone(bench, comparison->run);
    side->failed = side->failed || status != 0;
    if (bench->figures_count == 0)
        return; /* it broke down; what it gave before stands */
    for (size_t i = 0; i < bench->figures_count; i++) {
        const double before = side->rounds > 0 && i < side->count ? side->sums[i].value : 0;
        side->sums[i] = bench->figures[i];
        side->sums[i].value += before;
    }
    side->count = bench->figures_count;
    side->rounds++;
}

static void take_means(struct side *side)
{
    for (size_t i = 0; i < side->count; i++)
        side->sums[i].value /= side->rounds;
}

/* Ratios are of what a server costs or manages, not of what it was told to do. */
static bool has_ratio(const char *name)
{
    static const char *const words[] = {"_us",           "_seconds",   "_s_per_million", "per_connect",
                                        "per_heartbeat", "per_second", "per_core",       "bytes_per_session"};
    if (strcmp(name, "held_seconds") == 0 || strstr(name, "settl") != NULL)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t len = strlen(name), tail = strlen(words[i]);
        if (len >= tail && strcmp(name + len - tail, words[i]) == 0)
            return true;
    }
    return strstr(name, "_cpu_us_per_") != NULL || strstr(name, "_core_percent_") != NULL;
}

static bool ratio_of(const struct comparison *comparison, const struct bench_figure *mine, double *ratio)
{
    const struct side *limit = &comparison->sides[1];
    const struct bench_figure *theirs = bench_figure_find(limit->sums, limit->count, mine->name);
    if (theirs == NULL || theirs->value <= 0 || !has_ratio(mine->name))
        return false;
    *ratio = mine->value / theirs->value;
    return true;
}

static void print_table(const struct comparison *comparison)
{
    const struct side *petreld = &comparison->sides[0];
    printf("%-32s", "means of the rounds");
    for (size_t i = 0; i < comparison->sides_count; i++)
        printf(i == 1 ? " %*s  ratio" : " %*s", COLUMN, comparison->sides[i].name);
    putchar('\n');
    for (size_t k = 0; k < petreld->count; k++) {
        const struct bench_figure *mine = &petreld->sums[k];
        printf("%-32s", mine->name);
        for (size_t i = 0; i < comparison->sides_count; i++) {
            const struct side *side = &comparison->sides[i];
            const struct bench_figure *figure = bench_figure_find(side->sums, side->count, mine->name);
            double ratio;
            if (figure != NULL)
                printf(" %*.*f", COLUMN, figure->digits, figure->value);
            else
                printf(" %*s", COLUMN, "");
            if (i == 1 && ratio_of(comparison, mine, &ratio))
                printf(" %6.2f", ratio);
            else if (i == 1)
                printf(" %6s", "");
        }
        putchar('\n');
    }
    for (size_t i = 0; i < comparison->sides_count; i++)
        if (comparison->sides[i].failed)
            printf("%s: not all was as it should be\n", comparison->sides[i].name);
}

static void print_json(const struct comparison *comparison)
{
    const struct side *petreld = &comparison->sides[0];
    struct bench_figure ratios[BENCH_FIGURES_MAX];
    size_t ratios_count = 0;
    for (size_t i = 0; i < petreld->count; i++) {
        struct bench_figure *ratio = &ratios[ratios_count];
        *ratio = petreld->sums[i];
        ratio->digits = 3;
        ratios_count += ratio_of(comparison, &petreld->sums[i], &ratio->value);
    }
    for (size_t i = 0; i < comparison->sides_count; i++) {
        printf("%c\"%s\":", i == 0 ? '{' : ',', comparison->sides[i].name);
        bench_figure_json(comparison->sides[i].sums, comparison->sides[i].count);
    }
    fputs(",\"ratio\":", stdout);
    bench_figure_json(ratios, ratios_count);
    puts("}");
}

int bench_compare(struct bench *bench, int (*run)(struct bench *bench))
{
    struct comparison *comparison = calloc(1, sizeof *comparison);
    if (comparison == NULL)
        bench_die(bench, "memory is out");
    comparison->bench = bench;
    comparison->run = run;
    comparison->sessions = bench->options.sessions;
    comparison->seconds = bench->options.seconds;
    if (bench->options.heartbeat == 0) /* as often with all of them, however long each is held */
        bench->options.heartbeat = bench_hold_heartbeat(comparison->seconds);
    add_side(comparison, "petreld", BENCH_PETRELD, NULL);
    add_side(comparison, "limit", BENCH_LIMIT, NULL);
    if (bench->options.others != 0 && !bench->options.tls && comparison->sessions > 0 &&
        (run == bench_hold || run == bench_send || run == bench_broadcast))
        add_others(comparison);
    for (uint32_t round = 0; round < bench->options.rounds; round++)
        for (size_t i = 0; i < comparison->sides_count; i++)
            run_side(comparison, &comparison->sides[i]);
    for (size_t i = 0; i < comparison->sides_count; i++)
        take_means(&comparison->sides[i]);
    if (!bench->options.json)
        print_table(comparison);
    print_json(comparison);
    const bool failed = comparison->sides[0].failed || comparison->sides[1].failed;
    free(comparison);
    return failed ? 1 : 0;
}
