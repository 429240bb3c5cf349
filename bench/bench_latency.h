/* bench_latency.h: a histogram of microseconds, 1/16 octave wide. All zero is an empty one; one writer. */
#ifndef PETREL_BENCH_BENCH_LATENCY_H
#define PETREL_BENCH_BENCH_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_LATENCY_SLOTS 512

struct bench_latency {
    uint64_t count;
    uint64_t max_us;
    uint64_t slots[BENCH_LATENCY_SLOTS];
};

void bench_latency_add(struct bench_latency *latency, uint64_t us);
void bench_latency_merge(struct bench_latency *into, const struct bench_latency *from);
/* What came after it had been `before`; its greatest value is an upper bound, as the others are. */
struct bench_latency bench_latency_since(const struct bench_latency *latency, const struct bench_latency *before);
/* share: 0.5 for the median. An upper bound, at most 4.5% above. */
uint64_t bench_latency_at(const struct bench_latency *latency, double share);

#endif
