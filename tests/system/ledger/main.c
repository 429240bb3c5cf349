#include "system/ledger/ledger.h"

#include "base/object.h"
#include "lib/until.h"
#include "system/ledger/chaos.h"
#include "system/ledger/device.h"
#include "system/ledger/report.h"
#include "system/ledger/sender.h"
#include "system/ledger/server.h"

#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TURN_MS 100
#define PROGRESS_MS 5000
#define ANSWERS_MS 60000 /* for the last definite answers, after the load */
#define DRAIN_MS 120000  /* for the devices to have everything */
#define STALL_MS 6000    /* without anything coming: nothing will */
#define LINGER_MS 1000   /* for what should not come any more */

/* LOAD: messages are sent, the server is killed, or the faults of a cluster happen. ANSWERS: senders get the last of theirs. DRAIN: devices get what is left, by
 * themselves. RESUME: the same after each has reconnected, which must bring what no Deliver brought. LINGER: nothing more may come. */
enum phase { LOAD, ANSWERS, DRAIN, RESUME, LINGER, CLOSE };

struct run {
    struct ledger ledger;
    struct server server; /* one of the two */
    struct cluster cluster;
    struct chaos chaos;
    struct device **devices;
    struct sender **senders;
    char **tokens;
    uv_timer_t timer;
    uv_signal_t interrupts[2];
    enum phase phase;
    uint64_t began_ms;
    uint64_t phase_ms; /* when it began */
    uint64_t told_ms;
    uint64_t delivered; /* at the last look */
    uint64_t moved_ms;  /* when that last grew */
};

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

static uint64_t since(uint64_t ms)
{
    return until_now_ms() - ms;
}

static void enter(struct run *run, enum phase phase)
{
    run->phase = phase;
    run->phase_ms = run->moved_ms = until_now_ms();
}

static void tell_progress(struct run *run)
{
    static const char *const names[] = {"load", "last answers", "draining", "resuming", "lingering", "closing"};
    if (since(run->told_ms) < PROGRESS_MS)
        return;
    run->told_ms = until_now_ms();
    struct book_sums sums = book_sum(run->ledger.book);
    printf("%4" PRIu64 " s  %s: accepted %" PRIu64 ", delivered %" PRIu64 " of %" PRIu64 ", devices up %" PRIu32
           ", retries %" PRIu64 "\n",
           since(run->began_ms) / 1000, names[run->phase], sums.accepted, sums.delivered, sums.expected,
           run->ledger.live, run->ledger.retries);
}

/* ---- the phases ---- */

static void unwatch_interrupts(struct run *run)
{
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&run->interrupts[i], NULL);
}

static void close_all(struct run *run)
{
    enter(run, CLOSE);
    for (uint32_t i = 0; i < run->ledger.options.devices; i++)
        device_close(&run->devices[i]);
    for (uint32_t i = 0; i < run->ledger.options.senders; i++)
        sender_close(&run->senders[i]);
    if (run->ledger.options.cluster)
        chaos_end(&run->chaos);
    else
        server_unwatch(&run->server);
    unwatch_interrupts(run);
    uv_close((uv_handle_t *)&run->timer, NULL);
}

/* The nth kill comes in the middle of the nth part of the time. */
static bool kill_is_due(const struct run *run)
{
    const struct options *options = &run->ledger.options;
    uint64_t part = 1000ULL * options->seconds / (options->kills > 0 ? options->kills : 1);
    return run->ledger.kills < options->kills && run->server.phase == SERVER_UP &&
           since(run->phase_ms) >= part * run->ledger.kills + part / 2;
}

/* Let happen what is due; whether all that should has happened. */
static bool torment(struct run *run)
{
    if (run->ledger.options.cluster) {
        chaos_turn(&run->chaos);
        return chaos_is_over(&run->chaos);
    }
    if (kill_is_due(run))
        server_kill(&run->server);
    return run->ledger.kills == run->ledger.options.kills && run->server.phase == SERVER_UP;
}

static void load(struct run *run)
{
    struct ledger *ledger = &run->ledger;
    bool over = since(run->phase_ms) >= 1000ULL * ledger->options.seconds;
    if (torment(run) && over) {
        ledger->sending = false;
        enter(run, ANSWERS);
    }
}

/* Whether nothing comes any more. */
static bool has_stalled(struct run *run, uint64_t delivered)
{
    if (delivered != run->delivered)
        run->moved_ms = until_now_ms();
    run->delivered = delivered;
    return since(run->moved_ms) > STALL_MS || since(run->phase_ms) > DRAIN_MS;
}

static void drain(struct run *run)
{
    struct book_sums sums = book_sum(run->ledger.book);
    bool stalled = has_stalled(run, sums.delivered);
    /* What gaps have paid for is not awaited, once nothing comes any more. */
    if (sums.missing == 0 || (stalled && (run->phase == RESUME || sums.lost == 0))) {
        enter(run, LINGER);
    } else if (stalled) {
        printf("%" PRIu64 " deliveries do not come by themselves: all devices reconnect\n", sums.lost);
        for (uint32_t i = 0; i < run->ledger.options.devices; i++)
            device_reconnect(run->devices[i]);
        enter(run, RESUME);
    }
}

static void end_of_load(struct run *run)
{
    if (run->ledger.busy > 0 && since(run->phase_ms) <= ANSWERS_MS)
        return;
    tally_end(&run->ledger.tally, until_now_ms());
    run->ledger.calm = true;
    enter(run, DRAIN);
}

static void on_turn(uv_timer_t *timer)
{
    struct run *run = timer->data;
    tell_progress(run);
    if (run->ledger.failure[0] != '\0')
        close_all(run);
    else if (run->phase == LOAD)
        load(run);
    else if (run->phase == ANSWERS)
        end_of_load(run);
    else if (run->phase == DRAIN || run->phase == RESUME)
        drain(run);
    else if (since(run->phase_ms) > LINGER_MS)
        close_all(run);
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
    if (ledger->options.cluster)
        chaos_begin(&run->chaos, &run->cluster, run->began_ms + 1000ULL * ledger->options.seconds);
    else
        server_watch(&run->server);
    tally_begin(&ledger->tally, run->began_ms);
    ledger->sending = true;
    ledger->drop_next = ledger->options.drop_one;
    for (uint32_t i = 0; i < ledger->options.devices; i++)
        run->devices[i] = device_new(ledger, i, &run->tokens[i]);
    for (uint32_t i = 0; i < ledger->options.senders; i++)
        run->senders[i] = sender_new(ledger, i);
    enter(run, LOAD);
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
        printf("a cluster, %s, seed %" PRIu64 "\n", options->replicated ? "replicated" : "standard", options->seed);
    else
        printf("%" PRIu32 " kills, seed %" PRIu64 "\n", options->kills, options->seed);
}

/* The folder stays where somebody has to look for a reason in it. */
static void clean_up(struct run *run, bool kept)
{
    if (run->ledger.options.cluster)
        cluster_free(&run->cluster, !kept || run->ledger.options.keep);
    else
        daemon_free(&run->server.daemon);
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
        unwatch_interrupts(run);
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
    ledger->book = book_new(ledger->options.devices, ledger->options.senders, ledger->options.seed);
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
    uv_loop_close(&ledger->loop);
    return kept ? 0 : 1;
}
