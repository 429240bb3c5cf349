/* Users in memory: found, loaded, swept, let go. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/inbox_pack.h"
#include "store/store_sqlite_private.h"

#include <stdlib.h>

#define SWEEP_MS 60000       /* every user in memory is looked at so often */
#define SWEEP_USERS_MAX 2048 /* in one commit */
#define EVICT_USERS_MAX 256  /* looked at in one go */
#define DUE_MS 60000         /* how often the table is asked for records whose time has come */
#define DUE_USERS 32         /* in one commit */

static int read_record(struct store_sqlite *store, struct store_user *user, uint64_t *as_of)
{
    struct sqlite_stmt *stmt = store->stmts.user_select;
    *as_of = 0;
    sqlite_bind_blob(stmt, 1, user->inbox.key);
    int result = sqlite_step(stmt);
    if (result == 1) {
        *as_of = (uint64_t)sqlite_column_int(stmt, 0);
        result = inbox_pack_read(&user->inbox, sqlite_column_blob(stmt, 1));
        if (result != 0)
            log_event(LOG_ERROR, "store", "a user's record is damaged");
    }
    sqlite_reset(stmt);
    if (result != 0)
        metrics_add(store->config.metrics, METRIC_STORE_ERRORS, 1);
    return result;
}

int store_sqlite_user_load(struct store_sqlite *store, struct bytes key, struct store_user **out, uint64_t *as_of)
{
    struct map_node *node = map_find(&store->users, key);
    *as_of = 0;
    if (node != NULL) {
        *out = container_of(node, struct store_user, node);
        (*out)->used = true;
        return 0;
    }
    struct store_user *user = object_zalloc(sizeof *user + key.len);
    memcpy(user->key, key.ptr, key.len);
    user->key_len = key.len;
    user->inbox.key = bytes_of(user->key, key.len);
    list_init(&user->change);
    int err = read_record(store, user, as_of);
    if (err != 0) {
        free(user);
        return err;
    }
    map_insert(&store->users, &user->node);
    list_push_back(&store->clock, &user->clock);
    user->used = true;
    store_sqlite_user_charge(store, user);
    *out = user;
    return 0;
}

int store_sqlite_user_get(struct store_sqlite *store, struct bytes key, struct store_user **out)
{
    uint64_t as_of;
    return store_sqlite_user_load(store, key, out, &as_of);
}

void store_sqlite_user_dirty(struct store_sqlite *store, struct store_user *user)
{
    /* One that waits for the checkpoint is written by it as it then is; so was one that this commit has written. */
    if (user->where != USER_CLEAN)
        return;
    user->where = USER_DIRTY;
    list_push_back(&store->dirty, &user->change);
}

void store_sqlite_user_charge(struct store_sqlite *store, struct store_user *user)
{
    size_t bytes = sizeof *user + user->key_len + inbox_state_bytes(&user->inbox);
    store->memory += bytes - user->charged;
    user->charged = bytes;
}

static void let_go(struct store_sqlite *store, struct store_user *user)
{
    petrel_assert(!user->is_touched);
    store->memory -= user->charged;
    map_remove(&store->users, &user->node);
    list_remove(&user->clock);
    list_remove(&user->change);
    inbox_state_reset(&user->inbox);
    free(user);
}

static bool has_route(const struct inbox *inbox)
{
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        if (inbox->devices[i].route.generation != 0)
            return true;
    }
    return false;
}

static struct store_user *next_on_clock(struct store_sqlite *store)
{
    struct list *node = list_pop_front(&store->clock);
    list_push_back(&store->clock, node);
    return container_of(node, struct store_user, clock);
}

static void sweep_memory(struct store_sqlite *store)
{
    uint64_t now = clock_mono_ms(store->config.clock);
    uint64_t share = (now - store->swept_ms) * store->users.count / SWEEP_MS;
    if (share == 0)
        return;
    store->swept_ms = now;
    if (share > store->users.count)
        share = store->users.count;
    if (share > SWEEP_USERS_MAX)
        share = SWEEP_USERS_MAX;
    for (; share > 0; share--) {
        struct store_user *user = next_on_clock(store);
        if (inbox_due_ms(&store->txn, &user->inbox) <= store->txn.now_ms)
            inbox_tidy(&store->txn, &user->inbox);
        else
            inbox_state_prune(&user->inbox, store->txn.limits, store->txn.now_ms);
        store_sqlite_user_charge(store, user);
    }
}

static size_t load_due(struct store_sqlite *store, struct store_user *due[DUE_USERS])
{
    struct sqlite_stmt *stmt = store->stmts.user_due;
    struct bytebuf keys = {0};
    size_t count = 0;
    sqlite_bind_int(stmt, 1, (int64_t)store->txn.now_ms);
    sqlite_bind_int(stmt, 2, (int64_t)store->due_cursor_ms);
    sqlite_bind_int(stmt, 3, (int64_t)store->due_cursor_id);
    sqlite_bind_int(stmt, 4, DUE_USERS);
    while (sqlite_step(stmt) == 1) {
        store->due_cursor_ms = (uint64_t)sqlite_column_int(stmt, 0);
        store->due_cursor_id = (uint64_t)sqlite_column_int(stmt, 1);
        bytes_put_blob(&keys, sqlite_column_blob(stmt, 2));
        count++;
    }
    sqlite_reset(stmt);
    struct bytes rest = bytes_view(&keys), key;
    size_t loaded = 0;
    while (bytes_get_blob(&rest, &key) == 0) {
        if (store_sqlite_user_get(store, key, &due[loaded]) == 0)
            loaded++;
    }
    bytes_reset(&keys);
    /* A full page: there is more, in the next commit. Else from the start, later. */
    if (count < DUE_USERS) {
        store->due_cursor_ms = 0;
        store->due_cursor_id = 0;
        store->due_ms = clock_mono_ms(store->config.clock) + DUE_MS;
    }
    return loaded;
}

/* Records that nobody asks for would keep what has expired for ever. */
static void sweep_table(struct store_sqlite *store)
{
    struct store_user *due[DUE_USERS];
    if (clock_mono_ms(store->config.clock) < store->due_ms)
        return;
    size_t count = load_due(store, due);
    for (size_t i = 0; i < count; i++) {
        inbox_tidy(&store->txn, &due[i]->inbox);
        /* Even if nothing was due after all: its due time in the table must move. */
        store_sqlite_user_dirty(store, due[i]);
    }
}

void store_sqlite_user_sweep(struct store_sqlite *store)
{
    sweep_memory(store);
    sweep_table(store);
}

void store_sqlite_user_evict(struct store_sqlite *store)
{
    size_t looks = store->users.count < EVICT_USERS_MAX ? store->users.count : EVICT_USERS_MAX;
    for (; looks > 0 && store->memory > store->config.memory_bytes; looks--) {
        struct store_user *user = next_on_clock(store);
        bool used = user->used;
        user->used = false;
        if (user->where == USER_CLEAN && !used && !has_route(&user->inbox))
            let_go(store, user);
    }
}

void store_sqlite_user_free_all(struct store_sqlite *store)
{
    while (!list_empty(&store->clock))
        let_go(store, container_of(store->clock.next, struct store_user, clock));
    map_reset(&store->users);
}
