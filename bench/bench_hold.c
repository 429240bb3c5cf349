/* Connect sessions with valid tokens, a bounded number in flight, hold them with heartbeats answered, and compare the servers' memory
 * and CPU before and after. */
#include "bench_fleet.h"

#include <inttypes.h>
#include <unistd.h>

#define CONNECT_SECONDS 600
#define ANSWERS_SECONDS 5
#define ANSWERS_POLL_US 10000

int bench_hold(struct bench *bench)
{
    const uint32_t wanted = bench->options.sessions;
    if (wanted == 0)
        bench_die(bench, "hold needs --sessions");
    bench_fleet_open(bench, wanted, 0);
    struct bench_fleet *fleet = bench->fleet;
    struct bench_usage before = bench_target_usage(bench, NULL);
    uint64_t start = bench_now_us();
    bench_fleet_order(fleet, BENCH_CONNECT);
    bool all = bench_fleet_await(fleet, CONNECT_SECONDS);
    double seconds = (double)(bench_now_us() - start) / 1e6;
    struct bench_usage up = bench_target_usage(bench, NULL);
    struct bench_fleet_sums sums = bench_fleet_sum(fleet);
    bench_progress("%" PRIu64 " connected in %.1f s, %" PRIu64 " failed; holding for %" PRIu32 " s", sums.connected,
                   seconds, sums.failed, bench->options.seconds);
    atomic_store(&fleet->shared->beat_us, bench->options.seconds * 1000000ULL);
    bench_fleet_order(fleet, BENCH_BEAT);
    all = bench_fleet_await(fleet, bench->options.seconds + ANSWERS_SECONDS) && all;
    bench_fleet_order(fleet, BENCH_WAIT);
    uint64_t patience = bench_now_us() + ANSWERS_SECONDS * 1000000ULL;
    sums = bench_fleet_sum(fleet);
    while (sums.pongs < sums.connected && bench_now_us() < patience) {
        usleep(ANSWERS_POLL_US);
        sums = bench_fleet_sum(fleet);
    }
    struct bench_usage held = bench_target_usage(bench, NULL);
    double count = sums.connected > 0 ? (double)sums.connected : 1;
    double grown = held.rss_bytes > before.rss_bytes ? (double)(held.rss_bytes - before.rss_bytes) : 0;
    bench_figure(bench, "sessions", wanted, 0);
    bench_figure(bench, "connected", (double)sums.connected, 0);
    bench_figure(bench, "failed", (double)sums.failed, 0);
    bench_figure(bench, "connect_seconds", seconds, 2);
    bench_figure_latency(bench, "connect", &sums.connect);
    bench_figure(bench, "server_cpu_us_per_connect", (up.cpu_seconds - before.cpu_seconds) * 1e6 / count, 1);
    bench_figure(bench, "server_rss_bytes_before", (double)before.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_held", (double)held.rss_bytes, 0);
    bench_figure(bench, "server_rss_bytes_per_session", grown / count, 0);
    bench_figure(bench, "held_seconds", bench->options.seconds, 0);
    bench_figure(bench, "heartbeats_answered", (double)sums.pongs, 0);
    bench_figure_latency(bench, "heartbeat", &sums.pong);
    bench_figure(bench, "server_cpu_us_per_heartbeat", (held.cpu_seconds - up.cpu_seconds) * 1e6 / count, 1);
    return all && sums.failed == 0 && sums.pongs == sums.connected ? 0 : 1;
}
