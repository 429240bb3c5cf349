/* Tokens signed with keys of which we have the public half. */
#include "base/err.h"
#include "unit/token_samples.h"
#include "wire/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000U

static struct token_key *key_of(const char *pem, enum token_algorithm expected)
{
    enum token_algorithm algorithm;
    struct bytebuf der = {0};
    const char *why;
    assert_int_equal(token_public_from_pem(bytes_str(pem), &algorithm, &der, &why), 0);
    assert_int_equal(algorithm, expected);
    struct token_key *key = token_key_new_public(bytes_str("k"), algorithm, bytes_view(&der));
    assert_non_null(key);
    bytes_reset(&der);
    return key;
}

static int verify(const struct token_key *key, const char *token)
{
    struct token_claims claims;
    return token_verify(key, bytes_str(token), NOW, &claims);
}

static void what_others_signed_is_verified(void **state)
{
    (void)state;
    struct token_key *ec = key_of(TOKEN_SAMPLES_PEM_EC, TOKEN_ES256), *rsa = key_of(TOKEN_SAMPLES_PEM_RSA, TOKEN_RS256);
    struct token_claims claims;
    assert_int_equal(token_verify(ec, bytes_str(TOKEN_SAMPLES_ES256), NOW, &claims), 0);
    assert_string_equal(claims.user, "ada");
    assert_string_equal(claims.device, "phone");
    memset(&claims, 0, sizeof claims);
    assert_int_equal(token_verify(rsa, bytes_str(TOKEN_SAMPLES_RS256), NOW, &claims), 0);
    assert_string_equal(claims.user, "ada");
    token_key_free(&ec);
    token_key_free(&rsa);
}

static void the_algorithm_is_the_keys(void **state)
{
    (void)state;
    struct token_key *ec = key_of(TOKEN_SAMPLES_PEM_EC, TOKEN_ES256), *rsa = key_of(TOKEN_SAMPLES_PEM_RSA, TOKEN_RS256);
    struct token_key *other = key_of(TOKEN_SAMPLES_PEM_EC_OTHER, TOKEN_ES256);
    struct token_key *secret = token_key_new(bytes_str("k"), bytes_str("0123456789abcdef0123456789abcdef"));
    assert_int_equal(verify(other, TOKEN_SAMPLES_ES256), PETREL_E_UNAUTHENTICATED);
    assert_int_equal(verify(rsa, TOKEN_SAMPLES_ES256), PETREL_E_UNAUTHENTICATED);
    assert_int_equal(verify(ec, TOKEN_SAMPLES_RS256), PETREL_E_UNAUTHENTICATED);
    assert_int_equal(verify(secret, TOKEN_SAMPLES_RS256), PETREL_E_UNAUTHENTICATED);
    /* The public key's text is known to everybody: it must never serve as a secret. */
    assert_int_equal(verify(rsa, TOKEN_SAMPLES_HS256_BY_PUBLIC_PEM), PETREL_E_UNAUTHENTICATED);
    token_key_free(&ec);
    token_key_free(&rsa);
    token_key_free(&other);
    token_key_free(&secret);
}

static void any_changed_byte_is_refused(void **state)
{
    (void)state;
    static const char *const tokens[] = {TOKEN_SAMPLES_ES256, TOKEN_SAMPLES_RS256};
    struct token_key *keys[] = {key_of(TOKEN_SAMPLES_PEM_EC, TOKEN_ES256), key_of(TOKEN_SAMPLES_PEM_RSA, TOKEN_RS256)};
    char changed[1024];
    for (size_t k = 0; k < 2; k++) {
        const size_t len = strlen(tokens[k]);
        for (size_t i = 0; i < len; i++) {
            memcpy(changed, tokens[k], len + 1);
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            assert_int_not_equal(verify(keys[k], changed), 0);
            memcpy(changed, tokens[k], len + 1);
            changed[i] = '\0';
            assert_int_not_equal(verify(keys[k], changed), 0);
        }
        token_key_free(&keys[k]);
    }
}

/* "header.payload." with that header, and a signature of len zero bytes. */
static int read_forged(const char *header, size_t len)
{
    static const uint8_t zeros[TOKEN_SIGNATURE_BYTES_MAX + 1];
    struct token_reading reading;
    struct bytebuf out = {0};
    bytes_put_base64url(&out, bytes_str(header));
    bytes_append_str(&out, ".");
    bytes_put_base64url(&out, bytes_str("{\"app\":\"demo\",\"sub\":\"ada\",\"device\":\"p\",\"exp\":4102444800}"));
    bytes_append_str(&out, ".");
    bytes_put_base64url(&out, bytes_of(zeros, len));
    const int rc = token_read(bytes_view(&out), &reading);
    if (rc == 0) {
        struct token_key *key = key_of(TOKEN_SAMPLES_PEM_EC, TOKEN_ES256);
        assert_int_equal(token_check(key, bytes_view(&out), &reading, NOW), PETREL_E_UNAUTHENTICATED);
        token_key_free(&key);
    }
    bytes_reset(&out);
    return rc;
}

static void a_signature_has_its_algorithms_length(void **state)
{
    (void)state;
    assert_int_equal(read_forged("{\"alg\":\"HS256\"}", 32), 0);
    assert_int_equal(read_forged("{\"alg\":\"HS256\"}", 64), PETREL_E_INVALID);
    assert_int_equal(read_forged("{\"alg\":\"ES256\"}", 64), 0); /* r and s of zero, which sign nothing */
    assert_int_equal(read_forged("{\"alg\":\"ES256\"}", 63), PETREL_E_INVALID);
    assert_int_equal(read_forged("{\"alg\":\"ES256\"}", 72), PETREL_E_INVALID);
    assert_int_equal(read_forged("{\"alg\":\"RS256\"}", 256), 0);
    assert_int_equal(read_forged("{\"alg\":\"RS256\"}", 512), 0);
    assert_int_equal(read_forged("{\"alg\":\"RS256\"}", 255), PETREL_E_INVALID);
    assert_int_equal(read_forged("{\"alg\":\"RS256\"}", 513), PETREL_E_INVALID);
    static const char *const others[] = {"ES384", "RS512", "PS256", "EdDSA", "es256", "ES256\\u0000"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char header[64];
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", others[i]);
        assert_int_equal(read_forged(header, 64), PETREL_E_INVALID);
    }
}

static void expect_refused(const char *pem, const char *part)
{
    enum token_algorithm algorithm;
    struct bytebuf der = {0};
    const char *why = NULL;
    assert_int_equal(token_public_from_pem(bytes_str(pem), &algorithm, &der, &why), PETREL_E_INVALID);
    assert_non_null(why);
    if (strstr(why, part) == NULL)
        fail_msg("'%s' does not say '%s'", why, part);
    assert_int_equal(der.len, 0);
}

static void keys_of_other_kinds_are_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused("", "BEGIN PUBLIC KEY");
    expect_refused("ssh-rsa AAAA", "BEGIN PUBLIC KEY");
    expect_refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key");
    expect_refused("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "private key");
    expect_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "damaged");
    expect_refused(TOKEN_SAMPLES_PEM_RSA_1024, "2048");
    expect_refused(TOKEN_SAMPLES_PEM_P384, "P-256");
    expect_refused(TOKEN_SAMPLES_PEM_ED25519, "neither");
    char large[TOKEN_PUBLIC_PEM_MAX + 2];
    memset(large, 'A', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    expect_refused(large, "4096");
    struct token_key *big = key_of(TOKEN_SAMPLES_PEM_RSA_4096, TOKEN_RS256);
    token_key_free(&big);
}

static void a_stored_key_is_what_it_is_said_to_be(void **state)
{
    (void)state;
    enum token_algorithm algorithm;
    struct bytebuf der = {0};
    const char *why;
    assert_int_equal(token_public_from_pem(bytes_str(TOKEN_SAMPLES_PEM_EC), &algorithm, &der, &why), 0);
    assert_null(token_public_new(TOKEN_RS256, bytes_view(&der)));
    assert_null(token_public_new(TOKEN_HS256, bytes_view(&der)));
    assert_null(token_public_new(TOKEN_ES256, bytes_of(der.ptr, der.len - 1)));
    assert_null(token_key_new_public(bytes_str(""), TOKEN_ES256, bytes_view(&der)));
    struct token_key *key = token_key_new_public(bytes_str("k"), TOKEN_ES256, bytes_view(&der));
    const struct token_claims claims = {.app = "demo", .user = "ada", .device = "p", .expires_s = NOW};
    struct bytebuf out = {0};
    assert_int_equal(token_mint(key, &claims, &out), PETREL_E_INVALID);
    token_key_free(&key);
    bytes_append(&der, "", 1);
    assert_null(token_public_new(TOKEN_ES256, bytes_view(&der)));
    bytes_reset(&der);
    bytes_reset(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_signed_is_verified),
        cmocka_unit_test(the_algorithm_is_the_keys),
        cmocka_unit_test(any_changed_byte_is_refused),
        cmocka_unit_test(a_signature_has_its_algorithms_length),
        cmocka_unit_test(keys_of_other_kinds_are_refused_with_the_reason),
        cmocka_unit_test(a_stored_key_is_what_it_is_said_to_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
