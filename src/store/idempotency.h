/* idempotency.h: the idempotency keys that the journal holds and the table does not yet, in memory. Sans-I/O. */
#ifndef PETREL_STORE_IDEMPOTENCY_H
#define PETREL_STORE_IDEMPOTENCY_H

#include "base/list.h"
#include "base/map.h"
#include "store/journal.h"

struct idempotency {
    struct map map;
    struct list order; /* by journal row */
};

void idempotency_init(struct idempotency *keys, uint64_t seed);
void idempotency_reset(struct idempotency *keys);

/* NULL when it is not here. */
const struct journal_key *idempotency_find(const struct idempotency *keys, const uint8_t digest[16]);
/* Take the key in, in the place of an earlier one. row: the journal row it stands in, never less than one before. */
void idempotency_put(struct idempotency *keys, const struct journal_key *key, uint64_t row);
/* Forget the keys of this row, the last one: its commit failed. */
void idempotency_undo(struct idempotency *keys, uint64_t row);

/* Walk in order: the first key after *place (start with NULL) of a row up to `row`, NULL at the end. */
struct idempotency_entry;
const struct journal_key *idempotency_next(const struct idempotency *keys, const struct idempotency_entry **place,
                                           uint64_t row);
/* Forget all up to and with this place: the table has them. */
void idempotency_drop(struct idempotency *keys, const struct idempotency_entry *place);

#endif
