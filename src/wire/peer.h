/* peer.h: what roles say to each other, decoded. The store port takes the same structs, so that a message node hands on
 * what it was asked. Text and bytes borrow; the sender keeps them until its callback.
 *
 * call   a question with one answer (BIND, SEND ...); its reply is a status and, when that is 0, the reply struct
 * tell   a hint with none (DELIVER, EVICT ...)
 *
 * Read peer_inbox.h (what the session role asks), peer_send.h (what the API asks) and peer_topic.h with it.
 * To add a message: its number in peer_type.h, its struct here, its place in peer_msg, its body in proto/peer.proto, its rows in the tables of
 * peer_codec_encode.c and peer_codec_decode.c. */
#ifndef PETREL_WIRE_PEER_H
#define PETREL_WIRE_PEER_H

#include "wire/peer_inbox.h"
#include "wire/peer_send.h"
#include "wire/peer_topic.h"
#include "wire/peer_type.h"

#define PEER_PROTOCOL_VERSION 1

/* SESSIONS of one loop: from `slot` on, at most limit. The answer is a buf of packed peer_session records. */
struct peer_sessions {
    struct bytes app;  /* absent: all */
    struct bytes user; /* absent: all */
    uint32_t slot;
    uint32_t limit;
};
struct peer_session_list {
    struct buf *records; /* one reference, given to the caller */
    uint32_t count;
    uint32_t next_slot; /* 0: no more */
};

/* DRAIN: have sessions of one loop go to other nodes, by GOAWAY, or look at how far that is. */
enum peer_drain_verb {
    PEER_DRAIN_LOOK = 1, /* nothing changes */
    PEER_DRAIN_BEGIN,    /* all sessions leave, per_second of them; no new one is let in until END */
    PEER_DRAIN_END,      /* those that have not left stay */
    PEER_DRAIN_MOVE, /* count sessions leave, per_second of them; new ones come as ever. Replaces a MOVE under way */
};
struct peer_drain {
    enum peer_drain_verb verb;
    uint32_t per_second; /* BEGIN, MOVE: at least 1, of this loop */
    uint32_t count;      /* MOVE */
};
struct peer_drained {
    bool draining;     /* since BEGIN */
    uint32_t sessions; /* live on this loop */
    uint32_t to_tell;  /* that are to leave and have not been told */
    uint32_t told;     /* told, and still here */
    uint64_t left;     /* told, and gone: since the BEGIN or MOVE */
};

/* DELIVER: an append's hint. message NULL: an advance, nothing for this session. */
struct peer_deliver {
    struct route route;
    struct position position;
    uint64_t prev;
    struct buf *message; /* the receiver takes a reference to keep it */
    bool high;           /* the message's priority: it waits for nothing on its way */
};

/* EVICT: close this session with a code of session_code.h. */
struct peer_evict {
    struct route route;
    uint32_t code;
};

/* APPS: all apps and the keys that sign their devices' tokens; replaces what was known. records is packed by
 * peer_record.h. */
struct peer_apps {
    uint64_t version;
    struct buf *records;
};

struct peer_msg {
    enum peer_type type;
    union {
        struct peer_bind bind;
        struct peer_unbind unbind;
        struct peer_fetch fetch;
        struct peer_ack ack;
        struct peer_checks check;
        struct peer_send send;
        struct peer_message_ref recall;
        struct peer_message_ref state;
        struct peer_target enrol;
        struct peer_remove remove;
        struct peer_target user;
        struct peer_sessions sessions;
        struct peer_drain drain;
        struct peer_deliver deliver;
        struct peer_evict evict;
        struct peer_apps apps;
        struct peer_topic_interest topic_interest;
        struct peer_topic_fetch topic_fetch;
        struct peer_topic_send topic_send;
        struct peer_subscribe subscribe; /* UNSUBSCRIBE, too */
        struct peer_target subscriptions;
        struct peer_topic_deliver topic_deliver;
        struct peer_resubscribed resubscribed;
    };
};

/* The session that a DELIVER, EVICT or RESUBSCRIBED is for. */
static inline const struct route *peer_route_of(const struct peer_msg *msg)
{
    if (msg->type == PEER_DELIVER)
        return &msg->deliver.route;
    return msg->type == PEER_EVICT ? &msg->evict.route : &msg->resubscribed.route;
}

struct peer_reply {
    int status;
    union {
        const struct peer_bound *bound;
        const struct peer_page *fetched;
        const struct peer_checked *checked;
        struct peer_sent sent;
        const struct peer_stated *stated;
        struct peer_removed removed;
        const struct peer_user *user;
        struct peer_session_list sessions;
        struct peer_drained drained;
        struct position topic_head; /* TOPIC_INTEREST */
        const struct peer_topic_page *topic_page;
        struct peer_subscribed subscribed; /* UNSUBSCRIBE, too */
        const struct peer_subscriptions *subscriptions;
    };
};

#endif
