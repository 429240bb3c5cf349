#include "unit/api_rig_message.h"

#include "base/object.h"

#include <stdio.h>
#include <string.h>

/* ---- what is written down ---- */

static void keep_text(char *out, size_t size, struct bytes text)
{
    (void)snprintf(out, size, "%.*s", (int)text.len, text.len > 0 ? (const char *)text.ptr : "");
}

static const struct peer_target *target_of(const struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_SEND:
        return &msg->send.target;
    case PEER_RECALL:
    case PEER_STATE:
        return &msg->state.target;
    case PEER_REMOVE:
        return &msg->remove.target;
    case PEER_SUBSCRIBE:
    case PEER_UNSUBSCRIBE:
        return &msg->subscribe.target;
    case PEER_SUBSCRIPTIONS:
        return &msg->subscriptions;
    default:
        return &msg->user; /* ENROL too: both are a target alone */
    }
}

static void keep_send(struct api_rig *rig, const struct peer_send *send)
{
    struct api_rig_script *script = &rig->script;
    script->send = *send;
    keep_text(script->collapse_key, sizeof script->collapse_key, send->collapse_key);
    buf_unref(script->message_buf);
    script->message_buf = buf_ref(send->message);
    petrel_assert(session_decode_message(rig->codec, buf_bytes(send->message), &script->message) == 0);
    const size_t len = strlen(script->order);
    (void)snprintf(script->order + len, sizeof script->order - len, "%.*s,", (int)send->target.device.len,
                   send->target.device.len > 0 ? (const char *)send->target.device.ptr : "");
}

/* "topic(terms) ": how many terms its condition has, if it has one. */
static void keep_topic(struct api_rig_script *script, const struct peer_msg *msg)
{
    const struct bytes topic = msg->type == PEER_TOPIC_SEND    ? msg->topic_send.topic
                               : msg->type == PEER_TOPIC_FETCH ? msg->topic_fetch.topic
                                                               : msg->subscribe.topic;
    const size_t len = strlen(script->topics);
    struct condition condition = {.terms_count = 0};
    if (msg->type == PEER_TOPIC_SEND) {
        petrel_assert(condition_unpack(msg->topic_send.condition, &condition) == 0);
        script->topic_id = msg->topic_send.id;
        script->topic_expires_ms = msg->topic_send.expires_ms;
        script->has_key = msg->topic_send.has_key;
        script->rate = condition.rate;
    }
    (void)snprintf(script->topics + len, sizeof script->topics - len, "%.*s(%u) ", (int)topic.len,
                   (const char *)topic.ptr, condition.terms_count);
}

static bool is_about_topic(enum peer_type type)
{
    return type == PEER_TOPIC_SEND || type == PEER_TOPIC_FETCH || type == PEER_SUBSCRIBE || type == PEER_UNSUBSCRIBE;
}

/* ---- answers ---- */

static void answer_topic(const struct api_rig_script *script, struct link_call *call)
{
    static const struct peer_topic_page page = {.verdict = SESSION_NEW, .position = {7, 40}, .head = 41};
    static const struct peer_subscriptions set = {
        .version = 1, .count = 1, .all = {{{(const uint8_t *)"news", 4}, {7, 40}}}};
    if (call->in.type == PEER_TOPIC_SEND)
        call->reply.sent = (struct peer_sent){.duplicate = script->duplicate, .id = call->in.topic_send.id};
    else if (call->in.type == PEER_TOPIC_FETCH)
        call->reply.topic_page = &page;
    else if (call->in.type == PEER_SUBSCRIPTIONS)
        call->reply.subscriptions = &set;
}

static void answer(struct api_rig *rig, struct link_call *call)
{
    struct api_rig_script *script = &rig->script;
    call->reply.status = script->status;
    if (script->lost > 0) {
        script->lost--;
        script->lost_id = call->in.type == PEER_SEND ? call->in.send.id : (struct id){0};
        call->reply.status = PETREL_E_UNAVAILABLE;
    }
    if (call->in.type == PEER_SEND)
        call->reply.sent = (struct peer_sent){.duplicate = script->duplicate, .id = call->in.send.id};
    else if (call->in.type == PEER_STATE)
        call->reply.stated = &script->stated;
    else if (call->in.type == PEER_USER)
        call->reply.user = &script->user;
    else if (call->in.type == PEER_REMOVE)
        call->reply.removed.route = script->removed;
    else
        answer_topic(script, call);
    link_answer(call);
}

static void on_call(void *ctx, struct link_call *call)
{
    struct api_rig *rig = ctx;
    struct api_rig_script *script = &rig->script;
    pthread_mutex_lock(&rig->lock);
    script->last_type = call->in.type;
    static const struct peer_target none;
    const bool of_topic = call->in.type == PEER_TOPIC_SEND || call->in.type == PEER_TOPIC_FETCH;
    const struct peer_target *target = of_topic ? &none : target_of(&call->in);
    if (is_about_topic(call->in.type))
        keep_topic(script, &call->in);
    keep_text(script->target[0], sizeof script->target[0], target->app);
    keep_text(script->target[1], sizeof script->target[1], target->user);
    keep_text(script->target[2], sizeof script->target[2], target->device);
    if (call->in.type == PEER_SEND)
        keep_send(rig, &call->in.send);
    else if (call->in.type == PEER_REMOVE)
        script->remove = call->in.remove;
    const bool hold = script->hold;
    if (hold) {
        petrel_assert(rig->held_count < API_RIG_HELD_MAX);
        rig->held[rig->held_count++] = call;
    }
    script->calls++;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
    if (!hold)
        answer(rig, call);
}

struct link_server api_rig_message_server(struct api_rig *rig)
{
    return (struct link_server){.ctx = rig, .on_call = on_call};
}

/* ---- calls that were held ---- */

static void release_first_to_last(struct api_rig *rig)
{
    for (int i = 0, count = rig->held_count; i < count; i++)
        answer(rig, rig->held[i]);
    rig->held_count = 0;
}

static void release_last_to_first(struct api_rig *rig)
{
    const int count = rig->held_count;
    rig->held_count = 0;
    struct link_call *held[API_RIG_HELD_MAX];
    memcpy(held, rig->held, sizeof held);
    for (int i = count; i > 0; i--)
        answer(rig, held[i - 1]);
}

void api_rig_release(struct api_rig *rig, bool reverse)
{
    pthread_mutex_lock(&rig->lock);
    rig->script.hold = false;
    pthread_mutex_unlock(&rig->lock);
    api_rig_run(rig, reverse ? release_last_to_first : release_first_to_last);
}
