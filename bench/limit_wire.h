/* limit_wire.h: a socket of petrel-limit, plain, or with OpenSSL on it as its manual has it: an object for each connection, on the
 * descriptor, from its handshake to its end; tickets; buffers that are released while they are empty. Nothing of it is Petrel's. */
#ifndef PETREL_BENCH_LIMIT_WIRE_H
#define PETREL_BENCH_LIMIT_WIRE_H

#include "base/bytes.h"

#include <sys/types.h>

struct ssl_ctx_st; /* OpenSSL's SSL_CTX and SSL */
struct ssl_st;

struct limit_wire {
    int fd;
    struct ssl_st *ssl; /* NULL: plain */
};

/* What all connections share, any thread. NULL: the files can't be used; OpenSSL's words are on stderr. */
struct ssl_ctx_st *limit_wire_context(const char *cert_file, const char *key_file);
/* An HTTP answer with the handshakes that are done, by kind, as a petreld's /metrics has them; its length. NULL: none. */
#define LIMIT_WIRE_METRICS_MAX 512
size_t limit_wire_metrics(struct ssl_ctx_st *context, char text[LIMIT_WIRE_METRICS_MAX]);
/* A connection that was accepted. The handshake is part of reading. */
struct ssl_st *limit_wire_accept(struct ssl_ctx_st *context, int fd);

/* How much was taken, 0 when the socket is full: what was not taken has to come next, as it is. -1: the connection is broken. */
ssize_t limit_wire_send(struct limit_wire wire, struct bytes data);
/* How much there was, 0 when there is nothing yet. -1: the connection is at its end. */
ssize_t limit_wire_recv(struct limit_wire wire, void *out, size_t size);
/* Whether more was read from the socket than was given: epoll does not tell of that. */
bool limit_wire_pending(struct limit_wire wire);
void limit_wire_close(struct limit_wire wire);

#endif
