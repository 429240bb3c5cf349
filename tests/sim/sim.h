/* sim.h: the simulated world: one clock, one queue of events, one source of chance. Everything that happens is an event of this
 * queue, so a seed decides all of it and a run can be repeated exactly.
 *
 * event    something that will happen at a time; its owner embeds it
 * trace    one line per happening; its lines are folded into `digest`, by which two runs are held to be the same
 *
 * Read next: loop/sim_loop.h (the loop room in memory), sim_link.h, sim_store.h, sim_device.h, sim_sender.h, sim_plan.h (what a
 * seed makes happen), sim_book.h (the promise), sim_run.h. */
#ifndef PETREL_SIM_SIM_H
#define PETREL_SIM_SIM_H

#include "base/clock.h"
#include "base/list.h"
#include "base/object.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stdio.h>

#define SIM_MS 1000ULL
#define SIM_S 1000000ULL

struct sim_event {
    uint64_t at_us;
    uint64_t order; /* of events of one time: as they were queued */
    void (*run)(struct sim_event *event);
    size_t place; /* in the queue, plus 1; 0: not queued */
};

struct sim_listener;

struct sim {
    struct clock_manual clock;
    uint64_t now_us;
    uint64_t orders;
    struct rng rng;
    struct sim_event **queue; /* a binary heap */
    size_t queue_count;
    size_t queue_size;
    struct list listeners; /* of the loops; see loop/sim_net.h */
    struct list conns;
    uint32_t conns_made;
    FILE *trace; /* NULL: only the digest */
    uint64_t digest;
};

void sim_init(struct sim *sim, uint64_t seed, FILE *trace);
/* No event may be queued by anyone who is freed before. */
void sim_reset(struct sim *sim);

/* Let event->run(event) happen after delay_us; one that is queued is moved. */
void sim_at(struct sim *sim, struct sim_event *event, uint64_t delay_us, void (*run)(struct sim_event *event));
void sim_cancel(struct sim *sim, struct sim_event *event);
/* Let the next event happen, and time pass until then. False: there is none before until_us. */
bool sim_step(struct sim *sim, uint64_t until_us);

/* Uniform in [least, most]. */
uint64_t sim_between(struct sim *sim, uint64_t least, uint64_t most);
/* True once in `in` times. */
bool sim_chance(struct sim *sim, uint32_t in);

void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
