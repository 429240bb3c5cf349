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
#define WOKEN_FIRST 64
#define WOKEN_KEPT 65536 /* more than a batch wakes, only a replay */

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

void store_sqlite_user_note(struct store_sqlite *store, struct store_user *user)
{
    if (user->is_woken)
        return;
    if (store->woken_count == store->woken_room) {
        store->woken_room = store->woken_room > 0 ? store->woken_room * 2 : WOKEN_FIRST;
        store->woken = object_realloc(store->woken, store->woken_room * sizeof(*store->woken));
    }
    store->woken[store->woken_count++] = user;
    user->is_woken = true;
}

void store_sqlite_user_charge(struct store_sqlite *store, struct store_user *user)
{
    size_t bytes = sizeof *user + user->form.key_len + inbox_state_bytes(&user->inbox);
    store->memory += bytes - user->charged;
    user->charged = bytes;
}

struct store_user *store_sqlite_user_wake(struct store_sqlite *store, uint32_t number)
{
    void *form = user_index_form(&store->users, number);
    petrel_assert(form != NULL);
    if (((struct store_form *)form)->is_awake)
        return form;
    struct store_rest *rest = form;
    struct store_user *user = store_sqlite_rest_wake(rest);
    user->number = number;
    user_index_exchange(&store->users, number, user);
    store->memory -= store_sqlite_rest_bytes(rest);
    store_sqlite_user_charge(store, user);
    store_sqlite_user_note(store, user);
    free(rest);
    return user;
}

int store_sqlite_user_load(struct store_sqlite *store, struct bytes key, struct store_user **out, uint64_t *as_of)
{
    uint32_t number = user_index_find(&store->users, key);
    *as_of = 0;
    if (number != USER_INDEX_NONE) {
        user_index_mark(&store->users, USER_USED, number);
        *out = store_sqlite_user_wake(store, number);
        return 0;
    }
    if (key.len > STORE_SQLITE_KEY_MAX)
        return PETREL_E_INVALID;
    struct store_user *user = store_sqlite_rest_user(key);
    int err = read_record(store, user, as_of);
    if (err != 0) {
        free(user);
        return err;
    }
    user->number = user_index_add(&store->users, user);
    user_index_mark(&store->users, USER_USED, user->number);
    store_sqlite_user_charge(store, user);
    store_sqlite_user_note(store, user);
    *out = user;
    return 0;
}

int store_sqlite_user_get(struct store_sqlite *store, struct bytes key, struct store_user **out)
{
    uint64_t as_of;
    return store_sqlite_user_load(store, key, out, &as_of);
}

void store_sqlite_user_dirty(struct store_sqlite *store, const struct store_user *user)
{
    /* One that waits for the checkpoint is written by it as it then is; so was one that this commit has written. */
    if (!user_index_marked(&store->users, USER_PENDING, user->number))
        user_index_mark(&store->users, USER_DIRTY, user->number);
}

/* When something is to be done for a user at rest. Seldom enough: memory that could be less is all that is at stake. */
static uint64_t look_ms(const struct store_sqlite *store, const struct inbox *inbox)
{
    const struct inbox_txn *txn = &store->txn;
    uint64_t due = inbox_due_ms(txn, inbox);
    uint64_t least = txn->now_ms + SWEEP_MS;
    if (inbox->recent_count > 0 && inbox_state_recent(inbox, 0)->at_ms + txn->limits->recent_ms < due)
        due = inbox_state_recent(inbox, 0)->at_ms + txn->limits->recent_ms;
    if (inbox->fates_count > 0 && inbox_state_fate(inbox, 0)->at_ms + txn->limits->fate_ms < due)
        due = inbox_state_fate(inbox, 0)->at_ms + txn->limits->fate_ms;
    return due > least ? due : least;
}

static void free_awake(struct store_sqlite *store, struct store_user *user)
{
    store->memory -= user->charged;
    inbox_state_reset(&user->inbox);
    free(user);
}

static void put_to_rest(struct store_sqlite *store, struct store_user *user)
{
    struct store_rest *rest = store_sqlite_rest_make(user, look_ms(store, &user->inbox), &store->record);
    user_index_exchange(&store->users, user->number, rest);
    store->memory += store_sqlite_rest_bytes(rest);
    free_awake(store, user);
}

void store_sqlite_user_settle(struct store_sqlite *store)
{
    for (size_t i = 0; i < store->woken_count; i++) {
        struct store_user *user = store->woken[i];
        bool stays = user->is_hot && (user->inbox.recent_count > 0 || user->inbox.fates_count > 0);
        user->is_woken = false;
        user->is_hot = false;
        if (!stays && store_sqlite_rest_possible(user))
            put_to_rest(store, user);
        else
            store_sqlite_user_charge(store, user);
    }
    store->woken_count = 0;
    if (store->woken_room > WOKEN_KEPT) {
        free(store->woken);
        store->woken = NULL;
        store->woken_room = 0;
    }
}

static void let_go(struct store_sqlite *store, uint32_t number)
{
    struct store_form *form = user_index_form(&store->users, number);
    user_index_remove(&store->users, number);
    if (form->is_awake) {
        free_awake(store, (struct store_user *)form);
        return;
    }
    store->memory -= store_sqlite_rest_bytes((struct store_rest *)form);
    free(form);
}

static bool has_route(const struct store_form *form)
{
    if (!form->is_awake)
        return ((const struct store_rest *)form)->routes_len > 0;
    const struct inbox *inbox = &((const struct store_user *)form)->inbox;
    for (uint32_t i = 0; i < inbox->devices_count; i++) {
        if (inbox->devices[i].route.generation != 0)
            return true;
    }
    return false;
}

/* Some user is there. */
static uint32_t next_on_clock(struct store_sqlite *store)
{
    do
        store->hand = store->hand + 1 < store->users.end ? store->hand + 1 : 0;
    while (user_index_form(&store->users, store->hand) == NULL);
    return store->hand;
}

/* A user that was used since the hand came by last stays awake. */
static void sweep_user(struct store_sqlite *store, uint32_t number)
{
    const struct store_rest *rest = user_index_form(&store->users, number);
    bool used = user_index_marked(&store->users, USER_USED, number);
    user_index_unmark(&store->users, USER_USED, number);
    if (!rest->form.is_awake && rest->look_s > store->txn.now_ms / 1000)
        return;
    struct store_user *user = store_sqlite_user_wake(store, number);
    if (inbox_due_ms(&store->txn, &user->inbox) <= store->txn.now_ms)
        inbox_tidy(&store->txn, &user->inbox);
    else
        inbox_state_prune(&user->inbox, store->txn.limits, store->txn.now_ms);
    if (!used)
        store_sqlite_user_note(store, user);
    store_sqlite_user_charge(store, user);
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
    for (; share > 0; share--)
        sweep_user(store, next_on_clock(store));
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
        uint32_t number = next_on_clock(store);
        bool keep = user_index_marked(&store->users, USER_USED, number) ||
                    user_index_marked(&store->users, USER_DIRTY, number) ||
                    user_index_marked(&store->users, USER_PENDING, number);
        user_index_unmark(&store->users, USER_USED, number);
        if (!keep && !has_route(user_index_form(&store->users, number)))
            let_go(store, number);
    }
}

void store_sqlite_user_free_all(struct store_sqlite *store)
{
    for (uint32_t number = 0; number < store->users.end; number++) {
        if (user_index_form(&store->users, number) != NULL)
            let_go(store, number);
    }
    user_index_reset(&store->users);
}
