/* inbox_state.h: one user's state in memory, and the one function that changes what of it is durable.
 *
 * entry      a message in the log that some target device has not acked
 * device     a target: from enrol until it is gone; its route, if it is bound, is memory only
 * floor      the greatest seq removed by the cap; a device has one of its own for what it missed while it had lapsed
 * recent     ids appended lately without an idempotency key, against retries
 * fate       what became of an entry that left the log, for a while
 *
 * The same inbox_state_apply() runs live and in replay, so replay gives the same state. Sans-I/O, no clock. */
#ifndef PETREL_STORE_INBOX_STATE_H
#define PETREL_STORE_INBOX_STATE_H

#include "base/route.h"
#include "store/journal.h"
#include "store/store.h"

#define INBOX_EPOCHS_MAX 4      /* past owners that a position can still be judged against */
#define INBOX_TOMBSTONES_MAX 32 /* the oldest gives way */

struct inbox_entry {
    uint64_t seq;
    struct id id;
    struct buf *message;
    struct buf *collapse_key; /* NULL: none */
    uint64_t expires_ms;
    uint32_t target; /* a device's number; 0: all */
    uint8_t priority;
    bool sent; /* a device may have been sent it */
};

struct inbox_device {
    uint32_t number; /* not used again in this record */
    bool bound;      /* since its last unbind; also true after a crash until it is seen again */
    char name[ROUTE_DEVICE_MAX + 1];
    uint64_t acked;
    uint64_t floor; /* entries up to here may have gone without it: before it enrolled, or while it had lapsed */
    uint64_t told;  /* the log's floor when it enrolled: what was dropped before was never its */
    uint64_t attempt;
    uint64_t bound_ms;  /* last enrol, bind or unbind */
    struct route route; /* generation 0: none */
};

struct inbox_tombstone {
    char name[ROUTE_DEVICE_MAX + 1];
    uint64_t revoked_ms;
};

struct inbox_recent {
    uint64_t hash;
    uint64_t seq;
    uint64_t at_ms;
};

struct inbox_fate {
    uint64_t hash;
    uint64_t seq;
    uint64_t at_ms;
    uint64_t expires_ms;
    enum journal_fate fate;
};

struct inbox {
    struct bytes key;                         /* app, a zero byte, user: the owner's */
    bool unsaved;                             /* changed while the disk was full: the journal lacks it */
    uint32_t epochs_count;                    /* 0: there is no record */
    struct position epochs[INBOX_EPOCHS_MAX]; /* each with its base; the last is the present one */
    uint64_t head;
    uint64_t floor;
    uint64_t next_expiry_ms; /* no entry expires before */
    uint32_t last_number;
    uint32_t devices_count;
    uint32_t tombstones_count;
    uint32_t recent_first; /* where in `recent` the oldest is */
    uint32_t recent_count;
    uint32_t recent_room;
    uint32_t fates_first;
    uint32_t fates_count;
    uint32_t fates_room;
    uint32_t entries_count;
    uint32_t entries_room;
    uint32_t entries_bytes; /* of messages */
    struct inbox_device *devices;
    struct inbox_tombstone *tombstones;
    struct inbox_recent *recent; /* oldest first, as are fates */
    struct inbox_fate *fates;
    struct inbox_entry *entries; /* by seq */
};

static inline bool inbox_state_exists(const struct inbox *inbox)
{
    return inbox->epochs_count > 0;
}

static inline uint64_t inbox_state_epoch(const struct inbox *inbox)
{
    return inbox->epochs_count > 0 ? inbox->epochs[inbox->epochs_count - 1].epoch : 0;
}

/* Whether an entry with this target is for this device. */
static inline bool inbox_state_targets(const struct inbox_entry *entry, const struct inbox_device *device)
{
    return entry->target == 0 || entry->target == device->number;
}

/* By age, the oldest is 0. */
static inline struct inbox_recent *inbox_state_recent(const struct inbox *inbox, uint32_t i)
{
    return &inbox->recent[inbox->recent_first + i];
}
static inline struct inbox_fate *inbox_state_fate(const struct inbox *inbox, uint32_t i)
{
    return &inbox->fates[inbox->fates_first + i];
}

/* NULL when it is not in the record. Borrowed until the next change. */
struct inbox_device *inbox_state_device(const struct inbox *inbox, struct bytes name);
struct inbox_entry *inbox_state_entry(const struct inbox *inbox, const struct id *id);
/* Index of the first entry with a greater seq; entries_count when there is none. */
uint32_t inbox_state_after(const struct inbox *inbox, uint64_t seq);

/* Carry out one event. An event that a record without it could not have (after a FORGET, in replay) is nothing. 0, or
 * PETREL_E_INVALID for a RECORD that does not parse. */
int inbox_state_apply(struct inbox *inbox, const struct store_limits *limits, const struct journal_event *event);

/* Drop recent ids and fates whose time is over; they count for nothing already, so this is no event. */
void inbox_state_prune(struct inbox *inbox, const struct store_limits *limits, uint64_t now_ms);
/* What an inbox was, to go back to. Devices are appended to a buffer that many share; so are entries, but only before an event that
 * inbox_state_disturbs(): others add to their end, and an inbox may be long. Messages are shared. Recent ids and fates come at one end
 * and go at the other: they stay where they are until inbox_state_compact(). Each that was saved is restored or forgotten once, while
 * the buffer still holds what it held. No RECORD is applied meanwhile. */
struct inbox_saved {
    struct inbox inbox;
    size_t at; /* in the buffer */
    size_t entries_at;
    bool has_entries;
};
void inbox_state_save(struct inbox_saved *saved, struct bytebuf *into, const struct inbox *from);
bool inbox_state_disturbs(enum journal_type type);
/* From the same inbox, undisturbed since. The second time it is nothing. */
void inbox_state_save_entries(struct inbox_saved *saved, struct bytebuf *into, const struct inbox *from);
void inbox_state_restore(struct inbox *inbox, const struct inbox_saved *saved, const struct bytebuf *from);
void inbox_state_forget(const struct inbox_saved *saved, const struct bytebuf *from);
/* Between commits: take back the room of recent ids and fates that went. */
void inbox_state_compact(struct inbox *inbox);
/* Free everything; no record is left, the key stays. */
void inbox_state_reset(struct inbox *inbox);
/* About how much memory it holds, itself not counted. */
size_t inbox_state_bytes(const struct inbox *inbox);

#endif
