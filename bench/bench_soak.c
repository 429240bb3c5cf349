/* A long time of everything at once: devices that come and go, messages to single devices, broadcasts, slow readers. The servers' memory
 * must not grow once it has seen it all, and nothing may be lost, be there twice, or be said to be missing.
 *
 * What became of a message is remembered for an hour, 32 of each user, 40 bytes each: memory that would grow all the while, as it is meant
 * to. A petreld that is started for this remembers it for a minute, so that what grows is what should not. */
#include "bench_fleet.h"
#include "bench_load.h"

#include <inttypes.h>
#include <stdlib.h>

#define SETTLE_SECONDS 120
#define WARM_SECONDS 300 /* or a sixth of the whole when that is less */
#define RATE 1000
#define EVERY_MS 10000
#define PROGRESS_SECONDS 10
/* To a slow reader: in the time that it does not read, half of the 64 KiB that are kept for a user, and no more than the 64 messages in
 * half a minute that are taken for one. */
#define SLOW_PER_SECOND 1
#define SLOW_BYTES 2400

struct soak {
    struct bench_load load;
    uint32_t slow_every; /* one message in so many goes to a slow reader; 0: none */
    uint32_t seconds;
    uint64_t *rss; /* by second */
    uint32_t rss_count;
};

static struct bench_aim aim(const struct bench_load *load, uint64_t number)
{
    const struct soak *soak = (const struct soak *)load; /* its first member */
    const struct bench_fleet_config *config = &load->bench->fleet->config;
    const uint32_t others = config->devices - config->apart;
    if (soak->slow_every > 0 && number % soak->slow_every == 0)
        return (struct bench_aim){others + (uint32_t)(number / soak->slow_every % config->apart), SLOW_BYTES};
    return (struct bench_aim){(uint32_t)(number * 7919 % others), load->bench->options.payload_bytes};
}

/* No more to the slow readers than a server takes for one user, and no more than every second message. */
static uint32_t slow_every(const struct bench_options *options)
{
    const uint64_t to_slow = (uint64_t)options->slow * SLOW_PER_SECOND;
    const uint64_t every = to_slow > 0 ? (options->rate + to_slow - 1) / to_slow : 0;
    return every == 1 ? 2 : (uint32_t)every;
}

static void sample(struct soak *soak)
{
    struct bench *bench = soak->load.bench;
    const uint64_t passed_s = (bench_now_us() - soak->load.start_us) / 1000000;
    if (passed_s < soak->rss_count || soak->rss_count == soak->seconds)
        return;
    soak->rss[soak->rss_count++] = bench_target_usage(bench, NULL).rss_bytes;
    if (soak->rss_count % PROGRESS_SECONDS != 0)
        return;
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    bench_progress("%4" PRIu64 " s: %" PRIu64 " up, %" PRIu64 " came back, %" PRIu64 " accepted, %" PRIu64
                   " pushes, %" PRIu64 " failed, RSS %" PRIu64 " KiB",
                   passed_s, sums.connected, sums.churned, bench_senders_sum(soak->load.senders)->accepted, sums.pushes,
                   sums.failed, soak->rss[soak->rss_count - 1] / 1024);
}

/* The most of the seconds from..end - 1: what is needed, whatever the moment. */
static double most(const struct soak *soak, uint32_t from, uint32_t end)
{
    uint64_t high = 0;
    for (uint32_t i = from; i < end && i < soak->rss_count; i++)
        high = soak->rss[i] > high ? soak->rss[i] : high;
    return (double)high;
}

/* Whether it stayed within --growth. */
static bool report_memory(struct soak *soak)
{
    struct bench *bench = soak->load.bench;
    const uint32_t sixth = soak->seconds >= 6 ? soak->seconds / 6 : 1;
    const uint32_t warm = sixth < WARM_SECONDS ? sixth : WARM_SECONDS;
    const double settled = most(soak, 0, warm), end = most(soak, soak->rss_count - warm, soak->rss_count);
    const double grown = end - settled, percent = settled > 0 ? grown * 100 / settled : 0;
    bench_figure(bench, "warm_seconds", warm, 0);
    bench_figure(bench, "server_rss_bytes_warm", settled, 0);
    bench_figure(bench, "server_rss_bytes_end", end, 0);
    bench_figure(bench, "server_rss_growth_bytes", grown, 0);
    bench_figure(bench, "server_rss_growth_percent", percent, 2);
    if (percent > bench->options.growth)
        bench_progress("petrel-bench: the servers' memory grew by %.1f %%, more than --growth %" PRIu32, percent,
                       bench->options.growth);
    return percent <= bench->options.growth;
}

static bool report_delivery(struct soak *soak, const struct bench_outcome *outcome)
{
    struct bench *bench = soak->load.bench;
    const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    const struct bench_senders_sums *sends = bench_senders_sum(soak->load.senders);
    const uint64_t lost = outcome->lost + outcome->broadcasts_lost;
    const uint64_t missing = bench->fleet->config.devices - sums.connected;
    bench_figure(bench, "sessions", bench->fleet->config.devices, 0);
    bench_figure(bench, "slow_readers", bench->fleet->config.apart, 0);
    bench_figure(bench, "seconds", soak->seconds, 0);
    bench_figure(bench, "came_back", (double)sums.churned, 0);
    bench_figure(bench, "refused", (double)sums.refused, 0);
    bench_figure(bench, "failed", (double)(sums.failed + missing), 0);
    bench_figure(bench, "sends_accepted", (double)outcome->accepted, 0);
    bench_figure(bench, "sends_refused", (double)sends->refused, 0);
    bench_figure(bench, "last_refusal", sends->last_refusal, 0);
    bench_figure(bench, "broadcasts", (double)outcome->broadcasts, 0);
    bench_figure(bench, "delivered", (double)(outcome->delivered + outcome->broadcasts_delivered), 0);
    bench_figure(bench, "lost", (double)lost, 0);
    bench_figure(bench, "duplicates", (double)outcome->duplicates, 0);
    bench_figure(bench, "gaps", (double)sums.gaps, 0);
    bench_figure(bench, "heartbeats_sent", (double)sums.beats, 0);
    bench_figure(bench, "heartbeats_answered", (double)sums.pongs, 0);
    bench_figure_latency(bench, "", &sums.push);
    bench_figure_latency(bench, "slow", &sums.push_apart);
    bench_figure_latency(bench, "broadcast", &sums.broadcast);
    bench_figure_latency(bench, "send", &sends->latency);
    const uint64_t wrong = lost + outcome->duplicates + sums.gaps + sums.failed + missing + sends->refused;
    if (wrong > 0)
        bench_progress("petrel-bench: %" PRIu64 " lost, %" PRIu64 " duplicates, %" PRIu64 " told missing, %" PRIu64
                       " sends refused, %" PRIu64 " sessions failed%s%s",
                       lost, outcome->duplicates, sums.gaps, sends->refused, sums.failed + missing,
                       sums.why != NULL ? ": " : "", sums.why != NULL ? sums.why : "");
    return wrong == 0;
}

static bool measure(struct soak *soak)
{
    struct bench *bench = soak->load.bench;
    struct bench_fleet *fleet = bench->fleet;
    const struct bench_snapshot before = bench_target_snapshot(bench);
    atomic_store(&fleet->shared->churn, bench->options.churn);
    bench_fleet_order(fleet, BENCH_CHURN);
    bench_load_start(&soak->load);
    while (bench_now_us() - soak->load.start_us < soak->seconds * UINT64_C(1000000)) {
        bench_load_turn(&soak->load);
        sample(soak);
    }
    bench_load_finish(&soak->load);
    bench_fleet_order(fleet, BENCH_CONNECT);
    (void)bench_fleet_await(fleet, SETTLE_SECONDS);
    const struct bench_outcome outcome = bench_load_await(&soak->load, SETTLE_SECONDS);
    const uint64_t pushes = bench_fleet_sum(fleet).pushes;
    bench_target_figures(bench, &before, pushes > 0 ? (double)pushes : 1);
    const bool steady = report_memory(soak);
    return report_delivery(soak, &outcome) && steady;
}

int bench_soak(struct bench *bench)
{
    struct bench_options *options = &bench->options;
    if (bench->server != BENCH_PETRELD)
        bench_die(bench, "soak is for petreld alone: the others keep nothing for devices that are away");
    if (options->sessions <= options->slow)
        bench_die(bench, "soak needs more --sessions than --slow readers");
    bench->broadcasts = true;
    options->rate = options->rate > 0 ? options->rate : RATE;
    options->every_ms = options->every_ms > 0 ? options->every_ms : EVERY_MS;
    struct soak soak = {
        .load = {.bench = bench, .rate = options->rate, .every_ms = options->every_ms, .aim = aim},
        .slow_every = slow_every(options),
        .seconds = options->seconds,
        .rss = calloc(options->seconds, sizeof *soak.rss),
    };
    if (soak.rss == NULL)
        bench_die(bench, "memory is out");
    bench_load_plan(&soak.load, options->seconds);
    bench_fleet_open(bench, &(struct bench_fleet_config){.devices = options->sessions,
                                                         .apart = options->slow,
                                                         .slow = true,
                                                         .numbers = soak.load.numbers,
                                                         .broadcasts = soak.load.broadcasts_max});
    bench_fleet_connect(bench->fleet);
    const bool good = measure(&soak);
    bench_load_close(&soak.load);
    free(soak.rss);
    return good ? 0 : 1;
}
