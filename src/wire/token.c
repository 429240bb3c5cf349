#include "wire/token.h"

#include "base/err.h"
#include "base/object.h"
#include "wire/digest.h"
#include "wire/text.h"

#include <cjose/cjose.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#define SECRET_MIN 16
#define SECRET_MAX 64
#define MINTS_WITH "HS256"
#define TIME_MAX_S 9007199254740991.0 /* 2^53 - 1: beyond it, JSON numbers of other languages are not exact */

struct token_key {
    uint32_t magic; /* TKEY */
    enum token_algorithm algorithm;
    cjose_jwk_t *jwk;            /* of a secret */
    struct token_public *public; /* of a public key */
    uint8_t secret[SECRET_MAX];
    size_t secret_len;
    char kid[TOKEN_KID_MAX + 1];
};

#define KEY_MAGIC OBJECT_MAGIC('T', 'K', 'E', 'Y')

static struct token_key *new_key(struct bytes kid, enum token_algorithm algorithm)
{
    struct token_key *key = object_zalloc(sizeof *key);
    key->magic = KEY_MAGIC;
    key->algorithm = algorithm;
    if (kid.len > 0)
        memcpy(key->kid, kid.ptr, kid.len);
    return key;
}

struct token_key *token_key_new(struct bytes kid, struct bytes secret)
{
    if (secret.len < SECRET_MIN || secret.len > SECRET_MAX || !text_is_printable(kid, TOKEN_KID_MAX))
        return NULL;
    cjose_err error;
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec(secret.ptr, secret.len, &error);
    if (jwk == NULL)
        return NULL;
    struct token_key *key = new_key(kid, TOKEN_HS256);
    key->jwk = jwk;
    memcpy(key->secret, secret.ptr, secret.len);
    key->secret_len = secret.len;
    return key;
}

struct token_key *token_key_new_public(struct bytes kid, enum token_algorithm algorithm, struct bytes der)
{
    if (kid.len == 0 || !text_is_printable(kid, TOKEN_KID_MAX))
        return NULL;
    struct token_public *public = token_public_new(algorithm, der);
    if (public == NULL)
        return NULL;
    struct token_key *key = new_key(kid, algorithm);
    key->public = public;
    return key;
}

void token_key_free(struct token_key **key)
{
    if (*key == NULL)
        return;
    object_check(*key, KEY_MAGIC);
    cjose_jwk_release((*key)->jwk);
    token_public_free((*key)->public);
    (*key)->magic = 0;
    OPENSSL_cleanse((*key)->secret, sizeof(*key)->secret);
    free(*key);
    *key = NULL;
}

/* Cut "header.payload.signature". 0 or PETREL_E_INVALID: not three parts. */
static int split(struct bytes token, struct bytes parts[3])
{
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *dot = token.len > 0 ? memchr(token.ptr, '.', token.len) : NULL;
        const size_t len = dot != NULL ? (size_t)(dot - token.ptr) : token.len;
        if (len == 0 || (dot == NULL) != (i == 2))
            return PETREL_E_INVALID;
        parts[i] = bytes_of(token.ptr, len);
        if (dot != NULL)
            token = bytes_of(dot + 1, token.len - len - 1);
    }
    return 0;
}

/* The JSON object in a part, or NULL. A name that comes twice is refused: two readers could take two values. */
static json_t *parse_part(struct bytes part)
{
    struct bytebuf text = {0};
    json_t *object = NULL;
    if (bytes_get_base64url(part, &text) == 0)
        object = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    bytes_reset(&text);
    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Only algorithms that a key can have, and only one's own word for it; `crit` names extensions that must be understood, and none is. */
static int read_header(struct bytes part, char kid[TOKEN_KID_MAX + 1], enum token_algorithm *algorithm)
{
    json_t *header = parse_part(part);
    const json_t *named = json_object_get(header, "alg");
    bool ours = json_is_string(named) &&
                token_public_algorithm_find(bytes_of(json_string_value(named), json_string_length(named)), algorithm) &&
                json_object_get(header, "crit") == NULL;
    const json_t *name = json_object_get(header, "kid");
    kid[0] = '\0';
    if (ours && name != NULL) {
        struct bytes text = bytes_of(json_string_value(name), json_string_length(name));
        ours = json_is_string(name) && text_is_printable(text, TOKEN_KID_MAX);
        if (ours && text.len > 0)
            memcpy(kid, text.ptr, text.len);
        kid[ours ? text.len : 0] = '\0';
    }
    json_decref(header);
    return ours ? 0 : PETREL_E_INVALID;
}

static int read_name(const json_t *claims, const char *name, bool (*valid)(struct bytes text), char *out)
{
    const json_t *value = json_object_get(claims, name);
    struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
    if (text.ptr == NULL || !valid(text))
        return PETREL_E_INVALID;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return 0;
}

/* Seconds since 1970, with a fraction or without. */
static int read_time(const json_t *claims, const char *name, bool required, uint64_t *out)
{
    const json_t *value = json_object_get(claims, name);
    *out = 0;
    if (value == NULL)
        return required ? PETREL_E_INVALID : 0;
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds >= 0) || seconds > TIME_MAX_S)
        return PETREL_E_INVALID;
    *out = (uint64_t)seconds;
    return 0;
}

static int read_claims(struct bytes part, struct token_reading *out)
{
    json_t *claims = parse_part(part);
    if (claims == NULL)
        return PETREL_E_INVALID;
    int rc = read_name(claims, "app", route_valid_app, out->claims.app);
    if (rc == 0)
        rc = read_name(claims, "sub", route_valid_user, out->claims.user);
    if (rc == 0)
        rc = read_name(claims, "device", route_valid_device, out->claims.device);
    if (rc == 0)
        rc = read_time(claims, "exp", true, &out->claims.expires_s);
    if (rc == 0)
        rc = read_time(claims, "iat", false, &out->claims.issued_s);
    if (rc == 0)
        rc = read_time(claims, "nbf", false, &out->not_before_s);
    json_decref(claims);
    return rc;
}

/* One text for one signature: no padding, no stray bits. */
static bool read_signature(struct bytes part, struct token_reading *out)
{
    struct bytebuf raw = {0};
    const bool good = bytes_get_base64url(part, &raw) == 0 && raw.len > 0 && raw.len <= sizeof out->signature;
    if (good)
        memcpy(out->signature, raw.ptr, raw.len);
    out->signature_len = good ? raw.len : 0;
    bytes_reset(&raw);
    return good;
}

int token_read(struct bytes token, struct token_reading *out)
{
    struct bytes parts[3];
    *out = (struct token_reading){0};
    if (token.len > TOKEN_MAX || split(token, parts) != 0 || !read_signature(parts[2], out) ||
        read_header(parts[0], out->kid, &out->algorithm) != 0 ||
        !token_public_signature_fits(out->algorithm, out->signature_len))
        return PETREL_E_INVALID;
    out->signed_len = (size_t)(parts[2].ptr - token.ptr) - 1;
    return read_claims(parts[1], out);
}

int token_peek(struct bytes token, struct token_claims *out, char *kid, size_t kid_size)
{
    struct token_reading reading;
    int rc = token_read(token, &reading);
    if (rc != 0)
        return rc;
    if (strlen(reading.kid) >= kid_size)
        return PETREL_E_INVALID;
    strcpy(kid, reading.kid);
    *out = reading.claims;
    return 0;
}

static bool is_signed_with(const struct token_key *key, struct bytes token, const struct token_reading *reading)
{
    const struct bytes text = bytes_of(token.ptr, reading->signed_len);
    uint8_t ours[DIGEST_SHA256_BYTES];
    if (key->public != NULL)
        return token_public_verify(key->public, text, bytes_of(reading->signature, reading->signature_len));
    digest_hmac_sha256(bytes_of(key->secret, key->secret_len), text, ours);
    return reading->signature_len == sizeof ours && digest_equal(ours, reading->signature);
}

int token_check(const struct token_key *key, struct bytes token, const struct token_reading *reading, uint64_t now_s)
{
    object_check(key, KEY_MAGIC);
    petrel_assert(reading->signed_len < token.len);
    /* By the key's algorithm; a header that says another is refused before anything is computed. */
    if (reading->algorithm != key->algorithm || !is_signed_with(key, token, reading))
        return PETREL_E_UNAUTHENTICATED;
    uint64_t latest_s = now_s + TOKEN_LEEWAY_S;
    if (reading->claims.expires_s + TOKEN_LEEWAY_S < now_s || reading->claims.issued_s > latest_s ||
        reading->not_before_s > latest_s)
        return PETREL_E_EXPIRED;
    return 0;
}

int token_verify(const struct token_key *key, struct bytes token, uint64_t now_s, struct token_claims *out)
{
    struct token_reading reading;
    int rc = token_read(token, &reading);
    if (rc == 0)
        rc = token_check(key, token, &reading, now_s);
    if (rc == 0)
        *out = reading.claims;
    return rc;
}

/* The header of a new token. NULL when the library has no memory. */
static cjose_header_t *new_header(const struct token_key *key)
{
    cjose_err error;
    cjose_header_t *header = cjose_header_new(&error);
    bool good = header != NULL && cjose_header_set(header, CJOSE_HDR_ALG, MINTS_WITH, &error) &&
                cjose_header_set(header, "typ", "JWT", &error);
    if (good && key->kid[0] != '\0')
        good = cjose_header_set(header, CJOSE_HDR_KID, key->kid, &error);
    if (good)
        return header;
    if (header != NULL)
        cjose_header_release(header);
    return NULL;
}

static int sign(const struct token_key *key, const char *payload, struct bytebuf *out)
{
    cjose_err error;
    cjose_header_t *header = new_header(key);
    if (header == NULL)
        return PETREL_E_INTERNAL;
    cjose_jws_t *jws = cjose_jws_sign(key->jwk, header, (const uint8_t *)payload, strlen(payload), &error);
    const char *compact = NULL;
    int rc = PETREL_E_INTERNAL;
    if (jws != NULL && cjose_jws_export(jws, &compact, &error)) {
        bytes_append_str(out, compact);
        rc = 0;
    }
    cjose_jws_release(jws);
    cjose_header_release(header);
    return rc;
}

int token_mint(const struct token_key *key, const struct token_claims *claims, struct bytebuf *out)
{
    object_check(key, KEY_MAGIC);
    if (key->jwk == NULL || !route_valid_app(bytes_str(claims->app)) || !route_valid_user(bytes_str(claims->user)) ||
        !route_valid_device(bytes_str(claims->device)) || (double)claims->expires_s > TIME_MAX_S ||
        (double)claims->issued_s > TIME_MAX_S)
        return PETREL_E_INVALID;
    json_t *object = json_pack("{s:s, s:s, s:s, s:I}", "app", claims->app, "sub", claims->user, "device",
                               claims->device, "exp", (json_int_t)claims->expires_s);
    if (object == NULL)
        return PETREL_E_INTERNAL;
    if (claims->issued_s != 0)
        json_object_set_new(object, "iat", json_integer((json_int_t)claims->issued_s));
    char *payload = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    int rc = payload != NULL ? sign(key, payload, out) : PETREL_E_INTERNAL;
    free(payload);
    return rc;
}
