/* topics.h: the truth about topics: logs that many devices read, and which nodes are interested.
 *
 * topic log     entries with (epoch, seq), trimmed by TTL and cap, never by acks (PROMISE §9)
 * condition     bytes that are stored with an entry and handed back with it; who sends it evaluates it
 * interest      a node's lease on a topic: its Delivers; the renewal is the topic's position check
 * subscription  a device's: where it began, and a version of the device's set that is another one after each change
 *
 * A log and the subscriptions of a device are two places, each of which an operation meets in one atomic step. So a device
 * subscribes in two: the node takes interest, which names the head, then the subscription is written with it.
 *
 * Who changes a set tells the device's session, and may fail to. So sessions check: of each the version that it follows is compared
 * with the set's, and only who differs reads its set. An answer to a change brings the version before it, so that a session that
 * changes its set sees whether it has missed a change of others.
 *
 * The request shape is store.h's. To add an implementation: struct topics_ops in topics_<name>.c, its line in
 * petreld/backends.c, tests/contract/test_topics* against it. */
#ifndef PETREL_STORE_TOPICS_H
#define PETREL_STORE_TOPICS_H

#include "store/store.h"
#include "store/topics_log.h"

#define TOPICS_PER_DEVICE_MAX 64

struct topics;
struct topics_request;
typedef void topics_done_fn(struct topics_request *request);

struct topics_subscription {
    struct peer_target device;
    struct bytes topic;       /* unsubscribe: absent for all of the device's, which is gone */
    struct position position; /* subscribe: where it begins */
};
struct topics_subscribed {
    struct position position; /* where it begins */
    uint64_t version;         /* 0: the device has no set */
    uint64_t prev;            /* the version before; 0: the set was empty */
};
struct topics_set {
    uint64_t version;
    uint32_t count;
    struct {
        char topic[TOPICS_NAME_MAX + 1];
        struct position position;
    } all[TOPICS_PER_DEVICE_MAX];
};

enum topics_op {
    TOPICS_APPEND,
    TOPICS_FETCH,
    TOPICS_INTEREST,
    TOPICS_SUBSCRIBE,
    TOPICS_UNSUBSCRIBE,
    TOPICS_SUBSCRIPTIONS,
    TOPICS_CHECK,
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
        struct peer_target subscriptions;
        struct peer_checks check;
    } in;
    union {
        struct topics_appended *appended; /* these four are lent until the callback returns */
        struct topics_page *page;
        struct topics_set *set;
        struct peer_checked *checked; /* CHANGED, or UNKNOWN */
        struct position head;         /* interest */
        struct topics_subscribed subscribed;
    } out;
};

/* Rules and statuses as in struct store_ops. append makes the topic; TOO_LARGE: more than cap_bytes, or a longer condition than
 * TOPICS_CONDITION_MAX; RATE_LIMITED; CONFLICT: the key was used with another body. fetch: NOT_FOUND. interest: STALE: a later
 * start of the node holds the lease; TOO_LARGE: TOPICS_NODES_MAX have one. subscribe: TOO_LARGE: limits.per_device; again is the same and says where
 * the first began. unsubscribe: of what is not subscribed is 0, and the version stays. check: writes nothing, so it keeps no set, and
 * one whose time is over may count as there until it is forgotten; what can't be asked is UNKNOWN, and fails if that is all. */
struct topics_ops {
    const char *name;
    int (*submit)(struct topics *topics, struct topics_request *request);
    void (*close)(struct topics *topics);
};

struct topics { /* first member of every implementation */
    const struct topics_ops *ops;
};

static inline int topics_submit(struct topics *topics, enum topics_op op, struct topics_request *request,
                                struct loop *home, topics_done_fn *done)
{
    request->op = op;
    request->home = home;
    request->done = done;
    return topics->ops->submit(topics, request);
}

/* Close and free; NULL inside is fine. */
static inline void topics_close(struct topics **topics)
{
    if (*topics != NULL)
        (*topics)->ops->close(*topics);
    *topics = NULL;
}

/* What a check says of a session. version: the set's; 0: there is none, or nothing is in it. */
static inline enum peer_verdict topics_compare(const struct peer_check *check, uint64_t version)
{
    const uint64_t truth = version != 0 ? version : PEER_FOLLOWS_NOTHING;
    return check->version == 0 || check->version == truth ? PEER_SAME : PEER_CHANGED;
}

/* The defaults. */
struct topics_limits topics_limits_default(void);
/* What every implementation asks of a request before it acts: names that are names, sizes within limits. 0, INVALID, TOO_LARGE. */
int topics_check(const struct topics_request *request, const struct topics_limits *limits);

#endif
