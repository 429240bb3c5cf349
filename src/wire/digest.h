/* digest.h: SHA-256, for what is stored in place of a secret, and HMAC with it, for who proves to know one. On OpenSSL. */
#ifndef PETREL_WIRE_DIGEST_H
#define PETREL_WIRE_DIGEST_H

#include "base/bytes.h"

#define DIGEST_SHA256_BYTES 32

/* The SHA-256 of in. Aborts if OpenSSL refuses, which means it is out of memory. Any thread. */
void digest_sha256(struct bytes in, uint8_t out[DIGEST_SHA256_BYTES]);

/* The HMAC-SHA-256 of in under key (RFC 2104). Aborts as digest_sha256() does. Any thread. */
void digest_hmac_sha256(struct bytes key, struct bytes in, uint8_t out[DIGEST_SHA256_BYTES]);

/* Whether two digests are equal, in a time that does not depend on where they differ. Any thread. */
bool digest_equal(const uint8_t a[DIGEST_SHA256_BYTES], const uint8_t b[DIGEST_SHA256_BYTES]);

#endif
