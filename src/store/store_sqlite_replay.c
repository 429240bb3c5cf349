/* Opening: who owns the logs, when the store was started before, and what the journal says happened since the records. */
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/object.h"
#include "store/store_sqlite_private.h"

#include <stdlib.h>

static int read_number(struct store_sqlite *store, const char *key, uint64_t *out)
{
    struct sqlite_stmt *stmt = store->stmts.meta_select;
    sqlite_bind_text(stmt, 1, bytes_str(key));
    int result = sqlite_step(stmt);
    *out = result == 1 ? (uint64_t)sqlite_column_int(stmt, 0) : 0;
    sqlite_reset(stmt);
    return result < 0 ? result : 0;
}

static int write_meta(struct store_sqlite *store, const char *key, const uint64_t *number, struct bytes blob)
{
    struct sqlite_stmt *stmt = store->stmts.meta_upsert;
    sqlite_bind_text(stmt, 1, bytes_str(key));
    if (number != NULL)
        sqlite_bind_int(stmt, 2, (int64_t)*number);
    else
        sqlite_bind_blob(stmt, 2, blob);
    return sqlite_run(stmt);
}

/* The incarnation is the file's, not the process's: a restart forgets nothing. A copy that was put back does. */
static int own(struct store_sqlite *store)
{
    uint64_t incarnation, restored;
    uint64_t now = clock_wall_ms(store->config.clock) / 1000;
    int err = read_number(store, "incarnation", &incarnation);
    if (err == 0)
        err = read_number(store, "restored", &restored);
    if (err != 0)
        return err;
    if (incarnation == 0 || store->config.restored) {
        restored += incarnation != 0;
        incarnation = now > incarnation ? now : incarnation + 1;
        err = write_meta(store, "incarnation", &incarnation, (struct bytes){NULL, 0});
        if (err == 0)
            err = write_meta(store, "restored", &restored, (struct bytes){NULL, 0});
    }
    store->txn.epoch = incarnation;
    return err;
}

static int read_starts(struct store_sqlite *store)
{
    struct sqlite_stmt *stmt = store->stmts.meta_select;
    uint64_t start, now = clock_wall_ms(store->config.clock);
    sqlite_bind_text(stmt, 1, bytes_str("starts"));
    int result = sqlite_step(stmt);
    struct bytes packed = result == 1 ? sqlite_column_blob(stmt, 0) : (struct bytes){NULL, 0};
    size_t count = 0;
    while (count < STORE_SQLITE_STARTS_MAX && bytes_get_varint(&packed, &start) == 0) {
        if (start + store->config.limits.lapse_ms > now && start <= now)
            store->starts[count++] = start;
    }
    sqlite_reset(stmt);
    if (count == STORE_SQLITE_STARTS_MAX)
        memmove(&store->starts[0], &store->starts[1], --count * sizeof store->starts[0]);
    store->starts[count++] = now;
    store->txn.starts = store->starts;
    store->txn.starts_count = count;
    return result < 0 ? result : 0;
}

static int note_start(struct store_sqlite *store)
{
    struct bytebuf packed = {0};
    int err = read_starts(store);
    for (size_t i = 0; i < store->txn.starts_count; i++)
        bytes_put_varint(&packed, store->starts[i]);
    if (err == 0)
        err = write_meta(store, "starts", NULL, bytes_view(&packed));
    bytes_reset(&packed);
    return err;
}

/* A user of the row: its record may include the row already, when the checkpoint came after it. */
struct replayed {
    struct store_user *user;
    bool skip;
};

/* Up to which row the record of a user includes the journal: known when it is loaded, needed until the replay ends. */
struct as_of {
    struct map_node node;
    uint32_t number; /* of the user */
    uint64_t row;
};

static struct bytes as_of_key(const struct map_node *node)
{
    const struct as_of *as_of = container_of(node, const struct as_of, node);
    return bytes_of(&as_of->number, sizeof as_of->number);
}

static int select_user(struct store_sqlite *store, struct map *records, struct bytes key, uint64_t row,
                       struct replayed *out)
{
    uint64_t as_of;
    int err = store_sqlite_user_load(store, key, &out->user, &as_of);
    if (err != 0)
        return err;
    if (as_of != 0) {
        struct as_of *record = object_zalloc(sizeof *record);
        record->number = out->user->number;
        record->row = as_of;
        map_insert(records, &record->node);
    }
    struct map_node *node = map_find(records, bytes_of(&out->user->number, sizeof out->user->number));
    out->skip = node != NULL && container_of(node, struct as_of, node)->row >= row;
    return 0;
}

static int replay_event(struct store_sqlite *store, struct map *records, uint64_t row,
                        const struct journal_event *event, struct replayed *current)
{
    if (event->type == JOURNAL_USER)
        return select_user(store, records, event->user, row, current);
    if (event->type == JOURNAL_KEY) {
        idempotency_put(&store->keys, &event->key, row);
        return 0;
    }
    if (current->user == NULL)
        return PETREL_E_INVALID;
    if (current->skip)
        return 0;
    store_sqlite_user_dirty(store, current->user);
    inbox_state_compact(&current->user->inbox);
    return inbox_state_apply(&current->user->inbox, store->txn.limits, event);
}

static int replay_row(struct store_sqlite *store, struct map *records, uint64_t row, struct bytes events)
{
    struct journal_reader reader;
    struct journal_event event;
    struct replayed current = {0};
    int err = journal_open(&reader, events);
    while (err == 0) {
        int more = journal_next(&reader, &event);
        if (more != 1)
            return more;
        err = replay_event(store, records, row, &event, &current);
        journal_release(&event);
    }
    return err;
}

static int replay_all(struct store_sqlite *store, struct map *records)
{
    struct sqlite_stmt *stmt = store->stmts.journal_select;
    uint64_t rows = 0;
    int result;
    while ((result = sqlite_step(stmt)) == 1) {
        uint64_t row = (uint64_t)sqlite_column_int(stmt, 0);
        struct bytes events = sqlite_column_blob(stmt, 1);
        if (rows++ == 0)
            store->journal_first = row;
        int err = replay_row(store, records, row, events);
        if (err != 0) {
            log_at(LOG_ERROR, "store", "the journal cannot be replayed", LOG_NUM("row", row));
            result = err;
            break;
        }
        store->journal_last = row;
        store->journal_bytes += events.len;
    }
    sqlite_reset(stmt);
    return result;
}

static int replay_journal(struct store_sqlite *store)
{
    struct map records;
    map_init(&records, as_of_key, store->users.seed);
    int err = replay_all(store, &records);
    struct map_node *node;
    while ((node = map_take_any(&records)) != NULL)
        free(container_of(node, struct as_of, node));
    map_reset(&records);
    if (store->journal_first == 0)
        store->journal_first = 1;
    store->txn.now_ms = clock_wall_ms(store->config.clock);
    store_sqlite_user_settle(store);
    return err;
}

int store_sqlite_replay(struct store_sqlite *store)
{
    store->txn.limits = &store->config.limits;
    store->txn.row = &store->row;
    store->txn.before_change = store_sqlite_batch_touch;
    store->swept_ms = store->checkpoint_ms = store->written_ms = clock_mono_ms(store->config.clock);
    int err = sqlite_begin(store->db);
    if (err != 0)
        return err;
    err = own(store);
    if (err == 0)
        err = note_start(store);
    if (err != 0) {
        sqlite_rollback(store->db);
        return err;
    }
    err = sqlite_commit(store->db);
    if (err == 0)
        err = replay_journal(store);
    if (err == 0)
        log_at(LOG_INFO, "store", "open", LOG_STR("file", store->config.path), LOG_NUM("epoch", store->txn.epoch),
               LOG_NUM("journal_bytes", store->journal_bytes), LOG_NUM("users_replayed", store->users.count));
    return err;
}
