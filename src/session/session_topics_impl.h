/* session_topics_impl.h: what the files of session_topics share. Private to them. */
#ifndef PETREL_SESSION_SESSION_TOPICS_IMPL_H
#define PETREL_SESSION_SESSION_TOPICS_IMPL_H

#include "base/map.h"
#include "base/object.h"
#include "loop/turnstile.h"
#include "session/session_topics.h"
#include "wire/condition.h"
#include "wire/peer_codec.h"

#define SESSION_TOPICS_RENEWALS 3U /* in a lease */
#define SESSION_TOPICS_RETRY_MS 500U
#define SESSION_TOPICS_ITEMS_MAX 64U  /* of one topic, that wait to be sent; the log has the rest */
#define SESSION_TOPICS_CALLS_MAX 128U /* for sessions, of each kind, under way */
#define SESSION_TOPICS_ASKING_MAX 8U  /* SUBSCRIBE and UNSUBSCRIBE of one session under way */

/* One entry, or what followers are told of a hole, on its way to those that are with the loop; once begun, those after it that go with
 * it, too. */
struct topic_item {
    struct list node;
    struct buf *message;         /* of an entry that is not begun: its frame says what everybody was sent before it */
    struct buf *frame;           /* frames, once begun; NULL: an advance */
    struct buf *in_message;      /* the same for WebSockets, once there is one to send it to */
    struct position to;          /* where followers are once it is sent */
    uint64_t expires_ms;         /* 0: never */
    struct condition *condition; /* NULL: for everybody */
    uint32_t per_second;         /* 0: as fast as it goes */
    uint64_t began_ms;
    uint64_t sent;
    uint64_t sure;   /* the topic's, once it is sent */
    uint32_t pushes; /* in frame */
};

struct session_topic {
    struct map_node node; /* key: app, zero, name */
    struct session_topics *topics;
    struct list busy; /* in topics->busy while items wait */
    struct bytes app; /* these two in `text` */
    struct bytes name;
    bool is_all;
    bool known;    /* `at` is; else the first answer about the topic is awaited */
    bool asking;   /* TOPIC_INTEREST is under way */
    bool doubted;  /* since it was asked: its answer may be from before a loss */
    bool fetching; /* TOPIC_FETCH, for the loop */
    bool again;    /* to be asked again when the answer is here */
    uint32_t pins; /* calls that borrow its name */
    uint32_t followers;
    struct position at;     /* all followers that are with the loop have been sent everything up to here */
    struct position tail;   /* the same once the items are sent */
    struct position missed; /* the newest that was heard of and is not among the items */
    uint64_t sure;          /* the last seq up to `at` that everybody who is with the loop was told: a PUSH's prev */
    uint32_t share;         /* loops among which a pace is shared */
    struct list items;
    uint32_t items_count;
    uint32_t slot;       /* of `all`: where the slice goes on */
    struct list members; /* with the loop; of `all` none */
    struct list unsent;  /* of them, while an item is sent, those it has not come to */
    struct list waiting; /* apart, and as far as the loop or farther, or until it is known */
    struct timer renew;
    struct timer pace;
    struct link_call interest;
    struct link_call fetch;
    uint8_t text[];
};

struct session_topics {
    struct session_role *role;
    struct peer_codec *codec;
    struct map topics;
    struct map sets;
    struct list busy;
    struct list lagging; /* follows that are to fetch */
    struct list loading; /* sets that are to be asked for */
    uint32_t fetches;    /* for sessions, under way */
    uint32_t loads;
    bool failing; /* the last call failed: wait */
    bool closing;
    struct timer retry;
    struct loop_task pump;
    struct loop_task slice;
    struct turnstile_pass *pass; /* NULL: slices need none */
    bool entered;
    uint64_t entered_ms;
};

/* session_topics_log.c: one topic of the loop. */
struct session_topic *session_topics_log_get(struct session_topics *topics, struct bytes app, struct bytes name);
struct session_topic *session_topics_log_find(const struct session_topics *topics, struct bytes app, struct bytes name);
void session_topics_log_deliver(struct session_topic *topic, const struct peer_topic_news *news);
/* Ask now whether the position is the log's. */
void session_topics_log_check(struct session_topic *topic);
/* An item was sent: go on with what was missed. */
void session_topics_log_sent(struct session_topic *topic);
void session_topics_log_free(struct session_topic *topic);
void session_topics_log_unpin(struct session_topic *topic);

/* session_topics_slice.c */
void session_topics_slice_init(struct session_topics *topics);
/* No further slice. */
void session_topics_slice_stop(struct session_topics *topics);
/* Items wait: send them. */
void session_topics_slice_begin(struct session_topic *topic);
void session_topics_slice_free_item(struct topic_item *item);
/* The item that is being sent; NULL: none. */
struct topic_item *session_topics_slice_item(const struct session_topic *topic);
bool session_topics_slice_socket_full(const struct session *session);
/* Whether the session is meant by the condition. */
bool session_topics_slice_meets(const struct session *session, const struct condition *condition);

/* session_topics.c: calls that wait for room, or for the message role to be back. */
void session_topics_pump(struct session_topics *topics);
void session_topics_failed(struct session_topics *topics);

#endif
