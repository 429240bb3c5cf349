/* session_check.h: the sweep over live sessions: heartbeats, slow sockets, expired tokens, and when position, route and the version of
 * the subscriptions are to be checked (PROMISE §3, §9); session_checks.h asks. Private to this room.
 *
 * sweep   a slice of the slots every half second, all of them within eight; its timer runs only while there are sessions
 * group   sessions that lie side by side: they check together, in one call
 * loss    Delivers may have been lost: every session checks at its next visit, so within 10 s. Losses are counted, so that
 *         one that comes in the moment of a check is not taken for the one before it */
#ifndef PETREL_SESSION_SESSION_CHECK_H
#define PETREL_SESSION_SESSION_CHECK_H

#include "loop/timer.h"

struct session;
struct session_role;

struct session_sweep {
    struct timer timer;
    uint32_t slot; /* where the next slice begins */
    uint32_t losses;
    uint32_t app_visits; /* visits to make by slices in which sessions of apps that are gone are closed */
    uint64_t told_ms;    /* when a loss was logged last */
};

/* A session went live: it will be visited. */
void session_check_begin(struct session *session);
/* Delivers may have been lost, for this reason: all sessions are to check. */
void session_check_all(struct session_role *role, const char *why);
/* An app is gone: its sessions are closed at their next visit. */
void session_check_apps(struct session_role *role);
/* No more visits. */
void session_check_stop(struct session_role *role);

#endif
