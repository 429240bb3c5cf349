/* state_recent.h: the ids in a petrel_state, against duplicates. Private to this room. */
#ifndef PETREL_CLIENT_STATE_RECENT_H
#define PETREL_CLIENT_STATE_RECENT_H

#include "petrel/core.h"

bool state_recent_has(const struct petrel_state *state, const uint8_t id[16]);
/* Add an id; the oldest makes room when all PETREL_RECENT_IDS are taken. */
void state_recent_add(struct petrel_state *state, const uint8_t id[16]);

#endif
