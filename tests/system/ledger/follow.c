#include "system/ledger/follow.h"

#define AGAIN_MS 300

uint8_t follow_set(const struct petrel_state *state, bool *all)
{
    uint8_t set = 0;
    *all = false;
    for (uint32_t i = 0; i < state->topics_count; i++) {
        const int log = topics_find(state->topics[i].name);
        if (log >= 0 && log < (int)TOPICS_COUNT)
            set |= (uint8_t)(1U << log);
        *all = *all || log == (int)TOPICS_ALL;
    }
    return set;
}

void follow_restart(struct follow *follow)
{
    follow->asked = 0;
    follow->again_ms = 0;
}

void follow_seek(struct follow *follow, struct petrel_core *core, uint64_t now_ms)
{
    bool all;
    const uint8_t set = follow_set(petrel_core_state(core), &all);
    if (now_ms < follow->again_ms)
        return;
    follow->again_ms = 0;
    for (uint32_t i = 0; i < TOPICS_COUNT; i++) {
        const uint8_t bit = (uint8_t)(1U << i);
        if (((set ^ follow->wanted) & ~follow->asked & bit) != 0 &&
            petrel_core_topic(core, topics_name(i), (follow->wanted & bit) != 0) == 0)
            follow->asked |= bit;
    }
}

void follow_told(struct follow *follow, const char *topic, uint32_t code, uint64_t now_ms)
{
    const int log = topics_find(topic);
    if (log < 0 || log >= (int)TOPICS_COUNT)
        return;
    follow->asked &= (uint8_t) ~(1U << log);
    if (code != 0)
        follow->again_ms = now_ms + AGAIN_MS;
}

uint64_t follow_deadline(const struct follow *follow)
{
    return follow->again_ms != 0 ? follow->again_ms : UINT64_MAX;
}
