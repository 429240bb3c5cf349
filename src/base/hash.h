/* hash.h: the hashes that nodes and stores must agree on (fixed seed 0), on xxHash. Maps keyed by peers seed theirs. */
#ifndef PETREL_BASE_HASH_H
#define PETREL_BASE_HASH_H

#include "base/bytes.h"

#define HASH_BUCKETS 4096 /* fixed slices of users; Redis hash tags are {b0} .. {b4095} */
#define HASH_CELLS 256    /* cell = bucket mod 256 */

/* XXH3 64-bit with the given seed. */
uint64_t hash_bytes(struct bytes in, uint64_t seed);

/* XXH3 128-bit, seed 0, as 16 bytes in canonical (big endian) order. */
void hash_bytes128(struct bytes in, uint8_t out[16]);

/* The bucket, 0 .. HASH_BUCKETS-1, of a user: XXH3-64 over the app, a zero byte and the user, modulo HASH_BUCKETS. */
uint32_t hash_bucket(struct bytes app, struct bytes user);

#endif
