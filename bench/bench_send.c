/* Send as many messages as go, or at a rate. With sessions, each message goes to one that is connected, is pushed, and acked: the whole
 * way; or, as `broadcast`, all sessions are sent to now and then, and the single messages beside it say what that costs others. */
#include "bench_fleet.h"
#include "bench_load.h"
#include "bench_others.h"

#include <inttypes.h>

#define DELIVER_SECONDS 30
#define BROADCAST_RATE 100
#define BROADCAST_EVERY_MS 2000

static struct bench_aim in_turn(const struct bench_load *load, uint64_t number)
{
    const struct bench_options *options = &load->bench->options;
    const uint32_t users = options->sessions > 0 ? options->sessions : options->users;
    return (struct bench_aim){.user = (uint32_t)(number % users), .bytes = options->payload_bytes};
}

static void run_load(struct bench_load *load)
{
    const uint64_t length = load->bench->options.seconds * UINT64_C(1000000);
    uint64_t shown = load->start_us;
    for (uint64_t now = shown; now - load->start_us < length; now = bench_now_us()) {
        bench_load_turn(load);
        if (now - shown < 1000000)
            continue;
        shown = now;
        const struct bench_senders_sums *sums = bench_senders_sum(load->senders);
        bench_progress("%3" PRIu64 " s: %" PRIu64 " accepted, %" PRIu64 " refused", (now - load->start_us) / 1000000,
                       sums->accepted, sums->refused);
    }
    bench_load_finish(load);
}

/* ---- what came of it ---- */

static void figures_of_sends(struct bench *bench, const struct bench_outcome *outcome, double seconds)
{
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    bench_figure(bench, "delivered", (double)outcome->delivered, 0);
    bench_figure(bench, "lost", (double)outcome->lost, 0);
    bench_figure(bench, "duplicates", (double)outcome->duplicates, 0);
    bench_figure(bench, "per_second", (double)outcome->delivered / seconds, 0);
    bench_figure_latency(bench, "", &sums.push);
}

static void figures_of_broadcasts(struct bench *bench, const struct bench_outcome *outcome)
{
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    const double under_way = outcome->broadcasts_seconds > 0 ? outcome->broadcasts_seconds : 1;
    bench_figure(bench, "broadcasts", (double)outcome->broadcasts, 0);
    bench_figure(bench, "delivered", (double)outcome->broadcasts_delivered, 0);
    bench_figure(bench, "lost", (double)outcome->broadcasts_lost, 0);
    bench_figure(bench, "duplicates", (double)outcome->duplicates, 0);
    bench_figure(bench, "per_second", (double)outcome->broadcasts_delivered / under_way, 0);
    bench_figure(bench, "broadcast_seconds", under_way / (double)(outcome->broadcasts > 0 ? outcome->broadcasts : 1),
                 3);
    bench_figure_latency(bench, "", &sums.broadcast);
    bench_figure(bench, "push_delivered", (double)outcome->delivered, 0);
    bench_figure(bench, "push_lost", (double)outcome->lost, 0);
    bench_figure_latency(bench, "push", &sums.push);
}

static bool report_delivery(struct bench_load *load, const struct bench_outcome *outcome, double seconds)
{
    struct bench *bench = load->bench;
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    bench_figure(bench, "sessions", bench->options.sessions, 0);
    bench_figure(bench, "failed", (double)sums.failed, 0);
    if (bench->broadcasts)
        figures_of_broadcasts(bench, outcome);
    else
        figures_of_sends(bench, outcome, seconds);
    return outcome->lost + outcome->broadcasts_lost + outcome->duplicates + sums.failed == 0;
}

static double at_least_one(uint64_t count)
{
    return count > 0 ? (double)count : 1;
}

static bool measure(struct bench_load *load)
{
    struct bench *bench = load->bench;
    const bool whole_way = bench->options.sessions > 0;
    double commits = bench_target_metric(bench, "petrel_store_commits_total");
    const struct bench_snapshot before = bench_target_snapshot(bench);
    bench_load_start(load);
    run_load(load);
    const double seconds = (double)(bench_now_us() - load->start_us) / 1e6;
    const struct bench_outcome outcome =
        whole_way ? bench_load_await(load, DELIVER_SECONDS) : (struct bench_outcome){0};
    const double all_seconds = (double)(bench_now_us() - load->start_us) / 1e6;
    const struct bench_senders_sums *sums = bench_senders_sum(load->senders);
    bench_figure(bench, "senders", bench->options.senders, 0);
    bench_figure(bench, "seconds", seconds, 2);
    bench_figure(bench, "accepted", (double)sums->accepted, 0);
    bench_figure(bench, "refused", (double)sums->refused, 0);
    bench_figure(bench, "last_refusal", sums->last_refusal, 0);
    bench_figure(bench, whole_way ? "accepted_per_second" : "per_second", (double)sums->accepted / seconds, 0);
    bench_target_figures(bench, &before,
                         at_least_one(whole_way ? bench_fleet_sum(bench->fleet).pushes : sums->accepted));
    commits = bench_target_metric(bench, "petrel_store_commits_total") - commits;
    if (commits > 0)
        bench_figure(bench, "sends_per_commit", (double)sums->accepted / commits, 1);
    bench_figure_latency(bench, whole_way ? "send" : "", &sums->latency);
    const bool good = !whole_way || report_delivery(load, &outcome, all_seconds);
    return good && sums->refused == 0 && sums->accepted > 0;
}

int bench_send(struct bench *bench)
{
    if (bench->server == BENCH_OTHER)
        return bench_others_send(bench);
    const struct bench_options *options = &bench->options;
    struct bench_load load = {
        .bench = bench, .rate = options->rate, .every_ms = bench->broadcasts ? options->every_ms : 0, .aim = in_turn};
    bench_load_plan(&load, options->seconds);
    if (options->sessions > 0) {
        bench_fleet_open(bench, &(struct bench_fleet_config){.devices = options->sessions,
                                                             .numbers = load.numbers,
                                                             .broadcasts = load.broadcasts_max});
        bench_fleet_connect(bench->fleet);
        bench_settle(bench);
    }
    const bool good = measure(&load);
    bench_load_close(&load);
    return good ? 0 : 1;
}

int bench_broadcast(struct bench *bench)
{
    struct bench_options *options = &bench->options;
    if (options->sessions == 0)
        bench_die(bench, "broadcast needs --sessions");
    bench->broadcasts = true;
    options->rate = options->rate > 0 ? options->rate : BROADCAST_RATE;
    options->every_ms = options->every_ms > 0 ? options->every_ms : BROADCAST_EVERY_MS;
    return bench_send(bench);
}
