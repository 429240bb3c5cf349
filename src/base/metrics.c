#include "base/metrics.h"

#include "base/object.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#define METRICS_CACHE_LINE 64

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const uint64_t BOUNDS_US[] = {
    100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000,
};

#define BOUNDS (sizeof BOUNDS_US / sizeof BOUNDS_US[0])

/* Cells of each kind. A histogram: one a bucket, one for what is over the last bound, the sum. */
#define CELLS_COUNTER 1
#define CELLS_GAUGE 1
#define CELLS_HISTOGRAM (BOUNDS + 2)

/* Numbers the cells of a shard: a metric's first cell is its offset in here. */
struct layout {
#define METRICS_LAYOUT(id, kind, name, help) char id[CELLS_##kind];
    METRICS_TABLE(METRICS_LAYOUT)
#undef METRICS_LAYOUT
};

static const struct {
    enum kind kind;
    size_t cell;
    const char *name;
    const char *help;
} TABLE[METRIC_COUNT] = {
#define METRICS_ROW(id, kind, name, help) {kind, offsetof(struct layout, id), name, help},
    METRICS_TABLE(METRICS_ROW)
#undef METRICS_ROW
};

struct metrics_shard {
    _Alignas(METRICS_CACHE_LINE) _Atomic int64_t cells[sizeof(struct layout)];
};

struct metrics {
    size_t count;
    struct metrics_shard *shards;
};

struct metrics *metrics_new(size_t shards)
{
    struct metrics *metrics = object_alloc(sizeof *metrics);
    metrics->count = shards;
    metrics->shards = aligned_alloc(METRICS_CACHE_LINE, shards * sizeof(struct metrics_shard));
    petrel_assert(metrics->shards != NULL || shards == 0);
    for (size_t i = 0; i < shards; i++) {
        for (size_t cell = 0; cell < sizeof(struct layout); cell++)
            atomic_init(&metrics->shards[i].cells[cell], 0);
    }
    return metrics;
}

void metrics_free(struct metrics **metrics)
{
    if (*metrics == NULL)
        return;
    free((*metrics)->shards);
    free(*metrics);
    *metrics = NULL;
}

struct metrics_shard *metrics_shard(struct metrics *metrics, size_t index)
{
    petrel_assert(index < metrics->count);
    return &metrics->shards[index];
}

/* One writer a shard: a load and a store, no locked instruction. */
static void add_to_cell(struct metrics_shard *shard, size_t cell, int64_t delta)
{
    int64_t value = atomic_load_explicit(&shard->cells[cell], memory_order_relaxed);
    atomic_store_explicit(&shard->cells[cell], value + delta, memory_order_relaxed);
}

void metrics_add(struct metrics_shard *shard, enum metric metric, int64_t delta)
{
    petrel_assert(metric < METRIC_COUNT && TABLE[metric].kind != HISTOGRAM);
    if (shard != NULL)
        add_to_cell(shard, TABLE[metric].cell, delta);
}

void metrics_set(struct metrics_shard *shard, enum metric metric, int64_t value)
{
    petrel_assert(metric < METRIC_COUNT && TABLE[metric].kind == GAUGE);
    if (shard != NULL)
        atomic_store_explicit(&shard->cells[TABLE[metric].cell], value, memory_order_relaxed);
}

void metrics_observe_us(struct metrics_shard *shard, enum metric metric, uint64_t us)
{
    petrel_assert(metric < METRIC_COUNT && TABLE[metric].kind == HISTOGRAM);
    if (shard == NULL)
        return;
    size_t bucket = 0;
    while (bucket < BOUNDS && us > BOUNDS_US[bucket])
        bucket++;
    add_to_cell(shard, TABLE[metric].cell + bucket, 1);
    add_to_cell(shard, TABLE[metric].cell + BOUNDS + 1, (int64_t)us);
}

static int64_t sum_cell(const struct metrics *metrics, size_t cell)
{
    int64_t sum = 0;
    for (size_t i = 0; i < metrics->count; i++)
        sum += atomic_load_explicit(&metrics->shards[i].cells[cell], memory_order_relaxed);
    return sum;
}

int64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
    petrel_assert(metric < METRIC_COUNT);
    size_t cell = TABLE[metric].cell;
    if (TABLE[metric].kind != HISTOGRAM)
        return sum_cell(metrics, cell);
    int64_t observations = 0;
    for (size_t bucket = 0; bucket <= BOUNDS; bucket++)
        observations += sum_cell(metrics, cell + bucket);
    return observations;
}

static void render_histogram(const struct metrics *metrics, size_t row, struct bytebuf *out)
{
    const char *name = TABLE[row].name;
    int64_t below = 0;
    for (size_t bucket = 0; bucket < BOUNDS; bucket++) {
        below += sum_cell(metrics, TABLE[row].cell + bucket);
        bytes_printf(out, "%s_bucket{le=\"%g\"} %" PRId64 "\n", name, (double)BOUNDS_US[bucket] / 1e6, below);
    }
    below += sum_cell(metrics, TABLE[row].cell + BOUNDS);
    int64_t us = sum_cell(metrics, TABLE[row].cell + BOUNDS + 1);
    bytes_printf(out, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", name, below);
    bytes_printf(out, "%s_sum %" PRId64 ".%06" PRId64 "\n", name, us / 1000000, us % 1000000);
    bytes_printf(out, "%s_count %" PRId64 "\n", name, below);
}

void metrics_render(const struct metrics *metrics, struct bytebuf *out)
{
    static const char *const KIND_NAMES[] = {"counter", "gauge", "histogram"};
    for (size_t row = 0; row < METRIC_COUNT; row++) {
        const char *name = TABLE[row].name;
        bytes_printf(out, "# HELP %s %s\n", name, TABLE[row].help);
        bytes_printf(out, "# TYPE %s %s\n", name, KIND_NAMES[TABLE[row].kind]);
        if (TABLE[row].kind == HISTOGRAM)
            render_histogram(metrics, row, out);
        else
            bytes_printf(out, "%s %" PRId64 "\n", name, sum_cell(metrics, TABLE[row].cell));
    }
}
