#include "bench_fleet.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(struct bench *bench);
    const char *text;
} runs[] = {
    {"hold", bench_hold, "connect sessions with valid tokens, hold them, and say what each costs the server"},
    {"broadcast", bench_broadcast,
     "send to all sessions now and then, and meanwhile to single ones at --rate: each has all of it, and how late"},
    {"send", bench_send,
     "send over the HTTP API, each message durable before its answer; with --sessions also push and ack"},
};

/* high > 0: a number from low to high; else a text. */
static const struct {
    const char *flag;
    const char *value;
    size_t offset;
    uint32_t initial;
    uint32_t low;
    uint32_t high;
    const char *text;
} options[] = {
    {"--sessions", "N", offsetof(struct bench_options, sessions), 0, 1, 1900000,
     "devices that are connected, each with its own user"},
    {"--senders", "N", offsetof(struct bench_options, senders), 64, 1, 4096,
     "send: connections, one request under way on each"},
    {"--users", "N", offsetof(struct bench_options, users), 10000, 1, 10000000,
     "send: users that the messages go to, in turn, without --sessions"},
    {"--seconds", "N", offsetof(struct bench_options, seconds), 10, 1, 86400, "how long to hold or send"},
    {"--bytes", "N", offsetof(struct bench_options, payload_bytes), 100, 32, 8192, "send: length of a message's data"},
    {"--rate", "N", offsetof(struct bench_options, rate), 0, 1, 200000,
     "send: messages a second, in place of as many as go"},
    {"--every", "MS", offsetof(struct bench_options, every_ms), 2000, 10, 3600000,
     "broadcast: milliseconds from one to the next"},
    {"--loops", "N", offsetof(struct bench_options, loops), 0, 1, 128,
     "of the server that is started; as many as cores, or as sessions need"},
    {"--petreld", "PATH", offsetof(struct bench_options, petreld), 0, 0, 0,
     "the server to start (petreld beside this program)"},
    {"--data-dir", "DIR", offsetof(struct bench_options, data_dir), 0, 0, 0,
     "use the server that runs on this data directory instead of starting one"},
    {"--cluster", "DIR", offsetof(struct bench_options, cluster), 0, 0, 0,
     "use the cluster that deploy/cluster keeps there"},
};

uint64_t bench_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void close_all(struct bench *bench)
{
    bench_fleet_close(&bench->fleet);
    bench_target_close(&bench->target);
}

void bench_die(struct bench *bench, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("petrel-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    if (bench->fleet == NULL || bench_fleet_is_parent(bench->fleet))
        close_all(bench);
    exit(1);
}

void bench_progress(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void bench_figure(struct bench *bench, const char *name, double value, int digits)
{
    if (bench->figures_count == BENCH_FIGURES_MAX)
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
        snprintf(text, sizeof text, "%s_%s", name, points[i].name);
        bench_figure(bench, text, (double)bench_latency_at(latency, points[i].share), 0);
    }
}

static void print_table(const struct bench *bench)
{
    for (size_t i = 0; i < bench->figures_count; i++)
        printf("%-32s %14.*f\n", bench->figures[i].name, bench->figures[i].digits, bench->figures[i].value);
}

static void print_json(const struct bench *bench)
{
    for (size_t i = 0; i < bench->figures_count; i++)
        printf("%s\"%s\":%.*f", i == 0 ? "{" : ",", bench->figures[i].name, bench->figures[i].digits,
               bench->figures[i].value);
    puts("}");
}

static int usage(FILE *out, int status)
{
    fputs("petrel-bench: load for a petreld or a cluster, and what it costs\n\nusage: petrel-bench RUN "
          "[options]\n\nruns:\n",
          out);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        fprintf(out, "  %-20s %s\n", runs[i].name, runs[i].text);
    fputs("\ncompare: the run against petrel-limit, a bare epoll server that does the same socket work and nothing "
          "else, and against\n"
          "petreld, in turn, twice each, with the ratios.\n\noptions:\n",
          out);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        fprintf(out, "  %-11s %-8s %s", options[i].flag, options[i].value, options[i].text);
        if (options[i].initial > 0)
            fprintf(out, " (%" PRIu32 ")", options[i].initial);
        fputc('\n', out);
    }
    fputs("\nThe figures come as a table and, as the last line, as JSON. Exit codes: 0 all was as it should be; 1 "
          "something failed,\n"
          "was refused or lost; 2 wrong usage.\n"
          "example: petrel-bench hold --sessions 15000 --seconds 20\n",
          out);
    return status;
}

static int parse_number(uint32_t *out, const char *flag, const char *value, uint32_t low, uint32_t high)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || number < low || number > high) {
        fprintf(stderr, "petrel-bench: %s %s: not a whole number from %" PRIu32 " to %" PRIu32 "\n", flag, value, low,
                high);
        return -1;
    }
    *out = (uint32_t)number;
    return 0;
}

static int parse_option(struct bench_options *to, const char *flag, const char *value)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(flag, options[i].flag) != 0)
            continue;
        if (value == NULL) {
            fprintf(stderr, "petrel-bench: %s needs a value\n", flag);
            return -1;
        }
        void *field = (char *)to + options[i].offset;
        if (options[i].high > 0)
            return parse_number(field, flag, value, options[i].low, options[i].high);
        *(const char **)field = value;
        return 0;
    }
    fprintf(stderr, "petrel-bench: no such option: %s; see petrel-bench --help\n", flag);
    return -1;
}

static int run_one(struct bench *bench, int (*measure)(struct bench *bench))
{
    bench_target_open(bench);
    int status = measure(bench);
    close_all(bench);
    print_table(bench);
    return status;
}

static int run(struct bench *bench, const char *name, bool compared)
{
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (strcmp(name, runs[i].name) != 0)
            continue;
        curl_global_init(CURL_GLOBAL_DEFAULT);
        int status = compared ? bench_compare(bench, runs[i].run) : run_one(bench, runs[i].run);
        curl_global_cleanup();
        print_json(bench);
        return status;
    }
    fprintf(stderr, "petrel-bench: no such run: %s\n", name);
    return usage(stderr, 2);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return usage(stdout, 0);
    static struct bench bench;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].high > 0)
            *(uint32_t *)(void *)((char *)&bench.options + options[i].offset) = options[i].initial;
    const bool compared = strcmp(argv[1], "compare") == 0;
    const int first = compared ? 2 : 1;
    if (argc <= first)
        return usage(stderr, 2);
    for (int i = first + 1; i < argc; i += 2)
        if (parse_option(&bench.options, argv[i], argv[i + 1]) != 0)
            return 2;
    char self[PATH_MAX], petreld[PATH_MAX + 16], limit[PATH_MAX + 16];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    const char *folder = dirname(self);
    snprintf(petreld, sizeof petreld, "%s/petreld", folder);
    snprintf(limit, sizeof limit, "%s/petrel-limit", folder);
    if (bench.options.petreld == NULL)
        bench.options.petreld = petreld;
    bench.options.limit = limit;
    signal(SIGPIPE, SIG_IGN);
    if (compared && (bench.options.data_dir != NULL || bench.options.cluster != NULL)) {
        fputs("petrel-bench: compare starts its own servers: no --data-dir, no --cluster\n", stderr);
        return 2;
    }
    return run(&bench, argv[first], compared);
}
