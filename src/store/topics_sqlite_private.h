/* topics_sqlite_private.h: what the files of the SQLite topics share. Everything on the worker's thread.
 *
 * topics_sqlite.c (port, thread, group commit), _log.c (append, fetch, expiry), _device.c (interest, subscriptions). */
#ifndef PETREL_STORE_TOPICS_SQLITE_PRIVATE_H
#define PETREL_STORE_TOPICS_SQLITE_PRIVATE_H

#include "base/map.h"
#include "driver/sqlite.h"
#include "store/topics_sqlite.h"

struct topics_sqlite_stmts {
    struct sqlite_stmt *topic_select, *topic_insert, *topic_update;
    struct sqlite_stmt *entry_insert, *entry_find, *entry_oldest, *entry_page, *entry_expired, *entry_delete;
    struct sqlite_stmt *topic_shrink;
    struct sqlite_stmt *version_select, *version_upsert;
    struct sqlite_stmt *sub_select, *sub_count, *sub_insert, *sub_delete;
    struct sqlite_stmt *meta_select, *meta_upsert;
};

/* A topic's row. */
struct topics_sqlite_topic {
    int64_t id;
    uint64_t epoch;
    uint64_t base;
    uint64_t head;
    uint64_t floor;
    uint32_t count;
    uint64_t bytes;
};

struct topics_sqlite {
    struct topics base;
    uint32_t magic;
    struct topics_sqlite_config config; /* path is owned */
    struct worker *worker;
    struct sqlite *db;
    struct topics_sqlite_stmts stmts;
    struct map leases; /* by topic's id */
    uint64_t epoch;
    uint64_t now_ms;
    int refusal; /* 0; else nothing can be written, and why */
    int failure; /* of a statement in the transaction under way */
};

/* Keep the first error of the transaction; returns UNAVAILABLE, what the operation ends with if the rest succeeds. */
int topics_sqlite_fail(struct topics_sqlite *topics, int err);

/* 1: found; 0: there is none; or an error that was kept. */
int topics_sqlite_log_find(struct topics_sqlite *topics, struct bytes app, struct bytes name,
                           struct topics_sqlite_topic *out);
/* Find or make it, and take it over from an earlier owner. 0, the refusal, or an error that was kept. */
int topics_sqlite_log_own(struct topics_sqlite *topics, struct bytes app, struct bytes name,
                          struct topics_sqlite_topic *out);
int topics_sqlite_log_append(struct topics_sqlite *topics, struct topics_request *request);
int topics_sqlite_log_fetch(struct topics_sqlite *topics, struct topics_request *request);
/* Remove some of what has expired. */
void topics_sqlite_log_expire(struct topics_sqlite *topics);

int topics_sqlite_device_interest(struct topics_sqlite *topics, struct topics_request *request);
int topics_sqlite_device_subscribe(struct topics_sqlite *topics, struct topics_request *request);
int topics_sqlite_device_unsubscribe(struct topics_sqlite *topics, struct topics_request *request);
/* Nodes whose lease on the topic has not run out. */
uint32_t topics_sqlite_device_nodes(struct topics_sqlite *topics, int64_t topic, uint32_t nodes[TOPICS_NODES_MAX]);
void topics_sqlite_device_init(struct topics_sqlite *topics, uint64_t seed);
void topics_sqlite_device_free(struct topics_sqlite *topics);

#endif
