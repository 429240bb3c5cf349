/* A store of topics that forgot, and sessions that know more than it does. */
#include "unit/topics_node.h"

#include "lib/until.h"

#include <stdio.h>

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
    struct topics_node node;
    struct client phone;
    char older[TMPDIR_PATH_MAX + 16];
    topics_node_open(&node, 1000);
    (void)snprintf(older, sizeof older, "%s/older", node.dir.path);
    const struct position kept = topics_node_publish_text(&node, "all", NULL, 0, "kept");
    topics_node_topics_shut(&node);
    copy_file(node.topics_path, older);
    topics_node_topics_open(&node, node.topics_path, 1000, false);
    (void)topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_publish_text(&node, "all", NULL, 0, "forgotten");
    topics_node_publish_text(&node, "all", NULL, 0, "forgotten, too");
    (void)topics_node_take_push(&phone, "all", "forgotten");
    const struct position ahead = topics_node_take_push(&phone, "all", "forgotten, too");
    assert_int_equal(ahead.seq, kept.seq + 2);
    topics_node_topics_shut(&node);
    topics_node_topics_open(&node, older, 1000, true);
    topics_node_lose_hints(&node);
    const struct session_gap *gap = &client_take(&phone, SESSION_GAP)->gap;
    assert_int_equal(gap->reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(gap->lost_at_most, 2);
    assert_int_equal(gap->to.seq, kept.seq);
    const uint64_t epoch = gap->to.epoch;
    assert_true(epoch > ahead.epoch);
    /* What has the seq of a forgotten one is another message. */
    topics_node_publish_text(&node, "all", NULL, 0, "after");
    const struct position after = topics_node_take_push(&phone, "all", "after");
    assert_int_equal(after.epoch, epoch);
    assert_int_equal(after.seq, kept.seq + 1);
    topics_node_leave(&phone);
    topics_node_close(&node);
}

/* A store that knows nothing, in the place of the one that does. */
static void forget_all(struct topics_node *node)
{
    char empty[TMPDIR_PATH_MAX + 16];
    (void)snprintf(empty, sizeof empty, "%s/empty", node->dir.path);
    topics_node_topics_shut(node);
    topics_node_topics_open(node, empty, 1000, false);
}

/* The tablet has two entries, and the topics know nothing any more: its positions. */
static void open_forgotten(struct topics_node *node, struct client *tablet, struct position had[2])
{
    topics_node_open(node, 1000);
    topics_node_publish_text(node, "all", NULL, 0, "first");
    had[0] = topics_node_connect_anew(node, 0, tablet, "tablet");
    topics_node_publish_text(node, "all", NULL, 0, "second");
    had[1] = topics_node_take_push(tablet, "all", "second");
    forget_all(node);
}

/* That nothing is there was said before the log began anew, and is heard when the loop is in the new one already. */
static void nothing_is_there_is_of_when_it_was_asked(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone, tablet;
    struct position of_tablet[2];
    open_forgotten(&node, &tablet, of_tablet);
    const struct session_topic_position had = {bytes_str("all"), of_tablet[0]};
    topics_node_hold_fetch(&node);
    topics_node_connect_at(&node, 0, &phone, "phone", 1, &had, 1);
    topics_node_await_held(&node);
    topics_node_publish_text(&node, "all", NULL, 0, "anew");
    topics_node_lose_hints(&node);
    assert_int_equal(client_take(&tablet, SESSION_GAP)->gap.reason, SESSION_GAP_TRIMMED);
    const struct position anew = topics_node_take_push(&tablet, "all", "anew");
    topics_node_release_held(&node);
    const struct session_gap *gap = &client_take(&phone, SESSION_GAP)->gap;
    assert_int_equal(gap->from, had.position.seq);
    assert_int_equal(gap->to.seq, anew.seq - 1);
    assert_int_equal(topics_node_take_push(&phone, "all", "anew").seq, anew.seq);
    topics_node_leave(&phone);
    topics_node_leave(&tablet);
    topics_node_close(&node);
}

/* The loop has heard of nothing newer: whoever fetches in vain is with it, and gets what it gets. */
static void nothing_is_there_is_from_where_the_loop_is(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone, tablet;
    struct position of_tablet[2];
    open_forgotten(&node, &tablet, of_tablet);
    const struct session_topic_position had = {bytes_str("all"), of_tablet[0]};
    topics_node_connect_at(&node, 0, &phone, "phone", 1, &had, 1);
    assert_int_equal(topics_node_take_subscribed(&phone, "all").seq, of_tablet[1].seq);
    topics_node_publish_text(&node, "all", NULL, 0, "anew");
    topics_node_lose_hints(&node);
    struct client *both[] = {&phone, &tablet};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(client_take(both[i], SESSION_GAP)->gap.from, of_tablet[1].seq);
        (void)topics_node_take_push(both[i], "all", "anew");
    }
    topics_node_leave(&phone);
    topics_node_leave(&tablet);
    topics_node_close(&node);
}

struct asked {
    atomic_uint *fetches;
    unsigned times;
};

static bool was_asked(void *ctx)
{
    const struct asked *asked = ctx;
    return atomic_load(asked->fetches) >= asked->times;
}

/* The loop asks for what is not there when there is a reason to, and not for ever. */
static void nothing_is_there_is_asked_once(void **state)
{
    (void)state;
    struct topics_node node;
    struct client tablet;
    struct position of_tablet[2];
    open_forgotten(&node, &tablet, of_tablet);
    atomic_store(&node.topics.fetches, 0);
    topics_node_lose_hints(&node);
    assert_true(until(was_asked, &(struct asked){&node.topics.fetches, 1}, 10000));
    assert_false(until(was_asked, &(struct asked){&node.topics.fetches, 2},
                       1200)); /* other failures are tried again after 500 ms */
    topics_node_publish_text(&node, "all", NULL, 0, "anew");
    assert_int_equal(client_take(&tablet, SESSION_GAP)->gap.from, of_tablet[1].seq);
    (void)topics_node_take_push(&tablet, "all", "anew");
    topics_node_leave(&tablet);
    topics_node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_that_forgot_is_told_to_who_is_with_the_loop),
        cmocka_unit_test(nothing_is_there_is_of_when_it_was_asked),
        cmocka_unit_test(nothing_is_there_is_from_where_the_loop_is),
        cmocka_unit_test(nothing_is_there_is_asked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
