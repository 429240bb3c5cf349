/* rate_table.h: token buckets of many keys in memory that never grows, for one thread.
 *
 * A bucket that is full is as good as none: a key is in the table only for as long as its bucket takes to fill, which is at most burst ÷
 * per_second after it was last taken from. Keys whose time is over need no clearing up: the next ones take their places.
 *
 * place   where a key may stand: RATE_TABLE_WAYS of them, told by a hash that peers can't know. Where all are taken, the bucket that
 *         is nearest to being full gives way, and its key begins with a full one: who takes most is known for longest */
#ifndef PETREL_BASE_RATE_TABLE_H
#define PETREL_BASE_RATE_TABLE_H

#include "base/rate.h"

#define RATE_TABLE_WAYS 8U
#define RATE_TABLE_KEYS 4096U /* of 16 bytes each */

struct rate_table;

/* seed: random where peers choose keys. */
struct rate_table *rate_table_new(uint64_t seed);
/* NULL inside is fine. */
void rate_table_free(struct rate_table **table);
/* Take one for the key, as rate_meter_take() does. One limit for all keys of a table; a new one applies to what is taken from then on. */
uint64_t rate_table_take(struct rate_table *table, uint64_t key, const struct rate_limit *limit, uint64_t now_ms);

#endif
