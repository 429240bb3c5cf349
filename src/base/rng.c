#include "base/rng.h"

#include "base/object.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

static uint64_t rotate_left(uint64_t value, unsigned count)
{
    return value << count | value >> (64 - count);
}

/* splitmix64: spreads one number over the state, which must not be all zero. */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        rng->state[i] = split_mix(&seed);
}

void rng_seed_system(struct rng *rng)
{
    uint64_t seed;
    do {
        rng_secret(rng->state, sizeof rng->state);
        seed = rng->state[0] | rng->state[1] | rng->state[2] | rng->state[3];
    } while (seed == 0);
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    petrel_assert(bound >= 1);
    /* The lowest 2^64 mod bound numbers would make small results more likely. */
    uint64_t skip = (UINT64_MAX - bound + 1) % bound;
    uint64_t value;
    do {
        value = rng_u64(rng);
    } while (value < skip);
    return value % bound;
}

void rng_secret(void *out, size_t len)
{
    char *place = out;
    while (len > 0) {
        ssize_t got = getrandom(place, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        petrel_assert(got > 0);
        place += got;
        len -= (size_t)got;
    }
}
