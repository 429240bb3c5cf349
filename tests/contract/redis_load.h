/* redis_load.h: steady load on a Redis client while a test hurts the servers.
 *
 * Every request writes one name once, by the rig's script `once`. What was told is remembered, so that afterwards what the servers
 * have can be held against it: a name that was answered is there, one that was refused is not. */
#ifndef PETREL_TESTS_CONTRACT_REDIS_LOAD_H
#define PETREL_TESTS_CONTRACT_REDIS_LOAD_H

#include "contract/redis_rig.h"

#define REDIS_LOAD_WIDTH 64    /* requests under way */
#define REDIS_LOAD_NAMES 50000 /* then they come round again */

struct redis_load {
    struct redis_rig *rig;
    bool replicated;
    bool repeat;   /* what is UNAVAILABLE or TIMEOUT is asked again under the same name until it is answered */
    unsigned keys; /* "{b<i>}load", i below this */
    int only_key;  /* only this i; -1: all */
    struct redis_rig_call calls[REDIS_LOAD_WIDTH];
    uint32_t names[REDIS_LOAD_WIDTH]; /* under way in each */
    uint64_t asked;
    uint64_t others;                  /* ended with another status than 0 for good */
    uint8_t status[REDIS_LOAD_NAMES]; /* -status of each name; 255: not told */
    bool stopping;                    /* the loop's */
    struct loops_tally answered;      /* requests with status 0 */
    struct loops_tally stopped;       /* calls that have ended */
};

/* On the heap, zeroed, with defaults. */
struct redis_load *redis_load_new(struct redis_rig *rig);
void redis_load_free(struct redis_load *load);

void redis_load_start(struct redis_load *load);
/* Wait for so many more answers of status 0. */
bool redis_load_wait(struct redis_load *load, uint64_t more);
/* Ask nothing new and wait for what is under way. */
bool redis_load_stop(struct redis_load *load);

/* Ask which of the told names are there, through the client. */
struct redis_load_audit {
    uint32_t answered;
    uint32_t lost;    /* answered, not there */
    uint32_t refused; /* BUSY or FULL */
    uint32_t acted;   /* refused, but there */
    uint32_t unknown; /* UNAVAILABLE or TIMEOUT */
};
struct redis_load_audit redis_load_look(struct redis_load *load);

#endif
