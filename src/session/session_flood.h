/* session_flood.h: what a device may send in a second, so that one that never stops costs no more than many that are well. Private to
 * this room.
 *
 * second   of the role's clock: what is allowed in one may come at its end and again at the beginning of the next
 * quiet    a session that sends little in its second: it is not counted, and costs nothing
 *
 * What of a WebSocket brings no frame (pings, pongs, empty messages) counts as one: it costs as much.
 *
 * A session is counted in its session_busy from the read on with which it is quiet no more, so what it sent before that, a few hundred
 * frames at most, is given to it. ACKs that acknowledge something are as many as it was sent, and are not counted. */
#ifndef PETREL_SESSION_SESSION_FLOOD_H
#define PETREL_SESSION_SESSION_FLOOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

/* Of the read under way: one of the role's at a time. */
struct session_flood {
    uint32_t frames;
    uint32_t bytes;
};

/* So many bytes came. False: it was too much, and the session is closing. */
bool session_flood_read(struct session *session, size_t bytes);
/* A frame is in them, or what counts as one. False: likewise. */
bool session_flood_frame(struct session *session);
/* The last frame was one that the server asked for. */
void session_flood_forgive(struct session *session);
/* The frames of the read are through. */
void session_flood_end(struct session *session);
/* Whether what it sent in this second is to be remembered. */
bool session_flood_counts(const struct session *session);

#endif
