/* session_admission.h: how many connections are let in. Private to this room.
 *
 * hold        a reason to leave new sockets in the listener's backlog: connects of this second, handshakes, or the line before those of TLS. They are not
 *             refused: a storm comes in at the pace that the node and the stores behind it can take, and
 *             sessions that are there notice nothing of it. What the loop's turns can take the listener sees to (lag_ms)
 * handshake   a socket that was let in and whose session is not live yet: what it costs is bounded by how many there are
 * slot        a moment at which a client that was refused is to come back: as many a second as have been let in of late, so that
 *             those who were refused come one by one and not in waves */
#ifndef PETREL_SESSION_SESSION_ADMISSION_H
#define PETREL_SESSION_SESSION_ADMISSION_H

#include "loop/timer.h"

struct session_role;

struct session_admission {
    uint64_t credit; /* thousandths of a connection; a second's worth at most */
    uint64_t earned_ms;
    struct timer timer; /* runs while the credit is used up */
    uint8_t holds;      /* of enum hold */
    uint32_t lived;     /* sessions that went live since counted_ms */
    uint32_t rate;      /* and in the second before */
    uint64_t counted_ms;
    uint64_t slot_us; /* the first that is not given out */
};

/* How many may wait, at the listeners of the role together, at least: who has waited for long has given up, and to let such in would keep others out. 0: no matter. */
int session_admission_backlog(const struct session_role *role);
/* The listener is open, and nobody has come yet. */
void session_admission_begin(struct session_role *role);
/* A connection came in. */
void session_admission_take(struct session_role *role);
/* Handshakes have become more or fewer: hold, or hold no more. */
void session_admission_review(struct session_role *role);
/* A session went live. */
void session_admission_note_live(struct session_role *role);
/* The backoff for a client that is refused with this code; 0: it is not to come back. */
uint32_t session_admission_backoff_ms(struct session_role *role, uint32_t code);
/* The listener is gone. */
void session_admission_stop(struct session_role *role);

#endif
