/* topics_load.h: appends to one topic on Redis, so many at a time, each followed by the next. */
#ifndef PETREL_TESTS_CONTRACT_TOPICS_LOAD_H
#define PETREL_TESTS_CONTRACT_TOPICS_LOAD_H

#include "contract/topics_rig_redis.h"

#define TOPICS_LOAD_INFLIGHT 64

struct topics_load;

struct topics_load_slot {
    struct topics_request request;
    struct topics_load *load;
    char text[128];
};

/* Zero-initialise. */
struct topics_load {
    struct topics_rig *rig;
    enum peer_durability durability;
    uint64_t most; /* begin no more than so many */
    _Atomic bool stop;
    uint64_t begun;
    uint64_t appended;
    uint64_t failed;
    uint64_t first; /* seqs of those appended */
    uint64_t last;
    uint32_t running;
    struct loops_tally done; /* appended ones */
    struct loops_tally ended;
    struct topics_load_slot slots[TOPICS_LOAD_INFLIGHT];
};

/* Topics whose log holds whatever a load appends. */
void topics_load_open_wide(struct topics_rig *rig, const void *subject);
/* Begin on the first loop. */
void topics_load_start(struct topics_load *load, struct topics_rig *rig, uint64_t most);
/* Whether so many more are appended, in the time that a tally waits. */
bool topics_load_wait(struct topics_load *load, uint64_t more);
/* Wait until all that were to be begun are answered. */
void topics_load_join(struct topics_load *load);
/* Begin no more, and wait for those under way. */
void topics_load_stop(struct topics_load *load);
/* Entries of the log, each a text of its own. */
uint64_t topics_load_count(struct topics_rig *rig);

#endif
