/* session_topics_set.c: what a device follows, as the store has it: asked for when its session goes live, and again when it may have
 * changed. */
#include "base/err.h"
#include "session/session_call.h"
#include "session/session_topics_follow.h"

#include <stdlib.h>

struct session_set *session_topics_set_find(const struct session *session)
{
    if ((session->topics & SESSION_TOPICS_SET) == 0)
        return NULL;
    const struct session_topics *topics = session_role_of(session)->topics;
    const uint32_t slot = session_slot(session);
    struct map_node *node = map_find(&topics->sets, bytes_of(&slot, sizeof slot));
    return container_of(node, struct session_set, node);
}

struct session_set *session_topics_set_get(struct session *session)
{
    struct session_set *set = session_topics_set_find(session);
    if (set != NULL)
        return set;
    set = object_zalloc(sizeof *set);
    set->topics = session_role_of(session)->topics;
    set->session = session;
    set->slot = session_slot(session);
    set->loaded = true;
    list_init(&set->ask);
    list_init(&set->asks);
    list_init(&set->follows);
    session->topics |= SESSION_TOPICS_SET;
    map_insert(&set->topics->sets, &set->node);
    return set;
}

static void forget_wanted(struct session_set *set)
{
    free(set->wanted);
    free(set->wanted_text);
    set->wanted = NULL;
    set->wanted_text = NULL;
    set->wanted_count = 0;
}

void session_topics_set_free(struct session_set *set)
{
    struct list *node, *next;
    LIST_FOREACH(node, next, &set->follows)
    session_topics_follow_end(container_of(node, struct topic_follow, of_set));
    session_topics_ask_forget(set);
    list_remove(&set->ask);
    map_remove(&set->topics->sets, &set->node);
    set->session->topics &= SESSION_TOPICS_ALL_BUT(SESSION_TOPICS_SET);
    forget_wanted(set);
    free(set);
}

void session_topics_set_tidy(struct session_set *set)
{
    if (set->loaded && !set->loading && list_empty(&set->ask) && list_empty(&set->follows) && set->asking == 0)
        session_topics_set_free(set);
}

struct topic_follow *session_topics_set_follow(const struct session_set *set, struct bytes topic)
{
    struct list *node, *next;
    LIST_FOREACH(node, next, &set->follows)
    {
        struct topic_follow *follow = container_of(node, struct topic_follow, of_set);
        if (bytes_equal(follow->topic->name, topic))
            return follow;
    }
    return NULL;
}

/* ---- the store's word ---- */

static struct position wanted_at(const struct session_set *set, struct bytes topic)
{
    for (uint32_t i = 0; i < set->wanted_count; i++) {
        if (bytes_equal(set->wanted[i].topic, topic))
            return set->wanted[i].position;
    }
    return (struct position){0, 0};
}

static bool holds(const struct peer_subscriptions *all, struct bytes topic)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (bytes_equal(all->all[i].topic, topic))
            return true;
    }
    return false;
}

static void begin(struct session_set *set, struct bytes name, struct position begins)
{
    struct session *session = set->session;
    const struct position had = wanted_at(set, name);
    struct session_topic *topic = session_topics_log_get(set->topics, session_identity_target(session->who).app, name);
    /* What it had may be of an earlier subscription: what came between the two is not for it. */
    const bool anew = position_is_none(had) || session_later(begins, had);
    session_topics_follow_settle(session_topics_follow_new(set, topic, anew ? begins : had, anew));
}

/* What the device holds a position in, or follows, and is not subscribed to. */
static void end_others(struct session_set *set, const struct peer_subscriptions *all)
{
    const struct bytes every = bytes_str(PEER_TOPIC_ALL);
    struct list *node, *next;
    for (uint32_t i = 0; i < set->wanted_count; i++) {
        const struct bytes topic = set->wanted[i].topic;
        if (!bytes_equal(topic, every) && !holds(all, topic))
            session_topics_follow_tell(set->session, topic, (struct position){0, 0}, 0, 0);
    }
    LIST_FOREACH(node, next, &set->follows)
    {
        struct topic_follow *follow = container_of(node, struct topic_follow, of_set);
        if (follow->topic->is_all || holds(all, follow->topic->name))
            continue;
        session_topics_follow_tell(set->session, follow->topic->name, (struct position){0, 0}, 0, 0);
        session_topics_follow_end(follow);
    }
}

/* What it follows already goes on, unless it was subscribed anew meanwhile. */
static void go_on(struct session_set *set, const struct peer_subscription *subscription)
{
    struct topic_follow *follow = session_topics_set_follow(set, subscription->topic);
    if (follow != NULL && !session_later(subscription->position, follow->at))
        return;
    if (follow != NULL)
        session_topics_follow_end(follow);
    begin(set, subscription->topic, subscription->position);
}

/* The subscriptions first: a condition of an entry of `all` asks for them. */
static void take_set(struct session_set *set, const struct peer_subscriptions *all)
{
    const struct bytes every = bytes_str(PEER_TOPIC_ALL);
    set->version = all->version;
    end_others(set, all);
    for (uint32_t i = 0; i < all->count; i++)
        go_on(set, &all->all[i]);
    set->loaded = false; /* so that it stays while `all` begins */
    if ((set->session->topics & SESSION_TOPICS_WITH) == 0 && session_topics_set_follow(set, every) == NULL)
        begin(set, every, (struct position){0, 0});
    forget_wanted(set);
    set->loaded = true;
}

static void on_loaded(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_topics *topics = call->role->topics;
    struct session_set *set = session != NULL ? session_topics_set_find(session) : NULL;
    const int status = link->reply.status;
    topics->loads--;
    if (set != NULL) {
        const bool again = set->again, waited = !set->loaded;
        set->loading = set->again = false;
        /* What is to be asked again may be older than what is known. */
        if (status == 0 && !again)
            take_set(set, link->reply.subscriptions);
        else if (status != 0 && !session_call_again(status))
            set->loaded = true; /* there is nothing to be had */
        if (again || (status != 0 && session_call_again(status)))
            session_topics_set_load(set);
        if (waited && set->loaded)
            session_topics_ask_next(set);
        else
            session_topics_set_tidy(set);
    }
    if (status != 0)
        session_topics_failed(topics);
    session_call_give(call);
    session_topics_pump(topics);
}

static bool ask(struct session_set *set)
{
    struct session_topics *topics = set->topics;
    struct session_call *call = session_call_take(set->session, false);
    call->link.in = (struct peer_msg){.type = PEER_SUBSCRIPTIONS};
    call->link.in.subscriptions = session_identity_target(call->who);
    list_remove(&set->ask);
    set->loading = true;
    topics->loads++;
    if (session_call_ask(call, on_loaded) == 0)
        return true;
    topics->loads--;
    set->loading = false;
    list_push_back(&topics->loading, &set->ask);
    session_topics_failed(topics);
    return false;
}

void session_topics_set_pump(struct session_topics *topics)
{
    while (!list_empty(&topics->loading) && topics->loads < SESSION_TOPICS_CALLS_MAX && !topics->failing) {
        if (!ask(container_of(topics->loading.next, struct session_set, ask)))
            return;
    }
}

void session_topics_set_load(struct session_set *set)
{
    if (set->loading)
        set->again = true;
    else if (list_empty(&set->ask))
        list_push_back(&set->topics->loading, &set->ask);
}
