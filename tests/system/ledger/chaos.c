#include "system/ledger/chaos.h"

#include "base/object.h"
#include "lib/until.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WARM_MS 4000 /* before the first */
#define REST_MS 6000 /* after each */

static void go_on(struct chaos *chaos);

static void fail(struct chaos *chaos, const char *what)
{
    char text[200];
    snprintf(text, sizeof text, "%s: %s", chaos->fault->name, what);
    ledger_fail(chaos->cluster->ledger, text);
    chaos->over = true;
    chaos->phase = CHAOS_QUIET;
}

static bool is_cut(const struct fault *fault)
{
    return fault->victim == FAULT_LINK || fault->victim == FAULT_PATH;
}

static void tell(const struct chaos *chaos)
{
    printf("fault: %s:", chaos->fault->name);
    for (size_t i = 0; i < chaos->victims_count; i++)
        printf(" %s", chaos->victims[i]);
    printf("\n");
}

/* ---- commands ---- */

static void on_command(void *ctx, bool good, const char *output)
{
    struct chaos *chaos = ctx;
    (void)output;
    if (good)
        go_on(chaos);
    else
        fail(chaos, "deploy/cluster failed");
}

/* The command, the victims, and what else belongs to it. */
static void command(struct chaos *chaos, const char *const *parts)
{
    const char *words[OPERATE_WORDS_MAX + 1] = {parts[0]};
    size_t count = 1;
    for (size_t i = 0; i < chaos->victims_count; i++)
        words[count++] = chaos->victims[i];
    if (parts[1] != NULL)
        words[count] = parts[1];
    operate_begin(&chaos->cluster->operate, words, on_command, chaos);
}

/* ---- who ---- */

static void add_victim(struct chaos *chaos, const char *format, uint64_t number)
{
    petrel_assert(chaos->victims_count < CHAOS_VICTIMS_MAX);
    snprintf(chaos->victims[chaos->victims_count++], CUT_NAME_MAX, "%s-%" PRIu64, format, number);
}

/* Whether everybody is known; else the masters have to be asked for. */
static bool choose(struct chaos *chaos)
{
    chaos->victims_count = 0;
    chaos->cut = NULL;
    switch (chaos->fault->victim) {
    case FAULT_SESSION:
        add_victim(chaos, "session", 1 + rng_below(&chaos->rng, CLUSTER_SESSIONS));
        return true;
    case FAULT_MESSAGE:
        add_victim(chaos, "message", 1 + rng_below(&chaos->rng, CLUSTER_MESSAGES));
        return true;
    case FAULT_ZOOKEEPER:
        add_victim(chaos, "zookeeper", 1 + rng_below(&chaos->rng, CLUSTER_ZOOKEEPERS));
        return true;
    case FAULT_ZOOKEEPERS:
        for (uint64_t i = 1; i <= CLUSTER_ZOOKEEPERS; i++)
            add_victim(chaos, "zookeeper", i);
        return true;
    case FAULT_MARIADB:
        snprintf(chaos->victims[chaos->victims_count++], CUT_NAME_MAX, "mariadb");
        return true;
    case FAULT_LINK:
    case FAULT_PATH:
        chaos->cut =
            cut_draw(&chaos->cluster->cuts, chaos->fault->victim == FAULT_LINK ? CUT_LINK : CUT_PATH, &chaos->rng);
        snprintf(chaos->victims[chaos->victims_count++], CUT_NAME_MAX, "%s", chaos->cut->name);
        return true;
    case FAULT_REDIS_MASTER:
    case FAULT_REDIS_PAIR:
        break;
    }
    return false;
}

/* Of the masters, one or two. */
static void on_masters(void *ctx, bool good, const char *output)
{
    struct chaos *chaos = ctx;
    char names[16][CUT_NAME_MAX];
    size_t count = 0, wanted = chaos->fault->victim == FAULT_REDIS_PAIR ? 2 : 1;
    for (int used; count < 16 && sscanf(output, "%31s%n", names[count], &used) == 1; count++)
        output += used;
    if (!good || count < wanted) {
        fail(chaos, "there are not enough masters");
        return;
    }
    while (chaos->victims_count < wanted) {
        size_t which = rng_below(&chaos->rng, count);
        memcpy(chaos->victims[chaos->victims_count++], names[which], CUT_NAME_MAX);
        memcpy(names[which], names[--count], CUT_NAME_MAX);
    }
    go_on(chaos);
}

/* ---- one fault ---- */

/* Devices of a session node that is killed count the time from here on. */
static void note_kill(struct chaos *chaos)
{
    struct ledger *ledger = chaos->cluster->ledger;
    if (chaos->fault->victim != FAULT_SESSION || strcmp(chaos->fault->begin[0], "kill") != 0)
        return;
    ledger->killed_ms = until_now_ms();
    snprintf(ledger->killed, sizeof ledger->killed, "127.0.0.1:%u",
             (unsigned)cluster_port(chaos->cluster, chaos->victims[0], "session"));
}

static void begin(struct chaos *chaos)
{
    chaos->phase = CHAOS_BEGINNING;
    chaos->counts[chaos->fault - fault_table]++;
    chaos->made = true;
    tell(chaos);
    if (is_cut(chaos->fault)) {
        cut_hold(chaos->cut, true);
        go_on(chaos);
    } else {
        note_kill(chaos);
        command(chaos, chaos->fault->begin);
    }
}

static void end(struct chaos *chaos)
{
    chaos->phase = CHAOS_ENDING;
    if (is_cut(chaos->fault))
        cut_hold(chaos->cut, false);
    if (chaos->fault->end[0] != NULL)
        command(chaos, chaos->fault->end);
    else
        go_on(chaos);
}

/* What the phase was about has been done. */
static void go_on(struct chaos *chaos)
{
    const uint64_t now = until_now_ms();
    if (chaos->phase == CHAOS_CHOOSING) {
        begin(chaos);
    } else if (chaos->phase == CHAOS_BEGINNING) {
        chaos->phase = CHAOS_LASTING;
        chaos->until_ms = now + chaos->fault->lasts_ms;
    } else {
        chaos->phase = CHAOS_QUIET;
        chaos->until_ms = now + REST_MS;
    }
}

static bool fits(const struct chaos *chaos, uint32_t row, uint64_t now)
{
    bool wanted = (chaos->cluster->ledger->options.faults >> row & 1) != 0;
    return wanted && (!chaos->made || now + fault_table[row].about_ms <= chaos->end_ms);
}

/* Of those that the run wants and has time for, one that came least often; the first comes in any case. */
static const struct fault *draw(struct chaos *chaos, uint64_t now)
{
    const struct fault *drawn = NULL;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if (fits(chaos, i, now) && chaos->counts[i] < least)
            least = chaos->counts[i];
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if (fits(chaos, i, now) && chaos->counts[i] == least && rng_below(&chaos->rng, ++seen) == 0)
            drawn = &fault_table[i];
    }
    return drawn;
}

void chaos_begin(struct chaos *chaos, struct cluster *cluster, uint64_t end_ms)
{
    *chaos = (struct chaos){.cluster = cluster, .end_ms = end_ms, .until_ms = until_now_ms() + WARM_MS};
    rng_seed(&chaos->rng, cluster->ledger->options.seed ^ UINT64_C(0xfa17));
}

void chaos_turn(struct chaos *chaos)
{
    static const char *const masters[] = {"masters", NULL};
    uint64_t now = until_now_ms();
    if (chaos->over || now < chaos->until_ms)
        return;
    if (chaos->phase == CHAOS_LASTING) {
        end(chaos);
    } else if (chaos->phase == CHAOS_QUIET) {
        chaos->fault = draw(chaos, now);
        chaos->over = chaos->fault == NULL;
        if (chaos->over)
            return;
        chaos->phase = CHAOS_CHOOSING;
        if (choose(chaos))
            go_on(chaos);
        else
            operate_begin(&chaos->cluster->operate, masters, on_masters, chaos);
    }
}

bool chaos_is_over(const struct chaos *chaos)
{
    return chaos->over;
}

void chaos_end(struct chaos *chaos)
{
    chaos->over = true;
    operate_end(&chaos->cluster->operate);
    if (chaos->cut != NULL)
        cut_hold(chaos->cut, false);
}
