#include "lib/until.h"

#include <poll.h>
#include <stddef.h>
#include <time.h>

#define STEP_MS 5

uint64_t until_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool until(bool (*condition)(void *ctx), void *ctx, unsigned timeout_ms)
{
    uint64_t deadline = until_now_ms() + timeout_ms;
    for (;;) {
        if (condition(ctx))
            return true;
        if (until_now_ms() >= deadline)
            return false;
        poll(NULL, 0, STEP_MS);
    }
}
