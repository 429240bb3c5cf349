/* tls_bio.h: what OpenSSL reads from and writes to: the record at hand, and the loop's buffer. Private to this room.
 *
 * OpenSSL's own memory BIOs would keep two buffers in each connection. */
#ifndef PETREL_LOOP_TLS_BIO_H
#define PETREL_LOOP_TLS_BIO_H

#include "loop/tls_impl.h"

/* NULL: no memory. */
BIO_METHOD *tls_bio_method(void);
/* Give the talk's SSL its BIO. False: no memory. */
bool tls_bio_set(struct tls_talk *talk);

#endif
