/* server_peer_tls.h: the certificate that links to other nodes show, both ways. */
#ifndef PETREL_PETRELD_SERVER_PEER_TLS_H
#define PETREL_PETRELD_SERVER_PEER_TLS_H

#include "discovery/discovery.h"
#include "loop/tls.h"

struct config;
struct server;
struct server_loop;

/* peer.tls */
enum discovery_tls server_peer_tls_mode(const struct config *config);
/* peer.tls_name; NULL: each node's own. */
const char *server_peer_tls_name(const struct config *config);
/* As those of server_tls.h; what other nodes would refuse is refused here, with the reason in the log. reload: server_tls_reload()'s, who
 * shows it to the loops. open: before the loop's link listens. */
int server_peer_tls_load(struct server *server);
int server_peer_tls_reload(struct server *server);
void server_peer_tls_open(struct server_loop *node);

#endif
