#include "loop/tls_cipher.h"

#include "base/object.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

/* The longest label of ours and no context: 2 + 1 + 6 + 12 + 1 bytes. */
#define INFO_MAX 32U

struct suite {
    uint16_t number;
    const char *aead;
    const char *hash;
    size_t key_size;
    size_t secret_size; /* of the hash */
};

static const struct suite suites[TLS_SUITES] = {
    [TLS_AES_128_GCM_SHA256] = {0x1301, "AES-128-GCM", "SHA256", 16, 32},
    [TLS_AES_256_GCM_SHA384] = {0x1302, "AES-256-GCM", "SHA384", 32, 48},
    [TLS_CHACHA20_POLY1305_SHA256] = {0x1303, "ChaCha20-Poly1305", "SHA256", 32, 32},
};

struct tls_cipher {
    EVP_CIPHER_CTX *seal[TLS_SUITES];
    EVP_CIPHER_CTX *open[TLS_SUITES];
    EVP_KDF_CTX *kdf;
};

/* A context that holds the cipher and waits for keys. Fetched once: to fetch costs more than a record does. */
static EVP_CIPHER_CTX *new_context(const char *aead, bool sealing)
{
    EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, aead, NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool ready = fetched != NULL && context != NULL &&
                 (sealing ? EVP_EncryptInit_ex2(context, fetched, NULL, NULL, NULL)
                          : EVP_DecryptInit_ex2(context, fetched, NULL, NULL, NULL)) == 1;
    EVP_CIPHER_free(fetched);
    if (!ready) {
        EVP_CIPHER_CTX_free(context);
        return NULL;
    }
    return context;
}

struct tls_cipher *tls_cipher_new(void)
{
    struct tls_cipher *cipher = object_zalloc(sizeof *cipher);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    cipher->kdf = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    EVP_KDF_free(kdf);
    bool ready = cipher->kdf != NULL;
    for (size_t i = 0; i < TLS_SUITES; i++) {
        cipher->seal[i] = new_context(suites[i].aead, true);
        cipher->open[i] = new_context(suites[i].aead, false);
        ready = ready && cipher->seal[i] != NULL && cipher->open[i] != NULL;
    }
    if (!ready)
        tls_cipher_free(&cipher);
    return cipher;
}

void tls_cipher_free(struct tls_cipher **inside)
{
    struct tls_cipher *cipher = *inside;
    if (cipher == NULL)
        return;
    for (size_t i = 0; i < TLS_SUITES; i++) {
        EVP_CIPHER_CTX_free(cipher->seal[i]);
        EVP_CIPHER_CTX_free(cipher->open[i]);
    }
    EVP_KDF_CTX_free(cipher->kdf);
    free(cipher);
    *inside = NULL;
}

bool tls_cipher_suite(uint16_t number, enum tls_suite *suite)
{
    for (size_t i = 0; i < TLS_SUITES; i++) {
        if (suites[i].number == number) {
            *suite = (enum tls_suite)i;
            return true;
        }
    }
    return false;
}

size_t tls_cipher_secret_size(enum tls_suite suite)
{
    return suites[suite].secret_size;
}

/* HKDF-Expand-Label(secret, label, "", size) of RFC 8446, 7.1. */
static void expand_label(struct tls_cipher *cipher, enum tls_suite suite, const uint8_t *secret, const char *label,
                         uint8_t *out, size_t size)
{
    static const char prefix[] = "tls13 ";
    size_t label_size = strlen(label);
    size_t full_size = sizeof prefix - 1 + label_size;
    uint8_t info[INFO_MAX] = {(uint8_t)(size >> 8), (uint8_t)size, (uint8_t)full_size};
    petrel_assert(full_size + 4 <= sizeof info);
    memcpy(info + 3, prefix, sizeof prefix - 1);
    memcpy(info + 3 + sizeof prefix - 1, label, label_size);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)suites[suite].hash, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, suites[suite].secret_size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, full_size + 4),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX_reset(cipher->kdf); /* else the info would be appended to the last one's; it also wipes the secret */
    int rc = EVP_KDF_derive(cipher->kdf, out, size, params);
    petrel_assert(rc == 1 && "out of memory");
    EVP_KDF_CTX_reset(cipher->kdf);
}

void tls_cipher_set(struct tls_cipher *cipher, enum tls_suite suite, const uint8_t *secret, struct tls_keys *keys)
{
    memmove(keys->secret, secret, suites[suite].secret_size);
    expand_label(cipher, suite, keys->secret, "key", keys->key, suites[suite].key_size);
    expand_label(cipher, suite, keys->secret, "iv", keys->iv, sizeof keys->iv);
}

void tls_cipher_update(struct tls_cipher *cipher, enum tls_suite suite, struct tls_keys *keys)
{
    uint8_t next[TLS_SECRET_MAX];
    expand_label(cipher, suite, keys->secret, "traffic upd", next, suites[suite].secret_size);
    tls_cipher_set(cipher, suite, next, keys);
    OPENSSL_cleanse(next, sizeof next);
}

/* RFC 8446, 5.3: the record's number, as 64 bits at the end, over the iv. */
static void make_nonce(const struct tls_keys *keys, uint64_t seq, uint8_t nonce[TLS_NONCE_SIZE])
{
    memcpy(nonce, keys->iv, TLS_NONCE_SIZE);
    for (size_t i = 0; i < sizeof seq; i++)
        nonce[TLS_NONCE_SIZE - 1 - i] ^= (uint8_t)(seq >> 8 * i);
}

void tls_cipher_seal(struct tls_cipher *cipher, enum tls_suite suite, const struct tls_keys *keys, uint64_t seq,
                     const uint8_t aad[5], uint8_t *bytes, size_t len)
{
    uint8_t nonce[TLS_NONCE_SIZE];
    make_nonce(keys, seq, nonce);
    EVP_CIPHER_CTX *context = cipher->seal[suite];
    int done = 0;
    int rest = 0;
    bool sealed = EVP_EncryptInit_ex2(context, NULL, keys->key, nonce, NULL) == 1 &&
                  EVP_EncryptUpdate(context, NULL, &done, aad, 5) == 1 &&
                  EVP_EncryptUpdate(context, bytes, &done, bytes, (int)len) == 1 &&
                  EVP_EncryptFinal_ex(context, bytes + done, &rest) == 1 &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_SIZE, bytes + len) == 1;
    petrel_assert(sealed && (size_t)done == len);
}

bool tls_cipher_open(struct tls_cipher *cipher, enum tls_suite suite, const struct tls_keys *keys, uint64_t seq,
                     const uint8_t aad[5], uint8_t *bytes, size_t len)
{
    uint8_t nonce[TLS_NONCE_SIZE];
    make_nonce(keys, seq, nonce);
    EVP_CIPHER_CTX *context = cipher->open[suite];
    int done = 0;
    int rest = 0;
    bool ready = EVP_DecryptInit_ex2(context, NULL, keys->key, nonce, NULL) == 1 &&
                 EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_SIZE, bytes + len) == 1 &&
                 EVP_DecryptUpdate(context, NULL, &done, aad, 5) == 1;
    petrel_assert(ready);
    return EVP_DecryptUpdate(context, bytes, &done, bytes, (int)len) == 1 &&
           EVP_DecryptFinal_ex(context, bytes + done, &rest) == 1;
}
