/* session_topics_log.c: the loop's position in one topic: Delivers that follow on, fetches where they don't, the lease. */
#include "base/err.h"
#include "base/log.h"
#include "session/session_topics_follow.h"

#include <stdlib.h>

static bool same(struct position a, struct position b)
{
    return a.epoch == b.epoch && a.seq == b.seq;
}

static void pin(struct session_topic *topic)
{
    topic->pins++;
    topic->topics->role->calls.under_way++;
}

void session_topics_log_unpin(struct session_topic *topic)
{
    topic->pins--;
}

static void unpin_call(struct session_topic *topic)
{
    struct session_role *role = topic->topics->role;
    topic->pins--;
    role->calls.under_way--;
    session_role_finish_if_idle(role);
}

/* ---- items ---- */

static struct topic_item *add_item(struct session_topic *topic, struct position to)
{
    struct topic_item *item = object_zalloc(sizeof *item);
    item->to = to;
    list_push_back(&topic->items, &item->node);
    topic->items_count++;
    topic->tail = to;
    return item;
}

/* How fast this loop may go, of a pace for all loops of all nodes. */
static uint32_t share_of(const struct session_topic *topic, uint32_t rate)
{
    return rate == 0 ? 0 : rate > topic->share ? rate / topic->share : 1;
}

static void add_entry(struct session_topic *topic, uint64_t seq, uint64_t expires_ms, struct bytes condition,
                      struct bytes message)
{
    const struct position to = {topic->tail.epoch, seq};
    struct condition read;
    if (expires_ms <= loop_wall_ms(topic->topics->role->loop) || condition_unpack(condition, &read) != 0) {
        (void)add_item(topic, to);
        return;
    }
    struct topic_item *item = add_item(topic, to);
    item->message = buf_copy(message);
    item->expires_ms = expires_ms;
    item->per_second = share_of(topic, read.rate);
    if (read.terms_count > 0) {
        item->condition = object_alloc(sizeof *item->condition);
        *item->condition = read;
    }
}

/* Everybody with the loop hears of the log's present epoch, or of what is missing, before the first entry after it. */
static void add_turn(struct session_topic *topic, const struct peer_topic_page *page)
{
    struct bytebuf frame = {0};
    struct position to = page->position;
    if (page->gap.reason != SESSION_GAP_NONE) {
        to = (struct position){page->position.epoch, page->gap.to};
        const struct session_gap gap = {.log = SESSION_LOG_TOPIC,
                                        .from = page->gap.from,
                                        .to = to,
                                        .lost_at_most = page->gap.lost_at_most,
                                        .reason = page->gap.reason,
                                        .topic = topic->name};
        session_encode_gap(&frame, &gap);
        metrics_add(topic->topics->role->metrics, METRIC_GAPS, 1);
    } else {
        const struct session_subscribed told = {.topic = topic->name, .position = to, .verdict = SESSION_RESUMED};
        session_encode_topic_subscribed(&frame, &told);
    }
    add_item(topic, to)->frame = buf_copy(bytes_view(&frame));
    bytes_reset(&frame);
}

/* ---- the loop's fetch ---- */

static void take_page(struct session_topic *topic, const struct peer_topic_page *page)
{
    if (page->gap.reason != SESSION_GAP_NONE || page->position.epoch != topic->tail.epoch)
        add_turn(topic, page);
    for (uint32_t i = 0; i < page->count; i++) {
        const struct peer_topic_entry *entry = &page->entries[i];
        if (entry->seq > topic->tail.seq)
            add_entry(topic, entry->seq, entry->expires_ms, entry->condition, buf_bytes(entry->message));
    }
    if (page->upto > topic->tail.seq)
        (void)add_item(topic, (struct position){topic->tail.epoch, page->upto});
}

static void retry_later(struct session_topic *topic);

static void on_fetched(struct link_call *call)
{
    struct session_topic *topic = container_of(call, struct session_topic, fetch);
    const int status = call->reply.status;
    topic->fetching = false;
    if (status == 0) {
        const struct peer_topic_page *page = call->reply.topic_page;
        const struct position before = topic->tail;
        take_page(topic, page);
        session_topics_slice_begin(topic);
        const bool at_head = page->upto >= page->head;
        /* What was heard of and is in no page that reaches the head is no more: an epoch that was rolled back. */
        if (at_head && !topic->again)
            topic->missed = topic->tail;
        else if (!at_head && session_later((struct position){topic->tail.epoch, page->head}, topic->missed))
            topic->missed = (struct position){topic->tail.epoch, page->head};
        if (!at_head && same(before, topic->tail))
            retry_later(topic);
        topic->again = false;
        session_topics_log_sent(topic);
    } else if (status == PETREL_E_NOT_FOUND && !topic->again) {
        /* There is no log. One that begins is heard of, or found when the lease is renewed. */
        topic->missed = topic->tail;
    } else {
        retry_later(topic);
    }
    unpin_call(topic);
}

static void fetch(struct session_topic *topic)
{
    struct session_topics *topics = topic->topics;
    if (topic->fetching || topics->closing)
        return;
    topic->fetch.in = (struct peer_msg){.type = PEER_TOPIC_FETCH};
    topic->fetch.in.topic_fetch = (struct peer_topic_fetch){.app = topic->app,
                                                            .topic = topic->name,
                                                            .position = topic->tail,
                                                            .max_entries = PEER_PAGE_MAX,
                                                            .max_bytes = PEER_PAGE_BYTES};
    topic->fetching = true;
    topic->again = false;
    pin(topic);
    if (link_ask(topics->role->link, &topic->fetch, on_fetched) == 0)
        return;
    topic->fetching = false;
    unpin_call(topic);
    retry_later(topic);
}

void session_topics_log_sent(struct session_topic *topic)
{
    if (topic->known && session_later(topic->missed, topic->tail) && topic->items_count < SESSION_TOPICS_ITEMS_MAX / 2)
        fetch(topic);
}

/* ---- Delivers ---- */

void session_topics_log_deliver(struct session_topic *topic, const struct peer_topic_news *news)
{
    const uint32_t loops = topic->topics->role->config.loops > 0 ? topic->topics->role->config.loops : 1;
    topic->share = (news->nodes > 0 ? news->nodes : 1) * loops;
    if (topic->known && !session_later(news->position, topic->tail))
        return;
    const bool follows_on = topic->known && news->position.epoch == topic->tail.epoch && news->prev <= topic->tail.seq;
    if (follows_on && !topic->fetching && topic->items_count < SESSION_TOPICS_ITEMS_MAX) {
        add_entry(topic, news->position.seq, news->expires_ms, news->condition, news->message);
        session_topics_slice_begin(topic);
        return;
    }
    topic->again = true;
    if (session_later(news->position, topic->missed))
        topic->missed = news->position;
    session_topics_log_sent(topic);
}

/* ---- the lease, whose renewal is the check ---- */

static void on_renew(struct timer *timer);

static void retry_later(struct session_topic *topic)
{
    if (!topic->topics->closing)
        timer_start(topic->topics->role->loop, &topic->renew, SESSION_TOPICS_RETRY_MS, on_renew);
}

static void take_head(struct session_topic *topic, struct position head)
{
    if (!topic->known) {
        topic->known = true;
        topic->at = topic->tail = head;
        topic->sure = head.seq;
        session_topics_follow_settle_all(topic);
    } else if (head.epoch != topic->tail.epoch || head.seq > topic->tail.seq) {
        /* Older epochs too: the log is what it says it is. */
        topic->missed = head;
        if (head.epoch < topic->tail.epoch)
            fetch(topic);
    }
    session_topics_log_sent(topic);
}

static void on_interested(struct link_call *call)
{
    struct session_topic *topic = container_of(call, struct session_topic, interest);
    struct session_role *role = topic->topics->role;
    topic->asking = false;
    if (topic->topics->closing) {
        unpin_call(topic);
        return;
    }
    if (topic->doubted && call->reply.status == 0) {
        session_topics_log_check(topic);
    } else if (call->reply.status == 0) {
        timer_start(role->loop, &topic->renew, role->config.topic_lease_ms / SESSION_TOPICS_RENEWALS, on_renew);
        take_head(topic, call->reply.topic_head);
    } else {
        retry_later(topic);
    }
    unpin_call(topic);
}

void session_topics_log_check(struct session_topic *topic)
{
    struct session_role *role = topic->topics->role;
    if (topic->asking)
        topic->doubted = true;
    if (topic->asking || topic->topics->closing)
        return;
    topic->doubted = false;
    topic->interest.in = (struct peer_msg){.type = PEER_TOPIC_INTEREST};
    topic->interest.in.topic_interest = (struct peer_topic_interest){.app = topic->app,
                                                                     .topic = topic->name,
                                                                     .node = role->config.node,
                                                                     .incarnation = role->config.incarnation,
                                                                     .lease_ms = role->config.topic_lease_ms};
    topic->asking = true;
    pin(topic);
    if (link_ask(role->link, &topic->interest, on_interested) == 0)
        return;
    topic->asking = false;
    unpin_call(topic);
    retry_later(topic);
}

/* Nobody follows it any more: the lease runs out by itself, which other loops of the node may still need. */
static void on_renew(struct timer *timer)
{
    struct session_topic *topic = container_of(timer, struct session_topic, renew);
    if (topic->followers == 0 && topic->pins == 0 && topic->items_count == 0)
        session_topics_log_free(topic);
    else
        session_topics_log_check(topic);
}

/* ---- life ---- */

#define KEY_MAX (ROUTE_APP_MAX + 1 + PEER_TOPIC_NAME_MAX)

static struct bytes key_of(struct bytes app, struct bytes name, uint8_t out[KEY_MAX])
{
    memcpy(out, app.ptr, app.len);
    out[app.len] = 0;
    memcpy(out + app.len + 1, name.ptr, name.len);
    return bytes_of(out, app.len + 1 + name.len);
}

struct session_topic *session_topics_log_find(const struct session_topics *topics, struct bytes app, struct bytes name)
{
    uint8_t key[KEY_MAX];
    if (app.len > ROUTE_APP_MAX || name.len > PEER_TOPIC_NAME_MAX)
        return NULL;
    struct map_node *node = map_find(&topics->topics, key_of(app, name, key));
    return node != NULL ? container_of(node, struct session_topic, node) : NULL;
}

struct session_topic *session_topics_log_get(struct session_topics *topics, struct bytes app, struct bytes name)
{
    struct session_topic *topic = session_topics_log_find(topics, app, name);
    if (topic != NULL)
        return topic;
    topic = object_zalloc(sizeof *topic + app.len + 1 + name.len);
    (void)key_of(app, name, topic->text);
    topic->topics = topics;
    topic->app = bytes_of(topic->text, app.len);
    topic->name = bytes_of(topic->text + app.len + 1, name.len);
    topic->is_all = bytes_equal_str(name, PEER_TOPIC_ALL);
    topic->share = 1;
    list_init(&topic->busy);
    list_init(&topic->items);
    list_init(&topic->members);
    list_init(&topic->unsent);
    list_init(&topic->waiting);
    map_insert(&topics->topics, &topic->node);
    session_topics_log_check(topic);
    return topic;
}

void session_topics_log_free(struct session_topic *topic)
{
    petrel_assert(topic->pins == 0 && list_empty(&topic->members) && list_empty(&topic->waiting));
    timer_stop(&topic->renew);
    timer_stop(&topic->pace);
    list_remove(&topic->busy);
    for (struct list *node; (node = list_pop_front(&topic->items)) != NULL;)
        session_topics_slice_free_item(container_of(node, struct topic_item, node));
    map_remove(&topic->topics->topics, &topic->node);
    free(topic);
}
