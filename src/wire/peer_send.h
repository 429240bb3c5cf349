/* peer_send.h: what the API role asks of the message role about messages, users and devices. The store port takes the same
 * structs. Text and bytes borrow until the callback. See peer.h for the words. */
#ifndef PETREL_WIRE_PEER_SEND_H
#define PETREL_WIRE_PEER_SEND_H

#include "base/buf.h"
#include "base/id.h"
#include "wire/peer_inbox.h"

enum peer_priority { PEER_PRIORITY_LOW, PEER_PRIORITY_NORMAL, PEER_PRIORITY_HIGH };
enum peer_durability { PEER_DURABILITY_STANDARD, PEER_DURABILITY_REPLICATED };

/* SEND: append to the user's inbox. UNREGISTERED: the device is not enrolled, or require_device and no device is.
 * RATE_LIMITED: too many ids in the last 30 s. CONFLICT: the key was used with another body. FULL: nothing was written.
 * UNAVAILABLE, TIMEOUT: unknown; retry with the same id. */
struct peer_send {
    struct peer_target target;
    struct id id;
    struct buf *message; /* encoded session_message with this id; the callee takes its own reference */
    struct bytes collapse_key;
    enum peer_priority priority;
    enum peer_durability durability;
    uint64_t sent_ms;
    uint64_t expires_ms;
    bool require_device;
    bool has_key;    /* an idempotency key: key and body_hash count */
    uint8_t key[16]; /* XXH3-128 over (app, target, key) */
    uint64_t body_hash;
    uint64_t key_expires_ms;
};
struct peer_sent {
    struct position position;
    bool duplicate; /* accepted before: id and position are the first's */
    struct id id;
};

/* RECALL: 0; NOT_FOUND; ALREADY_DELIVERED. STATE: 0 or NOT_FOUND (UNKNOWN to users). */
struct peer_message_ref {
    struct peer_target target;
    struct id id;
};

#define PEER_STATE_TABLE(X)                                                                                            \
    X(0, UNKNOWN)                                                                                                      \
    X(1, PENDING)                                                                                                      \
    X(2, DELIVERED)                                                                                                    \
    X(3, EXPIRED)                                                                                                      \
    X(4, RECALLED)                                                                                                     \
    X(5, COLLAPSED)                                                                                                    \
    X(6, DROPPED)
enum peer_state {
#define PEER_STATE_ENUM(num, name) PEER_STATE_##name = (num),
    PEER_STATE_TABLE(PEER_STATE_ENUM)
#undef PEER_STATE_ENUM
};

/* One device of a user. Text is copied here so that a reply needs no other memory. */
struct peer_device {
    char device[ROUTE_DEVICE_MAX + 1];
    uint64_t acked;     /* seq in the log's present epoch */
    struct route route; /* generation 0: not bound */
    uint64_t bound_ms;  /* last bind or unbind, UTC */
};
struct peer_stated {
    enum peer_state state;
    struct position position;
    uint64_t expires_ms;
    uint32_t count; /* target devices while PENDING; acked >= position.seq: it has it */
    struct peer_device devices[ROUTE_DEVICES_MAX];
};

/* ENROL: {target}. REMOVE: forget the device; revoked_ms != 0 leaves a tombstone that refuses older tokens. */
struct peer_remove {
    struct peer_target target;
    uint64_t revoked_ms;
};
struct peer_removed {
    struct route route; /* generation 0: it was not bound */
};

/* USER: {target}; NOT_FOUND when no record. */
struct peer_user {
    struct position head;
    uint64_t floor;
    uint32_t pending;
    uint32_t pending_bytes;
    uint32_t count;
    struct peer_device devices[ROUTE_DEVICES_MAX];
};

#endif
