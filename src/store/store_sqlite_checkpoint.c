/* The checkpoint: what is dirty at its mark is written to the tables, then the journal before the mark is dropped. In slices
 * inside the commits that happen anyway: at once it would stall them for the better part of a second. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/inbox_pack.h"
#include "store/store_sqlite_private.h"

/* While nothing is written, a second after what was: a journal of this share of checkpoint_bytes; any, so long after the last checkpoint. */
#define CALM_MS 1000
#define CALM_SHARE 8
#define QUIET_MS 60000
/* A slice takes no longer than this, and while operations come, so that their commits do not become long, no more users for each commit. */
#define SLICE_US 3000
#define SLICE_USERS 64 /* beside one for each operation */
#define IDLE_USERS 8192
#define LOOK_USERS 16            /* at the stopwatch */
#define SLICE_BYTES (512 * 1024) /* of records */
#define SLICE_KEYS 256
#define SLICE_ROWS 32
#define LOW_JOURNAL_BYTES 65536 /* with a nearly full disk a checkpoint is worth it for so much */
#define SHRINK_PAGES 512
#define DUE_STEP_MS 60000 /* due times are rounded up to this, so that the index moves seldom */

/* Reads are no reason to wait: a million idle sessions bring some each second. */
static bool is_calm(const struct store_sqlite *store)
{
    const uint64_t now = clock_mono_ms(store->config.clock);
    if (now - store->written_ms < CALM_MS)
        return false;
    if (store->journal_bytes >= store->config.checkpoint_bytes / CALM_SHARE)
        return true;
    return now - store->checkpoint_ms >= QUIET_MS && user_index_next(&store->users, USER_DIRTY, 0) != USER_INDEX_NONE;
}

void store_sqlite_checkpoint_consider(struct store_sqlite *store)
{
    if (store->phase != CHECKPOINT_NONE || store->trouble != 0)
        return;
    bool low = store->low && store->journal_bytes >= LOW_JOURNAL_BYTES;
    if (store->journal_bytes < store->config.checkpoint_bytes && !low && !is_calm(store))
        return;
    store->phase = CHECKPOINT_ORDER;
    store->mark = store->journal_last;
    store->mark_bytes = store->journal_bytes;
    store->is_ordered = false;
    store->written_from = store->written_end = (struct user_order_place){0, 0};
    user_index_swap(&store->users, USER_DIRTY, USER_PENDING);
    user_order_begin(&store->order, &store->users, USER_PENDING);
}

/* As it is awake, with what time has taken away left out. */
static struct bytes pack(struct store_sqlite *store, struct store_user *user, uint64_t *due_ms)
{
    struct bytebuf *record = &store->record;
    record->len = 0;
    if (!inbox_state_exists(&user->inbox))
        return (struct bytes){NULL, 0};
    *due_ms = inbox_due_ms(&store->txn, &user->inbox);
    inbox_state_prune(&user->inbox, store->txn.limits, store->txn.now_ms);
    inbox_pack(record, &user->inbox);
    return bytes_view(record);
}

/* Most are at rest, and their record lies ready. */
static int write_user(struct store_sqlite *store, uint32_t number, uint64_t as_of, size_t *bytes)
{
    struct sqlite_stmt *stmt = store->stmts.user_delete;
    struct bytes record;
    uint64_t due_ms;
    void *form = user_index_form(&store->users, number);
    if (!store_sqlite_rest_record(form, &record, &due_ms)) {
        form = store_sqlite_user_wake(store, number);
        record = pack(store, form, &due_ms);
    }
    if (record.ptr != NULL) {
        stmt = store->stmts.user_upsert;
        sqlite_bind_int(stmt, 2, (int64_t)as_of);
        if (due_ms < INT64_MAX)
            sqlite_bind_int(stmt, 3, (int64_t)((due_ms / DUE_STEP_MS + 1) * DUE_STEP_MS));
        sqlite_bind_blob(stmt, 4, record);
        *bytes += record.len;
    }
    sqlite_bind_blob(stmt, 1, store_sqlite_rest_key(form));
    return sqlite_run(stmt);
}

/* Users by their keys, so that each page of the table's index is written once, not in one slice after the other. */
static void order_users(struct store_sqlite *store, uint32_t most, uint64_t until_us)
{
    for (uint32_t i = 0; i < most && !store->is_ordered && clock_stopwatch_us() < until_us; i++)
        store->is_ordered = !user_order_collect(&store->order, LOOK_USERS);
}

static bool is_at(const struct user_order_place *one, const struct user_order_place *other)
{
    return one->bucket == other->bucket && one->at == other->at;
}

/* They stay pending until the commit is durable. */
static int write_users(struct store_sqlite *store, uint64_t as_of, uint32_t most, uint64_t until_us)
{
    size_t bytes = 0;
    struct user_order_place place = store->written_from;
    for (uint32_t i = 0; i < most && bytes < SLICE_BYTES; i++) {
        if (i % LOOK_USERS == LOOK_USERS - 1 && clock_stopwatch_us() >= until_us)
            break;
        const uint32_t number = user_order_next(&store->order, &place);
        if (number == USER_INDEX_NONE)
            break;
        int err = write_user(store, number, as_of, &bytes);
        if (err != 0)
            return err;
        store->written_end = place;
    }
    return 0;
}

static int write_keys(struct store_sqlite *store)
{
    struct sqlite_stmt *stmt = store->stmts.key_upsert;
    const struct idempotency_entry *place = NULL;
    const struct journal_key *key;
    for (int i = 0; i < SLICE_KEYS; i++) {
        key = idempotency_next(&store->keys, &place, store->mark);
        if (key == NULL)
            break;
        sqlite_bind_blob(stmt, 1, bytes_of(key->digest, sizeof key->digest));
        sqlite_bind_int(stmt, 2, (int64_t)key->body_hash);
        sqlite_bind_blob(stmt, 3, bytes_of(key->id.bytes, sizeof key->id.bytes));
        sqlite_bind_int(stmt, 4, (int64_t)key->epoch);
        sqlite_bind_int(stmt, 5, (int64_t)key->seq);
        sqlite_bind_int(stmt, 6, (int64_t)key->expires_ms);
        int err = sqlite_run(stmt);
        if (err != 0)
            return err;
    }
    store->keys_written = place;
    sqlite_bind_int(store->stmts.key_expire, 1, (int64_t)store->txn.now_ms);
    sqlite_bind_int(store->stmts.key_expire, 2, 2 * SLICE_KEYS);
    return sqlite_run(store->stmts.key_expire);
}

/* The row of the mark itself stays, so that numbers go on where they were even when it is the last. */
static int delete_rows(struct store_sqlite *store, bool idle, uint64_t until_us)
{
    int err = 0;
    uint64_t end = store->journal_first;
    do {
        end = end + SLICE_ROWS < store->mark ? end + SLICE_ROWS : store->mark;
        sqlite_bind_int(store->stmts.journal_delete, 1, (int64_t)end);
        err = sqlite_run(store->stmts.journal_delete);
    } while (err == 0 && idle && end < store->mark && clock_stopwatch_us() < until_us);
    store->journal_deleted = end;
    return err;
}

int store_sqlite_checkpoint_slice(struct store_sqlite *store, uint64_t row, uint32_t operations)
{
    const uint64_t until_us = clock_stopwatch_us() + SLICE_US;
    const bool idle = operations == 0;
    store->keys_written = NULL;
    store->journal_deleted = 0;
    switch (store->phase) {
    case CHECKPOINT_ORDER:
        order_users(store, idle ? IDLE_USERS : SLICE_USERS + operations, until_us);
        return 0;
    case CHECKPOINT_USERS:
        return write_users(store, row, idle ? IDLE_USERS : SLICE_USERS + operations, until_us);
    case CHECKPOINT_KEYS:
        return write_keys(store);
    case CHECKPOINT_JOURNAL:
        return delete_rows(store, idle, until_us);
    case CHECKPOINT_NONE:
        break;
    }
    return 0;
}

static bool are_written(struct store_sqlite *store)
{
    struct user_order_place place = store->written_from;
    return user_order_next(&store->order, &place) == USER_INDEX_NONE;
}

static void step_on(struct store_sqlite *store)
{
    const struct idempotency_entry *place = NULL;
    if (store->phase == CHECKPOINT_ORDER && store->is_ordered) {
        store->phase = CHECKPOINT_USERS;
    } else if (store->phase == CHECKPOINT_USERS && are_written(store)) {
        user_order_reset(&store->order);
        store->phase = CHECKPOINT_KEYS;
    } else if (store->phase == CHECKPOINT_KEYS && idempotency_next(&store->keys, &place, store->mark) == NULL) {
        store->phase = CHECKPOINT_JOURNAL;
    } else if (store->phase == CHECKPOINT_JOURNAL && store->journal_first >= store->mark) {
        store->phase = CHECKPOINT_NONE;
        store->journal_bytes -= store->mark_bytes;
        store->checkpoint_ms = clock_mono_ms(store->config.clock);
    }
}

void store_sqlite_checkpoint_done(struct store_sqlite *store)
{
    while (!is_at(&store->written_from, &store->written_end)) {
        const uint32_t number = user_order_next(&store->order, &store->written_from);
        struct store_form *form = user_index_form(&store->users, number);
        user_index_unmark(&store->users, USER_PENDING, number);
        if (form->is_awake)
            ((struct store_user *)form)->inbox.unsaved = false;
    }
    if (store->keys_written != NULL)
        idempotency_drop(&store->keys, store->keys_written);
    store->keys_written = NULL;
    if (store->journal_deleted > store->journal_first)
        store->journal_first = store->journal_deleted;
    step_on(store);
}

void store_sqlite_checkpoint_undo(struct store_sqlite *store)
{
    store->written_end = store->written_from;
    store->keys_written = NULL;
    store->journal_deleted = 0;
}

/* Pages that the next checkpoint's journal will need again are kept, unless the disk is short of them. */
bool store_sqlite_checkpoint_shrink(struct store_sqlite *store)
{
    if (store->backup != NULL || store->trouble != 0 || store->phase != CHECKPOINT_NONE)
        return false;
    uint64_t keep = store->low ? 0 : 2 * store->config.checkpoint_bytes / 4096;
    uint64_t spare = sqlite_free_pages(store->db);
    if (spare <= keep)
        return false;
    uint32_t slice = spare - keep < SHRINK_PAGES ? (uint32_t)(spare - keep) : SHRINK_PAGES;
    return sqlite_shrink(store->db, slice) == 0 && spare - keep > slice;
}
