#include "base/err.h"
#include "wire/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW 1800000000U
#define SECRET "0123456789abcdef0123456789abcdef"

/* Signed outside of this code with SECRET: {"alg":"HS256","typ":"JWT"}, app demo, sub ana, device phone-1, exp NOW + 1000. */
#define OUTSIDE_TOKEN                                                                                                  \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."                                                                            \
    "eyJhcHAiOiJkZW1vIiwic3ViIjoiYW5hIiwiZGV2aWNlIjoicGhvbmUtMSIsImV4cCI6MTgwMDAwMTAwMH0."                             \
    "lsBExpzAjy5WcmQdyblX0jKERW0iin1p4v52b1wf_bQ"

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"phone-1\",\"exp\":1800001000}"

static struct token_key *new_key(const char *kid, const char *secret)
{
    struct token_key *key = token_key_new(bytes_str(kid), bytes_str(secret));
    assert_non_null(key);
    return key;
}

/* "header.payload." and a signature of 32 zero bytes. */
static struct bytebuf forged(const char *header, const char *payload)
{
    static const uint8_t zeros[32];
    struct bytebuf out = {0};
    bytes_put_base64url(&out, bytes_str(header));
    bytes_append_str(&out, ".");
    bytes_put_base64url(&out, bytes_str(payload));
    bytes_append_str(&out, ".");
    bytes_put_base64url(&out, bytes_of(zeros, sizeof zeros));
    return out;
}

static int peek(struct bytes token)
{
    struct token_claims claims;
    char kid[65];
    return token_peek(token, &claims, kid, sizeof kid);
}

static int peek_forged(const char *header, const char *payload)
{
    struct bytebuf token = forged(header, payload);
    int rc = peek(bytes_view(&token));
    bytes_reset(&token);
    return rc;
}

static int verify_at(const struct token_key *key, struct bytes token, uint64_t now_s)
{
    struct token_claims claims;
    return token_verify(key, token, now_s, &claims);
}

static void mints_what_it_verifies(void **state)
{
    (void)state;
    struct token_key *key = new_key("k2", SECRET);
    struct token_claims in = {
        .app = "demo", .user = "ana \xc3\xa9 \"x\"", .device = "phone-1", .issued_s = NOW, .expires_s = NOW + 60};
    struct bytebuf token = {0};
    assert_int_equal(token_mint(key, &in, &token), 0);

    struct token_claims out;
    char kid[65];
    assert_int_equal(token_peek(bytes_view(&token), &out, kid, sizeof kid), 0);
    assert_string_equal(kid, "k2");
    assert_string_equal(out.user, in.user);
    memset(&out, 0, sizeof out);
    assert_int_equal(token_verify(key, bytes_view(&token), NOW, &out), 0);
    assert_string_equal(out.app, "demo");
    assert_string_equal(out.user, in.user);
    assert_string_equal(out.device, "phone-1");
    assert_true(out.issued_s == NOW && out.expires_s == NOW + 60);

    char small[2];
    assert_int_equal(token_peek(bytes_view(&token), &out, small, sizeof small), PETREL_E_INVALID);
    bytes_reset(&token);
    token_key_free(&key);
    assert_null(key);
}

static void verifies_what_others_minted(void **state)
{
    (void)state;
    struct token_key *key = new_key("", SECRET);
    struct token_claims out;
    assert_int_equal(token_verify(key, bytes_str(OUTSIDE_TOKEN), NOW, &out), 0);
    assert_string_equal(out.user, "ana");
    assert_true(out.issued_s == 0 && out.expires_s == NOW + 1000);
    char kid[65];
    assert_int_equal(token_peek(bytes_str(OUTSIDE_TOKEN), &out, kid, sizeof kid), 0);
    assert_string_equal(kid, "");
    token_key_free(&key);
}

static void refuses_another_key_and_any_changed_byte(void **state)
{
    (void)state;
    struct token_key *key = new_key("", SECRET);
    struct token_key *other = new_key("", "another secret of enough bytes");
    struct bytes token = bytes_str(OUTSIDE_TOKEN);
    assert_int_equal(verify_at(other, token, NOW), PETREL_E_UNAUTHENTICATED);
    struct bytebuf changed = {0};
    for (size_t i = 0; i < token.len; i++) {
        changed.len = 0;
        bytes_append(&changed, token.ptr, token.len);
        changed.ptr[i] = changed.ptr[i] == 'A' ? 'B' : 'A';
        int rc = verify_at(key, bytes_view(&changed), NOW);
        assert_true(rc == PETREL_E_UNAUTHENTICATED || rc == PETREL_E_INVALID);
    }
    for (size_t len = 0; len < token.len; len++)
        assert_int_not_equal(verify_at(key, bytes_of(token.ptr, len), NOW), 0);
    bytes_reset(&changed);
    token_key_free(&other);
    token_key_free(&key);
}

static void takes_only_hs256_whatever_the_header_says(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS384\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":256}",
        "{\"alg\":null}",
        "{\"typ\":\"JWT\"}",
        "{}",
        "[]",
        "\"HS256\"",
        "{\"alg\":\"HS256\",\"alg\":\"none\"}",
        "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"HS256\",\"kid\":7}",
        "{\"alg\":\"HS256\",\"kid\":\"a\\nb\"}",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"} ,",
    };
    assert_int_equal(peek_forged(HEADER, CLAIMS), 0);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (peek_forged(headers[i], CLAIMS) != PETREL_E_INVALID)
            fail_msg("taken: %s", headers[i]);
    }
    struct bytebuf unsigned_token = {0};
    bytes_put_base64url(&unsigned_token, bytes_str("{\"alg\":\"none\"}"));
    bytes_append_str(&unsigned_token, ".");
    bytes_put_base64url(&unsigned_token, bytes_str(CLAIMS));
    bytes_append_str(&unsigned_token, ".");
    struct token_key *key = new_key("", SECRET);
    assert_int_equal(verify_at(key, bytes_view(&unsigned_token), NOW), PETREL_E_INVALID);
    bytes_reset(&unsigned_token);

    struct bytebuf zeros = forged(HEADER, CLAIMS);
    assert_int_equal(verify_at(key, bytes_view(&zeros), NOW), PETREL_E_UNAUTHENTICATED);
    bytes_reset(&zeros);
    token_key_free(&key);
}

static void refuses_claims_that_are_missing_or_wrong(void **state)
{
    (void)state;
    static const char *const claims[] = {
        "{\"sub\":\"ana\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\"}",
        "{\"app\":1,\"sub\":\"ana\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"Demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"a\\u0000b\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"a\\nb\",\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":[\"ana\"],\"device\":\"p\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"a b\",\"exp\":1}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":\"1\"}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":-1}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":1e300}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":null}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":1,\"iat\":\"now\"}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":1,\"nbf\":true}",
        "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":1,\"sub\":\"eve\"}",
        "null",
        "",
    };
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        if (peek_forged(HEADER, claims[i]) != PETREL_E_INVALID)
            fail_msg("taken: %s", claims[i]);
    }
    assert_int_equal(peek_forged(HEADER, "{\"app\":\"demo\",\"sub\":\"ana\",\"device\":\"p\",\"exp\":1.5}"), 0);
}

static void refuses_what_is_no_token(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "\xff.\xff.\xff",
                                        "e30.e30.e30"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(peek(bytes_str(texts[i])), PETREL_E_INVALID);
    struct bytebuf padded = {0};
    bytes_append_str(&padded, OUTSIDE_TOKEN);
    bytes_append_str(&padded, "=");
    struct token_key *key = new_key("", SECRET);
    assert_int_not_equal(verify_at(key, bytes_view(&padded), NOW), 0);
    while (padded.len <= TOKEN_MAX)
        bytes_append_str(&padded, "A");
    assert_int_equal(verify_at(key, bytes_view(&padded), NOW), PETREL_E_INVALID);
    bytes_reset(&padded);
    token_key_free(&key);
}

static int verify_times(uint64_t issued_s, uint64_t expires_s, uint64_t now_s)
{
    struct token_key *key = new_key("", SECRET);
    struct token_claims claims = {
        .app = "demo", .user = "ana", .device = "p", .issued_s = issued_s, .expires_s = expires_s};
    struct bytebuf token = {0};
    assert_int_equal(token_mint(key, &claims, &token), 0);
    int rc = verify_at(key, bytes_view(&token), now_s);
    bytes_reset(&token);
    token_key_free(&key);
    return rc;
}

static void holds_times_to_the_leeway(void **state)
{
    (void)state;
    assert_int_equal(verify_times(0, NOW, NOW + TOKEN_LEEWAY_S), 0);
    assert_int_equal(verify_times(0, NOW, NOW + TOKEN_LEEWAY_S + 1), PETREL_E_EXPIRED);
    assert_int_equal(verify_times(NOW + TOKEN_LEEWAY_S, NOW + 100, NOW), 0);
    assert_int_equal(verify_times(NOW + TOKEN_LEEWAY_S + 1, NOW + 100, NOW), PETREL_E_EXPIRED);
}

static void mints_nothing_for_bad_names_or_keys(void **state)
{
    (void)state;
    struct token_key *key = new_key("", SECRET);
    struct bytebuf out = {0};
    struct token_claims claims = {.app = "demo", .user = "ana", .device = "p", .expires_s = NOW};
    assert_int_equal(token_mint(key, &claims, &out), 0);
    claims.device[0] = '\0';
    assert_int_equal(token_mint(key, &claims, &out), PETREL_E_INVALID);
    bytes_reset(&out);
    token_key_free(&key);
    assert_null(token_key_new(bytes_str("k"), bytes_str("too short")));
    char long_secret[66];
    memset(long_secret, 'x', sizeof long_secret);
    assert_null(token_key_new(bytes_str("k"), bytes_of(long_secret, 65)));
    assert_null(token_key_new(bytes_of(long_secret, 65), bytes_str(SECRET)));
    token_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mints_what_it_verifies),
        cmocka_unit_test(verifies_what_others_minted),
        cmocka_unit_test(refuses_another_key_and_any_changed_byte),
        cmocka_unit_test(takes_only_hs256_whatever_the_header_says),
        cmocka_unit_test(refuses_claims_that_are_missing_or_wrong),
        cmocka_unit_test(refuses_what_is_no_token),
        cmocka_unit_test(holds_times_to_the_leeway),
        cmocka_unit_test(mints_nothing_for_bad_names_or_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
