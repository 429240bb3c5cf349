/* session_topics_follow.c: a session that is apart from the loop in a topic comes to be with it, by fetches of its own. */
#include "session/session_topics_follow.h"
#include "base/err.h"
#include "session/session_call.h"
#include "session/session_conn.h"

#include <stdlib.h>

#define BLOCKED_RETRY_MS 10U

static bool same(struct position a, struct position b)
{
    return a.epoch == b.epoch && a.seq == b.seq;
}

void session_topics_follow_tell(struct session *session, struct bytes topic, struct position at,
                                enum session_verdict verdict, uint32_t refused)
{
    const struct session_subscribed told = {.topic = topic, .position = at, .verdict = verdict, .refused = refused};
    session_role_of(session)->out.len = 0;
    session_encode_topic_subscribed(&session_role_of(session)->out, &told);
    session_conn_write(session, bytes_view(&session_role_of(session)->out));
}

struct topic_follow *session_topics_follow_new(struct session_set *set, struct session_topic *topic, struct position at,
                                               bool anew)
{
    struct topic_follow *follow = object_zalloc(sizeof *follow);
    follow->set = set;
    follow->topic = topic;
    follow->at = at;
    /* What a client does not know yet it will be told. */
    follow->told = at.seq;
    follow->anew = anew;
    follow->state = FOLLOW_WAITING;
    topic->followers++;
    set->subscriptions += !topic->is_all;
    list_push_back(&set->follows, &follow->of_set);
    list_push_back(&topic->waiting, &follow->node);
    return follow;
}

static void drop(struct topic_follow *follow)
{
    follow->set->subscriptions -= !follow->topic->is_all;
    list_remove(&follow->of_set);
    list_remove(&follow->node);
    free(follow);
}

void session_topics_follow_end(struct topic_follow *follow)
{
    follow->topic->followers--;
    drop(follow);
}

/* ---- where it stands ---- */

static void move(struct topic_follow *follow, enum follow_state state, struct list *place)
{
    follow->state = (uint8_t)state;
    list_remove(&follow->node);
    if (place != NULL)
        list_push_back(place, &follow->node);
}

/* A PUSH's prev is what everybody with the loop was told, so who comes to be with it is told where that is. */
static void tell_place(struct topic_follow *follow)
{
    if (!follow->anew && follow->told == follow->at.seq)
        return;
    session_topics_follow_tell(follow->set->session, follow->topic->name, follow->at,
                               follow->anew ? SESSION_NEW : SESSION_RESUMED, 0);
    follow->anew = false;
    follow->told = follow->at.seq;
}

static void join_all(struct topic_follow *follow)
{
    struct session_set *set = follow->set;
    set->session->topics |= SESSION_TOPICS_WITH;
    drop(follow); /* it goes on following: the count stays */
    session_topics_set_tidy(set);
}

/* Whether the slice under way has passed it by, so that it needs the item itself. */
static bool passed(const struct topic_follow *follow)
{
    const struct session_topic *topic = follow->topic;
    return topic->is_all && session_topics_slice_item(topic) != NULL && follow->set->slot < topic->slot;
}

/* Whether it has the item that is being sent to the others, and would be sent it again. */
static bool ahead_of_slice(const struct topic_follow *follow, const struct topic_item *item)
{
    return follow->topic->is_all && item != NULL && same(follow->at, item->to) && !passed(follow);
}

static void join(struct topic_follow *follow)
{
    struct session_topic *topic = follow->topic;
    const struct topic_item *item = session_topics_slice_item(topic);
    tell_place(follow);
    if (topic->is_all) {
        join_all(follow);
    } else {
        const bool to_come = item != NULL && same(follow->at, topic->at);
        move(follow, FOLLOW_WITH, to_come ? &topic->unsent : &topic->members);
    }
}

void session_topics_follow_settle(struct topic_follow *follow)
{
    struct session_topic *topic = follow->topic;
    const struct topic_item *item = session_topics_slice_item(topic);
    if (!topic->known) {
        move(follow, FOLLOW_WAITING, &topic->waiting);
        return;
    }
    if (position_is_none(follow->at)) {
        follow->at = topic->at;
        follow->anew = true;
    }
    const bool has_item = item != NULL && same(follow->at, item->to);
    const struct position loop_at = passed(follow) || has_item ? item->to : topic->at;
    if (same(follow->at, loop_at) && !ahead_of_slice(follow, item)) {
        join(follow);
    } else if (session_later(follow->at, topic->at)) {
        tell_place(follow);
        move(follow, FOLLOW_WAITING, &topic->waiting);
        if (session_later(follow->at, topic->tail))
            session_topics_log_check(topic);
    } else {
        move(follow, FOLLOW_LAGS, &topic->topics->lagging);
        session_topics_pump(topic->topics);
    }
}

void session_topics_follow_settle_all(struct session_topic *topic)
{
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &topic->waiting);
    while (!list_empty(&waiting))
        session_topics_follow_settle(container_of(waiting.next, struct topic_follow, node));
}

void session_topics_follow_lag(struct topic_follow *follow)
{
    move(follow, FOLLOW_BLOCKED, NULL);
    metrics_add(session_role_of(follow->set->session)->metrics, METRIC_BEHIND, 1);
    if (!stream_blocked(follow->set->session->stream))
        move(follow, FOLLOW_LAGS, &follow->topic->topics->lagging);
    session_topics_pump(follow->topic->topics);
}

void session_topics_follow_drained(struct session_set *set)
{
    struct list *node, *next;
    LIST_FOREACH(node, next, &set->follows)
    {
        struct topic_follow *follow = container_of(node, struct topic_follow, of_set);
        if (follow->state == FOLLOW_BLOCKED)
            move(follow, FOLLOW_LAGS, &set->topics->lagging);
    }
    session_topics_pump(set->topics);
}

/* ---- its fetch ---- */

static void encode_turn(struct topic_follow *follow, const struct peer_topic_page *page, struct bytebuf *out)
{
    if (page->gap.reason != SESSION_GAP_NONE) {
        follow->at = (struct position){page->position.epoch, page->gap.to};
        const struct session_gap gap = {.log = SESSION_LOG_TOPIC,
                                        .from = page->gap.from,
                                        .to = follow->at,
                                        .lost_at_most = page->gap.lost_at_most,
                                        .reason = page->gap.reason,
                                        .topic = follow->topic->name};
        session_encode_gap(out, &gap);
        metrics_add(follow->topic->topics->role->metrics, METRIC_GAPS, 1);
    } else if (page->position.epoch != follow->at.epoch) {
        follow->at = page->position;
        const struct session_subscribed told = {
            .topic = follow->topic->name, .position = follow->at, .verdict = SESSION_RESUMED};
        session_encode_topic_subscribed(out, &told);
    } else {
        return;
    }
    follow->told = follow->at.seq;
    follow->anew = false;
}

static void encode_entries(struct topic_follow *follow, const struct peer_topic_page *page, struct bytebuf *out)
{
    struct session *session = follow->set->session;
    const uint64_t now_ms = loop_wall_ms(session_role_of(session)->loop);
    for (uint32_t i = 0; i < page->count; i++) {
        const struct peer_topic_entry *entry = &page->entries[i];
        struct condition condition;
        if (entry->seq <= follow->at.seq)
            continue;
        follow->at.seq = entry->seq;
        if (entry->expires_ms <= now_ms || condition_unpack(entry->condition, &condition) != 0 ||
            !session_topics_slice_meets(session, &condition))
            continue;
        session_encode_topic_push(out, follow->topic->name, follow->at, follow->told, buf_bytes(entry->message));
        follow->told = entry->seq;
        metrics_add(session_role_of(session)->metrics, METRIC_PUSHES, 1);
    }
    if (page->upto > follow->at.seq)
        follow->at.seq = page->upto;
}

static void take_page(struct topic_follow *follow, const struct peer_topic_page *page)
{
    struct session *session = follow->set->session;
    struct bytebuf *out = &session_role_of(session)->out;
    const struct position before = follow->at;
    if (follow->anew)
        tell_place(follow);
    out->len = 0;
    encode_turn(follow, page, out);
    encode_entries(follow, page, out);
    if (out->len > 0)
        session_conn_write(session, bytes_view(out));
    if (page->upto >= page->head || same(before, follow->at)) {
        /* As far as the log goes, which the loop may not have heard of. */
        session_topics_follow_settle(follow);
    } else {
        move(follow, FOLLOW_LAGS, &follow->topic->topics->lagging);
    }
}

/* There was no log when the store was asked. One that begins since begins after where the loop was before; but not after where the
 * loop has come to meanwhile: then the store is asked again, from where this one stands. */
static void take_nothing(struct topic_follow *follow)
{
    if (same(follow->loop_at, follow->topic->at)) {
        follow->at = (struct position){0, 0};
        session_topics_follow_settle(follow);
    } else {
        move(follow, FOLLOW_LAGS, &follow->topic->topics->lagging);
    }
}

static void on_fetched(struct link_call *link)
{
    struct session_call *call = session_call_of(link);
    struct session *session = session_call_session(call);
    struct session_topics *topics = call->role->topics;
    const struct peer_topic_fetch *asked = &link->in.topic_fetch;
    struct session_topic *topic = session_topics_log_find(topics, session_identity_target(call->who).app, asked->topic);
    struct session_set *set = session != NULL ? session_topics_set_find(session) : NULL;
    struct topic_follow *follow = set != NULL ? session_topics_set_follow(set, asked->topic) : NULL;
    topics->fetches--;
    session_topics_log_unpin(topic);
    const int status = link->reply.status;
    /* Another one was asked for an earlier subscription, and this one asks for itself. */
    if (follow != NULL && follow->call == call) {
        follow->call = NULL;
        if (status == 0)
            take_page(follow, link->reply.topic_page);
        else if (status == PETREL_E_NOT_FOUND)
            take_nothing(follow);
        else
            move(follow, FOLLOW_LAGS, &topics->lagging);
    }
    if (status != 0 && status != PETREL_E_NOT_FOUND)
        session_topics_failed(topics);
    session_call_give(call);
    session_topics_pump(topics);
}

/* False: not now. */
static bool ask(struct topic_follow *follow)
{
    struct session_topics *topics = follow->topic->topics;
    struct session_call *call = session_call_take(follow->set->session, false);
    call->link.in = (struct peer_msg){.type = PEER_TOPIC_FETCH};
    call->link.in.topic_fetch = (struct peer_topic_fetch){.app = session_identity_target(call->who).app,
                                                          .topic = follow->topic->name,
                                                          .position = follow->at,
                                                          .max_entries = PEER_PAGE_MAX,
                                                          .max_bytes = PEER_PAGE_BYTES};
    move(follow, FOLLOW_ASKS, NULL);
    follow->call = call;
    follow->loop_at = follow->topic->at;
    topics->fetches++;
    follow->topic->pins++;
    if (session_call_ask(call, on_fetched) == 0)
        return true;
    follow->call = NULL;
    topics->fetches--;
    follow->topic->pins--;
    move(follow, FOLLOW_LAGS, &topics->lagging);
    session_topics_failed(topics);
    return false;
}

void session_topics_follow_pump(struct session_topics *topics)
{
    struct list full;
    list_init(&full);
    while (!list_empty(&topics->lagging) && topics->fetches < SESSION_TOPICS_CALLS_MAX && !topics->failing) {
        struct topic_follow *follow = container_of(topics->lagging.next, struct topic_follow, node);
        const struct session *session = follow->set->session;
        if (!session_topics_slice_socket_full(session)) {
            if (!ask(follow))
                break;
        } else if (stream_blocked(session->stream)) {
            move(follow, FOLLOW_BLOCKED, NULL); /* until on_drain */
        } else {
            move(follow, FOLLOW_LAGS, &full); /* the socket may take all of it at the turn's end */
        }
    }
    if (list_empty(&full))
        return;
    list_splice(&topics->lagging, &full);
    if (!timer_running(&topics->retry))
        timer_start(topics->role->loop, &topics->retry, BLOCKED_RETRY_MS, topics->retry.fire);
}
