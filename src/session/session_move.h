/* session_move.h: sessions sent to other nodes at a pace, as an operator asked by DRAIN: all of them, or some. Private to this
 * room.
 *
 * pace     sessions are told one by one as their time comes, a few each tick, never a second's worth at once
 * stride   a move takes its sessions evenly over the table: what one part of it holds, such as the oldest, is no measure of it
 * stayed   who was told and has not gone at its deadline is closed */
#ifndef PETREL_SESSION_SESSION_MOVE_H
#define PETREL_SESSION_SESSION_MOVE_H

#include "loop/timer.h"
#include "wire/peer.h"

struct session;
struct session_role;

struct session_move_told {
    uint32_t slot;
    uint32_t generation;
    uint64_t deadline_ms;
};

struct session_move {
    bool draining;
    uint32_t to_move; /* of a MOVE, still to be told */
    uint32_t per_second;
    uint32_t slot;      /* where the next one is looked for */
    uint32_t stride;    /* how far on after one that was told */
    uint64_t credit;    /* thousandths of a session that may be told now */
    uint64_t earned_ms; /* until when the credit is counted */
    struct session_move_told *told;
    uint32_t told_head; /* those in [head, count) are waited for, the earliest deadline first */
    uint32_t told_count;
    uint32_t told_size;
    struct timer timer;
};

/* Do what is asked, and say how far it is. 0; INVALID: no pace; CONFLICT: a MOVE while the loop drains; UNAVAILABLE: a MOVE with no
 * other node to go to; CLOSING: the role goes away anyhow (but for a LOOK). */
int session_move_serve(struct session_role *role, const struct peer_drain *asked, struct peer_drained *out);
/* A session went live while the loop drains: tell it. */
void session_move_greet(struct session *session);
/* The role goes away: tell nobody any more, close nobody. */
void session_move_stop(struct session_role *role);

#endif
