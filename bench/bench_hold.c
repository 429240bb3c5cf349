/* Connect sessions with valid tokens, a bounded number in flight, hold them with heartbeats answered, and compare the servers' memory
 * and CPU before and after. Between connecting and holding the servers come to rest. */
#include "bench_fleet.h"
#include "bench_tls.h"

#include <inttypes.h>
#include <unistd.h>

#define ANSWERS_SECONDS 5
#define PROGRESS_SECONDS 10
#define POLL_US 10000

uint32_t bench_hold_heartbeat(uint32_t seconds)
{
    const uint32_t rounds = (seconds + BENCH_HEARTBEAT_S - 1) / BENCH_HEARTBEAT_S;
    return seconds / rounds;
}

static void begin_heartbeats(struct bench *bench, uint32_t heartbeat)
{
    atomic_store(&bench->fleet->shared->beat_us, heartbeat * UINT64_C(1000000));
    bench_fleet_order(bench->fleet, BENCH_WAIT);
}

/* And have those that were sent answered. */
static void end_heartbeats(struct bench *bench)
{
    struct bench_fleet *fleet = bench->fleet;
    atomic_store(&fleet->shared->beat_us, 0);
    bench_fleet_order(fleet, BENCH_WAIT);
    (void)bench_fleet_await(fleet, ANSWERS_SECONDS);
    const uint64_t patience = bench_now_us() + ANSWERS_SECONDS * UINT64_C(1000000);
    for (struct bench_fleet_sums sums = bench_fleet_sum(fleet); sums.pongs < sums.beats && bench_now_us() < patience;
         sums = bench_fleet_sum(fleet))
        usleep(POLL_US);
}

static void hold(struct bench *bench)
{
    const uint64_t start = bench_now_us(), length = bench->options.seconds * UINT64_C(1000000);
    uint64_t shown = start;
    const uint32_t heartbeat = bench->options.heartbeat;
    begin_heartbeats(bench, heartbeat > 0 ? heartbeat : bench_hold_heartbeat(bench->options.seconds));
    for (uint64_t now = start; now - start < length; now = bench_now_us()) {
        usleep(POLL_US);
        if (now - shown < PROGRESS_SECONDS * UINT64_C(1000000))
            continue;
        shown = now;
        const struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
        bench_progress("%3" PRIu64 " s: %" PRIu64 " held, %" PRIu64 " heartbeats answered, %" PRIu64 " failed",
                       (now - start) / 1000000, sums.connected, sums.pongs, sums.failed);
    }
    end_heartbeats(bench);
}

static bool connect_all(struct bench *bench, const struct bench_usage *before)
{
    struct bench_fleet *fleet = bench->fleet;
    const struct bench_handshakes shaken = bench_tls_handshakes(bench);
    const uint64_t start = bench_now_us();
    bench_fleet_order(fleet, BENCH_CONNECT);
    const bool all = bench_fleet_await(fleet, bench_fleet_connect_seconds(fleet));
    const double seconds = (double)(bench_now_us() - start) / 1e6;
    const double cpu = bench_target_usage(bench, NULL).cpu_seconds - before->cpu_seconds;
    const struct bench_fleet_sums sums = bench_fleet_sum(fleet);
    bench_progress("%" PRIu64 " connected in %.1f s, %" PRIu64 " failed", sums.connected, seconds, sums.failed);
    bench_figure(bench, "sessions", bench->options.sessions, 0);
    bench_figure(bench, "connect_seconds", seconds, 2);
    bench_figure_latency(bench, "connect", &sums.connect);
    bench_figure(bench, "server_cpu_us_per_connect", cpu * 1e6 / (double)(sums.connected > 0 ? sums.connected : 1), 1);
    bench_tls_figures(bench, &shaken);
    return all;
}

/* What happened since `before`, when no heartbeat was without its answer. */
static struct bench_fleet_sums since(const struct bench *bench, const struct bench_fleet_sums *before)
{
    struct bench_fleet_sums sums = bench_fleet_sum(bench->fleet);
    sums.beats -= before->beats;
    sums.pongs -= before->pongs;
    sums.pong = bench_latency_since(&sums.pong, &before->pong);
    return sums;
}

int bench_hold(struct bench *bench)
{
    const uint32_t wanted = bench->options.sessions, seconds = bench->options.seconds;
    if (wanted == 0)
        bench_die(bench, "hold needs --sessions");
    bench_fleet_open(bench, &(struct bench_fleet_config){.devices = wanted});
    const struct bench_usage empty = bench_target_usage(bench, NULL);
    const bool all = connect_all(bench, &empty);
    /* No more often than phones do, however short the hold is: those of a million in four seconds would be all that the machine does. */
    begin_heartbeats(bench, BENCH_HEARTBEAT_S);
    bench_settle(bench);
    end_heartbeats(bench);
    const struct bench_fleet_sums before = bench_fleet_sum(bench->fleet);
    const struct bench_usage rest = bench_target_usage(bench, NULL);
    bench_progress("holding for %" PRIu32 " s", seconds);
    hold(bench);
    const struct bench_usage held = bench_target_usage(bench, NULL);
    const struct bench_fleet_sums sums = since(bench, &before);
    const double count = sums.connected > 0 ? (double)sums.connected : 1;
    const double beats = sums.pongs > 0 ? (double)sums.pongs : 1;
    const double grown = held.rss_bytes > empty.rss_bytes ? (double)(held.rss_bytes - empty.rss_bytes) : 0;
    const double idle_seconds = held.cpu_seconds - rest.cpu_seconds;
    bench_figure(bench, "connected", (double)sums.connected, 0);
    bench_figure(bench, "failed", (double)sums.failed, 0);
    bench_figure(bench, "refused", (double)sums.refused, 0);
    bench_figure(bench, "server_rss_bytes_before", (double)empty.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_held", (double)held.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_per_session", grown / count, 0);
    bench_figure(bench, "held_seconds", seconds, 0);
    bench_figure(bench, "heartbeats_sent", (double)sums.beats, 0);
    bench_figure(bench, "heartbeats_answered", (double)sums.pongs, 0);
    bench_figure_latency(bench, "heartbeat", &sums.pong);
    bench_figure(bench, "server_cpu_us_per_heartbeat", idle_seconds * 1e6 / beats, 1);
    bench_figure(bench, "server_core_percent_held", idle_seconds * 100 / seconds, 2);
    return all && sums.failed == 0 && sums.connected == wanted && sums.pongs == sums.beats ? 0 : 1;
}
