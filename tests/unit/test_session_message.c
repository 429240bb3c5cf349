/* Session roles, message roles and the SQLite store together, on two loops: what is accepted on one loop reaches the device on
 * the other, whatever the device does meanwhile. */
#include "base/object.h"
#include "unit/node_rig.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define LOOPS NODE_RIG_LOOPS

static void open_node(struct node_rig *node)
{
    const struct node_rig_config config = {.cap_entries = 100000};
    node_rig_open(node, &config);
}

static struct buf *message_of(const struct id *id, const char *text)
{
    struct session_message message = {.id = *id, .body = bytes_str(text), .sent_ms = 1, .expires_ms = UINT64_MAX / 2};
    return session_encode_message(&message);
}

static struct position send_text(struct node_rig *node, size_t loop, const char *device, const char *text)
{
    struct id id;
    rng_secret(&id, sizeof id);
    struct node_rig_asked asked = {.node = node, .loop = loop, .call.in.type = PEER_SEND};
    asked.call.in.send = (struct peer_send){
        .target = node_rig_target(device),
        .id = id,
        .message = message_of(&id, text),
        .priority = PEER_PRIORITY_NORMAL,
        .expires_ms = clock_wall_ms(clock_system()) + 3600000,
    };
    struct buf *message = asked.call.in.send.message;
    assert_int_equal(node_rig_ask(&asked), 0);
    buf_unref(message);
    return asked.call.reply.sent.position;
}

/* ---- devices ---- */

static struct position take_text(struct client *client, const char *text)
{
    const struct session_push *push = &client_take(client, SESSION_PUSH)->push;
    assert_true(bytes_equal_str(push->message.body, text));
    return push->position;
}

static void push_reaches_devices_on_both_loops(void **state)
{
    (void)state;
    struct node_rig node;
    struct client phone, tablet;
    open_node(&node);
    node_rig_connect(&node, 0, &phone, "phone", 1, (struct position){0, 0});
    assert_int_equal(client_take(&phone, SESSION_CONNECTED)->connected.verdict, SESSION_NEW);
    node_rig_connect(&node, 1, &tablet, "tablet", 1, (struct position){0, 0});
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
    node_rig_connect(&node, 1, &phone, "phone", 2, at);
    assert_int_equal(client_take(&phone, SESSION_CONNECTED)->connected.verdict, SESSION_RESUMED);
    take_text(&phone, "to both again");
    take_text(&phone, "missed one");
    at = take_text(&phone, "missed two");
    take_text(&tablet, "missed one");
    take_text(&tablet, "missed two");
    /* Once both have acked, nothing is held any more. */
    client_ack(&phone, at.epoch, at.seq);
    client_ack(&tablet, at.epoch, at.seq);
    struct node_rig_asked user = {
        .node = &node, .loop = 0, .call.in = {.type = PEER_USER, .user = node_rig_target(NULL)}};
    for (int i = 0; i < 30000; i++) {
        assert_int_equal(node_rig_ask(&user), 0);
        if (user.user.pending == 0)
            break;
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(user.user.pending, 0);
    assert_int_equal(user.user.count, 2);
    client_close(&phone);
    client_close(&tablet);
    node_rig_close(&node);
}

static void newer_session_takes_over_on_another_loop(void **state)
{
    (void)state;
    struct node_rig node;
    struct client older, newer, stale;
    open_node(&node);
    node_rig_connect(&node, 0, &older, "phone", 5, (struct position){0, 0});
    struct position at = client_take(&older, SESSION_CONNECTED)->connected.position;
    node_rig_connect(&node, 1, &newer, "phone", 6, at);
    client_take(&newer, SESSION_CONNECTED);
    client_take_error(&older, SESSION_CODE_REPLACED);
    node_rig_connect(&node, 0, &stale, "phone", 4, at);
    client_take_error(&stale, SESSION_CODE_STALE_ATTEMPT);
    send_text(&node, 0, "phone", "to the newer");
    take_text(&newer, "to the newer");
    /* Revoked: told, and not let in again with an older token. */
    struct node_rig_asked remove = {.node = &node, .loop = 0, .call.in.type = PEER_REMOVE};
    remove.call.in.remove =
        (struct peer_remove){.target = node_rig_target("phone"), .revoked_ms = clock_wall_ms(clock_system()) + 1000};
    assert_int_equal(node_rig_ask(&remove), 0);
    client_take_error(&newer, SESSION_CODE_REVOKED);
    client_close(&newer);
    node_rig_connect(&node, 1, &newer, "phone", 7, at);
    client_take_error(&newer, SESSION_CODE_REVOKED);
    client_close(&older);
    client_close(&newer);
    client_close(&stale);
    node_rig_close(&node);
}

/* ---- a storm ---- */

#define SENDS 150U /* by each loop */
#define DEVICES 4

/* Sends one message after the other's answer, as long as there are any. */
struct sender {
    struct node_rig_asked asked;
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
        .target = node_rig_target(NULL),
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

static void device_connect(struct node_rig *node, struct device *device, struct rng *rng)
{
    device->connected = false;
    node_rig_connect(node, rng_below(rng, LOOPS), &device->client, device->name, ++device->attempt, device->at);
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
    struct node_rig node;
    struct device devices[DEVICES] = {0};
    struct sender senders[LOOPS] = {0};
    struct loops_tally finished;
    struct rng rng;
    rng_seed(&rng, 4);
    open_node(&node);
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
    node_rig_close(&node);
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
