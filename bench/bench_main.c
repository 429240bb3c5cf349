#include "bench.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(struct bench *bench);
    const char *text;
} runs[] = {
    {"hold", bench_hold, "connect sessions with valid tokens, hold them, and say what each costs the server"},
    {"send", bench_send, "send over the HTTP API, each message durable before its answer, and count"},
};

static const struct {
    const char *flag;
    size_t offset;
    uint32_t initial;
    uint32_t low;
    uint32_t high;
    const char *text;
} options[] = {
    {"--sessions", offsetof(struct bench, sessions), 15000, 1, 19000, "hold: how many sessions"},
    {"--senders", offsetof(struct bench, senders), 64, 1, 4096, "send: connections, one request under way on each"},
    {"--users", offsetof(struct bench, users), 10000, 1, 10000000, "send: users that the messages go to, in turn"},
    {"--seconds", offsetof(struct bench, seconds), 10, 1, 86400, "how long to hold or send"},
    {"--bytes", offsetof(struct bench, payload_bytes), 100, 1, 8192, "send: length of a message's data"},
};

uint64_t bench_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void bench_die(struct bench *bench, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("petrel-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    bench_server_close(bench);
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
    if (bench->figures_count < BENCH_FIGURES_MAX)
        bench->figures[bench->figures_count++] = (struct bench_figure){name, value, digits};
}

static void print_figures(const struct bench *bench)
{
    for (size_t i = 0; i < bench->figures_count; i++)
        printf("%-32s %14.*f\n", bench->figures[i].name, bench->figures[i].digits, bench->figures[i].value);
    for (size_t i = 0; i < bench->figures_count; i++)
        printf("%s\"%s\":%.*f", i == 0 ? "{" : ",", bench->figures[i].name, bench->figures[i].digits,
               bench->figures[i].value);
    puts("}");
}

static int usage(FILE *out, int status)
{
    fputs("petrel-bench: load for a petreld, and what it costs\n\nusage: petrel-bench RUN [options]\n\nruns:\n", out);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        fprintf(out, "  %-22s %s\n", runs[i].name, runs[i].text);
    fputs("\noptions:\n", out);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        fprintf(out, "  %-12s N        %s (%" PRIu32 ")\n", options[i].flag, options[i].text, options[i].initial);
    fputs("  --petreld    PATH     the server to start (petreld beside this program)\n"
          "  --data-dir   DIR      use the server that runs on this data directory instead of starting one\n"
          "\nThe figures come as a table and, as the last line, as JSON.\n"
          "example: petrel-bench hold --sessions 15000 --seconds 20\n",
          out);
    return status;
}

static int parse_option(struct bench *bench, const char *flag, const char *value)
{
    if (strcmp(flag, "--petreld") == 0 || strcmp(flag, "--data-dir") == 0) {
        *(strcmp(flag, "--petreld") == 0 ? &bench->petreld : &bench->data_dir) = value;
        return 0;
    }
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(flag, options[i].flag) != 0)
            continue;
        char *end;
        unsigned long number = strtoul(value, &end, 10);
        if (*value < '0' || *value > '9' || *end != '\0' || number < options[i].low || number > options[i].high) {
            fprintf(stderr, "petrel-bench: %s %s: not a whole number from %" PRIu32 " to %" PRIu32 "\n", flag, value,
                    options[i].low, options[i].high);
            return -1;
        }
        *(uint32_t *)(void *)((char *)bench + options[i].offset) = (uint32_t)number;
        return 0;
    }
    fprintf(stderr, "petrel-bench: no such option: %s; see petrel-bench --help\n", flag);
    return -1;
}

static int run(struct bench *bench, const char *name)
{
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (strcmp(name, runs[i].name) != 0)
            continue;
        bench_server_open(bench);
        int status = runs[i].run(bench);
        bench_server_close(bench);
        print_figures(bench);
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
    struct bench bench = {.pid = 0};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        *(uint32_t *)(void *)((char *)&bench + options[i].offset) = options[i].initial;
    for (int i = 2; i < argc; i += 2) {
        if (argv[i + 1] == NULL) {
            fprintf(stderr, "petrel-bench: %s needs a value\n", argv[i]);
            return 2;
        }
        if (parse_option(&bench, argv[i], argv[i + 1]) != 0)
            return 2;
    }
    char self[PATH_MAX], beside[PATH_MAX + 16];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    snprintf(beside, sizeof beside, "%s/petreld", dirname(self));
    if (bench.petreld == NULL)
        bench.petreld = beside;
    signal(SIGPIPE, SIG_IGN);
    return run(&bench, argv[1]);
}
