#include "store/store_request.h"

#include "base/err.h"
#include "base/object.h"

struct peer_target store_request_target(const struct store_request *request)
{
    switch (request->op) {
    case STORE_BIND:
        return request->in.bind.target;
    case STORE_UNBIND:
        return request->in.unbind.target;
    case STORE_ENROL:
        return request->in.enrol;
    case STORE_REMOVE:
        return request->in.remove.target;
    case STORE_APPEND:
        return request->in.append.target;
    case STORE_FETCH:
        return request->in.fetch.target;
    case STORE_ACK:
        return request->in.ack.target;
    case STORE_CHECK:
        break; /* one for each entry */
    case STORE_RECALL:
        return request->in.recall.target;
    case STORE_MESSAGE_STATE:
        return request->in.message_state.target;
    case STORE_USER:
        return request->in.user;
    }
    object_panic(__FILE__, __LINE__, "an operation of the port");
    return (struct peer_target){0};
}

static bool needs_device(enum store_op op)
{
    return op == STORE_BIND || op == STORE_UNBIND || op == STORE_ENROL || op == STORE_REMOVE || op == STORE_FETCH ||
           op == STORE_ACK;
}

int store_request_check(const struct store_request *request)
{
    petrel_assert(request->op != STORE_CHECK);
    struct peer_target target = store_request_target(request);
    if (!route_valid_app(target.app) || !route_valid_user(target.user))
        return PETREL_E_INVALID;
    bool append = request->op == STORE_APPEND;
    if ((needs_device(request->op) || (append && target.device.ptr != NULL)) && !route_valid_device(target.device))
        return PETREL_E_INVALID;
    struct bytes collapse = append ? request->in.append.collapse_key : (struct bytes){NULL, 0};
    return collapse.ptr != NULL && !route_valid_collapse_key(collapse) ? PETREL_E_INVALID : 0;
}
