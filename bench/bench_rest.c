#include "bench_rest.h"

/* What a window may be above the lowest one: what heartbeats vary by, and what /proc's ticks of 10 ms do. */
#define NEAR_SHARE 0.15
#define NEAR_CORE 0.02

bool bench_rest_note(struct bench_rest *rest, double core, bool busy)
{
    if (rest->windows == 0 || core < rest->least)
        rest->least = core;
    rest->cores[rest->windows++ % BENCH_REST_WINDOWS] = core;
    rest->calm = busy ? 0 : rest->calm + 1;
    if (rest->calm < BENCH_REST_WINDOWS)
        return false;
    for (int i = 0; i < BENCH_REST_WINDOWS; i++)
        if (rest->cores[i] > rest->least * (1 + NEAR_SHARE) + NEAR_CORE)
            return false;
    return true;
}
