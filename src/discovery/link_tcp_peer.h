/* link_tcp_peer.h: the nodes that a loop calls, as discovery names them. Private to link_tcp. On the link's loop. */
#ifndef PETREL_DISCOVERY_LINK_TCP_PEER_H
#define PETREL_DISCOVERY_LINK_TCP_PEER_H

#include "discovery/link_tcp_impl.h"

struct link_tcp_peer;
/* A new view: nodes that are new are called, those that left are forgotten when their connection is gone. */
void link_tcp_peer_view(struct link_tcp_loop *home, const struct discovery_view *view);
uint32_t link_tcp_peer_number(const struct link_tcp_peer *peer);
/* What discovery says of it: its name, what it takes, where it is called (numeric). */
const char *link_tcp_peer_name(const struct link_tcp_peer *peer);
enum discovery_tls link_tcp_peer_tls(const struct link_tcp_peer *peer);
const char *link_tcp_peer_host(const struct link_tcp_peer *peer, uint16_t *port);
/* The same for people: "host:port", at most DISCOVERY_ADDRESS_MAX + 2 bytes and the final NUL. */
#define LINK_TCP_PEER_ADDRESS_SIZE (DISCOVERY_ADDRESS_MAX + 3)
void link_tcp_peer_address(const struct link_tcp_peer *peer, char out[LINK_TCP_PEER_ADDRESS_SIZE]);
/* The connection to the node whose message role serves the bucket, of those that are up; NULL: none is. */
struct link_tcp_conn *link_tcp_peer_choose(struct link_tcp_loop *home, uint32_t bucket);
/* The connection to that node, if it is up. */
struct link_tcp_conn *link_tcp_peer_find(struct link_tcp_loop *home, uint32_t number);
/* The connection that is being made to it. */
void link_tcp_peer_attach(struct link_tcp_peer *peer, struct link_tcp_conn *conn);
/* Both sides have proved themselves: if it has the message role, the sessions of this loop compare their positions. */
void link_tcp_peer_up(struct link_tcp_peer *peer);
/* Whether this is the first failure since it was up: the one that is logged. */
bool link_tcp_peer_tell_once(struct link_tcp_peer *peer);
/* Its connection is gone: call again, after a while, unless it has left. */
void link_tcp_peer_down(struct link_tcp_peer *peer);
/* Message nodes that are called, all or those that are up. */
uint32_t link_tcp_peer_count(const struct link_tcp_loop *home, bool up);
/* Call nobody any more; forget those without a connection. */
void link_tcp_peer_close(struct link_tcp_loop *home);

#endif
