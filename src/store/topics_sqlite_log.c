/* Topic logs: appending, reading, expiry. Trimmed by TTL and cap, never by acks. */
#include "base/err.h"
#include "base/object.h"
#include "store/topics_reply.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

#define TOUCH_PART 64 /* a topic is touched when this part of keep_ms has passed */

int topics_sqlite_log_find(struct topics_sqlite *topics, struct bytes app, struct bytes name,
                           struct topics_sqlite_topic *out)
{
    struct sqlite_stmt *stmt = topics->stmts.topic_select;
    sqlite_bind_text(stmt, 1, app);
    sqlite_bind_text(stmt, 2, name);
    int result = sqlite_step(stmt);
    if (result == 1)
        *out = (struct topics_sqlite_topic){
            .id = sqlite_column_int(stmt, 0),
            .epoch = (uint64_t)sqlite_column_int(stmt, 1),
            .birth = (uint64_t)sqlite_column_int(stmt, 2),
            .head = (uint64_t)sqlite_column_int(stmt, 3),
            .floor = (uint64_t)sqlite_column_int(stmt, 4),
            .count = (uint32_t)sqlite_column_int(stmt, 5),
            .bytes = (uint64_t)sqlite_column_int(stmt, 6),
            .ids = (uint32_t)sqlite_column_int(stmt, 7),
            .touched_ms = (uint64_t)sqlite_column_int(stmt, 8),
        };
    sqlite_reset(stmt);
    return result < 0 ? topics_sqlite_fail(topics, result) : result;
}

static int write_topic(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic)
{
    struct sqlite_stmt *stmt = topics->stmts.topic_update;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)topic->epoch);
    sqlite_bind_int(stmt, 3, (int64_t)topic->head);
    sqlite_bind_int(stmt, 4, (int64_t)topic->floor);
    sqlite_bind_int(stmt, 5, topic->count);
    sqlite_bind_int(stmt, 6, (int64_t)topic->bytes);
    sqlite_bind_int(stmt, 7, topic->ids);
    sqlite_bind_int(stmt, 8, (int64_t)topic->touched_ms);
    return sqlite_run(stmt);
}

static int write_epoch(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic)
{
    struct sqlite_stmt *stmt = topics->stmts.epoch_insert;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)topic->epoch);
    sqlite_bind_int(stmt, 3, (int64_t)topic->head);
    return sqlite_run(stmt);
}

static int make_topic(struct topics_sqlite *topics, struct bytes app, struct bytes name,
                      struct topics_sqlite_topic *out)
{
    struct sqlite_stmt *stmt = topics->stmts.topic_insert;
    uint64_t head = topics->now_ms * 1000;
    sqlite_bind_text(stmt, 1, app);
    sqlite_bind_text(stmt, 2, name);
    sqlite_bind_int(stmt, 3, (int64_t)topics->epoch);
    sqlite_bind_int(stmt, 4, (int64_t)head);
    sqlite_bind_int(stmt, 5, (int64_t)topics->now_ms);
    int err = sqlite_run(stmt);
    *out = (struct topics_sqlite_topic){.id = sqlite_last_rowid(topics->db),
                                        .epoch = topics->epoch,
                                        .birth = head,
                                        .head = head,
                                        .floor = head,
                                        .touched_ms = topics->now_ms};
    return err == 0 ? write_epoch(topics, out) : err;
}

int topics_sqlite_log_own(struct topics_sqlite *topics, struct topics_sqlite_topic *topic)
{
    bool is_taken = topic->epoch != topics->epoch;
    int err = 0;
    if (!is_taken && topic->touched_ms + topics->config.limits.keep_ms / TOUCH_PART >= topics->now_ms)
        return 0;
    topic->epoch = topics->epoch;
    topic->touched_ms = topics->now_ms;
    if (is_taken)
        err = write_epoch(topics, topic);
    if (err == 0)
        err = write_topic(topics, topic);
    return err == 0 ? 0 : topics_sqlite_fail(topics, err);
}

static int delete_entry(struct topics_sqlite *topics, int64_t id)
{
    sqlite_bind_int(topics->stmts.entry_delete, 1, id);
    return sqlite_run(topics->stmts.entry_delete);
}

/* Drop the oldest until there is room for one more of so many bytes. */
static int make_room(struct topics_sqlite *topics, struct topics_sqlite_topic *topic, uint64_t bytes)
{
    const struct topics_limits *limits = &topics->config.limits;
    struct sqlite_stmt *stmt = topics->stmts.entry_oldest;
    int err = 0;
    while (err == 0 && topic->count > 0 &&
           (topic->count >= limits->cap_entries || topic->bytes + bytes > limits->cap_bytes)) {
        sqlite_bind_int(stmt, 1, topic->id);
        err = sqlite_step(stmt);
        petrel_assert(err != 0); /* count says that there is one */
        if (err < 0) {
            sqlite_reset(stmt);
            break;
        }
        int64_t id = sqlite_column_int(stmt, 0);
        topic->floor = (uint64_t)sqlite_column_int(stmt, 1);
        topic->bytes -= (uint64_t)sqlite_column_int(stmt, 2);
        topic->count--;
        sqlite_reset(stmt);
        err = delete_entry(topics, id);
    }
    return err;
}

static int insert_entry(struct topics_sqlite *topics, struct topics_sqlite_topic *topic,
                        const struct topics_append *append)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_insert;
    topic->head++;
    topic->count++;
    topic->bytes += append->message->len + append->condition.len;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)topic->head);
    sqlite_bind_int(stmt, 3, (int64_t)append->expires_ms);
    sqlite_bind_blob(stmt, 4, append->condition.len > 0 ? append->condition : (struct bytes){NULL, 0});
    sqlite_bind_blob(stmt, 5, buf_bytes(append->message));
    return sqlite_run(stmt);
}

/* 1: the id is remembered, for the entry at *seq; 0: not; CONFLICT; or an error. */
static int find_id(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic,
                   const struct topics_append *append, uint64_t *seq)
{
    struct sqlite_stmt *stmt = topics->stmts.id_find;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_blob(stmt, 2, bytes_of(append->id.bytes, sizeof append->id.bytes));
    sqlite_bind_int(stmt, 3, (int64_t)topics->now_ms);
    int result = sqlite_step(stmt);
    *seq = result == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    if (result == 1 && append->has_key && (uint64_t)sqlite_column_int(stmt, 1) != append->body_hash)
        result = PETREL_E_CONFLICT;
    sqlite_reset(stmt);
    return result;
}

/* In place of one of the same id whose time is over, if that is still there. */
static int remember_id(struct topics_sqlite *topics, struct topics_sqlite_topic *topic,
                       const struct topics_append *append)
{
    struct sqlite_stmt *remove = topics->stmts.id_delete, *insert = topics->stmts.id_insert;
    struct bytes id = bytes_of(append->id.bytes, sizeof append->id.bytes);
    sqlite_bind_int(remove, 1, topic->id);
    sqlite_bind_blob(remove, 2, id);
    int err = sqlite_run(remove);
    if (err != 0)
        return err;
    topic->ids += sqlite_changes(topics->db) > 0 ? 0 : 1;
    sqlite_bind_int(insert, 1, topic->id);
    sqlite_bind_blob(insert, 2, id);
    sqlite_bind_int(insert, 3, (int64_t)topic->head);
    uint64_t recent_until = topics->now_ms + topics->config.limits.recent_ms;
    sqlite_bind_int(insert, 4, (int64_t)(append->has_key ? append->key_expires_ms : recent_until));
    sqlite_bind_int(insert, 5, append->has_key ? (int64_t)append->body_hash : 0);
    return sqlite_run(insert);
}

static int append_new(struct topics_sqlite *topics, struct topics_sqlite_topic *topic,
                      const struct topics_append *append)
{
    int err = make_room(topics, topic, append->message->len + append->condition.len);
    if (err == 0)
        err = insert_entry(topics, topic, append);
    if (err == 0)
        err = remember_id(topics, topic, append);
    return err == 0 ? write_topic(topics, topic) : err;
}

static int find_or_make(struct topics_sqlite *topics, const struct topics_append *append,
                        struct topics_sqlite_topic *topic)
{
    int found = topics_sqlite_log_find(topics, append->app, append->topic, topic);
    if (found < 0)
        return found;
    if (found == 1)
        return topics_sqlite_log_own(topics, topic);
    int err = make_topic(topics, append->app, append->topic, topic);
    return err == 0 ? 0 : topics_sqlite_fail(topics, err);
}

int topics_sqlite_log_append(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_append *append = &request->in.append;
    struct topics_sqlite_topic topic;
    uint64_t seq;
    if (topics->refusal != 0)
        return topics->refusal;
    int err = find_or_make(topics, append, &topic);
    if (err != 0)
        return err;
    int found = find_id(topics, &topic, append, &seq);
    if (found == PETREL_E_CONFLICT)
        return found;
    if (found == 0 && topic.ids >= topics->config.limits.recent_ids)
        return PETREL_E_RATE_LIMITED;
    if (found != 1)
        err = found < 0 ? found : append_new(topics, &topic, append);
    if (err != 0)
        return topics_sqlite_fail(topics, err);
    struct topics_appended *out = object_zalloc(sizeof *out);
    out->duplicate = found == 1;
    out->position = (struct position){topic.epoch, found == 1 ? seq : topic.head};
    out->prev = out->position.seq - 1; /* seq grows by one, whatever epoch it is */
    out->nodes_count = topics_sqlite_lease_nodes(topics, append->app, append->topic, out->nodes);
    request->out.appended = out;
    return 0;
}

/* The seq up to which a position of an older epoch still counts: the base of the first epoch after it. */
static int base_after(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic, uint64_t epoch,
                      uint64_t *base)
{
    struct sqlite_stmt *stmt = topics->stmts.epoch_after;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)epoch);
    int result = sqlite_step(stmt);
    *base = result == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : topic->head;
    sqlite_reset(stmt);
    return result < 0 ? result : 0;
}

/* Where reading goes on, and what is missing before it. */
static int judge(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic, struct position at,
                 struct topics_page *page)
{
    struct peer_gap *gap = &page->gap;
    uint64_t from = at.seq == 0 ? topic->birth : at.seq, start = from, limit;
    page->verdict = SESSION_NEW;
    page->position = (struct position){topic->epoch, topic->head};
    if (position_is_none(at))
        return 0;
    bool ahead = at.epoch > topic->epoch || (at.epoch == topic->epoch && from > topic->head);
    int err = base_after(topics, topic, at.epoch, &limit);
    if (err != 0)
        return err;
    if (ahead || start > limit) {
        limit = ahead ? topic->head : limit;
        start = start < limit ? start : limit;
        gap->reason = SESSION_GAP_ROLLBACK;
        gap->lost_at_most = from - start;
    }
    if (start < topic->floor) {
        gap->reason = gap->reason == SESSION_GAP_NONE ? SESSION_GAP_TRIMMED : gap->reason;
        gap->lost_at_most += topic->floor - start;
        start = topic->floor;
    }
    page->verdict = gap->reason == SESSION_GAP_NONE ? SESSION_RESUMED : SESSION_GAPPED;
    page->position.seq = start;
    if (gap->reason == SESSION_GAP_NONE)
        return 0;
    gap->from = from;
    gap->to = start;
    gap->floor = start;
    return 0;
}

static int read_page(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic,
                     const struct topics_fetch *fetch, struct topics_page *page)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_page;
    uint32_t most = fetch->max_entries < PEER_PAGE_MAX ? fetch->max_entries : PEER_PAGE_MAX;
    uint64_t bytes = 0;
    int result;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)page->position.seq);
    sqlite_bind_int(stmt, 3, (int64_t)topics->now_ms);
    sqlite_bind_int(stmt, 4, PEER_PAGE_MAX + 1);
    page->upto = topic->head;
    while ((result = sqlite_step(stmt)) == 1) {
        struct bytes condition = sqlite_column_blob(stmt, 2), message = sqlite_column_blob(stmt, 3);
        /* A page is never empty while something waits, or its reader would ask for ever. */
        if (page->count > 0 && (page->count >= most || bytes + message.len + condition.len > fetch->max_bytes)) {
            page->upto = page->entries[page->count - 1].seq;
            result = 0;
            break;
        }
        bytes += message.len + condition.len;
        topics_reply_add(page, (uint64_t)sqlite_column_int(stmt, 0), (uint64_t)sqlite_column_int(stmt, 1), message,
                         condition);
    }
    sqlite_reset(stmt);
    return result;
}

int topics_sqlite_log_fetch(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_fetch *fetch = &request->in.fetch;
    struct topics_sqlite_topic topic;
    int found = topics_sqlite_log_find(topics, fetch->app, fetch->topic, &topic);
    if (found != 1)
        return found == 0 ? PETREL_E_NOT_FOUND : found;
    struct topics_page *page = topics_reply_page();
    page->head = topic.head;
    int err = judge(topics, &topic, fetch->position, page);
    if (err == 0)
        err = read_page(topics, &topic, fetch, page);
    request->out.page = page;
    if (err == 0)
        return 0;
    request->status = 0;
    topics_reply_release(request);
    return topics_sqlite_fail(topics, err);
}

/* 1: removed one; 0: nothing has expired; or an error. */
static int expire_entry(struct topics_sqlite *topics)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_expired, *shrink = topics->stmts.topic_shrink;
    sqlite_bind_int(stmt, 1, (int64_t)topics->now_ms);
    int result = sqlite_step(stmt);
    int64_t id = result == 1 ? sqlite_column_int(stmt, 0) : 0;
    int64_t topic = result == 1 ? sqlite_column_int(stmt, 1) : 0;
    int64_t bytes = result == 1 ? sqlite_column_int(stmt, 2) : 0;
    sqlite_reset(stmt);
    if (result != 1)
        return result;
    sqlite_bind_int(shrink, 1, topic);
    sqlite_bind_int(shrink, 2, bytes);
    int err = delete_entry(topics, id);
    if (err == 0)
        err = sqlite_run(shrink);
    return err == 0 ? 1 : err;
}

/* The same of an id. */
static int expire_id(struct topics_sqlite *topics)
{
    struct sqlite_stmt *stmt = topics->stmts.id_over, *remove = topics->stmts.id_delete;
    struct sqlite_stmt *forget = topics->stmts.topic_forget;
    struct id id = {0};
    sqlite_bind_int(stmt, 1, (int64_t)topics->now_ms);
    int result = sqlite_step(stmt);
    int64_t topic = result == 1 ? sqlite_column_int(stmt, 0) : 0;
    struct bytes raw = result == 1 ? sqlite_column_blob(stmt, 1) : (struct bytes){NULL, 0};
    if (raw.len == sizeof id.bytes)
        memcpy(id.bytes, raw.ptr, raw.len);
    sqlite_reset(stmt);
    if (result != 1)
        return result;
    sqlite_bind_int(remove, 1, topic);
    sqlite_bind_blob(remove, 2, bytes_of(id.bytes, sizeof id.bytes));
    sqlite_bind_int(forget, 1, topic);
    int err = sqlite_run(remove);
    if (err == 0)
        err = sqlite_run(forget);
    return err == 0 ? 1 : err;
}

/* The same of a topic that is of use no more. */
static int expire_topic(struct topics_sqlite *topics)
{
    struct sqlite_stmt *stmt = topics->stmts.topic_idle;
    struct sqlite_stmt *const removes[] = {topics->stmts.epoch_delete, topics->stmts.id_delete_all,
                                           topics->stmts.topic_delete};
    uint64_t keep = topics->config.limits.keep_ms;
    sqlite_bind_int(stmt, 1, (int64_t)(topics->now_ms > keep ? topics->now_ms - keep : 0));
    int result = sqlite_step(stmt);
    int64_t topic = result == 1 ? sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    for (size_t i = 0; i < sizeof removes / sizeof removes[0] && result == 1; i++) {
        sqlite_bind_int(removes[i], 1, topic);
        int err = sqlite_run(removes[i]);
        result = err == 0 ? 1 : err;
    }
    return result;
}

void topics_sqlite_log_expire(struct topics_sqlite *topics, uint32_t most)
{
    int more = 1;
    for (uint32_t i = 0; i < most && more == 1; i++)
        more = expire_entry(topics);
    more = more < 0 ? more : 1;
    for (uint32_t i = 0; i < most && more == 1; i++)
        more = expire_id(topics);
    if (more >= 0)
        more = expire_topic(topics);
    if (more < 0)
        topics_sqlite_fail(topics, more);
}
