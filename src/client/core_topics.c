#include "client/core_topics.h"

#include "base/object.h"

struct petrel_topic *core_topics_find(struct petrel_core *core, struct bytes name)
{
    for (uint32_t i = 0; i < core->state.topics_count; i++) {
        if (bytes_equal_str(name, core->state.topics[i].name))
            return &core->state.topics[i];
    }
    return NULL;
}

static void set(struct petrel_core *core, struct bytes name, struct position at)
{
    struct petrel_topic *topic = core_topics_find(core, name);
    if (topic == NULL && core->state.topics_count < PETREL_TOPICS) {
        topic = &core->state.topics[core->state.topics_count++];
        *topic = (struct petrel_topic){.epoch = 0};
        memcpy(topic->name, name.ptr, name.len);
    }
    if (topic == NULL)
        return; /* more than a server lets a device follow */
    topic->epoch = at.epoch;
    topic->seq = at.seq;
    core->unsaved = true;
}

static void forget(struct petrel_core *core, struct bytes name)
{
    struct petrel_topic *topic = core_topics_find(core, name);
    if (topic == NULL)
        return;
    *topic = core->state.topics[--core->state.topics_count];
    core->state.topics[core->state.topics_count] = (struct petrel_topic){.epoch = 0};
    core->unsaved = true;
}

uint32_t core_topics_list(const struct petrel_core *core, struct session_topic_position out[SESSION_TOPICS_MAX])
{
    for (uint32_t i = 0; i < core->state.topics_count; i++) {
        const struct petrel_topic *topic = &core->state.topics[i];
        out[i] = (struct session_topic_position){bytes_str(topic->name), {topic->epoch, topic->seq}};
    }
    return core->state.topics_count;
}

int core_topics_accept(struct petrel_core *core, const struct session_push *push, const char **why)
{
    const struct petrel_topic *topic = core_topics_find(core, push->topic);
    if (topic != NULL && push->position.epoch != topic->epoch) {
        *why = "a topic's message of another epoch came without a GAP";
        return -1;
    }
    if (topic != NULL && push->position.seq <= topic->seq)
        return 0;
    if (topic != NULL && push->prev > topic->seq) {
        *why = "a topic's messages are missing before one that came";
        return -1;
    }
    set(core, push->topic, push->position);
    return 1;
}

void core_topics_gap(struct petrel_core *core, const struct session_gap *gap)
{
    set(core, gap->topic, gap->to);
}

void core_topics_subscribed(struct petrel_core *core, const struct session_subscribed *subscribed)
{
    const bool follows = !position_is_none(subscribed->position);
    char name[PETREL_TOPIC_NAME + 1] = {0};
    const bool had = core_topics_find(core, subscribed->topic) != NULL;
    memcpy(name, subscribed->topic.ptr, subscribed->topic.len);
    if (follows)
        set(core, subscribed->topic, subscribed->position);
    else if (subscribed->refused == 0)
        forget(core, subscribed->topic);
    /* What moves a position alone is no news to the application. */
    const bool news = subscribed->refused != 0 || subscribed->verdict == SESSION_NEW || follows != had;
    if (news && core->callbacks.on_topic != NULL)
        core->callbacks.on_topic(core->ctx, name, subscribed->refused != 0 ? had : follows, subscribed->refused);
}
