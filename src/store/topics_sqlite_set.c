/* What devices are subscribed to. */
#include "base/err.h"
#include "base/object.h"
#include "store/topics_sqlite_private.h"

#include <stdlib.h>

#define TOUCH_PART 32 /* a set is touched when this part of lapse_ms has passed */

static void bind_device(struct sqlite_stmt *stmt, const struct peer_target *device)
{
    sqlite_bind_text(stmt, 1, device->app);
    sqlite_bind_text(stmt, 2, device->user);
    sqlite_bind_text(stmt, 3, device->device);
}

static int run(struct sqlite_stmt *stmt, const struct peer_target *device)
{
    bind_device(stmt, device);
    return sqlite_run(stmt);
}

/* For checks. version 0: the set holds nothing. */
static void note_version(struct topics_sqlite *topics, const struct peer_target *device, uint64_t version)
{
    topics_versions_set(&topics->versions, topics_versions_hash(&topics->versions, device), version);
}

static int forget(struct topics_sqlite *topics, const struct peer_target *device)
{
    note_version(topics, device, 0);
    int err = run(topics->stmts.sub_delete_all, device);
    return err == 0 ? run(topics->stmts.set_delete, device) : err;
}

/* version 0: there is none, or its time is over. */
static int read_version(struct topics_sqlite *topics, const struct peer_target *device, uint64_t *version,
                        uint64_t *touched_ms)
{
    struct sqlite_stmt *stmt = topics->stmts.set_select;
    bind_device(stmt, device);
    int result = sqlite_step(stmt);
    *version = result == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    *touched_ms = result == 1 ? (uint64_t)sqlite_column_int(stmt, 1) : 0;
    sqlite_reset(stmt);
    if (result < 0)
        return result;
    if (*version == 0 || *touched_ms + topics->config.limits.lapse_ms >= topics->now_ms)
        return 0;
    *version = 0;
    return topics->refusal == 0 ? forget(topics, device) : 0;
}

/* The version is the time of the change or more, so that a set that was forgotten does not come back with another. */
static int write_version(struct topics_sqlite *topics, const struct peer_target *device, uint64_t version)
{
    struct sqlite_stmt *stmt = topics->stmts.set_upsert;
    bind_device(stmt, device);
    sqlite_bind_int(stmt, 4, (int64_t)version);
    sqlite_bind_int(stmt, 5, (int64_t)topics->now_ms);
    return sqlite_run(stmt);
}

static uint64_t next_version(const struct topics_sqlite *topics, uint64_t version)
{
    return version + 1 > topics->now_ms ? version + 1 : topics->now_ms;
}

static int read_all(struct topics_sqlite *topics, const struct peer_target *device, struct topics_set *set)
{
    struct sqlite_stmt *stmt = topics->stmts.sub_all;
    int result;
    bind_device(stmt, device);
    while ((result = sqlite_step(stmt)) == 1 && set->count < TOPICS_PER_DEVICE_MAX) {
        struct bytes name = sqlite_column_text(stmt, 0);
        petrel_assert(name.len <= TOPICS_NAME_MAX);
        memcpy(set->all[set->count].topic, name.ptr, name.len);
        set->all[set->count++].position =
            (struct position){(uint64_t)sqlite_column_int(stmt, 1), (uint64_t)sqlite_column_int(stmt, 2)};
    }
    sqlite_reset(stmt);
    return result < 0 ? result : 0;
}

static int insert(struct topics_sqlite *topics, const struct topics_subscription *wanted)
{
    struct sqlite_stmt *stmt = topics->stmts.sub_insert;
    bind_device(stmt, &wanted->device);
    sqlite_bind_text(stmt, 4, wanted->topic);
    sqlite_bind_int(stmt, 5, (int64_t)wanted->position.epoch);
    sqlite_bind_int(stmt, 6, (int64_t)wanted->position.seq);
    return sqlite_run(stmt);
}

/* 0; TOO_LARGE; or an error of SQLite's. */
static int add(struct topics_sqlite *topics, const struct topics_subscription *wanted, const struct topics_set *set,
               struct topics_subscribed *out)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (bytes_equal_str(wanted->topic, set->all[i].topic)) {
            *out = (struct topics_subscribed){set->all[i].position, set->version, set->version};
            return 0;
        }
    }
    if (set->count >= topics->config.limits.per_device)
        return PETREL_E_TOO_LARGE;
    *out = (struct topics_subscribed){wanted->position, next_version(topics, set->version),
                                      set->count > 0 ? set->version : 0};
    note_version(topics, &wanted->device, out->version);
    int err = insert(topics, wanted);
    return err == 0 ? write_version(topics, &wanted->device, out->version) : err;
}

int topics_sqlite_set_subscribe(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_subscription *wanted = &request->in.subscribe;
    struct topics_set *set = object_zalloc(sizeof *set);
    uint64_t touched_ms;
    int err = topics->refusal;
    if (err != 0) {
        free(set);
        return err;
    }
    err = read_version(topics, &wanted->device, &set->version, &touched_ms);
    if (err == 0)
        err = read_all(topics, &wanted->device, set);
    if (err == 0)
        err = add(topics, wanted, set, &request->out.subscribed);
    free(set);
    return err == 0 || err == PETREL_E_TOO_LARGE ? err : topics_sqlite_fail(topics, err);
}

/* 1: it was the last; 0; or an error of SQLite's. */
static int is_empty(struct topics_sqlite *topics, const struct peer_target *device)
{
    struct sqlite_stmt *stmt = topics->stmts.sub_any;
    bind_device(stmt, device);
    int result = sqlite_step(stmt);
    sqlite_reset(stmt);
    return result < 0 ? result : result == 0;
}

/* Of what is not subscribed to is 0. */
static int take_away(struct topics_sqlite *topics, const struct topics_subscription *wanted,
                     struct topics_subscribed *out)
{
    struct sqlite_stmt *stmt = topics->stmts.sub_delete;
    bind_device(stmt, &wanted->device);
    sqlite_bind_text(stmt, 4, wanted->topic);
    int err = sqlite_run(stmt);
    const bool was_there = err == 0 && sqlite_changes(topics->db) > 0;
    const int empty = err == 0 ? is_empty(topics, &wanted->device) : err;
    if (empty < 0)
        return empty;
    out->prev = was_there || !empty ? out->version : 0;
    if (!was_there)
        return 0;
    out->version = next_version(topics, out->version);
    note_version(topics, &wanted->device, empty ? 0 : out->version);
    return write_version(topics, &wanted->device, out->version);
}

int topics_sqlite_set_unsubscribe(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct topics_subscription *wanted = &request->in.unsubscribe;
    struct topics_subscribed *out = &request->out.subscribed;
    uint64_t touched_ms;
    int err;
    *out = (struct topics_subscribed){.version = 0};
    if (topics->refusal != 0)
        return topics->refusal;
    if (wanted->topic.ptr == NULL) {
        err = forget(topics, &wanted->device);
    } else {
        err = read_version(topics, &wanted->device, &out->version, &touched_ms);
        err = err == 0 ? take_away(topics, wanted, out) : err;
    }
    return err == 0 ? 0 : topics_sqlite_fail(topics, err);
}

int topics_sqlite_set_read(struct topics_sqlite *topics, struct topics_request *request)
{
    const struct peer_target *device = &request->in.subscriptions;
    struct topics_set *set = object_zalloc(sizeof *set);
    uint64_t touched_ms;
    int err = read_version(topics, device, &set->version, &touched_ms);
    if (err == 0 && set->version != 0)
        err = read_all(topics, device, set);
    bool is_old = set->version != 0 && touched_ms + topics->config.limits.lapse_ms / TOUCH_PART < topics->now_ms;
    if (err == 0 && is_old && topics->refusal == 0)
        err = write_version(topics, device, set->version);
    if (err != 0) {
        free(set);
        return topics_sqlite_fail(topics, err);
    }
    request->out.set = set;
    return 0;
}

void topics_sqlite_set_expire(struct topics_sqlite *topics)
{
    struct sqlite_stmt *stmt = topics->stmts.set_over;
    uint64_t lapse = topics->config.limits.lapse_ms;
    uint8_t names[ROUTE_APP_MAX + ROUTE_USER_MAX + ROUTE_DEVICE_MAX], *at = names;
    struct bytes part[3];
    sqlite_bind_int(stmt, 1, (int64_t)(topics->now_ms > lapse ? topics->now_ms - lapse : 0));
    int result = sqlite_step(stmt);
    for (int i = 0; i < 3 && result == 1; i++) {
        struct bytes text = sqlite_column_text(stmt, i);
        memcpy(at, text.ptr, text.len);
        part[i] = bytes_of(at, text.len);
        at += text.len;
    }
    sqlite_reset(stmt);
    if (result == 1)
        result = forget(topics, &(struct peer_target){.app = part[0], .user = part[1], .device = part[2]});
    if (result < 0)
        topics_sqlite_fail(topics, result);
}
