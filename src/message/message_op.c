#include "message/message_op.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

void message_op_init(struct message_ops *ops, uint32_t max_inflight)
{
    *ops = (struct message_ops){.max_inflight = max_inflight};
    list_init(&ops->free);
}

void message_op_reset(struct message_ops *ops)
{
    petrel_assert(ops->inflight == 0);
    for (struct list *node; (node = list_pop_front(&ops->free)) != NULL;)
        free(container_of(node, struct message_op, node));
}

struct message_op *message_op_take(struct message_ops *ops)
{
    if (ops->inflight >= ops->max_inflight)
        return NULL;
    ops->inflight++;
    struct list *node = list_pop_front(&ops->free);
    struct message_op *op = node != NULL ? container_of(node, struct message_op, node) : object_zalloc(sizeof *op);
    op->magic = MESSAGE_OP_MAGIC;
    list_init(&op->node);
    return op;
}

void message_op_give(struct message_ops *ops, struct message_op *op)
{
    object_check(op, MESSAGE_OP_MAGIC);
    petrel_assert(ops->inflight > 0);
    ops->inflight--;
    op->magic = 0;
    op->call = NULL;
    list_push_front(&ops->free, &op->node);
}

static bool user_valid(const struct peer_target *target)
{
    return route_valid_app(target->app) && route_valid_user(target->user);
}

static bool user_or_device_valid(const struct peer_target *target)
{
    return user_valid(target) && (target->device.ptr == NULL || route_valid_device(target->device));
}

static int fill_bind(struct store_request *request, const struct peer_bind *bind)
{
    if (!peer_target_is_device(&bind->target) || bind->route.generation == 0 || bind->attempt == 0)
        return PETREL_E_INVALID;
    request->in.bind = *bind;
    /* The one pointer that is looked at even when the bind is refused. */
    request->out.bound = NULL;
    return 0;
}

static int fill_append(struct store_request *request, const struct peer_send *send)
{
    if (!user_or_device_valid(&send->target) || send->message == NULL || send->message->len == 0)
        return PETREL_E_INVALID;
    if (send->collapse_key.len > 0 && !route_valid_collapse_key(send->collapse_key))
        return PETREL_E_INVALID;
    if (send->message->len > MESSAGE_BYTES_MAX)
        return PETREL_E_TOO_LARGE;
    request->in.append = *send;
    return 0;
}

int message_op_fill(struct store_request *request, const struct peer_msg *in, enum store_op *op)
{
    switch (in->type) {
    case PEER_BIND:
        *op = STORE_BIND;
        return fill_bind(request, &in->bind);
    case PEER_UNBIND:
        *op = STORE_UNBIND;
        request->in.unbind = in->unbind;
        return peer_target_is_device(&in->unbind.target) ? 0 : PETREL_E_INVALID;
    case PEER_FETCH:
        *op = STORE_FETCH;
        request->in.fetch = in->fetch;
        return peer_target_is_device(&in->fetch.target) ? 0 : PETREL_E_INVALID;
    case PEER_ACK:
        *op = STORE_ACK;
        request->in.ack = in->ack;
        return peer_target_is_device(&in->ack.target) ? 0 : PETREL_E_INVALID;
    case PEER_SEND:
        *op = STORE_APPEND;
        return fill_append(request, &in->send);
    case PEER_RECALL:
        *op = STORE_RECALL;
        request->in.recall = in->recall;
        return user_valid(&in->recall.target) ? 0 : PETREL_E_INVALID;
    case PEER_STATE:
        *op = STORE_MESSAGE_STATE;
        request->in.message_state = in->state;
        return user_valid(&in->state.target) ? 0 : PETREL_E_INVALID;
    case PEER_ENROL:
        *op = STORE_ENROL;
        request->in.enrol = in->enrol;
        return peer_target_is_device(&in->enrol) ? 0 : PETREL_E_INVALID;
    case PEER_REMOVE:
        *op = STORE_REMOVE;
        request->in.remove = in->remove;
        return peer_target_is_device(&in->remove.target) ? 0 : PETREL_E_INVALID;
    case PEER_USER:
        *op = STORE_USER;
        request->in.user = in->user;
        return user_valid(&in->user) ? 0 : PETREL_E_INVALID;
    default:
        return PETREL_E_UNSUPPORTED;
    }
}
