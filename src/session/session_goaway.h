/* session_goaway.h: telling a session to go to another node. Private to this room.
 *
 * told      a live session that got GOAWAY: it is served until it goes, or is closed for staying
 * left      a session that was told, and is gone
 *
 * Each session is told other nodes than the one before it, drawn by the room that they have, so that those who leave spread as
 * room is spread. */
#ifndef PETREL_SESSION_SESSION_GOAWAY_H
#define PETREL_SESSION_SESSION_GOAWAY_H

#include "discovery/discovery.h"

struct session;
struct session_role;

struct session_goaway_state {
    struct discovery_view *view; /* NULL before the first */
    uint32_t told;               /* of the live sessions */
    uint64_t left;
};

/* Tell a live session that has not been told. spread_ms: within which it goes, at a moment of its choice. */
void session_goaway_tell(struct session *session, uint32_t code, uint64_t deadline_ms, uint64_t spread_ms);
/* A session that was told is no longer live. */
void session_goaway_note_left(struct session_role *role);

/* Whether another node takes sessions, as far as is known. */
bool session_goaway_has_elsewhere(const struct session_role *role);
/* How long the other nodes take to admit all sessions of this node: the least spread that does not queue them at their doors.
 * 0: they admit as many as come, or there are none. */
uint64_t session_goaway_admission_ms(const struct session_role *role);

/* A newer view; takes a reference of its own. */
void session_goaway_set_view(struct session_role *role, struct discovery_view *view);
void session_goaway_reset(struct session_role *role);

#endif
