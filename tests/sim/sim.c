#include "sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>

#define START_MONO_MS 1000000
#define START_WALL_MS 1750000000000ULL

void sim_init(struct sim *sim, uint64_t seed, FILE *trace)
{
    *sim = (struct sim){.trace = trace, .digest = 0xcbf29ce484222325ULL};
    clock_manual_init(&sim->clock, START_MONO_MS, START_WALL_MS);
    rng_seed(&sim->rng, seed);
    list_init(&sim->listeners);
    list_init(&sim->conns);
}

void sim_reset(struct sim *sim)
{
    free(sim->queue);
    sim->queue = NULL;
    sim->queue_count = 0;
}

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(struct sim *sim, size_t place, struct sim_event *event)
{
    sim->queue[place - 1] = event;
    event->place = place;
}

static void rise(struct sim *sim, struct sim_event *event)
{
    size_t place = event->place;
    for (; place > 1 && earlier(event, sim->queue[place / 2 - 1]); place /= 2)
        put(sim, place, sim->queue[place / 2 - 1]);
    put(sim, place, event);
}

static void sink(struct sim *sim, struct sim_event *event)
{
    size_t place = event->place;
    for (size_t child; (child = place * 2) <= sim->queue_count; place = child) {
        if (child < sim->queue_count && earlier(sim->queue[child], sim->queue[child - 1]))
            child++;
        if (!earlier(sim->queue[child - 1], event))
            break;
        put(sim, place, sim->queue[child - 1]);
    }
    put(sim, place, event);
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    if (event->place == 0)
        return;
    size_t place = event->place;
    struct sim_event *last = sim->queue[--sim->queue_count];
    event->place = 0;
    if (last == event)
        return;
    put(sim, place, last);
    rise(sim, last);
    sink(sim, last);
}

void sim_at(struct sim *sim, struct sim_event *event, uint64_t delay_us, void (*run)(struct sim_event *event))
{
    sim_cancel(sim, event);
    event->at_us = sim->now_us + delay_us;
    event->order = ++sim->orders;
    event->run = run;
    if (sim->queue_count == sim->queue_size) {
        sim->queue_size = sim->queue_size == 0 ? 256 : sim->queue_size * 2;
        sim->queue = object_realloc(sim->queue, sim->queue_size * sizeof(struct sim_event *));
    }
    put(sim, ++sim->queue_count, event);
    rise(sim, event);
}

static void pass_to(struct sim *sim, uint64_t now_us)
{
    clock_manual_advance(&sim->clock, now_us / SIM_MS - sim->now_us / SIM_MS);
    sim->now_us = now_us;
}

bool sim_step(struct sim *sim, uint64_t until_us)
{
    if (sim->queue_count == 0 || sim->queue[0]->at_us > until_us) {
        if (sim->now_us < until_us)
            pass_to(sim, until_us);
        return false;
    }
    struct sim_event *event = sim->queue[0];
    sim_cancel(sim, event);
    pass_to(sim, event->at_us);
    event->run(event);
    return true;
}

uint64_t sim_between(struct sim *sim, uint64_t least, uint64_t most)
{
    return least + rng_below(&sim->rng, most - least + 1);
}

bool sim_chance(struct sim *sim, uint32_t in)
{
    return rng_below(&sim->rng, in) == 0;
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (int i = 0; i < len && i < (int)sizeof line - 1; i++)
        sim->digest = (sim->digest ^ (uint8_t)line[i]) * 0x100000001b3ULL;
    sim->digest = (sim->digest ^ sim->now_us) * 0x100000001b3ULL;
    if (sim->trace != NULL)
        fprintf(sim->trace, "%10.3f  %s\n", (double)sim->now_us / 1e6, line);
}
