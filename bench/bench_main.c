#include "bench_fleet.h"
#include "bench_limits.h"

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

static const struct run {
    const char *name;
    int (*run)(struct bench *bench);
    bool many; /* starts one server after the other, and prints by itself */
    const char *text;
} runs[] = {
    {"hold", bench_hold, false, "connect sessions with valid tokens, hold them, and say what each costs the server"},
    {"broadcast", bench_broadcast, false,
     "send to all sessions now and then, and meanwhile to single ones at --rate: each has all of it, and how late"},
    {"send", bench_send, false,
     "send over the HTTP API, each message durable before its answer; with --sessions also push and ack"},
    {"growth", bench_growth, true,
     "hold and send with 10,000, 30,000, 100,000 ... sessions up to --sessions: one table, and a plot with --plot"},
    {"soak", bench_soak, false,
     "for a long time all at once: devices that come and go, single messages, broadcasts, slow readers; memory that\n"
     "             grows, or a message that is lost, is an error"},
    {"storm", bench_storm, false,
     "cut all sessions at once: how long until they are back, and what those that stayed have to bear"},
};

#define OWN "" /* runs that start their own servers do not take it, all others do */
#define ALONE                                                                                                          \
    "*" /* all runs take it, but compare does not: its other servers do not speak that, nor does petrel-limit */

/* high > 0: a number from low to high; value NULL: a flag; else a text. runs: those that take it, NULL for all. */
static const struct option {
    const char *flag;
    const char *value;
    size_t offset;
    uint32_t initial;
    uint32_t low;
    uint32_t high;
    const char *runs;
    const char *text;
} options[] = {
    {"--sessions", "N", offsetof(struct bench_options, sessions), 0, 1, 1900000, NULL,
     "devices that are connected, each with its own user"},
    {"--senders", "N", offsetof(struct bench_options, senders), 64, 1, 4096, "send broadcast growth soak storm",
     "connections that send, one request under way on each"},
    {"--users", "N", offsetof(struct bench_options, users), 10000, 1, 10000000, "send",
     "users that the messages go to, in turn, without --sessions"},
    {"--seconds", "N", offsetof(struct bench_options, seconds), 10, 1, 86400, "hold send broadcast growth soak",
     "how long to hold or send"},
    {"--settle", "SECONDS", offsetof(struct bench_options, settle), 120, 0, 3600, "hold send broadcast growth",
     "how long at most until the server is at rest after the connects; 0: not waited for"},
    {"--bytes", "N", offsetof(struct bench_options, payload_bytes), 100, 32, 8192, "send broadcast growth soak storm",
     "length of a message's data"},
    {"--rate", "N", offsetof(struct bench_options, rate), 0, 1, 200000, "send broadcast growth soak storm",
     "messages a second, in place of as many as go (broadcast: 100; growth: half of that; soak: 1000;\n"
     "                             storm: 200)"},
    {"--every", "MS", offsetof(struct bench_options, every_ms), 0, 10, 3600000, "broadcast soak",
     "milliseconds from one broadcast to the next (2000; soak: 10000)"},
    {"--share", "PERCENT", offsetof(struct bench_options, share), 100, 1, 100, "storm",
     "how much of --sessions is cut"},
    {"--stay", "N", offsetof(struct bench_options, stay), 1000, 1, 15000, "storm",
     "devices beside --sessions that keep their connections"},
    {"--churn", "N", offsetof(struct bench_options, churn), 100, 1, 100000, "soak",
     "devices a second that leave, and are back within three"},
    {"--slow", "N", offsetof(struct bench_options, slow), 50, 1, 15000, "soak",
     "of --sessions, those that read for fifteen seconds and then do not for fifteen"},
    {"--growth", "PERCENT", offsetof(struct bench_options, growth), 5, 1, 1000000, "soak",
     "what the servers' memory may grow after the first five minutes, or the first sixth"},
    {"--loops", "N", offsetof(struct bench_options, loops), 0, 1, 128, NULL,
     "of the server that is started; as many as cores, or as sessions need"},
    {"--heartbeat", "SECONDS", offsetof(struct bench_options, heartbeat), 0, 1, 86400, "hold",
     "from one of a session to its next (so many that each sends one at least, and about every 240)"},
    {"--rounds", "N", offsetof(struct bench_options, rounds), 2, 1, 100, "compare", "runs of each server, in turn"},
    {"--others", "0|1", offsetof(struct bench_options, others), 1, 0, 1, "compare",
     "whether mosquitto, nats-server and redis-server are among them"},
    {"--limit-seconds", "N", offsetof(struct bench_options, limit_seconds), 0, 1, 86400, "compare",
     "in place of --seconds, for all but petreld"},
    {"--tls", NULL, offsetof(struct bench_options, tls), 0, 0, 0, NULL,
     "devices speak TLS, and resume; a server that is started gets a certificate, whoever runs has one; compare sets\n"
     "                             OpenSSL alone beside Petrel, and leaves the others out"},
    {"--ws", NULL, offsetof(struct bench_options, ws), 0, 0, 0, ALONE, "devices speak WebSocket; with --tls within it"},
    {"--plot", "FILE", offsetof(struct bench_options, plot), 0, 0, 0, "growth", "an SVG of the table"},
    {"--json", NULL, offsetof(struct bench_options, json), 0, 0, 0, NULL, "nothing but the line of JSON on stdout"},
    {"--petreld", "PATH", offsetof(struct bench_options, petreld), 0, 0, 0, NULL,
     "the server to start (petreld beside this program)"},
    {"--data-dir", "DIR", offsetof(struct bench_options, data_dir), 0, 0, 0, OWN,
     "use the server that runs on this data directory instead of starting one"},
    {"--server", "HOST:PORT", offsetof(struct bench_options, server), 0, 0, 0, OWN,
     "use the server whose devices connect there"},
    {"--server-pid", "PID", offsetof(struct bench_options, server_pid), 0, 1, 1 << 30, OWN,
     "with --server: its process on this host; without, figures named server_ are left out"},
    {"--api", "HOST:PORT", offsetof(struct bench_options, api), 0, 0, 0, OWN,
     "with --server: its send API (the same host, port 7480)"},
    {"--admin-url", "URL", offsetof(struct bench_options, admin_url), 0, 0, 0, OWN,
     "with --server: its admin API (http://127.0.0.1:7481)"},
    {"--token-file", "FILE", offsetof(struct bench_options, token_file), 0, 0, 0, OWN,
     "with --server: the admin API's token (/var/lib/petrel/admin.token)"},
    {"--cluster", "DIR", offsetof(struct bench_options, cluster), 0, 0, 0, OWN,
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

static bool has_word(const char *words, const char *word)
{
    const size_t len = strlen(word);
    for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word))
        if ((at == words || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
            return true;
    return false;
}

/* Whether the run has a use for it: an option that does nothing is a mistake. */
static bool is_taken(const struct option *option, const struct run *run, bool compared)
{
    if (option->runs == NULL)
        return true;
    if (strcmp(option->runs, ALONE) == 0)
        return !compared;
    if (option->runs[0] == '\0')
        return !run->many && !compared;
    return has_word(option->runs, run->name) || (compared && has_word(option->runs, "compare"));
}

static void print_option(FILE *out, const struct option *option)
{
    fprintf(out, "  %-15s %-10s %s", option->flag, option->value != NULL ? option->value : "", option->text);
    if (option->initial > 0)
        fprintf(out, " (%" PRIu32 ")", option->initial);
}

static int usage_of(const struct run *run, bool compared)
{
    printf("petrel-bench %s%s: %s\n\nusage: petrel-bench %s%s [options]\n\noptions:\n", compared ? "compare " : "",
           run->name, run->text, compared ? "compare " : "", run->name);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (!is_taken(&options[i], run, compared))
            continue;
        print_option(stdout, &options[i]);
        putchar('\n');
    }
    if (is_taken(&(struct option){.runs = OWN}, run, compared))
        puts("\nWithout --server, --data-dir or --cluster a petreld of its own is started, and stopped at the end.");
    puts("\nMore: petrel-bench --help");
    return 0;
}

static int usage(FILE *out, int status)
{
    fputs("petrel-bench: load for a petreld or a cluster, and what it costs\n\n"
          "usage: petrel-bench RUN [options]\n"
          "       petrel-bench compare RUN [options]\n\nruns:\n",
          out);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        fprintf(out, "  %-10s %s\n", runs[i].name, runs[i].text);
    fputs("\ncompare: the run against petreld, against petrel-limit, a bare epoll server that does the same socket\n"
          "work and nothing else (with --tls by OpenSSL alone), and against those of mosquitto, nats-server and "
          "redis-server that are installed,\n"
          "in turn, with the ratios.\n\noptions:\n",
          out);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *option = &options[i];
        print_option(out, option);
        if (option->runs != NULL && option->runs[0] != '\0' && strcmp(option->runs, ALONE) != 0)
            fprintf(out, " [%s]", option->runs);
        fputc('\n', out);
    }
    fputs(
        "\nA petreld of its own is started with a data directory under /tmp and stopped at the end, unless an option\n"
        "names one that runs. What the kernel is short of for so many sessions is said before the run begins, with\n"
        "what to set. The figures come as a table and, as the last line, as JSON.\n"
        "Exit codes: 0 all was as it should be; 1 something failed, was refused or lost; 2 wrong usage.\n\n"
        "examples: petrel-bench hold --sessions 15000 --seconds 20\n"
        "          petrel-bench compare send --sessions 10000 --rounds 3\n"
        "          petrel-bench send --server 10.0.0.7:7400 --admin-url http://10.0.0.7:7481 --token-file token\n",
        out);
    return status;
}

static int parse_number(uint32_t *out, const struct option *option, const char *value)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || number < option->low || number > option->high) {
        fprintf(stderr, "petrel-bench: %s %s: not a whole number from %" PRIu32 " to %" PRIu32 "\n", option->flag,
                value, option->low, option->high);
        return -1;
    }
    *out = (uint32_t)number;
    return 0;
}

/* How many arguments it was; -1: wrong usage. */
static int parse_option(struct bench_options *to, const struct run *run, bool compared, char **args)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *option = &options[i];
        if (strcmp(args[0], option->flag) != 0)
            continue;
        if (!is_taken(option, run, compared)) {
            fprintf(stderr, "petrel-bench: %s%s takes no %s\n", compared ? "compare " : "", run->name, option->flag);
            return -1;
        }
        void *field = (char *)to + option->offset;
        if (option->value == NULL) {
            *(bool *)field = true;
            return 1;
        }
        if (args[1] == NULL) {
            fprintf(stderr, "petrel-bench: %s needs a value\n", option->flag);
            return -1;
        }
        if (option->high == 0)
            *(const char **)field = args[1];
        return option->high > 0 && parse_number(field, option, args[1]) != 0 ? -1 : 2;
    }
    fprintf(stderr, "petrel-bench: no such option: %s; see petrel-bench %s%s --help\n", args[0],
            compared ? "compare " : "", run->name);
    return -1;
}

static int parse_options(struct bench_options *to, const struct run *run, bool compared, char **args)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].high > 0)
            *(uint32_t *)(void *)((char *)to + options[i].offset) = options[i].initial;
    while (*args != NULL) {
        int count = parse_option(to, run, compared, args);
        if (count < 0)
            return -1;
        args += count;
    }
    if (to->server == NULL &&
        (to->server_pid > 0 || to->api != NULL || to->admin_url != NULL || to->token_file != NULL)) {
        fputs("petrel-bench: --server-pid, --api, --admin-url and --token-file are for --server\n", stderr);
        return -1;
    }
    if ((to->server != NULL) + (to->data_dir != NULL) + (to->cluster != NULL) > 1) {
        fputs("petrel-bench: one of --server, --data-dir and --cluster\n", stderr);
        return -1;
    }
    return 0;
}

static const struct run *find_run(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof runs / sizeof runs[0]; i++)
        if (strcmp(name, runs[i].name) == 0)
            return &runs[i];
    return NULL;
}

int bench_run_alone(struct bench *bench, int (*run)(struct bench *bench))
{
    bench->figures_count = 0;
    bench_target_open(bench);
    int status = run(bench);
    close_all(bench);
    return status;
}

static int measure(struct bench *bench, const struct run *run, bool compared)
{
    if (compared)
        return bench_compare(bench, run->run);
    if (run->many)
        return run->run(bench);
    int status = bench_run_alone(bench, run->run);
    if (!bench->options.json)
        bench_figure_table(bench);
    bench_figure_json(bench->figures, bench->figures_count);
    putchar('\n');
    return status;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const bool compared = argc >= 2 && strcmp(argv[1], "compare") == 0;
    const char *name = argc >= 2 ? argv[compared ? 2 : 1] : NULL;
    const struct run *run = find_run(name);
    if (name != NULL && asks_for_help(name))
        return usage(stdout, 0);
    if (run == NULL || (compared && (run->many || run->run == bench_soak))) {
        if (name != NULL)
            fprintf(stderr, "petrel-bench: no such run: %s%s\n", compared ? "compare " : "", name);
        return usage(stderr, 2);
    }
    for (int i = compared ? 3 : 2; i < argc; i++)
        if (asks_for_help(argv[i]))
            return usage_of(run, compared);
    if (parse_options(&bench.options, run, compared, argv + (compared ? 3 : 2)) != 0)
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
    bench.compares = compared;
    bench.storms = run->run == bench_storm;
    bench.soaks = run->run == bench_soak;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    bench_limits_prepare(&bench);
    int status = measure(&bench, run, compared);
    curl_global_cleanup();
    return status;
}
