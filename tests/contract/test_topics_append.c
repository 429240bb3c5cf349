/* The contract of topics.h, against every implementation: what an append answers. Ids and keys that are known, the nodes that are
 * interested, places of their own for many loops at once. */
#include "contract/topics_rig.h"

#include "base/object.h"

#include <stdio.h>

#define DAY TOPICS_RIG_DAY

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
        cmocka_unit_test(an_id_is_one_entry),
        cmocka_unit_test(a_key_is_remembered_with_what_it_was_used_for),
        cmocka_unit_test(more_ids_than_are_remembered_wait),
        cmocka_unit_test(appends_name_the_interested_nodes),
        cmocka_unit_test(interest_comes_before_the_first_entry),
        cmocka_unit_test(appends_of_many_loops_stand_each_in_a_place_of_its_own),
    };
    return topics_rig_main("topics: appends", tests, sizeof tests / sizeof tests[0]);
}
