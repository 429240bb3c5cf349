/* session_topic.h: what devices and servers say about topics, and of any log: how a position was judged. See session.h for the
 * codec. */
#ifndef PETREL_WIRE_SESSION_TOPIC_H
#define PETREL_WIRE_SESSION_TOPIC_H

#include "base/route.h"

#define SESSION_TOPIC_MAX 64  /* bytes of a topic's name */
#define SESSION_TOPICS_MAX 65 /* in CONNECT: those of the largest set, and `all` */
#define SESSION_LOG_TOPIC 1   /* PUSH and GAP: of the topic they name; 0: of the inbox */

enum session_verdict { SESSION_NEW = 1, SESSION_RESUMED = 2, SESSION_GAPPED = 3 };
enum session_gap_reason {
    SESSION_GAP_NONE,
    SESSION_GAP_CAP,
    SESSION_GAP_ROLLBACK,
    SESSION_GAP_LAPSED,
    SESSION_GAP_TRIMMED
};

/* How far the app has processed a topic. */
struct session_topic_position {
    struct bytes topic;
    struct position position;
};

/* What became of a topic: the device follows it from `position` on; position none: it does not; refused: nothing has changed. */
struct session_subscribed {
    struct bytes topic;
    struct position position;
    enum session_verdict verdict;
    uint64_t lost_at_most;
    enum session_gap_reason reason;
    uint32_t refused; /* a code */
};

/* Append the whole frame. */
/* The same for whoever is sent it. */
void session_encode_topic_push(struct bytebuf *out, struct bytes topic, struct position at, uint64_t prev,
                               struct bytes message);
void session_encode_topic_subscribe(struct bytebuf *out, struct bytes topic);
void session_encode_topic_unsubscribe(struct bytebuf *out, struct bytes topic);
void session_encode_topic_subscribed(struct bytebuf *out, const struct session_subscribed *subscribed);

#endif
