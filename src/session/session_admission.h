/* session_admission.h: how many connections a second are let in. Private to this room.
 *
 * Sockets beyond are not refused: they wait in the listener's backlog, so that a storm comes in at the pace that the node and the
 * stores behind it can take, and sessions that are there notice nothing of it. */
#ifndef PETREL_SESSION_SESSION_ADMISSION_H
#define PETREL_SESSION_SESSION_ADMISSION_H

#include "loop/timer.h"

struct session_role;

struct session_admission {
    uint64_t credit; /* thousandths of a connection; a second's worth at most */
    uint64_t earned_ms;
    struct timer timer; /* runs while the listener is paused */
};

/* How many may wait: who has waited for long has given up, and to let such in would keep others out. 0: no matter. */
int session_admission_backlog(const struct session_role *role);
/* The listener is open, and nobody has come yet. */
void session_admission_begin(struct session_role *role);
/* A connection came in. */
void session_admission_take(struct session_role *role);
/* The listener is gone. */
void session_admission_stop(struct session_role *role);

#endif
