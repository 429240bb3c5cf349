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
    case PEER_CHECK:
        return &msg->check.target;
    case PEER_SEND:
        return &msg->send.target;
    case PEER_RECALL:
        return &msg->recall.target;
    case PEER_ENROL:
        return &msg->enrol;
    case PEER_USER:
        return &msg->user;
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

void sim_msg_copy(struct sim_msg *to, const struct peer_msg *from)
{
    to->msg = *from;
    to->message = NULL;
    char *place = to->text;
    if (from->type == PEER_DELIVER || from->type == PEER_EVICT) {
        struct buf *message = from->type == PEER_DELIVER ? from->deliver.message : NULL;
        to->message = message != NULL ? buf_ref(message) : NULL;
        return;
    }
    struct peer_target *target = sim_msg_target(&to->msg);
    keep(&place, &target->app);
    keep(&place, &target->user);
    keep(&place, &target->device);
    if (from->type == PEER_SEND) {
        keep(&place, &to->msg.send.collapse_key);
        to->message = buf_ref(from->send.message);
    }
}

void sim_msg_reset(struct sim_msg *msg)
{
    buf_unref(msg->message);
    msg->message = NULL;
}

static void keep_page(struct peer_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        buf_ref(page->entries[i].message);
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
    }
}

void sim_reply_reset(struct sim_reply *reply)
{
    struct peer_page *page = reply->bound != NULL ? &reply->bound->page : reply->page;
    for (uint32_t i = 0; page != NULL && i < page->count; i++)
        buf_unref(page->entries[i].message);
    free(reply->bound);
    free(reply->page);
    *reply = (struct sim_reply){0};
}
