/* server_tls.h: the certificates that a server shows to devices and backends; reloading is also of those for nodes and of
 * what stores are connected to with. */
#ifndef PETREL_PETRELD_SERVER_TLS_H
#define PETREL_PETRELD_SERVER_TLS_H

#include "loop/tls.h"

struct server;
struct server_loop;

/* load: main thread, loops not running; the log explains an error. reload: the server's thread; when the files are of no
 * use, what there is stays. open: on the loop, when a role was made that shows them, before it listens. */
int server_tls_load(struct server *server);
int server_tls_reload(struct server *server);
void server_tls_open(struct server_loop *node);
/* Say what there is, and until when. */
void server_tls_log(const struct tls_server *tls);
/* api_host's certificate and reload; ctx is the server; on the server's thread. */
bool server_tls_certificate(void *ctx, size_t index, struct tls_certificate *out, const char **use);
int server_tls_host_reload(void *ctx);

#endif
