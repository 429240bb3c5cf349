#include "message/message_topic.h"

#include "base/err.h"
#include "base/object.h"

#include <stdlib.h>

#define MESSAGE_TOPIC_MAGIC OBJECT_MAGIC('M', 'S', 'G', 'T')

struct message_topic {
    uint32_t magic;
    struct message_topic_config config;
    struct list free;
    uint32_t inflight;
};

/* One call. What a subscription needs is asked step by step: whether there is the device, the topic's head, the
 * subscription, the device's route. */
struct op {
    struct list node; /* while free */
    struct message_topic *topic;
    struct link_call *call; /* NULL: nobody waits, and the device's names are kept here */
    char names[ROUTE_APP_MAX + ROUTE_USER_MAX + ROUTE_DEVICE_MAX];
    union {
        struct topics_request topics;
        struct store_request store;
    };
};

static struct op *take(struct message_topic *topic, struct link_call *call)
{
    if (topic->inflight >= topic->config.max_inflight)
        return NULL;
    topic->inflight++;
    struct list *node = list_pop_front(&topic->free);
    struct op *op = node != NULL ? container_of(node, struct op, node) : object_zalloc(sizeof *op);
    list_init(&op->node);
    op->topic = topic;
    op->call = call;
    return op;
}

static void give(struct op *op)
{
    struct message_topic *topic = op->topic;
    topic->inflight--;
    list_push_front(&topic->free, &op->node);
    if (topic->inflight == 0)
        topic->config.on_idle(topic->config.ctx);
}

static void answer(struct op *op, int status)
{
    op->call->reply.status = status;
    link_answer(op->call);
    give(op);
}

static int submit(struct op *op, enum topics_op which, topics_done_fn *done)
{
    const struct message_topic_config *config = &op->topic->config;
    return topics_submit(config->topics, which, &op->topics, config->loop, done);
}

static struct op *op_of(struct topics_request *request)
{
    return container_of(request, struct op, topics);
}

/* ---- append ---- */

static void tell_nodes(const struct op *op)
{
    const struct message_topic_config *config = &op->topic->config;
    const struct topics_append *in = &op->topics.in.append;
    const struct topics_appended *out = op->topics.out.appended;
    const struct peer_topic_news news = {
        .app = in->app,
        .topic = in->topic,
        .position = out->position,
        .prev = out->prev,
        .expires_ms = in->expires_ms,
        .condition = in->condition,
        .nodes = out->nodes_count,
        .message = buf_bytes(in->message),
    };
    if (out->nodes_count == 0)
        return;
    struct buf *record = peer_codec_topic_pack(&news);
    for (uint32_t i = 0; i < out->nodes_count; i++) {
        struct peer_msg msg = {.type = PEER_TOPIC_DELIVER};
        msg.topic_deliver = (struct peer_topic_deliver){.node = out->nodes[i], .record = record};
        const int rc = link_tell_node(config->link, out->nodes[i], &msg);
        metrics_add(config->metrics, rc == 0 ? METRIC_DELIVERS : METRIC_DELIVERS_DROPPED, 1);
    }
    buf_unref(record);
}

static void on_appended(struct topics_request *request)
{
    struct op *op = op_of(request);
    if (request->status == 0) {
        tell_nodes(op);
        op->call->reply.sent = (struct peer_sent){.position = request->out.appended->position,
                                                  .duplicate = request->out.appended->duplicate,
                                                  .id = request->in.append.id};
    }
    answer(op, request->status);
}

static int begin_append(struct op *op)
{
    const struct peer_topic_send *send = &op->call->in.topic_send;
    if (send->message == NULL || send->message->len == 0)
        return PETREL_E_INVALID;
    op->topics.in.append = (struct topics_append){
        .app = send->app,
        .topic = send->topic,
        .id = send->id,
        .message = send->message,
        .condition = send->condition,
        .expires_ms = send->expires_ms,
        .durability = send->durability,
        .has_key = send->has_key,
        .body_hash = send->body_hash,
        .key_expires_ms = send->key_expires_ms,
    };
    return submit(op, TOPICS_APPEND, on_appended);
}

/* ---- fetch and interest ---- */

static void on_fetched(struct topics_request *request)
{
    struct op *op = op_of(request);
    struct peer_topic_page page;
    if (request->status == 0) {
        const struct topics_page *from = request->out.page;
        page.verdict = from->verdict;
        page.position = from->position;
        page.upto = from->upto;
        page.head = from->head;
        page.gap = from->gap;
        page.count = from->count;
        for (uint32_t i = 0; i < from->count; i++) {
            page.entries[i] = (struct peer_topic_entry){.seq = from->entries[i].seq,
                                                        .expires_ms = from->entries[i].expires_ms,
                                                        .message = from->entries[i].message,
                                                        .condition = from->entries[i].condition};
        }
        op->call->reply.topic_page = &page;
    }
    answer(op, request->status);
}

static int begin_fetch(struct op *op)
{
    const struct peer_topic_fetch *fetch = &op->call->in.topic_fetch;
    op->topics.in.fetch = (struct topics_fetch){
        .app = fetch->app,
        .topic = fetch->topic,
        .position = fetch->position,
        .max_entries = fetch->max_entries,
        .max_bytes = fetch->max_bytes,
    };
    return fetch->max_entries > 0 ? submit(op, TOPICS_FETCH, on_fetched) : PETREL_E_INVALID;
}

static void on_interested(struct topics_request *request)
{
    struct op *op = op_of(request);
    if (request->status == 0)
        op->call->reply.topic_head = request->out.head;
    answer(op, request->status);
}

static int begin_interest(struct op *op)
{
    const struct peer_topic_interest *interest = &op->call->in.topic_interest;
    op->topics.in.interest = (struct topics_interest){
        .app = interest->app,
        .topic = interest->topic,
        .node = interest->node,
        .incarnation = interest->incarnation,
        .lease_ms = interest->lease_ms,
    };
    return submit(op, TOPICS_INTEREST, on_interested);
}

/* ---- subscriptions ---- */

static int ask_user(struct op *op, store_done_fn *done)
{
    const struct peer_target *target = &op->call->in.subscribe.target;
    op->store.in.user = (struct peer_target){.app = target->app, .user = target->user};
    return store_submit(op->topic->config.store, STORE_USER, &op->store, op->topic->config.loop, done);
}

/* NULL: the user has no such device. */
static const struct peer_device *find_device(const struct op *op, const struct store_request *request)
{
    const struct bytes wanted = op->call->in.subscribe.target.device;
    for (uint32_t i = 0; request->status == 0 && i < request->out.user->count; i++) {
        if (bytes_equal_str(wanted, request->out.user->devices[i].device))
            return &request->out.user->devices[i];
    }
    return NULL;
}

static void on_routed(struct store_request *request)
{
    struct op *op = container_of(request, struct op, store);
    const struct peer_device *device = find_device(op, request);
    const bool live = device != NULL && device->route.generation != 0;
    if (live && !route_equal(&device->route, &op->call->in.subscribe.asked_by)) {
        struct peer_msg msg = {.type = PEER_RESUBSCRIBED, .resubscribed = {.route = device->route}};
        (void)link_tell(op->topic->config.link, device->route.node, device->route.loop, &msg);
    }
    /* Who could not be told hears of it by its next check. */
    answer(op, request->status == PETREL_E_NOT_FOUND ? 0 : request->status);
}

/* The route is asked for after the change, and a session asks for its subscriptions after it has bound: whichever is second sees the
 * first. */
static void on_subscribed(struct topics_request *request)
{
    struct op *op = op_of(request);
    if (request->status != 0) {
        answer(op, request->status);
        return;
    }
    op->call->reply.subscribed = (struct peer_subscribed){.position = request->out.subscribed.position,
                                                          .version = request->out.subscribed.version,
                                                          .prev = request->out.subscribed.prev};
    const int rc = ask_user(op, on_routed);
    if (rc != 0)
        answer(op, rc);
}

static void subscribe_from(struct op *op, struct position position)
{
    const struct peer_subscribe *subscribe = &op->call->in.subscribe;
    op->topics.in.subscribe =
        (struct topics_subscription){.device = subscribe->target, .topic = subscribe->topic, .position = position};
    const int rc = submit(op, TOPICS_SUBSCRIBE, on_subscribed);
    if (rc != 0)
        answer(op, rc);
}

static void on_head(struct topics_request *request)
{
    struct op *op = op_of(request);
    if (request->status == 0)
        subscribe_from(op, (struct position){request->out.page->position.epoch, request->out.page->head});
    else if (request->status == PETREL_E_NOT_FOUND)
        subscribe_from(op, TOPICS_BEGIN);
    else
        answer(op, request->status);
}

static void find_head(struct op *op)
{
    const struct peer_subscribe *subscribe = &op->call->in.subscribe;
    op->topics.in.fetch = (struct topics_fetch){
        .app = subscribe->target.app, .topic = subscribe->topic, .max_entries = 1, .max_bytes = 1};
    const int rc = submit(op, TOPICS_FETCH, on_head);
    if (rc != 0)
        answer(op, rc);
}

static void change_set(struct op *op)
{
    const struct peer_subscribe *subscribe = &op->call->in.subscribe;
    if (op->call->in.type == PEER_SUBSCRIBE && position_is_none(subscribe->position)) {
        find_head(op);
        return;
    }
    if (op->call->in.type == PEER_SUBSCRIBE) {
        subscribe_from(op, subscribe->position);
        return;
    }
    op->topics.in.unsubscribe = (struct topics_subscription){.device = subscribe->target, .topic = subscribe->topic};
    const int rc = submit(op, TOPICS_UNSUBSCRIBE, on_subscribed);
    if (rc != 0)
        answer(op, rc);
}

/* A backend means a device that there is. */
static void on_user(struct store_request *request)
{
    struct op *op = container_of(request, struct op, store);
    if (find_device(op, request) != NULL)
        change_set(op);
    else
        answer(op, request->status != 0 ? request->status : PETREL_E_NOT_FOUND);
}

static int begin_subscribe(struct op *op)
{
    const struct peer_subscribe *subscribe = &op->call->in.subscribe;
    /* Every device follows `all` as it is; and a session's own word is about a device that there is. */
    if (!peer_target_is_device(&subscribe->target) || bytes_equal_str(subscribe->topic, PEER_TOPIC_ALL))
        return PETREL_E_INVALID;
    if (subscribe->asked_by.generation != 0) {
        change_set(op);
        return 0;
    }
    return ask_user(op, on_user);
}

static void on_set(struct topics_request *request)
{
    struct op *op = op_of(request);
    struct peer_subscriptions set = {.version = 0};
    if (request->status == 0) {
        const struct topics_set *from = request->out.set;
        set.version = from->version;
        set.count = from->count;
        for (uint32_t i = 0; i < from->count; i++)
            set.all[i] = (struct peer_subscription){bytes_str(from->all[i].topic), from->all[i].position};
        op->call->reply.subscriptions = &set;
    }
    answer(op, request->status);
}

static int begin_subscriptions(struct op *op)
{
    op->topics.in.subscriptions = op->call->in.subscriptions;
    return submit(op, TOPICS_SUBSCRIPTIONS, on_set);
}

/* ---- a device that is gone ---- */

static void on_forgotten(struct topics_request *request)
{
    give(op_of(request));
}

static struct bytes keep(char **place, struct bytes text)
{
    memcpy(*place, text.ptr, text.len);
    const struct bytes kept = bytes_of(*place, text.len);
    *place += text.len;
    return kept;
}

void message_topic_forget(struct message_topic *topic, const struct peer_target *device)
{
    object_check(topic, MESSAGE_TOPIC_MAGIC);
    /* What can't be forgotten now lapses. */
    struct op *op = topic->config.topics != NULL && peer_target_is_device(device) ? take(topic, NULL) : NULL;
    if (op == NULL)
        return;
    char *place = op->names;
    op->topics.in.unsubscribe = (struct topics_subscription){
        .device = {keep(&place, device->app), keep(&place, device->user), keep(&place, device->device)}};
    if (submit(op, TOPICS_UNSUBSCRIBE, on_forgotten) != 0)
        give(op);
}

/* ---- the calls ---- */

bool message_topic_is(enum peer_type type)
{
    return (type >= PEER_TOPIC_INTEREST && type <= PEER_SUBSCRIPTIONS) || type == PEER_TOPIC_SEND;
}

static int begin(struct op *op)
{
    switch (op->call->in.type) {
    case PEER_TOPIC_SEND:
        return begin_append(op);
    case PEER_TOPIC_FETCH:
        return begin_fetch(op);
    case PEER_TOPIC_INTEREST:
        return begin_interest(op);
    case PEER_SUBSCRIBE:
    case PEER_UNSUBSCRIBE:
        return begin_subscribe(op);
    default:
        return begin_subscriptions(op);
    }
}

void message_topic_call(struct message_topic *topic, struct link_call *call)
{
    object_check(topic, MESSAGE_TOPIC_MAGIC);
    struct op *op = topic->config.topics != NULL ? take(topic, call) : NULL;
    if (op == NULL) {
        call->reply.status = topic->config.topics != NULL ? PETREL_E_BUSY : PETREL_E_UNSUPPORTED;
        link_answer(call);
        return;
    }
    const int rc = begin(op);
    if (rc != 0)
        answer(op, rc);
}

struct message_topic *message_topic_new(const struct message_topic_config *config)
{
    struct message_topic *topic = object_zalloc(sizeof *topic);
    topic->magic = MESSAGE_TOPIC_MAGIC;
    topic->config = *config;
    list_init(&topic->free);
    return topic;
}

void message_topic_free(struct message_topic *topic)
{
    if (topic == NULL)
        return;
    object_check(topic, MESSAGE_TOPIC_MAGIC);
    petrel_assert(topic->inflight == 0);
    for (struct list *node; (node = list_pop_front(&topic->free)) != NULL;)
        free(container_of(node, struct op, node));
    topic->magic = 0;
    free(topic);
}

bool message_topic_idle(const struct message_topic *topic)
{
    return topic->inflight == 0;
}
