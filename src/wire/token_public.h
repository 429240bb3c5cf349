/* token_public.h: public keys that sign device tokens, and whether a signature is one of theirs. On OpenSSL. Sans-I/O.
 *
 * algorithm   what a key signs with; a key has one, and a token that names another is refused
 * DER         a SubjectPublicKeyInfo (RFC 5280), as it is stored and sent between nodes */
#ifndef PETREL_WIRE_TOKEN_PUBLIC_H
#define PETREL_WIRE_TOKEN_PUBLIC_H

#include "base/bytes.h"

#define TOKEN_PUBLIC_DER_MAX 560      /* RSA with 4,096 bits takes 550 */
#define TOKEN_PUBLIC_PEM_MAX 4096     /* what is looked at */
#define TOKEN_SIGNATURE_BYTES_MAX 512 /* RSA with 4,096 bits */

/* Numbers go over the wire between nodes: never given to another. */
enum token_algorithm { TOKEN_HS256 = 1, TOKEN_ES256 = 2, TOKEN_RS256 = 3 };

/* "HS256"; NULL for a number that is none. */
const char *token_public_algorithm_name(unsigned algorithm);
/* Whether it is the name of one. Names are case-sensitive (RFC 7518). */
bool token_public_algorithm_find(struct bytes name, enum token_algorithm *out);
/* Whether a signature of that algorithm can have so many bytes. */
bool token_public_signature_fits(enum token_algorithm algorithm, size_t len);

/* Take a public key from PEM: EC on P-256 (ES256), or RSA of 2,048 to 4,096 bits (RS256). The DER is appended, at most
 * TOKEN_PUBLIC_DER_MAX bytes. 0; PETREL_E_INVALID, with *why a text for people: what it is instead. */
int token_public_from_pem(struct bytes pem, enum token_algorithm *algorithm, struct bytebuf *der, const char **why);

/* A key ready for use: import once, use often. One owner thread. */
struct token_public;
/* NULL: the DER is no key of that algorithm, by the rules above. */
struct token_public *token_public_new(enum token_algorithm algorithm, struct bytes der);
/* NULL is fine. */
void token_public_free(struct token_public *key);
/* Whether that is the key's signature of the text, in the form of RFC 7518. A token so checked took 74 us of CPU for ES256 and 24 for
 * RS256 with 2,048 bits, where one of HS256 took 4. */
bool token_public_verify(const struct token_public *key, struct bytes text, struct bytes signature);

#endif
