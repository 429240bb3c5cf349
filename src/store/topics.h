/* topics.h: the truth about topics: logs that many devices read, and which nodes are interested.
 *
 * topic log     entries with (epoch, seq), trimmed by TTL and cap, never by acks (PROMISE §9)
 * interest      a node's lease on a topic: its Delivers; the renewal is the topic's position check
 * subscription  a device's, kept with the device: where it began, and a version that grows with each change
 *
 * The request shape is store.h's. To add an implementation: struct topics_ops in topics_<name>.c, its line in
 * petreld/backends.c, tests/contract/test_topics against it. */
#ifndef PETREL_STORE_TOPICS_H
#define PETREL_STORE_TOPICS_H

#include "store/store.h"

#define TOPICS_NAME_MAX 64   /* bytes: [A-Za-z0-9._:-]+ */
#define TOPICS_NODES_MAX 256 /* interested nodes that one append reports */
#define TOPICS_PER_DEVICE_MAX 64

struct topics;
struct topics_request;
typedef void topics_done_fn(struct topics_request *request);

struct topics_append {
    struct bytes app;
    struct bytes topic;
    struct id id;
    struct buf *message;
    struct bytes condition; /* absent: for every subscriber */
    uint64_t expires_ms;
};
struct topics_appended {
    struct position position;
    uint64_t prev;
    bool duplicate;
    uint32_t nodes_count;
    uint32_t nodes[TOPICS_NODES_MAX]; /* with a lease that has not run out */
};

struct topics_fetch {
    struct bytes app;
    struct bytes topic;
    struct position position;
    uint32_t max_entries;
    uint32_t max_bytes;
};

struct topics_interest {
    struct bytes app;
    struct bytes topic;
    uint32_t node;
    uint64_t incarnation;
    uint64_t lease_ms; /* 0: give the lease up */
};

struct topics_subscription {
    struct peer_target device;
    struct bytes topic;
};
struct topics_subscribed {
    struct position position; /* where it begins */
    uint64_t version;         /* of the device's set of subscriptions */
};

enum topics_op {
    TOPICS_APPEND,
    TOPICS_FETCH,
    TOPICS_INTEREST,
    TOPICS_SUBSCRIBE,
    TOPICS_UNSUBSCRIBE,
};

struct topics_request {
    struct worker_job job;
    struct loop *home;
    topics_done_fn *done;
    enum topics_op op; /* set by topics_submit() */
    int status;
    union {
        struct topics_append append;
        struct topics_fetch fetch;
        struct topics_interest interest;
        struct topics_subscription subscribe;
        struct topics_subscription unsubscribe;
    } in;
    union {
        struct topics_appended *appended; /* lent until the callback returns, as is the page */
        struct peer_page *page;
        struct position head; /* interest */
        struct topics_subscribed subscribed;
    } out;
};

/* Rules and statuses as in struct store_ops. append: TOO_LARGE; a topic is made by its first append or subscriber. fetch,
 * interest: NOT_FOUND. interest: STALE: a later start of the node holds the lease; TOO_LARGE: TOPICS_NODES_MAX have one. subscribe:
 * TOO_LARGE; again is the same. unsubscribe: of what is not subscribed is 0, and the version stays. */
struct topics_ops {
    const char *name;
    int (*append)(struct topics *topics, struct topics_request *request);
    int (*fetch)(struct topics *topics, struct topics_request *request);
    int (*interest)(struct topics *topics, struct topics_request *request);
    int (*subscribe)(struct topics *topics, struct topics_request *request);
    int (*unsubscribe)(struct topics *topics, struct topics_request *request);
    void (*close)(struct topics *topics);
};

struct topics { /* first member of every implementation */
    const struct topics_ops *ops;
};

static inline int topics_submit(struct topics *topics, enum topics_op op, struct topics_request *request,
                                struct loop *home, topics_done_fn *done)
{
    int (*const table[])(struct topics *, struct topics_request *) = {
        [TOPICS_APPEND] = topics->ops->append,           [TOPICS_FETCH] = topics->ops->fetch,
        [TOPICS_INTEREST] = topics->ops->interest,       [TOPICS_SUBSCRIBE] = topics->ops->subscribe,
        [TOPICS_UNSUBSCRIBE] = topics->ops->unsubscribe,
    };
    request->op = op;
    request->home = home;
    request->done = done;
    return table[op](topics, request);
}

/* Close and free; NULL inside is fine. */
static inline void topics_close(struct topics **topics)
{
    if (*topics != NULL)
        (*topics)->ops->close(*topics);
    *topics = NULL;
}

#endif
