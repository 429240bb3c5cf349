/* All sessions, or a share of them, lose their connections at once and come back as libpetrel does: within half a second, and when they
 * are refused, after the wait that they were told. Meanwhile messages go to those that stayed, which must not suffer for it, and to
 * those that are away, which must have them when they are back. */
#include "bench_fleet.h"
#include "bench_load.h"
#include "bench_tls.h"

#include <inttypes.h>

#define STORM_SECONDS 300
#define DELIVER_SECONDS 30
#define RATE 200
#define PROGRESS_US 1000000

static uint32_t cut_of(const struct bench_options *options)
{
    return (uint32_t)((uint64_t)options->sessions * options->share / 100);
}

/* In turn one that stayed and one that was cut; petrel-limit keeps nothing for who is away. */
static struct bench_aim aim(const struct bench_load *load, uint64_t number)
{
    const struct bench *bench = load->bench;
    const struct bench_options *options = &bench->options;
    const uint64_t turn = number / 2;
    struct bench_aim aim = {.bytes = options->payload_bytes};
    if (number % 2 == 0 || bench->server == BENCH_LIMIT)
        aim.user = options->sessions + (uint32_t)(turn % options->stay);
    else
        aim.user = (uint32_t)(turn * 7919 % cut_of(options)); /* all over them */
    return aim;
}

/* Until all are back; the seconds that it took. */
static double weather(struct bench_load *load)
{
    struct bench_fleet *fleet = load->bench->fleet;
    const uint64_t start = bench_now_us();
    uint64_t now = start, shown = start;
    atomic_store(&fleet->shared->cut_end, cut_of(&load->bench->options));
    bench_fleet_order(fleet, BENCH_STORM);
    bench_load_start(load);
    for (; !bench_fleet_is_done(fleet) && now - start < STORM_SECONDS * UINT64_C(1000000); now = bench_now_us()) {
        bench_load_turn(load);
        if (now - shown < PROGRESS_US)
            continue;
        shown = now;
        const struct bench_fleet_sums sums = bench_fleet_sum(fleet);
        bench_progress("%3" PRIu64 " s: %" PRIu64 " of %" PRIu32 " sessions up, %" PRIu64 " times refused, %" PRIu64
                       " failed%s%s",
                       (now - start) / 1000000, sums.connected, fleet->config.devices, sums.refused, sums.failed,
                       sums.why != NULL ? ", last: " : "", sums.why != NULL ? sums.why : "");
    }
    return (double)(bench_now_us() - start) / 1e6;
}

static bool report(struct bench_load *load, const struct bench_fleet_sums *before, const struct bench_outcome *outcome)
{
    struct bench *bench = load->bench;
    const struct bench_options *options = &bench->options;
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    const struct bench_senders_sums *sends = bench_senders_sum(load->senders);
    const uint64_t missing = bench->fleet->config.devices - sums.connected;
    bench_figure(bench, "sessions", options->sessions, 0);
    bench_figure(bench, "cut", cut_of(options), 0);
    bench_figure(bench, "stayed", bench->fleet->config.devices - cut_of(options), 0);
    bench_figure(bench, "refused", (double)(sums.refused - before->refused), 0);
    bench_figure(bench, "broken", (double)(sums.failed - sums.gone - before->failed), 0);
    bench_figure(bench, "failed", (double)missing, 0);
    bench_figure(bench, "refused_for_good", (double)sums.gone, 0);
    bench_figure(bench, "sends_accepted", (double)sends->accepted, 0);
    bench_figure(bench, "sends_refused", (double)sends->refused, 0);
    bench_figure(bench, "last_refusal", sends->last_refusal, 0);
    bench_figure(bench, "delivered", (double)outcome->delivered, 0);
    bench_figure(bench, "lost", (double)outcome->lost, 0);
    bench_figure(bench, "duplicates", (double)outcome->duplicates, 0);
    bench_figure(bench, "gaps", (double)sums.gaps, 0);
    bench_figure_latency(bench, "push", &sums.push_apart);
    bench_figure_latency(bench, "late", &sums.push);
    return missing + sends->refused + outcome->lost + outcome->duplicates + sums.gaps == 0;
}

int bench_storm(struct bench *bench)
{
    struct bench_options *options = &bench->options;
    if (options->sessions == 0 || cut_of(options) == 0)
        bench_die(bench, "storm needs --sessions, and a --share of them that is at least one");
    options->rate = options->rate > 0 ? options->rate : RATE;
    struct bench_load load = {.bench = bench, .rate = options->rate, .aim = aim};
    bench_load_plan(&load, STORM_SECONDS);
    bench_fleet_open(bench, &(struct bench_fleet_config){.devices = options->sessions + options->stay,
                                                         .apart = options->stay,
                                                         .numbers = load.numbers});
    bench_fleet_connect(bench->fleet);
    const struct bench_fleet_sums first = bench_fleet_sum(bench->fleet);
    const struct bench_handshakes shaken = bench_tls_handshakes(bench);
    const struct bench_usage before = bench_target_usage(bench, NULL);
    bench_progress("%" PRIu64 " sessions are up; %" PRIu32 " are cut", first.connected, cut_of(options));
    const double seconds = weather(&load);
    const struct bench_usage after = bench_target_usage(bench, NULL);
    bench_load_finish(&load);
    bench_fleet_order(bench->fleet, BENCH_WAIT);
    const struct bench_outcome outcome = bench_load_await(&load, DELIVER_SECONDS);
    const struct bench_usage rest = bench_target_usage(bench, NULL);
    bench_figure(bench, "storm_seconds", seconds, 2);
    bench_figure(bench, "server_cpu_us_per_connect", (after.cpu_seconds - before.cpu_seconds) * 1e6 / cut_of(options),
                 1);
    bench_tls_figures(bench, &shaken);
    bench_figure(bench, "server_rss_bytes_before", (double)before.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_storm", (double)after.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_after", (double)rest.rss_bytes, 0);
    const bool good = report(&load, &first, &outcome);
    bench_load_close(&load);
    return good ? 0 : 1;
}
