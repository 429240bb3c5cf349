#include "base/rate.h"

#include "base/object.h"

#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)

/* The bucket is kept as the moment at which it will be full again (the generic cell rate algorithm): each take moves it on by what one
 * costs, and it may not be further ahead than a whole bucket takes to fill. */
struct rate_meter {
    atomic_uint refs;
    _Atomic uint64_t full_ns;
    _Atomic uint64_t refused;
};

struct rate_meter *rate_meter_new(void)
{
    struct rate_meter *meter = object_zalloc(sizeof *meter);
    atomic_init(&meter->refs, 1);
    return meter;
}

struct rate_meter *rate_meter_ref(struct rate_meter *meter)
{
    atomic_fetch_add_explicit(&meter->refs, 1, memory_order_relaxed);
    return meter;
}

void rate_meter_unref(struct rate_meter *meter)
{
    if (meter != NULL && atomic_fetch_sub_explicit(&meter->refs, 1, memory_order_acq_rel) == 1)
        free(meter);
}

static uint64_t cost_ns(const struct rate_limit *limit)
{
    petrel_assert(limit->per_second <= RATE_PER_SECOND_MAX && limit->burst > 0);
    return SECOND_NS / limit->per_second;
}

uint64_t rate_meter_take(struct rate_meter *meter, const struct rate_limit *limit, uint64_t now_ms)
{
    if (limit->per_second == 0)
        return 0;
    const uint64_t one = cost_ns(limit), now_ns = now_ms * MS_NS;
    const uint64_t most_ns = now_ns + one * limit->burst;
    uint64_t full_ns = atomic_load_explicit(&meter->full_ns, memory_order_relaxed);
    uint64_t next_ns;
    do {
        next_ns = (full_ns > now_ns ? full_ns : now_ns) + one;
        if (next_ns > most_ns) {
            atomic_fetch_add_explicit(&meter->refused, 1, memory_order_relaxed);
            return (next_ns - most_ns + MS_NS - 1) / MS_NS;
        }
    } while (!atomic_compare_exchange_weak_explicit(&meter->full_ns, &full_ns, next_ns, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 0;
}

void rate_meter_give(struct rate_meter *meter, const struct rate_limit *limit)
{
    if (limit->per_second != 0)
        atomic_fetch_sub_explicit(&meter->full_ns, cost_ns(limit), memory_order_relaxed);
}

uint32_t rate_meter_left(const struct rate_meter *meter, const struct rate_limit *limit, uint64_t now_ms)
{
    if (limit->per_second == 0)
        return 0;
    const uint64_t one = cost_ns(limit), now_ns = now_ms * MS_NS;
    const uint64_t full_ns = atomic_load_explicit(&meter->full_ns, memory_order_relaxed);
    const uint64_t used = full_ns > now_ns ? (full_ns - now_ns + one - 1) / one : 0;
    return used < limit->burst ? limit->burst - (uint32_t)used : 0;
}

uint64_t rate_meter_refused(const struct rate_meter *meter)
{
    return atomic_load_explicit(&meter->refused, memory_order_relaxed);
}
