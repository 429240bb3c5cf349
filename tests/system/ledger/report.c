#include "system/ledger/report.h"

#include "system/ledger/fault.h"

#include <inttypes.h>
#include <stdio.h>

#define TELL_LOST 20

static void print_findings(const struct ledger *ledger, const struct book_sums *sums)
{
    for (size_t i = 0; i < TALLY_REASONS_MAX && ledger->tally.reasons[i].count > 0; i++)
        printf("503: %" PRIu64 " times %s\n", ledger->tally.reasons[i].count, ledger->tally.reasons[i].text);
    if (sums->lost > 0)
        book_print_lost(ledger->book, TELL_LOST);
    if (sums->strangers > 0)
        printf("%" PRIu64 " deliveries were of no message that this device should have\n", sums->strangers);
    const struct book_sums topics = book_sum_topics(ledger->book);
    if (topics.lost > 0)
        printf("%" PRIu64 " of the lost deliveries are of topics\n", topics.lost);
    if (sums->open > 0)
        printf("%" PRIu64 " messages got no definite answer\n", sums->open);
    if (sums->missing > sums->lost)
        printf("%" PRIu64 " deliveries were given up by the server, and told\n", sums->missing - sums->lost);
}

/* Whether a Redis that failed over may have lost what its replica had not (PROMISE §5). */
static bool may_lose(const struct ledger *ledger, const uint32_t *counts)
{
    for (uint32_t i = 0; i < FAULT_COUNT && !ledger->options.replicated; i++) {
        if (counts[i] > 0 && fault_table[i].fails_over)
            return true;
    }
    return false;
}

static void print_cluster(struct ledger *ledger, const uint32_t *counts)
{
    const char *comma = "";
    struct tally *tally = &ledger->tally;
    printf(",\"faults\":{");
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if (counts[i] == 0)
            continue;
        printf("%s\"%s\":%" PRIu32, comma, fault_table[i].name, counts[i]);
        comma = ",";
    }
    printf("},\"retries\":%" PRIu64, ledger->retries);
    printf(",\"durability\":\"%s\",\"refused_503\":%" PRIu64 ",\"refused_share\":%.5f,\"refused_longest_s\":%.1f",
           ledger->options.replicated ? "replicated" : "standard", tally->refused, tally_share(tally),
           (double)tally->longest_ms / 1000.0);
    printf(",\"failover_devices\":%zu,\"failover_p50_ms\":%" PRIu64 ",\"failover_p99_ms\":%" PRIu64,
           tally->failovers_count, tally_percentile(tally, 50), tally_percentile(tally, 99));
    if (ledger->options.tls)
        printf(",\"handshakes_full\":%" PRIu64 ",\"handshakes_resumed\":%" PRIu64, ledger->shaken_full,
               ledger->shaken_resumed);
}

static void print_topics(const struct ledger *ledger)
{
    const struct book_sums sums = book_sum_topics(ledger->book);
    printf(",\"topics\":{\"accepted\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"lost\":%" PRIu64
           ",\"out_of_order\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"gaps\":%" PRIu64
           ",\"turns\":%" PRIu32 "}",
           sums.accepted, sums.delivered, sums.lost, sums.out_of_order, sums.duplicates, sums.refused, sums.gaps,
           ledger->turns);
}

static bool is_kept(const struct ledger *ledger, const struct book_sums *sums, const uint32_t *counts)
{
    uint32_t happened = 0;
    for (uint32_t i = 0; i < FAULT_COUNT; i++)
        happened += counts[i];
    /* Who fails over resumes at a node that has never seen it. */
    const bool resumes = !ledger->options.cluster || !ledger->options.tls || ledger->shaken_resumed > 0;
    return resumes && sums->accepted > 0 && (sums->lost == 0 || may_lose(ledger, counts)) && sums->out_of_order == 0 &&
           ledger->turns == ledger->options.turns && sums->duplicates == 0 && sums->refused == 0 &&
           sums->strangers == 0 && ledger->stopped == 0 &&
           (ledger->options.cluster ? happened > 0 : ledger->kills == ledger->options.kills);
}

bool report_judge(const struct ledger *ledger, const uint32_t *counts)
{
    struct book_sums sums = book_sum(ledger->book);
    print_findings(ledger, &sums);
    return is_kept(ledger, &sums, counts);
}

void report_print(struct ledger *ledger, const uint32_t *counts)
{
    struct book_sums sums = book_sum(ledger->book);
    printf("{\"accepted\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"out_of_order\":%" PRIu64
           ",\"duplicates\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"gaps\":%" PRIu64,
           sums.accepted, sums.delivered, sums.lost, sums.out_of_order, sums.duplicates, sums.refused, sums.gaps);
    if (ledger->options.topics)
        print_topics(ledger);
    if (ledger->options.cluster)
        print_cluster(ledger, counts);
    else
        printf(",\"kills\":%" PRIu32, ledger->kills);
    printf(",\"seconds\":%" PRIu32 ",\"seed\":%" PRIu64 "}\n", ledger->options.seconds, ledger->options.seed);
}
