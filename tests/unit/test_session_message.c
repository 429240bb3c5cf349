/* Session roles, message roles and the SQLite store together, on two loops: what is accepted on one loop reaches the device on
 * the other, whatever the device does meanwhile. */
#include "base/err.h"
#include "base/object.h"
#include "contract/loops.h"
#include "lib/tmpdir.h"
#include "message/message_role.h"
#include "store/store_sqlite.h"
#include "unit/session_client.h"
#include "wire/peer_record.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define LOOPS 2

static const uint8_t secret[TOKEN_SECRET_BYTES] = "a secret of thirty-two bytes ...";

struct node {
    struct tmpdir dir;
    char path[TMPDIR_PATH_MAX + 16];
    struct loops loops;
    struct link_local *links;
    struct metrics *metrics;
    struct store *store;
    struct session_role *sessions[LOOPS];
    struct message_role *messages[LOOPS];
    uint16_t ports[LOOPS];
    struct token_key *key;
    struct loops_tally closed;
};

/* What is run on a loop's thread: the node, and which of its loops. */
struct on_loop {
    struct node *node;
    size_t index;
};

static void start_roles(void *ctx)
{
    const struct on_loop *on = ctx;
    struct node *node = on->node;
    struct loop *loop = node->loops.loops[on->index];
    struct link *link = link_local_at(node->links, on->index);
    struct metrics_shard *shard = metrics_shard(node->metrics, on->index);
    struct message_config config = {.max_inflight = 0};
    struct session_config session_config = rig_config();
    petrel_assert(message_role_new(&node->messages[on->index], loop, link, node->store, &config, shard) == 0);
    petrel_assert(session_role_new(&node->sessions[on->index], loop, link, &session_config, shard) == 0);
    petrel_assert(session_role_listen(node->sessions[on->index], &node->ports[on->index]) == 0);
}

static void publish(void *ctx)
{
    struct node *node = ctx;
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

static void node_open(struct node *node)
{
    *node = (struct node){.store = NULL};
    assert_true(tmpdir_make(&node->dir));
    (void)snprintf(node->path, sizeof node->path, "%s/store", node->dir.path);
    loops_tally_init(&node->closed);
    node->metrics = metrics_new(LOOPS);
    node->key = token_key_new(bytes_str("k1"), bytes_of(secret, sizeof secret));
    struct store_sqlite_config config = {
        .path = node->path, .clock = clock_system(), .limits = store_limits_default(), .min_free_bytes = 1};
    config.limits.cap_entries = 100000;
    config.limits.cap_bytes = 100000000;
    config.limits.recent_ids = 100000;
    assert_int_equal(store_sqlite_open(&node->store, &config), 0);
    loops_open(&node->loops, LOOPS);
    node->links = link_local_new(RIG_NODE, RIG_INCARNATION, node->loops.loops, LOOPS);
    loops_start(&node->loops);
    for (size_t i = 0; i < LOOPS; i++) {
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
    struct node *node = ctx;
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

static void node_close(struct node *node)
{
    for (size_t i = 0; i < LOOPS; i++) {
        struct on_loop on = {node, i};
        loops_run_on(&node->loops, i, close_sessions, &on);
    }
    assert_true(loops_tally_wait(&node->closed, LOOPS));
    for (size_t i = 0; i < LOOPS; i++) {
        struct on_loop on = {node, i};
        loops_run_on(&node->loops, i, close_messages, &on);
    }
    assert_true(loops_tally_wait(&node->closed, LOOPS + LOOPS));
    store_close(&node->store);
    loops_stop(&node->loops);
    loops_free(&node->loops);
    link_local_free(&node->links);
    metrics_free(&node->metrics);
    token_key_free(&node->key);
    loops_tally_destroy(&node->closed);
    tmpdir_remove(&node->dir);
}

/* ---- calls ---- */

struct asked {
    struct node *node;
    size_t loop;
    struct link_call call;
    struct peer_user user; /* copied from the reply of USER */
    struct loops_tally done;
};

static void on_answer(struct link_call *call)
{
    struct asked *asked = container_of(call, struct asked, call);
    if (call->in.type == PEER_USER && call->reply.status == 0)
        asked->user = *call->reply.user;
    loops_tally_add(&asked->done, 1);
}

static void do_ask(void *ctx)
{
    struct asked *asked = ctx;
    petrel_assert(link_ask(link_local_at(asked->node->links, asked->loop), &asked->call, on_answer) == 0);
}

static int ask(struct asked *asked)
{
    loops_tally_init(&asked->done);
    loops_run_on(&asked->node->loops, asked->loop, do_ask, asked);
    assert_true(loops_tally_wait(&asked->done, 1));
    loops_tally_destroy(&asked->done);
    return asked->call.reply.status;
}

static struct peer_target ada(const char *device)
{
    return (struct peer_target){.app = bytes_str("demo"), .user = bytes_str("ada"), .device = bytes_str(device)};
}

static struct buf *message_of(const struct id *id, const char *text)
{
    struct session_message message = {.id = *id, .body = bytes_str(text), .sent_ms = 1, .expires_ms = UINT64_MAX / 2};
    return session_encode_message(&message);
}

static struct position send_text(struct node *node, size_t loop, const char *device, const char *text)
{
    struct id id;
    rng_secret(&id, sizeof id);
    struct asked asked = {.node = node, .loop = loop, .call.in.type = PEER_SEND};
    asked.call.in.send = (struct peer_send){
        .target = ada(device),
        .id = id,
        .message = message_of(&id, text),
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = clock_wall_ms(clock_system()) + 3600000,
    };
    struct buf *message = asked.call.in.send.message;
    assert_int_equal(ask(&asked), 0);
    buf_unref(message);
    return asked.call.reply.sent.position;
}

/* ---- devices ---- */

static void connect_device(struct node *node, size_t loop, struct client *client, const char *device, uint64_t attempt,
                           struct position at)
{
    struct bytebuf token = {0};
    struct token_claims claims = {.app = "demo", .user = "ada"};
    claims.issued_s = clock_wall_ms(clock_system()) / 1000;
    claims.expires_s = claims.issued_s + 3600;
    (void)snprintf(claims.device, sizeof claims.device, "%s", device);
    rig_token_with(node->key, &claims, &token);
    client_open(client, node->ports[loop]);
    client_connect_as(client, (const char *)token.ptr, attempt, at);
    bytes_reset(&token);
}

static struct position take_text(struct client *client, const char *text)
{
    const struct session_push *push = &client_take(client, SESSION_PUSH)->push;
    assert_true(bytes_equal_str(push->message.body, text));
    return push->position;
}

static void push_reaches_devices_on_both_loops(void **state)
{
    (void)state;
    struct node node;
    struct client phone, tablet;
    node_open(&node);
    connect_device(&node, 0, &phone, "phone", 1, (struct position){0, 0});
    assert_int_equal(client_take(&phone, SESSION_CONNECTED)->connected.verdict, SESSION_NEW);
    connect_device(&node, 1, &tablet, "tablet", 1, (struct position){0, 0});
    assert_int_equal(client_take(&tablet, SESSION_CONNECTED)->connected.verdict, SESSION_NEW);
    send_text(&node, 0, NULL, "to both");
    struct position at = take_text(&phone, "to both");
    assert_int_equal(take_text(&tablet, "to both").seq, at.seq);
    /* For one of them; the other follows without a hole. */
    send_text(&node, 1, "tablet", "to the tablet");
    take_text(&tablet, "to the tablet");
    send_text(&node, 1, NULL, "to both again");
    take_text(&phone, "to both again");
    take_text(&tablet, "to both again");
    client_expect_silence(&phone);
    client_expect_silence(&tablet);
    /* The phone goes, misses two, and comes back on the other loop. */
    client_disconnect(&phone);
    client_take_end(&phone);
    client_close(&phone);
    send_text(&node, 0, NULL, "missed one");
    send_text(&node, 0, NULL, "missed two");
    connect_device(&node, 1, &phone, "phone", 2, at);
    assert_int_equal(client_take(&phone, SESSION_CONNECTED)->connected.verdict, SESSION_RESUMED);
    take_text(&phone, "to both again");
    take_text(&phone, "missed one");
    at = take_text(&phone, "missed two");
    take_text(&tablet, "missed one");
    take_text(&tablet, "missed two");
    /* Once both have acked, nothing is held any more. */
    client_ack(&phone, at.epoch, at.seq);
    client_ack(&tablet, at.epoch, at.seq);
    struct asked user = {.node = &node, .loop = 0, .call.in = {.type = PEER_USER, .user = ada(NULL)}};
    for (int i = 0; i < 30000; i++) {
        assert_int_equal(ask(&user), 0);
        if (user.user.pending == 0)
            break;
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(user.user.pending, 0);
    assert_int_equal(user.user.count, 2);
    client_close(&phone);
    client_close(&tablet);
    node_close(&node);
}

static void newer_session_takes_over_on_another_loop(void **state)
{
    (void)state;
    struct node node;
    struct client older, newer, stale;
    node_open(&node);
    connect_device(&node, 0, &older, "phone", 5, (struct position){0, 0});
    struct position at = client_take(&older, SESSION_CONNECTED)->connected.position;
    connect_device(&node, 1, &newer, "phone", 6, at);
    client_take(&newer, SESSION_CONNECTED);
    client_take_error(&older, SESSION_CODE_REPLACED);
    connect_device(&node, 0, &stale, "phone", 4, at);
    client_take_error(&stale, SESSION_CODE_STALE_ATTEMPT);
    send_text(&node, 0, "phone", "to the newer");
    take_text(&newer, "to the newer");
    /* Revoked: told, and not let in again with an older token. */
    struct asked remove = {.node = &node, .loop = 0, .call.in.type = PEER_REMOVE};
    remove.call.in.remove =
        (struct peer_remove){.target = ada("phone"), .revoked_ms = clock_wall_ms(clock_system()) + 1000};
    assert_int_equal(ask(&remove), 0);
    client_take_error(&newer, SESSION_CODE_REVOKED);
    client_close(&newer);
    connect_device(&node, 1, &newer, "phone", 7, at);
    client_take_error(&newer, SESSION_CODE_REVOKED);
    client_close(&older);
    client_close(&newer);
    client_close(&stale);
    node_close(&node);
}

/* ---- a storm ---- */

#define SENDS 150U /* by each loop */
#define DEVICES 4

/* Sends one message after the other's answer, as long as there are any. */
struct sender {
    struct asked asked;
    uint32_t index;
    uint32_t sent;
    struct buf *message;
    struct loops_tally *finished;
};

static void send_next(struct sender *sender);

static void on_sent(struct link_call *call)
{
    struct sender *sender = container_of(call, struct sender, asked.call);
    petrel_assert(call->reply.status == 0);
    buf_unref(sender->message);
    if (++sender->sent < SENDS)
        send_next(sender);
    else
        loops_tally_add(sender->finished, 1);
}

static void send_next(struct sender *sender)
{
    char text[32];
    struct id id;
    rng_secret(&id, sizeof id);
    (void)snprintf(text, sizeof text, "%u %u", sender->index, sender->sent);
    sender->message = message_of(&id, text);
    sender->asked.call.in = (struct peer_msg){.type = PEER_SEND};
    sender->asked.call.in.send = (struct peer_send){
        .target = ada(NULL),
        .id = id,
        .message = sender->message,
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = clock_wall_ms(clock_system()) + 3600000,
    };
    petrel_assert(link_ask(link_local_at(sender->asked.node->links, sender->index), &sender->asked.call, on_sent) == 0);
}

static void begin_sending(void *ctx)
{
    send_next(ctx);
}

struct device {
    struct client client;
    char name[16];
    uint64_t attempt;
    bool connected;
    struct position at;
    uint32_t received;
    uint32_t next[LOOPS]; /* of each sender's */
};

static void device_connect(struct node *node, struct device *device, struct rng *rng)
{
    device->connected = false;
    connect_device(node, rng_below(rng, LOOPS), &device->client, device->name, ++device->attempt, device->at);
}

static void device_take(struct device *device, const struct session_frame *frame)
{
    if (frame->type == SESSION_CONNECTED) {
        assert_int_not_equal(frame->connected.verdict, SESSION_GAPPED);
        device->connected = true;
        device->at = frame->connected.position;
        return;
    }
    assert_int_equal(frame->type, SESSION_PUSH);
    unsigned sender, number;
    char text[32] = {0};
    assert_true(frame->push.message.body.len < sizeof text);
    memcpy(text, frame->push.message.body.ptr, frame->push.message.body.len);
    assert_int_equal(sscanf(text, "%u %u", &sender, &number), 2);
    assert_true(frame->push.prev <= device->at.seq && frame->push.position.seq > device->at.seq);
    assert_int_equal(number, device->next[sender]);
    device->next[sender]++;
    device->received++;
    device->at = frame->push.position;
}

/* Take the frames that are there, without waiting. */
static void device_pump(struct device *device)
{
    uint8_t bytes[4096];
    ssize_t got = recv(device->client.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got <= 0)
        return;
    bytes_append(&device->client.in, bytes, (size_t)got);
    struct bytes rest = bytes_view(&device->client.in);
    struct frame frame;
    struct session_frame decoded;
    while (frame_take(&rest, FRAME_BODY_MAX, &frame) == 0) {
        assert_int_equal(session_decode(device->client.codec, &frame, &decoded), 0);
        device_take(device, &decoded);
    }
    bytes_consume(&device->client.in, device->client.in.len - rest.len);
}

static void every_device_gets_everything_once_in_order(void **state)
{
    (void)state;
    struct node node;
    struct device devices[DEVICES] = {0};
    struct sender senders[LOOPS] = {0};
    struct loops_tally finished;
    struct rng rng;
    rng_seed(&rng, 4);
    node_open(&node);
    loops_tally_init(&finished);
    for (int i = 0; i < DEVICES; i++) {
        (void)snprintf(devices[i].name, sizeof devices[i].name, "d%d", i);
        device_connect(&node, &devices[i], &rng);
        device_take(&devices[i], client_take(&devices[i].client, SESSION_CONNECTED));
        bytes_consume(&devices[i].client.in, devices[i].client.taken);
        devices[i].client.taken = 0;
    }
    for (uint32_t i = 0; i < LOOPS; i++) {
        senders[i] = (struct sender){.asked.node = &node, .index = i, .finished = &finished};
        loops_run_on(&node.loops, i, begin_sending, &senders[i]);
    }
    uint64_t began_ms = clock_mono_ms(clock_system());
    for (uint32_t whole = 0; whole < DEVICES;) {
        assert_true(clock_mono_ms(clock_system()) - began_ms < 60000);
        whole = 0;
        for (int i = 0; i < DEVICES; i++) {
            struct device *device = &devices[i];
            device_pump(device);
            whole += device->received == LOOPS * SENDS;
            if (device->connected && rng_below(&rng, 400) == 0)
                client_ack(&device->client, device->at.epoch, device->at.seq);
            /* Also while it binds. */
            if (rng_below(&rng, 2000) == 0) {
                client_close(&device->client);
                device_connect(&node, device, &rng);
            }
        }
    }
    assert_true(loops_tally_wait(&finished, LOOPS));
    for (int i = 0; i < DEVICES; i++) {
        for (uint32_t s = 0; s < LOOPS; s++)
            assert_int_equal(devices[i].next[s], SENDS);
        client_close(&devices[i].client);
    }
    loops_tally_destroy(&finished);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_reaches_devices_on_both_loops),
        cmocka_unit_test(newer_session_takes_over_on_another_loop),
        cmocka_unit_test(every_device_gets_everything_once_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
