#include "sim/sim_run.h"

#include "sim/sim_device.h"

#include <stdlib.h>
#include <string.h>

/* After the last fault everything must come right by itself within this: a device's longest backoff, a dead connection's
 * silence, a check. */
#define CALM_US (300 * SIM_S)
/* And then nothing more may come. */
#define QUIET_US (12 * SIM_S)

struct undo { /* the end of a fault */
    struct sim_event event;
    struct run *run;
    const struct sim_act *act;
};

struct run {
    struct sim sim;
    struct sim_book book;
    const struct sim_plan *plan;
    struct sim_cluster *cluster;
    struct sim_device devices[SIM_DEVICES_MAX];
    char *tokens[SIM_DEVICES_MAX];
    struct sim_event next;
    uint32_t acted;
    const bool *left_out;
    struct undo undos[SIM_ACTS_MAX];
};

static void undo(struct sim_event *event)
{
    struct undo *of = container_of(event, struct undo, event);
    struct sim_cluster *cluster = of->run->cluster;
    if (of->act->kind == SIM_ACT_CUT) {
        sim_trace(&of->run->sim, "wire %u-%u: whole again", of->act->whom, of->act->other);
        sim_links_heal(sim_cluster_links(cluster), of->act->whom, of->act->other);
    } else if (of->act->kind == SIM_ACT_EMPTY) {
        sim_cluster_fill(cluster, of->act->whom);
    } else {
        sim_cluster_start(cluster, of->act->whom);
    }
}

static void undo_later(struct run *run, const struct sim_act *act, uint64_t us)
{
    struct undo *of = &run->undos[act->number];
    of->run = run;
    of->act = act;
    sim_at(&run->sim, &of->event, us, undo);
}

static void act_on_device(struct run *run, const struct sim_act *act)
{
    struct sim_device *device = &run->devices[act->whom];
    switch (act->kind) {
    case SIM_ACT_START:
        sim_device_start(device);
        return;
    case SIM_ACT_DROP:
        sim_device_drop(device);
        return;
    case SIM_ACT_VANISH:
        sim_device_vanish(device, act->flag ? act->us : 0);
        return;
    case SIM_ACT_STALL:
        sim_device_stall(device, act->us);
        return;
    case SIM_ACT_CRASH:
        sim_device_crash(device, act->other, act->us);
        return;
    default:
        sim_device_switch_off(device, act->us);
        return;
    }
}

static void act_on_topics(struct run *run, const struct sim_act *act)
{
    struct sim_topics *topics = sim_cluster_topics(run->cluster);
    if (act->kind == SIM_ACT_TOPICS_DOWN) {
        sim_topics_down(topics, act->us);
        return;
    }
    if (act->kind == SIM_ACT_TOPICS_FULL) {
        sim_topics_full(topics, act->us);
        return;
    }
    if (run->plan->fails_over)
        sim_topics_fail_over(topics, act->other);
    else
        sim_topics_restart(topics);
    sim_links_dirty_all(sim_cluster_links(run->cluster));
}

static void act_on_subscription(struct run *run, const struct sim_act *act)
{
    const bool follow = act->kind == SIM_ACT_SUBSCRIBE;
    if (act->flag)
        sim_publisher_subscribe(sim_cluster_publisher(run->cluster), act->whom, act->other, follow);
    else
        sim_device_subscribe(&run->devices[act->whom], act->other, follow);
}

static void act_on_store(struct run *run, const struct sim_act *act)
{
    struct sim_store *store = sim_cluster_store(run->cluster);
    if (act->kind == SIM_ACT_STORE_DOWN) {
        sim_store_down(store, act->us);
        return;
    }
    if (act->kind == SIM_ACT_STORE_FULL) {
        sim_store_full(store, act->us);
        return;
    }
    if (run->plan->fails_over)
        sim_store_fail_over(store, act->other);
    else
        sim_store_restart(store);
    sim_links_dirty_all(sim_cluster_links(run->cluster));
}

static void act_on_nodes(struct run *run, const struct sim_act *act)
{
    switch (act->kind) {
    case SIM_ACT_KILL:
        sim_cluster_kill(run->cluster, act->whom);
        undo_later(run, act, act->us);
        return;
    case SIM_ACT_DRAIN:
        sim_cluster_drain(run->cluster, act->whom);
        undo_later(run, act, act->us + 4 * SIM_S);
        return;
    case SIM_ACT_EMPTY:
        sim_cluster_empty(run->cluster, act->whom, act->other);
        undo_later(run, act, act->us);
        return;
    case SIM_ACT_MOVE:
        sim_cluster_move(run->cluster, act->whom, act->other, act->other);
        return;
    case SIM_ACT_PAUSE:
        sim_cluster_pause(run->cluster, act->whom, act->us, act->flag);
        return;
    default:
        sim_links_cut(sim_cluster_links(run->cluster), act->whom, act->other);
        undo_later(run, act, act->us);
        return;
    }
}

static void perform(struct run *run, const struct sim_act *act)
{
    sim_trace(&run->sim, "act %u: %s (%u, %u, %llu ms)", act->number, sim_plan_act_text(act), act->whom, act->other,
              (unsigned long long)(act->us / SIM_MS));
    if (act->kind == SIM_ACT_SEND)
        sim_sender_send(sim_cluster_sender(run->cluster), &act->send);
    else if (act->kind == SIM_ACT_RECALL)
        sim_sender_recall(sim_cluster_sender(run->cluster), act->other);
    else if (act->kind == SIM_ACT_PUBLISH)
        sim_publisher_publish(sim_cluster_publisher(run->cluster), &act->publish);
    else if (act->kind <= SIM_ACT_OFF)
        act_on_device(run, act);
    else if (act->kind <= SIM_ACT_UNSUBSCRIBE)
        act_on_subscription(run, act);
    else if (act->kind <= SIM_ACT_CUT)
        act_on_nodes(run, act);
    else if (act->kind <= SIM_ACT_STORE_FULL)
        act_on_store(run, act);
    else
        act_on_topics(run, act);
}

static void on_next(struct sim_event *event)
{
    struct run *run = container_of(event, struct run, next);
    const struct sim_act *act = &run->plan->acts[run->acted++];
    if (run->left_out == NULL || !run->left_out[act->number])
        perform(run, act);
    if (run->acted < run->plan->acts_count)
        sim_at(&run->sim, event, run->plan->acts[run->acted].at_us - act->at_us, on_next);
}

/* ---- planted faults ---- */

static bool tamper_prev(struct sim *sim, struct peer_msg *msg)
{
    (void)sim;
    if (msg->type == PEER_DELIVER)
        msg->deliver.prev = 0;
    return true;
}

static bool tamper_silent(struct sim *sim, struct peer_msg *msg)
{
    const bool hint = msg->type == PEER_DELIVER || msg->type == PEER_TOPIC_DELIVER;
    return !hint || !sim_chance(sim, 20);
}

static void plant(struct run *run, enum sim_plant what)
{
    struct sim_links *links = sim_cluster_links(run->cluster);
    if (what == SIM_PLANT_PREV)
        sim_links_plant(links, tamper_prev, false);
    else if (what == SIM_PLANT_SILENT)
        sim_links_plant(links, tamper_silent, false);
    else if (what == SIM_PLANT_DIRTY)
        sim_links_plant(links, NULL, true);
    else if (what == SIM_PLANT_HITS)
        sim_store_forget_hits(sim_cluster_store(run->cluster), 10);
}

/* ---- the run ---- */

static void begin(struct run *run, enum sim_plant what)
{
    const struct sim_plan *plan = run->plan;
    run->cluster = sim_cluster_new(&run->sim, &run->book, &plan->cluster, plan->users);
    plant(run, what);
    run->book.devices_count = plan->devices;
    for (uint32_t i = 0; i < plan->devices; i++) {
        uint32_t user = plan->device_user[i];
        run->book.devices[i] = (struct sim_seen){.user = user, .enrolled_us = plan->device_late[i] ? UINT64_MAX : 0};
        if (!plan->device_late[i])
            sim_store_enrol(sim_cluster_store(run->cluster), user, i);
        run->tokens[i] = sim_cluster_token(&run->sim, user, i);
        sim_device_init(&run->devices[i], &run->sim, &run->book, i, run->tokens[i], SIM_FIRST_PORT,
                        (uint16_t)plan->cluster.sessions, plan->device_topics[i]);
    }
    if (plan->acts_count > 0)
        sim_at(&run->sim, &run->next, plan->acts[0].at_us, on_next);
}

static bool broken(const struct run *run)
{
    return run->book.broken[0] != '\0';
}

static void run_until(struct run *run, uint64_t until_us)
{
    while (!broken(run) && sim_step(&run->sim, until_us)) {
    }
}

static bool everyone_is_up(const struct run *run)
{
    for (uint32_t i = 0; i < run->plan->devices; i++) {
        if (!sim_device_is_up(&run->devices[i]))
            return false;
    }
    return true;
}

static void calm(struct run *run)
{
    for (uint32_t i = 0; i < SIM_ACTS_MAX; i++)
        sim_cancel(&run->sim, &run->undos[i].event);
    sim_trace(&run->sim, "the faults are over");
    sim_store_down(sim_cluster_store(run->cluster), 0);
    sim_store_full(sim_cluster_store(run->cluster), 0);
    sim_topics_down(sim_cluster_topics(run->cluster), 0);
    sim_topics_full(sim_cluster_topics(run->cluster), 0);
    for (uint32_t i = 0; i < run->plan->devices; i++)
        sim_device_calm(&run->devices[i]);
}

/* A store that forgot acks gets them again with the next ones only: nothing more comes in a run. */
static bool trimmed(const struct run *run)
{
    return run->book.rolled_back || sim_store_trimmed(sim_cluster_store(run->cluster));
}

static bool nobody_asks(const struct run *run)
{
    return sim_sender_busy(sim_cluster_sender(run->cluster)) == 0 &&
           sim_publisher_busy(sim_cluster_publisher(run->cluster)) == 0;
}

/* Who has been left out of what became of its subscriptions finds out with its next check; where none comes, once it is back. */
static void make_sure(struct run *run)
{
    if (!run->plan->cluster.strict)
        return;
    for (uint32_t i = 0; i < run->plan->devices; i++) {
        if (run->book.news.unsure[i])
            sim_device_drop(&run->devices[i]);
        run->book.news.unsure[i] = false;
    }
}

/* One more to each topic, and to each condition: now it is certain who gets what. */
static void probe(struct run *run)
{
    for (uint32_t i = 0; i < SIM_TOPICS_MAX + SIM_CONDITIONS; i++) {
        const struct sim_publish publish = {.topic = i < SIM_TOPICS_MAX ? i : 0,
                                            .condition = i < SIM_TOPICS_MAX ? 0 : i - SIM_TOPICS_MAX + 1,
                                            .ttl_ms = 24 * 3600 * 1000,
                                            .bytes = 20};
        sim_publisher_publish(sim_cluster_publisher(run->cluster), &publish);
    }
}

static bool come_to_rest(struct run *run)
{
    uint64_t end_us = run->sim.now_us + CALM_US;
    bool settled = false;
    while (!broken(run) && !settled && run->sim.now_us < end_us) {
        sim_cluster_calm(run->cluster);
        if (nobody_asks(run))
            make_sure(run);
        run_until(run, run->sim.now_us + SIM_S);
        settled = nobody_asks(run) && everyone_is_up(run) && sim_book_settled(&run->book, false) && trimmed(run);
    }
    return settled;
}

/* A node is interested in what somebody on it follows, and in nothing else. */
static void check_interest(struct run *run)
{
    const struct sim_topics *topics = sim_cluster_topics(run->cluster);
    bool wanted[SIM_NODES_MAX][SIM_TOPICS_MAX] = {{false}};
    for (uint32_t i = 0; i < run->plan->devices; i++) {
        for (uint32_t topic = 0; topic < SIM_TOPICS_MAX && run->plan->device_topics[i]; topic++)
            wanted[run->devices[i].node][topic] |= run->book.news.follows[i][topic].view;
    }
    for (uint32_t node = 1; node <= run->plan->cluster.sessions; node++) {
        for (uint32_t topic = 0; topic < SIM_TOPICS_MAX; topic++) {
            const bool held = sim_topics_interested(topics, topic, node);
            if (held && !wanted[node][topic] && !run->plan->cluster.strict)
                sim_book_break(&run->book, "node %u holds a lease on topic %u, which nobody follows there", node,
                               topic);
            /* Where answers are lost, several in a row may be. */
            const bool sure = run->plan->cluster.topics.lose_reply_in == 0 && run->plan->cluster.link.spike_in == 0;
            if (!held && wanted[node][topic] && sure)
                sim_book_break(&run->book, "node %u has no lease on topic %u, which is followed there", node, topic);
        }
    }
}

static void settle(struct run *run)
{
    bool settled = come_to_rest(run);
    if (settled) {
        probe(run);
        settled = come_to_rest(run);
    }
    /* Leases of those who left run out meanwhile. */
    const uint64_t lease_us = run->plan->cluster.strict ? 0 : 2 * SIM_MS * run->plan->cluster.session.topic_lease_ms;
    run_until(run, run->sim.now_us + QUIET_US + lease_us);
    if (settled && !broken(run))
        check_interest(run);
    if (settled || broken(run))
        return;
    (void)sim_book_settled(&run->book, true);
    if (!broken(run) && !everyone_is_up(run))
        sim_book_break(&run->book, "not every device is connected, long after the last fault");
    if (!broken(run) && !trimmed(run))
        sim_book_break(&run->book, "entries stay in a log, though every device has them: acks were lost");
    if (!broken(run))
        sim_book_break(&run->book, "a sender's call never ended");
}

static void end(struct run *run)
{
    sim_cancel(&run->sim, &run->next);
    for (uint32_t i = 0; i < SIM_ACTS_MAX; i++)
        sim_cancel(&run->sim, &run->undos[i].event);
    for (uint32_t i = 0; i < run->plan->devices; i++) {
        sim_device_free(&run->devices[i]);
        free(run->tokens[i]);
    }
    sim_cluster_free(&run->cluster);
    sim_net_reset(&run->sim);
    sim_reset(&run->sim);
}

void sim_run(const struct sim_plan *plan, const bool *left_out, enum sim_plant what, FILE *trace,
             struct sim_result *result)
{
    struct run *run = object_zalloc(sizeof *run);
    run->plan = plan;
    run->left_out = left_out;
    sim_init(&run->sim, plan->seed, trace);
    sim_book_init(&run->book, &run->sim);
    begin(run, what);
    run_until(run, plan->end_us + 5 * SIM_S);
    if (!broken(run)) {
        calm(run);
        settle(run);
    }
    *result = (struct sim_result){
        .digest = run->sim.digest,
        .virtual_us = run->sim.now_us,
        .messages = run->book.messages_count,
        .deliveries = run->book.deliveries + run->book.news.deliveries,
        .gaps = run->book.gaps,
    };
    memcpy(result->broken, run->book.broken, sizeof result->broken);
    end(run);
    free(run);
}
