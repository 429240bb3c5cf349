/* tls_refusal.h: whose certificate a failed connection is about.
 *
 * A server tells by an alert that it does not take the certificate shown to it. In TLS 1.2 that ends the handshake; in TLS 1.3 our
 * handshake is done by then, and it comes in place of the first answer. Whoever is told of it has to look at our certificate, where
 * whatever else is wrong with a certificate is wrong with the server's. */
#ifndef PETREL_DRIVER_TLS_REFUSAL_H
#define PETREL_DRIVER_TLS_REFUSAL_H

#include <stdbool.h>

/* Whether it is ours. why: OpenSSL's words, by itself ("tlsv1 alert unknown ca") or as tls_loop_why() has them ("alert: unknown CA"). */
bool tls_refusal_is_of_ours(const char *why);

#endif
