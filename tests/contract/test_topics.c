/* The contract of topics.h, against every implementation: a log as it is read. What an append says is in test_topics_append.c, what a
 * device follows in test_topics_subscriptions.c. */
#include "contract/topics_rig.h"

#include <stdio.h>

#define DAY TOPICS_RIG_DAY
#define NONE ((struct position){0, 0})

static struct position at(struct position from, int64_t by)
{
    return (struct position){from.epoch, from.seq + (uint64_t)by};
}

static void a_log_is_appended_and_read(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_fetch(&rig, "news", NONE, 1, 1, &page), PETREL_E_NOT_FOUND);
    assert_int_equal(topics_rig_send(&rig, "news", "n1", DAY, &out), 0);
    assert_int_equal(out.position.seq, out.prev + 1);
    assert_int_equal(out.nodes_count, 0);
    assert_false(out.duplicate);
    struct position n1 = out.position;
    assert_int_equal(topics_rig_send(&rig, "news", "n2", DAY, &out), 0);
    assert_int_equal(out.prev, n1.seq);
    topics_rig_put(&rig, "other", "o1");
    for (int round = 0; round < 2; round++) {
        page = topics_rig_read(&rig, "news", at(n1, -1));
        assert_string_equal(page.texts, "n1 n2");
        assert_int_equal(page.page.verdict, SESSION_RESUMED);
        assert_int_equal(page.page.position.seq, n1.seq - 1);
        assert_int_equal(page.page.position.epoch, n1.epoch);
        assert_int_equal(page.page.entries[1].seq, n1.seq + 1);
        assert_int_equal(page.page.entries[1].expires_ms, rig.ms + DAY);
        assert_int_equal(page.page.upto, n1.seq + 1);
        assert_int_equal(page.page.head, n1.seq + 1);
        topics_rig_reopen(&rig);
    }
    assert_string_equal(topics_rig_read(&rig, "news", n1).texts, "n2");
    page = topics_rig_read(&rig, "news", NONE);
    assert_string_equal(page.texts, "");
    assert_int_equal(page.page.verdict, SESSION_NEW);
    assert_int_equal(page.page.position.seq, n1.seq + 1);
    topics_rig_close(&rig);
}

static void pages_are_bounded_and_go_on_where_they_ended(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    struct topics_limits limits = topics_limits_default();
    char text[16];
    topics_rig_open_with(&rig, *state, &limits, 1);
    struct position first = topics_rig_put(&rig, "news", "0");
    for (int i = 1; i < 2 * PEER_PAGE_MAX; i++) {
        snprintf(text, sizeof text, "%d", i);
        topics_rig_put(&rig, "news", text);
    }
    uint64_t read = 0;
    struct position from = at(first, -1);
    do {
        page = topics_rig_read(&rig, "news", from);
        assert_int_equal(page.page.count, PEER_PAGE_MAX);
        assert_int_equal(page.page.entries[0].seq, first.seq + read);
        read += page.page.count;
        from.seq = page.page.upto;
    } while (page.page.upto < page.page.head);
    assert_int_equal(read, 2 * PEER_PAGE_MAX);
    assert_int_equal(topics_rig_fetch(&rig, "news", at(first, -1), 3, PEER_PAGE_BYTES, &page), 0);
    assert_string_equal(page.texts, "0 1 2");
    assert_int_equal(page.page.upto, first.seq + 2);
    assert_int_equal(topics_rig_fetch(&rig, "news", at(first, 8), PEER_PAGE_MAX, 4, &page), 0);
    assert_string_equal(page.texts, "9 10");
    assert_int_equal(topics_rig_fetch(&rig, "news", at(first, 9), PEER_PAGE_MAX, 0, &page), 0);
    assert_string_equal(page.texts, "10");
    topics_rig_close(&rig);
}

static void conditions_come_back_with_their_entries(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    static uint8_t large[TOPICS_CONDITION_MAX + 1];
    struct topics_limits limits = topics_limits_default();
    limits.cap_bytes = TOPICS_CONDITION_MAX + 10;
    topics_rig_open_with(&rig, *state, &limits, 1);
    struct topics_append append = topics_rig_message(&rig, "news", "m1");
    append.condition = bytes_str("a && !b");
    assert_int_equal(topics_rig_append(&rig, &append, &out), 0);
    struct position m1 = out.position;
    topics_rig_put(&rig, "news", "m2");
    assert_string_equal(topics_rig_read(&rig, "news", at(m1, -1)).texts, "m1[a && !b] m2");
    append.id = topics_rig_id("large");
    append.condition = bytes_of(large, sizeof large);
    assert_int_equal(topics_rig_append(&rig, &append, &out), PETREL_E_TOO_LARGE);
    /* What a condition takes counts. */
    append.condition = bytes_of(large, sizeof large - 1);
    assert_int_equal(topics_rig_append(&rig, &append, &out), 0);
    struct topics_rig_page page = topics_rig_read(&rig, "news", at(m1, -1));
    assert_int_equal(page.page.gap.reason, SESSION_GAP_TRIMMED);
    assert_int_equal(page.page.gap.to, m1.seq);
    buf_unref(append.message);
    topics_rig_close(&rig);
}

static void logs_are_trimmed_by_ttl_and_cap(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_send(&rig, "news", "short", 1000, &out), 0);
    struct position begin = at(out.position, -1);
    topics_rig_put(&rig, "news", "m1");
    rig.ms += 1000;
    page = topics_rig_read(&rig, "news", begin);
    assert_string_equal(page.texts, "m1");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    topics_rig_put(&rig, "news", "m2");
    topics_rig_put(&rig, "news", "m3");
    topics_rig_put(&rig, "news", "m4");
    page = topics_rig_read(&rig, "news", begin);
    assert_string_equal(page.texts, "m1 m2 m3 m4");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    topics_rig_put(&rig, "news", "m5");
    page = topics_rig_read(&rig, "news", begin);
    assert_string_equal(page.texts, "m2 m3 m4 m5");
    assert_int_equal(page.page.verdict, SESSION_GAPPED);
    assert_int_equal(page.page.gap.reason, SESSION_GAP_TRIMMED);
    assert_int_equal(page.page.gap.from, begin.seq);
    assert_int_equal(page.page.gap.to, begin.seq + 2);
    assert_int_equal(page.page.gap.lost_at_most, 2);
    assert_int_equal(page.page.position.seq, begin.seq + 2);
    topics_rig_put(&rig, "news", "thirty-bytes-thirty-bytes-3030");
    assert_string_equal(topics_rig_read(&rig, "news", at(begin, 2)).texts, "m3 m4 m5 thirty-bytes-thirty-bytes-3030");
    /* What has expired takes no room: nothing is dropped, and told of, for it. */
    rig.ms += 2 * DAY;
    topics_rig_put(&rig, "news", "fresh");
    page = topics_rig_read(&rig, "news", at(begin, 7));
    assert_string_equal(page.texts, "fresh");
    assert_int_equal(topics_rig_read(&rig, "news", at(begin, 3)).page.verdict, SESSION_RESUMED);
    assert_int_equal(topics_rig_send(&rig, "news", "this-one-is-longer-than-the-cap-of-forty-bytes", DAY, &out),
                     PETREL_E_TOO_LARGE);
    topics_rig_close(&rig);
}

static void what_expired_in_the_middle_goes_before_what_waits(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    struct position m1 = topics_rig_put(&rig, "news", "m1");
    assert_int_equal(topics_rig_send(&rig, "news", "short1", 1000, &out), 0);
    topics_rig_put(&rig, "news", "m2");
    assert_int_equal(topics_rig_send(&rig, "news", "short2", 2000, &out), 0);
    rig.ms += 1000;
    topics_rig_put(&rig, "news", "m3");
    struct topics_rig_page page = topics_rig_read(&rig, "news", at(m1, -1));
    assert_string_equal(page.texts, "m1 m2 short2 m3");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    rig.ms += 1000;
    topics_rig_put(&rig, "news", "m4");
    topics_rig_put(&rig, "news", "m5");
    page = topics_rig_read(&rig, "news", at(m1, -1));
    assert_string_equal(page.texts, "m2 m3 m4 m5");
    assert_int_equal(page.page.gap.lost_at_most, 1);
    topics_rig_close(&rig);
}

static void restored_logs_begin_epochs(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    topics_rig_open(&rig, *state);
    struct position m1 = topics_rig_put(&rig, "news", "m1"), head;
    rig.restored = true;
    topics_rig_reopen(&rig);
    struct position m2 = topics_rig_put(&rig, "news", "m2");
    assert_true(m2.epoch > m1.epoch);
    assert_int_equal(m2.seq, m1.seq + 1);
    page = topics_rig_read(&rig, "news", m1);
    assert_string_equal(page.texts, "m2");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    page = topics_rig_read(&rig, "news", at(m1, 3));
    assert_string_equal(page.texts, "m2");
    assert_int_equal(page.page.verdict, SESSION_GAPPED);
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.from, m1.seq + 3);
    assert_int_equal(page.page.gap.to, m1.seq);
    assert_int_equal(page.page.gap.lost_at_most, 3);
    page = topics_rig_read(&rig, "news", at(m2, 9));
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.to, m2.seq);
    /* Whoever renews its interest is told the new epoch, before anything is appended in it. */
    topics_rig_reopen(&rig);
    assert_int_equal(topics_rig_interest(&rig, "news", 1, 1, 1000, &head), 0);
    assert_true(head.epoch > m2.epoch);
    assert_int_equal(head.seq, m2.seq);
    topics_rig_put(&rig, "news", "m3");
    /* A position two epochs old stands where its own epoch ended, not the one after. */
    page = topics_rig_read(&rig, "news", at(m1, 1));
    assert_string_equal(page.texts, "m2 m3");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_ROLLBACK);
    assert_int_equal(page.page.gap.to, m1.seq);
    assert_string_equal(topics_rig_read(&rig, "news", m2).texts, "m3");
    topics_rig_close(&rig);
}

static void a_log_of_no_use_is_forgotten(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    struct position head;
    topics_rig_open(&rig, *state);
    struct position m1 = topics_rig_put(&rig, "news", "m1");
    rig.ms += rig.limits.keep_ms - DAY;
    assert_int_equal(topics_rig_interest(&rig, "news", 1, 1, 1000, &head), 0);
    assert_int_equal(head.seq, m1.seq);
    rig.ms += rig.limits.keep_ms - DAY;
    assert_int_equal(topics_rig_read(&rig, "news", m1).page.verdict, SESSION_RESUMED);
    rig.ms += 2 * DAY;
    assert_int_equal(topics_rig_interest(&rig, "news", 1, 1, 0, &head), 0);
    assert_int_equal(head.seq, TOPICS_BEGIN.seq);
    assert_int_equal(topics_rig_fetch(&rig, "news", m1, 1, 1, &page), PETREL_E_NOT_FOUND);
    /* One that begins anew is ahead of it, and says that it does not know what was before. */
    struct position m2 = topics_rig_put(&rig, "news", "m2");
    assert_true(m2.seq > m1.seq + 1);
    page = topics_rig_read(&rig, "news", m1);
    assert_string_equal(page.texts, "m2");
    assert_int_equal(page.page.verdict, SESSION_GAPPED);
    topics_rig_close(&rig);
}

static void names_are_checked(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    struct topics_subscribed subscribed;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_send(&rig, "no spaces", "x", DAY, &out), PETREL_E_INVALID);
    assert_int_equal(topics_rig_interest(&rig, "", 1, 1, 1000, NULL), PETREL_E_INVALID);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "no spaces", TOPICS_BEGIN, &subscribed), PETREL_E_INVALID);
    assert_int_equal(topics_rig_subscribe(&rig, "", "news", TOPICS_BEGIN, &subscribed), PETREL_E_INVALID);
    topics_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_appended_and_read),
        cmocka_unit_test(pages_are_bounded_and_go_on_where_they_ended),
        cmocka_unit_test(conditions_come_back_with_their_entries),
        cmocka_unit_test(logs_are_trimmed_by_ttl_and_cap),
        cmocka_unit_test(what_expired_in_the_middle_goes_before_what_waits),
        cmocka_unit_test(restored_logs_begin_epochs),
        cmocka_unit_test(a_log_of_no_use_is_forgotten),
        cmocka_unit_test(names_are_checked),
    };
    return topics_rig_main("topics", tests, sizeof tests / sizeof tests[0]);
}
