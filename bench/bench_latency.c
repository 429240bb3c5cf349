#include "bench_latency.h"

#include <math.h>

static size_t slot_of(uint64_t us)
{
    double slot = us < 1 ? 0 : log2((double)us) * 16;
    return slot < BENCH_LATENCY_SLOTS - 1 ? (size_t)slot : BENCH_LATENCY_SLOTS - 1;
}

void bench_latency_add(struct bench_latency *latency, uint64_t us)
{
    latency->count++;
    latency->slots[slot_of(us)]++;
    if (us > latency->max_us)
        latency->max_us = us;
}

void bench_latency_merge(struct bench_latency *into, const struct bench_latency *from)
{
    into->count += from->count;
    into->max_us = into->max_us > from->max_us ? into->max_us : from->max_us;
    for (size_t i = 0; i < BENCH_LATENCY_SLOTS; i++)
        into->slots[i] += from->slots[i];
}

static uint64_t bound_of(size_t slot)
{
    return (uint64_t)exp2((double)(slot + 1) / 16);
}

struct bench_latency bench_latency_since(const struct bench_latency *latency, const struct bench_latency *before)
{
    struct bench_latency since = {.count = latency->count - before->count};
    for (size_t i = 0; i < BENCH_LATENCY_SLOTS; i++) {
        since.slots[i] = latency->slots[i] - before->slots[i];
        if (since.slots[i] > 0)
            since.max_us = bound_of(i);
    }
    since.max_us = since.max_us < latency->max_us ? since.max_us : latency->max_us;
    return since;
}

uint64_t bench_latency_at(const struct bench_latency *latency, double share)
{
    uint64_t wanted = (uint64_t)ceil((double)latency->count * share);
    uint64_t seen = 0;
    for (size_t i = 0; i < BENCH_LATENCY_SLOTS; i++) {
        seen += latency->slots[i];
        if (seen >= wanted && seen > 0) {
            uint64_t bound = bound_of(i);
            return bound < latency->max_us ? bound : latency->max_us;
        }
    }
    return latency->max_us;
}
