/* session_http.h: HTTP on the session port: GET /v1/session, which becomes a WebSocket, and GET /v1/lookup. One request a connection,
 * which then ends. Private to this room. */
#ifndef PETREL_SESSION_SESSION_HTTP_H
#define PETREL_SESSION_SESSION_HTTP_H

#include "session/session_impl.h"

/* Take what arrived of the request. */
void session_http_read(struct session *session, struct bytes data);
/* Answer for a session code, which is why the connection ends. */
void session_http_write_error(struct session *session, uint32_t code, const char *text, uint32_t backoff_ms);

#endif
