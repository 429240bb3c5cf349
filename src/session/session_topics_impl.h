/* session_topics_impl.h: what the files of session_topics share. Private to them. */
#ifndef PETREL_SESSION_SESSION_TOPICS_IMPL_H
#define PETREL_SESSION_SESSION_TOPICS_IMPL_H

#include "base/map.h"
#include "base/object.h"
#include "session/session_topics.h"
#include "wire/condition.h"
#include "wire/peer_codec.h"

#define SESSION_TOPICS_LEASE_MS 60000U
#define SESSION_TOPICS_RENEW_MS (SESSION_TOPICS_LEASE_MS / 3)
#define SESSION_TOPICS_RETRY_MS 500U
#define SESSION_TOPICS_ITEMS_MAX 64U   /* of one topic, that wait to be sent; the log has the rest */
#define SESSION_TOPICS_CALLS_MAX 128U  /* for sessions, of each kind, under way */
#define SESSION_TOPICS_ASKING_MAX 8U   /* SUBSCRIBE and UNSUBSCRIBE of one session under way */

/* One entry, or what followers are told of a hole, on its way to those that are with the loop. */
struct topic_item {
    struct list node;
    struct buf *frame;   /* NULL: an advance */
    struct position to;  /* where followers are once it is sent */
    uint64_t expires_ms; /* 0: never */
    struct condition *condition; /* NULL: for everybody */
    uint32_t per_second;         /* 0: as fast as it goes */
    uint64_t began_ms;
    uint64_t sent;
};

struct session_topic {
    struct map_node node; /* key: app, zero, name */
    struct session_topics *topics;
    struct list busy;     /* in topics->busy while items wait */
    struct bytes app;     /* these two in `text` */
    struct bytes name;
    bool is_all;
    bool known;    /* `at` is; else the first answer about the topic is awaited */
    bool asking;   /* TOPIC_INTEREST is under way */
    bool fetching; /* TOPIC_FETCH, for the loop */
    bool again;    /* to be asked again when the answer is here */
    uint32_t pins; /* calls that borrow its name */
    uint32_t followers;
    struct position at;     /* all followers that are with the loop have been sent everything up to here */
    struct position tail;   /* the same once the items are sent */
    struct position missed; /* the newest that was heard of and is not among the items */
    uint64_t sure;          /* the last seq that everybody who is with the loop was told: a PUSH's prev */
    uint32_t share;         /* loops among which a pace is shared */
    struct list items;
    uint32_t items_count;
    uint32_t slot;          /* of `all`: where the slice goes on */
    struct list members;    /* with the loop; of `all` none */
    struct list unsent;     /* of them, while an item is sent, those it has not come to */
    struct list waiting;    /* apart, and as far as the loop or farther, or until it is known */
    struct timer renew;
    struct timer pace;
    struct link_call interest;
    struct link_call fetch;
    uint8_t text[];
};

enum follow_state {
    FOLLOW_WAITING, /* in topic->waiting */
    FOLLOW_WITH,    /* in topic->members or unsent */
    FOLLOW_LAGS,    /* in topics->lagging */
    FOLLOW_BLOCKED, /* nowhere, until its socket drains */
    FOLLOW_ASKS,    /* its TOPIC_FETCH is under way */
};

/* A session in a topic; of `all` only while it is apart. */
struct topic_follow {
    struct list of_set;
    struct list node;
    struct session_set *set;
    struct session_topic *topic;
    struct position at; /* none: from where the loop is */
    uint64_t told;      /* what of it the client knows */
    uint8_t state;
    bool anew; /* the client is to be told where it begins */
};

/* What is known of a session beyond its flags. */
struct session_set {
    struct map_node node; /* key: slot */
    struct list ask;      /* in topics->loading while SUBSCRIPTIONS is to be asked */
    struct session_topics *topics;
    struct session *session;
    uint32_t slot;
    uint32_t asking; /* SUBSCRIBE and UNSUBSCRIBE under way */
    struct list follows;
    uint32_t subscriptions;
    uint64_t version;
    bool loaded;  /* the set is as the store had it */
    bool loading; /* SUBSCRIPTIONS is under way */
    bool again;
    uint32_t wanted_count; /* what CONNECT brought, until loaded */
    struct session_topic_position *wanted;
    uint8_t *wanted_text;
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
    bool failing;        /* the last call failed: wait */
    bool closing;
    struct timer retry;
    struct loop_task pump;
    struct loop_task slice;
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
/* Items wait: send them. */
void session_topics_slice_begin(struct session_topic *topic);
void session_topics_slice_free_item(struct topic_item *item);
/* The item that is being sent; NULL: none. */
struct topic_item *session_topics_slice_item(const struct session_topic *topic);
bool session_topics_slice_socket_full(const struct session *session);
/* Whether the session is meant by the condition. */
bool session_topics_slice_meets(const struct session *session, const struct condition *condition);

/* session_topics_follow.c */
void session_topics_follow_init(struct session_topics *topics);
/* at none: from where the loop is. */
struct topic_follow *session_topics_follow_new(struct session_set *set, struct session_topic *topic,
                                               struct position at, bool anew);
/* It follows no more; of `all` too when it is with the loop. */
void session_topics_follow_end(struct topic_follow *follow);
/* Where it is has changed, or where the loop is. It may be gone afterwards, and its set. */
void session_topics_follow_settle(struct topic_follow *follow);
void session_topics_follow_settle_all(struct session_topic *topic);
/* Its socket is full: it is apart from here on. */
void session_topics_follow_lag(struct topic_follow *follow);
void session_topics_follow_drained(struct session_set *set);
void session_topics_follow_pump(struct session_topics *topics);
/* Tell the client where it is in the topic; none: that it does not follow it. */
void session_topics_follow_tell(struct session *session, struct bytes topic, struct position at,
                                enum session_verdict verdict, uint32_t refused);

/* session_topics_set.c */
struct session_set *session_topics_set_find(const struct session *session);
/* Made if there is none; one made so has been loaded: it holds nothing that the store does not know. */
struct session_set *session_topics_set_get(struct session *session);
/* Forget it, if nothing is known that the flags don't say. */
void session_topics_set_tidy(struct session_set *set);
void session_topics_set_free(struct session_set *set);
void session_topics_set_load(struct session_set *set);
void session_topics_set_pump(struct session_topics *topics);
struct topic_follow *session_topics_set_follow(const struct session_set *set, struct bytes topic);

/* session_topics.c: calls that wait for room, or for the message role to be back. */
void session_topics_pump(struct session_topics *topics);
void session_topics_failed(struct session_topics *topics);

#endif
