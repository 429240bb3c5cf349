/* id.h: message ids are UUIDs (RFC 9562): version 7 when made, version 8 when derived from an idempotency key. */
#ifndef PETREL_BASE_ID_H
#define PETREL_BASE_ID_H

#include "base/bytes.h"
#include "base/rng.h"

struct id {
    uint8_t bytes[16];
};

#define ID_TEXT_LEN 36

/* Version 7: wall_ms in the first 48 bits, 74 bits from rng. */
struct id id_new(struct rng *rng, uint64_t wall_ms);
/* Version 8: 122 bits of a 128-bit XXH3 (fixed seed) over (scope, key), each with its length: the same on every node. */
struct id id_derive(struct bytes scope, struct bytes key);
/* The id's 64-bit hash as kept in user records (fixed seed; the same on every node). */
uint64_t id_hash(const struct id *id);

/* Lower-case text of ID_TEXT_LEN characters and a NUL into out. Returns out. */
char *id_format(const struct id *id, char out[ID_TEXT_LEN + 1]);
/* 0, or PETREL_E_INVALID unless text is exactly a UUID in the 8-4-4-4-12 form, either case. */
int id_parse(struct bytes text, struct id *id);

#endif
