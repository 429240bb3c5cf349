/* session_bind.h: from CONNECT to a live session, and binding again when the route was lost. Private to this room. */
#ifndef PETREL_SESSION_SESSION_BIND_H
#define PETREL_SESSION_SESSION_BIND_H

#include "session/session_impl.h"

/* A whole CONNECT came on an accepted connection: check it, then bind, or refuse with a code. */
void session_bind_connect(struct session *session, const struct session_connect *connect);
/* The session's first bind has a place in the window: ask it. */
void session_bind_ask(struct session *session);
/* The log does not know the live session's route any more: bind again, with the same route and attempt. */
void session_bind_again(struct session *session);

#endif
