/* follow.h: a device's way to the topics that it is to follow, when it subscribes by itself: it asks on every connection until it has
 * been told so. No sockets. */
#ifndef PETREL_LEDGER_FOLLOW_H
#define PETREL_LEDGER_FOLLOW_H

#include "petrel/core.h"
#include "system/ledger/topics.h"

struct follow {
    uint8_t wanted;    /* a set */
    uint8_t asked;     /* on this connection, and not answered */
    uint64_t again_ms; /* what was refused is asked again; 0: nothing was */
};

/* The topics that the state has a position in, and whether `all` is one. */
uint8_t follow_set(const struct petrel_state *state, bool *all);
/* There is a new connection, or none. */
void follow_restart(struct follow *follow);
/* Ask for what is missing, if the session is up. */
void follow_seek(struct follow *follow, struct petrel_core *core, uint64_t now_ms);
/* What on_topic() says. */
void follow_told(struct follow *follow, const char *topic, uint32_t code, uint64_t now_ms);
/* When to seek again; UINT64_MAX: not before something comes. */
uint64_t follow_deadline(const struct follow *follow);

#endif
