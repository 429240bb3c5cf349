/* topics_log.h: what topics.h asks of one topic's log, and what it answers. */
#ifndef PETREL_STORE_TOPICS_LOG_H
#define PETREL_STORE_TOPICS_LOG_H

#include "wire/peer_inbox.h"
#include "wire/peer_send.h"

#define TOPICS_NAME_MAX 64 /* bytes: [A-Za-z0-9._:-]+ */
#define TOPICS_CONDITION_MAX 1024
#define TOPICS_NODES_MAX 256 /* interested nodes that one append reports */

/* The head of a log to which nothing was ever appended: who reads from here misses nothing, whenever the log begins. */
#define TOPICS_BEGIN ((struct position){1, 0})

/* Rules that hold for every topic. */
struct topics_limits {
    uint32_t cap_entries; /* 1000: in one log */
    uint32_t cap_bytes;   /* 1 MiB: of messages and conditions in one log */
    uint32_t per_device;  /* 64, at most TOPICS_PER_DEVICE_MAX: subscriptions of one device */
    uint32_t recent_ids;  /* 65,536: ids remembered for one topic; more is RATE_LIMITED */
    uint64_t recent_ms;   /* 30,000: how long an id without an idempotency key is remembered */
    uint64_t keep_ms;     /* 60 days: a log to which nobody appends and in which nobody is interested is forgotten */
    uint64_t lapse_ms;    /* 30 days: likewise a device's subscriptions for which nobody asks; less than keep_ms */
};

struct topics_append {
    struct bytes app;
    struct bytes topic;
    struct id id; /* with has_key derived from it: what is sent again has the same */
    struct buf *message;
    struct bytes condition; /* absent: for every subscriber */
    uint64_t expires_ms;
    enum peer_durability durability;
    bool has_key; /* an idempotency key: remembered for longer, with what it was used for */
    uint64_t body_hash;
    uint64_t key_expires_ms;
};
struct topics_appended {
    struct position position;
    uint64_t prev;
    bool duplicate; /* of an id that is remembered: position is the first's. Who tells the nodes again does no harm */
    uint32_t nodes_count;
    uint32_t nodes[TOPICS_NODES_MAX]; /* with a lease that has not run out */
};

struct topics_fetch {
    struct bytes app;
    struct bytes topic;
    struct position position; /* none: from the head */
    uint32_t max_entries;     /* at most PEER_PAGE_MAX */
    uint32_t max_bytes;       /* of messages and conditions; but the first entry is always there */
};
struct topics_entry {
    uint64_t seq;
    uint64_t expires_ms;
    struct buf *message;
    struct bytes condition; /* absent: for every subscriber */
};
struct topics_page {
    enum session_verdict verdict; /* NEW: asked without a position; GAPPED: gap says what is missing */
    struct position position;     /* after which the page begins: the prev of its first entry */
    uint64_t upto;                /* less than head: ask again from here */
    uint64_t head;
    struct peer_gap gap;
    uint32_t count;
    struct topics_entry entries[PEER_PAGE_MAX];
};

struct topics_interest {
    struct bytes app;
    struct bytes topic;
    uint32_t node;
    uint64_t incarnation;
    uint64_t lease_ms; /* 0: give the lease up */
};

#endif
