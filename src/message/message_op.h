/* message_op.h: one call on its way through the store. Private to this room.
 *
 * op   a link call and the store request that answers it; kept on a free list, at most max_inflight under way */
#ifndef PETREL_MESSAGE_MESSAGE_OP_H
#define PETREL_MESSAGE_MESSAGE_OP_H

#include "discovery/link.h"
#include "store/store.h"

#define MESSAGE_OP_MAGIC OBJECT_MAGIC('M', 'S', 'O', 'P')

/* The longest encoded message that is taken: a PUSH with it fits into the largest frame that a server can be set to. What
 * an app may send is the API's to bound, below the frames of its own sessions. */
#define MESSAGE_BYTES_MAX (1048576U - 1024U)

struct message_role;

struct message_op {
    uint32_t magic;
    struct list node; /* while free */
    struct message_role *role;
    struct link_call *call;
    struct store_request request;
};

/* Ops under way and ops to use again. One owner thread. */
struct message_ops {
    struct list free;
    uint32_t inflight;
    uint32_t max_inflight;
};

void message_op_init(struct message_ops *ops, uint32_t max_inflight);
/* Free what is on the free list; nothing may be under way. */
void message_op_reset(struct message_ops *ops);
/* NULL: max_inflight are under way. */
struct message_op *message_op_take(struct message_ops *ops);
void message_op_give(struct message_ops *ops, struct message_op *op);

/* Fill the request from the call's message, whose texts go on to the store as they stand, and name the operation. 0;
 * PETREL_E_INVALID: a name is none, or a part is missing; PETREL_E_TOO_LARGE: the message is over MESSAGE_BYTES_MAX;
 * PETREL_E_UNSUPPORTED: no message for this role. */
int message_op_fill(struct store_request *request, const struct peer_msg *in, enum store_op *op);

#endif
