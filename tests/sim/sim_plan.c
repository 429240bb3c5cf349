#include "sim/sim_plan.h"

#include <stdlib.h>

#define FAULTS_MAX 24
#define SENDS_MAX 200
#define PUBLISHES_MAX 60
#define PUBLISHES_MANY 150 /* more than a loop keeps for its sessions */
#define SUBSCRIPTIONS_MAX 24

static uint64_t between(struct rng *rng, uint64_t least, uint64_t most)
{
    return least + rng_below(rng, most - least + 1);
}

static bool chance(struct rng *rng, uint32_t in)
{
    return rng_below(rng, in) == 0;
}

static void choose_topics(struct sim_cluster_config *config, struct rng *rng)
{
    config->topics = (struct sim_topics_config){
        .limits = topics_limits_default(),
        .latency_us = between(rng, 200, 20000),
        .lose_reply_in = config->store.lose_reply_in,
        .spike_in = config->store.spike_in,
        .spike_us = config->store.spike_us,
    };
    config->topics.limits.cap_entries = chance(rng, 2) ? (uint32_t)between(rng, 2, 30) : 200;
    if (chance(rng, 4))
        config->topics.limits.cap_bytes = (uint32_t)between(rng, 3000, 8000);
    config->session.topic_lease_ms = config->strict ? 1000000000 : (uint32_t)between(rng, 4000, 15000);
}

static void choose_cluster(struct sim_plan *plan, struct rng *rng)
{
    struct sim_cluster_config *config = &plan->cluster;
    config->sessions = (uint32_t)between(rng, 1, 3);
    config->messages = (uint32_t)between(rng, 1, 3);
    /* Strict: no check comes by itself, so what the rules say of hints must be enough. */
    config->strict = chance(rng, 2);
    plan->fails_over = chance(rng, 3);
    config->session = session_role_defaults();
    config->session.check_interval_s = config->strict ? 1000000 : (uint32_t)between(rng, 4, 20);
    config->session.heartbeat_s = (uint32_t)between(rng, 10, 30);
    config->session.high_water_bytes = (uint32_t)between(rng, 200, 4000);
    config->session.slow_timeout_ms = (uint32_t)between(rng, 4000, 30000);
    config->session.backoff_ms = (uint32_t)between(rng, 100, 1000);
    config->session.connects_per_second = chance(rng, 3) ? (uint32_t)between(rng, 1, 5) : 0;
    config->session.node_name = "sim";
    config->link = (struct sim_link_config){
        .latency_us = between(rng, 200, 20000),
        .spike_in = chance(rng, 2) ? (uint32_t)between(rng, 10, 100) : 0,
        .spike_us = between(rng, 50 * SIM_MS, 6 * SIM_S),
        .drop_in = chance(rng, 3) ? (uint32_t)between(rng, 3, 30) : 0,
        .ordered = chance(rng, 2),
    };
    config->store = (struct sim_store_config){
        .limits = store_limits_default(),
        .latency_us = between(rng, 200, 20000),
        .lose_reply_in = !config->strict && chance(rng, 2) ? (uint32_t)between(rng, 10, 100) : 0,
        .spike_in = !config->strict && chance(rng, 2) ? (uint32_t)between(rng, 10, 100) : 0,
        .spike_us = between(rng, 100 * SIM_MS, 4 * SIM_S),
    };
    if (chance(rng, 2))
        config->store.limits.cap_entries = (uint32_t)between(rng, 2, 30);
    if (chance(rng, 4))
        config->store.limits.cap_bytes = (uint32_t)between(rng, 1500, 8000);
    choose_topics(config, rng);
    config->store.limits.cap_collapse = (uint32_t)between(rng, 1, 4);
}

static void choose_people(struct sim_plan *plan, struct rng *rng)
{
    plan->users = (uint32_t)between(rng, 1, 3);
    plan->devices = 0;
    for (uint32_t user = 0; user < plan->users; user++) {
        for (uint64_t i = between(rng, 1, 3); i > 0; i--) {
            plan->device_user[plan->devices] = user;
            plan->device_late[plan->devices] = chance(rng, 5);
            plan->device_topics[plan->devices] = !chance(rng, 8);
            plan->devices++;
        }
    }
}

static struct sim_act *add(struct sim_plan *plan, enum sim_act_kind kind, uint64_t at_us)
{
    petrel_assert(plan->acts_count < SIM_ACTS_MAX);
    struct sim_act *act = &plan->acts[plan->acts_count++];
    *act = (struct sim_act){.at_us = at_us, .kind = kind};
    return act;
}

static void add_sends(struct sim_plan *plan, struct rng *rng)
{
    uint64_t left = between(rng, 10, SENDS_MAX);
    uint32_t bytes_most = chance(rng, 3) ? 1200 : 120;
    while (left > 0) {
        uint64_t at_us = between(rng, 0, plan->end_us);
        uint64_t count = chance(rng, 10) ? between(rng, 2, 30) : 1; /* a burst */
        uint32_t device = (uint32_t)rng_below(rng, plan->devices);
        for (; count > 0 && left > 0; count--, left--) {
            struct sim_act *act = add(plan, SIM_ACT_SEND, at_us);
            act->send = (struct sim_send){
                .user = plan->device_user[device],
                .device = chance(rng, 4) ? device : SIM_ALL_DEVICES,
                .ttl_ms = chance(rng, 12) ? between(rng, 100, 8000) : 24 * 3600 * 1000,
                .bytes = (uint32_t)between(rng, 1, bytes_most),
                .collapse = chance(rng, 8) ? (uint32_t)between(rng, 1, 4) : 0,
                .priority = (uint32_t)between(rng, 0, 2),
            };
            at_us += between(rng, 0, 20 * SIM_MS);
        }
        if (chance(rng, 15)) {
            struct sim_act *act = add(plan, SIM_ACT_RECALL, at_us + between(rng, 0, 3 * SIM_S));
            act->other = (uint32_t)rng_below(rng, 5);
        }
    }
}

static void add_publishes(struct sim_plan *plan, struct rng *rng)
{
    uint32_t bytes_most = chance(rng, 3) ? 1200 : 120;
    const bool many = chance(rng, 5);
    for (uint64_t left = between(rng, 0, many ? PUBLISHES_MANY : PUBLISHES_MAX); left > 0;) {
        uint64_t at_us = between(rng, 0, plan->end_us);
        uint64_t count = chance(rng, 6) ? between(rng, 2, many ? 100 : 20) : 1; /* a burst */
        uint32_t topic = (uint32_t)rng_below(rng, SIM_TOPICS_MAX);
        for (; count > 0 && left > 0; count--, left--) {
            add(plan, SIM_ACT_PUBLISH, at_us)->publish = (struct sim_publish){
                .topic = topic,
                .condition = chance(rng, 3) ? (uint32_t)between(rng, 1, SIM_CONDITIONS) : 0,
                .rate = chance(rng, 6) ? (uint32_t)between(rng, 1, 20) : 0,
                .ttl_ms = chance(rng, 12) ? between(rng, 100, 8000) : 24 * 3600 * 1000,
                .bytes = (uint32_t)between(rng, 1, bytes_most),
            };
            at_us += between(rng, 0, 20 * SIM_MS);
        }
    }
}

static void add_subscriptions(struct sim_plan *plan, struct rng *rng)
{
    /* Some of the first ones last. */
    uint64_t last_us = chance(rng, 2) ? plan->end_us : 5 * SIM_S;
    for (uint64_t left = between(rng, 0, SUBSCRIPTIONS_MAX); left > 0; left--) {
        enum sim_act_kind kind = chance(rng, 3) ? SIM_ACT_UNSUBSCRIBE : SIM_ACT_SUBSCRIBE;
        struct sim_act *act = add(plan, kind, between(rng, 0, last_us));
        act->whom = (uint32_t)rng_below(rng, plan->devices);
        act->other = (uint32_t)between(rng, 1, SIM_TOPICS_MAX - 1);
        act->flag = chance(rng, 2);
    }
}

static void add_fault(struct sim_plan *plan, struct rng *rng, enum sim_act_kind kind)
{
    const struct sim_cluster_config *config = &plan->cluster;
    struct sim_act *act = add(plan, kind, between(rng, 0, plan->end_us));
    uint32_t nodes = config->sessions + config->messages;
    act->flag = chance(rng, 2);
    switch (kind) {
    case SIM_ACT_DROP:
    case SIM_ACT_VANISH:
    case SIM_ACT_STALL:
    case SIM_ACT_CRASH:
    case SIM_ACT_OFF:
        act->whom = (uint32_t)rng_below(rng, plan->devices);
        act->other = act->flag ? (uint32_t)between(rng, 1, 6) : 0;
        act->us = between(rng, 0, 20 * SIM_S);
        return;
    case SIM_ACT_KILL:
    case SIM_ACT_DRAIN:
    case SIM_ACT_PAUSE:
        act->whom = (uint32_t)between(rng, 1, nodes);
        act->us = between(rng, 100 * SIM_MS, 15 * SIM_S);
        return;
    case SIM_ACT_EMPTY:
    case SIM_ACT_MOVE:
        act->whom = (uint32_t)between(rng, 1, config->sessions);
        act->other = (uint32_t)between(rng, 1, 20);
        act->us = between(rng, 100 * SIM_MS, 25 * SIM_S);
        return;
    case SIM_ACT_CUT:
        act->whom = (uint32_t)between(rng, 0, config->sessions);
        act->other = (uint32_t)between(rng, config->sessions + 1, nodes);
        act->us = between(rng, 100 * SIM_MS, 15 * SIM_S);
        return;
    default:
        act->other = (uint32_t)between(rng, 0, 20);
        act->us = between(rng, 100 * SIM_MS, 8 * SIM_S);
        return;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct sim_act *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

void sim_plan_make(struct sim_plan *plan, uint64_t seed)
{
    /* Devices fail more often than stores. */
    static const enum sim_act_kind faults[] = {
        SIM_ACT_DROP,  SIM_ACT_DROP,         SIM_ACT_VANISH,      SIM_ACT_VANISH,      SIM_ACT_STALL, SIM_ACT_STALL,
        SIM_ACT_CRASH, SIM_ACT_OFF,          SIM_ACT_KILL,        SIM_ACT_KILL,        SIM_ACT_DRAIN, SIM_ACT_PAUSE,
        SIM_ACT_PAUSE, SIM_ACT_CUT,          SIM_ACT_CUT,         SIM_ACT_CRASH,       SIM_ACT_OFF,   SIM_ACT_KILL,
        SIM_ACT_CUT,   SIM_ACT_STORE_CRASH,  SIM_ACT_STORE_DOWN,  SIM_ACT_STORE_FULL,  SIM_ACT_EMPTY, SIM_ACT_EMPTY,
        SIM_ACT_MOVE,  SIM_ACT_TOPICS_CRASH, SIM_ACT_TOPICS_DOWN, SIM_ACT_TOPICS_FULL,
    };
    struct rng rng;
    rng_seed(&rng, seed ^ 0x706c616eULL);
    *plan = (struct sim_plan){.seed = seed, .end_us = between(&rng, 10 * SIM_S, 90 * SIM_S)};
    choose_cluster(plan, &rng);
    choose_people(plan, &rng);
    for (uint32_t i = 0; i < plan->devices; i++)
        add(plan, SIM_ACT_START, plan->device_late[i] ? between(&rng, 0, plan->end_us) : between(&rng, 0, SIM_S))
            ->whom = i;
    add_sends(plan, &rng);
    add_publishes(plan, &rng);
    add_subscriptions(plan, &rng);
    for (uint64_t i = rng_below(&rng, FAULTS_MAX + 1); i > 0; i--)
        add_fault(plan, &rng, faults[rng_below(&rng, sizeof faults / sizeof faults[0])]);
    if (chance(&rng, 2))
        plan->cluster.store.limits.refresh_ms = between(&rng, 1000, 20000);
    /* What only a check finds out. */
    if (!plan->cluster.strict && chance(&rng, 2))
        plan->cluster.link.unheard_in = (uint32_t)between(&rng, 1, 3);
    for (uint32_t i = 0; i < plan->acts_count; i++)
        plan->acts[i].number = i;
    qsort(plan->acts, plan->acts_count, sizeof plan->acts[0], by_time);
    for (uint32_t i = 0; i < plan->acts_count; i++)
        plan->acts[i].number = i;
}

const char *sim_plan_act_text(const struct sim_act *act)
{
    static const char *const texts[] = {
#define SIM_ACTS_TEXT(id, text) text,
        SIM_ACTS(SIM_ACTS_TEXT)
#undef SIM_ACTS_TEXT
    };
    return texts[act->kind];
}
