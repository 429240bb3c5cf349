/* session_check.h: the sweep over live sessions: heartbeats, slow sockets, expired tokens, and when position, route and the version of
 * the subscriptions are to be checked (PROMISE §3, §9); session_checks.h asks. Private to this room.
 *
 * sweep   each second those groups are visited that are due (session_due.h), or, of many, an eighth of all; its timer runs only while
 *         there are sessions
 * group   sessions that lie side by side: they check together, in one call
 * loss    Delivers may have been lost: every session checks at its next visit, so within 10 s. Losses are counted, so that
 *         one that comes in the moment of a check is not taken for the one before it */
#ifndef PETREL_SESSION_SESSION_CHECK_H
#define PETREL_SESSION_SESSION_CHECK_H

#include "loop/timer.h"
#include "session/session_due.h"

struct session;
struct session_role;

struct session_sweep {
    struct timer timer;
    struct session_dues dues;
    uint32_t losses;
    uint64_t told_ms; /* when a loss was logged last */
};

/* A session went live: it will be visited. */
void session_check_begin(struct session *session);
/* Its socket is full: it has so long to take something. */
void session_check_full(struct session *session);
/* Delivers may have been lost, for this reason: all sessions are to check. */
void session_check_all(struct session_role *role, const char *why);
/* An app is gone: its sessions are closed at their next visit. */
void session_check_apps(struct session_role *role);
/* No more visits. */
void session_check_stop(struct session_role *role);
/* Forget when. */
void session_check_reset(struct session_role *role);

#endif
