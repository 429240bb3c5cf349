/* journal.h: what happens to inboxes, as events, and their form in a journal row.
 *
 * event    one durable change of one inbox, or an idempotency key; applying events in order gives the state
 * row      the events of one group commit: a time, then for each change of user its name, then events
 * fate     why an entry left its log
 *
 * Sans-I/O. To add an event: its struct here, a case each in put and get (journal.c) and in inbox_apply(). Numbers are on
 * disk: never reuse one. */
#ifndef PETREL_STORE_JOURNAL_H
#define PETREL_STORE_JOURNAL_H

#include "base/buf.h"
#include "base/id.h"

enum journal_type {
    JOURNAL_USER = 1,   /* the events that follow are this user's */
    JOURNAL_CREATE = 2, /* a record made anew */
    JOURNAL_FORGET = 3, /* the record's time is over */
    JOURNAL_RECORD = 4, /* the whole record, replacing what was known */
    JOURNAL_EPOCH = 5,  /* another owner: base = head */
    JOURNAL_ENROL = 6,
    JOURNAL_BOUND = 7,
    JOURNAL_UNBOUND = 8, /* also: seen, without a route */
    JOURNAL_GONE = 9,    /* the device left the record; the entries for it alone were removed before */
    JOURNAL_TOMBSTONE = 10,
    JOURNAL_APPEND = 11, /* the next seq */
    JOURNAL_REMOVE = 12,
    JOURNAL_SENT = 13, /* what the device is a target of, up to seq, may have been sent */
    JOURNAL_ACK = 14,
    JOURNAL_KEY = 15, /* an idempotency key; of no user */
};

enum journal_fate {
    JOURNAL_ACKED = 1,
    JOURNAL_EXPIRED = 2,
    JOURNAL_RECALLED = 3,
    JOURNAL_COLLAPSED = 4,
    JOURNAL_DROPPED = 5,  /* by the cap: raises the floor */
    JOURNAL_ORPHANED = 6, /* the one device it was for is gone */
};

struct journal_key {
    uint8_t digest[16];
    uint64_t body_hash;
    struct id id;
    uint64_t epoch;
    uint64_t seq;
    uint64_t expires_ms;
};

struct journal_append {
    struct id id;
    struct buf *message; /* the reader of an event owns it */
    struct bytes collapse_key;
    uint64_t expires_ms;
    uint32_t target; /* a device's number; 0: all */
    uint8_t priority;
    bool sent;    /* a target had a route */
    bool has_key; /* not among the recent ids: its key remembers it */
};

struct journal_event {
    enum journal_type type;
    uint64_t at_ms; /* the row's time */
    union {
        struct bytes user;   /* USER: app, a zero byte, user */
        struct bytes record; /* RECORD */
        struct {
            uint64_t epoch;
            uint64_t head; /* CREATE */
        } create;          /* CREATE, EPOCH */
        struct {
            uint32_t number;
            struct bytes name;
            uint64_t acked;
        } enrol;
        struct {
            uint32_t number;
            uint64_t attempt; /* BOUND */
        } device;             /* BOUND, UNBOUND, GONE */
        struct {
            struct bytes name;
            uint64_t revoked_ms;
        } tombstone;
        struct journal_append append;
        struct {
            uint64_t seq;
            enum journal_fate fate;
        } remove;
        struct {
            uint32_t number;
            uint64_t seq;
        } reached; /* SENT, ACK */
        struct journal_key key;
    };
};

/* Begin a row. */
void journal_begin(struct bytebuf *row, uint64_t at_ms);
/* Append one event; at_ms is the row's and not written again. */
void journal_put(struct bytebuf *row, const struct journal_event *event);

struct journal_reader {
    struct bytes rest;
    uint64_t at_ms;
};

/* 0 or PETREL_E_INVALID. */
int journal_open(struct journal_reader *reader, struct bytes row);
/* 1: *event is the next one, borrowing from the row; give it to journal_release(). 0: the end. PETREL_E_INVALID. */
int journal_next(struct journal_reader *reader, struct journal_event *event);
void journal_release(struct journal_event *event);

#endif
