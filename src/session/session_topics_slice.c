/* session_topics_slice.c: items on their way to the followers that are with the loop: a bounded number of sessions at a time, so that
 * acks, heartbeats and unicasts go on between them; the items of one topic strictly one after the other. */
#include "session/session_conn.h"
#include "session/session_topics_follow.h"

#include <stdlib.h>

#define SLICE_WRITES 64U   /* sockets that are written to between two looks at the clock */
#define SLICE_VISITS 4096U /* slots that are looked at */
#define SLICE_TURN_MS 3U   /* a turn that has taken so long ends without a further slice */
#define ENTERED_MS 20U     /* other loops come after so long */
#define PACE_MS 20U
#define TOGETHER_BYTES 4096U /* items that wait are sent as one write; one that has so much takes no more */

struct budget {
    uint32_t writes;
    uint32_t visits;
};

bool session_topics_slice_socket_full(const struct session *session)
{
    return stream_queued(session->stream) > session_role_of(session)->config.high_water_bytes;
}

bool session_topics_slice_meets(const struct session *session, const struct condition *condition)
{
    uint8_t follows = 0;
    if (condition == NULL)
        return true;
    const struct session_set *set =
        (session->topics & SESSION_TOPICS_SET) != 0 ? session_topics_set_find(session) : NULL;
    for (uint32_t i = 0; set != NULL && i < condition->topics_count; i++) {
        if (session_topics_set_follow(set, bytes_str(condition->topics[i])) != NULL)
            follows |= (uint8_t)(1U << i);
    }
    return condition_meets(condition, follows);
}

/* False: the socket is full. */
static bool give(struct session *session, struct topic_item *item, struct budget *budget)
{
    if (item->frame == NULL || !session_topics_slice_meets(session, item->condition))
        return true;
    if (session_topics_slice_socket_full(session))
        return false;
    session_conn_share(session, item->frame, &item->in_message);
    metrics_add(session_role_of(session)->metrics, METRIC_PUSHES, item->pushes);
    item->sent++;
    budget->writes--;
    return true;
}

static bool is_of(const struct session *session, const struct session_topic *topic)
{
    return session->state == CONN_LIVE && (session->topics & SESSION_TOPICS_WITH) != 0 &&
           bytes_equal(session_identity_target(session->who).app, topic->app);
}

/* Whether all have been visited. */
static bool visit_slots(struct session_topic *topic, struct topic_item *item, struct budget *budget)
{
    struct session_role *role = topic->topics->role;
    if (item->frame == NULL)
        return true;
    for (; topic->slot < session_table_end(&role->table) && budget->writes > 0 && budget->visits > 0; topic->slot++) {
        struct session *session = session_table_at(&role->table, topic->slot);
        budget->visits--;
        if (session == NULL || !is_of(session, topic) || give(session, item, budget))
            continue;
        /* From before this item on it has a position of its own. */
        session->topics &= SESSION_TOPICS_ALL_BUT(SESSION_TOPICS_WITH);
        topic->followers--;
        struct topic_follow *follow =
            session_topics_follow_new(session_topics_set_get(session), topic, topic->at, false);
        follow->told = topic->sure;
        session_topics_follow_lag(follow);
    }
    return topic->slot >= session_table_end(&role->table);
}

static bool visit_members(struct session_topic *topic, struct topic_item *item, struct budget *budget)
{
    while (!list_empty(&topic->unsent) && budget->writes > 0 && budget->visits > 0) {
        struct topic_follow *follow = container_of(topic->unsent.next, struct topic_follow, node);
        list_remove(&follow->node);
        list_push_back(&topic->members, &follow->node);
        budget->visits--;
        if (follow->at.epoch == item->to.epoch && follow->at.seq == item->to.seq)
            continue; /* it came with it */
        if (!give(follow->set->session, item, budget))
            session_topics_follow_lag(follow);
        else
            follow->at = item->to;
    }
    return list_empty(&topic->unsent);
}

/* ---- one topic ---- */

struct topic_item *session_topics_slice_item(const struct session_topic *topic)
{
    if (list_empty(&topic->items))
        return NULL;
    struct topic_item *item = container_of(topic->items.next, struct topic_item, node);
    return item->began_ms != 0 ? item : NULL;
}

void session_topics_slice_free_item(struct topic_item *item)
{
    buf_unref(item->message);
    buf_unref(item->frame);
    buf_unref(item->in_message);
    free(item->condition);
    free(item);
}

static void drop_item(struct session_topic *topic, struct topic_item *item)
{
    list_remove(&item->node);
    topic->items_count--;
    session_topics_slice_free_item(item);
}

/* What has expired meanwhile is sent to nobody, so that no later one may count on it. */
static void add_frame(const struct session_topic *topic, struct topic_item *item, struct bytebuf *out, uint64_t *sure)
{
    if (item->frame != NULL) {
        const struct bytes frame = buf_bytes(item->frame);
        bytes_append(out, frame.ptr, frame.len);
        *sure = item->to.seq;
    } else if (item->message != NULL && item->expires_ms > loop_wall_ms(topic->topics->role->loop)) {
        session_encode_topic_push(out, topic->name, item->to, *sure, buf_bytes(item->message));
        item->pushes++;
        *sure = item->to.seq;
    }
}

static bool is_for_everybody_at_once(const struct topic_item *item)
{
    return item->condition == NULL && item->per_second == 0;
}

/* Those behind it that go to the same sessions go with it: a write costs much more than the bytes in it. */
static void begin_item(struct session_topic *topic, struct topic_item *item)
{
    struct bytebuf frames = {0};
    item->began_ms = loop_now_ms(topic->topics->role->loop) + 1;
    topic->slot = 0;
    list_splice(&topic->unsent, &topic->members);
    item->sure = topic->sure;
    add_frame(topic, item, &frames, &item->sure);
    while (is_for_everybody_at_once(item) && frames.len < TOGETHER_BYTES && item->node.next != &topic->items) {
        struct topic_item *next = container_of(item->node.next, struct topic_item, node);
        if (!is_for_everybody_at_once(next))
            break;
        item->to = next->to;
        add_frame(topic, next, &frames, &item->sure);
        item->pushes += next->pushes;
        drop_item(topic, next);
    }
    buf_unref(item->message);
    item->message = NULL;
    buf_unref(item->frame);
    item->frame = frames.len > 0 ? buf_copy(bytes_view(&frames)) : NULL;
    bytes_reset(&frames);
}

static void end_item(struct session_topic *topic, struct topic_item *item)
{
    topic->at = item->to;
    if (item->condition == NULL)
        topic->sure = item->sure;
    drop_item(topic, item);
    session_topics_follow_settle_all(topic);
    session_topics_log_sent(topic);
}

static void on_pace(struct timer *timer)
{
    struct session_topic *topic = container_of(timer, struct session_topic, pace);
    session_topics_slice_begin(topic);
}

/* How many the item's pace lets through now. */
static uint32_t allowed(const struct session_topic *topic, const struct topic_item *item)
{
    if (item->per_second == 0)
        return UINT32_MAX;
    const uint64_t now_ms = loop_now_ms(topic->topics->role->loop) + 1;
    const uint64_t due = (now_ms - item->began_ms + PACE_MS) * item->per_second / 1000 + 1;
    return due > item->sent ? (uint32_t)(due - item->sent) : 0;
}

/* Whether more of this topic can go at once. */
static bool slice(struct session_topic *topic, struct budget *budget)
{
    while (!list_empty(&topic->items) && budget->writes > 0 && budget->visits > 0) {
        struct topic_item *item = container_of(topic->items.next, struct topic_item, node);
        if (item->began_ms == 0)
            begin_item(topic, item);
        const uint32_t now = allowed(topic, item);
        struct budget part = *budget;
        part.writes = part.writes < now ? part.writes : now;
        const uint32_t writes = part.writes;
        const bool over = topic->is_all ? visit_slots(topic, item, &part) : visit_members(topic, item, &part);
        budget->writes -= writes - part.writes;
        budget->visits = part.visits;
        if (over) {
            end_item(topic, item);
        } else if (part.writes == 0 && budget->writes > 0) {
            timer_start(topic->topics->role->loop, &topic->pace, PACE_MS, on_pace);
            return false;
        }
    }
    return !list_empty(&topic->items);
}

/* ---- all of them, in turn ---- */

static void leave(struct session_topics *topics)
{
    if (topics->entered)
        turnstile_leave(topics->pass);
    topics->entered = false;
}

/* Whether this loop may send now; else it is called when others have sent. */
static bool enter(struct session_topics *topics)
{
    const uint64_t now_ms = loop_now_ms(topics->role->loop);
    if (topics->pass == NULL)
        return true;
    if (topics->entered && now_ms - topics->entered_ms >= ENTERED_MS && turnstile_is_wanted(topics->pass))
        leave(topics);
    if (!topics->entered && turnstile_enter(topics->pass)) {
        topics->entered = true;
        topics->entered_ms = now_ms;
    }
    return topics->entered;
}

static void on_slice(struct loop_task *task)
{
    struct session_topics *topics = container_of(task, struct session_topics, slice);
    struct loop *loop = topics->role->loop;
    if (!enter(topics))
        return;
    struct budget budget = {SLICE_WRITES, SLICE_VISITS};
    const uint64_t took_ms = clock_mono_ms(loop_clock(loop)) - loop_now_ms(loop);
    struct list *first = took_ms < SLICE_TURN_MS ? list_pop_front(&topics->busy) : NULL;
    if (first != NULL) {
        struct session_topic *topic = container_of(first, struct session_topic, busy);
        if (slice(topic, &budget))
            list_push_back(&topics->busy, &topic->busy);
    }
    if (!list_empty(&topics->busy))
        loop_defer(loop, &topics->slice);
    else
        leave(topics);
}

static void on_let_in(void *ctx)
{
    struct session_topics *topics = ctx;
    topics->entered = true;
    topics->entered_ms = loop_now_ms(topics->role->loop);
    loop_defer(topics->role->loop, &topics->slice);
}

void session_topics_slice_init(struct session_topics *topics)
{
    struct session_role *role = topics->role;
    topics->slice.run = on_slice;
    if (role->config.broadcasts != NULL)
        topics->pass = turnstile_join(role->config.broadcasts, role->loop, on_let_in, topics);
}

void session_topics_slice_stop(struct session_topics *topics)
{
    loop_undefer(&topics->slice);
    turnstile_part(&topics->pass);
    topics->entered = false;
}

void session_topics_slice_begin(struct session_topic *topic)
{
    struct session_topics *topics = topic->topics;
    if (list_empty(&topic->items) || topics->closing)
        return;
    if (list_empty(&topic->busy))
        list_push_back(&topics->busy, &topic->busy);
    loop_defer(topics->role->loop, &topics->slice);
}
