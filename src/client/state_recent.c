#include "client/state_recent.h"

#include <string.h>

bool state_recent_has(const struct petrel_state *state, const uint8_t id[16])
{
    /* From the newest: what is sent again was mostly sent a moment ago. */
    for (uint32_t i = state->recent_count; i > 0; i--) {
        if (memcmp(state->recent[i - 1], id, sizeof state->recent[0]) == 0)
            return true;
    }
    return false;
}

void state_recent_add(struct petrel_state *state, const uint8_t id[16])
{
    if (state->recent_count == PETREL_RECENT_IDS) {
        state->recent_count--;
        memmove(state->recent[0], state->recent[1], state->recent_count * sizeof state->recent[0]);
    }
    memcpy(state->recent[state->recent_count++], id, sizeof state->recent[0]);
}
