#include "unit/node_rig.h"

#include "base/err.h"
#include "base/object.h"
#include "message/message_role.h"
#include "store/store_sqlite.h"
#include "wire/peer_record.h"

#include <stdio.h>

static const uint8_t secret[TOKEN_SECRET_BYTES] = "a secret of thirty-two bytes ...";

/* What is run on a loop's thread: the node, and which of its loops. */
struct on_loop {
    struct node_rig *node;
    size_t index;
};

static void start_roles(void *ctx)
{
    const struct on_loop *on = ctx;
    struct node_rig *node = on->node;
    struct loop *loop = node->loops.loops[on->index];
    struct link *link = link_local_at(node->links, on->index);
    struct metrics_shard *shard = metrics_shard(node->metrics, on->index);
    const struct message_config config = {.topics = node->config.topics};
    struct session_config session_config = rig_config();
    session_config.incarnation = RIG_INCARNATION;
    session_config.loops = NODE_RIG_LOOPS;
    session_config.broadcasts = node->broadcasts;
    if (node->config.check_interval_s != 0)
        session_config.check_interval_s = node->config.check_interval_s;
    petrel_assert(message_role_new(&node->messages[on->index], loop, link, node->store, &config, shard) == 0);
    petrel_assert(session_role_new(&node->sessions[on->index], loop, link, &session_config, shard) == 0);
    petrel_assert(session_role_listen(node->sessions[on->index], &node->ports[on->index]) == 0);
}

static void publish(void *ctx)
{
    struct node_rig *node = ctx;
    struct peer_app app = {.name = bytes_str("demo"), .keys_count = 1};
    app.keys[0] = (struct peer_app_key){.kid = bytes_str("k1"), .secret = bytes_of(secret, sizeof secret)};
    struct buf *records = peer_record_pack_apps(&app, 1);
    message_role_publish_apps(node->messages[0], 1, records);
    buf_unref(records);
}

static void do_nothing(void *ctx)
{
    (void)ctx;
}

void node_rig_open(struct node_rig *node, const struct node_rig_config *wanted)
{
    *node = (struct node_rig){.config = *wanted};
    assert_true(tmpdir_make(&node->dir));
    (void)snprintf(node->path, sizeof node->path, "%s/store", node->dir.path);
    loops_tally_init(&node->closed);
    node->metrics = metrics_new(NODE_RIG_LOOPS);
    node->key = token_key_new(bytes_str("k1"), bytes_of(secret, sizeof secret));
    struct store_sqlite_config config = {
        .path = node->path, .clock = clock_system(), .limits = store_limits_default(), .min_free_bytes = 1};
    if (wanted->cap_entries != 0) {
        config.limits.cap_entries = wanted->cap_entries;
        config.limits.cap_bytes = 1000 * (uint64_t)wanted->cap_entries;
        config.limits.recent_ids = wanted->cap_entries;
    }
    assert_int_equal(store_sqlite_open(&node->store, &config), 0);
    loops_open(&node->loops, NODE_RIG_LOOPS);
    node->links = link_local_new(RIG_NODE, RIG_INCARNATION, node->loops.loops, NODE_RIG_LOOPS);
    node->broadcasts = turnstile_new(1);
    loops_start(&node->loops);
    for (size_t i = 0; i < NODE_RIG_LOOPS; i++) {
        struct on_loop on = {node, i};
        loops_run_on(&node->loops, i, start_roles, &on);
    }
    loops_run_on(&node->loops, 0, publish, node);
    /* The list travels to the other loop by mail: this comes behind it. */
    loops_run_on(&node->loops, 0, do_nothing, NULL);
    loops_run_on(&node->loops, 1, do_nothing, NULL);
}

static void on_role_closed(void *ctx)
{
    struct node_rig *node = ctx;
    loops_tally_add(&node->closed, 1);
}

static void close_sessions(void *ctx)
{
    const struct on_loop *on = ctx;
    session_role_close(&on->node->sessions[on->index], on_role_closed, on->node);
}

static void close_messages(void *ctx)
{
    const struct on_loop *on = ctx;
    message_role_close(&on->node->messages[on->index], on_role_closed, on->node);
}

void node_rig_close(struct node_rig *node)
{
    for (size_t i = 0; i < NODE_RIG_LOOPS; i++) {
        struct on_loop on = {node, i};
        loops_run_on(&node->loops, i, close_sessions, &on);
    }
    assert_true(loops_tally_wait(&node->closed, NODE_RIG_LOOPS));
    for (size_t i = 0; i < NODE_RIG_LOOPS; i++) {
        struct on_loop on = {node, i};
        loops_run_on(&node->loops, i, close_messages, &on);
    }
    assert_true(loops_tally_wait(&node->closed, NODE_RIG_LOOPS + NODE_RIG_LOOPS));
    store_close(&node->store);
    if (node->config.topics != NULL)
        topics_close(&node->config.topics);
    loops_stop(&node->loops);
    loops_free(&node->loops);
    turnstile_free(&node->broadcasts);
    link_local_free(&node->links);
    metrics_free(&node->metrics);
    token_key_free(&node->key);
    loops_tally_destroy(&node->closed);
    tmpdir_remove(&node->dir);
}

/* ---- calls ---- */

static void on_answer(struct link_call *call)
{
    struct node_rig_asked *asked = container_of(call, struct node_rig_asked, call);
    if (call->in.type == PEER_USER && call->reply.status == 0)
        asked->user = *call->reply.user;
    loops_tally_add(&asked->done, 1);
}

static void do_ask(void *ctx)
{
    struct node_rig_asked *asked = ctx;
    petrel_assert(link_ask(link_local_at(asked->node->links, asked->loop), &asked->call, on_answer) == 0);
}

int node_rig_ask(struct node_rig_asked *asked)
{
    loops_tally_init(&asked->done);
    loops_run_on(&asked->node->loops, asked->loop, do_ask, asked);
    assert_true(loops_tally_wait(&asked->done, 1));
    loops_tally_destroy(&asked->done);
    return asked->call.reply.status;
}

struct peer_target node_rig_target(const char *device)
{
    return (struct peer_target){.app = bytes_str("demo"), .user = bytes_str("ada"), .device = bytes_str(device)};
}

/* ---- devices ---- */

void node_rig_token(const struct node_rig *node, const char *device, struct bytebuf *out)
{
    struct token_claims claims = {.app = "demo", .user = "ada"};
    claims.issued_s = clock_wall_ms(clock_system()) / 1000;
    claims.expires_s = claims.issued_s + 3600;
    (void)snprintf(claims.device, sizeof claims.device, "%s", device);
    rig_token_with(node->key, &claims, out);
}

void node_rig_connect(struct node_rig *node, size_t loop, struct client *client, const char *device, uint64_t attempt,
                      struct position at)
{
    struct bytebuf token = {0};
    node_rig_token(node, device, &token);
    client_open(client, node->ports[loop]);
    client_connect_as(client, (const char *)token.ptr, attempt, at);
    bytes_reset(&token);
}
