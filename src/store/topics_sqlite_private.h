/* topics_sqlite_private.h: what the files of the SQLite topics share. Everything on the worker's thread.
 *
 * topics_sqlite.c (port, thread, group commit), _log.c (append, fetch, expiry), _lease.c (interest), _set.c (subscriptions),
 * _check.c (versions of subscriptions, by topics_versions.h), _backup.c. */
#ifndef PETREL_STORE_TOPICS_SQLITE_PRIVATE_H
#define PETREL_STORE_TOPICS_SQLITE_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "driver/sqlite.h"
#include "store/topics_sqlite.h"
#include "store/topics_versions.h"

struct topics_sqlite_stmts {
    struct sqlite_stmt *topic_select, *topic_insert, *topic_update, *topic_idle, *topic_delete, *topic_shrink,
        *topic_forget;
    struct sqlite_stmt *epoch_insert, *epoch_after, *epoch_delete;
    struct sqlite_stmt *entry_insert, *entry_oldest, *entry_page, *entry_expired, *entry_delete;
    struct sqlite_stmt *id_insert, *id_find, *id_over, *id_delete, *id_delete_all;
    struct sqlite_stmt *set_select, *set_upsert, *set_over, *set_delete, *set_filled;
    struct sqlite_stmt *sub_all, *sub_any, *sub_insert, *sub_delete, *sub_delete_all;
    struct sqlite_stmt *meta_select, *meta_upsert;
};

/* A topic's row. */
struct topics_sqlite_topic {
    int64_t id;
    uint64_t epoch;
    uint64_t birth; /* the head before the first entry ever */
    uint64_t head;
    uint64_t floor;
    uint32_t count;
    uint64_t bytes;
    uint64_t touched_ms; /* when it was last of use, within a 64th of keep_ms */
    uint32_t ids;        /* remembered */
};

struct topics_sqlite {
    struct topics base;
    uint32_t magic;
    struct topics_sqlite_config config; /* path is owned */
    struct worker *worker;
    struct sqlite *db;
    struct topics_sqlite_stmts stmts;
    struct map leases; /* by app and topic */
    struct list leases_order;
    struct topics_versions versions;
    uint64_t epoch;
    uint64_t now_ms;
    uint64_t written_ms;                 /* when a transaction was last tried */
    int refusal;                         /* 0; else nothing can be written, and why */
    int failure;                         /* of a statement in the transaction under way */
    struct topics_sqlite_backup *backup; /* the request under way */
    struct sqlite_backup *copy;
};

/* Keep the first error of the transaction; returns UNAVAILABLE, what the operation ends with if the rest succeeds. */
int topics_sqlite_fail(struct topics_sqlite *topics, int err);

/* 1: found; 0: there is none; or an error that was kept. */
int topics_sqlite_log_find(struct topics_sqlite *topics, struct bytes app, struct bytes name,
                           struct topics_sqlite_topic *out);
/* Take it over from an earlier owner, and note that it is of use. 0, or an error that was kept. */
int topics_sqlite_log_own(struct topics_sqlite *topics, struct topics_sqlite_topic *topic);
int topics_sqlite_log_append(struct topics_sqlite *topics, struct topics_request *request);
int topics_sqlite_log_fetch(struct topics_sqlite *topics, struct topics_request *request);
/* Remove some of what has expired: entries and ids, so many of each; a topic that is of use no more. */
void topics_sqlite_log_expire(struct topics_sqlite *topics, uint32_t most);

int topics_sqlite_lease_interest(struct topics_sqlite *topics, struct topics_request *request);
/* Nodes whose lease on the topic has not run out. */
uint32_t topics_sqlite_lease_nodes(struct topics_sqlite *topics, struct bytes app, struct bytes topic,
                                   uint32_t nodes[TOPICS_NODES_MAX]);
/* Forget topics in which nobody is interested any more. */
void topics_sqlite_lease_sweep(struct topics_sqlite *topics);
void topics_sqlite_lease_init(struct topics_sqlite *topics, uint64_t seed);
void topics_sqlite_lease_free(struct topics_sqlite *topics);

int topics_sqlite_set_subscribe(struct topics_sqlite *topics, struct topics_request *request);
int topics_sqlite_set_unsubscribe(struct topics_sqlite *topics, struct topics_request *request);
int topics_sqlite_set_read(struct topics_sqlite *topics, struct topics_request *request);
/* Compare with what topics_sqlite_check_load() has read, and transactions have changed since. */
int topics_sqlite_check_run(struct topics_sqlite *topics, struct topics_request *request);
/* 0, or an error of SQLite's. */
int topics_sqlite_check_load(struct topics_sqlite *topics);
/* Remove some of the sets for which nobody asked. */
void topics_sqlite_set_expire(struct topics_sqlite *topics);

/* The job of a request, and of a backup: told apart by where they report. */
void topics_sqlite_backup_finish(struct worker_job *job);
void topics_sqlite_backup_begin(struct topics_sqlite *topics, struct topics_sqlite_backup *backup);
/* Some pages more of the one under way. */
void topics_sqlite_backup_slice(struct topics_sqlite *topics);
/* End the one under way, if there is one, with this status. */
void topics_sqlite_backup_cancel(struct topics_sqlite *topics, int status);

#endif
