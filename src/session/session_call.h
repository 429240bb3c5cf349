/* session_call.h: calls to the message role, from a slab. Private to this room.
 *
 * A call names its session by slot and generation, never by pointer, and holds the identity whose texts it borrows: the
 * session may be gone when the answer comes.
 *
 * parting   a call that nobody waits for: the last ACK and the UNBIND of a session that ends. They go out in their order, a
 *           bounded number at a time, and outlive the session. */
#ifndef PETREL_SESSION_SESSION_CALL_H
#define PETREL_SESSION_SESSION_CALL_H

#include "base/slab.h"
#include "discovery/link.h"

#define SESSION_CALL_MAGIC OBJECT_MAGIC('S', 'C', 'A', 'L')

/* Calls that no client waits for, under way at a time: acks and parting ones. */
#define SESSION_CALLS_PACED_MAX 512U

struct session;
struct session_role;
struct session_identity;

struct session_call {
    uint32_t magic;
    uint32_t slot;
    uint32_t generation;
    bool paced;
    uint64_t asked_ms; /* of a first bind: on the loop's clock */
    struct session_role *role;
    struct session_identity *who;
    struct list node; /* parting */
    struct link_call link;
};

struct session_calls {
    struct slab slab;
    struct list parting;
    uint32_t parting_count;
    uint32_t under_way;
    uint32_t paced; /* of them */
};

void session_call_init(struct session_role *role);
/* Nothing may be under way. */
void session_call_reset(struct session_calls *calls);
/* Whether there is room for a paced call. */
bool session_call_room(const struct session_calls *calls);

/* A call of the session: the caller fills link.in, by session_identity_target() for its target. paced: it counts against
 * SESSION_CALLS_PACED_MAX. */
struct session_call *session_call_take(struct session *session, bool paced);
/* Ask it. 0: done will run and ends with session_call_give(). Negative: given back already; BUSY, CLOSING. */
int session_call_ask(struct session_call *call, link_done_fn *done);
void session_call_give(struct session_call *call);

struct session_call *session_call_of(struct link_call *link);
/* The call's session unless it is closing or gone: then NULL. */
struct session *session_call_session(const struct session_call *call);

/* Whether a call that ended with this status may succeed if it is asked again. */
bool session_call_again(int status);

/* The session ends: send its last ACK, if one is unsent, and, if so asked, its UNBIND. */
void session_call_part(struct session *session, bool unbind);
/* Turn a BIND whose session is gone into its UNBIND: it may have been written. */
void session_call_undo_bind(struct session_call *call);
/* Ask parting calls while there is room. */
void session_call_pump(struct session_role *role);

#endif
