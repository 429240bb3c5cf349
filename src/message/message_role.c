#include "message/message_role.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "message/message_check.h"
#include "message/message_dead.h"
#include "message/message_op.h"
#include "message/message_topic.h"

#include <stdlib.h>

#define MESSAGE_ROLE_MAGIC OBJECT_MAGIC('M', 'S', 'G', 'R')
#define MAX_INFLIGHT_DEFAULT 16384U
#define SETTLE_MS_DEFAULT 30000U

struct message_role {
    uint32_t magic;
    struct loop *loop;
    struct link *link;
    struct store *store;
    struct metrics_shard *metrics;
    struct message_ops ops;
    struct message_dead *dead;
    struct message_topic *topic;
    struct message_check *check;
    bool closing;
    struct loop_task finish;
    void (*done)(void *ctx);
    void *done_ctx;
};

static void answer_status(struct link_call *call, int status)
{
    call->reply.status = status;
    link_answer(call);
}

static void tell(struct message_role *role, const struct route *to, const struct peer_msg *msg, bool counted)
{
    int rc = link_tell(role->link, to->node, to->loop, msg);
    if (counted)
        metrics_add(role->metrics, rc == 0 ? METRIC_DELIVERS : METRIC_DELIVERS_DROPPED, 1);
}

/* The hints of an append: the message to the sessions it is for, an advance to the user's others (PROMISE §2). Nobody hears one at a
 * route whose process is gone. */
static void deliver(struct message_role *role, const struct store_request *request)
{
    const struct store_append_out *out = &request->out.append;
    bool met_dead = false;
    for (uint32_t i = 0; i < out->hits_count; i++) {
        if (message_dead_is(role->dead, &out->hits[i].route)) {
            met_dead = true;
            continue;
        }
        struct peer_msg msg = {.type = PEER_DELIVER};
        msg.deliver = (struct peer_deliver){
            .route = out->hits[i].route,
            .position = out->sent.position,
            .prev = out->prev,
            .message = out->hits[i].target ? request->in.append.message : NULL,
            .high = request->in.append.priority == PEER_PRIORITY_HIGH,
        };
        tell(role, &out->hits[i].route, &msg, true);
    }
    message_dead_appended(role->dead);
    if (met_dead)
        message_dead_met(role->dead, &request->in.append.target);
}

/* What was asked of the user's devices shows their routes, too. */
static void look_for_dead(struct message_role *role, const struct peer_target *target,
                          const struct peer_device *devices, uint32_t count)
{
    bool met = false;
    for (uint32_t i = 0; i < count && !met; i++)
        met = devices[i].route.generation != 0 && message_dead_is(role->dead, &devices[i].route);
    if (met)
        message_dead_met(role->dead, target);
}

static void evict(struct message_role *role, const struct route *route, uint32_t code)
{
    struct peer_msg msg = {.type = PEER_EVICT};
    msg.evict = (struct peer_evict){.route = *route, .code = code};
    tell(role, route, &msg, false);
}

/* A bind may be refused after it took the place of another: `replaced` counts with any status (store.h). */
static void evict_replaced(struct message_role *role, const struct store_request *request)
{
    const struct peer_bound *bound = request->out.bound;
    if (bound == NULL || bound->replaced.generation == 0)
        return;
    if (!route_equal(&bound->replaced, &request->in.bind.route))
        evict(role, &bound->replaced, SESSION_CODE_REPLACED);
}

/* A user without room for one more device may have some that only seem to be bound. */
static void after_bind(struct message_role *role, const struct store_request *request)
{
    evict_replaced(role, request);
    if (request->status == PETREL_E_TOO_LARGE)
        message_dead_met(role->dead, &request->in.bind.target);
}

static void after_remove(struct message_role *role, const struct store_request *request)
{
    if (request->out.removed.route.generation != 0)
        evict(role, &request->out.removed.route, SESSION_CODE_REVOKED);
    message_topic_forget(role->topic, &request->in.remove.target);
}

/* The reply borrows the request's memory; link_answer() carries over what must travel on. */
static void fill_reply(struct peer_reply *reply, const struct store_request *request)
{
    reply->status = request->status;
    if (request->status != 0)
        return;
    switch (request->op) {
    case STORE_BIND:
        reply->bound = request->out.bound;
        break;
    case STORE_FETCH:
        reply->fetched = request->out.page;
        break;
    case STORE_APPEND:
        reply->sent = request->out.append.sent;
        break;
    case STORE_MESSAGE_STATE:
        reply->stated = request->out.stated;
        break;
    case STORE_REMOVE:
        reply->removed = request->out.removed;
        break;
    case STORE_USER:
        reply->user = request->out.user;
        break;
    case STORE_UNBIND:
    case STORE_ENROL:
    case STORE_ACK:
    case STORE_RECALL:
    case STORE_CHECK: /* message_check.c */
        break;        /* a status says it all */
    }
}

static void finish(struct loop_task *task)
{
    struct message_role *role = container_of(task, struct message_role, finish);
    object_check(role, MESSAGE_ROLE_MAGIC);
    void (*done)(void *ctx) = role->done;
    void *ctx = role->done_ctx;
    link_serve(role->link, LINK_MESSAGE, (struct link_server){0});
    message_op_reset(&role->ops);
    message_dead_free(role->dead);
    message_topic_free(role->topic);
    message_check_free(role->check);
    role->magic = 0;
    free(role);
    log_event(LOG_INFO, "message", "role stopped");
    done(ctx);
}

static void finish_if_idle(struct message_role *role)
{
    const bool idle = role->ops.inflight == 0 && message_dead_idle(role->dead) && message_topic_idle(role->topic) &&
                      message_check_idle(role->check);
    if (role->closing && idle)
        loop_defer(role->loop, &role->finish);
}

static void on_part_idle(void *ctx)
{
    finish_if_idle(ctx);
}

static void on_stored(struct store_request *request)
{
    struct message_op *op = container_of(request, struct message_op, request);
    object_check(op, MESSAGE_OP_MAGIC);
    struct message_role *role = op->role;
    struct link_call *call = op->call;
    /* Hints first: the caller may free the message once it is answered. */
    if (request->op == STORE_BIND)
        after_bind(role, request);
    else if (request->op == STORE_APPEND && request->status == 0)
        deliver(role, request);
    else if (request->op == STORE_USER && request->status == 0)
        look_for_dead(role, &request->in.user, request->out.user->devices, request->out.user->count);
    else if (request->op == STORE_REMOVE && request->status == 0)
        after_remove(role, request);
    fill_reply(&call->reply, request);
    link_answer(call);
    message_op_give(&role->ops, op);
    finish_if_idle(role);
}

static void on_call(void *ctx, struct link_call *call)
{
    struct message_role *role = ctx;
    object_check(role, MESSAGE_ROLE_MAGIC);
    if (role->closing) {
        answer_status(call, PETREL_E_CLOSING);
        return;
    }
    if (message_topic_is(call->in.type)) {
        message_topic_call(role->topic, call);
        return;
    }
    if (call->in.type == PEER_CHECK) {
        message_check_call(role->check, call);
        return;
    }
    struct message_op *op = message_op_take(&role->ops);
    if (op == NULL) {
        answer_status(call, PETREL_E_BUSY);
        return;
    }
    op->role = role;
    op->call = call;
    enum store_op which = STORE_USER;
    int rc = message_op_fill(&op->request, &call->in, &which);
    if (rc == 0)
        rc = store_submit(role->store, which, &op->request, role->loop, on_stored);
    if (rc != 0) {
        message_op_give(&role->ops, op);
        answer_status(call, rc);
    }
}

/* No message of the protocol is told to this role; a newer peer's is passed over. */
static void on_tell(void *ctx, const struct peer_msg *msg)
{
    (void)ctx;
    (void)msg;
}

int message_role_new(struct message_role **out, struct loop *loop, struct link *link, struct store *store,
                     const struct message_config *config, struct metrics_shard *metrics)
{
    struct message_role *role = object_zalloc(sizeof *role);
    role->magic = MESSAGE_ROLE_MAGIC;
    role->loop = loop;
    role->link = link;
    role->store = store;
    role->metrics = metrics;
    role->finish.run = finish;
    uint32_t max_inflight = config != NULL ? config->max_inflight : 0;
    message_op_init(&role->ops, max_inflight != 0 ? max_inflight : MAX_INFLIGHT_DEFAULT);
    const struct message_dead_config dead = {
        .settle_ms = config != NULL && config->settle_ms != 0 ? config->settle_ms : SETTLE_MS_DEFAULT,
        .loop = loop,
        .link = link,
        .store = store,
        .metrics = metrics,
        .on_idle = on_part_idle,
        .ctx = role,
    };
    role->dead = message_dead_new(&dead);
    const struct message_topic_config topic = {
        .max_inflight = role->ops.max_inflight,
        .loop = loop,
        .link = link,
        .store = store,
        .topics = config != NULL ? config->topics : NULL,
        .metrics = metrics,
        .on_idle = on_part_idle,
        .ctx = role,
    };
    role->topic = message_topic_new(&topic);
    const struct message_check_config check = {
        .max_inflight = role->ops.max_inflight,
        .loop = loop,
        .store = store,
        .topics = topic.topics,
        .on_idle = on_part_idle,
        .ctx = role,
    };
    role->check = message_check_new(&check);
    link_serve(link, LINK_MESSAGE, (struct link_server){.ctx = role, .on_call = on_call, .on_tell = on_tell});
    log_at(LOG_INFO, "message", "role started", LOG_NUM("loop", loop_index(loop)),
           LOG_NUM("max_inflight", role->ops.max_inflight));
    *out = role;
    return 0;
}

void message_role_publish_apps(struct message_role *role, uint64_t version, struct buf *records)
{
    object_check(role, MESSAGE_ROLE_MAGIC);
    struct peer_msg msg = {.type = PEER_APPS};
    msg.apps = (struct peer_apps){.version = version, .records = records};
    int rc = link_tell_sessions(role->link, &msg);
    if (rc != 0)
        log_at(LOG_WARN, "message", "apps could not be told to all session roles", LOG_STR("error", err_name(rc)));
}

void message_role_view(void *ctx, struct discovery_view *view)
{
    struct message_role *role = ctx;
    object_check(role, MESSAGE_ROLE_MAGIC);
    message_dead_view(role->dead, view);
}

void message_role_close(struct message_role **out, void (*done)(void *ctx), void *ctx)
{
    struct message_role *role = *out;
    *out = NULL;
    object_check(role, MESSAGE_ROLE_MAGIC);
    role->closing = true;
    message_dead_close(role->dead);
    role->done = done;
    role->done_ctx = ctx;
    finish_if_idle(role);
}
