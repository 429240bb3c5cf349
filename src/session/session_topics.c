#include "session/session_topics.h"

#include "base/err.h"
#include "base/log.h"
#include "session/session_call.h"
#include "session/session_conn.h"
#include "session/session_topics_follow.h"

#include <stdlib.h>

#define FAILING_MS 300U

static struct bytes topic_key(const struct map_node *node)
{
    const struct session_topic *topic = container_of(node, const struct session_topic, node);
    return bytes_of(topic->text, topic->app.len + 1 + topic->name.len);
}

static struct bytes set_key(const struct map_node *node)
{
    const struct session_set *set = container_of(node, const struct session_set, node);
    return bytes_of(&set->slot, sizeof set->slot);
}

/* ---- calls that wait ---- */

static void on_pump(struct loop_task *task)
{
    struct session_topics *topics = container_of(task, struct session_topics, pump);
    if (topics->closing)
        return;
    session_topics_set_pump(topics);
    session_topics_follow_pump(topics);
}

void session_topics_pump(struct session_topics *topics)
{
    const bool waits = !list_empty(&topics->loading) || !list_empty(&topics->lagging);
    if (waits && !topics->failing && !topics->closing)
        loop_defer(topics->role->loop, &topics->pump);
}

static void on_retry(struct timer *timer)
{
    struct session_topics *topics = container_of(timer, struct session_topics, retry);
    topics->failing = false;
    session_topics_pump(topics);
}

void session_topics_failed(struct session_topics *topics)
{
    if (topics->closing)
        return;
    topics->failing = true;
    timer_start(topics->role->loop, &topics->retry, FAILING_MS, on_retry);
}

/* ---- life of the role ---- */

struct session_topics *session_topics_new(struct session_role *role)
{
    struct session_topics *topics = object_zalloc(sizeof *topics);
    topics->role = role;
    topics->codec = peer_codec_new();
    topics->pump.run = on_pump;
    topics->retry.fire = on_retry;
    map_init(&topics->topics, topic_key, rng_u64(loop_rng(role->loop)));
    map_init(&topics->sets, set_key, rng_u64(loop_rng(role->loop)));
    list_init(&topics->busy);
    list_init(&topics->lagging);
    list_init(&topics->loading);
    session_topics_slice_init(topics);
    return topics;
}

void session_topics_close(struct session_role *role)
{
    struct session_topics *topics = role->topics;
    topics->closing = true;
    timer_stop(&topics->retry);
    loop_undefer(&topics->pump);
    session_topics_slice_stop(topics);
    for (struct map_node *node = map_next(&topics->topics, NULL); node != NULL;
         node = map_next(&topics->topics, node)) {
        struct session_topic *topic = container_of(node, struct session_topic, node);
        timer_stop(&topic->renew);
        timer_stop(&topic->pace);
    }
}

void session_topics_free(struct session_topics *topics)
{
    if (topics == NULL)
        return;
    petrel_assert(topics->sets.count == 0);
    for (struct map_node *node; (node = map_next(&topics->topics, NULL)) != NULL;)
        session_topics_log_free(container_of(node, struct session_topic, node));
    map_reset(&topics->topics);
    map_reset(&topics->sets);
    loop_undefer(&topics->pump);
    session_topics_slice_stop(topics);
    timer_stop(&topics->retry);
    peer_codec_free(&topics->codec);
    free(topics);
}

/* ---- a session's life ---- */

static void keep_wanted(struct session_set *set, const struct session_connect *connect)
{
    size_t size = 0;
    for (uint32_t i = 0; i < connect->topics_count; i++)
        size += connect->topics[i].topic.len;
    if (size == 0)
        return;
    set->wanted = object_alloc(connect->topics_count * sizeof *set->wanted);
    set->wanted_text = object_alloc(size);
    set->wanted_count = connect->topics_count;
    uint8_t *place = set->wanted_text;
    for (uint32_t i = 0; i < connect->topics_count; i++) {
        const struct session_topic_position *from = &connect->topics[i];
        memcpy(place, from->topic.ptr, from->topic.len);
        set->wanted[i] = (struct session_topic_position){bytes_of(place, from->topic.len), from->position};
        place += from->topic.len;
    }
}

void session_topics_connect(struct session *session, const struct session_connect *connect)
{
    if (!connect->takes_topics)
        return;
    session->topics = SESSION_TOPICS_TAKES;
    struct session_set *set = session_topics_set_get(session);
    set->loaded = false;
    keep_wanted(set, connect);
}

void session_topics_live(struct session *session)
{
    if ((session->topics & SESSION_TOPICS_TAKES) == 0)
        return;
    session_topics_set_load(session_topics_set_get(session));
    session_topics_pump(session_role_of(session)->topics);
}

void session_topics_end(struct session *session)
{
    struct session_set *set = session_topics_set_find(session);
    if (set != NULL)
        session_topics_set_free(set);
    if ((session->topics & SESSION_TOPICS_WITH) != 0) {
        struct session_topic *topic = session_topics_log_find(
            session_role_of(session)->topics, session_identity_target(session->who).app, bytes_str(PEER_TOPIC_ALL));
        topic->followers--;
    }
    session->topics = 0;
}

void session_topics_drained(struct session *session)
{
    struct session_set *set = session_topics_set_find(session);
    if (set != NULL)
        session_topics_follow_drained(set);
}

void session_topics_refresh(struct session *session)
{
    if ((session->topics & SESSION_TOPICS_TAKES) == 0 || session->state != CONN_LIVE)
        return;
    session_topics_set_load(session_topics_set_get(session));
    session_topics_pump(session_role_of(session)->topics);
}

/* A list that is under way may have been read before what this check is to find: it is asked for again in place of it. */
uint64_t session_topics_believes(const struct session *session)
{
    if ((session->topics & SESSION_TOPICS_TAKES) == 0)
        return 0;
    struct session_set *set = session_topics_set_find(session);
    if (set == NULL)
        return PEER_FOLLOWS_NOTHING;
    if (set->loading || !list_empty(&set->ask)) {
        session_topics_set_load(set);
        return 0;
    }
    return set->subscriptions > 0 ? set->version : PEER_FOLLOWS_NOTHING;
}

/* ---- what is told ---- */

void session_topics_deliver(struct session_role *role, const struct peer_topic_deliver *deliver)
{
    struct session_topics *topics = role->topics;
    struct peer_topic_news news;
    if (topics->closing || peer_codec_topic_unpack(topics->codec, buf_bytes(deliver->record), &news) != 0)
        return;
    struct session_topic *topic = session_topics_log_find(topics, news.app, news.topic);
    if (topic != NULL)
        session_topics_log_deliver(topic, &news);
}

void session_topics_check(struct session_role *role)
{
    const struct session_topics *topics = role->topics;
    for (struct map_node *node = map_next(&topics->topics, NULL); node != NULL; node = map_next(&topics->topics, node))
        session_topics_log_check(container_of(node, struct session_topic, node));
}
