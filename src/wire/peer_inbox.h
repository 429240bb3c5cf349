/* peer_inbox.h: what the session role asks of the message role about one device's inbox. The store port takes the same
 * structs. Text and bytes borrow until the callback. See peer.h for the words. */
#ifndef PETREL_WIRE_PEER_INBOX_H
#define PETREL_WIRE_PEER_INBOX_H

#include "base/buf.h"
#include "base/route.h"
#include "wire/session.h"

#define PEER_PAGE_MAX 64      /* entries in one reply */
#define PEER_PAGE_BYTES 65536 /* and about so many bytes of messages */
#define PEER_CHECKS_MAX 256   /* sessions in one CHECK */

struct peer_target {
    struct bytes app;
    struct bytes user;
    struct bytes device; /* absent: all devices, or not asked */
};

/* Whether it is a device, by names that follow their rules. */
static inline bool peer_target_is_device(const struct peer_target *target)
{
    return route_valid_app(target->app) && route_valid_user(target->user) && route_valid_device(target->device);
}

struct peer_entry {
    uint64_t seq;
    struct buf *message; /* an encoded session_message; borrowed: the reader takes a reference to keep it */
    uint64_t expires_ms;
};

struct peer_gap {
    enum session_gap_reason reason; /* SESSION_GAP_NONE: no gap */
    uint64_t from;
    uint64_t to;    /* ends before the first entry that is left, so it may be below floor, even equal to from */
    uint64_t floor; /* losses up to here are told with this gap: the reader's told_floor from now on */
    uint64_t lost_at_most;
};

/* A page of a log, for one device. Entries of `entries` are for this device and ordered; upto is the position up to which
 * everything meant for the device is in this page or before it, head the log's last seq: upto < head means ask again. */
struct peer_page {
    uint64_t epoch;
    uint64_t upto;
    uint64_t head;
    struct peer_gap gap;
    uint32_t count;
    struct peer_entry entries[PEER_PAGE_MAX];
};

/* BIND: write the route, enrol the device if it is new, judge its position, read the first page. Again with the same
 * route and attempt it is the same bind. STALE: a greater attempt is stored. REVOKED: token_issued_ms is not after the
 * device's revocation. TOO_LARGE: ROUTE_DEVICES_MAX devices that have not lapsed. */
struct peer_bind {
    struct peer_target target;
    uint64_t attempt;
    uint64_t token_issued_ms;
    struct position position;
    struct route route;
    uint32_t max_entries; /* at most PEER_PAGE_MAX */
    uint32_t max_bytes;
    bool live; /* binding again: position is what the session was sent, which is no proof that the device has it */
};
struct peer_bound {
    enum session_verdict verdict;
    struct position position; /* where the session goes on, in the log's present epoch; after a gap its end */
    struct route replaced;    /* generation 0: none; else the session that held the device until now */
    bool unnoted;             /* FULL: what the position proves is not in the log; it is to be acked again */
    struct peer_page page;    /* page.gap as with GAPPED; what comes after position */
};

/* UNBIND: delete the device's route if it equals this one as a whole. Always 0. */
struct peer_unbind {
    struct peer_target target;
    struct route route;
};

/* FETCH: the page after `position`. told_floor: losses up to here have been told, so are no gap again. */
struct peer_fetch {
    struct peer_target target;
    struct position position;
    uint64_t told_floor;
    uint32_t max_entries;
    uint32_t max_bytes;
};

/* ACK: the device has everything up to here. An older one than stored is 0 and nothing. */
struct peer_ack {
    struct peer_target target;
    struct position position;
};

enum peer_verdict {
    PEER_UNKNOWN = 0,
    PEER_SAME = 1,
    PEER_BEHIND = 2,
    PEER_UNROUTED = 3,
    PEER_REPLACED = 4,
    PEER_CHANGED = 5,
};
#define PEER_FOLLOWS_NOTHING 1U /* a version is a time in ms, so never this */
/* What one session believes, to be compared with the truth. REPLACED: another session holds the device; UNROUTED also when that
 * one is of an older attempt: the log has forgotten the bind after it; and now and then, so that a session that lives is seen to.
 * CHANGED: the device's subscriptions are of another version than those that the session follows, which its log says nothing of.
 * UNKNOWN: the log could not be asked; ask again. */
struct peer_check {
    struct peer_target target;
    struct position position;
    struct route route;
    uint64_t attempt; /* 0: not known */
    uint64_t version; /* of the subscriptions that it follows; PEER_FOLLOWS_NOTHING; 0: not to be compared */
};
/* CHECK: what several sessions of one loop believe. Whoever is asked may split them, so each is compared by itself; the call fails
 * only as a whole. */
struct peer_checks {
    struct route route; /* its incarnation, node and loop are those of all; slot and generation are each entry's own */
    uint32_t count;     /* 1 .. PEER_CHECKS_MAX */
    struct bytes entries; /* packed: peer_check.h */
};
#define PEER_CHECKED_MAX (2 * PEER_CHECKS_MAX)
/* Those that are not SAME, in the order of the entries: an idle server's are none. One may stand there twice: with what its log says,
 * then as CHANGED or UNKNOWN for its subscriptions. */
struct peer_checked {
    uint32_t count;
    struct peer_differing {
        uint16_t entry; /* its number, from 0 */
        uint8_t verdict;
    } differing[PEER_CHECKED_MAX];
};

static inline void peer_checked_add(struct peer_checked *checked, uint32_t entry, enum peer_verdict verdict)
{
    if (verdict != PEER_SAME)
        checked->differing[checked->count++] = (struct peer_differing){(uint16_t)entry, (uint8_t)verdict};
}

#endif
