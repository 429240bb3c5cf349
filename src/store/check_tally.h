/* check_tally.h: what the entries of a CHECK came to, where each is asked by itself and answers come in any order. Private to this room. */
#ifndef PETREL_STORE_CHECK_TALLY_H
#define PETREL_STORE_CHECK_TALLY_H

#include "wire/peer.h"

#include <stdbool.h>

struct check_tally {
    uint32_t count;
    uint32_t waiting; /* entries without an outcome, and who asks them */
    uint32_t unknown;
    int status; /* why the last of those that are unknown is */
    uint8_t verdicts[PEER_CHECKS_MAX];
};

/* Each entry is noted once, and the tally is released once, by who asks: it is over after the last of these, which is told true. */
void check_tally_begin(struct check_tally *tally, uint32_t count);
/* What an entry came to: status 0 with a verdict, or why there is none. */
bool check_tally_note(struct check_tally *tally, uint32_t entry, int status, enum peer_verdict verdict);
bool check_tally_release(struct check_tally *tally);
/* It is over: 0 and the verdicts by the order of the entries, to be freed with free(); or why no entry has one. */
int check_tally_result(const struct check_tally *tally, struct peer_checked **out);

#endif
