/* Topics through session roles, message roles and their store, on two loops: who follows a topic is sent it once, in order, wherever it is
 * and however late. */
#include "base/err.h"
#include "base/object.h"
#include "unit/topics_node.h"
#include "wire/condition.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- tests ---- */

static void all_reaches_every_device_that_takes_topics(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone, tablet, old;
    topics_node_open(&node, 1000);
    topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_connect_anew(&node, 1, &tablet, "tablet");
    node_rig_connect(&node.rig, 0, &old, "old", 1, (struct position){0, 0});
    client_take(&old, SESSION_CONNECTED);
    topics_node_publish_text(&node, "all", NULL, 0, "one");
    topics_node_publish_text(&node, "all", NULL, 0, "two");
    for (int i = 0; i < 2; i++) {
        struct client *client = i == 0 ? &phone : &tablet;
        /* The log began with the first of them, in an epoch of its own. */
        (void)topics_node_take_subscribed(client, "all");
        (void)topics_node_take_push(client, "all", "one");
        (void)topics_node_take_push(client, "all", "two");
        client_expect_silence(client);
    }
    client_expect_silence(&old);
    topics_node_leave(&phone);
    topics_node_leave(&tablet);
    topics_node_leave(&old);
    topics_node_close(&node);
}

static void frames_are_the_same_for_all(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone, tablet;
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "all", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_connect_anew(&node, 0, &tablet, "tablet");
    topics_node_publish_text(&node, "all", NULL, 0, "now");
    (void)topics_node_take_push(&phone, "all", "now");
    (void)topics_node_take_push(&tablet, "all", "now");
    assert_int_equal(phone.taken, tablet.taken);
    assert_memory_equal(phone.in.ptr, tablet.in.ptr, phone.taken);
    topics_node_leave(&phone);
    topics_node_leave(&tablet);
    topics_node_close(&node);
}

static void who_comes_back_goes_on_from_its_position(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone, tablet;
    topics_node_open(&node, 4);
    topics_node_publish_text(&node, "all", NULL, 0, "before");
    const struct position began = topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_connect_anew(&node, 1, &tablet, "tablet");
    topics_node_leave(&phone);
    topics_node_publish_text(&node, "all", NULL, 0, "missed");
    (void)topics_node_take_push(&tablet, "all", "missed");
    struct session_topic_position at = {bytes_str("all"), began};
    topics_node_connect_at(&node, 0, &phone, "phone", 2, &at, 1);
    at.position = topics_node_take_push(&phone, "all", "missed");
    client_expect_silence(&phone);
    /* With the loop again. */
    topics_node_publish_text(&node, "all", NULL, 0, "live");
    at.position = topics_node_take_push(&phone, "all", "live");
    topics_node_leave(&phone);
    /* The log keeps four: what was dropped is told. */
    for (int i = 0; i < 7; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "m%d", i);
        topics_node_publish_text(&node, "all", NULL, 0, text);
    }
    topics_node_connect_at(&node, 1, &phone, "phone", 3, &at, 1);
    const struct session_gap *gap = &client_take(&phone, SESSION_GAP)->gap;
    assert_int_equal(gap->log, SESSION_LOG_TOPIC);
    assert_true(bytes_equal_str(gap->topic, "all"));
    assert_int_equal(gap->lost_at_most, 3);
    assert_int_equal(gap->reason, SESSION_GAP_TRIMMED);
    (void)topics_node_take_push(&phone, "all", "m3");
    (void)topics_node_take_push(&phone, "all", "m4");
    (void)topics_node_take_push(&phone, "all", "m5");
    (void)topics_node_take_push(&phone, "all", "m6");
    client_expect_silence(&phone);
    topics_node_leave(&phone);
    client_close(&tablet);
    topics_node_close(&node);
}

static void devices_subscribe_and_unsubscribe(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone, tablet;
    struct bytebuf frame = {0};
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_connect_anew(&node, 1, &tablet, "tablet");
    struct session_topic_position at = {bytes_str("news"), topics_node_subscribe(&phone, "news")};
    topics_node_publish_text(&node, "news", NULL, 0, "one");
    at.position = topics_node_take_push(&phone, "news", "one");
    client_expect_silence(&tablet);
    /* It stays subscribed while it is away. */
    topics_node_leave(&phone);
    topics_node_publish_text(&node, "news", NULL, 0, "two");
    topics_node_connect_at(&node, 1, &phone, "phone", 2, &at, 1);
    (void)topics_node_take_subscribed(&phone, "all");
    (void)topics_node_take_push(&phone, "news", "two");
    session_encode_topic_unsubscribe(&frame, bytes_str("news"));
    topics_node_write_frame(&phone, &frame);
    assert_true(position_is_none(topics_node_take_subscribed(&phone, "news")));
    topics_node_publish_text(&node, "news", NULL, 0, "three");
    client_expect_silence(&phone);
    /* Nobody subscribes to `all`. */
    session_encode_topic_subscribe(&frame, bytes_str("all"));
    topics_node_write_frame(&phone, &frame);
    assert_int_equal(client_take(&phone, SESSION_SUBSCRIBED)->subscribed.refused, SESSION_CODE_UNSUPPORTED);
    topics_node_leave(&phone);
    topics_node_leave(&tablet);
    topics_node_close(&node);
}

static void what_a_backend_changes_is_told_at_once(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 1, &phone, "phone");
    assert_int_equal(topics_node_change(&node, PEER_SUBSCRIBE, "phone", "news"), 0);
    const struct position began = topics_node_take_subscribed(&phone, "news");
    topics_node_publish_text(&node, "news", NULL, 0, "one");
    assert_int_equal(topics_node_take_push(&phone, "news", "one").seq, began.seq + 1);
    assert_int_equal(topics_node_change(&node, PEER_UNSUBSCRIBE, "phone", "news"), 0);
    assert_true(position_is_none(topics_node_take_subscribed(&phone, "news")));
    topics_node_publish_text(&node, "news", NULL, 0, "two");
    client_expect_silence(&phone);
    topics_node_leave(&phone);
    /* And while it was away, when it is back. */
    assert_int_equal(topics_node_change(&node, PEER_SUBSCRIBE, "phone", "sport"), 0);
    const struct session_topic_position at = {bytes_str("news"), began};
    topics_node_publish_text(&node, "sport", NULL, 0, "goal");
    topics_node_connect_at(&node, 0, &phone, "phone", 2, &at, 1);
    assert_true(position_is_none(topics_node_take_subscribed(&phone, "news")));
    (void)client_take(&phone, SESSION_SUBSCRIBED);
    (void)client_take(&phone, SESSION_SUBSCRIBED);
    (void)client_take_any(&phone);
    assert_int_equal(topics_node_change(&node, PEER_SUBSCRIBE, "nobody", "news"), PETREL_E_NOT_FOUND);
    assert_int_equal(topics_node_change(&node, PEER_SUBSCRIBE, "phone", "all"), PETREL_E_INVALID);
    client_close(&phone);
    topics_node_close(&node);
}

static void conditions_are_met(void **state)
{
    (void)state;
    struct topics_node node;
    struct client both, one, none;
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "a", NULL, 0, "before");
    topics_node_publish_text(&node, "b", NULL, 0, "before");
    topics_node_publish_text(&node, "all", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &both, "both");
    topics_node_connect_anew(&node, 0, &one, "one");
    topics_node_connect_anew(&node, 1, &none, "none");
    (void)topics_node_subscribe(&both, "a");
    (void)topics_node_subscribe(&both, "b");
    (void)topics_node_subscribe(&one, "a");
    topics_node_publish_text(&node, "a", "'a' in topics && !('b' in topics)", 0, "a only");
    topics_node_publish_text(&node, "a", "'a' in topics && 'b' in topics", 0, "a and b");
    topics_node_publish_text(&node, "all", "!('a' in topics)", 0, "not a");
    topics_node_publish_text(&node, "a", NULL, 0, "whoever");
    (void)topics_node_take_push(&one, "a", "a only");
    (void)topics_node_take_push(&one, "a", "whoever");
    (void)topics_node_take_push(&both, "a", "a and b");
    (void)topics_node_take_push(&both, "a", "whoever");
    (void)topics_node_take_push(&none, "all", "not a");
    client_expect_silence(&one);
    client_expect_silence(&both);
    client_expect_silence(&none);
    topics_node_leave(&both);
    topics_node_leave(&one);
    topics_node_leave(&none);
    topics_node_close(&node);
}

/* More than sockets hold: who does not read is apart, the others are not kept waiting, and it has everything once it reads. */
static void slow_readers_catch_up(void **state)
{
    (void)state;
    struct topics_node node;
    struct client slow, fast;
    enum { COUNT = 400, SIZE = 60000 };
    char *text = object_zalloc(SIZE + 1);
    topics_node_open(&node, COUNT + 10);
    topics_node_publish_text(&node, "all", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &slow, "slow");
    topics_node_connect_anew(&node, 0, &fast, "fast");
    memset(text, 'x', SIZE);
    uint64_t first = 0;
    for (int i = 0; i < COUNT; i++) {
        text[SIZE] = 0;
        /* The log holds a megabyte: the slow one is told of the rest. */
        const struct position at = topics_node_publish_text(&node, "all", NULL, 0, text);
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
    topics_node_publish_text(&node, "all", NULL, 0, "last");
    (void)topics_node_take_push(&slow, "all", "last");
    (void)topics_node_take_push(&fast, "all", "last");
    topics_node_leave(&slow);
    topics_node_leave(&fast);
    free(text);
    topics_node_close(&node);
}

static void a_paced_broadcast_reaches_everyone(void **state)
{
    (void)state;
    struct topics_node node;
    enum { DEVICES = 8 };
    struct client clients[DEVICES];
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "all", NULL, 0, "before");
    for (int i = 0; i < DEVICES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        topics_node_connect_anew(&node, (size_t)i % NODE_RIG_LOOPS, &clients[i], name);
    }
    topics_node_publish_text(&node, "all", NULL, 40, "slowly");
    topics_node_publish_text(&node, "all", NULL, 0, "then");
    for (int i = 0; i < DEVICES; i++) {
        (void)topics_node_take_push(&clients[i], "all", "slowly");
        (void)topics_node_take_push(&clients[i], "all", "then");
        topics_node_leave(&clients[i]);
    }
    topics_node_close(&node);
}

/* ---- what has to wait ---- */

struct others {
    struct topics_node *node;
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
    others->pass = turnstile_join(others->node->rig.broadcasts, others->node->rig.loops.loops[0], never, NULL);
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
    struct topics_node node;
    struct client phone, reader;
    topics_node_open(&node, 1000);
    topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_connect_anew(&node, 1, &reader, "reader");
    (void)topics_node_subscribe(&reader, "news");
    struct others others = {.node = &node};
    loops_run_on(&node.rig.loops, 0, enter, &others);
    assert_true(others.in);
    const struct position first = topics_node_publish_text(&node, "all", NULL, 0, "first");
    topics_node_publish_text(&node, "all", NULL, 0, "second");
    topics_node_publish_text(&node, "all", "'news' in topics", 0, "readers only");
    const struct position third = topics_node_publish_text(&node, "all", NULL, 0, "third");
    topics_node_publish_text(&node, "all", NULL, 0, "fourth");
    client_expect_silence(&phone);
    loops_run_on(&node.rig.loops, 0, part, &others);
    struct client *clients[] = {&phone, &reader};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(topics_node_take_subscribed(clients[i], "all").epoch,
                         first.epoch); /* of a log that was not there before */
        (void)topics_node_take_push(clients[i], "all", "first");
        const struct position second = topics_node_take_push(clients[i], "all", "second");
        if (i == 1)
            (void)topics_node_take_push(clients[i], "all", "readers only");
        const struct session_push *push = &client_take(clients[i], SESSION_PUSH)->push;
        assert_int_equal(push->position.seq, third.seq);
        assert_int_equal(push->prev, second.seq); /* not what only some were sent */
        (void)topics_node_take_push(clients[i], "all", "fourth");
    }
    assert_int_equal(metrics_get(node.rig.metrics, METRIC_PUSHES), 9);
    topics_node_leave(&phone);
    topics_node_leave(&reader);
    topics_node_close(&node);
}

/* It is with the loop, whose position the answer must not take back. */
static void who_subscribes_again_stays_where_it_is(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    (void)topics_node_subscribe(&phone, "news");
    topics_node_publish_text(&node, "news", NULL, 0, "one");
    const struct position at = topics_node_take_push(&phone, "news", "one");
    const struct position again = topics_node_subscribe(&phone, "news");
    assert_int_equal(again.epoch, at.epoch);
    assert_int_equal(again.seq, at.seq);
    topics_node_publish_text(&node, "news", NULL, 0, "two");
    (void)topics_node_take_push(&phone, "news", "two");
    topics_node_leave(&phone);
    topics_node_close(&node);
}

static void what_came_between_two_subscriptions_is_not_sent(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    const struct session_topic_position at = {bytes_str("news"), topics_node_subscribe(&phone, "news")};
    topics_node_leave(&phone);
    assert_int_equal(topics_node_change(&node, PEER_UNSUBSCRIBE, "phone", "news"), 0);
    const struct position between = topics_node_publish_text(&node, "news", NULL, 0, "between");
    assert_int_equal(topics_node_change(&node, PEER_SUBSCRIBE, "phone", "news"), 0);
    topics_node_connect_at(&node, 1, &phone, "phone", 2, &at, 1);
    for (int i = 0; i < 2; i++) { /* the other is `all` */
        const struct session_subscribed *told = &client_take(&phone, SESSION_SUBSCRIBED)->subscribed;
        if (bytes_equal_str(told->topic, "news"))
            assert_int_equal(told->position.seq, between.seq);
    }
    topics_node_publish_text(&node, "news", NULL, 0, "after");
    (void)topics_node_take_push(&phone, "news", "after");
    topics_node_leave(&phone);
    topics_node_close(&node);
}

/* Whoever changes it: the device's session is another one by now. */
static void a_late_change_is_told_to_the_session_that_is_there(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open(&node, 1000);
    topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    struct node_rig_asked asked = {.node = &node.rig, .call.in.type = PEER_SUBSCRIBE};
    asked.call.in.subscribe =
        (struct peer_subscribe){.target = {bytes_str("demo"), bytes_str("ada"), bytes_str("phone")},
                                .topic = bytes_str("news"),
                                .asked_by = {.incarnation = 1, .node = RIG_NODE, .slot = 7, .generation = 9}};
    assert_int_equal(node_rig_ask(&asked), 0);
    (void)topics_node_take_subscribed(&phone, "news");
    topics_node_leave(&phone);
    topics_node_close(&node);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
