/* The contract of store.h: what leaves a log and what is told of it: expiry, collapse, caps, recall, retries. */
#include "contract/store_rig.h"

#include <stdio.h>

#define AT(bound, seq_) ((struct position){(bound).page.epoch, (seq_)})
#define NONE ((struct position){0, 0})

static uint64_t put(struct store_rig *rig, const char *text, enum peer_priority priority, const char *collapse,
                    const char *device)
{
    struct peer_send send = store_rig_send(rig, "u", text);
    struct store_append_out out;
    send.priority = priority;
    send.collapse_key = bytes_str(collapse);
    send.target.device = bytes_str(device);
    assert_int_equal(store_rig_append(rig, &send, &out), 0);
    return out.sent.position.seq;
}

static void what_expires_is_no_gap(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct peer_user user;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    struct peer_send send = store_rig_send(&rig, "u", "short");
    send.expires_ms = rig.clock.ms + 1000;
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    uint64_t seq = store_rig_put(&rig, "u", "long");
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "short long");
    store_rig_advance(&rig, 1000);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "long");
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    assert_int_equal(page.upto, seq);
    assert_int_equal(store_rig_state(&rig, "u", "short"), PEER_STATE_EXPIRED);
    store_rig_put(&rig, "u", "touch");
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 2);
    assert_int_equal(user.floor, 0);
    assert_int_equal(store_rig_state(&rig, "u", "short"), PEER_STATE_EXPIRED);
    store_rig_advance(&rig, 2 * STORE_RIG_HOUR);
    assert_int_equal(store_rig_state(&rig, "u", "short"), PEER_STATE_UNKNOWN);
    store_rig_close(&rig);
}

static void a_collapse_key_replaces(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    put(&rig, "score-1", PEER_PRIORITY_NORMAL, "score", NULL);
    put(&rig, "other", PEER_PRIORITY_NORMAL, "weather", NULL);
    put(&rig, "score-d", PEER_PRIORITY_NORMAL, "score", "d");
    put(&rig, "score-2", PEER_PRIORITY_NORMAL, "score", NULL);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "other score-d score-2");
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    assert_int_equal(store_rig_state(&rig, "u", "score-1"), PEER_STATE_COLLAPSED);
    store_rig_close(&rig);
}

static void one_collapse_key_too_many_drops_the_oldest(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_collapse = 2;
    store_rig_open(&rig, *state, &options);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    uint64_t a = put(&rig, "a", PEER_PRIORITY_HIGH, "ka", NULL);
    put(&rig, "b", PEER_PRIORITY_LOW, "kb", NULL);
    put(&rig, "c", PEER_PRIORITY_LOW, "kc", NULL);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "b c");
    assert_int_equal(page.gap.reason, SESSION_GAP_CAP);
    assert_int_equal(page.gap.from, bound.position.seq);
    assert_int_equal(page.gap.to, a);
    assert_int_equal(page.gap.lost_at_most, 1);
    assert_int_equal(store_rig_state(&rig, "u", "a"), PEER_STATE_DROPPED);
    store_rig_close(&rig);
}

/* What waits may all count for more than what comes: then that is what the cap drops, and the device is told. */
static void a_low_one_does_not_displace_high_ones(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 2;
    store_rig_open(&rig, *state, &options);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    put(&rig, "high1", PEER_PRIORITY_HIGH, NULL, NULL);
    put(&rig, "high2", PEER_PRIORITY_HIGH, NULL, NULL);
    uint64_t low = put(&rig, "low", PEER_PRIORITY_LOW, NULL, NULL);
    assert_int_equal(store_rig_state(&rig, "u", "low"), PEER_STATE_DROPPED);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", first.position, 0, &page), 0);
    store_rig_expect(&page, "high1 high2");
    assert_int_equal(page.gap.reason, SESSION_GAP_CAP);
    assert_int_equal(page.gap.floor, low);
    assert_int_equal(page.upto, low);
    store_rig_close(&rig);
}

static void the_cap_drops_low_first_and_tells(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct peer_user user;
    struct peer_bound bound;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 4;
    store_rig_open(&rig, *state, &options);
    struct peer_bound first = store_rig_bound(&rig, "u", "d", 1);
    uint64_t base = first.position.seq;
    put(&rig, "high1", PEER_PRIORITY_HIGH, NULL, NULL);
    put(&rig, "norm1", PEER_PRIORITY_NORMAL, NULL, NULL);
    put(&rig, "low1", PEER_PRIORITY_LOW, NULL, NULL);
    put(&rig, "low2", PEER_PRIORITY_LOW, NULL, NULL);
    put(&rig, "norm2", PEER_PRIORITY_NORMAL, NULL, NULL);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.floor, base + 3);
    /* The hole is in the middle: it ends before what is left, and is told once to who keeps the floor in mind. */
    assert_int_equal(store_rig_fetch(&rig, "u", "d", first.position, 0, &page), 0);
    store_rig_expect(&page, "high1 norm1 low2 norm2");
    assert_int_equal(page.gap.reason, SESSION_GAP_CAP);
    assert_int_equal(page.gap.from, base);
    assert_int_equal(page.gap.to, base);
    assert_int_equal(page.gap.floor, user.floor);
    assert_int_equal(page.gap.lost_at_most, 3);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", first.position, user.floor, &page), 0);
    assert_int_equal(page.gap.reason, SESSION_GAP_NONE);
    put(&rig, "high2", PEER_PRIORITY_HIGH, NULL, NULL);
    put(&rig, "high3", PEER_PRIORITY_HIGH, NULL, NULL);
    put(&rig, "high4", PEER_PRIORITY_HIGH, NULL, NULL);
    put(&rig, "high5", PEER_PRIORITY_HIGH, NULL, NULL);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.floor, base + 5);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", first.position, base + 3, &page), 0);
    store_rig_expect(&page, "high2 high3 high4 high5");
    assert_int_equal(page.gap.to, base + 5);
    assert_int_equal(page.gap.lost_at_most, 2);
    /* A bind says the same, and goes on after the hole. */
    assert_int_equal(store_rig_bind(&rig, "u", "d", 2, AT(first, base + 1), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.position.seq, base + 5);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_CAP);
    assert_int_equal(bound.page.gap.to, base + 5);
    assert_int_equal(bound.page.gap.floor, base + 5);
    assert_int_equal(bound.page.gap.lost_at_most, 4);
    assert_int_equal(store_rig_bind(&rig, "u", "d", 3, AT(first, base + 5), &bound), 0);
    assert_int_equal(bound.verdict, SESSION_RESUMED);
    store_rig_close(&rig);
}

static void bytes_are_capped(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_bytes = 10;
    store_rig_open(&rig, *state, &options);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    struct peer_send send = store_rig_send(&rig, "u", "elevenbytes");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_TOO_LARGE);
    put(&rig, "four", PEER_PRIORITY_NORMAL, NULL, NULL);
    put(&rig, "sixsix", PEER_PRIORITY_NORMAL, NULL, NULL);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "four sixsix");
    put(&rig, "x", PEER_PRIORITY_NORMAL, NULL, NULL);
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "sixsix x");
    assert_int_equal(page.gap.lost_at_most, 1);
    store_rig_close(&rig);
}

static void a_new_device_is_told_what_it_was_owed(void **state)
{
    struct store_rig rig;
    struct peer_bound bound;
    struct store_rig_options options = store_rig_options();
    options.limits.cap_entries = 2;
    store_rig_open(&rig, *state, &options);
    /* Enrolled before: what the cap drops before its first session is its loss. */
    assert_int_equal(store_rig_enrol(&rig, "u", "early"), 0);
    store_rig_put(&rig, "u", "m1");
    store_rig_put(&rig, "u", "m2");
    store_rig_put(&rig, "u", "m3");
    bound = store_rig_bound(&rig, "u", "early", 1);
    assert_int_equal(bound.verdict, SESSION_GAPPED);
    assert_int_equal(bound.page.gap.lost_at_most, 1);
    store_rig_expect(&bound.page, "m2 m3");
    /* A user's first device begins at the oldest entry held, and what was dropped before was nobody's. */
    struct peer_send send = store_rig_send(&rig, "w", "w1");
    assert_int_equal(store_rig_append(&rig, &send, NULL), 0);
    store_rig_put(&rig, "w", "w2");
    store_rig_put(&rig, "w", "w3");
    bound = store_rig_bound(&rig, "w", "first", 1);
    assert_int_equal(bound.verdict, SESSION_NEW);
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_NONE);
    store_rig_expect(&bound.page, "w2 w3");
    store_rig_close(&rig);
}

static void messages_for_one_device_stay_its_own(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    struct peer_user user;
    struct store_append_out out;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound a = store_rig_bound(&rig, "u", "a", 1);
    store_rig_bound(&rig, "u", "b", 2);
    struct peer_send send = store_rig_send(&rig, "u", "for-a");
    send.target.device = bytes_str("a");
    assert_int_equal(store_rig_append(&rig, &send, &out), 0);
    assert_int_equal(out.hits_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(out.hits[i].target, out.hits[i].route.slot == 1);
    uint64_t seq = out.sent.position.seq;
    assert_int_equal(store_rig_fetch(&rig, "u", "b", a.position, 0, &page), 0);
    store_rig_expect(&page, "");
    assert_int_equal(page.upto, seq);
    assert_int_equal(store_rig_fetch(&rig, "u", "a", a.position, 0, &page), 0);
    store_rig_expect(&page, "for-a");
    assert_int_equal(store_rig_ack(&rig, "u", "b", AT(a, seq)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 1);
    assert_int_equal(store_rig_ack(&rig, "u", "a", AT(a, seq)), 0);
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 0);
    send = store_rig_send(&rig, "u", "for-nobody");
    send.target.device = bytes_str("c");
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_UNREGISTERED);
    send = store_rig_send(&rig, "nobody", "needs-one");
    send.require_device = true;
    assert_int_equal(store_rig_append(&rig, &send, NULL), PETREL_E_UNREGISTERED);
    store_rig_close(&rig);
}

static void ids_are_remembered_for_a_while(void **state)
{
    struct store_rig rig;
    struct store_append_out first, again;
    struct store_rig_options options = store_rig_options();
    options.limits.recent_ids = 3;
    store_rig_open(&rig, *state, &options);
    struct peer_send send = store_rig_send(&rig, "u", "m1");
    assert_int_equal(store_rig_append(&rig, &send, &first), 0);
    assert_int_equal(store_rig_append(&rig, &send, &again), 0);
    assert_true(again.sent.duplicate);
    assert_int_equal(again.sent.position.seq, first.sent.position.seq);
    store_rig_put(&rig, "u", "m2");
    store_rig_put(&rig, "u", "m3");
    struct peer_send more = store_rig_send(&rig, "u", "m4");
    assert_int_equal(store_rig_append(&rig, &more, NULL), PETREL_E_RATE_LIMITED);
    struct peer_send other = store_rig_send(&rig, "w", "m4");
    assert_int_equal(store_rig_append(&rig, &other, NULL), 0);
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_append(&rig, &send, &again), 0);
    assert_true(again.sent.duplicate);
    assert_int_equal(store_rig_append(&rig, &more, NULL), PETREL_E_RATE_LIMITED);
    store_rig_advance(&rig, options.limits.recent_ms + 1);
    assert_int_equal(store_rig_append(&rig, &more, &again), 0);
    assert_false(again.sent.duplicate);
    store_rig_close(&rig);
}

static void expect_named(const struct store_append_out *again, const struct store_append_out *first, uint32_t slot,
                         bool target)
{
    assert_true(again->sent.duplicate);
    assert_int_equal(again->sent.position.seq, first->sent.position.seq);
    assert_int_equal(again->sent.position.epoch, first->sent.position.epoch);
    assert_int_equal(again->prev, first->prev);
    assert_int_equal(again->hits_count, 1);
    assert_int_equal(again->hits[0].route.slot, slot);
    assert_int_equal(again->hits[0].target, target);
}

/* The first one's answer may have been lost, and with it the names of the sessions that were to be told. */
static void a_repeated_append_names_the_sessions_again(void **state)
{
    struct store_rig rig;
    struct store_append_out first, again;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    struct peer_send sends[2] = {store_rig_send(&rig, "u", "recent"), store_rig_send(&rig, "u", "keyed")};
    sends[1].has_key = true;
    sends[1].key_expires_ms = rig.clock.ms + STORE_RIG_DAY;
    assert_int_equal(store_rig_enrol(&rig, "u", "e"), 0);
    for (size_t i = 0; i < 2; i++) {
        const struct peer_send *send = &sends[i];
        const uint64_t attempt = 2 * i + 1;
        assert_int_equal(store_rig_append(&rig, send, &first), 0);
        assert_false(first.sent.duplicate);
        assert_int_equal(store_rig_append(&rig, send, &again), 0);
        expect_named(&again, &first, (uint32_t)attempt, true);
        /* Those that are there now, not those that were. */
        store_rig_bound(&rig, "u", "d", attempt + 1);
        assert_int_equal(store_rig_append(&rig, send, &again), 0);
        expect_named(&again, &first, (uint32_t)attempt + 1, true);
        store_rig_bound(&rig, "u", "d", attempt + 2);
        /* What all have is told to nobody. */
        assert_int_equal(store_rig_ack(&rig, "u", "d", AT(bound, first.sent.position.seq)), 0);
        assert_int_equal(store_rig_ack(&rig, "u", "e", AT(bound, first.sent.position.seq)), 0);
        assert_int_equal(store_rig_append(&rig, send, &again), 0);
        assert_true(again.sent.duplicate);
        assert_int_equal(again.hits_count, 0);
    }
    /* For another device it is an advance still. */
    struct peer_send send = store_rig_send(&rig, "u", "for-e");
    send.target.device = bytes_str("e");
    assert_int_equal(store_rig_append(&rig, &send, &first), 0);
    assert_int_equal(store_rig_append(&rig, &send, &again), 0);
    expect_named(&again, &first, 5, false);
    /* Another message under the same key: its bytes are not what stands there. */
    send = store_rig_send(&rig, "u", "another");
    send.has_key = true;
    send.key_expires_ms = sends[1].key_expires_ms;
    assert_int_equal(store_rig_append(&rig, &send, &again), 0);
    assert_true(again.sent.duplicate);
    assert_int_equal(again.hits_count, 0);
    store_rig_close(&rig);
}

static void keys_answer_with_the_first(void **state)
{
    struct store_rig rig;
    struct store_append_out first, again;
    struct peer_user user;
    struct store_rig_options options = store_rig_options();
    options.limits.recent_ids = 1;
    store_rig_open(&rig, *state, &options);
    struct peer_send send = store_rig_send(&rig, "u", "m1");
    send.has_key = true;
    memcpy(send.key, "0123456789abcdef", sizeof send.key);
    send.body_hash = 0xfeedfacecafebeefULL;
    send.key_expires_ms = rig.clock.ms + STORE_RIG_DAY;
    assert_int_equal(store_rig_append(&rig, &send, &first), 0);
    for (int round = 0; round < 2; round++) {
        send.id = store_rig_id("another");
        assert_int_equal(store_rig_append(&rig, &send, &again), 0);
        assert_true(again.sent.duplicate);
        assert_int_equal(again.sent.position.seq, first.sent.position.seq);
        assert_memory_equal(&again.sent.id, &first.sent.id, sizeof first.sent.id);
        send.body_hash++;
        assert_int_equal(store_rig_append(&rig, &send, &again), PETREL_E_CONFLICT);
        send.body_hash--;
        store_rig_reopen(&rig);
    }
    assert_int_equal(store_rig_user(&rig, "u", &user), 0);
    assert_int_equal(user.pending, 1);
    /* Keyed sends take no place among the recent ids. */
    store_rig_put(&rig, "u", "m2");
    store_rig_advance(&rig, STORE_RIG_DAY);
    send.id = store_rig_id("another");
    send.key_expires_ms = rig.clock.ms + STORE_RIG_DAY;
    assert_int_equal(store_rig_append(&rig, &send, &again), 0);
    assert_false(again.sent.duplicate);
    store_rig_close(&rig);
}

static void a_recall_takes_back_what_nobody_was_sent(void **state)
{
    struct store_rig rig;
    struct peer_page page;
    store_rig_open(&rig, *state, NULL);
    assert_int_equal(store_rig_enrol(&rig, "u", "d"), 0);
    store_rig_put(&rig, "u", "m1");
    uint64_t m2 = store_rig_put(&rig, "u", "m2");
    assert_int_equal(store_rig_state(&rig, "u", "m1"), PEER_STATE_PENDING);
    assert_int_equal(store_rig_recall(&rig, "u", "m1"), 0);
    assert_int_equal(store_rig_recall(&rig, "u", "m1"), 0);
    assert_int_equal(store_rig_state(&rig, "u", "m1"), PEER_STATE_RECALLED);
    assert_int_equal(store_rig_recall(&rig, "u", "never"), PETREL_E_NOT_FOUND);
    /* The bind's page may have reached the device, also when the process dies now. */
    struct peer_bound bound = store_rig_bound(&rig, "u", "d", 1);
    store_rig_expect(&bound.page, "m2");
    assert_int_equal(bound.page.gap.reason, SESSION_GAP_NONE);
    store_rig_reopen(&rig);
    assert_int_equal(store_rig_recall(&rig, "u", "m2"), PETREL_E_ALREADY_DELIVERED);
    assert_int_equal(store_rig_ack(&rig, "u", "d", AT(bound, m2)), 0);
    assert_int_equal(store_rig_state(&rig, "u", "m2"), PEER_STATE_DELIVERED);
    assert_int_equal(store_rig_recall(&rig, "u", "m2"), PETREL_E_ALREADY_DELIVERED);
    /* An append that found a session was sent with it. */
    bound = store_rig_bound(&rig, "u", "d", 2);
    store_rig_put(&rig, "u", "m3");
    assert_int_equal(store_rig_recall(&rig, "u", "m3"), PETREL_E_ALREADY_DELIVERED);
    store_rig_unbind(&rig, "u", "d", 2);
    store_rig_put(&rig, "u", "m4");
    assert_int_equal(store_rig_fetch(&rig, "u", "d", bound.position, 0, &page), 0);
    store_rig_expect(&page, "m3 m4");
    assert_int_equal(store_rig_recall(&rig, "u", "m4"), PETREL_E_ALREADY_DELIVERED);
    store_rig_close(&rig);
}

static void a_state_names_the_targets(void **state)
{
    struct store_rig rig;
    struct peer_stated stated;
    store_rig_open(&rig, *state, NULL);
    struct peer_bound bound = store_rig_bound(&rig, "u", "a", 1);
    assert_int_equal(store_rig_enrol(&rig, "u", "b"), 0);
    uint64_t m1 = store_rig_put(&rig, "u", "m1");
    assert_int_equal(store_rig_ack(&rig, "u", "a", AT(bound, m1)), 0);
    struct store_request request = {
        .in.message_state = {.target = store_rig_target("u", NULL), .id = store_rig_id("m1")}};
    assert_int_equal(store_rig_run(&rig, STORE_MESSAGE_STATE, &request, &stated), 0);
    assert_int_equal(stated.state, PEER_STATE_PENDING);
    assert_int_equal(stated.position.seq, m1);
    assert_int_equal(stated.expires_ms, rig.clock.ms + STORE_RIG_DAY);
    assert_int_equal(stated.count, 2);
    assert_string_equal(stated.devices[0].device, "a");
    assert_int_equal(stated.devices[0].acked, m1);
    assert_int_equal(stated.devices[0].route.slot, 1);
    assert_string_equal(stated.devices[1].device, "b");
    assert_int_equal(stated.devices[1].acked, m1 - 1);
    assert_int_equal(stated.devices[1].route.generation, 0);
    store_rig_close(&rig);
}

static void fates_are_few(void **state)
{
    struct store_rig rig;
    struct store_rig_options options = store_rig_options();
    options.limits.fates = 2;
    store_rig_open(&rig, *state, &options);
    const char *const texts[] = {"m1", "m2", "m3"};
    for (size_t i = 0; i < 3; i++) {
        store_rig_put(&rig, "u", texts[i]);
        assert_int_equal(store_rig_recall(&rig, "u", texts[i]), 0);
    }
    assert_int_equal(store_rig_state(&rig, "u", "m1"), PEER_STATE_UNKNOWN);
    assert_int_equal(store_rig_state(&rig, "u", "m2"), PEER_STATE_RECALLED);
    assert_int_equal(store_rig_state(&rig, "u", "m3"), PEER_STATE_RECALLED);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_expires_is_no_gap),
        cmocka_unit_test(a_collapse_key_replaces),
        cmocka_unit_test(one_collapse_key_too_many_drops_the_oldest),
        cmocka_unit_test(a_low_one_does_not_displace_high_ones),
        cmocka_unit_test(the_cap_drops_low_first_and_tells),
        cmocka_unit_test(bytes_are_capped),
        cmocka_unit_test(a_new_device_is_told_what_it_was_owed),
        cmocka_unit_test(messages_for_one_device_stay_its_own),
        cmocka_unit_test(ids_are_remembered_for_a_while),
        cmocka_unit_test(a_repeated_append_names_the_sessions_again),
        cmocka_unit_test(keys_answer_with_the_first),
        cmocka_unit_test(a_recall_takes_back_what_nobody_was_sent),
        cmocka_unit_test(a_state_names_the_targets),
        cmocka_unit_test(fates_are_few),
    };
    return store_rig_main("store log", tests, sizeof tests / sizeof tests[0]);
}
