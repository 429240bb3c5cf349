/* redis_rig.h: a Redis client on a loop of its own, and a test's thread that asks it and waits. */
#ifndef PETREL_TESTS_CONTRACT_REDIS_RIG_H
#define PETREL_TESTS_CONTRACT_REDIS_RIG_H

#include "contract/loops.h"
#include "driver/redis.h"

#define REDIS_RIG_TEXT 256

struct redis_rig {
    struct loops loops;
    struct redis *redis;
    struct metrics *metrics;
    struct loops_tally changes; /* calls of redis_watch()'s callback */
    struct loops_tally losses;  /* those that may mean a loss */
    /* Writes ARGV[1] into the hash KEYS[1] once, however often it is called, and returns it. */
    const struct redis_script *once;
    /* Returns KEYS[1] and ARGV, as they are. */
    const struct redis_script *echo;
    /* Whatever a test adds with redis_rig_script(). */
    const struct redis_script *extra;
};

/* A request, what it says, and what came of it. */
struct redis_rig_call {
    struct redis_request request;
    struct redis_rig *rig;
    int accepted; /* what redis_ask() returned */
    int status;
    enum redis_type type;
    int64_t integer;
    char text[REDIS_RIG_TEXT]; /* items of an array are joined by spaces */
    unsigned calls;            /* of done */
    char key[64];
    char args[4][64];
    struct loops_tally *done; /* counted up at the end */
    void *ctx;                /* a test's own */
};

void redis_rig_config(struct redis_config *config, uint16_t port, bool cluster);
void redis_rig_open(struct redis_rig *rig, const struct redis_config *config);
/* Close the client unless that was done; stop, free. */
void redis_rig_close(struct redis_rig *rig);
/* redis_close() and wait for its end. */
void redis_rig_close_client(struct redis_rig *rig);
void redis_rig_script(struct redis_rig *rig, const char *text);
/* The same with a function `run` of a library of this text. */
void redis_rig_library(struct redis_rig *rig, const char *text);

/* A call of a script, or of a command with its words apart by spaces (script NULL), the key in the middle of them as the format has it. */
void redis_rig_make(struct redis_rig *rig, struct redis_rig_call *call, const struct redis_script *script,
                    const char *key, const char *arg);
void redis_rig_command(struct redis_rig *rig, struct redis_rig_call *call, const char *word, const char *key,
                       const char *arg);
/* Ask them all in one turn; redis_rig_wait() waits until all have been told. */
void redis_rig_ask(struct redis_rig *rig, struct redis_rig_call *calls, size_t count, struct loops_tally *done);
/* The same and wait. Returns the first one's status. */
int redis_rig_run(struct redis_rig *rig, struct redis_rig_call *calls, size_t count);
/* redis_rig_run() of one script call. */
int redis_rig_one(struct redis_rig *rig, struct redis_rig_call *call, const struct redis_script *script,
                  const char *key, const char *arg);

#endif
