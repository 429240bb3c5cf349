#include "system/ledger/tally.h"

#include "base/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stretch(struct tally *tally, uint64_t now_ms)
{
    if (now_ms - tally->last_ms > tally->longest_ms)
        tally->longest_ms = now_ms - tally->last_ms;
    tally->last_ms = now_ms;
}

void tally_begin(struct tally *tally, uint64_t now_ms)
{
    tally->last_ms = now_ms;
}

void tally_accepted(struct tally *tally, uint64_t now_ms)
{
    tally->answered++;
    stretch(tally, now_ms);
}

void tally_refused(struct tally *tally, const char *reason)
{
    size_t i = 0;
    tally->refused++;
    while (i < TALLY_REASONS_MAX - 1 && tally->reasons[i].count > 0 &&
           strncmp(tally->reasons[i].text, reason, TALLY_REASON_LEN - 1) != 0)
        i++;
    if (tally->reasons[i].count++ == 0)
        snprintf(tally->reasons[i].text, TALLY_REASON_LEN, "%s", reason);
}

void tally_end(struct tally *tally, uint64_t now_ms)
{
    stretch(tally, now_ms);
}

void tally_failover(struct tally *tally, uint64_t took_ms)
{
    if (tally->failovers_count == tally->failovers_room) {
        tally->failovers_room = tally->failovers_room > 0 ? 2 * tally->failovers_room : 256;
        tally->failovers = object_realloc(tally->failovers, tally->failovers_room * sizeof *tally->failovers);
    }
    tally->failovers[tally->failovers_count++] = took_ms;
}

double tally_share(const struct tally *tally)
{
    uint64_t all = tally->answered + tally->refused;
    return all > 0 ? (double)tally->refused / (double)all : 0;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

uint64_t tally_percentile(struct tally *tally, unsigned percent)
{
    if (tally->failovers_count == 0)
        return 0;
    qsort(tally->failovers, tally->failovers_count, sizeof *tally->failovers, compare);
    size_t rank = (tally->failovers_count * percent + 99) / 100;
    return tally->failovers[rank > 0 ? rank - 1 : 0];
}

void tally_reset(struct tally *tally)
{
    free(tally->failovers);
    *tally = (struct tally){0};
}
