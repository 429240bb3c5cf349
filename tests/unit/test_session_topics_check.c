/* What becomes of a device's subscriptions and nobody tells its session: the next check finds it, or whatever else compares versions. */
#include "unit/topics_node.h"

static void what_nobody_told_is_found_by_the_next_check(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open_with(&node, 1000, 1);
    const struct position before = topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 1, &phone, "phone");
    topics_node_write_untold(&node, TOPICS_SUBSCRIBE, "news", before);
    topics_node_publish_text(&node, "news", NULL, 0, "missed");
    /* It begins where the store has it begin, however late that is heard of. */
    assert_int_equal(topics_node_take_subscribed(&phone, "news").seq, before.seq);
    (void)topics_node_take_push(&phone, "news", "missed");
    topics_node_write_untold(&node, TOPICS_UNSUBSCRIBE, "news", (struct position){0, 0});
    assert_true(position_is_none(topics_node_take_subscribed(&phone, "news")));
    topics_node_publish_text(&node, "news", NULL, 0, "not for it");
    /* One that was ended and begun again begins again. */
    topics_node_write_untold(&node, TOPICS_SUBSCRIBE, "news",
                             topics_node_publish_text(&node, "news", NULL, 0, "nor this"));
    (void)topics_node_take_subscribed(&phone, "news");
    topics_node_publish_text(&node, "news", NULL, 0, "after");
    (void)topics_node_take_push(&phone, "news", "after");
    topics_node_leave(&phone);
    topics_node_close(&node);
}

static void what_nobody_told_is_found_after_a_loss(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open(&node, 1000);
    const struct position before = topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_write_untold(&node, TOPICS_SUBSCRIBE, "news", before);
    topics_node_publish_text(&node, "news", NULL, 0, "missed");
    topics_node_lose_hints(&node);
    (void)topics_node_take_subscribed(&phone, "news");
    (void)topics_node_take_push(&phone, "news", "missed");
    topics_node_leave(&phone);
    topics_node_close(&node);
}

/* The answer says what was before it. */
static void what_nobody_told_is_found_by_a_change_of_its_own(void **state)
{
    (void)state;
    struct topics_node node;
    struct client phone;
    topics_node_open(&node, 1000);
    const struct position before = topics_node_publish_text(&node, "news", NULL, 0, "before");
    topics_node_publish_text(&node, "sport", NULL, 0, "before");
    topics_node_connect_anew(&node, 0, &phone, "phone");
    topics_node_write_untold(&node, TOPICS_SUBSCRIBE, "news", before);
    topics_node_publish_text(&node, "news", NULL, 0, "missed");
    (void)topics_node_subscribe(&phone, "sport");
    (void)topics_node_take_subscribed(&phone, "news");
    (void)topics_node_take_push(&phone, "news", "missed");
    topics_node_leave(&phone);
    topics_node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_told_is_found_by_the_next_check),
        cmocka_unit_test(what_nobody_told_is_found_after_a_loss),
        cmocka_unit_test(what_nobody_told_is_found_by_a_change_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
