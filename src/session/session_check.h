/* session_check.h: the sweep over live sessions: heartbeats, slow sockets, expired tokens, and the checks of position and route
 * against the log (PROMISE §3). Private to this room.
 *
 * sweep   a slice of the slots every half second, all of them within eight; its timer runs only while there are sessions
 * dirty   Delivers may have been lost: every session checks at its next visit, so within 10 s */
#ifndef PETREL_SESSION_SESSION_CHECK_H
#define PETREL_SESSION_SESSION_CHECK_H

#include "loop/timer.h"

struct session;
struct session_role;

struct session_sweep {
    struct timer timer;
    uint32_t slot; /* where the next slice begins */
    bool dirty;
    uint32_t dirty_s; /* since when */
};

/* A session went live: it will be visited. */
void session_check_begin(struct session *session);
/* All sessions are to check. */
void session_check_all(struct session_role *role);
/* Ask whether position and route are those of the log. */
void session_check_ask(struct session *session);
/* No more visits. */
void session_check_stop(struct session_role *role);

#endif
