/* store_sqlite_private.h: what the files of the SQLite store share. Everything on the worker's thread.
 *
 * user        an inbox in memory: awake, as the rules of an inbox need it, or at rest, packed
 * dirty       its record in the table is older than it; pending: and the checkpoint under way will write it
 * checkpoint  writes what was dirty at its mark, then drops the journal before the mark
 *
 * Files, in the order to read them: store_sqlite.c (port and thread), _batch.c (a group commit), _warm.c, _check.c (checks), _user.c (users in memory),
 * _rest.c (their form at rest), _checkpoint.c, _replay.c (start), _backup.c. */
#ifndef PETREL_STORE_STORE_SQLITE_PRIVATE_H
#define PETREL_STORE_STORE_SQLITE_PRIVATE_H

#include "driver/sqlite.h"
#include "store/idempotency.h"
#include "store/inbox.h"
#include "store/store_sqlite.h"
#include "store/store_sqlite_rest.h"
#include "store/user_order.h"
#define STORE_SQLITE_STARTS_MAX 64
#define STORE_SQLITE_STRETCH 16U /* requests side by side: more misses than a core has under way gain nothing */

/* What a touched user was before the commit under way. */
struct store_undo {
    struct store_user *user;
    struct inbox_saved saved;
};

enum store_checkpoint_phase {
    CHECKPOINT_NONE,
    CHECKPOINT_ORDER,
    CHECKPOINT_USERS,
    CHECKPOINT_KEYS,
    CHECKPOINT_JOURNAL
};

struct store_sqlite_stmts {
    struct sqlite_stmt *journal_insert, *journal_delete, *journal_select, *user_select, *user_upsert, *user_delete,
        *user_due;
    struct sqlite_stmt *key_select, *key_upsert, *key_expire, *meta_select, *meta_upsert;
};

struct store_sqlite {
    struct store base;
    uint32_t magic;
    struct store_sqlite_config config; /* defaults filled in; path is owned */
    struct worker *worker;
    struct sqlite *db;
    struct store_sqlite_stmts stmts;

    struct user_index users;
    uint32_t hand;             /* of the clock that looks at all users: a number */
    struct store_user **woken; /* may go to rest after the batch; the memory of these three stays */
    size_t woken_count, woken_room;
    struct store_undo *undos; /* a row for each user touched */
    size_t undos_count, undos_room;
    struct bytebuf saved; /* their arrays */
    size_t memory;
    struct idempotency keys;
    uint64_t starts[STORE_SQLITE_STARTS_MAX];

    struct inbox_txn txn;
    struct bytebuf row;
    struct bytebuf record;
    uint64_t journal_first; /* the oldest row */
    uint64_t journal_last;  /* the newest durable row */
    uint64_t journal_bytes;
    uint64_t written_ms; /* monotonic: when the newest row was */

    enum store_checkpoint_phase phase;
    struct user_order order;              /* of those that were pending at its mark */
    bool is_ordered;                      /* all of them are in it */
    struct user_order_place written_from; /* in the commit under way: those from here */
    struct user_order_place written_end;  /* to before here */
    const struct idempotency_entry *keys_written;
    uint64_t mark;
    uint64_t mark_bytes;
    uint64_t journal_deleted; /* in the commit under way: rows before this */
    uint64_t checkpoint_ms;   /* monotonic: when the last one ended */

    int trouble;            /* why the last commit failed; 0 when it did not */
    uint64_t retry_ms;      /* monotonic: commits are tried again from here on */
    bool low;               /* less than min_free_bytes */
    uint64_t look_ms;       /* monotonic: look at the disk again */
    uint64_t free_bytes;    /* of the disk: what was seen, less about what was written since */
    uint64_t swept_ms;      /* monotonic */
    uint64_t due_ms;        /* monotonic: look for due records in the table again */
    uint64_t due_cursor_ms; /* where the last look ended */
    uint64_t due_cursor_id;

    struct store_sqlite_backup *backup; /* the request under way */
    struct sqlite_backup *copy;
};

/* The job of a request, and of a backup: told apart by where they report. */
void store_sqlite_finish_request(struct worker_job *job);
void store_sqlite_backup_finish(struct worker_job *job);
/* Free what a request that ended with 0 lends. */
void store_sqlite_release(struct store_request *request);

/* Carry out all requests, each chunk of them in one commit, and hand them back. NULL: only what time has brought. */
void store_sqlite_batch_run(struct store_sqlite *store, struct worker_job *jobs);
/* Send for what the first STORE_SQLITE_STRETCH of these will need. */
void store_sqlite_warm_up(const struct store_sqlite *store, struct worker_job *jobs);
/* Be touched before a change: the inbox_txn's hook. */
void store_sqlite_batch_touch(struct inbox_txn *txn, struct inbox *inbox, enum journal_type type);

/* Compare what many sessions believe with users as they lie in memory, at rest or not: none is woken, none is loaded. The answer is
 * the request's, to be freed by store_sqlite_release(). */
void store_sqlite_check_run(struct store_sqlite *store, struct store_request *request);

/* Find or load, and wake; a user without a record has an inbox that does not exist. It is awake until store_sqlite_user_settle().
 * 0; an error of sqlite_step(); PETREL_E_INVALID: no key. */
int store_sqlite_user_get(struct store_sqlite *store, struct bytes key, struct store_user **out);
/* The same with what the record includes: journal rows up to *as_of, when it was not in memory yet (else 0). */
int store_sqlite_user_load(struct store_sqlite *store, struct bytes key, struct store_user **out, uint64_t *as_of);
/* One that is in memory. */
struct store_user *store_sqlite_user_wake(struct store_sqlite *store, uint32_t number);
/* It may have what it takes to go to rest after the batch. */
void store_sqlite_user_note(struct store_sqlite *store, struct store_user *user);
/* After a batch: who can goes to rest. */
void store_sqlite_user_settle(struct store_sqlite *store);
void store_sqlite_user_dirty(struct store_sqlite *store, const struct store_user *user);
/* Bring its share of `memory` up to date. */
void store_sqlite_user_charge(struct store_sqlite *store, struct store_user *user);
/* A share of the work that time brings: expiry, lapse, records that are over. Events go to the commit under way. */
void store_sqlite_user_sweep(struct store_sqlite *store);
/* Let clean records go until memory_bytes holds. */
void store_sqlite_user_evict(struct store_sqlite *store);
void store_sqlite_user_free_all(struct store_sqlite *store);

/* Begin one if it is time. */
void store_sqlite_checkpoint_consider(struct store_sqlite *store);
/* One slice, in the transaction of the row, beside so many operations. 0 or an error; then done() or undo(), as the commit ended. */
int store_sqlite_checkpoint_slice(struct store_sqlite *store, uint64_t row, uint32_t operations);
void store_sqlite_checkpoint_done(struct store_sqlite *store);
void store_sqlite_checkpoint_undo(struct store_sqlite *store);
/* Give free pages back, a slice; true: there is more. Between transactions. */
bool store_sqlite_checkpoint_shrink(struct store_sqlite *store);

/* Read the file, on opening it: owner, journal. 0 or an error of sqlite_step(). */
int store_sqlite_replay(struct store_sqlite *store);

void store_sqlite_backup_begin(struct store_sqlite *store, struct store_sqlite_backup *backup);
/* A slice, between transactions. */
void store_sqlite_backup_slice(struct store_sqlite *store);
/* Give up what is under way with this status. */
void store_sqlite_backup_cancel(struct store_sqlite *store, int status);

#endif
