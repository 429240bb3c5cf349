#include "wire/token_public.h"

#include "base/err.h"
#include "base/object.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define PUBLIC_MAGIC OBJECT_MAGIC('T', 'P', 'U', 'B')
#define HS256_BYTES 32
#define ES256_BYTES 64
#define ES256_HALF 32
#define ES256_DER_MAX 80
#define ES256_CURVE "prime256v1"
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096
#define CURVE_NAME_MAX 64

struct token_public {
    uint32_t magic;
    enum token_algorithm algorithm;
    EVP_PKEY *key;
};

/* ---- algorithms ---- */

static const char *const names[] = {[TOKEN_HS256] = "HS256", [TOKEN_ES256] = "ES256", [TOKEN_RS256] = "RS256"};

#define NAMES_COUNT (sizeof names / sizeof names[0])

const char *token_public_algorithm_name(unsigned algorithm)
{
    return algorithm < NAMES_COUNT ? names[algorithm] : NULL;
}

bool token_public_algorithm_find(struct bytes name, enum token_algorithm *out)
{
    for (unsigned i = TOKEN_HS256; i < NAMES_COUNT; i++) {
        if (!bytes_equal_str(name, names[i]))
            continue;
        *out = (enum token_algorithm)i;
        return true;
    }
    return false;
}

bool token_public_signature_fits(enum token_algorithm algorithm, size_t len)
{
    switch (algorithm) {
    case TOKEN_HS256:
        return len == HS256_BYTES;
    case TOKEN_ES256:
        return len == ES256_BYTES;
    case TOKEN_RS256:
        return len >= RSA_BITS_MIN / 8 && len <= RSA_BITS_MAX / 8;
    }
    return false;
}

/* ---- keys ---- */

/* NULL when it is one that we take, else what is wrong with it. */
static const char *find_fault(EVP_PKEY *key, enum token_algorithm *algorithm)
{
    char curve[CURVE_NAME_MAX] = "";
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
        *algorithm = TOKEN_ES256;
        (void)EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL);
        return strcmp(curve, ES256_CURVE) == 0 ? NULL : "an EC key must be on the curve P-256 (prime256v1)";
    case EVP_PKEY_RSA:
        *algorithm = TOKEN_RS256;
        if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
            return "an RSA key must have 2048 bits or more";
        return EVP_PKEY_get_bits(key) <= RSA_BITS_MAX ? NULL : "an RSA key may have 4096 bits at most";
    default:
        return "the key is neither EC on the curve P-256 nor RSA";
    }
}

/* Numbers that make signatures easy to forge, such as an exponent of 1. */
static bool is_sound(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    petrel_assert(context != NULL);
    const bool sound = EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return sound;
}

static bool holds(struct bytes text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static int put_der(EVP_PKEY *key, struct bytebuf *der, const char **why)
{
    uint8_t *encoded = NULL;
    const int len = i2d_PUBKEY(key, &encoded);
    const bool fits = len > 0 && len <= TOKEN_PUBLIC_DER_MAX;
    if (fits)
        bytes_append(der, encoded, (size_t)len);
    else
        *why = "the key's parameters are larger than such a key's";
    OPENSSL_free(encoded);
    return fits ? 0 : PETREL_E_INVALID;
}

/* The key in a PEM that claims to hold one, or NULL. */
static EVP_PKEY *parse_pem(struct bytes pem)
{
    BIO *input = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    petrel_assert(input != NULL);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(input, NULL, NULL, NULL);
    BIO_free(input);
    ERR_clear_error();
    return key;
}

int token_public_from_pem(struct bytes pem, enum token_algorithm *algorithm, struct bytebuf *der, const char **why)
{
    *why = NULL;
    if (pem.len > TOKEN_PUBLIC_PEM_MAX)
        *why = "a public key in PEM is smaller than 4096 bytes";
    else if (pem.len > 0 && holds(pem, "PRIVATE KEY-----"))
        *why = "this is a private key: keep it to yourself and give the public one (openssl pkey -pubout)";
    else if (pem.len == 0 || !holds(pem, "-----BEGIN PUBLIC KEY-----"))
        *why = "a public key in PEM begins with -----BEGIN PUBLIC KEY-----";
    if (*why != NULL)
        return PETREL_E_INVALID;
    EVP_PKEY *key = parse_pem(pem);
    if (key == NULL)
        *why = "the PEM is damaged, or holds a key of an unknown kind";
    else
        *why = find_fault(key, algorithm);
    if (*why == NULL && !is_sound(key))
        *why = "the key's numbers are unsound";
    const int rc = *why == NULL ? put_der(key, der, why) : PETREL_E_INVALID;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

struct token_public *token_public_new(enum token_algorithm algorithm, struct bytes der)
{
    const uint8_t *at = der.ptr;
    enum token_algorithm own = TOKEN_HS256;
    if (der.len == 0 || der.len > TOKEN_PUBLIC_DER_MAX)
        return NULL;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (key == NULL || at != der.ptr + der.len || find_fault(key, &own) != NULL || own != algorithm) {
        EVP_PKEY_free(key);
        return NULL;
    }
    struct token_public *out = object_zalloc(sizeof *out);
    out->magic = PUBLIC_MAGIC;
    out->algorithm = algorithm;
    out->key = key;
    return out;
}

void token_public_free(struct token_public *key)
{
    if (key == NULL)
        return;
    object_check(key, PUBLIC_MAGIC);
    EVP_PKEY_free(key->key);
    key->magic = 0;
    free(key);
}

/* ---- signatures ---- */

/* JWS has both numbers one after the other, OpenSSL wants them in DER. Returns its length. */
static size_t es256_to_der(struct bytes signature, uint8_t out[ES256_DER_MAX])
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.ptr, ES256_HALF, NULL);
    BIGNUM *s = BN_bin2bn(signature.ptr + ES256_HALF, ES256_HALF, NULL);
    petrel_assert(pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1);
    const int len = i2d_ECDSA_SIG(pair, NULL);
    petrel_assert(len > 0 && len <= ES256_DER_MAX && i2d_ECDSA_SIG(pair, &out) == len);
    ECDSA_SIG_free(pair);
    return (size_t)len;
}

bool token_public_verify(const struct token_public *key, struct bytes text, struct bytes signature)
{
    object_check(key, PUBLIC_MAGIC);
    uint8_t der[ES256_DER_MAX];
    if (!token_public_signature_fits(key->algorithm, signature.len))
        return false;
    if (key->algorithm == TOKEN_ES256)
        signature = bytes_of(der, es256_to_der(signature, der));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    petrel_assert(context != NULL);
    const bool good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->key) == 1 &&
                      EVP_DigestVerify(context, signature.ptr, signature.len, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}
