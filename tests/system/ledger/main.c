#include "system/ledger/ledger.h"

#include "base/object.h"
#include "lib/until.h"
#include "system/ledger/phases.h"
#include "system/ledger/report.h"

#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TURN_MS 100

uint16_t ledger_port(const char *authority)
{
    const char *colon = strrchr(authority, ':');
    return colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

void ledger_fail(struct ledger *ledger, const char *what)
{
    if (ledger->failure[0] == '\0')
        snprintf(ledger->failure, sizeof ledger->failure, "%s", what);
}

static void on_turn(uv_timer_t *timer)
{
    phases_turn(timer->data);
}

static void on_interrupt(uv_signal_t *handle, int number)
{
    (void)number;
    struct run *run = handle->data;
    ledger_fail(&run->ledger, "interrupted");
}

/* ---- the run ---- */

static void watch_interrupts(struct run *run)
{
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&run->ledger.loop, &run->interrupts[i]);
        run->interrupts[i].data = run;
        uv_signal_start(&run->interrupts[i], on_interrupt, signals[i]);
    }
}

static void start_all(struct run *run)
{
    struct ledger *ledger = &run->ledger;
    uv_timer_init(&ledger->loop, &run->timer);
    run->timer.data = run;
    uv_timer_start(&run->timer, on_turn, TURN_MS, TURN_MS);
    run->began_ms = run->told_ms = until_now_ms();
    if (!ledger->options.cluster)
        server_watch(&run->server);
    ledger->drop_next = ledger->options.drop_one;
    for (uint32_t i = 0; i < ledger->options.devices; i++)
        run->devices[i] = device_new(ledger, i, &run->tokens[i]);
    for (uint32_t i = 0; i < ledger->options.senders; i++)
        run->senders[i] = sender_new(ledger, i);
    phases_begin(run);
}

static bool set_up(struct run *run)
{
    struct ledger *ledger = &run->ledger;
    if (ledger->options.cluster)
        return cluster_set_up(&run->cluster, ledger, run->tokens);
    return server_set_up(&run->server, ledger, run->tokens);
}

/* Whether what served the run ended as it should. */
static bool take_down(struct run *run)
{
    if (!run->ledger.options.cluster)
        return server_stop(&run->server);
    bool well = run->ledger.failure[0] == '\0' && cluster_is_well(&run->cluster);
    return cluster_take_down(&run->cluster) && well;
}

static void tell_run(const struct ledger *ledger)
{
    const struct options *options = &ledger->options;
    printf("ledger: %" PRIu32 " devices of %" PRIu32 " users, %" PRIu32 " senders, %" PRIu32 " messages/s, %" PRIu32
           " s, ",
           options->devices, book_users(ledger->book), options->senders, options->rate, options->seconds);
    if (options->cluster)
        printf("a cluster, %s%s, seed %" PRIu64 "\n", options->tls ? "TLS, " : "",
               options->replicated ? "replicated" : "standard", options->seed);
    else
        printf("%s%s%" PRIu32 " kills, seed %" PRIu64 "\n", options->tls ? "TLS, " : "",
               options->ws ? "WebSocket, " : "", options->kills, options->seed);
}

/* The folder stays where somebody has to look for a reason in it. */
static void clean_up(struct run *run, bool kept)
{
    if (run->ledger.options.cluster)
        cluster_free(&run->cluster, !kept || run->ledger.options.keep);
    else
        server_clean_up(&run->server);
}

/* Whether the promise was kept. */
static bool execute(struct run *run)
{
    struct ledger *ledger = &run->ledger;
    tell_run(ledger);
    watch_interrupts(run);
    if (set_up(run)) {
        start_all(run);
        uv_run(&ledger->loop, UV_RUN_DEFAULT);
        petrel_assert(ledger->open == 0);
    } else {
        phases_unwatch_interrupts(run);
    }
    if (ledger->failure[0] != '\0' && !ledger->options.cluster)
        server_print_log(&run->server);
    bool orderly = take_down(run);
    bool done = ledger->failure[0] == '\0';
    bool kept = done && report_judge(ledger, run->chaos.counts) && orderly;
    clean_up(run, kept);
    if (done)
        report_print(ledger, run->chaos.counts);
    else
        printf("ledger: %s\n", ledger->failure);
    return kept;
}

/* Beside this program, unless it was named. */
static const char *default_bin(char *self, size_t size)
{
    memset(self, 0, size);
    return readlink("/proc/self/exe", self, size - 1) > 0 ? dirname(self) : ".";
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct run run = {0};
    struct ledger *ledger = &run.ledger;
    char self[1000], petreld[1100];
    int rc = options_parse(&ledger->options, argc, argv);
    if (rc != 0)
        return rc == 1 ? 0 : rc;
    if (ledger->options.bin == NULL)
        ledger->options.bin = default_bin(self, sizeof self);
    snprintf(petreld, sizeof petreld, "%s/petreld", ledger->options.bin);
    ledger->options.petreld = petreld;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    uv_loop_init(&ledger->loop);
    ledger->book =
        book_new(ledger->options.devices, ledger->options.senders, ledger->options.seed, ledger->options.topics);
    run.devices = object_zalloc(ledger->options.devices * sizeof(struct device *));
    run.tokens = object_zalloc(ledger->options.devices * sizeof(char *));
    run.senders = object_zalloc(ledger->options.senders * sizeof(struct sender *));
    bool kept = execute(&run);
    for (uint32_t i = 0; i < ledger->options.devices; i++)
        free(run.tokens[i]);
    free(run.devices);
    free(run.tokens);
    free(run.senders);
    book_free(&ledger->book);
    tally_reset(&ledger->tally);
    errands_reset(&ledger->errands);
    uv_loop_close(&ledger->loop);
    return kept ? 0 : 1;
}
