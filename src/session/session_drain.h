/* session_drain.h: the end of the role: GOAWAY to all sessions, and after the deadline the end. Paced: a slice of the slots at a
 * time, so that neither the loop nor the message role meets all of it at once. Private to this room. */
#ifndef PETREL_SESSION_SESSION_DRAIN_H
#define PETREL_SESSION_SESSION_DRAIN_H

#include "loop/timer.h"

struct session;
struct session_role;

enum session_drain_phase {
    SESSION_DRAIN_NONE,
    SESSION_DRAIN_TELL,  /* GOAWAY goes out, slice by slice */
    SESSION_DRAIN_WAIT,  /* for the deadline */
    SESSION_DRAIN_CLOSE, /* sessions are closed, slice by slice */
    SESSION_DRAIN_OVER,
};

struct session_drain {
    enum session_drain_phase phase;
    uint32_t code;
    uint32_t slot; /* where the next slice begins */
    uint64_t spread_ms;
    uint64_t deadline_ms;
    struct timer timer;
};

/* spread_ms is the least: sessions with other nodes to go to are spread as these admit them, but for the deadline. */
void session_drain_begin(struct session_role *role, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms);
bool session_drain_begun(const struct session_role *role);
/* Close all sessions now; those without a GOAWAY get SHUTDOWN. */
void session_drain_close_all(struct session_role *role);
/* The code to refuse a CONNECT with; 0: it is welcome. */
uint32_t session_drain_code(const struct session_role *role);
/* A session went live while the role drains: it gets its GOAWAY. */
void session_drain_greet(struct session *session);
void session_drain_reset(struct session_role *role);

#endif
