/* session_flow.h: what a session is sent: Delivers while it can take them, pages of the log while it is behind (PROMISE §2,
 * §3). Private to this room.
 *
 * A session falls behind when a Deliver shows a hole or another epoch, or when its socket is full. It fetches page after
 * page, as its socket drains, and takes Delivers again once a page reached the head and no newer one was missed. */
#ifndef PETREL_SESSION_SESSION_FLOW_H
#define PETREL_SESSION_SESSION_FLOW_H

#include "session/session_impl.h"

/* A Deliver for this session came, in any state. */
void session_flow_deliver(struct session *session, const struct peer_deliver *deliver);
/* The log is ahead of `at`: fetch. */
void session_flow_fall_behind(struct session *session);
/* Ask for the next page, unless one is under way or the socket is full (then on_drain comes). */
void session_flow_refill(struct session *session);

/* The page that came with the first bind; its gap was told by CONNECTED. */
void session_flow_first_page(struct session *session, const struct peer_page *page);
/* A page that was asked for: its GAP, its entries; then go on, or be no longer behind. */
void session_flow_page(struct session *session, const struct peer_page *page);

#endif
