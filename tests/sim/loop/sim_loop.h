/* sim_loop.h: the loop room without sockets, threads and libuv: the same headers (loop.h, timer.h, mailbox.h, stream.h,
 * listener.h), on the simulation's clock. It is linked in the place of the room, so the roles are compiled as they are.
 *
 * turn     as in the room: mail, streams that have something, due timers, deferred tasks, turn-end tasks, one flush per stream
 * pause    the thread gets no time (SIGSTOP, a busy machine): what comes waits for the turn after it
 * ghost    the process is gone: nothing comes and nothing leaves, and what the role still holds is only tidied up */
#ifndef PETREL_SIM_SIM_LOOP_H
#define PETREL_SIM_SIM_LOOP_H

#include "loop/listener.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include "sim/sim.h"

#define SIM_LOOP_MAGIC OBJECT_MAGIC('S', 'L', 'O', 'P')

struct loop {
    uint32_t magic;
    uint16_t index;
    bool in_turn;
    bool ghost;
    struct sim *sim;
    struct rng rng;
    struct mail *mail_first;
    struct mail *mail_last;
    struct list timers; /* by due time */
    struct list deferred;
    struct list turn_end;
    struct list ready;     /* streams that have something to read, or room again */
    struct list unflushed; /* streams written to in this turn */
    struct list closing;   /* streams that wait for on_closed */
    struct sim_event turn;
    uint64_t paused_until_us;
    uint64_t skew_ms; /* what a ghost's clock is ahead: its timers need not be waited for */
    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t longest_turn_ms;
    uint32_t streams;
};

/* See that a turn comes soon. */
void sim_loop_wake(struct loop *loop);
/* No turn for so long. noticed: the stop was inside a turn, which the loop measures. */
void sim_loop_pause(struct loop *loop, uint64_t us, bool noticed);
/* From here on turns happen by sim_loop_haunt() only. */
void sim_loop_ghost(struct loop *loop);
/* A turn of a ghost, at the time of its next timer. */
void sim_loop_haunt(struct loop *loop);
/* Nothing is left for a turn but timers. */
bool sim_loop_idle(const struct loop *loop);

/* What a turn does to the streams (sim_stream.c). */
void sim_net_read_all(struct loop *loop);
void sim_net_flush_all(struct loop *loop);
void sim_net_free_closed(struct loop *loop);

#endif
