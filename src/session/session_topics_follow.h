/* session_topics_follow.h: sessions in topics, as far as their flags don't say it: where a session stands in each, and what its device is
 * subscribed to. Private to session_topics. */
#ifndef PETREL_SESSION_SESSION_TOPICS_FOLLOW_H
#define PETREL_SESSION_SESSION_TOPICS_FOLLOW_H

#include "session/session_topics_impl.h"

struct session_call;

enum follow_state {
    FOLLOW_WAITING, /* in topic->waiting */
    FOLLOW_WITH,    /* in topic->members or unsent */
    FOLLOW_LAGS,    /* in topics->lagging */
    FOLLOW_BLOCKED, /* nowhere, until its socket drains */
    FOLLOW_ASKS,    /* its call is under way */
};

/* A session in a topic; of `all` only while it is apart. */
struct topic_follow {
    struct list of_set;
    struct list node;
    struct session_set *set;
    struct session_topic *topic;
    const struct session_call *call; /* its TOPIC_FETCH */
    struct position loop_at;         /* where the loop was when that was asked */
    struct position at;              /* none: from where the loop is */
    uint64_t told;                   /* what of it the client knows */
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
    struct list asks; /* SUBSCRIBE and UNSUBSCRIBE that wait for the set, or for the one under way */
    uint32_t asking;  /* all of them */
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

/* session_topics_follow.c */
void session_topics_follow_init(struct session_topics *topics);
/* at none: from where the loop is. */
struct topic_follow *session_topics_follow_new(struct session_set *set, struct session_topic *topic, struct position at,
                                               bool anew);
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

/* session_topics_ask.c */
/* Ask what waits first, now that the set is loaded. The set may be gone afterwards. */
void session_topics_ask_next(struct session_set *set);
void session_topics_ask_forget(struct session_set *set);

#endif
