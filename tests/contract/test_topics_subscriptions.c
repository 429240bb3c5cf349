/* The contract of topics.h, against every implementation: the set of topics that a device follows, its version, and checks that compare
 * it. */
#include "contract/topics_rig.h"

#include <stdio.h>

#define DAY TOPICS_RIG_DAY

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
    static struct topics_rig_group group;
    struct topics_rig rig;
    topics_rig_open(&rig, *state);
    topics_rig_group_open(&rig, &group, "news", 3);
    /* Every other version is an old one; one that is not to be compared is the same; a name against the rules is nobody's. */
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        if (i % 3 == 0)
            group.versions[i] -= i % 2;
        else if (i % 5 != 0)
            group.versions[i] = 0;
    }
    group.versions[3] = 0;
    group.devices[5] = group.devices[7] = "no spaces";
    group.versions[7] = rig.ms;
    assert_int_equal(topics_rig_group_check(&rig, &group, PEER_CHECKS_MAX), 0);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        const bool changed = i == 7 || (i % 3 == 0 && i % 2 != 0 && i != 3);
        assert_int_equal(group.verdicts[i], changed ? PEER_CHANGED : PEER_SAME);
    }
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++)
        group.versions[i] = 0;
    assert_int_equal(topics_rig_group_check(&rig, &group, PEER_CHECKS_MAX), 0);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++)
        assert_int_equal(group.verdicts[i], PEER_SAME);
    assert_int_equal(topics_rig_group_check(&rig, &group, 0), PETREL_E_INVALID);
    topics_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_has_a_set_of_subscriptions),
        cmocka_unit_test(a_device_has_as_many_as_the_limit_says),
        cmocka_unit_test(sets_go_with_their_devices),
        cmocka_unit_test(a_change_says_what_was_before),
        cmocka_unit_test(checks_compare_versions),
        cmocka_unit_test(as_many_checks_go_together_as_a_request_holds),
    };
    return topics_rig_main("topics: subscriptions", tests, sizeof tests / sizeof tests[0]);
}
