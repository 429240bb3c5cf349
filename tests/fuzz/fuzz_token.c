/* A device's token: whatever it is, no claims come from one that was not signed with the key. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/token.h"

#define NOW 1800000000U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes token = bytes_of(data, size);
    struct token_claims claims;
    char kid[65];
    if (token_peek(token, &claims, kid, sizeof kid) == 0) {
        petrel_assert(route_valid_app(bytes_str(claims.app)) && route_valid_user(bytes_str(claims.user)));
        petrel_assert(route_valid_device(bytes_str(claims.device)));
    }
    /* A key that signed none of the seeds. */
    struct token_key *key = token_key_new(bytes_str("k1"), bytes_str("the secret of this fuzz target!!"));
    petrel_assert(token_verify(key, token, NOW, &claims) != 0);
    token_key_free(&key);
    return 0;
}
