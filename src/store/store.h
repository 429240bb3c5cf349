/* store.h: the truth about users: inboxes, device positions, routes.
 *
 * inbox     a user's log of messages that some target device has not acknowledged
 * record    what stays of a user without messages: the devices, their acks, routes, and (epoch, head, base, floor, owner)
 * position  (epoch, seq); seq grows by one per entry, epoch changes when the log forgot something (PROMISE §4)
 * page      a slice of an inbox as one device sees it
 *
 * Every operation is one atomic step on one user, asked from a loop and answered on that loop; but check is a step for each of
 * several users, in any order. Requests and replies are the peer protocol's structs, whose comments in wire/peer_inbox.h and
 * wire/peer_send.h are part of this contract. append and bind meet here: whichever comes second sees the first.
 *
 * To add a store: implement struct store_ops in store_<name>.c with a store_<name>_open() in a header of its own, name it in
 * petreld/backends.c, run tests/contract/test_store against it. */
#ifndef PETREL_STORE_STORE_H
#define PETREL_STORE_STORE_H

#include "loop/worker.h"
#include "wire/peer_inbox.h"
#include "wire/peer_send.h"

struct store;

/* Rules that hold for every user of an app; the defaults of PROMISE §6 and §7. */
struct store_limits {
    uint32_t cap_entries;  /* 200: entries in one inbox */
    uint32_t cap_bytes;    /* 65536: bytes of messages in one inbox */
    uint32_t cap_collapse; /* 16: collapse keys pending */
    uint32_t recent_ids;   /* 64: ids without a key remembered for recent_ms; more is RATE_LIMITED */
    uint64_t recent_ms;    /* 30,000 */
    uint64_t lapse_ms;     /* 30 days unbound: the device holds nothing back any more */
    uint64_t refresh_ms;   /* 3 days: a bind so old is repeated: its check says UNROUTED */
    uint64_t fate_ms;      /* 1 hour: how long the state of what left the log is remembered, at most fates many */
    uint32_t fates;        /* 32 */
};

/* A session that an append found. device says whether the message is for it (else an advance). */
struct store_hit {
    struct route route;
    bool target;
};

/* The one request shape. The caller embeds a store_request, fills the `in` of the operation, and leaves it alone until the
 * callback. `out` is valid until the callback returns and counts only when status is 0, but for `replaced`. */
struct store_request;
typedef void store_done_fn(struct store_request *request);

enum store_op {
    STORE_BIND,
    STORE_UNBIND,
    STORE_ENROL,
    STORE_REMOVE,
    STORE_APPEND,
    STORE_FETCH,
    STORE_ACK,
    STORE_CHECK,
    STORE_RECALL,
    STORE_MESSAGE_STATE,
    STORE_USER,
};

struct store_append_out {
    struct peer_sent sent;
    uint64_t prev;       /* the head just before the entry: Deliver's prev */
    uint32_t hits_count; /* of a duplicate too while it stands in the log: the first answer may be lost */
    struct store_hit hits[ROUTE_DEVICES_MAX];
};

struct store_request {
    struct worker_job job; /* the store's: how the request travels, where a thread is behind it */
    struct loop *home;     /* the caller's loop */
    store_done_fn *done;
    enum store_op op; /* set by store_submit() */
    int status;       /* 0 or a petrel_err: the operation's own, or UNAVAILABLE, TIMEOUT, FULL, BUSY, CLOSING */
    union {
        struct peer_bind bind;
        struct peer_unbind unbind;
        struct peer_target enrol;
        struct peer_remove remove;
        struct peer_send append;
        struct peer_fetch fetch;
        struct peer_ack ack;
        struct peer_checks check;
        struct peer_message_ref recall;
        struct peer_message_ref message_state;
        struct peer_target user;
    } in;
    union {
        struct peer_bound *bound; /* these five are the store's memory, lent until the callback returns */
        struct peer_page *page;
        struct peer_checked *checked;
        struct peer_stated *stated;
        struct peer_user *user;
        struct peer_removed removed;
        struct store_append_out append;
    } out;
};

/* The port. Each: loop thread; 0 means done runs exactly once, later, on request->home; PETREL_E_BUSY or PETREL_E_CLOSING mean
 * that it never does. Statuses stand with the peer structs (INVALID: a name against its rules); every writing one may also end with
 *   FULL         the disk or store is full: nothing was written; bind of a known device, fetch, check, unbind go on
 *   UNAVAILABLE  written or not is unknown: an append may be retried with the same id; BUSY: no server took it, nothing was written
 * A writing operation that ends with 0 is durable when done runs. */
struct store_ops {
    const char *name;
    int (*bind)(struct store *store, struct store_request *request);
    int (*unbind)(struct store *store, struct store_request *request);
    int (*enrol)(struct store *store, struct store_request *request);
    int (*remove)(struct store *store, struct store_request *request);
    int (*append)(struct store *store, struct store_request *request);
    int (*fetch)(struct store *store, struct store_request *request);
    int (*ack)(struct store *store, struct store_request *request);
    int (*check)(struct store *store, struct store_request *request);
    int (*recall)(struct store *store, struct store_request *request);
    int (*message_state)(struct store *store, struct store_request *request);
    int (*user)(struct store *store, struct store_request *request);
    /* Finish what is under way, make it durable, free. Not from a callback of the store; may block for seconds. */
    void (*close)(struct store *store);
};

struct store { /* first member of every implementation */
    const struct store_ops *ops;
};

static inline int store_submit(struct store *store, enum store_op op, struct store_request *request, struct loop *home,
                               store_done_fn *done)
{
    int (*const table[])(struct store *, struct store_request *) = {
        [STORE_BIND] = store->ops->bind,     [STORE_UNBIND] = store->ops->unbind,
        [STORE_ENROL] = store->ops->enrol,   [STORE_REMOVE] = store->ops->remove,
        [STORE_APPEND] = store->ops->append, [STORE_FETCH] = store->ops->fetch,
        [STORE_ACK] = store->ops->ack,       [STORE_CHECK] = store->ops->check,
        [STORE_RECALL] = store->ops->recall, [STORE_MESSAGE_STATE] = store->ops->message_state,
        [STORE_USER] = store->ops->user,
    };
    request->op = op;
    request->home = home;
    request->done = done;
    return table[op](store, request);
}
/* Close and free; NULL inside is fine. */
static inline void store_close(struct store **store)
{
    if (*store != NULL)
        (*store)->ops->close(*store);
    *store = NULL;
}

struct store_limits store_limits_default(void); /* the defaults above */

#endif
