/* session_busy.h: what a session has only while something is going on with it. Private to this room.
 *
 * idle      live; the client was told all up to `at` and has acked it, and the log knows: one position says it all
 * told      the last position that the client was told, by CONNECTED, PUSH or GAP; `at` runs ahead of it where entries were
 *           for other devices. A PUSH's prev is `told`, which the client knows, never `at`, which it may not
 * missed    the newest position heard of and not taken: a session is behind until it has fetched past it
 * logged    the ack that the log has; acks between it and `acked` are still to be sent
 *
 * `at` moves only by session_busy_move(): what the old one said of an idle session is remembered here. A session stays busy
 * while `told` lags, as after an entry for another device: until its next PUSH. */
#ifndef PETREL_SESSION_SESSION_BUSY_H
#define PETREL_SESSION_SESSION_BUSY_H

#include "base/route.h"
#include "wire/frame.h"

struct session;
struct session_edge;

struct session_busy {
    struct session_door *door;  /* NULL once live */
    struct frame_reader reader; /* of a partial frame */
    struct session_edge *edge;  /* NULL while nothing around frames is partial */
    char *origin;               /* of a WebSocket before its CONNECT, whose app is to judge it; NULL: no page's */
    struct position missed;
    uint64_t told;
    uint64_t acked;
    uint64_t logged;
    uint64_t told_floor; /* losses up to here the device has been told */
    bool counted;        /* session_flood: what it sent in that second */
    uint32_t counted_s;
    uint32_t frames;
    uint32_t bytes;
};

/* The session's; of one that was idle, it says what idle means. */
struct session_busy *session_busy(struct session *session);
/* What is told, acked and logged stays as it was. */
void session_busy_move(struct session *session, struct position at);
/* Let go of it if the session is idle again. */
void session_busy_settle(struct session *session);
/* Free it; nothing happens when there is none. The door is closed. */
void session_busy_free(struct session *session);

#endif
