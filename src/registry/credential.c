#include "registry/credential.h"

#include "base/object.h"
#include "base/rng.h"

#include <stdio.h>

#define KEY_BYTES 32

static void make_id(char id[CREDENTIAL_ID_SIZE])
{
    uint64_t number;
    rng_secret(&number, sizeof number);
    snprintf(id, CREDENTIAL_ID_SIZE, "%016llx", (unsigned long long)number);
}

void credential_make_key(char id[CREDENTIAL_ID_SIZE], char text[REGISTRY_KEY_TEXT_MAX])
{
    uint8_t secret[KEY_BYTES];
    struct bytebuf encoded = {0};
    make_id(id);
    rng_secret(secret, sizeof secret);
    (void)bytes_reserve(&encoded, 64); /* so that it never moves and leaves a copy behind */
    bytes_put_base64url(&encoded, bytes_of(secret, sizeof secret));
    const int len =
        snprintf(text, REGISTRY_KEY_TEXT_MAX, "pk_%s_%.*s", id, (int)encoded.len, (const char *)encoded.ptr);
    petrel_assert(len > 0 && len < REGISTRY_KEY_TEXT_MAX);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(encoded.ptr, encoded.cap);
    bytes_reset(&encoded);
}

void credential_make_secret(struct snapshot_secret *secret)
{
    make_id(secret->kid);
    rng_secret(secret->secret, sizeof secret->secret);
}
