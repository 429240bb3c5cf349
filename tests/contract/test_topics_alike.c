/* Two implementations of topics.h, asked the same by chance, answer alike: SQLite's and Redis's, whose rules are written in C and in Lua. */
#include "contract/topics_rig.h"

#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS 600
#define SEEDS 4
#define SEQS 64

struct pair {
    struct topics_rig one;
    struct topics_rig other;
    struct rng rng;
    uint64_t epochs[2]; /* of logs: each has its own */
    uint64_t seqs[SEQS];
    size_t seqs_count;
};

static uint64_t below(struct pair *pair, uint64_t most)
{
    return rng_u64(&pair->rng) % most;
}

static const char *choose_topic(struct pair *pair)
{
    return below(pair, 2) == 0 ? "news" : "sport";
}

static void append(struct pair *pair)
{
    static const uint64_t ttls[] = {300, 3000, 30000, TOPICS_RIG_DAY};
    struct topics_appended one = {0}, other = {0};
    const char *topic = choose_topic(pair);
    char text[32];
    snprintf(text, sizeof text, "%.*s%u", (int)below(pair, 12), "............", (unsigned)below(pair, 300));
    uint64_t ttl = ttls[below(pair, 4)];
    int status = topics_rig_send(&pair->one, topic, text, ttl, &one);
    assert_int_equal(topics_rig_send(&pair->other, topic, text, ttl, &other), status);
    assert_int_equal(status, 0);
    assert_int_equal(one.position.seq, other.position.seq);
    assert_int_equal(one.prev, other.prev);
    assert_int_equal(one.duplicate, other.duplicate);
    uint64_t nodes[2] = {0};
    assert_int_equal(one.nodes_count, other.nodes_count);
    for (uint32_t i = 0; i < one.nodes_count; i++) {
        nodes[0] |= 1ULL << one.nodes[i];
        nodes[1] |= 1ULL << other.nodes[i];
    }
    assert_int_equal(nodes[0], nodes[1]);
    pair->epochs[0] = one.position.epoch;
    pair->epochs[1] = other.position.epoch;
    pair->seqs[pair->seqs_count++ % SEQS] = one.position.seq;
}

/* Of either log, or near it: before its birth, ahead of it, in another epoch. */
static struct position choose_position(struct pair *pair, size_t which, uint64_t chance, uint64_t seq)
{
    if (chance == 0)
        return (struct position){0, 0};
    if (chance == 1)
        return TOPICS_BEGIN;
    if (chance == 2)
        return (struct position){1, seq};
    if (chance == 3)
        return (struct position){pair->epochs[which] + 1, seq};
    return (struct position){pair->epochs[which], seq};
}

static void fetch(struct pair *pair)
{
    struct topics_rig_page one, other;
    const char *topic = choose_topic(pair);
    uint64_t chance = below(pair, 16);
    uint64_t known = pair->seqs_count < SEQS ? pair->seqs_count : SEQS;
    uint64_t seq = known > 0 ? pair->seqs[below(pair, known)] + below(pair, 3) - 1 : 1;
    uint32_t entries = 1 + (uint32_t)below(pair, PEER_PAGE_MAX), bytes = (uint32_t)below(pair, 200);
    int status = topics_rig_fetch(&pair->one, topic, choose_position(pair, 0, chance, seq), entries, bytes, &one);
    assert_int_equal(
        topics_rig_fetch(&pair->other, topic, choose_position(pair, 1, chance, seq), entries, bytes, &other), status);
    if (status != 0)
        return;
    assert_string_equal(one.texts, other.texts);
    assert_int_equal(one.page.verdict, other.page.verdict);
    assert_int_equal(one.page.position.seq, other.page.position.seq);
    assert_int_equal(one.page.upto, other.page.upto);
    assert_int_equal(one.page.head, other.page.head);
    assert_int_equal(one.page.gap.reason, other.page.gap.reason);
    assert_int_equal(one.page.gap.from, other.page.gap.from);
    assert_int_equal(one.page.gap.to, other.page.gap.to);
    assert_int_equal(one.page.gap.floor, other.page.gap.floor);
    assert_int_equal(one.page.gap.lost_at_most, other.page.gap.lost_at_most);
    for (uint32_t i = 0; i < one.page.count; i++) {
        assert_int_equal(one.page.entries[i].seq, other.page.entries[i].seq);
        assert_int_equal(one.page.entries[i].expires_ms, other.page.entries[i].expires_ms);
    }
}

static void take_interest(struct pair *pair)
{
    struct position one = {0}, other = {0};
    const char *topic = choose_topic(pair);
    uint32_t node = (uint32_t)below(pair, 6);
    uint64_t incarnation = 1 + below(pair, 3), lease = below(pair, 4) * 1000;
    int status = topics_rig_interest(&pair->one, topic, node, incarnation, lease, &one);
    assert_int_equal(topics_rig_interest(&pair->other, topic, node, incarnation, lease, &other), status);
    if (status == 0)
        assert_int_equal(one.seq, other.seq);
}

static void subscribe(struct pair *pair)
{
    struct topics_subscribed one, other;
    const char *device = below(pair, 2) == 0 ? "d" : "e";
    uint64_t what = below(pair, 8);
    if (what == 0) {
        assert_int_equal(topics_rig_unsubscribe(&pair->one, device, NULL),
                         topics_rig_unsubscribe(&pair->other, device, NULL));
    } else if (what < 4) {
        const char *topic = choose_topic(pair);
        assert_int_equal(topics_rig_unsubscribe(&pair->one, device, topic),
                         topics_rig_unsubscribe(&pair->other, device, topic));
    } else {
        const char *topic = choose_topic(pair);
        struct position at = {1 + below(pair, 1ULL << 60), below(pair, 1ULL << 52)};
        assert_int_equal(topics_rig_subscribe(&pair->one, device, topic, at, &one), 0);
        assert_int_equal(topics_rig_subscribe(&pair->other, device, topic, at, &other), 0);
        assert_int_equal(one.version, other.version);
        assert_int_equal(one.prev, other.prev);
        assert_int_equal(one.position.epoch, other.position.epoch);
        assert_int_equal(one.position.seq, other.position.seq);
    }
    struct topics_set a = topics_rig_set(&pair->one, device), b = topics_rig_set(&pair->other, device);
    assert_int_equal(a.version, b.version);
    assert_int_equal(a.count, b.count);
    uint64_t believed = below(pair, 2) == 0 ? PEER_FOLLOWS_NOTHING : a.version;
    assert_int_equal(topics_rig_check(&pair->one, device, believed), topics_rig_check(&pair->other, device, believed));
}

static void step(struct pair *pair)
{
    uint64_t what = below(pair, 20);
    if (what < 10)
        append(pair);
    else if (what < 15)
        fetch(pair);
    else if (what < 17)
        take_interest(pair);
    else if (what < 19)
        subscribe(pair);
    else
        pair->one.ms += below(pair, 4000);
    pair->other.ms = pair->one.ms;
}

static void what_is_asked_by_chance_is_answered_alike(void **state)
{
    static struct pair pair;
    struct topics_limits limits = topics_limits_default();
    limits.cap_entries = 20;
    limits.cap_bytes = 150;
    limits.recent_ms = 2000;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        memset(&pair, 0, sizeof pair);
        rng_seed(&pair.rng, seed);
        topics_rig_open_with(&pair.one, topics_rig_sqlite(), &limits, 1);
        topics_rig_open_with(&pair.other, *state, &limits, 1);
        for (int i = 0; i < STEPS; i++)
            step(&pair);
        topics_rig_close(&pair.one);
        topics_rig_close(&pair.other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_by_chance_is_answered_alike),
    };
    return topics_rig_main_on("redis", "topics alike", tests, sizeof tests / sizeof tests[0]);
}
