/* Topics through session roles, message roles and their store, on two loops: who follows a topic is sent it once, in order, wherever it is
 * and however late. */
#include "base/err.h"
#include "base/object.h"
#include "contract/loops.h"
#include "lib/tmpdir.h"
#include "loop/turnstile.h"
#include "message/message_role.h"
#include "store/store_sqlite.h"
#include "store/topics_sqlite.h"
#include "unit/session_client.h"
#include "wire/condition.h"
#include "wire/peer_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LOOPS 2

static const uint8_t secret[TOKEN_SECRET_BYTES] = "a secret of thirty-two bytes ...";

/* A store of topics in whose place another can be put: one that forgot. */
struct swap {
    struct topics base;
    _Atomic(struct topics *) inside;
};

struct node {
    struct tmpdir dir;
    char path[TMPDIR_PATH_MAX + 16];
    struct loops loops;
    struct link_local *links;
    struct metrics *metrics;
    struct store *store;
    struct swap topics;
    char topics_path[TMPDIR_PATH_MAX + 16];
    struct session_role *sessions[LOOPS];
    struct message_role *messages[LOOPS];
    uint16_t ports[LOOPS];
    struct token_key *key;
    struct turnstile *broadcasts; /* one loop at a time */
    uint32_t check_interval_s;    /* 0: the default, minutes */
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
    struct message_config config = {.topics = &node->topics.base};
    struct session_config session_config = rig_config();
    session_config.incarnation = RIG_INCARNATION;
    session_config.loops = LOOPS;
    session_config.broadcasts = node->broadcasts;
    if (node->check_interval_s != 0)
        session_config.check_interval_s = node->check_interval_s;
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

static int swap_submit(struct topics *topics, struct topics_request *request)
{
    struct topics *inside = atomic_load(&container_of(topics, struct swap, base)->inside);
    return inside != NULL ? inside->ops->submit(inside, request) : PETREL_E_CLOSING;
}

static const struct topics_ops swap_ops = {.name = "swap", .submit = swap_submit};

static void topics_open(struct node *node, const char *path, uint32_t cap, bool restored)
{
    struct topics *topics;
    struct topics_sqlite_config config = {
        .path = path, .clock = clock_system(), .limits = topics_limits_default(), .restored = restored};
    config.limits.cap_entries = cap;
    assert_int_equal(topics_sqlite_open(&topics, &config), 0);
    node->topics.base.ops = &swap_ops;
    atomic_store(&node->topics.inside, topics);
}

static void topics_shut(struct node *node)
{
    struct topics *topics = atomic_exchange(&node->topics.inside, NULL);
    topics_close(&topics);
}

static void node_open_with(struct node *node, uint32_t cap, uint32_t check_interval_s)
{
    *node = (struct node){.check_interval_s = check_interval_s};
    assert_true(tmpdir_make(&node->dir));
    (void)snprintf(node->path, sizeof node->path, "%s/store", node->dir.path);
    loops_tally_init(&node->closed);
    node->metrics = metrics_new(LOOPS);
    node->key = token_key_new(bytes_str("k1"), bytes_of(secret, sizeof secret));
    struct store_sqlite_config config = {
        .path = node->path, .clock = clock_system(), .limits = store_limits_default(), .min_free_bytes = 1};
    assert_int_equal(store_sqlite_open(&node->store, &config), 0);
    (void)snprintf(node->topics_path, sizeof node->topics_path, "%s/topics", node->dir.path);
    topics_open(node, node->topics_path, cap, false);
    loops_open(&node->loops, LOOPS);
    node->links = link_local_new(RIG_NODE, RIG_INCARNATION, node->loops.loops, LOOPS);
    node->broadcasts = turnstile_new(1);
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

static void node_open(struct node *node, uint32_t cap)
{
    node_open_with(node, cap, 0);
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
    topics_shut(node);
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

struct asked {
    struct node *node;
    struct link_call call;
    struct loops_tally done;
};

static void on_answer(struct link_call *call)
{
    struct asked *asked = container_of(call, struct asked, call);
    loops_tally_add(&asked->done, 1);
}

static void do_ask(void *ctx)
{
    struct asked *asked = ctx;
    petrel_assert(link_ask(link_local_at(asked->node->links, 0), &asked->call, on_answer) == 0);
}

static int ask(struct asked *asked)
{
    loops_tally_init(&asked->done);
    loops_run_on(&asked->node->loops, 0, do_ask, asked);
    assert_true(loops_tally_wait(&asked->done, 1));
    loops_tally_destroy(&asked->done);
    return asked->call.reply.status;
}

/* condition NULL: for all followers; rate 0: at once. */
static struct position publish_text(struct node *node, const char *topic, const char *condition, uint32_t rate,
                                    const char *text)
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
    struct asked asked = {.node = node, .call.in.type = PEER_TOPIC_SEND};
    struct buf *encoded = session_encode_message(&message);
    asked.call.in.topic_send = (struct peer_topic_send){.app = bytes_str("demo"),
                                                        .topic = bytes_str(topic),
                                                        .condition = bytes_view(&packed),
                                                        .id = id,
                                                        .message = encoded,
                                                        .expires_ms = message.expires_ms};
    assert_int_equal(ask(&asked), 0);
    buf_unref(encoded);
    bytes_reset(&packed);
    return asked.call.reply.sent.position;
}

static int change(struct node *node, enum peer_type type, const char *device, const char *topic)
{
    struct asked asked = {.node = node, .call.in.type = type};
    asked.call.in.subscribe = (struct peer_subscribe){
        .target = {bytes_str("demo"), bytes_str("ada"), bytes_str(device)}, .topic = bytes_str(topic)};
    return ask(&asked);
}

/* ---- changes of which nobody tells the session: whoever wrote them was gone before the notice ---- */

struct written {
    struct node *node;
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
    struct loop *home = written->node->loops.loops[0];
    petrel_assert(topics_submit(&written->node->topics.base, written->op, &written->request, home, on_written) == 0);
}

static void write_untold(struct node *node, enum topics_op op, const char *topic, struct position from)
{
    struct written written = {.node = node, .op = op};
    written.request.in.subscribe =
        (struct topics_subscription){.device = {bytes_str("demo"), bytes_str("ada"), bytes_str("phone")},
                                     .topic = bytes_str(topic),
                                     .position = from};
    loops_tally_init(&written.done);
    loops_run_on(&node->loops, 0, do_write, &written);
    assert_true(loops_tally_wait(&written.done, 1));
    loops_tally_destroy(&written.done);
    assert_int_equal(written.request.status, 0);
}

/* ---- devices ---- */

static void write_frame(struct client *client, struct bytebuf *frame)
{
    client_send(client, bytes_view(frame));
    bytes_reset(frame);
}

/* With these positions; and CONNECTED is taken. */
static void connect_at(struct node *node, size_t loop, struct client *client, const char *device, uint64_t attempt,
                       const struct session_topic_position *topics, uint32_t count)
{
    struct bytebuf token = {0};
    struct bytebuf frame = {0};
    struct token_claims claims = {.app = "demo", .user = "ada"};
    claims.issued_s = clock_wall_ms(clock_system()) / 1000;
    claims.expires_s = claims.issued_s + 3600;
    (void)snprintf(claims.device, sizeof claims.device, "%s", device);
    rig_token_with(node->key, &claims, &token);
    const struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                            .token = bytes_str((const char *)token.ptr),
                                            .attempt = attempt,
                                            .client = bytes_str("test/1"),
                                            .takes_topics = true,
                                            .topics_count = count,
                                            .topics = topics};
    client_open(client, node->ports[loop]);
    session_encode_connect(&frame, &connect);
    write_frame(client, &frame);
    bytes_reset(&token);
    client_take(client, SESSION_CONNECTED);
}

static struct position take_subscribed(struct client *client, const char *topic)
{
    const struct session_subscribed *told = &client_take(client, SESSION_SUBSCRIBED)->subscribed;
    assert_true(bytes_equal_str(told->topic, topic));
    assert_int_equal(told->refused, 0);
    return told->position;
}

/* A device that has never been here: it follows `all` from where that is. */
static struct position connect_anew(struct node *node, size_t loop, struct client *client, const char *device)
{
    connect_at(node, loop, client, device, 1, NULL, 0);
    return take_subscribed(client, "all");
}

static struct position take_push(struct client *client, const char *topic, const char *text)
{
    const struct session_push *push = &client_take(client, SESSION_PUSH)->push;
    assert_int_equal(push->log, SESSION_LOG_TOPIC);
    assert_true(bytes_equal_str(push->topic, topic));
    assert_true(bytes_equal_str(push->message.body, text));
    return push->position;
}

static struct position subscribe(struct client *client, const char *topic)
{
    struct bytebuf frame = {0};
    session_encode_topic_subscribe(&frame, bytes_str(topic));
    write_frame(client, &frame);
    return take_subscribed(client, topic);
}

static void leave(struct client *client)
{
    client_disconnect(client);
    client_take_end(client);
    client_close(client);
}

/* ---- tests ---- */

static void all_reaches_every_device_that_takes_topics(void **state)
{
    (void)state;
    struct node node;
    struct client phone, tablet, old;
    node_open(&node, 1000);
    connect_anew(&node, 0, &phone, "phone");
    connect_anew(&node, 1, &tablet, "tablet");
    struct bytebuf token = {0};
    struct token_claims claims = {.app = "demo", .user = "ada", .device = "old"};
    claims.issued_s = clock_wall_ms(clock_system()) / 1000;
    claims.expires_s = claims.issued_s + 3600;
    rig_token_with(node.key, &claims, &token);
    client_open(&old, node.ports[0]);
    client_connect_token(&old, (const char *)token.ptr);
    client_take(&old, SESSION_CONNECTED);
    bytes_reset(&token);
    publish_text(&node, "all", NULL, 0, "one");
    publish_text(&node, "all", NULL, 0, "two");
    for (int i = 0; i < 2; i++) {
        struct client *client = i == 0 ? &phone : &tablet;
        /* The log began with the first of them, in an epoch of its own. */
        (void)take_subscribed(client, "all");
        (void)take_push(client, "all", "one");
        (void)take_push(client, "all", "two");
        client_expect_silence(client);
    }
    client_expect_silence(&old);
    leave(&phone);
    leave(&tablet);
    leave(&old);
    node_close(&node);
}

static void frames_are_the_same_for_all(void **state)
{
    (void)state;
    struct node node;
    struct client phone, tablet;
    node_open(&node, 1000);
    publish_text(&node, "all", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    connect_anew(&node, 0, &tablet, "tablet");
    publish_text(&node, "all", NULL, 0, "now");
    (void)take_push(&phone, "all", "now");
    (void)take_push(&tablet, "all", "now");
    assert_int_equal(phone.taken, tablet.taken);
    assert_memory_equal(phone.in.ptr, tablet.in.ptr, phone.taken);
    leave(&phone);
    leave(&tablet);
    node_close(&node);
}

static void who_comes_back_goes_on_from_its_position(void **state)
{
    (void)state;
    struct node node;
    struct client phone, tablet;
    node_open(&node, 4);
    publish_text(&node, "all", NULL, 0, "before");
    const struct position began = connect_anew(&node, 0, &phone, "phone");
    connect_anew(&node, 1, &tablet, "tablet");
    leave(&phone);
    publish_text(&node, "all", NULL, 0, "missed");
    (void)take_push(&tablet, "all", "missed");
    struct session_topic_position at = {bytes_str("all"), began};
    connect_at(&node, 0, &phone, "phone", 2, &at, 1);
    at.position = take_push(&phone, "all", "missed");
    client_expect_silence(&phone);
    /* With the loop again. */
    publish_text(&node, "all", NULL, 0, "live");
    at.position = take_push(&phone, "all", "live");
    leave(&phone);
    /* The log keeps four: what was dropped is told. */
    for (int i = 0; i < 7; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "m%d", i);
        publish_text(&node, "all", NULL, 0, text);
    }
    connect_at(&node, 1, &phone, "phone", 3, &at, 1);
    const struct session_gap *gap = &client_take(&phone, SESSION_GAP)->gap;
    assert_int_equal(gap->log, SESSION_LOG_TOPIC);
    assert_true(bytes_equal_str(gap->topic, "all"));
    assert_int_equal(gap->lost_at_most, 3);
    assert_int_equal(gap->reason, SESSION_GAP_TRIMMED);
    (void)take_push(&phone, "all", "m3");
    (void)take_push(&phone, "all", "m4");
    (void)take_push(&phone, "all", "m5");
    (void)take_push(&phone, "all", "m6");
    client_expect_silence(&phone);
    leave(&phone);
    client_close(&tablet);
    node_close(&node);
}

static void devices_subscribe_and_unsubscribe(void **state)
{
    (void)state;
    struct node node;
    struct client phone, tablet;
    struct bytebuf frame = {0};
    node_open(&node, 1000);
    publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    connect_anew(&node, 1, &tablet, "tablet");
    struct session_topic_position at = {bytes_str("news"), subscribe(&phone, "news")};
    publish_text(&node, "news", NULL, 0, "one");
    at.position = take_push(&phone, "news", "one");
    client_expect_silence(&tablet);
    /* It stays subscribed while it is away. */
    leave(&phone);
    publish_text(&node, "news", NULL, 0, "two");
    connect_at(&node, 1, &phone, "phone", 2, &at, 1);
    (void)take_subscribed(&phone, "all");
    (void)take_push(&phone, "news", "two");
    session_encode_topic_unsubscribe(&frame, bytes_str("news"));
    write_frame(&phone, &frame);
    assert_true(position_is_none(take_subscribed(&phone, "news")));
    publish_text(&node, "news", NULL, 0, "three");
    client_expect_silence(&phone);
    /* Nobody subscribes to `all`. */
    session_encode_topic_subscribe(&frame, bytes_str("all"));
    write_frame(&phone, &frame);
    assert_int_equal(client_take(&phone, SESSION_SUBSCRIBED)->subscribed.refused, SESSION_CODE_UNSUPPORTED);
    leave(&phone);
    leave(&tablet);
    node_close(&node);
}

static void what_a_backend_changes_is_told_at_once(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open(&node, 1000);
    publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 1, &phone, "phone");
    assert_int_equal(change(&node, PEER_SUBSCRIBE, "phone", "news"), 0);
    const struct position began = take_subscribed(&phone, "news");
    publish_text(&node, "news", NULL, 0, "one");
    assert_int_equal(take_push(&phone, "news", "one").seq, began.seq + 1);
    assert_int_equal(change(&node, PEER_UNSUBSCRIBE, "phone", "news"), 0);
    assert_true(position_is_none(take_subscribed(&phone, "news")));
    publish_text(&node, "news", NULL, 0, "two");
    client_expect_silence(&phone);
    leave(&phone);
    /* And while it was away, when it is back. */
    assert_int_equal(change(&node, PEER_SUBSCRIBE, "phone", "sport"), 0);
    const struct session_topic_position at = {bytes_str("news"), began};
    publish_text(&node, "sport", NULL, 0, "goal");
    connect_at(&node, 0, &phone, "phone", 2, &at, 1);
    assert_true(position_is_none(take_subscribed(&phone, "news")));
    (void)client_take(&phone, SESSION_SUBSCRIBED);
    (void)client_take(&phone, SESSION_SUBSCRIBED);
    (void)client_take_any(&phone);
    assert_int_equal(change(&node, PEER_SUBSCRIBE, "nobody", "news"), PETREL_E_NOT_FOUND);
    assert_int_equal(change(&node, PEER_SUBSCRIBE, "phone", "all"), PETREL_E_INVALID);
    client_close(&phone);
    node_close(&node);
}

static void conditions_are_met(void **state)
{
    (void)state;
    struct node node;
    struct client both, one, none;
    node_open(&node, 1000);
    publish_text(&node, "a", NULL, 0, "before");
    publish_text(&node, "b", NULL, 0, "before");
    publish_text(&node, "all", NULL, 0, "before");
    connect_anew(&node, 0, &both, "both");
    connect_anew(&node, 0, &one, "one");
    connect_anew(&node, 1, &none, "none");
    (void)subscribe(&both, "a");
    (void)subscribe(&both, "b");
    (void)subscribe(&one, "a");
    publish_text(&node, "a", "'a' in topics && !('b' in topics)", 0, "a only");
    publish_text(&node, "a", "'a' in topics && 'b' in topics", 0, "a and b");
    publish_text(&node, "all", "!('a' in topics)", 0, "not a");
    publish_text(&node, "a", NULL, 0, "whoever");
    (void)take_push(&one, "a", "a only");
    (void)take_push(&one, "a", "whoever");
    (void)take_push(&both, "a", "a and b");
    (void)take_push(&both, "a", "whoever");
    (void)take_push(&none, "all", "not a");
    client_expect_silence(&one);
    client_expect_silence(&both);
    client_expect_silence(&none);
    leave(&both);
    leave(&one);
    leave(&none);
    node_close(&node);
}

/* More than sockets hold: who does not read is apart, the others are not kept waiting, and it has everything once it reads. */
static void slow_readers_catch_up(void **state)
{
    (void)state;
    struct node node;
    struct client slow, fast;
    enum { COUNT = 400, SIZE = 60000 };
    char *text = object_zalloc(SIZE + 1);
    node_open(&node, COUNT + 10);
    publish_text(&node, "all", NULL, 0, "before");
    connect_anew(&node, 0, &slow, "slow");
    connect_anew(&node, 0, &fast, "fast");
    memset(text, 'x', SIZE);
    uint64_t first = 0;
    for (int i = 0; i < COUNT; i++) {
        text[SIZE] = 0;
        /* The log holds a megabyte: the slow one is told of the rest. */
        const struct position at = publish_text(&node, "all", NULL, 0, text);
        first = i == 0 ? at.seq : first;
        assert_int_equal(client_take(&fast, SESSION_PUSH)->push.position.seq, at.seq);
    }
    uint64_t next = first;
    bool gapped = false;
    while (next < first + COUNT) {
        const struct session_frame *frame = client_take_any(&slow);
        if (frame->type == SESSION_GAP) {
            assert_int_equal(frame->gap.reason, SESSION_GAP_TRIMMED);
            next = frame->gap.to.seq + 1;
            gapped = true;
        } else {
            assert_int_equal(frame->type, SESSION_PUSH);
            assert_int_equal(frame->push.position.seq, next);
            next++;
        }
    }
    assert_true(gapped);
    publish_text(&node, "all", NULL, 0, "last");
    (void)take_push(&slow, "all", "last");
    (void)take_push(&fast, "all", "last");
    leave(&slow);
    leave(&fast);
    free(text);
    node_close(&node);
}

static void a_paced_broadcast_reaches_everyone(void **state)
{
    (void)state;
    struct node node;
    enum { DEVICES = 8 };
    struct client clients[DEVICES];
    node_open(&node, 1000);
    publish_text(&node, "all", NULL, 0, "before");
    for (int i = 0; i < DEVICES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        connect_anew(&node, (size_t)i % LOOPS, &clients[i], name);
    }
    publish_text(&node, "all", NULL, 40, "slowly");
    publish_text(&node, "all", NULL, 0, "then");
    for (int i = 0; i < DEVICES; i++) {
        (void)take_push(&clients[i], "all", "slowly");
        (void)take_push(&clients[i], "all", "then");
        leave(&clients[i]);
    }
    node_close(&node);
}

/* ---- what has to wait ---- */

struct others {
    struct node *node;
    struct turnstile_pass *pass;
    bool in;
};

static void never(void *ctx)
{
    (void)ctx;
}

static void enter(void *arg)
{
    struct others *others = arg;
    others->pass = turnstile_join(others->node->broadcasts, others->node->loops.loops[0], never, NULL);
    others->in = turnstile_enter(others->pass);
}

static void part(void *arg)
{
    struct others *others = arg;
    turnstile_part(&others->pass);
}

static void what_waited_comes_in_order(void **state)
{
    (void)state;
    struct node node;
    struct client phone, reader;
    node_open(&node, 1000);
    connect_anew(&node, 0, &phone, "phone");
    connect_anew(&node, 1, &reader, "reader");
    (void)subscribe(&reader, "news");
    struct others others = {.node = &node};
    loops_run_on(&node.loops, 0, enter, &others);
    assert_true(others.in);
    const struct position first = publish_text(&node, "all", NULL, 0, "first");
    publish_text(&node, "all", NULL, 0, "second");
    publish_text(&node, "all", "'news' in topics", 0, "readers only");
    const struct position third = publish_text(&node, "all", NULL, 0, "third");
    publish_text(&node, "all", NULL, 0, "fourth");
    client_expect_silence(&phone);
    loops_run_on(&node.loops, 0, part, &others);
    struct client *clients[] = {&phone, &reader};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(take_subscribed(clients[i], "all").epoch,
                         first.epoch); /* of a log that was not there before */
        (void)take_push(clients[i], "all", "first");
        const struct position second = take_push(clients[i], "all", "second");
        if (i == 1)
            (void)take_push(clients[i], "all", "readers only");
        const struct session_push *push = &client_take(clients[i], SESSION_PUSH)->push;
        assert_int_equal(push->position.seq, third.seq);
        assert_int_equal(push->prev, second.seq); /* not what only some were sent */
        (void)take_push(clients[i], "all", "fourth");
    }
    assert_int_equal(metrics_get(node.metrics, METRIC_PUSHES), 9);
    leave(&phone);
    leave(&reader);
    node_close(&node);
}

/* It is with the loop, whose position the answer must not take back. */
static void who_subscribes_again_stays_where_it_is(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open(&node, 1000);
    publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    (void)subscribe(&phone, "news");
    publish_text(&node, "news", NULL, 0, "one");
    const struct position at = take_push(&phone, "news", "one");
    const struct position again = subscribe(&phone, "news");
    assert_int_equal(again.epoch, at.epoch);
    assert_int_equal(again.seq, at.seq);
    publish_text(&node, "news", NULL, 0, "two");
    (void)take_push(&phone, "news", "two");
    leave(&phone);
    node_close(&node);
}

static void what_came_between_two_subscriptions_is_not_sent(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open(&node, 1000);
    publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    const struct session_topic_position at = {bytes_str("news"), subscribe(&phone, "news")};
    leave(&phone);
    assert_int_equal(change(&node, PEER_UNSUBSCRIBE, "phone", "news"), 0);
    const struct position between = publish_text(&node, "news", NULL, 0, "between");
    assert_int_equal(change(&node, PEER_SUBSCRIBE, "phone", "news"), 0);
    connect_at(&node, 1, &phone, "phone", 2, &at, 1);
    for (int i = 0; i < 2; i++) { /* the other is `all` */
        const struct session_subscribed *told = &client_take(&phone, SESSION_SUBSCRIBED)->subscribed;
        if (bytes_equal_str(told->topic, "news"))
            assert_int_equal(told->position.seq, between.seq);
    }
    publish_text(&node, "news", NULL, 0, "after");
    (void)take_push(&phone, "news", "after");
    leave(&phone);
    node_close(&node);
}

/* Whoever changes it: the device's session is another one by now. */
static void a_late_change_is_told_to_the_session_that_is_there(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open(&node, 1000);
    publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    struct asked asked = {.node = &node, .call.in.type = PEER_SUBSCRIBE};
    asked.call.in.subscribe =
        (struct peer_subscribe){.target = {bytes_str("demo"), bytes_str("ada"), bytes_str("phone")},
                                .topic = bytes_str("news"),
                                .asked_by = {.incarnation = 1, .node = RIG_NODE, .slot = 7, .generation = 9}};
    assert_int_equal(ask(&asked), 0);
    (void)take_subscribed(&phone, "news");
    leave(&phone);
    node_close(&node);
}

static void what_nobody_told_is_found_by_the_next_check(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open_with(&node, 1000, 1);
    const struct position before = publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 1, &phone, "phone");
    write_untold(&node, TOPICS_SUBSCRIBE, "news", before);
    publish_text(&node, "news", NULL, 0, "missed");
    /* It begins where the store has it begin, however late that is heard of. */
    assert_int_equal(take_subscribed(&phone, "news").seq, before.seq);
    (void)take_push(&phone, "news", "missed");
    write_untold(&node, TOPICS_UNSUBSCRIBE, "news", (struct position){0, 0});
    assert_true(position_is_none(take_subscribed(&phone, "news")));
    publish_text(&node, "news", NULL, 0, "not for it");
    /* One that was ended and begun again begins again. */
    write_untold(&node, TOPICS_SUBSCRIBE, "news", publish_text(&node, "news", NULL, 0, "nor this"));
    (void)take_subscribed(&phone, "news");
    publish_text(&node, "news", NULL, 0, "after");
    (void)take_push(&phone, "news", "after");
    leave(&phone);
    node_close(&node);
}

static void lose_hints(void *ctx)
{
    struct node *node = ctx;
    link_lost(link_local_at(node->links, 0));
}

static void what_nobody_told_is_found_after_a_loss(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open(&node, 1000);
    const struct position before = publish_text(&node, "news", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    write_untold(&node, TOPICS_SUBSCRIBE, "news", before);
    publish_text(&node, "news", NULL, 0, "missed");
    loops_run_on(&node.loops, 0, lose_hints, &node);
    (void)take_subscribed(&phone, "news");
    (void)take_push(&phone, "news", "missed");
    leave(&phone);
    node_close(&node);
}

/* The answer says what was before it. */
static void what_nobody_told_is_found_by_a_change_of_its_own(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    node_open(&node, 1000);
    const struct position before = publish_text(&node, "news", NULL, 0, "before");
    publish_text(&node, "sport", NULL, 0, "before");
    connect_anew(&node, 0, &phone, "phone");
    write_untold(&node, TOPICS_SUBSCRIBE, "news", before);
    publish_text(&node, "news", NULL, 0, "missed");
    (void)subscribe(&phone, "sport");
    (void)take_subscribed(&phone, "news");
    (void)take_push(&phone, "news", "missed");
    leave(&phone);
    node_close(&node);
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char bytes[4096];
    assert_non_null(in);
    assert_non_null(out);
    for (size_t len; (len = fread(bytes, 1, sizeof bytes, in)) > 0;)
        assert_int_equal(fwrite(bytes, 1, len, out), len);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* The loop's own position is ahead of a log that begins a new epoch with less in it. */
static void a_store_that_forgot_is_told_to_who_is_with_the_loop(void **state)
{
    (void)state;
    struct node node;
    struct client phone;
    char older[TMPDIR_PATH_MAX + 16];
    node_open(&node, 1000);
    (void)snprintf(older, sizeof older, "%s/older", node.dir.path);
    const struct position kept = publish_text(&node, "all", NULL, 0, "kept");
    topics_shut(&node);
    copy_file(node.topics_path, older);
    topics_open(&node, node.topics_path, 1000, false);
    (void)connect_anew(&node, 0, &phone, "phone");
    publish_text(&node, "all", NULL, 0, "forgotten");
    publish_text(&node, "all", NULL, 0, "forgotten, too");
    (void)take_push(&phone, "all", "forgotten");
    const struct position ahead = take_push(&phone, "all", "forgotten, too");
    assert_int_equal(ahead.seq, kept.seq + 2);
    topics_shut(&node);
    topics_open(&node, older, 1000, true);
    loops_run_on(&node.loops, 0, lose_hints, &node);
    const struct session_gap *gap = &client_take(&phone, SESSION_GAP)->gap;
    assert_int_equal(gap->reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(gap->lost_at_most, 2);
    assert_int_equal(gap->to.seq, kept.seq);
    const uint64_t epoch = gap->to.epoch;
    assert_true(epoch > ahead.epoch);
    /* What has the seq of a forgotten one is another message. */
    publish_text(&node, "all", NULL, 0, "after");
    const struct position after = take_push(&phone, "all", "after");
    assert_int_equal(after.epoch, epoch);
    assert_int_equal(after.seq, kept.seq + 1);
    leave(&phone);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_reaches_every_device_that_takes_topics),
        cmocka_unit_test(frames_are_the_same_for_all),
        cmocka_unit_test(who_comes_back_goes_on_from_its_position),
        cmocka_unit_test(devices_subscribe_and_unsubscribe),
        cmocka_unit_test(what_a_backend_changes_is_told_at_once),
        cmocka_unit_test(conditions_are_met),
        cmocka_unit_test(slow_readers_catch_up),
        cmocka_unit_test(a_paced_broadcast_reaches_everyone),
        cmocka_unit_test(what_waited_comes_in_order),
        cmocka_unit_test(who_subscribes_again_stays_where_it_is),
        cmocka_unit_test(what_came_between_two_subscriptions_is_not_sent),
        cmocka_unit_test(a_late_change_is_told_to_the_session_that_is_there),
        cmocka_unit_test(what_nobody_told_is_found_by_the_next_check),
        cmocka_unit_test(what_nobody_told_is_found_after_a_loss),
        cmocka_unit_test(what_nobody_told_is_found_by_a_change_of_its_own),
        cmocka_unit_test(a_store_that_forgot_is_told_to_who_is_with_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
