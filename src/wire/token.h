/* token.h: device tokens: JWTs (RFC 7519) signed with a secret that the app shares with us (HS256), or with a private key of the
 * app's own, of which we have the public one (ES256, RS256): by the key's own type, never by the header's word. Claims: app, sub
 * (the user), device, exp, iat, nbf; seconds since 1970. Minted by cjose, with secrets. Sans-I/O. */
#ifndef PETREL_WIRE_TOKEN_H
#define PETREL_WIRE_TOKEN_H

#include "base/bytes.h"
#include "base/route.h"
#include "wire/token_public.h"

#define TOKEN_MAX 4096
#define TOKEN_KID_MAX 64
#define TOKEN_SECRET_BYTES 32 /* made by the registry */
#define TOKEN_LEEWAY_S 30     /* clocks differ: exp is over, iat and nbf are in the future, only beyond this */

struct token_claims {
    char app[ROUTE_APP_MAX + 1];
    char user[ROUTE_USER_MAX + 1];
    char device[ROUTE_DEVICE_MAX + 1];
    uint64_t issued_s;  /* 0: no iat */
    uint64_t expires_s; /* required */
};

/* A signing key, ready for use: import once, use often. One owner thread. */
struct token_key;
/* secret of 16-64 bytes; NULL when it is not, or cjose refuses. */
struct token_key *token_key_new(struct bytes kid, struct bytes secret);
/* ES256 or RS256. NULL: there is no kid, or the DER is no key of that algorithm (token_public.h). It mints nothing. */
struct token_key *token_key_new_public(struct bytes kid, enum token_algorithm algorithm, struct bytes der);
void token_key_free(struct token_key **key);

/* What a token says, read once and not trusted yet: by it the app's keys are found. */
struct token_reading {
    struct token_claims claims;
    uint64_t not_before_s;
    enum token_algorithm algorithm; /* of the header */
    char kid[TOKEN_KID_MAX + 1];    /* of the header; empty when there is none */
    size_t signed_len;              /* of the token: as it stands before the last dot */
    size_t signature_len;
    uint8_t signature[TOKEN_SIGNATURE_BYTES_MAX]; /* decoded */
};

/* 0; PETREL_E_INVALID: not a JWT, alg is none of token_algorithm or its signature has another length, a claim is missing, of the
 * wrong type, or no valid name. */
int token_read(struct bytes token, struct token_reading *out);
/* Whether what was read of the token holds: the signature is that key's, and it is valid now. 0; PETREL_E_UNAUTHENTICATED: the
 * signature is wrong, or of another algorithm than the key's; PETREL_E_EXPIRED: exp + leeway is before now_s, or nbf/iat - leeway is after it. */
int token_check(const struct token_key *key, struct bytes token, const struct token_reading *reading, uint64_t now_s);

/* Read the claims without trusting them, to find the app's keys, and the header's kid (text of kid_size bytes with its NUL,
 * empty when there is none). 0; PETREL_E_INVALID: as token_read(), or the kid is longer. */
int token_peek(struct bytes token, struct token_claims *out, char *kid, size_t kid_size);

/* Both: 0 and the claims, or either's error. */
int token_verify(const struct token_key *key, struct bytes token, uint64_t now_s, struct token_claims *out);

/* Append the compact form. 0, PETREL_E_INVALID (a claim is no valid name, or the key is a public one), PETREL_E_INTERNAL. */
int token_mint(const struct token_key *key, const struct token_claims *claims, struct bytebuf *out);

#endif
