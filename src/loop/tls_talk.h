/* tls_talk.h: OpenSSL's part of a connection: the handshake, and all of it where it can't be compact. Private to this room.
 *
 * OpenSSL is given one whole record at a time, so that nothing is left in it when the handshake is done and its object can go. What
 * it writes is in tls_loop.out. */
#ifndef PETREL_LOOP_TLS_TALK_H
#define PETREL_LOOP_TLS_TALK_H

#include "loop/tls_impl.h"

/* A server's, that has not begun. */
struct tls_talk *tls_talk_new(struct tls_loop *tls, struct tls_conn *conn, struct stream *stream);
/* Begin as a server. 0 or PETREL_E_NOMEM. */
int tls_talk_accept(struct tls_talk *talk);
/* Begin as a client that wants to speak with hostname (a name or an address), to resume session where there is one. 0;
 * PETREL_E_INVALID: hostname; PETREL_E_NOMEM. */
int tls_talk_connect(struct tls_talk *talk, const char *hostname, struct bytes session);
/* Wipe and free. NULL is fine. */
void tls_talk_free(struct tls_talk *talk);

/* Go on with a whole record of the handshake. 0: more is needed, or *done. PETREL_E_PROTOCOL; PETREL_E_UNAUTHENTICATED: the peer's
 * certificate does not prove that it is who it should be. */
int tls_talk_shake(struct tls_talk *talk, struct bytes record, bool *done);
/* Read a whole record after it. data lie where the record did. 0; PETREL_E_EOF: the peer ends its side; PETREL_E_PROTOCOL. */
int tls_talk_read(struct tls_talk *talk, uint8_t *record, size_t size, struct bytes *data);
/* Write up to TLS_DATA_MAX bytes. 0 or PETREL_E_PROTOCOL. */
int tls_talk_write(struct tls_talk *talk, struct bytes data);
/* Say that nothing more is written. */
void tls_talk_close(struct tls_talk *talk);

enum tls_alpn tls_talk_alpn(const struct tls_talk *talk);
/* Whether the handshake's outcome can be served without OpenSSL; then record is what to go on with. */
bool tls_talk_hand_over(const struct tls_talk *talk, struct tls_record *record);

#endif
