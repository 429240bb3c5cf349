/* topics_versions.h: which version each device's set of subscriptions has, in memory: what a check asks, for a million sessions in a few
 * minutes. Only sets that hold something are in it: 16 bytes each in a table that is at most three quarters full, and nothing for a
 * device without. A device is known by the hash of its names: of two with the same one, 1 in 10^19 pairs, one is checked in vain, and
 * finds its set as it was.
 *
 * Changes are kept or undone together, as the transaction ends in which they are written. One owner thread. */
#ifndef PETREL_STORE_TOPICS_VERSIONS_H
#define PETREL_STORE_TOPICS_VERSIONS_H

#include "wire/peer_inbox.h"

struct topics_version {
    uint64_t hash;
    uint64_t version; /* 0: nothing stands here */
};

struct topics_versions {
    struct topics_version *places;
    size_t size; /* a power of two; 0: none yet */
    size_t count;
    uint64_t seed;
    struct bytebuf changes; /* of the transaction: struct topics_version as they were */
};

void topics_versions_init(struct topics_versions *versions, uint64_t seed);
void topics_versions_reset(struct topics_versions *versions);

/* The device's names have their lengths' limits (asserted). */
uint64_t topics_versions_hash(const struct topics_versions *versions, const struct peer_target *device);
/* Its place is going to be looked at. */
static inline void topics_versions_warm(const struct topics_versions *versions, uint64_t hash)
{
    if (versions->size > 0)
        __builtin_prefetch(&versions->places[hash & (versions->size - 1)]);
}
/* 0: none. */
uint64_t topics_versions_get(const struct topics_versions *versions, uint64_t hash);
/* version 0: the set holds nothing. */
void topics_versions_set(struct topics_versions *versions, uint64_t hash, uint64_t version);
/* The transaction ended: what was set since the last one stays, or is as it was before. */
void topics_versions_keep(struct topics_versions *versions);
void topics_versions_undo(struct topics_versions *versions);

#endif
