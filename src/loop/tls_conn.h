/* tls_conn.h: a stream's TLS: bytes of the socket in, data out, and back. No sockets. Private to this room.
 *
 * What is to be written to the socket is in tls_loop.out after each call, or is what the call returns; the stream takes it at once. */
#ifndef PETREL_LOOP_TLS_CONN_H
#define PETREL_LOOP_TLS_CONN_H

#include "loop/tls_impl.h"

/* first: what the peer has sent already. It gets in line for its turn (tls_conn_waits()) when that is a whole record, or with the
 * tls_conn_read() that makes it one. */
struct tls_conn *tls_conn_accept(struct tls_loop *tls, struct stream *stream, struct tls_server *server,
                                 struct bytes first);
/* 0, or an error of tls_talk_connect(). */
int tls_conn_connect(struct tls_conn **out, struct tls_loop *tls, struct stream *stream, struct tls_client *client,
                     const char *hostname, struct bytes session);
/* Wipe and free. */
void tls_conn_free(struct tls_conn *conn);

/* It stands in line for its turn: until then nothing is to be read from the socket. */
bool tls_conn_waits(const struct tls_conn *conn);
/* Its turn has come, or its owner does not have it wait: what the peer has sent may be read. 0 or PETREL_E_NOMEM. */
int tls_conn_begin(struct tls_conn *conn);
/* Whether data can be written. */
bool tls_conn_open(const struct tls_conn *conn);

/* Copy what came of a record that is not whole to the front of buffer; what the socket has next goes behind it. Returns its size,
 * less than TLS_HEADER_SIZE + TLS_ANY_MAX. */
size_t tls_conn_partial(const struct tls_conn *conn, uint8_t *buffer);
/* Read len bytes, those of tls_conn_partial() first. data lie at the front of bytes; there may be some along with an error. 0;
 * PETREL_E_EOF; PETREL_E_PROTOCOL; PETREL_E_UNAUTHENTICATED; PETREL_E_BUSY: the loop keeps no more of OpenSSL's objects. After any
 * but 0, nothing more may be read. */
int tls_conn_read(struct tls_conn *conn, uint8_t *bytes, size_t len, struct bytes *data);

/* Seal the len bytes, 1 to TLS_DATA_MAX, that lie at tls_loop.seal + TLS_SEAL_AT, once it is open. What is returned is to be written,
 * and is valid until the next call; empty: the connection is of no use any more. */
struct bytes tls_conn_seal(struct tls_conn *conn, size_t len);
/* Say that nothing more is written, once; nothing happens before it is open. */
void tls_conn_close(struct tls_conn *conn);

#endif
