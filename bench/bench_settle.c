/* Wait until the server is through with what the connects left it to do: a store that takes its journal in, memory that goes back. It
 * belongs to the connects, and would else be found in the figures of what is measured next. */
#include "bench_fleet.h"
#include "bench_rest.h"

#include <inttypes.h>
#include <unistd.h>

#define WINDOW_US 1000000
#define PROGRESS_SECONDS 5

/* Of petreld's store: a checkpoint takes little CPU at a time, for long. */
static bool is_busy(struct bench *bench)
{
    return bench_target_metric(bench, "petrel_store_checkpoint_bytes") > 0;
}

static bool watch(struct bench *bench, uint64_t begun_us)
{
    const uint64_t length = bench->options.settle * UINT64_C(1000000);
    struct bench_rest rest = {0};
    uint64_t from = begun_us;
    double cpu = bench_target_usage(bench, NULL).cpu_seconds;
    while (from - begun_us < length) {
        usleep(WINDOW_US);
        const uint64_t now = bench_now_us();
        const double spent = bench_target_usage(bench, NULL).cpu_seconds,
                     core = (spent - cpu) * 1e6 / (double)(now - from);
        const bool busy = is_busy(bench);
        if (bench_rest_note(&rest, core, busy))
            return true;
        if (rest.windows % PROGRESS_SECONDS == 0)
            bench_progress("%3" PRIu64 " s: settling, %.1f %% of a core%s", (now - begun_us) / 1000000, core * 100,
                           busy ? ", a checkpoint is under way" : "");
        from = now;
        cpu = spent;
    }
    return false;
}

void bench_settle(struct bench *bench)
{
    if (bench->options.settle == 0 || bench->target.processes_count == 0)
        return;
    const double sessions = (double)bench_fleet_sum(bench->fleet).connected;
    const double cpu = bench_target_usage(bench, NULL).cpu_seconds;
    const uint64_t begun = bench_now_us();
    const bool rests = watch(bench, begun);
    const double seconds = (double)(bench_now_us() - begun) / 1e6;
    const double spent = bench_target_usage(bench, NULL).cpu_seconds - cpu;
    bench_progress("%s after %.1f s", rests ? "settled" : "not at rest", seconds);
    bench_figure(bench, "settled", rests, 0);
    bench_figure(bench, "settle_seconds", seconds, 1);
    bench_figure(bench, "server_cpu_us_per_session_settling", spent * 1e6 / (sessions > 0 ? sessions : 1), 2);
}
