/* session_listen.h: where devices connect to. Private to this room.
 *
 * backlog   connections that wait to be accepted. The kernel holds net.core.somaxconn of them for a listener, and drops the SYN of
 *           each beyond: its client tries again a second later, and again, long after there is room. A loop that wants a longer one
 *           has several listeners on its address */
#ifndef PETREL_SESSION_SESSION_LISTEN_H
#define PETREL_SESSION_SESSION_LISTEN_H

#include "loop/listener.h"

#define SESSION_LISTENERS_MAX 8U

struct session_role;

struct session_listeners {
    struct listener *all[SESSION_LISTENERS_MAX];
    uint32_t count; /* 0: none is open */
};

/* 0 and the port, or an error of listener_open(), and none is open. */
int session_listen_open(struct session_role *role, uint16_t *port);
void session_listen_pause(struct session_role *role);
void session_listen_resume(struct session_role *role);
/* None open is fine. */
void session_listen_close(struct session_role *role);

#endif
