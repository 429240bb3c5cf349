#include "loop/tls_ticket.h"

#include "base/object.h"
#include "base/rng.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define NAME_SIZE 16U
#define TICKET_IV_SIZE 16U
/* A clock of another node may be ahead by so much that its next period has begun. */
#define PERIODS_AHEAD 1U

/* 32 bytes that only who has the secret can know, for one purpose and period. */
static void derive(const uint8_t secret[32], const char *purpose, uint64_t period, uint8_t out[32])
{
    uint8_t input[32] = {0};
    size_t len = strlen(purpose);
    petrel_assert(len <= sizeof input - sizeof period);
    memcpy(input, purpose, len);
    for (size_t i = 0; i < sizeof period; i++)
        input[sizeof input - 1 - i] = (uint8_t)(period >> 8 * i);
    const void *done = HMAC(EVP_sha256(), secret, 32, input, sizeof input, out, NULL);
    petrel_assert(done != NULL);
}

void tls_ticket_init(struct tls_server *server, struct bytes secret)
{
    uint8_t random[32];
    rng_secret(random, sizeof random);
    if (secret.len == 0)
        secret = bytes_of(random, sizeof random);
    const char *purpose = "petrel tls tickets";
    const void *done = HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const uint8_t *)purpose, strlen(purpose),
                            server->ticket_secret, NULL);
    petrel_assert(done != NULL);
    OPENSSL_cleanse(random, sizeof random);
}

static const struct tls_ticket_keys *keys_of(struct tls_loop *tls, const struct tls_server *server, uint64_t period)
{
    struct tls_ticket_keys *keys = &tls->tickets[period % 2];
    if (keys->set && keys->period == period && memcmp(keys->secret, server->ticket_secret, sizeof keys->secret) == 0)
        return keys;
    uint8_t label[32];
    derive(server->ticket_secret, "label", 0, label);
    memcpy(keys->label, label, TLS_TICKET_LABEL_SIZE);
    derive(server->ticket_secret, "cipher", period, keys->cipher);
    derive(server->ticket_secret, "mac", period, keys->mac);
    memcpy(keys->secret, server->ticket_secret, sizeof keys->secret);
    keys->period = period;
    keys->set = true;
    return keys;
}

static uint64_t read_period(const uint8_t name[NAME_SIZE])
{
    uint64_t period = 0;
    for (size_t i = TLS_TICKET_LABEL_SIZE; i < NAME_SIZE; i++)
        period = period << 8 | name[i];
    return period;
}

static void write_name(const struct tls_ticket_keys *keys, uint64_t period, uint8_t name[NAME_SIZE])
{
    memcpy(name, keys->label, TLS_TICKET_LABEL_SIZE);
    for (size_t i = 0; i < sizeof period; i++)
        name[NAME_SIZE - 1 - i] = (uint8_t)(period >> 8 * i);
}

static bool set_keys(const struct tls_ticket_keys *keys, const EVP_CIPHER *aes, const uint8_t *iv,
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)keys->mac, sizeof keys->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex2(cipher, aes, keys->cipher, iv, sealing, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

int tls_ticket_keys(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    int sealing)
{
    const struct tls_talk *talk = SSL_get_app_data(ssl);
    const struct tls_server *server = talk->server;
    uint64_t now = loop_wall_ms(talk->tls->loop) / 1000 / server->ticket_lifetime_s;
    uint64_t period = sealing ? now : read_period(name);
    if (period > now + PERIODS_AHEAD || period + 1 < now)
        return 0; /* a full handshake, then */
    const struct tls_ticket_keys *keys = keys_of(talk->tls, server, period);
    int rc = 0;
    if (sealing) {
        write_name(keys, period, name);
        rng_secret(iv, TICKET_IV_SIZE);
    }
    if (sealing || CRYPTO_memcmp(name, keys->label, TLS_TICKET_LABEL_SIZE) == 0)
        rc = set_keys(keys, talk->tls->ticket_cipher, iv, cipher, mac, sealing) ? 1 : -1;
    /* 2: taken, and the client gets a new one: of this period, and in 1.3 for every connection another, so that who listens can't tell
     * two connections of one client by it. */
    bool renew = period != now || SSL_version(ssl) == TLS1_3_VERSION;
    return rc == 1 && !sealing && renew ? 2 : rc;
}
