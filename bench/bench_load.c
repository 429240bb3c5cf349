#include "bench_load.h"

#include "bench_fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define BROADCASTS_MAX 1000000
#define POLL_US 10000

void bench_load_plan(struct bench_load *load, uint32_t seconds)
{
    const uint64_t rate = load->rate > 0 ? load->rate : BENCH_LOAD_RATE_MAX;
    const uint64_t broadcasts = load->every_ms > 0 ? seconds * UINT64_C(1000) / load->every_ms + 1 : 0;
    load->numbers = rate * seconds;
    load->broadcasts_max = broadcasts < BROADCASTS_MAX ? (uint32_t)broadcasts : BROADCASTS_MAX;
}

void bench_load_start(struct bench_load *load)
{
    load->senders = bench_senders_open(load->bench, load->numbers + load->broadcasts_max);
    load->start_us = bench_now_us();
}

static void send_one(struct bench_load *load)
{
    const uint64_t number = load->next++;
    const struct bench_aim aim = load->aim(load, number);
    char to[64];
    snprintf(to, sizeof to, "{\"user\":\"user-%08" PRIu32 "\"}", aim.user);
    bench_senders_send(load->senders, number, to, aim.bytes);
}

/* How many are to have been sent by then. */
static uint64_t due_by(struct bench_load *load, uint64_t passed_us)
{
    if (load->rate == 0)
        return UINT64_MAX;
    const uint64_t due = passed_us * load->rate / 1000000 - load->forgone;
    const uint64_t most = load->next + load->rate;
    if (due <= most)
        return due;
    load->forgone += due - most;
    return most;
}

void bench_load_turn(struct bench_load *load)
{
    struct bench_senders *senders = load->senders;
    const uint64_t passed_us = bench_now_us() - load->start_us;
    const uint64_t due = due_by(load, passed_us);
    const bool broadcast = load->every_ms > 0 && load->broadcasts < load->broadcasts_max &&
                           passed_us / 1000 / load->every_ms >= load->broadcasts;
    if (broadcast && bench_senders_are_idle(senders))
        bench_senders_send(senders, load->numbers + load->broadcasts++, "{\"topic\":\"all\"}",
                           load->bench->options.payload_bytes);
    while (bench_senders_are_idle(senders) && load->next < due && load->next < load->numbers)
        send_one(load);
    bench_senders_serve(senders, load->rate > 0 ? 1 : 100);
}

void bench_load_finish(struct bench_load *load)
{
    while (bench_senders_sum(load->senders)->under_way > 0)
        bench_senders_serve(load->senders, 100);
}

static void judge_broadcasts(const struct bench_load *load, struct bench_outcome *outcome)
{
    const struct bench_fleet *fleet = load->bench->fleet;
    for (uint32_t i = 0; i < load->broadcasts; i++) {
        if (!bench_senders_took(load->senders, load->numbers + i))
            continue;
        const uint32_t missing = bench_fleet_missing(fleet, i);
        outcome->broadcasts++;
        outcome->broadcasts_lost += missing;
        outcome->broadcasts_delivered += fleet->config.devices - missing;
        outcome->broadcasts_seconds += (double)bench_fleet_spread_us(fleet, i) / 1e6;
    }
}

static struct bench_outcome judge(const struct bench_load *load)
{
    const struct bench_fleet *fleet = load->bench->fleet;
    struct bench_outcome outcome = {.duplicates = bench_fleet_sum(fleet).backwards};
    for (uint64_t i = 0; i < load->next; i++) {
        const uint8_t seen = atomic_load_explicit(&fleet->seen[i], memory_order_relaxed);
        const bool took = bench_senders_took(load->senders, i);
        outcome.accepted += took;
        outcome.delivered += seen > 0;
        outcome.lost += took && seen == 0;
        outcome.duplicates += seen > 1 ? (uint64_t)seen - 1 : 0;
    }
    judge_broadcasts(load, &outcome);
    return outcome;
}

/* Judging takes a look at every number and device: as long as the sums say that something is missing, that is not needed. */
static bool seems_complete(const struct bench_load *load)
{
    const struct bench_fleet_sums sums = bench_fleet_sum(load->bench->fleet);
    uint64_t broadcasts = 0;
    for (uint32_t i = 0; i < load->broadcasts; i++)
        broadcasts += bench_senders_took(load->senders, load->numbers + i);
    const uint64_t expected = broadcasts * load->bench->fleet->config.devices;
    const uint64_t singles = bench_senders_sum(load->senders)->accepted - broadcasts;
    return sums.broadcasts >= expected && sums.pushes >= expected + singles;
}

struct bench_outcome bench_load_await(const struct bench_load *load, uint32_t seconds)
{
    const uint64_t deadline = bench_now_us() + seconds * UINT64_C(1000000);
    while (bench_now_us() < deadline) {
        if (seems_complete(load)) {
            const struct bench_outcome outcome = judge(load);
            if (outcome.lost + outcome.broadcasts_lost == 0)
                return outcome;
        }
        usleep(POLL_US);
    }
    return judge(load);
}

void bench_load_close(struct bench_load *load)
{
    bench_senders_close(&load->senders);
}
