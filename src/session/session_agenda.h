/* session_agenda.h: what is to be done for sessions a little later: coalesced acks, calls to be tried again; and checks, which wait in
 * a line of their own, for they go by the group and others are not to wait for them. One timer per role, which runs only while
 * something waits. Private to this room.
 *
 * round     everything is tried once, as far as there is room for calls; what fails waits for the next round
 * retry     after a failure rounds back off, from 200 ms to 5 s, until a call succeeds */
#ifndef PETREL_SESSION_SESSION_AGENDA_H
#define PETREL_SESSION_SESSION_AGENDA_H

#include "loop/timer.h"

struct session;
struct session_role;

enum session_want {
    SESSION_WANT_ACK = 1,
    SESSION_WANT_FETCH = 2,
    SESSION_WANT_CHECK = 4,
    SESSION_WANT_BIND = 8,
};

struct session_agenda_item {
    uint32_t slot;
    uint32_t generation;
};

struct session_agenda_line {
    struct session_agenda_item *items; /* those in [head, count) wait */
    uint32_t head;
    uint32_t count;
    uint32_t size;
    bool blocked; /* its round ended for want of room */
};

struct session_agenda {
    struct session_agenda_line line;   /* of sessions that are SESSION_LISTED */
    struct session_agenda_line checks; /* of those that SESSION_WANT_CHECK */
    uint32_t retry_ms;                 /* 0: the last call succeeded */
    struct timer timer;
    struct loop_task resume;
    struct loop_task check;
};

void session_agenda_init(struct session_role *role);
void session_agenda_reset(struct session_role *role);
/* Give back what a time when all sessions stood on the list took, once it is empty. */
void session_agenda_trim(struct session_role *role);

/* Do it at the next round, ack_delay_ms from now at most. */
void session_agenda_want(struct session *session, enum session_want want);
/* Do it at a round in the next turns. */
void session_agenda_soon(struct session *session, enum session_want want);
/* Check it at this turn's end; what others wait for is left to gather. */
void session_agenda_check(struct session *session);

/* How calls to the message role go. */
void session_agenda_failed(struct session_role *role);
void session_agenda_succeeded(struct session_role *role);
/* A call came back: go on with a round that stopped for want of room. */
void session_agenda_resume(struct session_role *role);

#endif
