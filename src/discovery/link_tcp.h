/* link_tcp.h: links between the roles of several processes, over TCP; those of one process meet through link_local inside it.
 *
 * peer        another node that this one calls; every loop makes a connection to it. Nodes with the message role are called by who
 *             needs it: the session roles, and nodes that have none of their own. Nodes of the API alone are called by the session
 *             roles, so that they can ask and tell those
 * caller      the side that made a connection; the session and API roles' side
 * called      the side that took it, on the loop where it lives: the message role's side, and the API's
 * directory   which loop of the called node holds the connection of (node, loop), known to all its loops
 * window      calls under way on one connection, each way; the smaller of what the two sides say
 *
 * Calls to the message role go to this process's own when it has one, else to the peer that the user's bucket falls to, of those
 * that are up. Nothing is tried twice here. A tell goes to the connection of the loop that the route names; when that is not there,
 * or takes no more, the tell is dropped, and the sessions of that loop compare their positions with the log: after each hello, after
 * a DIRTY, and when a peer is lost. proto/README.md section 14 is the protocol.
 *
 * A node asks and tells the session roles of those that have called it: the directory's. A connection from who has no message role says
 * nothing of positions, so its hello is no reason to compare them.
 *
 * With TLS (link_tcp_secure()) both sides show a certificate that is their node's: by the name that discovery has for who is called,
 * and that the caller says in its hello. Names, not addresses: a node keeps its own when it moves, and a caller's address says nothing
 * behind a NAT. The shared secret is still asked for. A node that may speak TLS takes both, and calls with TLS whoever discovery says
 * takes it; so a running cluster goes from off to optional, node by node, and from there to required.
 *
 * Read: link_tcp_impl.h (what a loop's link is), link_tcp.c (the port), link_tcp_conn (one connection), link_tcp_calls (calls on it,
 * both ways), link_tcp_peer (who is called), link_tcp_directory (who has called). */
#ifndef PETREL_DISCOVERY_LINK_TCP_H
#define PETREL_DISCOVERY_LINK_TCP_H

#include "discovery/discovery.h"
#include "discovery/link.h"
#include "loop/tls.h"

#define LINK_TCP_SECRET_MIN 16 /* bytes */

struct link_tcp_config {
    uint32_t node;
    uint64_t incarnation;
    const char *name;
    uint32_t roles;           /* of this process, of enum discovery_role: whom it calls goes by them: see peer */
    struct bytes secret;      /* that all nodes share; at least LINK_TCP_SECRET_MIN */
    enum discovery_tls tls;   /* which links speak it */
    const char *tls_name;     /* of all nodes' certificates; NULL: of each the node's own */
    uint32_t call_timeout_ms; /* 12,000: a call's deadline, kept to within a heartbeat */
    uint32_t heartbeat_ms;    /* 1,000: a PING when nothing else was written for so long */
    uint32_t silence_ms; /* 5,000: a peer not heard for so long is dead; also the deadline of connecting and hello */
    uint32_t backoff_ms; /* 100: after a failed connection; doubles, with jitter, up to */
    uint32_t backoff_max_ms;  /* 5,000 */
    uint32_t window;          /* 1,024 */
    uint32_t outbox_bytes;    /* 8 MiB: unsent bytes beyond which calls are BUSY and tells are dropped */
    uint32_t max_connections; /* 4,096: taken by one loop */
    uint32_t max_strangers;   /* 256: of them, those that have not proved themselves yet */
};

struct link_tcp_config link_tcp_defaults(void);

struct link_tcp; /* the process's set of links, one per loop */

/* Make the set; loop i has index i. Copies the config. Main thread, before the loops run. 0, or PETREL_E_INVALID: the secret is too
 * short, the name too long (PEER_CODEC_NAME_MAX), or a number is 0. */
int link_tcp_new(struct link_tcp **out, const struct link_tcp_config *config, struct loop *const *loops, size_t count);
/* The link of loops[index]; owned by the set. Its close() ends connections, and the loop then runs until they are gone. */
struct link *link_tcp_at(struct link_tcp *set, size_t index);

/* Speak TLS on connections made or taken from here on, as config.tls says; references are taken. server asks for certificates, and is for
 * nodes (tls.h). Before the link listens or has a view, unless tls is off; and again when there are new certificates. On the loop. */
void link_tcp_secure(struct link *link, struct tls_server *server, struct tls_client *client);
/* Take connections from other nodes on this loop; *port is the one in use. On the loop, once. Errors of listener_open(). */
int link_tcp_listen(struct link *link, const char *host, uint16_t port, uint16_t *actual);
/* Who is there: a discovery_watch_fn, with the link as ctx; also called with the first view. On the loop. A node whose connection
 * is up stays in use even when the view lacks it (PROMISE §11). */
void link_tcp_view(void *link, struct discovery_view *view);

/* Whether a connection stands between this process and a loop of that one, whoever made it. On the loop. */
bool link_tcp_reaches(struct link *link, uint32_t node, uint64_t incarnation);

struct link_tcp_stats {
    uint32_t peers;     /* message nodes known */
    uint32_t peers_up;  /* connected: calls can be answered */
    uint32_t called_by; /* loops of other nodes connected to this loop */
    uint32_t known;     /* loops of other nodes connected to any loop of this process */
    uint32_t secure;    /* those known, and the connections of this loop to peers, that speak TLS */
    uint32_t plain;     /* likewise, that do not */
    uint32_t calls;     /* of ours, under way on all connections */
    uint64_t dropped;   /* tells, for want of room */
    uint64_t refused;   /* connections closed before both sides had proved themselves */
};
/* On the loop. */
void link_tcp_stats(struct link *link, struct link_tcp_stats *out);

/* After the loops have been freed. No call may be under way (asserted). NULL inside is fine. */
void link_tcp_free(struct link_tcp **set);

#endif
