/* tally.h: what a run counts beside the book: refusals, how long nobody was served, how soon devices were back. */
#ifndef PETREL_LEDGER_TALLY_H
#define PETREL_LEDGER_TALLY_H

#include <stddef.h>
#include <stdint.h>

#define TALLY_REASONS_MAX 8
#define TALLY_REASON_LEN 120

struct tally_reason {
    char text[TALLY_REASON_LEN];
    uint64_t count;
};

struct tally {
    uint64_t answered; /* sends accepted */
    uint64_t refused;  /* answered 503 */
    struct tally_reason
        reasons[TALLY_REASONS_MAX]; /* of those, the first of different ones; the last has all others, too */
    uint64_t last_ms;               /* when a send was accepted last, or the load began */
    uint64_t longest_ms;
    uint64_t *failovers; /* of each device: from its node's death to CONNECTED on another */
    size_t failovers_count, failovers_room;
};

void tally_begin(struct tally *tally, uint64_t now_ms);
void tally_accepted(struct tally *tally, uint64_t now_ms);
/* reason: the answer's status and message, for instance. */
void tally_refused(struct tally *tally, const char *reason);
/* No send is under way any more, or none will be answered. */
void tally_end(struct tally *tally, uint64_t now_ms);
void tally_failover(struct tally *tally, uint64_t took_ms);
/* 503s among the definite answers, 0 to 1. */
double tally_share(const struct tally *tally);
/* The value that so many of a hundred failovers are not above; 0: there were none. */
uint64_t tally_percentile(struct tally *tally, unsigned percent);
void tally_reset(struct tally *tally);

#endif
