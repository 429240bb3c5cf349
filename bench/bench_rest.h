/* bench_rest.h: whether a server is at rest, as far as its CPU time tells: it never is zero, as heartbeats go on, and it is never known
 * beforehand. So: it has stopped falling. */
#ifndef PETREL_BENCH_BENCH_REST_H
#define PETREL_BENCH_BENCH_REST_H

#include <stdbool.h>
#include <stdint.h>

/* The last so many windows are about as low as the lowest one. */
#define BENCH_REST_WINDOWS 3

/* All zero: nothing was seen. */
struct bench_rest {
    uint32_t windows;
    uint32_t calm; /* of them, since it said that it is busy */
    double least;  /* of a core */
    double cores[BENCH_REST_WINDOWS];
};

/* A window is over, in which the server took this share of a core; busy: it says itself that it is at something. Whether it is at rest. */
bool bench_rest_note(struct bench_rest *rest, double core, bool busy);

#endif
