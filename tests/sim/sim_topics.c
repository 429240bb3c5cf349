#include "sim/sim_topics.h"

#include "base/err.h"
#include "sim/loop/sim_loop.h"
#include "sim/sim_msg.h"
#include "sim/sim_topics_impl.h"
#include "store/topics_reply.h"
#include "wire/peer_check.h"

#include <stdlib.h>

#define DEADLINE_US SIM_S

struct op {
    struct list node;
    struct sim_topics *topics;
    struct topics_request *request; /* NULL: answered */
    struct loop *home;
    struct sim_msg in;
    struct topics_request done; /* status and out, as carried out */
    bool carried_out;           /* and not handed over */
    bool mailed;
    int status;
    struct sim_event travel;
    struct sim_event deadline;
    struct mail mail;
};

void sim_topics_down(struct sim_topics *topics, uint64_t us)
{
    topics->down_until_us = topics->sim->now_us + us;
}

void sim_topics_full(struct sim_topics *topics, uint64_t us)
{
    topics->full_until_us = topics->sim->now_us + us;
}

/* ---- operations ---- */

static void trace_op(const struct op *op, struct bytes topic, struct position at)
{
    static const char *const names[] = {
        [TOPICS_APPEND] = "append",
        [TOPICS_FETCH] = "fetch",
        [TOPICS_INTEREST] = "interest",
        [TOPICS_SUBSCRIBE] = "subscribe",
        [TOPICS_UNSUBSCRIBE] = "unsubscribe",
        [TOPICS_SUBSCRIPTIONS] = "subscriptions",
        [TOPICS_CHECK] = "check",
    };
    sim_trace(op->topics->sim, "topics: %s of %.*s at (%llu, %llu): %s", names[op->done.op], (int)topic.len,
              topic.ptr != NULL ? (const char *)topic.ptr : "", (unsigned long long)at.epoch,
              (unsigned long long)at.seq, err_name(op->done.status));
}

static void change_set(struct op *op)
{
    const struct peer_subscribe *in = &op->in.msg.subscribe;
    struct topics_request *done = &op->done;
    done->status = done->op == TOPICS_SUBSCRIBE ? sim_topics_subscribe(op->topics, in, &done->out.subscribed)
                                                : sim_topics_unsubscribe(op->topics, in, &done->out.subscribed);
    if (op->request == NULL || op->mailed)
        op->topics->book->news.unsure[sim_topics_device(&in->target)] = true;
    trace_op(op, in->topic, done->out.subscribed.position);
}

static void append(struct op *op)
{
    struct topics_request *done = &op->done;
    done->out.appended = object_zalloc(sizeof *done->out.appended);
    done->status = sim_topics_append(op->topics, &op->in.msg.topic_send, done->out.appended);
    trace_op(op, op->in.msg.topic_send.topic, done->out.appended->position);
    if (done->status != 0)
        free(done->out.appended);
}

static void fetch(struct op *op)
{
    struct topics_request *done = &op->done;
    struct topics_page *page = topics_reply_page();
    done->out.page = page;
    done->status = sim_topics_fetch(op->topics, &op->in.msg.topic_fetch, page);
    trace_op(op, op->in.msg.topic_fetch.topic, op->in.msg.topic_fetch.position);
    sim_trace(op->topics->sim, "topics: a page of %u from (%llu, %llu) up to %llu of %llu", page->count,
              (unsigned long long)page->position.epoch, (unsigned long long)page->position.seq,
              (unsigned long long)page->upto, (unsigned long long)page->head);
    if (done->status != 0)
        free(page);
}

static void check_all(struct op *op)
{
    struct sim_topics *topics = op->topics;
    const struct peer_checks *checks = &op->in.msg.check;
    struct bytes rest = checks->entries;
    struct peer_checked *checked = object_zalloc(sizeof *checked);
    for (uint32_t i = 0; i < checks->count; i++) {
        struct peer_check check;
        const int err = peer_check_take(checks, &rest, &check);
        petrel_assert(err == 0);
        const bool lost = topics->config.lose_reply_in != 0 && sim_chance(topics->sim, topics->config.lose_reply_in);
        const uint64_t version = sim_topics_version(topics, &check.target);
        const enum peer_verdict verdict = lost ? PEER_UNKNOWN : topics_compare(&check, version);
        peer_checked_add(checked, i, verdict);
        sim_trace(topics->sim, "topics: %.*s: check of version %llu: verdict %d; version %llu",
                  (int)check.target.device.len, (const char *)check.target.device.ptr,
                  (unsigned long long)check.version, (int)verdict, (unsigned long long)version);
    }
    op->done.out.checked = checked;
}

static void carry_out(struct op *op)
{
    struct topics_request *done = &op->done;
    switch (done->op) {
    case TOPICS_APPEND:
        append(op);
        break;
    case TOPICS_FETCH:
        fetch(op);
        break;
    case TOPICS_INTEREST:
        done->status = sim_topics_interest(op->topics, &op->in.msg.topic_interest, &done->out.head);
        trace_op(op, op->in.msg.topic_interest.topic, done->out.head);
        break;
    case TOPICS_SUBSCRIBE:
    case TOPICS_UNSUBSCRIBE:
        change_set(op);
        break;
    case TOPICS_SUBSCRIPTIONS:
        done->out.set = object_zalloc(sizeof *done->out.set);
        sim_topics_set(op->topics, &op->in.msg.subscriptions, done->out.set);
        trace_op(op, (struct bytes){NULL, 0}, (struct position){0, 0});
        break;
    case TOPICS_CHECK:
        check_all(op);
        break;
    }
    op->carried_out = true;
}

static void free_op_if_over(struct op *op)
{
    if (op->request != NULL || op->mailed || op->travel.place != 0)
        return;
    sim_cancel(op->topics->sim, &op->deadline);
    if (op->carried_out)
        topics_reply_release(&op->done);
    list_remove(&op->node);
    sim_msg_reset(&op->in);
    free(op);
}

static void on_answer(struct mail *mail)
{
    struct op *op = container_of(mail, struct op, mail);
    struct topics_request *request = op->request;
    op->mailed = false;
    op->request = NULL;
    if (request != NULL) {
        request->status = op->status;
        if (op->status == 0) {
            request->out = op->done.out;
            op->carried_out = false;
        }
        topics_reply_finish(request);
    }
    free_op_if_over(op);
}

static void answer(struct op *op, int status)
{
    if (op->request == NULL || op->mailed)
        return;
    sim_cancel(op->topics->sim, &op->deadline);
    op->status = status;
    op->mailed = true;
    op->mail.run = on_answer;
    mailbox_post(op->home, &op->mail);
}

static void on_deadline(struct sim_event *event)
{
    answer(container_of(event, struct op, deadline), PETREL_E_UNAVAILABLE);
}

static void on_way_back(struct sim_event *event)
{
    struct op *op = container_of(event, struct op, travel);
    answer(op, op->done.status);
    free_op_if_over(op);
}

static uint64_t travel_us(struct sim_topics *topics)
{
    bool spike = topics->config.spike_in != 0 && sim_chance(topics->sim, topics->config.spike_in);
    return sim_between(topics->sim, 20, spike ? topics->config.spike_us : topics->config.latency_us);
}

static void on_there(struct sim_event *event)
{
    struct op *op = container_of(event, struct op, travel);
    struct sim_topics *topics = op->topics;
    if (topics->sim->now_us < topics->down_until_us) {
        free_op_if_over(op); /* the deadline answers */
        return;
    }
    carry_out(op);
    bool lost = topics->config.lose_reply_in != 0 && sim_chance(topics->sim, topics->config.lose_reply_in);
    if (op->request != NULL && !op->mailed && !lost)
        sim_at(topics->sim, &op->travel, travel_us(topics), on_way_back);
    free_op_if_over(op);
}

static struct peer_subscribe subscribe_of(const struct topics_subscription *from)
{
    return (struct peer_subscribe){.target = from->device, .topic = from->topic, .position = from->position};
}

/* As the messages of the peer protocol, which know how to travel. */
static void copy_in(struct op *op, const struct topics_request *request)
{
    const struct topics_append *append = &request->in.append;
    const struct topics_fetch *fetch = &request->in.fetch;
    const struct topics_interest *interest = &request->in.interest;
    struct peer_msg msg = {.type = PEER_SUBSCRIPTIONS};
    switch (request->op) {
    case TOPICS_APPEND:
        msg.type = PEER_TOPIC_SEND;
        msg.topic_send = (struct peer_topic_send){.app = append->app,
                                                  .topic = append->topic,
                                                  .condition = append->condition,
                                                  .id = append->id,
                                                  .message = append->message,
                                                  .expires_ms = append->expires_ms};
        break;
    case TOPICS_FETCH:
        msg.type = PEER_TOPIC_FETCH;
        msg.topic_fetch =
            (struct peer_topic_fetch){fetch->app, fetch->topic, fetch->position, fetch->max_entries, fetch->max_bytes};
        break;
    case TOPICS_INTEREST:
        msg.type = PEER_TOPIC_INTEREST;
        msg.topic_interest = (struct peer_topic_interest){interest->app, interest->topic, interest->node,
                                                          interest->incarnation, interest->lease_ms};
        break;
    case TOPICS_SUBSCRIBE:
        msg.type = PEER_SUBSCRIBE;
        msg.subscribe = subscribe_of(&request->in.subscribe);
        break;
    case TOPICS_UNSUBSCRIBE:
        msg.type = PEER_UNSUBSCRIBE;
        msg.subscribe = subscribe_of(&request->in.unsubscribe);
        break;
    case TOPICS_SUBSCRIPTIONS:
        msg.subscriptions = request->in.subscriptions;
        break;
    case TOPICS_CHECK:
        msg.type = PEER_CHECK;
        msg.check = request->in.check;
        break;
    }
    sim_msg_copy(&op->in, &msg);
}

static int submit(struct topics *base, struct topics_request *request)
{
    struct sim_topics *topics = container_of(base, struct sim_topics, base);
    if (request->home->ghost)
        return PETREL_E_CLOSING;
    int err = topics_check(request, &topics->config.limits);
    if (err != 0)
        return err;
    struct op *op = object_zalloc(sizeof *op);
    op->topics = topics;
    op->request = request;
    op->home = request->home;
    op->done.op = request->op;
    copy_in(op, request);
    list_push_back(&topics->ops, &op->node);
    sim_at(topics->sim, &op->travel, travel_us(topics), on_there);
    sim_at(topics->sim, &op->deadline, DEADLINE_US, on_deadline);
    return 0;
}

static void close_nothing(struct topics *base)
{
    (void)base;
}

static const struct topics_ops sim_topics_ops = {
    .name = "sim",
    .submit = submit,
    .close = close_nothing,
};

void sim_topics_hang_up(struct sim_topics *topics, struct loop *home, bool kept)
{
    struct list *node, *next;
    LIST_FOREACH(node, next, &topics->ops)
    {
        struct op *op = container_of(node, struct op, node);
        if (op->home != home)
            continue;
        answer(op, PETREL_E_CLOSING);
        if (op->travel.place != 0 && (op->carried_out || !kept))
            sim_cancel(topics->sim, &op->travel);
    }
}

/* ---- life ---- */

struct sim_topics *sim_topics_new(struct sim *sim, struct sim_book *book, const struct sim_topics_config *config)
{
    struct sim_topics *topics = object_zalloc(sizeof *topics);
    topics->base.ops = &sim_topics_ops;
    topics->sim = sim;
    topics->book = book;
    topics->config = *config;
    topics->epoch = clock_wall_ms(&sim->clock.clock) / 1000;
    list_init(&topics->ops);
    return topics;
}

void sim_topics_free(struct sim_topics **inside)
{
    struct sim_topics *topics = *inside;
    while (!list_empty(&topics->ops)) {
        struct op *op = container_of(topics->ops.next, struct op, node);
        petrel_assert(op->request == NULL && !op->mailed);
        sim_cancel(topics->sim, &op->travel);
        free_op_if_over(op);
    }
    sim_topics_forget_rows(topics, 0);
    free(topics->rows);
    free(topics);
    *inside = NULL;
}

struct topics *sim_topics_port(struct sim_topics *topics)
{
    return &topics->base;
}
