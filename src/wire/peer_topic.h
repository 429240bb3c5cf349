/* peer_topic.h: what roles ask and tell about topics. Text and bytes borrow until the callback. See peer.h for the words.
 *
 * topic         a log of an app that devices follow; `all` is every device of the app, and nobody subscribes to it
 * condition     bytes that go with an entry (condition.h); absent: it is for every follower
 * interest      a node's lease on a topic: as long as it runs, the node is told what is appended */
#ifndef PETREL_WIRE_PEER_TOPIC_H
#define PETREL_WIRE_PEER_TOPIC_H

#include "base/id.h"
#include "wire/peer_send.h"

#define PEER_TOPIC_NAME_MAX 64
#define PEER_TOPIC_CONDITION_MAX 1024
#define PEER_TOPICS_MAX 64 /* that a device may subscribe to */
#define PEER_TOPIC_ALL "all"

/* TOPIC_SEND: append to the topic's log. Answered as SEND is; the reply's id is the one that was asked for. */
struct peer_topic_send {
    struct bytes app;
    struct bytes topic;
    struct bytes condition;
    struct id id;
    struct buf *message; /* encoded session_message with this id; the callee takes its own reference */
    enum peer_durability durability;
    uint64_t expires_ms;
    bool has_key;
    uint64_t body_hash;
    uint64_t key_expires_ms;
};

/* TOPIC_FETCH: the page after `position`; none: from the head, which is an empty page. NOT_FOUND: there was no log when the store was
 * asked: nothing was ever appended, or all is forgotten. One may have begun by the time that this is heard. */
struct peer_topic_fetch {
    struct bytes app;
    struct bytes topic;
    struct position position;
    uint32_t max_entries; /* at most PEER_PAGE_MAX */
    uint32_t max_bytes;
};
struct peer_topic_entry {
    uint64_t seq;
    uint64_t expires_ms;
    struct buf *message; /* borrowed: the reader takes a reference to keep it */
    struct bytes condition;
};
struct peer_topic_page {
    enum session_verdict verdict; /* GAPPED: gap says what is missing */
    struct position position;     /* after which the page begins, in the log's present epoch */
    uint64_t upto;                /* less than head: ask again from here */
    uint64_t head;
    struct peer_gap gap;
    uint32_t count;
    struct peer_topic_entry entries[PEER_PAGE_MAX];
};

/* TOPIC_INTEREST: tell this node of the topic for so long. The answer is the log's head, which is also the check of who
 * follows it. STALE: a later start of the node asked. */
struct peer_topic_interest {
    struct bytes app;
    struct bytes topic;
    uint32_t node;
    uint64_t incarnation;
    uint64_t lease_ms;
};

/* SUBSCRIBE: from `position` on; none: from the head. Again is the same, and says where the first began. UNSUBSCRIBE: without
 * position. Live sessions of the device are told (RESUBSCRIBED), unless the asker is that session: asked_by. */
struct peer_subscribe {
    struct peer_target target;
    struct bytes topic;
    struct position position;
    struct route asked_by; /* generation 0: a backend */
};
struct peer_subscribed {
    struct position position; /* where the subscription begins */
    uint64_t version;         /* of the device's set: another one after each change */
    uint64_t prev;            /* the one before; 0: the set was empty. Who knew another has missed a change */
};

/* SUBSCRIPTIONS: {target} */
struct peer_subscription {
    struct bytes topic;
    struct position position;
};
struct peer_subscriptions {
    uint64_t version;
    uint32_t count;
    struct peer_subscription all[PEER_TOPICS_MAX];
};

/* TOPIC_DELIVER: an append's hint, to every loop of an interested node. What it says is packed once, and shared. */
struct peer_topic_deliver {
    uint32_t node;
    struct buf *record; /* peer_codec_topic_pack() */
};
struct peer_topic_news {
    struct bytes app;
    struct bytes topic;
    struct position position;
    uint64_t prev;
    uint64_t expires_ms;
    struct bytes condition;
    uint32_t nodes; /* that are told: a pace is shared among them */
    struct bytes message;
};

/* RESUBSCRIBED: the subscriptions of this session's device have changed. */
struct peer_resubscribed {
    struct route route;
};

#endif
