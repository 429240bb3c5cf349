#include "base/clock.h"

#include "base/object.h"

#include <stdio.h>
#include <time.h>

#define CLOCK_FORMAT_MAX_MS 253402300799999ULL /* the last millisecond of the year 9999 */

static uint64_t read_ms(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);
    petrel_assert(rc == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t system_mono_ms(const struct clock *clock)
{
    (void)clock;
    return read_ms(CLOCK_MONOTONIC);
}

static uint64_t system_wall_ms(const struct clock *clock)
{
    (void)clock;
    return read_ms(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
    static const struct clock system = {system_mono_ms, system_wall_ms};
    return &system;
}

uint64_t clock_stopwatch_us(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    petrel_assert(rc == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t manual_mono_ms(const struct clock *clock)
{
    return container_of(clock, const struct clock_manual, clock)->mono;
}

static uint64_t manual_wall_ms(const struct clock *clock)
{
    return container_of(clock, const struct clock_manual, clock)->wall;
}

void clock_manual_init(struct clock_manual *manual, uint64_t mono_ms, uint64_t wall_ms)
{
    *manual = (struct clock_manual){.clock = {manual_mono_ms, manual_wall_ms}, .mono = mono_ms, .wall = wall_ms};
}

void clock_manual_advance(struct clock_manual *manual, uint64_t ms)
{
    manual->mono += ms;
    manual->wall += ms;
}

char *clock_format(uint64_t wall_ms, char *out)
{
    if (wall_ms > CLOCK_FORMAT_MAX_MS)
        wall_ms = CLOCK_FORMAT_MAX_MS;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    struct tm *filled = gmtime_r(&seconds, &tm);
    petrel_assert(filled != NULL);
    size_t len = strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + len, CLOCK_TEXT_SIZE - len, ".%03uZ", (unsigned)(wall_ms % 1000));
    return out;
}
