/* session_greet.h: what a connection speaks, before any of it is looked at: the PROXY header, where one is expected, then the first
 * byte (wire/protocol.h). Private to this room. */
#ifndef PETREL_SESSION_SESSION_GREET_H
#define PETREL_SESSION_SESSION_GREET_H

#include "session/session_impl.h"

/* Take what arrived while it is SPEAKS_PROXY or SPEAKS_UNKNOWN. */
void session_greet_read(struct session *session, struct bytes data);

#endif
