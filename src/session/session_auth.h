/* session_auth.h: the apps' token keys, and whether a token is good. Private to this room.
 *
 * keyring   all apps with their keys ready for use; built anew from each APPS, never changed */
#ifndef PETREL_SESSION_SESSION_AUTH_H
#define PETREL_SESSION_SESSION_AUTH_H

#include "base/metrics.h"
#include "base/rate.h"
#include "base/rng.h"
#include "wire/token.h"

struct session_keyring;

/* From records of peer_record_pack_apps(). NULL when they are malformed. A key that is no key is left out, and logged. */
struct session_keyring *session_auth_keyring_new(struct bytes records, struct rng *rng);
/* NULL inside is fine. */
void session_auth_keyring_free(struct session_keyring **keyring);

/* What an app has of its own for who connects. */
struct session_auth_edge {
    const char *origins;          /* of pages that may; NULL: as the node is configured */
    uint32_t connects_per_second; /* of the node; 0: likewise */
    struct rate_meter *connects;  /* of this loop */
};

/* NULL: no such app. It is the keyring's. */
const struct session_auth_edge *session_auth_edge(const struct session_keyring *keyring, struct bytes app);
/* Whether a page of that origin may connect to some app, by the app's own list. keyring NULL: no. */
bool session_auth_serves_origin(const struct session_keyring *keyring, struct bytes origin);
/* What apps have used of their limits goes on in the keyring that takes the other's place. before may be NULL. */
void session_auth_go_on(struct session_keyring *keyring, const struct session_keyring *before);
bool session_auth_knows(const struct session_keyring *keyring, struct bytes app);
/* Whether some app of `before` is not in `after`. */
bool session_auth_lacks(const struct session_keyring *after, const struct session_keyring *before);

/* 0 and the claims, or the session_code to refuse with; *why then says more than the code's own text does, or is NULL. keyring NULL:
 * the apps are not known yet, which is UNAVAILABLE, for the client to come again. */
uint32_t session_auth_verify(const struct session_keyring *keyring, struct bytes token, uint64_t now_s,
                             struct metrics_shard *metrics, struct token_claims *out, const char **why);

#endif
