/* session_websocket.h: frames within WebSocket messages. A message holds whole frames, with their headers: one or several. Private to
 * this room.
 *
 * Between two messages nothing is kept: that the connection is a WebSocket is three bits of the session. */
#ifndef PETREL_SESSION_SESSION_WEBSOCKET_H
#define PETREL_SESSION_SESSION_WEBSOCKET_H

#include "session/session_impl.h"

void session_websocket_read(struct session *session, struct bytes data);

/* Write the header of a message of len bytes, which follow. */
void session_websocket_begin_message(struct session *session, size_t len);
/* Frames as a message, for all who are sent it; one reference. */
struct buf *session_websocket_message(const struct buf *frames);
/* Write the close, unless it was written. code: of the ERROR that the session ends with; 0: of none. */
void session_websocket_part(struct session *session, uint32_t code);

#endif
