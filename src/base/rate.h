/* rate.h: how often something may happen: a token bucket that threads share, in one atomic number.
 *
 * meter   what was used of a limit, and how often more was asked for. The limit itself comes with each question, so that it may change
 * burst   what may come at once after a rest */
#ifndef PETREL_BASE_RATE_H
#define PETREL_BASE_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RATE_PER_SECOND_MAX 1000000000U

struct rate_limit {
    uint32_t per_second; /* 0: no limit */
    uint32_t burst;      /* 1 or more */
};

struct rate_meter;

/* Full, with one reference. Any thread may use it. */
struct rate_meter *rate_meter_new(void);
struct rate_meter *rate_meter_ref(struct rate_meter *meter);
/* NULL is fine. */
void rate_meter_unref(struct rate_meter *meter);

/* Take one. now_ms: of a monotonic clock; a caller whose clock is a little behind the others' does no harm. 0; or how many ms until
 * there is one again, at least 1, and the refusal is counted. */
uint64_t rate_meter_take(struct rate_meter *meter, const struct rate_limit *limit, uint64_t now_ms);
/* Give back one that was taken for nothing. */
void rate_meter_give(struct rate_meter *meter, const struct rate_limit *limit);
/* How many could be taken now; without a limit 0. */
uint32_t rate_meter_left(const struct rate_meter *meter, const struct rate_limit *limit, uint64_t now_ms);
/* How many were refused since it was made. */
uint64_t rate_meter_refused(const struct rate_meter *meter);

#endif
