/* snapshot.h: what the hot paths need of the registry, immutable and shared: apps with what signs their tokens, live API keys.
 * Lookups are by hash, allocate nothing and lock nothing.
 *
 * scope    what an API key may do
 * limits   of requests a second, for an app as a whole and for each of its keys
 * meter    what was used of a limit. It is all of a snapshot that changes, and passes on to the next one */
#ifndef PETREL_REGISTRY_SNAPSHOT_H
#define PETREL_REGISTRY_SNAPSHOT_H

#include "base/buf.h"
#include "base/rate.h"
#include "base/route.h"
#include "wire/token_public.h"

#define SNAPSHOT_SECRETS_MAX 4
#define SNAPSHOT_PUBLIC_KEYS_MAX 4 /* of an app */
#define SNAPSHOT_SECRET_BYTES 32
#define SNAPSHOT_KID_MAX 64
#define SNAPSHOT_ORIGINS_MAX 511
/* A new secret signs nothing for so long: by then every node has heard of it, and takes tokens that it signed. */
#define SNAPSHOT_SIGNS_AFTER_MS 60000

/* Bits; of a key without any, all are meant. Numbers are stored: never given to another. */
enum snapshot_scope { SNAPSHOT_SCOPE_SEND = 1, SNAPSHOT_SCOPE_ADMIN = 2, SNAPSHOT_SCOPE_READ = 4 };
#define SNAPSHOT_SCOPES_ALL 7U

struct snapshot_limits {
    uint32_t per_second;     /* of the app; 0: as the server is configured */
    uint32_t key_per_second; /* of each of its keys; likewise */
};
/* What devices of an app meet where they connect. */
struct snapshot_edge {
    uint32_t connects_per_second; /* of the app on each node; 0: as the server is configured */
    char origins[SNAPSHOT_ORIGINS_MAX +
                 1]; /* as session.origins, for this app's; "none": no page; empty: as the server is configured */
};
struct snapshot_secret {
    char kid[17];
    uint8_t secret[SNAPSHOT_SECRET_BYTES];
    uint64_t created_ms; /* 0: with the app */
};
struct snapshot_app {
    char name[ROUTE_APP_MAX + 1];
    uint64_t key_window_ms;
    struct snapshot_limits limits;
    struct snapshot_edge edge;
    uint32_t secrets_count; /* the oldest one first */
    struct snapshot_secret secrets[SNAPSHOT_SECRETS_MAX];
};
/* A key that signs tokens and stays with the app's backend. */
struct snapshot_public_key {
    uint32_t app; /* index into apps */
    enum token_algorithm algorithm;
    uint64_t created_ms;
    char kid[SNAPSHOT_KID_MAX + 1];
    uint16_t der_len;
    uint8_t der[TOKEN_PUBLIC_DER_MAX];
};
struct snapshot_key {
    char id[17];
    uint8_t sha256[32];  /* of the whole key text */
    uint32_t app;        /* index into apps */
    uint32_t scopes;     /* of enum snapshot_scope; 0: all */
    uint64_t expires_ms; /* 0: never */
};

/* What a snapshot is made of. Public keys stand in the order of their apps. */
struct snapshot_content {
    const struct snapshot_app *apps;
    size_t apps_count;
    const struct snapshot_key *keys;
    size_t keys_count;
    const struct snapshot_public_key *public_keys;
    size_t public_keys_count;
};

struct snapshot;

/* Takes copies of the arrays. One reference. version grows with every change of the registry. before: whose meters go on for the apps
 * and keys that are in both; NULL: all begin anew. Any thread. */
struct snapshot *snapshot_new(uint64_t version, const struct snapshot_content *content, const struct snapshot *before);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* The last reference wipes the secrets. NULL is fine. */
void snapshot_unref(struct snapshot *snapshot);

uint64_t snapshot_version(const struct snapshot *snapshot);
size_t snapshot_apps_count(const struct snapshot *snapshot);
const struct snapshot_app *snapshot_app_at(const struct snapshot *snapshot, size_t index);
size_t snapshot_keys_count(const struct snapshot *snapshot);
const struct snapshot_key *snapshot_key_at(const struct snapshot *snapshot, size_t index);
size_t snapshot_public_keys_count(const struct snapshot *snapshot);
const struct snapshot_public_key *snapshot_public_key_at(const struct snapshot *snapshot, size_t index);
/* NULL when there is none of that name. */
const struct snapshot_app *snapshot_find_app(const struct snapshot *snapshot, struct bytes name);
/* The secret that signs the app's new tokens; NULL: it has none. */
const struct snapshot_secret *snapshot_signer(const struct snapshot_app *app, uint64_t now_ms);
/* Its public keys, the oldest first. */
const struct snapshot_public_key *snapshot_public_keys(const struct snapshot *snapshot, const struct snapshot_app *app,
                                                       size_t *count);
/* The API key; NULL when it is malformed, unknown or revoked, not when it has expired. Compared in constant time. */
const struct snapshot_key *snapshot_find_key(const struct snapshot *snapshot, struct bytes key_text);
const struct snapshot_app *snapshot_key_app(const struct snapshot *snapshot, const struct snapshot_key *key);
/* Both live as long as a snapshot does that has the app or key. Any thread may use them. */
struct rate_meter *snapshot_app_meter(const struct snapshot *snapshot, const struct snapshot_app *app);
struct rate_meter *snapshot_key_meter(const struct snapshot *snapshot, const struct snapshot_key *key);
/* Whether the text has the form of a key and the snapshot none of its id: a newer snapshot may know it. */
bool snapshot_may_gain_key(const struct snapshot *snapshot, struct bytes key_text);

#endif
