#include "base/err.h"
#include "sim/sim_store_impl.h"
#include "store/inbox_pack.h"

static void begin(struct sim_store *store)
{
    store->txn.now_ms = clock_wall_ms(&store->sim->clock.clock);
    store->txn.refusal = store->sim->now_us < store->full_until_us ? PETREL_E_FULL : 0;
    store->txn.of = NULL;
    store->row.len = 0;
    journal_begin(&store->row, store->txn.now_ms);
}

static void report_row(struct sim_store *store, uint32_t user)
{
    struct journal_reader reader;
    struct journal_event event;
    int rc = journal_open(&reader, bytes_view(&store->row));
    petrel_assert(rc == 0);
    while (journal_next(&reader, &event) == 1) {
        if (event.type == JOURNAL_REMOVE)
            sim_book_removed(store->book, user, event.remove.seq, event.remove.fate, store->rows);
        else if (event.type == JOURNAL_ENROL)
            store->least_rows = store->rows + 1;
        journal_release(&event);
    }
}

void sim_store_rows_commit(struct sim_store *store, uint32_t user, size_t empty)
{
    if (store->row.len == empty)
        return;
    report_row(store, user);
    bytes_append(&store->journal, store->row.ptr, store->row.len);
    store->ends = object_realloc(store->ends, (store->rows + 1) * sizeof *store->ends);
    store->ends[store->rows++] = store->journal.len;
}

size_t sim_store_rows_begin(struct sim_store *store)
{
    begin(store);
    return store->row.len;
}

/* ---- crashes ---- */

static struct inbox *inbox_of(struct sim_store *store, struct bytes key)
{
    for (uint32_t i = 0; i < store->users_count; i++) {
        if (bytes_equal(key, store->users[i].inbox.key))
            return &store->users[i].inbox;
    }
    object_panic(__FILE__, __LINE__, "a user of the simulation");
}

static void replay_row(struct sim_store *store, struct bytes row)
{
    struct journal_reader reader;
    struct journal_event event;
    struct inbox *inbox = NULL;
    int rc = journal_open(&reader, row);
    petrel_assert(rc == 0);
    while ((rc = journal_next(&reader, &event)) == 1) {
        if (event.type == JOURNAL_USER)
            inbox = inbox_of(store, event.user);
        else
            rc = inbox_state_apply(inbox, &store->config.limits, &event);
        petrel_assert(rc >= 0);
        journal_release(&event);
    }
    petrel_assert(rc == 0);
}

static void rebuild(struct sim_store *store)
{
    for (uint32_t i = 0; i < store->users_count; i++)
        inbox_state_reset(&store->users[i].inbox);
    size_t at = 0;
    for (size_t i = 0; i < store->rows; i++) {
        replay_row(store, bytes_of(store->journal.ptr + at, store->ends[i] - at));
        at = store->ends[i];
    }
    petrel_assert(store->txn.starts_count < SIM_STARTS_MAX);
    store->starts[store->txn.starts_count++] = clock_wall_ms(&store->sim->clock.clock);
}

static void pack(struct sim_store *store, struct bytebuf *out)
{
    for (uint32_t i = 0; i < store->users_count; i++) {
        struct inbox *inbox = &store->users[i].inbox;
        inbox_state_prune(inbox, &store->config.limits, clock_wall_ms(&store->sim->clock.clock));
        if (inbox_state_exists(inbox) && !inbox->unsaved)
            inbox_pack(out, inbox);
    }
}

static bool any_unsaved(const struct sim_store *store)
{
    bool any = false;
    for (uint32_t i = 0; i < store->users_count; i++)
        any = any || store->users[i].inbox.unsaved;
    return any;
}

void sim_store_restart(struct sim_store *store)
{
    struct bytebuf before = {0}, after = {0};
    bool comparable = !any_unsaved(store);
    sim_trace(store->sim, "store: restarts after %zu rows", store->rows);
    pack(store, &before);
    rebuild(store);
    store->notes_count = 0;
    pack(store, &after);
    if (comparable && !bytes_equal(bytes_view(&before), bytes_view(&after)))
        sim_book_break(store->book, "the store's replay gave another state");
    bytes_reset(&before);
    bytes_reset(&after);
}

void sim_store_fail_over(struct sim_store *store, uint32_t rows)
{
    size_t most = store->rows - store->least_rows;
    store->rows -= rows < most ? rows : most;
    sim_trace(store->sim, "store: fails over, forgets %u rows, %zu are left", rows, store->rows);
    store->journal.len = store->rows > 0 ? store->ends[store->rows - 1] : 0;
    rebuild(store);
    store->txn.epoch++;
    sim_book_rolled_back(store->book, store->rows);
    size_t kept = 0;
    for (size_t i = 0; i < store->notes_count; i++) {
        const struct sim_note *note = &store->notes[i];
        if (note->row > store->rows)
            continue;
        struct inbox_device *device = inbox_state_device(&store->users[note->user].inbox, bytes_str(note->device));
        if (device != NULL)
            device->route = note->route;
        store->notes[kept++] = *note;
    }
    store->notes_count = kept;
}
