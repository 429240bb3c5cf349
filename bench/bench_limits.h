/* bench_limits.h: what the kernel allows: so many sessions need descriptors, ports, memory. */
#ifndef PETREL_BENCH_BENCH_LIMITS_H
#define PETREL_BENCH_BENCH_LIMITS_H

#include "bench.h"

/* Raise the limit of descriptors as far as it goes, for this process and what it starts, and see whether the rest suffices for the
 * sessions that the options ask for. Dies with all that is short, and what to set; says what may become short. */
void bench_limits_prepare(struct bench *bench);

#endif
