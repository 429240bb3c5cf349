/* tls_ticket.h: the keys of tickets. Private to this room.
 *
 * A period's keys are derived from the server's secret and the period's number, so nodes that share the secret need not talk to
 * each other, and none keeps a key in a file. A ticket is taken in the period it was made in and the next. */
#ifndef PETREL_LOOP_TLS_TICKET_H
#define PETREL_LOOP_TLS_TICKET_H

#include "loop/tls_impl.h"

/* Derive the server's ticket_secret from the one of the configuration; absent: at random. */
void tls_ticket_init(struct tls_server *server, struct bytes secret);
/* What OpenSSL calls to seal or open a ticket (SSL_CTX_set_tlsext_ticket_key_evp_cb). SSL's app data is the talk. */
int tls_ticket_keys(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    int sealing);

#endif
