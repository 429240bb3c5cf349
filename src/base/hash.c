#include "base/hash.h"

#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t on the stack */
#include <xxhash.h>

uint64_t hash_bytes(struct bytes in, uint64_t seed)
{
    return XXH3_64bits_withSeed(in.ptr, in.len, seed);
}

void hash_bytes128(struct bytes in, uint8_t out[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(in.ptr, in.len));
    memcpy(out, canonical.digest, sizeof canonical.digest);
}

uint32_t hash_bucket(struct bytes app, struct bytes user)
{
    XXH3_state_t state;
    (void)XXH3_64bits_reset(&state);
    (void)XXH3_64bits_update(&state, app.ptr, app.len);
    (void)XXH3_64bits_update(&state, "", 1);
    (void)XXH3_64bits_update(&state, user.ptr, user.len);
    return (uint32_t)(XXH3_64bits_digest(&state) % HASH_BUCKETS);
}
