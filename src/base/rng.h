/* rng.h: random numbers of an owner's own: seeded from the kernel in service, from a number in tests.
 *
 * Not for secrets: those come from rng_secret(). One owner thread. */
#ifndef PETREL_BASE_RNG_H
#define PETREL_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4]; /* xoshiro256** */
};

void rng_seed(struct rng *rng, uint64_t seed);
/* Seeded by getrandom(2). */
void rng_seed_system(struct rng *rng);

uint64_t rng_u64(struct rng *rng);
/* Uniform in [0, bound); bound >= 1. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* len bytes fit for keys and secrets, from getrandom(2). Any thread; aborts if the kernel refuses. */
void rng_secret(void *out, size_t len);

#endif
