#include "unit/topics_node.h"

#include "base/err.h"
#include "base/object.h"
#include "store/topics_sqlite.h"
#include "wire/condition.h"

#include <stdio.h>

static void on_held(struct topics_request *request)
{
    struct topics_node_swap *swap = container_of(request, struct topics_node_swap, instead);
    petrel_assert(request->status == PETREL_E_NOT_FOUND); /* nothing is lent that would be gone when it is told */
    loops_tally_add(&swap->held_count, 1);
}

static int hold(struct topics_node_swap *swap, struct topics *inside, struct topics_request *request)
{
    swap->held = request;
    swap->instead = (struct topics_request){.in = request->in};
    return topics_submit(inside, request->op, &swap->instead, request->home, on_held);
}

static int swap_submit(struct topics *topics, struct topics_request *request)
{
    struct topics_node_swap *swap = container_of(topics, struct topics_node_swap, base);
    struct topics *inside = atomic_load(&swap->inside);
    atomic_fetch_add(&swap->fetches, request->op == TOPICS_FETCH);
    if (inside != NULL && request->op == TOPICS_FETCH && atomic_exchange(&swap->holds, false))
        return hold(swap, inside, request);
    return inside != NULL ? inside->ops->submit(inside, request) : PETREL_E_CLOSING;
}

static void swap_close(struct topics *topics)
{
    struct topics_node_swap *swap = container_of(topics, struct topics_node_swap, base);
    struct topics *inside = atomic_exchange(&swap->inside, NULL);
    topics_close(&inside);
}

static const struct topics_ops swap_ops = {.name = "swap", .submit = swap_submit, .close = swap_close};

void topics_node_topics_open(struct topics_node *node, const char *path, uint32_t cap, bool restored)
{
    struct topics *topics;
    struct topics_sqlite_config config = {
        .path = path, .clock = clock_system(), .limits = topics_limits_default(), .restored = restored};
    config.limits.cap_entries = cap;
    assert_int_equal(topics_sqlite_open(&topics, &config), 0);
    atomic_store(&node->topics.inside, topics);
}

void topics_node_topics_shut(struct topics_node *node)
{
    swap_close(&node->topics.base);
}

void topics_node_open_with(struct topics_node *node, uint32_t cap, uint32_t check_interval_s)
{
    *node = (struct topics_node){.topics.base.ops = &swap_ops};
    const struct node_rig_config config = {.topics = &node->topics.base, .check_interval_s = check_interval_s};
    assert_true(tmpdir_make(&node->dir));
    (void)snprintf(node->topics_path, sizeof node->topics_path, "%s/topics", node->dir.path);
    topics_node_topics_open(node, node->topics_path, cap, false);
    node_rig_open(&node->rig, &config);
}

void topics_node_open(struct topics_node *node, uint32_t cap)
{
    topics_node_open_with(node, cap, 0);
}

void topics_node_close(struct topics_node *node)
{
    node_rig_close(&node->rig);
    tmpdir_remove(&node->dir);
}

/* ---- backends ---- */

struct position topics_node_publish_text(struct topics_node *node, const char *topic, const char *condition,
                                         uint32_t rate, const char *text)
{
    struct id id;
    rng_secret(&id, sizeof id);
    const uint64_t now_ms = clock_wall_ms(clock_system());
    const struct session_message message = {
        .id = id, .body = bytes_str(text), .sent_ms = now_ms, .expires_ms = now_ms + 3600000};
    struct condition meant = {.rate = rate};
    struct bytebuf packed = {0};
    const char *why;
    if (condition != NULL)
        assert_int_equal(condition_parse(bytes_str(condition), &meant, &why), 0);
    condition_pack(&meant, &packed);
    struct node_rig_asked asked = {.node = &node->rig, .call.in.type = PEER_TOPIC_SEND};
    struct buf *encoded = session_encode_message(&message);
    asked.call.in.topic_send = (struct peer_topic_send){.app = bytes_str("demo"),
                                                        .topic = bytes_str(topic),
                                                        .condition = bytes_view(&packed),
                                                        .id = id,
                                                        .message = encoded,
                                                        .expires_ms = message.expires_ms};
    assert_int_equal(node_rig_ask(&asked), 0);
    buf_unref(encoded);
    bytes_reset(&packed);
    return asked.call.reply.sent.position;
}

int topics_node_change(struct topics_node *node, enum peer_type type, const char *device, const char *topic)
{
    struct node_rig_asked asked = {.node = &node->rig, .call.in.type = type};
    asked.call.in.subscribe = (struct peer_subscribe){.target = node_rig_target(device), .topic = bytes_str(topic)};
    return node_rig_ask(&asked);
}

/* ---- changes of which nobody tells the session: whoever wrote them was gone before the notice ---- */

struct written {
    struct topics_node *node;
    enum topics_op op;
    struct topics_request request;
    struct loops_tally done;
};

static void on_written(struct topics_request *request)
{
    loops_tally_add(&container_of(request, struct written, request)->done, 1);
}

static void do_write(void *ctx)
{
    struct written *written = ctx;
    struct loop *home = written->node->rig.loops.loops[0];
    petrel_assert(topics_submit(&written->node->topics.base, written->op, &written->request, home, on_written) == 0);
}

void topics_node_write_untold(struct topics_node *node, enum topics_op op, const char *topic, struct position from)
{
    struct written written = {.node = node, .op = op};
    written.request.in.subscribe =
        (struct topics_subscription){.device = node_rig_target("phone"), .topic = bytes_str(topic), .position = from};
    loops_tally_init(&written.done);
    loops_run_on(&node->rig.loops, 0, do_write, &written);
    assert_true(loops_tally_wait(&written.done, 1));
    loops_tally_destroy(&written.done);
    assert_int_equal(written.request.status, 0);
}

/* ---- devices ---- */

void topics_node_write_frame(struct client *client, struct bytebuf *frame)
{
    client_send(client, bytes_view(frame));
    bytes_reset(frame);
}

void topics_node_connect_at(struct topics_node *node, size_t loop, struct client *client, const char *device,
                            uint64_t attempt, const struct session_topic_position *topics, uint32_t count)
{
    struct bytebuf token = {0};
    struct bytebuf frame = {0};
    node_rig_token(&node->rig, device, &token);
    const struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                            .token = bytes_str((const char *)token.ptr),
                                            .attempt = attempt,
                                            .client = bytes_str("test/1"),
                                            .takes_topics = true,
                                            .topics_count = count,
                                            .topics = topics};
    client_open(client, node->rig.ports[loop]);
    session_encode_connect(&frame, &connect);
    topics_node_write_frame(client, &frame);
    bytes_reset(&token);
    client_take(client, SESSION_CONNECTED);
}

struct position topics_node_take_subscribed(struct client *client, const char *topic)
{
    const struct session_subscribed *told = &client_take(client, SESSION_SUBSCRIBED)->subscribed;
    assert_true(bytes_equal_str(told->topic, topic));
    assert_int_equal(told->refused, 0);
    return told->position;
}

struct position topics_node_connect_anew(struct topics_node *node, size_t loop, struct client *client,
                                         const char *device)
{
    topics_node_connect_at(node, loop, client, device, 1, NULL, 0);
    return topics_node_take_subscribed(client, "all");
}

struct position topics_node_take_push(struct client *client, const char *topic, const char *text)
{
    const struct session_push *push = &client_take(client, SESSION_PUSH)->push;
    assert_int_equal(push->log, SESSION_LOG_TOPIC);
    assert_true(bytes_equal_str(push->topic, topic));
    assert_true(bytes_equal_str(push->message.body, text));
    return push->position;
}

struct position topics_node_subscribe(struct client *client, const char *topic)
{
    struct bytebuf frame = {0};
    session_encode_topic_subscribe(&frame, bytes_str(topic));
    topics_node_write_frame(client, &frame);
    return topics_node_take_subscribed(client, topic);
}

void topics_node_leave(struct client *client)
{
    client_disconnect(client);
    client_take_end(client);
    client_close(client);
}

void topics_node_hold_fetch(struct topics_node *node)
{
    loops_tally_init(&node->topics.held_count);
    atomic_store(&node->topics.holds, true);
}

void topics_node_await_held(struct topics_node *node)
{
    assert_true(loops_tally_wait(&node->topics.held_count, 1));
}

static void release_held(void *ctx)
{
    struct topics_node_swap *swap = ctx;
    swap->held->status = swap->instead.status;
    swap->held->done(swap->held);
}

void topics_node_release_held(struct topics_node *node)
{
    const size_t home = node->topics.held->home == node->rig.loops.loops[0] ? 0 : 1;
    loops_run_on(&node->rig.loops, home, release_held, &node->topics);
    loops_tally_destroy(&node->topics.held_count);
}

static void lose_hints(void *ctx)
{
    struct topics_node *node = ctx;
    link_lost(link_local_at(node->rig.links, 0));
}

void topics_node_lose_hints(struct topics_node *node)
{
    loops_run_on(&node->rig.loops, 0, lose_hints, node);
}
