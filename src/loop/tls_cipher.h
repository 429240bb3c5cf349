/* tls_cipher.h: the primitives of TLS 1.3's record layer, as OpenSSL gives them: AEAD and key derivation. Private to this room.
 *
 * suite    one of TLS 1.3's three that everyone has: an AEAD and the hash of its key schedule
 * keys     what one direction of one connection is protected with
 *
 * A loop has one struct tls_cipher for all its connections: its contexts are given the key with each record, which takes 0.1 µs and
 * saves 2.3 KB in each connection. */
#ifndef PETREL_LOOP_TLS_CIPHER_H
#define PETREL_LOOP_TLS_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_SECRET_MAX 48U
#define TLS_KEY_MAX 32U
#define TLS_NONCE_SIZE 12U
#define TLS_TAG_SIZE 16U

enum tls_suite { TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256 };
#define TLS_SUITES 3

struct tls_cipher;

struct tls_keys {
    uint8_t secret[TLS_SECRET_MAX]; /* the traffic secret, from which the next generation is derived */
    uint8_t key[TLS_KEY_MAX];
    uint8_t iv[TLS_NONCE_SIZE];
};

/* NULL: this OpenSSL has not all that is needed. */
struct tls_cipher *tls_cipher_new(void);
void tls_cipher_free(struct tls_cipher **cipher);

/* Whether the suite of that number of IANA's (0x1301 to 0x1303) is one of ours. */
bool tls_cipher_suite(uint16_t number, enum tls_suite *suite);
/* Bytes of the suite's traffic secrets. */
size_t tls_cipher_secret_size(enum tls_suite suite);

/* Key and iv of a traffic secret (RFC 8446, 7.3), which is copied into keys. */
void tls_cipher_set(struct tls_cipher *cipher, enum tls_suite suite, const uint8_t *secret, struct tls_keys *keys);
/* The next generation of the secret (7.2), its key and its iv. */
void tls_cipher_update(struct tls_cipher *cipher, enum tls_suite suite, struct tls_keys *keys);

/* Seal len bytes in place as record number seq; the tag goes behind them. aad: the record's header. */
void tls_cipher_seal(struct tls_cipher *cipher, enum tls_suite suite, const struct tls_keys *keys, uint64_t seq,
                     const uint8_t aad[5], uint8_t *bytes, size_t len);
/* Open len bytes, without the tag behind them, in place. False: they are not what was sealed; the bytes are of no use then. */
bool tls_cipher_open(struct tls_cipher *cipher, enum tls_suite suite, const struct tls_keys *keys, uint64_t seq,
                     const uint8_t aad[5], uint8_t *bytes, size_t len);

#endif
