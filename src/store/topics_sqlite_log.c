/* Topic logs: appending, reading, expiry. Trimmed by TTL and cap, never by acks. */
#include "base/err.h"
#include "base/object.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

#define EXPIRE_MAX 64 /* entries in one commit */

static bool valid_name(struct bytes app, struct bytes name)
{
    /* Topic names follow the rules of device names, and are no longer. */
    return route_valid_app(app) && name.len <= TOPICS_NAME_MAX && route_valid_device(name);
}

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
            .base = (uint64_t)sqlite_column_int(stmt, 2),
            .head = (uint64_t)sqlite_column_int(stmt, 3),
            .floor = (uint64_t)sqlite_column_int(stmt, 4),
            .count = (uint32_t)sqlite_column_int(stmt, 5),
            .bytes = (uint64_t)sqlite_column_int(stmt, 6),
        };
    sqlite_reset(stmt);
    return result < 0 ? topics_sqlite_fail(topics, result) : result;
}

static int write_topic(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic)
{
    struct sqlite_stmt *stmt = topics->stmts.topic_update;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)topic->epoch);
    sqlite_bind_int(stmt, 3, (int64_t)topic->base);
    sqlite_bind_int(stmt, 4, (int64_t)topic->head);
    sqlite_bind_int(stmt, 5, (int64_t)topic->floor);
    sqlite_bind_int(stmt, 6, topic->count);
    sqlite_bind_int(stmt, 7, (int64_t)topic->bytes);
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
    int err = sqlite_run(stmt);
    *out = (struct topics_sqlite_topic){
        .id = sqlite_last_rowid(topics->db), .epoch = topics->epoch, .base = head, .head = head, .floor = head};
    return err;
}

int topics_sqlite_log_own(struct topics_sqlite *topics, struct bytes app, struct bytes name,
                          struct topics_sqlite_topic *out)
{
    if (!valid_name(app, name))
        return PETREL_E_INVALID;
    if (topics->refusal != 0)
        return topics->refusal;
    int err = 0;
    int found = topics_sqlite_log_find(topics, app, name, out);
    if (found < 0)
        return found;
    if (found == 0) {
        err = make_topic(topics, app, name, out);
    } else if (out->epoch != topics->epoch) {
        out->epoch = topics->epoch;
        out->base = out->head;
        err = write_topic(topics, out);
    }
    return err == 0 ? 0 : topics_sqlite_fail(topics, err);
}

static int delete_entry(struct topics_sqlite *topics, int64_t id)
{
    sqlite_bind_int(topics->stmts.entry_delete, 1, id);
    return sqlite_run(topics->stmts.entry_delete);
}

/* Drop the oldest until there is room for one more of so many bytes. */
static int make_room(struct topics_sqlite *topics, struct topics_sqlite_topic *topic, uint32_t bytes)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_oldest;
    int err = 0;
    while (err == 0 && topic->count > 0 &&
           (topic->count >= topics->config.cap_entries || topic->bytes + bytes > topics->config.cap_bytes)) {
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
    topic->bytes += append->message->len;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)topic->head);
    sqlite_bind_blob(stmt, 3, bytes_of(append->id.bytes, sizeof append->id.bytes));
    sqlite_bind_int(stmt, 4, (int64_t)append->expires_ms);
    sqlite_bind_text(stmt, 5, append->condition);
    sqlite_bind_blob(stmt, 6, buf_bytes(append->message));
    return sqlite_run(stmt);
}

/* 1: the log holds this id already, at *seq; 0: not; or an error. */
static int find_id(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic, const struct id *id,
                   uint64_t *seq)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_find;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_blob(stmt, 2, bytes_of(id->bytes, sizeof id->bytes));
    int result = sqlite_step(stmt);
    *seq = result == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    return result;
}

static int append_new(struct topics_sqlite *topics, struct topics_sqlite_topic *topic,
                      const struct topics_append *append, struct topics_appended *out)
{
    int err = make_room(topics, topic, append->message->len);
    out->prev = topic->head;
    if (err == 0)
        err = insert_entry(topics, topic, append);
    if (err == 0)
        err = write_topic(topics, topic);
    out->position = (struct position){topic->epoch, topic->head};
    out->nodes_count = topics_sqlite_device_nodes(topics, topic->id, out->nodes);
    return err;
}

int topics_sqlite_log_append(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_append *append = &request->in.append;
    struct topics_sqlite_topic topic;
    uint64_t seq;
    if (append->message->len > topics->config.cap_bytes)
        return PETREL_E_TOO_LARGE;
    int err = topics_sqlite_log_own(topics, append->app, append->topic, &topic);
    if (err != 0)
        return err;
    struct topics_appended *out = object_zalloc(sizeof *out);
    int found = find_id(topics, &topic, &append->id, &seq);
    if (found == 1) {
        out->duplicate = true;
        out->position = (struct position){topic.epoch, seq};
    } else {
        err = found < 0 ? found : append_new(topics, &topic, append, out);
    }
    if (err != 0) {
        free(out);
        return topics_sqlite_fail(topics, err);
    }
    request->out.appended = out;
    return 0;
}

/* Where reading goes on, and what is missing before it. */
static uint64_t judge(const struct topics_sqlite_topic *topic, struct position at, struct peer_gap *gap)
{
    *gap = (struct peer_gap){0};
    if (position_is_none(at))
        return topic->head;
    bool ahead = at.epoch > topic->epoch || (at.epoch == topic->epoch && at.seq > topic->head);
    uint64_t start = at.seq;
    if (ahead || (at.epoch < topic->epoch && at.seq > topic->base)) {
        uint64_t limit = ahead ? topic->head : topic->base;
        start = at.seq < limit ? at.seq : limit;
        *gap = (struct peer_gap){
            .reason = SESSION_GAP_ROLLBACK, .from = at.seq, .to = start, .lost_at_most = at.seq - start};
    }
    if (start < topic->floor) {
        gap->reason = gap->reason == SESSION_GAP_NONE ? SESSION_GAP_TRIMMED : gap->reason;
        gap->from = at.seq;
        gap->to = topic->floor;
        gap->floor = topic->floor;
        gap->lost_at_most += topic->floor - start;
        start = topic->floor;
    }
    return start;
}

static int read_page(struct topics_sqlite *topics, const struct topics_sqlite_topic *topic,
                     const struct topics_fetch *fetch, uint64_t start, struct peer_page *page)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_page;
    uint32_t most = fetch->max_entries < PEER_PAGE_MAX ? fetch->max_entries : PEER_PAGE_MAX;
    uint64_t bytes = 0;
    int result;
    sqlite_bind_int(stmt, 1, topic->id);
    sqlite_bind_int(stmt, 2, (int64_t)start);
    sqlite_bind_int(stmt, 3, (int64_t)topics->now_ms);
    sqlite_bind_int(stmt, 4, PEER_PAGE_MAX + 1);
    page->upto = topic->head;
    while ((result = sqlite_step(stmt)) == 1) {
        struct bytes message = sqlite_column_blob(stmt, 2);
        if (page->count > 0 && (page->count >= most || bytes + message.len > fetch->max_bytes)) {
            page->upto = page->entries[page->count - 1].seq;
            result = 0;
            break;
        }
        bytes += message.len;
        page->entries[page->count++] = (struct peer_entry){.seq = (uint64_t)sqlite_column_int(stmt, 0),
                                                           .expires_ms = (uint64_t)sqlite_column_int(stmt, 1),
                                                           .message = buf_copy(message)};
    }
    sqlite_reset(stmt);
    return result;
}

int topics_sqlite_log_fetch(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_fetch *fetch = &request->in.fetch;
    struct topics_sqlite_topic topic;
    if (!valid_name(fetch->app, fetch->topic))
        return PETREL_E_INVALID;
    int found = topics_sqlite_log_find(topics, fetch->app, fetch->topic, &topic);
    if (found != 1)
        return found == 0 ? PETREL_E_NOT_FOUND : found;
    struct peer_page *page = object_alloc(sizeof *page);
    page->epoch = topic.epoch;
    page->head = topic.head;
    page->count = 0;
    uint64_t start = judge(&topic, fetch->position, &page->gap);
    int err = read_page(topics, &topic, fetch, start, page);
    if (err != 0) {
        for (uint32_t i = 0; i < page->count; i++)
            buf_unref(page->entries[i].message);
        free(page);
        return topics_sqlite_fail(topics, err);
    }
    request->out.page = page;
    return 0;
}

/* 1: removed one; 0: nothing has expired; or an error. */
static int expire_one(struct topics_sqlite *topics)
{
    struct sqlite_stmt *stmt = topics->stmts.entry_expired;
    sqlite_bind_int(stmt, 1, (int64_t)topics->now_ms);
    int result = sqlite_step(stmt);
    int64_t id = result == 1 ? sqlite_column_int(stmt, 0) : 0;
    int64_t topic = result == 1 ? sqlite_column_int(stmt, 1) : 0;
    int64_t bytes = result == 1 ? sqlite_column_int(stmt, 2) : 0;
    sqlite_reset(stmt);
    if (result != 1)
        return result;
    int err = delete_entry(topics, id);
    if (err == 0) {
        sqlite_bind_int(topics->stmts.topic_shrink, 1, topic);
        sqlite_bind_int(topics->stmts.topic_shrink, 2, bytes);
        err = sqlite_run(topics->stmts.topic_shrink);
    }
    return err == 0 ? 1 : err;
}

void topics_sqlite_log_expire(struct topics_sqlite *topics)
{
    int more = 1;
    for (int i = 0; i < EXPIRE_MAX && more == 1; i++)
        more = expire_one(topics);
    if (more < 0)
        topics_sqlite_fail(topics, more);
}
