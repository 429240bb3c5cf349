/* session_topics.h: what sessions of this loop are sent of topics (PROMISE §9): the hooks that the rest of the role calls. Private to
 * this room.
 *
 * topic     one that some session of this loop follows: the loop's own position in it, by Delivers and, where those show a hole, by
 *           fetches of the loop's; each entry is encoded once, and sent to the followers that are with the loop in slices
 * with      a follower whose position is the loop's. Of `all`, which every session that takes topics follows, that is one bit of
 *           the session's: it costs nothing more
 * apart     a follower with a position of its own: it has just come, or its socket was full. It fetches for itself until it is with
 *           the loop again
 *
 * set       what a device is subscribed to, and its version in the store: asked for when the session goes live or binds again, when
 *           somebody tells that it changed, when a check finds another version there, and when the answer to a change of the
 *           session's own shows that there was another before. A session that follows nothing but `all` keeps no version: nothing is
 *           what it believes, and costs nothing
 *
 * Read: session_topics_impl.h, session_topics_follow.h, session_topics_log.c (the loop's position), session_topics_slice.c (sending), session_topics_follow.c
 * (coming to be with the loop), session_topics_set.c (what a device follows), session_topics_ask.c (what it asks for), session_topics.c (these hooks). */
#ifndef PETREL_SESSION_SESSION_TOPICS_H
#define PETREL_SESSION_SESSION_TOPICS_H

#include "session/session_impl.h"

enum session_topics_flag {
    SESSION_TOPICS_TAKES = 1, /* the client understands topics */
    SESSION_TOPICS_WITH = 2,  /* it is with the loop in `all` */
    SESSION_TOPICS_SET = 4,   /* more is known of it than these flags say */
};
#define SESSION_TOPICS_ALL_BUT(flag) (0x7f & ~(flag)) /* the flags are seven bits of a session */

struct session_topics *session_topics_new(struct session_role *role);
/* No session is left (asserted). NULL is fine. */
void session_topics_free(struct session_topics *topics);
/* The role closes: ask nothing more. */
void session_topics_close(struct session_role *role);

/* A valid CONNECT came; the session went live; it ends. */
void session_topics_connect(struct session *session, const struct session_connect *connect);
void session_topics_live(struct session *session);
void session_topics_end(struct session *session);
/* SUBSCRIBE or UNSUBSCRIBE came from a live session. */
void session_topics_asked(struct session *session, enum session_type type, struct bytes topic);
/* Its socket has taken what was queued. */
void session_topics_drained(struct session *session);
/* Its subscriptions may have changed. */
void session_topics_refresh(struct session *session);
/* What a check is to hold against its device's subscriptions (peer_check's version). */
uint64_t session_topics_believes(const struct session *session);

/* A TOPIC_DELIVER came. */
void session_topics_deliver(struct session_role *role, const struct peer_topic_deliver *deliver);
/* Delivers may have been lost: every topic's position is checked. */
void session_topics_check(struct session_role *role);

#endif
