#include "wire/digest.h"

#include "base/object.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <limits.h>

void digest_sha256(struct bytes in, uint8_t out[DIGEST_SHA256_BYTES])
{
    unsigned len = 0;
    const int done = EVP_Digest(in.ptr, in.len, out, &len, EVP_sha256(), NULL);
    petrel_assert(done == 1 && len == DIGEST_SHA256_BYTES);
}

void digest_hmac_sha256(struct bytes key, struct bytes in, uint8_t out[DIGEST_SHA256_BYTES])
{
    unsigned len = 0;
    petrel_assert(key.len <= INT_MAX);
    /* OpenSSL takes NULL for "the key of the last time"; an empty key is a key. */
    const void *bytes = key.ptr != NULL ? (const void *)key.ptr : "";
    const uint8_t *done = HMAC(EVP_sha256(), bytes, (int)key.len, in.ptr, in.len, out, &len);
    petrel_assert(done != NULL && len == DIGEST_SHA256_BYTES);
}

bool digest_equal(const uint8_t a[DIGEST_SHA256_BYTES], const uint8_t b[DIGEST_SHA256_BYTES])
{
    return CRYPTO_memcmp(a, b, DIGEST_SHA256_BYTES) == 0;
}
