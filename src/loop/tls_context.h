/* tls_context.h: what the SSL_CTX of a server and of a client have in common. Private to this room. */
#ifndef PETREL_LOOP_TLS_CONTEXT_H
#define PETREL_LOOP_TLS_CONTEXT_H

#include "loop/tls_impl.h"

/* The protocol's name; "" for TLS_ALPN_NONE. */
const char *tls_context_alpn_name(enum tls_alpn alpn);
enum tls_alpn tls_context_alpn(const uint8_t *name, size_t len);

/* An SSL_CTX with versions, suites and groups set. NULL: no memory, or this OpenSSL can't do them. */
SSL_CTX *tls_context_new(const SSL_METHOD *method, enum tls_version min_version);
/* Load certificate, chain and key. 0, or PETREL_E_INVALID and why. */
int tls_context_load(SSL_CTX *context, const char *cert_file, const char *key_file, char *why);
/* Whom to trust. As above; NULL: whom the system trusts. */
int tls_context_trust(SSL_CTX *context, const char *ca_file, char *why);
/* Say that a file is of no use, with OpenSSL's reason where it has one, and forget that. Returns PETREL_E_INVALID. */
int tls_context_fail(char *why, const char *file, const char *what);
/* A client's context as of now, with a reference for SSL_CTX_free(). Any thread. */
SSL_CTX *tls_client_context(struct tls_client *client);

#endif
