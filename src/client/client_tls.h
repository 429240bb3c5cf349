/* client_tls.h: TLS of the client's one connection, on OpenSSL, without sockets: bytes of the socket in, data out, and back.
 * Private to this room.
 *
 * ticket   what the next connection resumes with; it serves the name that it was given for, and lives as long as the client */
#ifndef PETREL_CLIENT_CLIENT_TLS_H
#define PETREL_CLIENT_CLIENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_TLS_SESSION "petrel/1" /* application protocols */
#define CLIENT_TLS_LOOKUP "http/1.1"

struct petrel_tls;
struct client_tls;

/* NULL: memory is out, or ca_file holds no certificates. */
struct client_tls *client_tls_new(const struct petrel_tls *config);
void client_tls_free(struct client_tls **tls);

/* Begin a connection with host, there is none. False: no server can prove to be that, client_tls_why() says more. */
bool client_tls_begin(struct client_tls *tls, const char *host, const char *protocol);
/* It is over, and gone. Harmless where there is none. */
void client_tls_end(struct client_tls *tls);
/* The handshake is done: data may be written. */
bool client_tls_is_up(const struct client_tls *tls);

/* Bytes came: go on with the handshake, until it is up; then client_tls_read(). False: it failed. */
bool client_tls_feed(struct client_tls *tls, const uint8_t *bytes, size_t len);
/* Up to len bytes of data, copied. 0: no more for now; -1: nothing more will come. */
int client_tls_read(struct client_tls *tls, uint8_t *out, size_t len);
/* Take all of it; false: the connection has failed. */
bool client_tls_write(struct client_tls *tls, const uint8_t *bytes, size_t len);
/* Say that nothing more is written. */
void client_tls_close(struct client_tls *tls);
/* What is to be sent, all of it, and then client_tls_sent(). *bytes is valid until the next call. */
size_t client_tls_output(struct client_tls *tls, const uint8_t **bytes);
void client_tls_sent(struct client_tls *tls);
/* Why it failed, for people; valid until the next call. */
const char *client_tls_why(const struct client_tls *tls);

#endif
