#include "sim/sim_msg.h"

#include "base/object.h"

#include <stdlib.h>

struct peer_target *sim_msg_target(struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_BIND:
        return &msg->bind.target;
    case PEER_UNBIND:
        return &msg->unbind.target;
    case PEER_FETCH:
        return &msg->fetch.target;
    case PEER_ACK:
        return &msg->ack.target;
    case PEER_SEND:
        return &msg->send.target;
    case PEER_RECALL:
        return &msg->recall.target;
    case PEER_ENROL:
        return &msg->enrol;
    case PEER_USER:
        return &msg->user;
    case PEER_SUBSCRIBE:
    case PEER_UNSUBSCRIBE:
        return &msg->subscribe.target;
    case PEER_SUBSCRIPTIONS:
        return &msg->subscriptions;
    default:
        object_panic(__FILE__, __LINE__, "a call that the simulation makes");
    }
}

static void keep(char **place, struct bytes *text)
{
    if (text->ptr == NULL)
        return;
    memcpy(*place, text->ptr, text->len);
    text->ptr = (const uint8_t *)*place;
    *place += text->len;
}

/* What a tell shares, or a call appends. */
static struct buf *message_of(const struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_DELIVER:
        return msg->deliver.message;
    case PEER_TOPIC_DELIVER:
        return msg->topic_deliver.record;
    case PEER_SEND:
        return msg->send.message;
    case PEER_TOPIC_SEND:
        return msg->topic_send.message;
    default:
        return NULL;
    }
}

static void keep_target(char **place, struct peer_target *target)
{
    keep(place, &target->app);
    keep(place, &target->user);
    keep(place, &target->device);
}

static void keep_texts(char **place, struct peer_msg *msg)
{
    switch (msg->type) {
    case PEER_DELIVER:
    case PEER_EVICT:
    case PEER_TOPIC_DELIVER:
    case PEER_RESUBSCRIBED:
        return;
    case PEER_CHECK:
        return; /* its entries have memory of their own */
    case PEER_TOPIC_SEND:
        keep(place, &msg->topic_send.app);
        keep(place, &msg->topic_send.topic);
        keep(place, &msg->topic_send.condition);
        return;
    case PEER_TOPIC_FETCH:
        keep(place, &msg->topic_fetch.app);
        keep(place, &msg->topic_fetch.topic);
        return;
    case PEER_TOPIC_INTEREST:
        keep(place, &msg->topic_interest.app);
        keep(place, &msg->topic_interest.topic);
        return;
    default:
        keep_target(place, sim_msg_target(msg));
    }
    if (msg->type == PEER_SEND)
        keep(place, &msg->send.collapse_key);
    else if (msg->type == PEER_SUBSCRIBE || msg->type == PEER_UNSUBSCRIBE)
        keep(place, &msg->subscribe.topic);
}

void sim_msg_copy(struct sim_msg *to, const struct peer_msg *from)
{
    struct buf *message = message_of(from);
    char *place = to->text;
    to->msg = *from;
    to->message = message != NULL ? buf_ref(message) : NULL;
    keep_texts(&place, &to->msg);
    to->entries = NULL;
    if (from->type != PEER_CHECK)
        return;
    to->entries = buf_copy(from->check.entries);
    to->msg.check.entries = buf_bytes(to->entries);
}

void sim_msg_reset(struct sim_msg *msg)
{
    buf_unref(msg->message);
    msg->message = NULL;
    buf_unref(msg->entries);
    msg->entries = NULL;
}

static void keep_page(struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        buf_ref(page->entries[i].message);
}

static void copy_topic_page(struct sim_reply *to, const struct peer_topic_page *from)
{
    struct peer_topic_page *page = object_zalloc(sizeof *page);
    *page = *from;
    to->topic_page = page;
    to->reply.topic_page = page;
    for (uint32_t i = 0; i < page->count; i++) {
        struct peer_topic_entry *entry = &page->entries[i];
        buf_ref(entry->message);
        if (entry->condition.len > 0)
            entry->condition.ptr =
                memcpy(object_alloc(entry->condition.len), entry->condition.ptr, entry->condition.len);
    }
}

static void copy_subscriptions(struct sim_reply *to, const struct peer_subscriptions *from)
{
    to->subscriptions = object_alloc(sizeof *to->subscriptions);
    *to->subscriptions = *from;
    to->reply.subscriptions = to->subscriptions;
    for (uint32_t i = 0; i < from->count; i++) {
        struct bytes *topic = &to->subscriptions->all[i].topic;
        topic->ptr = memcpy(object_alloc(topic->len), topic->ptr, topic->len);
    }
}

void sim_reply_copy(struct sim_reply *to, enum peer_type type, const struct peer_reply *from)
{
    *to = (struct sim_reply){.reply = *from};
    if (from->status != 0)
        return;
    if (type == PEER_BIND) {
        to->bound = object_alloc(sizeof *to->bound);
        *to->bound = *from->bound;
        keep_page(&to->bound->page);
        to->reply.bound = to->bound;
    } else if (type == PEER_FETCH) {
        to->page = object_alloc(sizeof *to->page);
        *to->page = *from->fetched;
        keep_page(to->page);
        to->reply.fetched = to->page;
    } else if (type == PEER_CHECK) {
        to->checked = object_alloc(sizeof *to->checked);
        *to->checked = *from->checked;
        to->reply.checked = to->checked;
    } else if (type == PEER_TOPIC_FETCH) {
        copy_topic_page(to, from->topic_page);
    } else if (type == PEER_SUBSCRIPTIONS) {
        copy_subscriptions(to, from->subscriptions);
    }
}

void sim_reply_reset(struct sim_reply *reply)
{
    struct peer_page *page = reply->bound != NULL ? &reply->bound->page : reply->page;
    for (uint32_t i = 0; page != NULL && i < page->count; i++)
        buf_unref(page->entries[i].message);
    for (uint32_t i = 0; reply->topic_page != NULL && i < reply->topic_page->count; i++) {
        buf_unref(reply->topic_page->entries[i].message);
        if (reply->topic_page->entries[i].condition.len > 0)
            free((void *)(uintptr_t)reply->topic_page->entries[i].condition.ptr);
    }
    for (uint32_t i = 0; reply->subscriptions != NULL && i < reply->subscriptions->count; i++)
        free((void *)(uintptr_t)reply->subscriptions->all[i].topic.ptr);
    free(reply->bound);
    free(reply->page);
    free(reply->checked);
    free(reply->topic_page);
    free(reply->subscriptions);
    *reply = (struct sim_reply){0};
}
