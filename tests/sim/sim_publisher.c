#include "sim/sim_publisher.h"

#include "sim/sim_store.h"
#include "sim/sim_topics.h"
#include "wire/session.h"

#include <stdlib.h>

#define RETRY_US (20 * SIM_S)

struct sim_publisher {
    struct sim *sim;
    struct sim_book *book;
    struct link *link;
    struct list asks;
    uint32_t busy;
    bool stopped;
};

struct ask {
    struct list node;
    struct sim_publisher *publisher;
    struct link_call call;
    struct sim_event again;
    uint64_t first_us;
    uint32_t item;
    struct condition condition; /* whose present part is asked for */
    struct bytebuf packed;
    struct buf *body; /* NULL: it subscribes */
    char topic[16];
    char user[16];
    char device[16];
};

static void on_done(struct link_call *call);

static void free_ask(struct ask *ask)
{
    ask->publisher->busy--;
    sim_cancel(ask->publisher->sim, &ask->again);
    list_remove(&ask->node);
    bytes_reset(&ask->packed);
    buf_unref(ask->body);
    free(ask);
}

static void submit(struct ask *ask);

static void on_again(struct sim_event *event)
{
    submit(container_of(event, struct ask, again));
}

static void later(struct ask *ask)
{
    struct sim_publisher *publisher = ask->publisher;
    uint64_t wait_us = sim_between(publisher->sim, 100 * SIM_MS, 2 * SIM_S);
    if (publisher->stopped || publisher->sim->now_us + wait_us > ask->first_us + RETRY_US) {
        sim_trace(publisher->sim, "item %u: the publisher gives up, the outcome is unknown", ask->item);
        if (ask->body == NULL)
            publisher->book->news.unsure[sim_topics_device(&ask->call.in.subscribe.target)] = true;
        free_ask(ask);
        return;
    }
    sim_at(publisher->sim, &ask->again, wait_us, on_again);
}

static void submit(struct ask *ask)
{
    if (link_ask(ask->publisher->link, &ask->call, on_done) != 0)
        later(ask);
}

static bool is_unknown(int status)
{
    return status == PETREL_E_UNAVAILABLE || status == PETREL_E_TIMEOUT || status == PETREL_E_BUSY ||
           status == PETREL_E_CLOSING || status == PETREL_E_FULL;
}

/* The log of the present part, and what stands beside the message there. */
static void fill_part(struct ask *ask)
{
    struct condition *condition = &ask->condition;
    if (condition->terms_count > 0) {
        while (!condition_ends_part(condition, condition->term))
            condition->term++;
        const char *log = condition_topic(condition, condition->term);
        sim_news_topic(log != NULL ? sim_news_topic_number(bytes_str(log)) : SIM_TOPIC_ALL, ask->topic);
    }
    ask->packed.len = 0;
    condition_pack(condition, &ask->packed);
    ask->call.in.topic_send.topic = bytes_str(ask->topic);
    ask->call.in.topic_send.condition = bytes_view(&ask->packed);
}

static void on_done(struct link_call *call)
{
    struct ask *ask = container_of(call, struct ask, call);
    int status = call->reply.status;
    if (is_unknown(status)) {
        later(ask);
        return;
    }
    if (status != 0) {
        sim_trace(ask->publisher->sim, "item %u: call %d ends with %s", ask->item, (int)call->in.type,
                  err_name(status));
    } else if (ask->condition.term + 1 < ask->condition.terms_count) {
        ask->condition.term++;
        fill_part(ask);
        submit(ask);
        return;
    } else if (ask->body != NULL) {
        sim_news_accepted(ask->publisher->book, ask->item);
    }
    free_ask(ask);
}

static struct ask *new_ask(struct sim_publisher *publisher)
{
    struct ask *ask = object_zalloc(sizeof *ask);
    ask->publisher = publisher;
    ask->first_us = publisher->sim->now_us;
    list_push_back(&publisher->asks, &ask->node);
    publisher->busy++;
    return ask;
}

static void read_condition(uint32_t number, struct condition *out)
{
    static const char *const texts[SIM_CONDITIONS] = {
        "'t1' in topics && 't2' in topics",
        "'t1' in topics || 't2' in topics",
        "!('t1' in topics)",
        "'t1' in topics && !('t2' in topics || 't3' in topics)",
        "('t1' in topics || 't2' in topics) && 't3' in topics",
        "'t1' in topics && ('t2' in topics || 't3' in topics)",
        "!('t3' in topics) || ('t3' in topics && 't1' in topics)",
    };
    const char *why;
    int rc = condition_parse(bytes_str(texts[number - 1]), out, &why);
    petrel_assert(rc == 0);
}

static struct buf *encode(const struct sim_item *item, const struct sim_publish *publish)
{
    uint8_t body[2048];
    memset(body, 'y', sizeof body);
    const struct session_message encoded = {
        .id = item->id,
        .body = bytes_of(body, publish->bytes < sizeof body ? publish->bytes : sizeof body),
        .sent_ms = item->expires_ms - publish->ttl_ms,
        .expires_ms = item->expires_ms,
    };
    return session_encode_message(&encoded);
}

void sim_publisher_publish(struct sim_publisher *publisher, const struct sim_publish *publish)
{
    struct condition condition = {.rate = publish->rate};
    if (publish->condition > 0)
        read_condition(publish->condition, &condition);
    condition.rate = publish->rate;
    const uint32_t number =
        sim_news_publish(publisher->book, publish->topic, publish->condition > 0 ? &condition : NULL, publish->ttl_ms);
    if (number == SIM_ITEMS_MAX)
        return;
    const struct sim_item *item = &publisher->book->news.items[number];
    struct ask *ask = new_ask(publisher);
    sim_trace(publisher->sim, "item %u: to topic %u, condition %u, rate %u, ttl %llu ms", number, publish->topic,
              publish->condition, publish->rate, (unsigned long long)publish->ttl_ms);
    ask->item = number;
    ask->condition = condition;
    ask->body = encode(item, publish);
    sim_news_topic(publish->topic, ask->topic);
    ask->call.in = (struct peer_msg){.type = PEER_TOPIC_SEND};
    ask->call.in.topic_send = (struct peer_topic_send){
        .app = sim_store_app(), .id = item->id, .message = ask->body, .expires_ms = item->expires_ms};
    fill_part(ask);
    submit(ask);
}

void sim_publisher_subscribe(struct sim_publisher *publisher, uint32_t device, uint32_t topic, bool subscribe)
{
    struct ask *ask = new_ask(publisher);
    sim_trace(publisher->sim, "device %u: a backend %s topic %u", device, subscribe ? "subscribes it to" : "ends its",
              topic);
    sim_news_topic(topic, ask->topic);
    sim_store_user(publisher->book->devices[device].user, ask->user);
    sim_store_device(device, ask->device);
    ask->call.in = (struct peer_msg){.type = subscribe ? PEER_SUBSCRIBE : PEER_UNSUBSCRIBE};
    ask->call.in.subscribe = (struct peer_subscribe){
        .target = {sim_store_app(), bytes_str(ask->user), bytes_str(ask->device)}, .topic = bytes_str(ask->topic)};
    submit(ask);
}

uint32_t sim_publisher_busy(const struct sim_publisher *publisher)
{
    return publisher->busy;
}

void sim_publisher_stop(struct sim_publisher *publisher)
{
    struct list *node, *next;
    publisher->stopped = true;
    LIST_FOREACH(node, next, &publisher->asks)
    {
        struct ask *ask = container_of(node, struct ask, node);
        if (ask->again.place != 0)
            free_ask(ask);
    }
}

struct sim_publisher *sim_publisher_new(struct sim *sim, struct sim_book *book, struct link *link)
{
    struct sim_publisher *publisher = object_zalloc(sizeof *publisher);
    publisher->sim = sim;
    publisher->book = book;
    publisher->link = link;
    list_init(&publisher->asks);
    return publisher;
}

void sim_publisher_free(struct sim_publisher **inside)
{
    petrel_assert((*inside)->busy == 0);
    free(*inside);
    *inside = NULL;
}
