#include "system/ledger/phases.h"

#include "lib/until.h"

#include <inttypes.h>
#include <stdio.h>

#define PROGRESS_MS 5000
#define ANSWERS_MS 60000      /* for the last definite answers, after the load */
#define DRAIN_MS 120000       /* for the devices to have everything */
#define STALL_MS 6000         /* without anything coming: nothing will */
#define SETTLE_STALL_MS 30000 /* the same while faults happen */
#define CHANGE_MS 90000       /* for all devices to follow what they should */
#define LINGER_MS 1000        /* for what should not come any more */

static uint64_t since(uint64_t ms)
{
    return until_now_ms() - ms;
}

static void enter(struct run *run, enum phase phase)
{
    if (run->phase == PHASE_LOAD)
        run->loaded_ms += since(run->phase_ms);
    run->phase = phase;
    run->answered = false;
    run->phase_ms = run->moved_ms = until_now_ms();
}

static void tell_progress(struct run *run)
{
    static const char *const names[] = {"joining",  "load",     "settling",  "subscribing", "last answers",
                                        "draining", "resuming", "lingering", "closing"};
    if (since(run->told_ms) < PROGRESS_MS)
        return;
    run->told_ms = until_now_ms();
    struct book_sums sums = book_sum(run->ledger.book);
    printf("%4" PRIu64 " s  %s: accepted %" PRIu64 ", delivered %" PRIu64 " of %" PRIu64 ", devices up %" PRIu32
           ", retries %" PRIu64 "\n",
           since(run->began_ms) / 1000, names[run->phase], sums.accepted, sums.delivered, sums.expected,
           run->ledger.live, run->ledger.retries);
}

/* ---- the phases ---- */

void phases_unwatch_interrupts(struct run *run)
{
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&run->interrupts[i], NULL);
}

static void close_all(struct run *run)
{
    enter(run, PHASE_CLOSE);
    for (uint32_t i = 0; i < run->ledger.options.devices; i++)
        device_close(&run->devices[i]);
    for (uint32_t i = 0; i < run->ledger.options.senders; i++)
        sender_close(&run->senders[i]);
    if (run->chaos.cluster != NULL)
        chaos_end(&run->chaos);
    if (!run->ledger.options.cluster)
        server_unwatch(&run->server);
    phases_unwatch_interrupts(run);
    uv_close((uv_handle_t *)&run->timer, NULL);
}

/* How long messages have been sent. */
static uint64_t loaded_ms(const struct run *run)
{
    return run->loaded_ms + (run->phase == PHASE_LOAD ? since(run->phase_ms) : 0);
}

/* The nth kill comes in the middle of the nth part of the time; or while subscriptions change, the first that is left. */
static bool kill_is_due(const struct run *run)
{
    const struct options *options = &run->ledger.options;
    uint64_t part = 1000ULL * options->seconds / (options->kills > 0 ? options->kills : 1);
    const bool changing = run->phase == PHASE_CHANGE && run->kills_of_change < run->changes;
    return run->ledger.kills < options->kills && run->server.phase == SERVER_UP &&
           (changing || loaded_ms(run) >= part * run->ledger.kills + part / 2);
}

/* Let happen what is due; whether all that should has happened. */
static bool torment(struct run *run)
{
    if (run->ledger.options.cluster) {
        chaos_turn(&run->chaos);
        return chaos_is_over(&run->chaos);
    }
    if (kill_is_due(run)) {
        run->kills_of_change += run->phase == PHASE_CHANGE;
        server_kill(&run->server);
    }
    return run->ledger.kills == run->ledger.options.kills && run->server.phase == SERVER_UP;
}

static void load(struct run *run)
{
    struct ledger *ledger = &run->ledger;
    const uint64_t whole_ms = 1000ULL * ledger->options.seconds;
    const bool over = loaded_ms(run) >= whole_ms;
    const bool calm = torment(run);
    if (run->changes < ledger->options.turns &&
        loaded_ms(run) >= whole_ms * (run->changes + 1) / (ledger->options.turns + 1)) {
        run->changes++;
        ledger->sending = false;
        enter(run, PHASE_SETTLE);
    } else if (calm && over) {
        ledger->sending = false;
        enter(run, PHASE_ANSWERS);
    }
}

static void begin_load(struct run *run)
{
    run->ledger.sending = true;
    tally_begin(&run->ledger.tally, until_now_ms());
    enter(run, PHASE_LOAD);
    for (uint32_t i = 0; i < run->ledger.options.senders; i++)
        sender_wake(run->senders[i]);
}

/* Whether nothing comes any more. */
static bool has_stalled(struct run *run, uint64_t delivered, uint64_t stall_ms, uint64_t most_ms)
{
    if (delivered != run->delivered)
        run->moved_ms = until_now_ms();
    run->delivered = delivered;
    return since(run->moved_ms) > stall_ms || since(run->phase_ms) > most_ms;
}

/* ---- subscriptions ---- */

/* Devices that do it by themselves begin; for the others errands are written down. */
static void change(struct run *run, bool first)
{
    struct ledger *ledger = &run->ledger;
    enter(run, first ? PHASE_JOIN : PHASE_CHANGE);
    if (!first)
        book_turn(ledger->book);
    for (uint32_t i = 0; i < ledger->options.devices; i++) {
        const struct book_device device = book_device(ledger->book, i);
        if (device_is_led(i))
            errands_add(&ledger->errands, i, device.before, device.set);
        device_turn(run->devices[i]);
    }
    for (uint32_t i = 0; i < ledger->options.senders; i++)
        sender_wake(run->senders[i]);
}

/* Nothing may be under way: what is not seen by now is not of the next turn. What does not come is found out at the end. */
static void settle(struct run *run)
{
    struct book_sums sums = book_sum(run->ledger.book);
    (void)torment(run);
    const bool answered = run->ledger.busy == 0;
    if (answered && !run->answered)
        tally_end(&run->ledger.tally, until_now_ms());
    run->answered = answered;
    const bool stalled = has_stalled(run, sums.delivered, SETTLE_STALL_MS, DRAIN_MS);
    if (answered && (sums.missing == 0 || (stalled && sums.lost == 0))) {
        change(run, false);
    } else if (stalled) {
        printf("not all is seen: nobody subscribes to anything else\n");
        begin_load(run);
    }
}

/* How many devices do not follow what they should yet; *one of them. */
static uint32_t count_behind(const struct run *run, uint32_t *one)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->ledger.options.devices; i++) {
        if (device_has_turned(run->devices[i]))
            continue;
        count++;
        *one = i;
    }
    return count;
}

static void give_up_change(struct run *run, uint32_t behind, uint32_t one)
{
    char text[160];
    const struct book_device device = book_device(run->ledger.book, one);
    snprintf(text, sizeof text, "%" PRIu32 " devices do not follow what they should, d%u of u%" PRIu32 " is one%s",
             behind, (unsigned)device.mate, device.user, device_is_led(one) ? ", by the backend's word" : "");
    ledger_fail(&run->ledger, text);
}

static void await_change(struct run *run)
{
    struct ledger *ledger = &run->ledger;
    const bool first = run->phase == PHASE_JOIN;
    uint32_t one = 0, behind = count_behind(run, &one);
    if (!first)
        (void)torment(run);
    if (behind == 0 && ledger->busy == 0 && errands_are_done(&ledger->errands)) {
        ledger->turns += !first;
        begin_load(run);
        if (first && ledger->options.cluster)
            chaos_begin(&run->chaos, &run->cluster, run->phase_ms + 1000ULL * ledger->options.seconds);
    } else if (since(run->phase_ms) > CHANGE_MS) {
        give_up_change(run, behind, one);
    }
}

/* ---- the end ---- */

static void drain(struct run *run)
{
    struct book_sums sums = book_sum(run->ledger.book);
    bool stalled = has_stalled(run, sums.delivered, STALL_MS, DRAIN_MS);
    /* What gaps have paid for is not awaited, once nothing comes any more. */
    if (sums.missing == 0 || (stalled && (run->phase == PHASE_RESUME || sums.lost == 0))) {
        enter(run, PHASE_LINGER);
    } else if (stalled) {
        printf("%" PRIu64 " deliveries do not come by themselves: all devices reconnect\n", sums.lost);
        for (uint32_t i = 0; i < run->ledger.options.devices; i++)
            device_reconnect(run->devices[i]);
        enter(run, PHASE_RESUME);
    }
}

static void end_of_load(struct run *run)
{
    if (run->ledger.busy > 0 && since(run->phase_ms) <= ANSWERS_MS)
        return;
    tally_end(&run->ledger.tally, until_now_ms());
    run->ledger.calm = true;
    enter(run, PHASE_DRAIN);
}

void phases_begin(struct run *run)
{
    change(run, true);
}

void phases_turn(struct run *run)
{
    tell_progress(run);
    if (run->ledger.failure[0] != '\0') {
        close_all(run);
        return;
    }
    switch (run->phase) {
    case PHASE_JOIN:
    case PHASE_CHANGE:
        await_change(run);
        break;
    case PHASE_LOAD:
        load(run);
        break;
    case PHASE_SETTLE:
        settle(run);
        break;
    case PHASE_ANSWERS:
        end_of_load(run);
        break;
    case PHASE_DRAIN:
    case PHASE_RESUME:
        drain(run);
        break;
    case PHASE_LINGER:
        if (since(run->phase_ms) > LINGER_MS)
            close_all(run);
        break;
    case PHASE_CLOSE:
        break;
    }
}
