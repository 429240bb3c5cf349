/* session_role.h: the session role: it holds connections and nothing else. One object per loop; it can be lost at any time.
 *
 * session   one live connection of a device: a slot in the loop's table with a generation
 * at        the position up to which everything meant for the session has been written to its socket (PROMISE §2)
 * acked     the position up to which the device has acked
 * behind    a session that can't take Delivers (binding, socket full, a hole seen): it refills from the log by FETCH
 * check     comparing at and route with the truth
 *
 * It asks the message role through the link and never a store. Rules it keeps: a Deliver is accepted iff prev <= at < seq,
 * dropped if seq <= at, else the session is behind; nothing is queued per session but what its socket holds.
 *
 * Read: session_impl.h (what a session is), session_busy (what only a busy one has), session_identity (for whom it is),
 * session_role.c (life of the role), session_table (slots), session_conn (one connection's states), session_greet (what a
 * connection speaks), session_http, session_websocket, session_edge (what they keep), session_door (before CONNECT), session_penalty
 * (addresses with bad tokens), session_flood (what a device may send), session_auth (keys, tokens), session_bind (from CONNECT to
 * live), session_flow (at, behind, pages), session_ack, session_agenda (what waits), session_check (the sweep, paced checks), session_due
 * (when it visits whom),
 * session_admission (how many come in), session_window (how many are bound at a time), session_goaway (telling one to go
 * elsewhere), session_move (an operator's drain and move), session_drain (the end), session_call (calls to
 * the message role). */
#ifndef PETREL_SESSION_SESSION_ROLE_H
#define PETREL_SESSION_SESSION_ROLE_H

#include "base/metrics.h"
#include "base/netaddr.h"
#include "discovery/discovery.h"
#include "discovery/link.h"
#include "loop/listener.h"

#include <stdatomic.h>

struct session_role;

struct turnstile;

struct session_config {
    /* These four say what one read of a session may hold, and stand together for it. */
    uint32_t max_bytes_per_second;  /* of a device; beyond: TOO_FAST; over max_frame_bytes; 0: no limit, the default */
    uint32_t max_frames_per_second; /* likewise, ACKs of what it was sent aside */
    uint32_t max_frame_bytes;       /* 1,024 .. 1,048,576, and over any message by 1,024; default 65,536 */
    uint32_t high_water_bytes;      /* unsent bytes that make a session behind; default 65,536 */
    const char *host;
    uint16_t port;                            /* 0: the kernel chooses */
    uint32_t max_sessions;                    /* of this loop; beyond: OVERLOADED */
    uint32_t connect_timeout_ms;              /* from accept to a whole CONNECT; default 10,000 */
    uint32_t max_unauthenticated;             /* sockets of this loop before CONNECT; default 10,000 */
    uint32_t max_unauthenticated_per_address; /* default 256 */
    uint32_t heartbeat_s;                     /* told to clients; default 240 */
    uint32_t heartbeat_min_s;                 /* bounds for what a client asks; default 10 */
    uint32_t heartbeat_max_s;                 /* default 1,200 */
    uint32_t ack_delay_ms;     /* acks are coalesced for so long before they go to the log; default 100 */
    uint32_t check_interval_s; /* default 300 */
    uint32_t slow_timeout_ms;  /* a socket that takes nothing for so long is closed (SLOW); default 60,000 */
    uint32_t backoff_ms;       /* told with codes 3000-3499; default 1,000 */
    uint32_t topic_lease_ms; /* of the node's interest in a topic; renewed, and checked, thrice in it; default 60,000 */
    uint32_t connects_per_second; /* let in by this loop; more wait in the listener's backlog; 0: no limit */
    uint32_t max_handshakes;      /* sockets of this loop that are not live yet; more wait likewise; default 16,384 */
    uint32_t bind_target_ms; /* what a bind may take before fewer are asked at a time, and turns, by 2; default 20 */
    const atomic_bool
        *memory_short; /* while it is set, who connects is refused; written by any thread. NULL: it never is */
    uint32_t
        bad_tokens_per_address; /* of this loop, before the address is to wait; 0: as many as come, which is the default */
    uint32_t
        app_connects_per_second; /* of an app, on the node, that has no limit of its own; 0: no limit, the default */
    uint32_t
        address_connects_per_second; /* taken by this loop from an address, of IPv6 a network of 64 bits; 0: no limit, the default */
    const char *
        origins; /* of browsers' pages that may connect, to apps that have none of their own, by commas; "*", the default: all; "": none */
    struct netaddr_set proxy_from; /* who begins with a PROXY header, and must; default: nobody */
    const char *node_name;
    uint32_t node;
    uint64_t incarnation;
    uint32_t loops;               /* of this node, with a session role each; default 1 */
    struct turnstile *broadcasts; /* of this node: whose loops send to all their sessions; NULL: any number. Borrowed */
    /* The loop began or ended to drain, as an operator asked (PEER_DRAIN): the node's state. On the loop. May be NULL. */
    void (*on_draining)(void *ctx, bool draining);
    void *ctx;
};

struct session_config session_role_defaults(void);

/* Registers as the link's session server. config is copied, its texts too. Until the first APPS came, CONNECT is
 * answered UNAVAILABLE (3003): a client that is fast after a restart must not be told to stay away. */
int session_role_new(struct session_role **out, struct loop *loop, struct link *link,
                     const struct session_config *config, struct metrics_shard *metrics);
/* Open the listener; *port is the one in use. Errors of listener_open(). */
int session_role_listen(struct session_role *role, uint16_t *port);
/* The TLS that connections from here on may speak; a reference is taken. required: they must. NULL: they can't. On the loop. */
void session_role_set_tls(struct session_role *role, struct tls_server *tls, bool required);
/* Who there is: a discovery_watch_fn, with the role as ctx. GOAWAY names nodes of the newest view. On the loop. */
void session_role_view(void *role, struct discovery_view *view);
/* Stop accepting and send GOAWAY to every session: code, close after deadline_ms, reconnect spread over spread_ms; over more, where
 * the other nodes to go to admit fewer in that time. */
void session_role_drain(struct session_role *role, uint32_t code, uint32_t deadline_ms, uint32_t spread_ms);
/* Close every session (acks that were read are written first), then free, then done(ctx). On the loop. */
void session_role_close(struct session_role **role, void (*done)(void *ctx), void *ctx);

uint32_t session_role_count(const struct session_role *role);

#endif
