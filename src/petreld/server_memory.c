#include "petreld/server_memory.h"

#include "base/log.h"
#include "base/object.h"
#include "petreld/server_impl.h"

#include <malloc.h>

#define MEASURE_MS 100     /* near the mark */
#define MEASURE_FAR_MS 500 /* below FAR_PART of it */
#define FAR_PART(mark) ((mark) / 4 * 3)
/* Below the mark by this part it is not short any more. */
#define EASE_PART 20
#define LOG_EVERY_MS 10000
/* What of the sessions must have gone, and how many, before it is worth to look for what the allocator keeps for them. */
#define TRIM_PART 4
#define TRIM_LEAST 10000

/* What there is of it, and the mark, in the measure that the mark is told in. */
static uint64_t mark_of(const struct server *server, uint64_t *taken)
{
    const uint64_t mark = server->config->memory_high_water;
    const struct memory_usage *usage = &server->memory.usage;
    const bool percent = mark <= CONFIG_PERCENT_MAX;
    *taken = percent ? usage->used : usage->rss;
    return percent ? usage->limit / CONFIG_PERCENT_MAX * mark : mark;
}

static void note_short(struct server *server, uint64_t taken, uint64_t mark)
{
    struct server_memory *memory = &server->memory;
    const uint64_t now_ms = loop_now_ms(server->loops[0].loop);
    memory->logged_count++;
    if (memory->logged_ms != 0 && now_ms - memory->logged_ms < LOG_EVERY_MS)
        return;
    log_at(LOG_WARN, "server", "memory is above memory.high_water: who connects is refused, sessions go on",
           LOG_NUM("taken_bytes", taken), LOG_NUM("mark_bytes", mark), LOG_NUM("rss_bytes", memory->usage.rss),
           LOG_NUM("times", memory->logged_count));
    memory->logged_ms = now_ms;
    memory->logged_count = 0;
}

static void judge(struct server *server, uint64_t taken, uint64_t mark)
{
    struct server_memory *memory = &server->memory;
    const bool was = atomic_load_explicit(&memory->is_short, memory_order_relaxed);
    const bool is = mark > 0 && taken > (was ? mark - mark / EASE_PART : mark);
    if (is == was)
        return;
    atomic_store_explicit(&memory->is_short, is, memory_order_relaxed);
    if (is)
        note_short(server, taken, mark);
}

/* The slabs give back their own; this is for what lies between: records of users, frames, tables. Once a crowd has left, not while it
 * leaves. */
static void trim(struct server_memory *memory, int64_t sessions)
{
    if (sessions > memory->peak)
        memory->peak = sessions;
    const int64_t gone = memory->peak - sessions;
    const bool leaving = sessions < memory->sessions;
    memory->sessions = sessions;
    if (leaving || gone < TRIM_LEAST || gone < memory->peak / TRIM_PART)
        return;
    memory->peak = sessions;
    (void)malloc_trim(0);
}

static void on_measure(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, memory.timer);
    struct server_memory *memory = &server->memory;
    struct metrics_shard *shard = metrics_shard(server->metrics, 0);
    uint64_t taken;
    memory_measure(&memory->gauge, &memory->usage);
    const uint64_t mark = mark_of(server, &taken);
    judge(server, taken, mark);
    trim(memory, metrics_get(server->metrics, METRIC_SESSIONS));
    metrics_set(shard, METRIC_MEMORY_BYTES, (int64_t)memory->usage.rss);
    metrics_set(shard, METRIC_MEMORY_SHORT, server_memory_is_short(server));
    timer_start(server->loops[0].loop, timer, mark == 0 || taken < FAR_PART(mark) ? MEASURE_FAR_MS : MEASURE_MS,
                on_measure);
}

void server_memory_begin(struct server *server)
{
    memory_init(&server->memory.gauge, NULL, NULL);
    on_measure(&server->memory.timer);
}

void server_memory_stop(struct server *server)
{
    timer_stop(&server->memory.timer);
}

bool server_memory_is_short(const struct server *server)
{
    return atomic_load_explicit(&server->memory.is_short, memory_order_relaxed);
}
