/* A device's token: whatever it is, no claims come from one that was not signed with the key, of whichever algorithm. And an app's
 * public key: whatever it is, what is taken of it is a key again. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "unit/token_samples.h"
#include "wire/token.h"

#define NOW 1800000000U
#define KEYS 3

/* Keys that signed none of the seeds, one of each algorithm. */
static struct token_key *new_key(const char *pem)
{
    enum token_algorithm algorithm;
    struct bytebuf der = {0};
    const char *why;
    if (pem == NULL)
        return token_key_new(bytes_str("k1"), bytes_str("the secret of this fuzz target!!"));
    petrel_assert(token_public_from_pem(bytes_str(pem), &algorithm, &der, &why) == 0);
    struct token_key *key = token_key_new_public(bytes_str("k1"), algorithm, bytes_view(&der));
    bytes_reset(&der);
    return key;
}

static void try_token(struct bytes token)
{
    static const char *const pems[KEYS] = {NULL, TOKEN_SAMPLES_PEM_EC_OTHER, TOKEN_SAMPLES_PEM_RSA_4096};
    static struct token_key *keys[KEYS];
    struct token_claims claims;
    char kid[65];
    if (token_peek(token, &claims, kid, sizeof kid) == 0) {
        petrel_assert(route_valid_app(bytes_str(claims.app)) && route_valid_user(bytes_str(claims.user)));
        petrel_assert(route_valid_device(bytes_str(claims.device)));
    }
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i] == NULL)
            keys[i] = new_key(pems[i]);
        petrel_assert(token_verify(keys[i], token, NOW, &claims) != 0);
    }
}

static void try_public_key(struct bytes text)
{
    enum token_algorithm algorithm;
    struct bytebuf der = {0};
    const char *why;
    if (token_public_from_pem(text, &algorithm, &der, &why) != 0) {
        petrel_assert(why != NULL && der.len == 0);
    } else {
        struct token_public *key = token_public_new(algorithm, bytes_view(&der));
        petrel_assert(key != NULL);
        token_public_free(key);
    }
    bytes_reset(&der);
    token_public_free(token_public_new(TOKEN_ES256, text));
    token_public_free(token_public_new(TOKEN_RS256, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_token(bytes_of(data, size));
    try_public_key(bytes_of(data, size));
    return 0;
}
