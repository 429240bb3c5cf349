/* clock.h: time and chance are handed in, so that a simulation can own both.
 *
 * mono_ms: milliseconds that only grow, from an arbitrary start: for deadlines and intervals.
 * wall_ms: milliseconds since 1970-01-01 UTC: for expiry, token times and what people read; it may jump. */
#ifndef PETREL_BASE_CLOCK_H
#define PETREL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
    uint64_t (*mono_ms)(const struct clock *clock);
    uint64_t (*wall_ms)(const struct clock *clock);
};

/* The machine's clocks (CLOCK_MONOTONIC, CLOCK_REALTIME). Static storage, immutable; any thread. */
const struct clock *clock_system(void);

static inline uint64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ms(clock);
}

static inline uint64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock);
}

/* Microseconds that only grow (CLOCK_MONOTONIC), for how long something takes; no rule depends on them, so no clock is handed in. */
uint64_t clock_stopwatch_us(void);

/* A clock that moves only when told: embed it, hand out &manual.clock. For tests and simulation. */
struct clock_manual {
    struct clock clock;
    _Atomic(uint64_t) mono; /* any thread moves it, and reads it */
    _Atomic(uint64_t) wall;
};

void clock_manual_init(struct clock_manual *manual, uint64_t mono_ms, uint64_t wall_ms);
void clock_manual_advance(struct clock_manual *manual, uint64_t ms);

/* "2026-01-31T12:34:56.789Z" into out, which has room for CLOCK_TEXT_SIZE bytes with the final NUL. Returns out. */
#define CLOCK_TEXT_SIZE 32
char *clock_format(uint64_t wall_ms, char *out);

#endif
