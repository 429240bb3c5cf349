#include "wire/digest.h"

#include "base/object.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

void digest_sha256(struct bytes in, uint8_t out[DIGEST_SHA256_BYTES])
{
    unsigned len = 0;
    const int done = EVP_Digest(in.ptr, in.len, out, &len, EVP_sha256(), NULL);
    petrel_assert(done == 1 && len == DIGEST_SHA256_BYTES);
}

bool digest_equal(const uint8_t a[DIGEST_SHA256_BYTES], const uint8_t b[DIGEST_SHA256_BYTES])
{
    return CRYPTO_memcmp(a, b, DIGEST_SHA256_BYTES) == 0;
}
