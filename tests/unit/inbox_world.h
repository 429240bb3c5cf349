/* inbox_world.h: one inbox without a store, its clock, and a random life for it: sends, devices that come and go, acks, time that
 * passes, a store that is full for a while. What happens to it is what the journal's row says. */
#ifndef PETREL_TESTS_INBOX_WORLD_H
#define PETREL_TESTS_INBOX_WORLD_H

#include "base/rng.h"
#include "store/inbox.h"

#define INBOX_WORLD_T0 1800000000000ULL
#define INBOX_WORLD_DAY 86400000ULL
#define INBOX_WORLD_DEVICES 5

struct inbox_world {
    struct rng rng;
    struct store_limits limits; /* small ones */
    struct inbox live;
    struct inbox_txn txn; /* of all that happens; its row is below */
    struct bytebuf row;
    uint64_t starts[1];
    uint64_t messages; /* sent, each with an id of its own */
    char devices[INBOX_WORLD_DEVICES][16];
};

/* An inbox that does not exist yet. */
void inbox_world_open(struct inbox_world *world, uint64_t seed);
/* One with something of everything; the row has how it came to it. */
void inbox_world_open_rich(struct inbox_world *world);
void inbox_world_close(struct inbox_world *world);

/* Something happens, or nothing, and some time passes. */
void inbox_world_step(struct inbox_world *world);

/* Fail the test unless both make the same record, once what time has overtaken is dropped. */
void inbox_world_assert_same(struct inbox_world *world, struct inbox *other);

#endif
