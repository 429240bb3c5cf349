/* The contract of topics.h, against every implementation. */
#include "contract/topics_rig.h"

#include "base/object.h"

#include <stdio.h>
#include <stdlib.h>

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

static void an_id_is_one_entry(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    struct position m1 = topics_rig_put(&rig, "news", "m1");
    assert_int_equal(topics_rig_interest(&rig, "news", 7, 1, 3 * DAY, NULL), 0);
    for (int i = 2; i < 8; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%d", i);
        topics_rig_put(&rig, "news", text);
    }
    /* Though the log has dropped it. The nodes are named again: the first answer may have been lost. */
    assert_int_equal(topics_rig_send(&rig, "news", "m1", DAY, &out), 0);
    assert_true(out.duplicate);
    assert_int_equal(out.position.seq, m1.seq);
    assert_int_equal(out.prev, m1.seq - 1);
    assert_int_equal(out.nodes_count, 1);
    assert_int_equal(out.nodes[0], 7);
    topics_rig_reopen(&rig);
    assert_int_equal(topics_rig_send(&rig, "news", "m7", DAY, &out), 0);
    assert_true(out.duplicate);
    rig.ms += rig.limits.recent_ms;
    assert_int_equal(topics_rig_send(&rig, "news", "m7", DAY, &out), 0);
    assert_false(out.duplicate);
    assert_int_equal(out.position.seq, m1.seq + 7);
    /* The same id in another log is another entry. */
    assert_int_equal(topics_rig_send(&rig, "other", "m7", DAY, &out), 0);
    assert_false(out.duplicate);
    topics_rig_close(&rig);
}

static void a_key_is_remembered_with_what_it_was_used_for(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    topics_rig_open(&rig, *state);
    struct topics_append append = topics_rig_message(&rig, "news", "m1");
    append.has_key = true;
    append.body_hash = 0xfedcba9876543210;
    append.key_expires_ms = rig.ms + DAY;
    assert_int_equal(topics_rig_append(&rig, &append, &out), 0);
    struct position m1 = out.position;
    rig.ms += DAY - 1;
    assert_int_equal(topics_rig_append(&rig, &append, &out), 0);
    assert_true(out.duplicate);
    assert_int_equal(out.position.seq, m1.seq);
    append.body_hash++;
    assert_int_equal(topics_rig_append(&rig, &append, &out), PETREL_E_CONFLICT);
    rig.ms += 1;
    append.key_expires_ms = rig.ms + DAY;
    assert_int_equal(topics_rig_append(&rig, &append, &out), 0);
    assert_false(out.duplicate);
    buf_unref(append.message);
    topics_rig_close(&rig);
}

static void more_ids_than_are_remembered_wait(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    struct topics_limits limits = topics_limits_default();
    char text[16];
    limits.recent_ids = 32;
    topics_rig_open_with(&rig, *state, &limits, 1);
    for (uint32_t i = 0; i < limits.recent_ids; i++) {
        snprintf(text, sizeof text, "m%u", i);
        topics_rig_put(&rig, "news", text);
    }
    assert_int_equal(topics_rig_send(&rig, "news", "more", DAY, &out), PETREL_E_RATE_LIMITED);
    assert_int_equal(topics_rig_send(&rig, "news", "m0", DAY, &out), 0);
    assert_true(out.duplicate);
    rig.ms += limits.recent_ms;
    assert_int_equal(topics_rig_send(&rig, "news", "more", DAY, &out), 0);
    assert_false(out.duplicate);
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

static void appends_name_the_interested_nodes(void **state)
{
    struct topics_rig rig;
    struct topics_appended out;
    struct position head;
    topics_rig_open(&rig, *state);
    struct position m1 = topics_rig_put(&rig, "news", "m1");
    assert_int_equal(topics_rig_interest(&rig, "news", 1, 5, 60000, &head), 0);
    assert_int_equal(head.epoch, m1.epoch);
    assert_int_equal(head.seq, m1.seq);
    assert_int_equal(topics_rig_interest(&rig, "news", 2, 5, 30000, NULL), 0);
    assert_int_equal(topics_rig_send(&rig, "news", "m2", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 2);
    assert_int_equal(out.nodes[0] + out.nodes[1], 3);
    assert_int_equal(topics_rig_interest(&rig, "news", 1, 4, 60000, NULL), PETREL_E_STALE);
    rig.ms += 30000;
    assert_int_equal(topics_rig_send(&rig, "news", "m3", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 1);
    assert_int_equal(out.nodes[0], 1);
    assert_int_equal(topics_rig_interest(&rig, "news", 1, 6, 0, NULL), 0);
    assert_int_equal(topics_rig_send(&rig, "news", "m4", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 0);
    for (uint32_t node = 1; node <= TOPICS_NODES_MAX; node++)
        assert_int_equal(topics_rig_interest(&rig, "news", node, 1, 60000, NULL), 0);
    assert_int_equal(topics_rig_interest(&rig, "news", TOPICS_NODES_MAX + 1, 1, 60000, NULL), PETREL_E_TOO_LARGE);
    assert_int_equal(topics_rig_interest(&rig, "news", 9, 1, 60000, NULL), 0);
    assert_int_equal(topics_rig_send(&rig, "news", "m5", DAY, &out), 0);
    assert_int_equal(out.nodes_count, TOPICS_NODES_MAX);
    topics_rig_close(&rig);
}

static void interest_comes_before_the_first_entry(void **state)
{
    struct topics_rig rig;
    struct topics_rig_page page;
    struct topics_appended out;
    struct position head;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_interest(&rig, "news", 3, 5, 60000, &head), 0);
    assert_int_equal(head.epoch, TOPICS_BEGIN.epoch);
    assert_int_equal(head.seq, TOPICS_BEGIN.seq);
    assert_int_equal(topics_rig_interest(&rig, "news", 3, 4, 60000, NULL), PETREL_E_STALE);
    assert_int_equal(topics_rig_fetch(&rig, "news", TOPICS_BEGIN, 1, 1, &page), PETREL_E_NOT_FOUND);
    assert_int_equal(topics_rig_send(&rig, "news", "m1", DAY, &out), 0);
    assert_int_equal(out.nodes_count, 1);
    assert_int_equal(out.nodes[0], 3);
    page = topics_rig_read(&rig, "news", TOPICS_BEGIN);
    assert_string_equal(page.texts, "m1");
    assert_int_equal(page.page.verdict, SESSION_RESUMED);
    for (int i = 2; i < 7; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%d", i);
        topics_rig_put(&rig, "news", text);
    }
    page = topics_rig_read(&rig, "news", TOPICS_BEGIN);
    assert_string_equal(page.texts, "m3 m4 m5 m6");
    assert_int_equal(page.page.gap.reason, SESSION_GAP_TRIMMED);
    assert_int_equal(page.page.gap.lost_at_most, 2);
    assert_int_equal(topics_rig_interest(&rig, "never", 3, 5, 60000, NULL), 0);
    assert_int_equal(topics_rig_interest(&rig, "never", 3, 5, 0, NULL), 0);
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

static void a_device_has_a_set_of_subscriptions(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed first, again;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_set(&rig, "d").version, 0);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", (struct position){1ULL << 48, 77}, &first), 0);
    assert_true(first.version > 0);
    topics_rig_reopen(&rig);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", (struct position){5, 99}, &again), 0);
    assert_int_equal(again.position.epoch, 1ULL << 48);
    assert_int_equal(again.position.seq, 77);
    assert_int_equal(again.version, first.version);
    assert_int_equal(topics_rig_subscribe(&rig, "e", "news", (struct position){5, 99}, &again), 0);
    assert_int_equal(again.position.seq, 99);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "sport", TOPICS_BEGIN, &again), 0);
    assert_true(again.version > first.version);
    struct topics_set set = topics_rig_set(&rig, "d");
    assert_int_equal(set.count, 2);
    assert_int_equal(set.version, again.version);
    assert_string_equal(set.all[0].topic, "news");
    assert_int_equal(set.all[0].position.epoch, 1ULL << 48);
    assert_int_equal(set.all[0].position.seq, 77);
    assert_string_equal(set.all[1].topic, "sport");
    assert_int_equal(set.all[1].position.seq, TOPICS_BEGIN.seq);
    uint64_t version = topics_rig_unsubscribe(&rig, "d", "news");
    assert_true(version > again.version);
    assert_int_equal(topics_rig_unsubscribe(&rig, "d", "news"), version);
    set = topics_rig_set(&rig, "d");
    assert_int_equal(set.count, 1);
    assert_string_equal(set.all[0].topic, "sport");
    for (int i = 1; i < TOPICS_PER_DEVICE_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", i);
        assert_int_equal(topics_rig_subscribe(&rig, "d", name, TOPICS_BEGIN, &again), 0);
    }
    assert_int_equal(topics_rig_set(&rig, "d").count, TOPICS_PER_DEVICE_MAX);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "one-more", TOPICS_BEGIN, &again), PETREL_E_TOO_LARGE);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "sport", TOPICS_BEGIN, &again), 0);
    topics_rig_close(&rig);
}

static void a_device_has_as_many_as_the_limit_says(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed out;
    struct topics_limits limits = topics_limits_default();
    limits.per_device = 2;
    topics_rig_open_with(&rig, *state, &limits, 1);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "a", TOPICS_BEGIN, &out), 0);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "b", TOPICS_BEGIN, &out), 0);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "c", TOPICS_BEGIN, &out), PETREL_E_TOO_LARGE);
    assert_int_equal(topics_rig_subscribe(&rig, "e", "c", TOPICS_BEGIN, &out), 0);
    (void)topics_rig_unsubscribe(&rig, "d", "a");
    assert_int_equal(topics_rig_subscribe(&rig, "d", "c", TOPICS_BEGIN, &out), 0);
    assert_int_equal(topics_rig_set(&rig, "d").count, 2);
    topics_rig_close(&rig);
}

static void sets_go_with_their_devices(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed first, again;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", TOPICS_BEGIN, &first), 0);
    assert_int_equal(topics_rig_subscribe(&rig, "e", "news", TOPICS_BEGIN, &again), 0);
    assert_int_equal(topics_rig_unsubscribe(&rig, "d", NULL), 0);
    assert_int_equal(topics_rig_set(&rig, "d").version, 0);
    assert_int_equal(topics_rig_set(&rig, "e").count, 1);
    rig.ms += 1;
    assert_int_equal(topics_rig_subscribe(&rig, "d", "sport", TOPICS_BEGIN, &again), 0);
    assert_true(again.version > first.version);
    /* Asking keeps a set. */
    rig.ms += rig.limits.lapse_ms - DAY;
    assert_int_equal(topics_rig_set(&rig, "d").version, again.version);
    rig.ms += rig.limits.lapse_ms - DAY;
    assert_int_equal(topics_rig_set(&rig, "d").count, 1);
    assert_int_equal(topics_rig_set(&rig, "e").version, 0);
    assert_int_equal(topics_rig_set(&rig, "e").count, 0);
    topics_rig_close(&rig);
}

static void a_change_says_what_was_before(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed first, second, again;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", TOPICS_BEGIN, &first), 0);
    assert_int_equal(first.prev, 0);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "sport", TOPICS_BEGIN, &second), 0);
    assert_int_equal(second.prev, first.version);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", TOPICS_BEGIN, &again), 0);
    assert_int_equal(again.prev, second.version);
    struct topics_subscribed left = topics_rig_end(&rig, "d", "news");
    assert_int_equal(left.prev, second.version);
    assert_int_equal(topics_rig_end(&rig, "d", "news").prev, left.version);
    left = topics_rig_end(&rig, "d", "sport");
    /* Nothing is in it any more, whatever its version. */
    assert_int_equal(topics_rig_end(&rig, "d", "sport").prev, 0);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", TOPICS_BEGIN, &again), 0);
    assert_int_equal(again.prev, 0);
    assert_true(again.version > left.version);
    topics_rig_close(&rig);
}

static void checks_compare_versions(void **state)
{
    struct topics_rig rig;
    struct topics_subscribed first, second, other;
    topics_rig_open(&rig, *state);
    assert_int_equal(topics_rig_check(&rig, "d", PEER_FOLLOWS_NOTHING), PEER_SAME);
    assert_int_equal(topics_rig_check(&rig, "d", rig.ms), PEER_CHANGED);
    assert_int_equal(topics_rig_subscribe(&rig, "d", "news", TOPICS_BEGIN, &first), 0);
    assert_int_equal(topics_rig_subscribe(&rig, "e", "news", TOPICS_BEGIN, &other), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(topics_rig_check(&rig, "d", first.version), PEER_SAME);
        assert_int_equal(topics_rig_check(&rig, "d", PEER_FOLLOWS_NOTHING), PEER_CHANGED);
        assert_int_equal(topics_rig_check(&rig, "f", PEER_FOLLOWS_NOTHING), PEER_SAME);
        assert_int_equal(topics_rig_check(&rig, "f", first.version), PEER_CHANGED);
        topics_rig_reopen(&rig);
    }
    assert_int_equal(topics_rig_subscribe(&rig, "d", "sport", TOPICS_BEGIN, &second), 0);
    assert_int_equal(topics_rig_check(&rig, "d", first.version), PEER_CHANGED);
    assert_int_equal(topics_rig_check(&rig, "d", second.version), PEER_SAME);
    uint64_t version = topics_rig_unsubscribe(&rig, "d", "sport");
    assert_int_equal(topics_rig_check(&rig, "d", second.version), PEER_CHANGED);
    assert_int_equal(topics_rig_check(&rig, "d", version), PEER_SAME);
    version = topics_rig_unsubscribe(&rig, "d", "news");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(topics_rig_check(&rig, "d", version), PEER_CHANGED);
        assert_int_equal(topics_rig_check(&rig, "d", PEER_FOLLOWS_NOTHING), PEER_SAME);
        topics_rig_reopen(&rig);
    }
    (void)topics_rig_unsubscribe(&rig, "e", NULL);
    assert_int_equal(topics_rig_check(&rig, "e", other.version), PEER_CHANGED);
    assert_int_equal(topics_rig_check(&rig, "e", PEER_FOLLOWS_NOTHING), PEER_SAME);
    topics_rig_close(&rig);
}

static void as_many_checks_go_together_as_a_request_holds(void **state)
{
    static const char *devices[PEER_CHECKS_MAX];
    static char names[PEER_CHECKS_MAX][16];
    static uint64_t versions[PEER_CHECKS_MAX];
    static enum peer_verdict verdicts[PEER_CHECKS_MAX];
    struct topics_rig rig;
    struct topics_subscribed out;
    topics_rig_open(&rig, *state);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "d%u", i);
        devices[i] = names[i];
        versions[i] = i % 5 == 0 ? PEER_FOLLOWS_NOTHING : 0;
        if (i % 3 != 0)
            continue;
        assert_int_equal(topics_rig_subscribe(&rig, names[i], "news", TOPICS_BEGIN, &out), 0);
        versions[i] = i % 2 == 0 ? out.version : out.version - 1;
    }
    /* One that is not to be compared is the same; a name against the rules is nobody's. */
    versions[3] = 0;
    devices[5] = devices[7] = "no spaces";
    versions[7] = rig.ms;
    assert_int_equal(topics_rig_check_all(&rig, devices, versions, PEER_CHECKS_MAX, verdicts), 0);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        const bool changed = i == 7 || (i % 3 == 0 && i % 2 != 0 && i != 3);
        assert_int_equal(verdicts[i], changed ? PEER_CHANGED : PEER_SAME);
    }
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++)
        versions[i] = 0;
    assert_int_equal(topics_rig_check_all(&rig, devices, versions, PEER_CHECKS_MAX, verdicts), 0);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++)
        assert_int_equal(verdicts[i], PEER_SAME);
    assert_int_equal(topics_rig_check_all(&rig, devices, versions, 0, verdicts), PETREL_E_INVALID);
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

/* ---- many loops at once ---- */

#define LOOPS 4
#define EACH 200

struct racer {
    struct topics_rig *rig;
    size_t index;
    uint32_t next;
    struct topics_request request;
    char text[32];
    uint64_t seqs[EACH];
    struct loops_tally done;
};

static void race_on(struct racer *racer);

static void on_raced(struct topics_request *request)
{
    struct racer *racer = container_of(request, struct racer, request);
    const struct topics_appended *out = request->out.appended;
    bool is_good = request->status == 0 && out->prev + 1 == out->position.seq && !out->duplicate;
    buf_unref(request->in.append.message);
    racer->seqs[racer->next++] = is_good ? out->position.seq : 0;
    race_on(racer);
}

static void race_on(struct racer *racer)
{
    if (racer->next == EACH) {
        loops_tally_add(&racer->done, 1);
        return;
    }
    snprintf(racer->text, sizeof racer->text, "%zu-%u", racer->index, racer->next);
    racer->request.in.append = topics_rig_message(racer->rig, "news", racer->text);
    int err = topics_submit(racer->rig->topics, TOPICS_APPEND, &racer->request, racer->rig->loops.loops[racer->index],
                            on_raced);
    petrel_assert(err == 0);
}

static void start_race(void *ctx)
{
    race_on(ctx);
}

static void appends_of_many_loops_stand_each_in_a_place_of_its_own(void **state)
{
    struct topics_rig rig;
    static struct racer racers[LOOPS];
    static bool seen[LOOPS * EACH];
    struct topics_limits limits = topics_limits_default();
    topics_rig_open_with(&rig, *state, &limits, LOOPS);
    memset(racers, 0, sizeof racers);
    memset(seen, 0, sizeof seen);
    struct position before = topics_rig_put(&rig, "news", "first");
    for (size_t i = 0; i < LOOPS; i++) {
        racers[i].rig = &rig;
        racers[i].index = i;
        loops_tally_init(&racers[i].done);
        loops_run_on(&rig.loops, i, start_race, &racers[i]);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        assert_true(loops_tally_wait(&racers[i].done, 1));
        loops_tally_destroy(&racers[i].done);
        for (size_t n = 0; n < EACH; n++) {
            uint64_t place = racers[i].seqs[n] - before.seq - 1;
            assert_true(place < LOOPS * EACH);
            assert_false(seen[place]);
            seen[place] = true;
        }
    }
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
        cmocka_unit_test(an_id_is_one_entry),
        cmocka_unit_test(a_key_is_remembered_with_what_it_was_used_for),
        cmocka_unit_test(more_ids_than_are_remembered_wait),
        cmocka_unit_test(restored_logs_begin_epochs),
        cmocka_unit_test(appends_name_the_interested_nodes),
        cmocka_unit_test(interest_comes_before_the_first_entry),
        cmocka_unit_test(a_log_of_no_use_is_forgotten),
        cmocka_unit_test(a_device_has_a_set_of_subscriptions),
        cmocka_unit_test(a_device_has_as_many_as_the_limit_says),
        cmocka_unit_test(sets_go_with_their_devices),
        cmocka_unit_test(a_change_says_what_was_before),
        cmocka_unit_test(checks_compare_versions),
        cmocka_unit_test(as_many_checks_go_together_as_a_request_holds),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(appends_of_many_loops_stand_each_in_a_place_of_its_own),
    };
    return topics_rig_main("topics", tests, sizeof tests / sizeof tests[0]);
}
