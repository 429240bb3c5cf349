#include "system/ledger/topics.h"

#include "base/object.h"

#include <string.h>

#define BIT(topic) (uint8_t)(1U << (topic))
#define SETS BIT(TOPICS_COUNT)
#define TERMS_MAX 2

static const char *const names[TOPICS_LOGS] = {"t0", "t1", "t2", "t3", "t4", "t5", "all", ""};

struct term {
    uint8_t with;
    uint8_t without;
};

struct target {
    const char *to;
    uint8_t logs; /* that the server may choose for parts of it; bit TOPICS_ALL is `all`, which every device follows */
    uint32_t terms_count;
    struct term terms[TERMS_MAX]; /* any of which is met */
};

#define ONE(topic)                                                                                                     \
    {                                                                                                                  \
        "{\"topic\":\"t" #topic "\"}", BIT(topic), 1,                                                                  \
        {                                                                                                              \
            {                                                                                                          \
                BIT(topic), 0                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    }

/* The first ones are the logs. Among the conditions are some of which two parts go into one log. */
static const struct target targets[] = {
    ONE(0),
    ONE(1),
    ONE(2),
    ONE(3),
    ONE(4),
    ONE(5),
    {"{\"topic\":\"all\"}", BIT(TOPICS_ALL), 1, {{0, 0}}},
    {"{\"condition\":\"'t0' in topics && !('t1' in topics)\"}", BIT(0), 1, {{BIT(0), BIT(1)}}},
    {"{\"condition\":\"'t2' in topics || 't3' in topics\"}", BIT(2) | BIT(3), 2, {{BIT(2), 0}, {BIT(3), 0}}},
    {"{\"condition\":\"!('t4' in topics)\"}", BIT(TOPICS_ALL), 1, {{0, BIT(4)}}},
    {"{\"condition\":\"!('t0' in topics && 't5' in topics)\"}",
     BIT(0) | BIT(5) | BIT(TOPICS_ALL),
     2,
     {{0, BIT(0)}, {0, BIT(5)}}},
    {"{\"condition\":\"'t1' in topics && ('t2' in topics || !('t5' in topics))\"}",
     BIT(1) | BIT(2),
     2,
     {{BIT(1) | BIT(2), 0}, {BIT(1), BIT(5)}}},
};

#define TARGETS (sizeof targets / sizeof targets[0])
#define CONDITIONS (TARGETS - TOPICS_COUNT - 1)

const char *topics_name(uint32_t log)
{
    petrel_assert(log < TOPICS_LOGS);
    return names[log];
}

int topics_find(const char *name)
{
    for (uint32_t i = 0; i < TOPICS_LOGS; i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

uint32_t topics_draw(struct rng *rng)
{
    const uint64_t kind = rng_below(rng, 20);
    if (kind < 10)
        return (uint32_t)rng_below(rng, TOPICS_COUNT);
    return kind < 13 ? TOPICS_ALL : TOPICS_ALL + 1 + (uint32_t)rng_below(rng, CONDITIONS);
}

const char *topics_to(uint32_t target)
{
    return targets[target].to;
}

bool topics_meets(uint32_t target, uint8_t set)
{
    const struct target *of = &targets[target];
    bool met = false;
    for (uint32_t i = 0; i < of->terms_count; i++)
        met = met || ((set & of->terms[i].with) == of->terms[i].with && (set & of->terms[i].without) == 0);
    return met;
}

bool topics_comes_by(uint32_t target, uint8_t set, uint32_t log)
{
    return log <= TOPICS_ALL && (targets[target].logs & (set | BIT(TOPICS_ALL)) & BIT(log)) != 0;
}

uint8_t topics_first_set(struct rng *rng)
{
    return rng_below(rng, 2) == 0 ? 0 : (uint8_t)rng_below(rng, SETS);
}

uint8_t topics_next_set(struct rng *rng, uint8_t set)
{
    return rng_below(rng, 3) > 0 ? set : (uint8_t)(set ^ rng_below(rng, SETS));
}
