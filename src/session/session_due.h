/* session_due.h: when sessions are to be visited next (session_check.h), so that a million that have nothing to be seen to are not
 * looked at time and again. Private to this room.
 *
 * group   SESSION_DUE_GROUP slots that lie side by side; they are visited, and check, together
 * due     up to then none of a group's sessions wants a visit. It may be early, never late: what puts it off, as a heartbeat does, is
 *         found out by the visit, which costs a heartbeat nothing */
#ifndef PETREL_SESSION_SESSION_DUE_H
#define PETREL_SESSION_SESSION_DUE_H

#include "wire/peer_inbox.h"

#include <stdbool.h>
#include <stdint.h>

#define SESSION_DUE_GROUP PEER_CHECKS_MAX
#define SESSION_DUE_NEVER UINT32_MAX

/* Whichever comes first. Tokens expire by the wall clock, which may be set. */
struct session_due {
    uint32_t at_s;   /* in seconds of the role */
    uint32_t wall_s; /* since 1970 */
};

struct session_dues {
    struct session_due *groups;
    uint32_t count;
    uint32_t size;
    uint32_t next; /* the one to look at first */
};

/* A session in the slot wants a visit by then. */
void session_due_by(struct session_dues *dues, uint32_t slot, struct session_due due);
/* All that want one at all want it now. */
void session_due_all(struct session_dues *dues);
/* The first slot of a group that is due by now, each in its turn; of what comes next the visit has to say. False: none is. */
bool session_due_take(struct session_dues *dues, struct session_due now, uint32_t *slot);
void session_due_reset(struct session_dues *dues);

#endif
