/* tls_peer.h: certificates of peers, and the names in them. Private to this room; tls.h has the rest. */
#ifndef PETREL_LOOP_TLS_PEER_H
#define PETREL_LOOP_TLS_PEER_H

#include "loop/tls_impl.h"

#include <openssl/x509.h>

/* Of whom the handshake was with; NULL: it showed no certificate. The caller's. */
struct tls_peer *tls_peer_of(SSL *ssl);
/* Whether a certificate is name's: a host's, or an address. */
bool tls_peer_certifies(X509 *certificate, const char *name);
/* The hosts it is for, by ", "; where it names none, its subject's common name. */
void tls_peer_read_names(X509 *certificate, char out[TLS_NAMES_SIZE]);

#endif
