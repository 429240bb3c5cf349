/* inbox.h: the rules of one user's inbox (PROMISE §2, §4, §6, §7), sans-I/O.
 *
 * An operation decides, and what it changes goes through events: inbox_emit() writes each to the journal row of the commit
 * under way and applies it. Only routes change without one. Times are passed in.
 *
 * Statuses are those of the peer structs; what must write also ends with txn->refusal when that is set. Files:
 * inbox.c (what all share, acks, trimming), inbox_append.c, inbox_device.c, inbox_read.c. */
#ifndef PETREL_STORE_INBOX_H
#define PETREL_STORE_INBOX_H

#include "store/inbox_state.h"

/* What one operation may use. */
struct inbox_txn {
    uint64_t now_ms;
    uint64_t epoch; /* of the store that owns the logs now */
    const struct store_limits *limits;
    const uint64_t *starts; /* when the store was opened, lately, ascending: its crashes end the routes before */
    size_t starts_count;
    int refusal;         /* 0; else nothing can be made durable, and this is why */
    struct bytebuf *row; /* the journal row: events are appended */
    struct inbox *of;    /* whose events were appended last */
    /* Called before anything of an inbox changes, with the event that will change it; may be NULL. */
    void (*before_change)(struct inbox_txn *txn, struct inbox *inbox, enum journal_type type);
};

/* The page must have been zeroed. Its messages are references that inbox_page_release() gives back. */
int inbox_bind(struct inbox_txn *txn, struct inbox *inbox, const struct peer_bind *bind, struct peer_bound *bound);
void inbox_unbind(struct inbox_txn *txn, struct inbox *inbox, const struct peer_unbind *unbind);
int inbox_enrol(struct inbox_txn *txn, struct inbox *inbox, struct bytes device);
int inbox_remove(struct inbox_txn *txn, struct inbox *inbox, const struct peer_remove *remove,
                 struct peer_removed *removed);

/* A key's record, if there is one, was looked at before. */
int inbox_append(struct inbox_txn *txn, struct inbox *inbox, const struct peer_send *send,
                 struct store_append_out *out);
/* It was accepted before, as `first`: an answer that names the sessions again, while the entry stands in the log. */
void inbox_repeat(const struct inbox_txn *txn, const struct inbox *inbox, const struct peer_send *send,
                  struct peer_sent first, struct store_append_out *out);

/* UNREGISTERED: the device is not enrolled; so for an ack. */
int inbox_fetch(struct inbox_txn *txn, struct inbox *inbox, const struct peer_fetch *fetch, struct peer_page *page);
void inbox_page_release(struct peer_page *page);
/* INVALID: ahead of the log. */
int inbox_ack(struct inbox_txn *txn, struct inbox *inbox, const struct peer_ack *ack);
/* What a check looks at, which can be seen without waking who is at rest. */
struct inbox_standing {
    struct position head;
    bool is_enrolled;   /* the device is; else the rest says nothing */
    struct route route; /* generation 0: none */
    uint64_t attempt;
    uint64_t bound_ms;
};
struct inbox_standing inbox_stand(const struct inbox *inbox, struct bytes device);
enum peer_verdict inbox_check(const struct inbox_txn *txn, const struct inbox_standing *standing,
                              const struct peer_check *check);
int inbox_recall(struct inbox_txn *txn, struct inbox *inbox, const struct id *id);
int inbox_message_state(const struct inbox_txn *txn, const struct inbox *inbox, const struct id *id,
                        struct peer_stated *stated);
int inbox_user(const struct inbox_txn *txn, const struct inbox *inbox, struct peer_user *user);

/* Reclaim what time has freed: expired entries, entries that only lapsed devices held back, and the record itself when
 * nothing in it counts any more. Nothing when txn->refusal is set. */
void inbox_tidy(struct inbox_txn *txn, struct inbox *inbox);
/* The next time at which inbox_tidy() may have something to do; UINT64_MAX: never by itself. */
uint64_t inbox_due_ms(const struct inbox_txn *txn, const struct inbox *inbox);

/* For the files of this module. */

/* Journal and apply an event. With txn->refusal set it is only applied, and the inbox remembers to be journaled whole. */
void inbox_emit(struct inbox_txn *txn, struct inbox *inbox, struct journal_event event);
/* Make the record if there is none and take it over from an earlier owner: before any other event. */
void inbox_own(struct inbox_txn *txn, struct inbox *inbox);
/* The last moment at which a device has not lapsed: lapse_ms after it was last there. While its session lives it binds again every
 * refresh_ms; a route that was left for twice that longer is of a process that is gone. */
uint64_t inbox_lasts_ms(const struct inbox_txn *txn, const struct inbox_device *device);
bool inbox_lapsed(const struct inbox_txn *txn, const struct inbox_device *device);
/* Devices that have not lapsed. */
uint32_t inbox_targets(const struct inbox_txn *txn, const struct inbox *inbox);
/* The oldest go first, wherever several go: of their fates the newest are remembered. */
void inbox_remove_entry(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_entry *entry,
                        enum journal_fate fate);
/* Remove what has expired. */
void inbox_expire(struct inbox_txn *txn, struct inbox *inbox);
/* Remove what every target that has not lapsed has acked. A user without such a device keeps everything. */
void inbox_trim(struct inbox_txn *txn, struct inbox *inbox);
void inbox_advance(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_device *device, uint64_t seq);

/* A position against the log as a device may see it. */
struct inbox_judgement {
    enum session_verdict verdict;
    enum session_gap_reason reason;
    uint64_t from;   /* where the hole begins */
    uint64_t start;  /* what comes next is after this */
    uint64_t floor;  /* the hole ends here or with the first entry left; at least start */
    uint64_t lost;   /* without a rollback: floor less the greater of start and told_floor */
    uint64_t proven; /* the position proves that the device has everything up to here */
};
struct inbox_judgement inbox_judge(const struct inbox *inbox, const struct inbox_device *device,
                                   struct position position, uint64_t told_floor);
/* Fill the page from the judgement on. */
void inbox_read(struct inbox_txn *txn, struct inbox *inbox, const struct inbox_device *device,
                const struct inbox_judgement *at, uint32_t max_entries, uint32_t max_bytes, struct peer_page *page);

#endif
