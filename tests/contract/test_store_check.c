/* The contract of store.h: checks, many to a request, of users that are at rest and of some that are not. */
#include "contract/store_rig.h"
#include "wire/peer_check.h"

#include <stdio.h>

#define OTHER_EPOCH 1

static struct peer_check check_of(const char *user, const char *device, uint32_t slot, struct position at)
{
    return (struct peer_check){
        .target = store_rig_target(user, device), .position = at, .route = store_rig_route(slot), .attempt = slot};
}

static void each_gets_its_own_verdict(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, *state, NULL);
    struct position a = store_rig_bound(&rig, "a", "phone", 1).position;
    (void)store_rig_bound(&rig, "several", "phone", 2);
    assert_int_equal(store_rig_enrol(&rig, "several", "radio"), 0);
    struct position several = store_rig_bound(&rig, "several", "tablet", 3).position;
    struct position behind = store_rig_bound(&rig, "behind", "phone", 4).position;
    store_rig_put(&rig, "behind", "news");
    struct position left = store_rig_bound(&rig, "left", "phone", 5).position;
    store_rig_unbind(&rig, "left", "phone", 5);
    struct position other = store_rig_bound(&rig, "other", "phone", 7).position;
    const struct {
        struct peer_check check;
        enum peer_verdict verdict;
    } cases[] = {
        {check_of("a", "phone", 1, a), PEER_SAME},
        {check_of("nobody", "phone", 1, a), PEER_UNROUTED},
        {check_of("several", "tablet", 3, several), PEER_SAME},
        {check_of("several", "phone", 2, several), PEER_SAME},
        {check_of("several", "radio", 2, several), PEER_UNROUTED},
        {check_of("several", "watch", 2, several), PEER_UNROUTED},
        {check_of("several", "tablet", 2, several), PEER_REPLACED},
        {check_of("behind", "phone", 4, behind), PEER_BEHIND},
        {check_of("behind", "phone", 4, (struct position){behind.epoch, behind.seq + 1}), PEER_SAME},
        {check_of("a", "phone", 1, (struct position){OTHER_EPOCH, a.seq}), PEER_BEHIND},
        {check_of("left", "phone", 5, left), PEER_UNROUTED},
        {check_of("other", "phone", 6, other), PEER_REPLACED}, /* of an attempt before the one that is bound */
        {check_of("other", "phone", 8, other), PEER_UNROUTED}, /* its bind was forgotten */
        {check_of("other", "phone", 7, other), PEER_SAME},
    };
    enum { COUNT = sizeof cases / sizeof cases[0] };
    struct peer_check checks[COUNT];
    enum peer_verdict verdicts[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        checks[i] = cases[i].check;
    /* The second time all that can be is at rest. */
    for (int times = 0; times < 2; times++) {
        assert_int_equal(store_rig_check_all(&rig, checks, COUNT, verdicts), 0);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(verdicts[i], cases[i].verdict);
        store_rig_advance(&rig, STORE_RIG_HOUR);
    }
    store_rig_close(&rig);
}

static void the_route_counts_as_a_whole(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, *state, NULL);
    struct peer_check check = check_of("u", "d", 1, store_rig_bound(&rig, "u", "d", 1).position);
    struct peer_check wrong[5] = {check, check, check, check, check};
    wrong[0].route.incarnation++;
    wrong[1].route.node++;
    wrong[2].route.loop++;
    wrong[3].route.slot++;
    wrong[4].route.generation++;
    for (size_t i = 0; i < 5; i++) {
        enum peer_verdict verdict;
        assert_int_equal(store_rig_check_all(&rig, &wrong[i], 1, &verdict), 0);
        assert_int_equal(verdict, PEER_REPLACED);
    }
    enum peer_verdict verdict;
    assert_int_equal(store_rig_check_all(&rig, &check, 1, &verdict), 0);
    assert_int_equal(verdict, PEER_SAME);
    store_rig_close(&rig);
}

/* As many as a request takes, of users in whatever shard: each answer is that of its own entry. */
static void a_full_group_is_answered_entry_by_entry(void **state)
{
    struct store_rig rig;
    static char names[PEER_CHECKS_MAX][16];
    static struct peer_check checks[PEER_CHECKS_MAX];
    static enum peer_verdict verdicts[PEER_CHECKS_MAX];
    store_rig_open(&rig, *state, NULL);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "user-%u", i);
        checks[i] = check_of(names[i], "d", i + 1, store_rig_bound(&rig, names[i], "d", i + 1).position);
        if (i % 7 == 3)
            store_rig_put(&rig, names[i], "news");
        if (i % 11 == 5)
            store_rig_unbind(&rig, names[i], "d", i + 1);
    }
    assert_int_equal(store_rig_check_all(&rig, checks, PEER_CHECKS_MAX, verdicts), 0);
    for (uint32_t i = 0; i < PEER_CHECKS_MAX; i++)
        assert_int_equal(verdicts[i], i % 11 == 5 ? PEER_UNROUTED : i % 7 == 3 ? PEER_BEHIND : PEER_SAME);
    store_rig_close(&rig);
}

static void a_session_that_lives_is_seen_to(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, *state, NULL);
    const uint64_t refresh_ms = store_limits_default().refresh_ms;
    struct peer_check checks[2];
    enum peer_verdict verdicts[2];
    checks[0] = check_of("old", "d", 1, store_rig_bound(&rig, "old", "d", 1).position);
    store_rig_advance(&rig, refresh_ms);
    checks[1] = check_of("new", "d", 2, store_rig_bound(&rig, "new", "d", 2).position);
    assert_int_equal(store_rig_check_all(&rig, checks, 2, verdicts), 0);
    assert_int_equal(verdicts[0], PEER_SAME);
    store_rig_advance(&rig, 1);
    assert_int_equal(store_rig_check_all(&rig, checks, 2, verdicts), 0);
    assert_int_equal(verdicts[0], PEER_UNROUTED);
    assert_int_equal(verdicts[1], PEER_SAME);
    store_rig_close(&rig);
}

/* They come from nodes that hold the secret, and are nobody's all the same. */
static void names_against_the_rules_are_nobodys(void **state)
{
    struct store_rig rig;
    char user[ROUTE_USER_MAX + 2];
    store_rig_open(&rig, *state, NULL);
    memset(user, 'u', sizeof user - 1);
    user[sizeof user - 1] = '\0';
    struct peer_check checks[3];
    enum peer_verdict verdicts[3];
    struct position at = store_rig_bound(&rig, "u", "d", 1).position;
    checks[0] = check_of(user, "d", 1, at);
    checks[1] = check_of("u", "d", 1, at);
    checks[2] = check_of("u", "d:d d", 1, at);
    assert_int_equal(store_rig_check_all(&rig, checks, 3, verdicts), 0);
    assert_int_equal(verdicts[0], PEER_UNROUTED);
    assert_int_equal(verdicts[1], PEER_SAME);
    assert_int_equal(verdicts[2], PEER_UNROUTED);
    assert_int_equal(store_rig_check_all(&rig, checks, 1, verdicts), 0);
    assert_int_equal(verdicts[0], PEER_UNROUTED);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_its_own_verdict),
        cmocka_unit_test(the_route_counts_as_a_whole),
        cmocka_unit_test(a_full_group_is_answered_entry_by_entry),
        cmocka_unit_test(a_session_that_lives_is_seen_to),
        cmocka_unit_test(names_against_the_rules_are_nobodys),
    };
    return store_rig_main("checks of a store", tests, sizeof tests / sizeof tests[0]);
}
