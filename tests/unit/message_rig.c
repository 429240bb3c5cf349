#include "unit/message_rig.h"

#include "base/err.h"
#include "base/object.h"

static int fake_submit(struct store *store, struct store_request *request)
{
    struct message_rig_store *fake = container_of(store, struct message_rig_store, store);
    if (fake->refusal != 0)
        return fake->refusal;
    fake->last = request;
    fake->submitted++;
    return 0;
}

static void fake_close(struct store *store)
{
    (void)store;
}

static const struct store_ops fake_ops = {
    .name = "fake",
    .bind = fake_submit,
    .unbind = fake_submit,
    .enrol = fake_submit,
    .remove = fake_submit,
    .append = fake_submit,
    .fetch = fake_submit,
    .ack = fake_submit,
    .check = fake_submit,
    .recall = fake_submit,
    .message_state = fake_submit,
    .user = fake_submit,
    .close = fake_close,
};

static int submit_topics(struct topics *topics, struct topics_request *request)
{
    container_of(topics, struct message_rig_topics, topics)->last = request;
    return 0;
}

static const struct topics_ops fake_topics_ops = {.name = "fake", .submit = submit_topics};

static void on_session_tell(void *ctx, const struct peer_msg *msg)
{
    struct message_rig *rig = ctx;
    petrel_assert(rig->tells_count < MESSAGE_RIG_TELLS_MAX);
    rig->tells[rig->tells_count++] = *msg;
}

static void on_session_call(void *ctx, struct link_call *call)
{
    (void)ctx;
    (void)call;
}

static void open_with(struct message_rig *rig, const struct message_config *config)
{
    const struct loop_config loop_config = {.index = 0};
    assert_int_equal(loop_new(&rig->loop, &loop_config), 0);
    rig->links = link_local_new(MESSAGE_RIG_NODE, MESSAGE_RIG_INCARNATION, &rig->loop, 1);
    rig->link = link_local_at(rig->links, 0);
    rig->metrics = metrics_new(1);
    link_serve(rig->link, LINK_SESSION,
               (struct link_server){.ctx = rig, .on_call = on_session_call, .on_tell = on_session_tell});
    assert_int_equal(
        message_role_new(&rig->role, rig->loop, rig->link, &rig->store.store, config, metrics_shard(rig->metrics, 0)),
        0);
}

void message_rig_open(struct message_rig *rig, uint32_t max_inflight)
{
    const struct message_config config = {.max_inflight = max_inflight};
    *rig = (struct message_rig){.store.store.ops = &fake_ops};
    open_with(rig, &config);
}

void message_rig_open_with_topics(struct message_rig *rig)
{
    const struct message_config config = {.topics = &rig->topics.topics};
    *rig = (struct message_rig){.store.store.ops = &fake_ops, .topics.topics.ops = &fake_topics_ops};
    open_with(rig, &config);
}

void message_rig_turn(struct message_rig *rig)
{
    loop_stop(rig->loop);
    loop_run(rig->loop);
}

static void on_closed(void *ctx)
{
    struct message_rig *rig = ctx;
    rig->closed++;
}

void message_rig_begin_close(struct message_rig *rig)
{
    message_role_close(&rig->role, on_closed, rig);
    message_rig_turn(rig);
}

void message_rig_close(struct message_rig *rig)
{
    if (rig->role != NULL)
        message_rig_begin_close(rig);
    assert_int_equal(rig->closed, 1);
    loop_free(&rig->loop);
    link_local_free(&rig->links);
    metrics_free(&rig->metrics);
}

struct peer_target message_rig_target(void)
{
    return (struct peer_target){.app = bytes_str("demo"), .user = bytes_str("ada"), .device = bytes_str("phone")};
}

struct route message_rig_route(uint32_t slot)
{
    return (struct route){
        .node = MESSAGE_RIG_NODE, .incarnation = MESSAGE_RIG_INCARNATION, .slot = slot, .generation = 1};
}

struct message_rig_asked message_rig_send(struct buf *message)
{
    struct message_rig_asked asked = {.call.in.type = PEER_SEND};
    asked.call.in.send = (struct peer_send){.target = message_rig_target(), .message = message, .expires_ms = 1};
    return asked;
}

struct message_rig_asked message_rig_bind(struct route route)
{
    struct message_rig_asked asked = {.call.in.type = PEER_BIND};
    asked.call.in.bind = (struct peer_bind){.target = message_rig_target(), .attempt = 2, .route = route};
    return asked;
}

static void on_answer(struct link_call *call)
{
    struct message_rig_asked *asked = container_of(call, struct message_rig_asked, call);
    asked->answers++;
    if (call->in.type == PEER_CHECK && call->reply.status == 0)
        asked->checked = *call->reply.checked;
}

void message_rig_ask(struct message_rig *rig, struct message_rig_asked *asked)
{
    asked->answers = 0;
    assert_int_equal(link_ask(rig->link, &asked->call, on_answer), 0);
    message_rig_turn(rig);
}

/* Have the store answer its last request. */
void message_rig_answer(struct message_rig *rig, int status)
{
    struct store_request *request = rig->store.last;
    rig->store.last = NULL;
    request->status = status;
    request->done(request);
    message_rig_turn(rig);
}

void message_rig_answer_topics(struct message_rig *rig, int status)
{
    struct topics_request *request = rig->topics.last;
    rig->topics.last = NULL;
    request->status = status;
    request->done(request);
    message_rig_turn(rig);
}
