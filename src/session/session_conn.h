/* session_conn.h: one connection: its states, what it reads, how it ends. Private to this room.
 *
 * Every end goes through session_conn_fail() or session_conn_end(); the struct is freed in the stream's on_closed. */
#ifndef PETREL_SESSION_SESSION_CONN_H
#define PETREL_SESSION_SESSION_CONN_H

#include "session/session_impl.h"

/* A listener_accept_fn; ctx is the role. */
void session_conn_accept(void *ctx, struct stream *stream);

/* Change state; checks that the move is one of the table's. */
void session_conn_move(struct session *session, enum conn_state to);

/* Write whole frames; to a WebSocket as one message. */
void session_conn_write(struct session *session, struct bytes frames);
/* The same with frames that many sessions share. *in_message is what WebSockets share of it: NULL until one needs it; the caller gives
 * the reference back. */
void session_conn_share(struct session *session, struct buf *frames, struct buf **in_message);

/* Take what arrived, as what the connection speaks. */
void session_conn_read(struct session *session, struct bytes data);
/* Take bytes of frames; a frame may be partial at the end. */
void session_conn_take_frames(struct session *session, struct bytes data);
/* Bytes of the longest body that the session may send now. */
uint32_t session_conn_max_body(const struct session *session);

/* Refuse or end the session: ERROR {code, text}, then close. text NULL: the code's own. Nothing happens when it is closing. A session
 * that was told to go elsewhere and did, so that it is REPLACED, ends without a word. */
void session_conn_fail(struct session *session, uint32_t code, const char *text);
/* The same with OVERLOADED, when the client may come again after so long. */
void session_conn_put_off(struct session *session, const char *text, uint32_t wait_ms);
/* End it without a word: flushed, what was written still goes out. Nothing happens when it is closing. */
void session_conn_end(struct session *session, bool flushed);

#endif
