/* session_topics_ask.c: what devices ask of their subscriptions: one after the other, as whoever answers first may not have been asked
 * first. */
#include "base/err.h"
#include "session/session_call.h"
#include "session/session_topics_follow.h"

#include <stdlib.h>

struct ask {
    struct list node;
    enum peer_type verb;
    struct session_topic *topic; /* pinned */
};

static void refuse(struct session *session, struct bytes name, uint32_t code)
{
    session_topics_follow_tell(session, name, (struct position){0, 0}, 0, code);
}

static uint32_t refusal_of(int status)
{
    return status == PETREL_E_TOO_LARGE ? SESSION_CODE_TOO_MANY_TOPICS : SESSION_CODE_UNAVAILABLE;
}

static void take_subscribed(struct session_set *set, struct session_topic *topic,
                            const struct peer_subscribed *subscribed)
{
    struct topic_follow *follow = session_topics_set_follow(set, topic->name);
    /* Of a subscription that has ended, though nobody told. */
    if (follow != NULL && session_later(subscribed->position, follow->at)) {
        session_topics_follow_end(follow);
        follow = NULL;
    }
    if (follow == NULL) {
        follow = session_topics_follow_new(set, topic, subscribed->position, false);
        session_topics_follow_tell(set->session, topic->name, subscribed->position, SESSION_NEW, 0);
        session_topics_follow_settle(follow);
        return;
    }
    /* Not `told`, which stands still while it is with the loop. */
    session_topics_follow_tell(set->session, topic->name, follow->at, SESSION_RESUMED, 0);
    follow->told = follow->at.seq;
}

static void take_unsubscribed(struct session_set *set, struct session_topic *topic)
{
    struct topic_follow *follow = session_topics_set_follow(set, topic->name);
    session_topics_follow_tell(set->session, topic->name, (struct position){0, 0}, 0, 0);
    if (follow != NULL)
        session_topics_follow_end(follow);
}

/* Whether the set was another one before than the one that is known: somebody changed it and nobody told; or what is known is newer
 * than the answer, which was long on its way. */
static bool missed_a_change(const struct session_set *set, const struct peer_subscribed *subscribed)
{
    return subscribed->prev != (set->subscriptions > 0 ? set->version : 0) || subscribed->version < set->version;
}

static void take_answer(struct session_set *set, struct session_topic *topic, const struct link_call *link)
{
    const int status = link->reply.status;
    const bool missed = status == 0 && missed_a_change(set, &link->reply.subscribed);
    if (status != 0)
        refuse(set->session, topic->name, refusal_of(status));
    else if (link->in.type == PEER_SUBSCRIBE)
        take_subscribed(set, topic, &link->reply.subscribed);
    else
        take_unsubscribed(set, topic);
    if (status == 0)
        set->version = link->reply.subscribed.version;
    /* Whether it was carried out is not known; and a list that is under way may have been read before it was. */
    if (set->loading || missed || (status != 0 && session_call_again(status)))
        session_topics_set_load(set);
}

static void on_changed(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_topics *topics = call->role->topics;
    struct session_topic *topic =
        session_topics_log_find(topics, session_identity_target(call->who).app, link->in.subscribe.topic);
    struct session_set *set = session != NULL ? session_topics_set_find(session) : NULL;
    if (set != NULL) {
        set->asking--;
        take_answer(set, topic, link);
        session_topics_ask_next(set);
    }
    session_topics_log_unpin(topic);
    session_call_give(call);
    session_topics_pump(topics);
}

static int ask(struct session_set *set, const struct ask *what)
{
    struct session_call *call = session_call_take(set->session, false);
    call->link.in = (struct peer_msg){.type = what->verb};
    call->link.in.subscribe = (struct peer_subscribe){.target = session_identity_target(call->who),
                                                      .topic = what->topic->name,
                                                      .asked_by = session_route(set->session)};
    return session_call_ask(call, on_changed);
}

void session_topics_ask_next(struct session_set *set)
{
    for (struct list *node; (node = list_pop_front(&set->asks)) != NULL;) {
        struct ask *next = container_of(node, struct ask, node);
        struct session_topic *topic = next->topic;
        const int rc = ask(set, next);
        free(next);
        if (rc == 0)
            return;
        set->asking--;
        refuse(set->session, topic->name, refusal_of(rc));
        session_topics_log_unpin(topic);
    }
    session_topics_set_tidy(set);
}

void session_topics_ask_forget(struct session_set *set)
{
    for (struct list *node; (node = list_pop_front(&set->asks)) != NULL;) {
        struct ask *ask = container_of(node, struct ask, node);
        session_topics_log_unpin(ask->topic);
        free(ask);
    }
}

void session_topics_asked(struct session *session, enum session_type type, struct bytes name)
{
    struct session_topics *topics = session_role_of(session)->topics;
    const bool takes = (session->topics & SESSION_TOPICS_TAKES) != 0;
    if (!takes || bytes_equal_str(name, PEER_TOPIC_ALL)) {
        refuse(session, name, SESSION_CODE_UNSUPPORTED);
        return;
    }
    struct session_set *set = session_topics_set_get(session);
    if (set->asking >= SESSION_TOPICS_ASKING_MAX) {
        refuse(session, name, SESSION_CODE_OVERLOADED);
        return;
    }
    struct ask *ask = object_zalloc(sizeof *ask);
    ask->verb = type == SESSION_SUBSCRIBE ? PEER_SUBSCRIBE : PEER_UNSUBSCRIBE;
    ask->topic = session_topics_log_get(topics, session_identity_target(session->who).app, name);
    ask->topic->pins++;
    list_push_back(&set->asks, &ask->node);
    /* Nothing is followed before all that is: a condition may ask for any of it, and CONNECT has said from where. */
    if (set->asking++ == 0 && set->loaded)
        session_topics_ask_next(set);
}
