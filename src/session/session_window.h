/* session_window.h: how many first binds may be under way at a time, by how long they take. Private to this room.
 *
 * window    binds that may be under way; CONNECTs beyond wait in a queue, in the order they came. It grows while at
 *           least half of it is used and the answers come in time, and shrinks when they are late, once for all that were asked under the same window
 * late      over config.bind_target_ms, and over twice what a bind has taken at least of late: a store that is slow by nature
 *           is not a store that is overloaded; or refused for want of room
 *
 * Sends and binds share the store and the processors. So a storm of connects queues here, where it is in nobody's way (as many as
 * may be in their handshake), and not there, in front of what live sessions wait for. */
#ifndef PETREL_SESSION_SESSION_WINDOW_H
#define PETREL_SESSION_SESSION_WINDOW_H

#include "base/list.h"
#include "loop/loop.h"

#include <stdint.h>

#define SESSION_WINDOW_MIN 8U

struct session;
struct session_role;

struct session_window {
    uint32_t size;
    uint32_t under_way;
    uint32_t waiting;
    uint32_t earned; /* answers in time since it grew last */
    bool steep;      /* no answer was late yet: it doubles with every round of answers */
    uint64_t cut_ms; /* when it shrank last */
    struct list queue;
    uint32_t least_ms[2]; /* what a bind took at least in the period before and in this one */
    uint64_t period_ms;   /* when this one began */
    struct loop_task pump;
};

void session_window_init(struct session_role *role);
/* Nothing may be under way or wait. */
void session_window_reset(struct session_role *role);

/* Whether the session's bind may be asked now; else it waits, and session_bind_ask() is called for it once there is room, or it is
 * refused with OVERLOADED when it has waited as long as a client may take for its CONNECT. */
bool session_window_enter(struct session *session);
/* A bind that was asked at asked_ms, or could not be asked, has ended. overloaded: for want of room. */
void session_window_leave(struct session_role *role, uint64_t asked_ms, bool overloaded);
/* The session, which waits, is about to end. */
void session_window_forget(struct session *session);

#endif
