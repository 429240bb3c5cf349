/* A group commit: requests in order, their events as one journal row, one fsync, then the answers.
 *
 * Reads are answered after the commit too: they may have seen what it makes durable. When it fails, memory goes back to
 * where it was and the requests are carried out again with nothing to be written. */
#include "base/err.h"
#include "base/log.h"
#include "base/object.h"
#include "store/store_request.h"
#include "store/store_sqlite_private.h"

#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#define ROW_BYTES_MAX (4U * 1024 * 1024) /* a row of more is begun anew: answers need not wait for all that came */
#define RETRY_MS 500
#define LOOK_MS 200
#define UNDOS_FIRST 64
#define SAVED_KEPT (1024 * 1024) /* bytes for undoing that are kept from commit to commit */
/* Pages that a commit dirties beside its row. */
#define COMMIT_BYTES 32768

static void clear_undo(struct store_sqlite *store)
{
    store->undos_count = 0;
    store->saved.len = 0;
    if (store->saved.cap > SAVED_KEPT)
        bytes_reset(&store->saved);
}

static void take_undo(struct store_sqlite *store)
{
    for (size_t i = 0; i < store->undos_count; i++) {
        struct store_undo *undo = &store->undos[i];
        inbox_state_restore(&undo->user->inbox, &undo->saved, &store->saved);
        undo->user->is_touched = false;
    }
    clear_undo(store);
    idempotency_undo(&store->keys, store->journal_last + 1);
}

static void drop_undo(struct store_sqlite *store)
{
    for (size_t i = 0; i < store->undos_count; i++) {
        struct store_undo *undo = &store->undos[i];
        inbox_state_forget(&undo->saved, &store->saved);
        undo->user->is_touched = false;
        store_sqlite_user_dirty(store, undo->user);
        store_sqlite_user_charge(store, undo->user);
    }
    clear_undo(store);
}

static void save(struct store_sqlite *store, struct store_user *user)
{
    if (store->undos_count == store->undos_room) {
        store->undos_room = store->undos_room > 0 ? store->undos_room * 2 : UNDOS_FIRST;
        store->undos = object_realloc(store->undos, store->undos_room * sizeof *store->undos);
    }
    user->undo = (uint32_t)store->undos_count;
    struct store_undo *undo = &store->undos[store->undos_count++];
    undo->user = user;
    inbox_state_compact(&user->inbox);
    inbox_state_save(&undo->saved, &store->saved, &user->inbox);
    user->is_touched = true;
    user->is_hot = true;
    store_sqlite_user_note(store, user);
}

void store_sqlite_batch_touch(struct inbox_txn *txn, struct inbox *inbox, enum journal_type type)
{
    struct store_sqlite *store = container_of(txn, struct store_sqlite, txn);
    struct store_user *user = container_of(inbox, struct store_user, inbox);
    if (!user->is_touched)
        save(store, user);
    if (inbox_state_disturbs(type))
        inbox_state_save_entries(&store->undos[user->undo].saved, &store->saved, inbox);
}

static void begin(struct store_sqlite *store, int refusal)
{
    store->txn.now_ms = clock_wall_ms(store->config.clock);
    store->txn.refusal = refusal;
    store->txn.of = NULL;
    store->row.len = 0;
    journal_begin(&store->row, store->txn.now_ms);
}

/* 1: the key was used before, and *found says with what; 0: not, or its time is over; or an error. */
static int find_key(struct store_sqlite *store, const uint8_t digest[16], struct journal_key *found)
{
    const struct journal_key *key = idempotency_find(&store->keys, digest);
    if (key != NULL) {
        *found = *key;
        return found->expires_ms > store->txn.now_ms;
    }
    struct sqlite_stmt *stmt = store->stmts.key_select;
    sqlite_bind_blob(stmt, 1, bytes_of(digest, 16));
    int result = sqlite_step(stmt);
    if (result == 1) {
        struct bytes id = sqlite_column_blob(stmt, 1);
        found->body_hash = (uint64_t)sqlite_column_int(stmt, 0);
        found->epoch = (uint64_t)sqlite_column_int(stmt, 2);
        found->seq = (uint64_t)sqlite_column_int(stmt, 3);
        found->expires_ms = (uint64_t)sqlite_column_int(stmt, 4);
        result = id.len == sizeof found->id.bytes && found->expires_ms > store->txn.now_ms;
        if (result == 1)
            memcpy(found->id.bytes, id.ptr, sizeof found->id.bytes);
    }
    sqlite_reset(stmt);
    return result;
}

static void put_key(struct store_sqlite *store, const struct peer_send *send, const struct peer_sent *sent)
{
    struct journal_event event = {.type = JOURNAL_KEY,
                                  .key = {.body_hash = send->body_hash,
                                          .id = sent->id,
                                          .epoch = sent->position.epoch,
                                          .seq = sent->position.seq,
                                          .expires_ms = send->key_expires_ms}};
    memcpy(event.key.digest, send->key, sizeof event.key.digest);
    journal_put(&store->row, &event);
    idempotency_put(&store->keys, &event.key, store->journal_last + 1);
}

static int append(struct store_sqlite *store, struct inbox *inbox, struct store_request *request)
{
    const struct peer_send *send = &request->in.append;
    struct store_append_out *out = &request->out.append;
    if (send->has_key) {
        struct journal_key found;
        int result = find_key(store, send->key, &found);
        if (result < 0)
            return PETREL_E_UNAVAILABLE;
        if (result == 1 && found.body_hash != send->body_hash)
            return PETREL_E_CONFLICT;
        if (result == 1) {
            inbox_repeat(&store->txn, inbox, send,
                         (struct peer_sent){.position = {found.epoch, found.seq}, .id = found.id}, out);
            return 0;
        }
    }
    /* Appends stop while there is room left: what frees space, acks and checkpoints, needs some itself. */
    int refusal = store->txn.refusal;
    if (refusal == 0 && store->low)
        store->txn.refusal = PETREL_E_FULL;
    int err = inbox_append(&store->txn, inbox, send, out);
    store->txn.refusal = refusal;
    if (err == 0 && send->has_key && !out->sent.duplicate)
        put_key(store, send, &out->sent);
    return err;
}

static int bind(struct store_sqlite *store, struct inbox *inbox, struct store_request *request)
{
    struct peer_bound *bound = object_alloc(sizeof *bound);
    bound->page.count = 0;
    int err = inbox_bind(&store->txn, inbox, &request->in.bind, bound);
    request->out.bound = err == 0 ? bound : NULL;
    if (err != 0)
        free(bound);
    return err;
}

static int fetch(struct store_sqlite *store, struct inbox *inbox, struct store_request *request)
{
    struct peer_page *page = object_alloc(sizeof *page);
    page->count = 0;
    int err = inbox_fetch(&store->txn, inbox, &request->in.fetch, page);
    request->out.page = err == 0 ? page : NULL;
    if (err != 0)
        free(page);
    return err;
}

static int message_state(struct store_sqlite *store, struct inbox *inbox, struct store_request *request)
{
    struct peer_stated *stated = object_zalloc(sizeof *stated);
    int err = inbox_message_state(&store->txn, inbox, &request->in.message_state.id, stated);
    request->out.stated = err == 0 ? stated : NULL;
    if (err != 0)
        free(stated);
    return err;
}

static int read_user(struct store_sqlite *store, struct inbox *inbox, struct store_request *request)
{
    struct peer_user *user = object_zalloc(sizeof *user);
    int err = inbox_user(&store->txn, inbox, user);
    request->out.user = err == 0 ? user : NULL;
    if (err != 0)
        free(user);
    return err;
}

static int execute(struct store_sqlite *store, struct store_request *request)
{
    struct store_user *user;
    if (request->op == STORE_CHECK) {
        store_sqlite_check_run(store, request);
        return 0;
    }
    if (store_request_check(request) != 0)
        return PETREL_E_INVALID;
    const struct peer_target target = store_request_target(request);
    uint8_t key[STORE_SQLITE_KEY_MAX];
    if (store_sqlite_user_get(store, bytes_of(key, store_sqlite_rest_put_key(key, &target)), &user) != 0)
        return PETREL_E_UNAVAILABLE;
    struct inbox_txn *txn = &store->txn;
    struct inbox *inbox = &user->inbox;
    switch (request->op) {
    case STORE_BIND:
        return bind(store, inbox, request);
    case STORE_UNBIND:
        inbox_unbind(txn, inbox, &request->in.unbind);
        return 0;
    case STORE_ENROL:
        return inbox_enrol(txn, inbox, request->in.enrol.device);
    case STORE_REMOVE:
        return inbox_remove(txn, inbox, &request->in.remove, &request->out.removed);
    case STORE_APPEND:
        return append(store, inbox, request);
    case STORE_FETCH:
        return fetch(store, inbox, request);
    case STORE_ACK:
        return inbox_ack(txn, inbox, &request->in.ack);
    case STORE_RECALL:
        return inbox_recall(txn, inbox, &request->in.recall.id);
    case STORE_MESSAGE_STATE:
        return message_state(store, inbox, request);
    case STORE_USER:
        return read_user(store, inbox, request);
    case STORE_CHECK:
        break; /* done above: it is not about one user */
    }
    return PETREL_E_INVALID;
}

static int write_all(struct store_sqlite *store, bool has_events, uint32_t operations)
{
    uint64_t row = store->journal_last + (has_events ? 1 : 0);
    int err = sqlite_begin(store->db);
    if (err != 0)
        return err;
    if (has_events) {
        sqlite_bind_int(store->stmts.journal_insert, 1, (int64_t)row);
        sqlite_bind_blob(store->stmts.journal_insert, 2, bytes_view(&store->row));
        err = sqlite_run(store->stmts.journal_insert);
    }
    /* After a failure the journal alone is tried: a checkpoint needs more room than it frees at first. */
    if (err == 0 && store->trouble == 0)
        err = store_sqlite_checkpoint_slice(store, row, operations);
    if (err != 0) {
        sqlite_rollback(store->db);
        return err;
    }
    return sqlite_commit(store->db);
}

static void note_trouble(struct store_sqlite *store, int err)
{
    store->trouble = err == PETREL_E_FULL ? PETREL_E_FULL : PETREL_E_UNAVAILABLE;
    store->retry_ms = clock_mono_ms(store->config.clock) + RETRY_MS;
    metrics_add(store->config.metrics, METRIC_STORE_ERRORS, 1);
    log_at(LOG_ERROR, "store", "nothing can be written", LOG_STR("why", err_text(err)));
}

static int commit(struct store_sqlite *store, size_t empty, uint32_t operations)
{
    /* In trouble a row without events is the probe that finds out whether it has passed. */
    bool has_events = store->row.len > empty || store->trouble != 0;
    if (!has_events && store->phase == CHECKPOINT_NONE)
        return 0;
    uint64_t began = clock_stopwatch_us();
    int err = write_all(store, has_events, operations);
    if (err != 0) {
        store_sqlite_checkpoint_undo(store);
        note_trouble(store, err);
        return store->trouble;
    }
    metrics_add(store->config.metrics, METRIC_STORE_COMMITS, 1);
    metrics_observe_us(store->config.metrics, METRIC_STORE_COMMIT_SECONDS, clock_stopwatch_us() - began);
    if (has_events) {
        uint64_t about = store->row.len + COMMIT_BYTES;
        store->journal_last++;
        store->journal_bytes += store->row.len;
        store->written_ms = clock_mono_ms(store->config.clock);
        store->free_bytes -= about < store->free_bytes ? about : store->free_bytes;
    }
    if (store->trouble != 0)
        log_event(LOG_INFO, "store", "writing works again");
    store->trouble = 0;
    drop_undo(store);
    store_sqlite_checkpoint_done(store);
    return 0;
}

static void look_at_disk(struct store_sqlite *store)
{
    uint64_t now = clock_mono_ms(store->config.clock);
    struct statvfs disk;
    bool due = now >= store->look_ms || (!store->low && store->free_bytes < store->config.min_free_bytes);
    if (due && statvfs(store->config.path, &disk) == 0) {
        store->free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
        bool low = store->free_bytes < store->config.min_free_bytes;
        store->look_ms = now + LOOK_MS;
        if (low != store->low)
            log_at(LOG_WARN, "store", low ? "the disk is nearly full: appends are refused" : "the disk has room again",
                   LOG_NUM("min_free_bytes", store->config.min_free_bytes));
        store->low = low;
    }
}

/* Carry out jobs from *jobs on until the row is large; the first one that was not. */
static struct worker_job *run(struct store_sqlite *store, struct worker_job *jobs, uint32_t *count)
{
    *count = 0;
    while (jobs != NULL && store->row.len < ROW_BYTES_MAX) {
        struct store_request *request = container_of(jobs, struct store_request, job);
        if (*count % STORE_SQLITE_STRETCH == 0)
            store_sqlite_warm_up(store, jobs);
        request->status = execute(store, request);
        jobs = jobs->next;
        (*count)++;
    }
    return jobs;
}

static void take_back(struct store_sqlite *store, struct worker_job *jobs, const struct worker_job *end)
{
    take_undo(store);
    for (; jobs != end; jobs = jobs->next)
        store_sqlite_release(container_of(jobs, struct store_request, job));
}

static bool is_urgent(const struct store_request *request)
{
    return request->op == STORE_APPEND && request->in.append.priority == PEER_PRIORITY_HIGH;
}

static struct worker_job *run_chunk(struct store_sqlite *store, struct worker_job *jobs)
{
    uint64_t now = clock_mono_ms(store->config.clock);
    int refusal = store->trouble != 0 && now < store->retry_ms ? store->trouble : 0;
    struct worker_job *end;
    uint32_t count;
    begin(store, refusal);
    size_t empty = store->row.len;
    end = run(store, jobs, &count);
    if (refusal == 0) {
        store_sqlite_user_sweep(store);
        refusal = commit(store, empty, count);
        if (refusal != 0) {
            take_back(store, jobs, end);
            begin(store, refusal);
            for (struct worker_job *job = jobs; job != end; job = job->next) {
                struct store_request *request = container_of(job, struct store_request, job);
                request->status = execute(store, request);
            }
        }
    }
    /* What was changed without being written stays dirty, and is written by the next checkpoint at the latest. */
    if (refusal != 0)
        drop_undo(store);
    store_sqlite_user_settle(store);
    metrics_add(store->config.metrics, METRIC_STORE_OPERATIONS, count);
    while (jobs != end) {
        struct worker_job *next = jobs->next;
        jobs->urgent = is_urgent(container_of(jobs, struct store_request, job));
        worker_finish(store->worker, jobs);
        jobs = next;
    }
    return end;
}

void store_sqlite_batch_run(struct store_sqlite *store, struct worker_job *jobs)
{
    do {
        look_at_disk(store);
        jobs = run_chunk(store, jobs);
    } while (jobs != NULL);
}
