/* reading.h: a snapshot while it is read from where the registry is kept: rows in, in the order of their app's number. */
#ifndef PETREL_REGISTRY_READING_H
#define PETREL_REGISTRY_READING_H

#include "registry/snapshot.h"

/* Zero-initialise. */
struct reading {
    struct snapshot_app *apps;
    int64_t *app_ids;
    size_t apps_count;
    struct snapshot_key *keys;
    size_t keys_count;
    struct snapshot_public_key *public_keys;
    size_t public_keys_count;
    size_t secrets_at; /* the app of the last secret, token key, API key */
    size_t token_keys_at;
    size_t keys_at;
};

/* A key that signs tokens and was added to an app that was there. */
struct reading_token_key {
    struct bytes kid;
    struct bytes algorithm;
    struct bytes material; /* the secret, or the public key's DER */
    uint64_t created_ms;
};

/* First all apps, then secrets, token keys and API keys, each kind by app_id. A row of no app, or that is not of its form, is left
 * out. */
void reading_add_app(struct reading *reading, int64_t app_id, struct bytes name, uint64_t key_window_ms,
                     const struct snapshot_limits *limits);
/* Of the app that was added last. */
void reading_set_edge(struct reading *reading, uint32_t connects_per_second, struct bytes origins);
void reading_add_secret(struct reading *reading, int64_t app_id, struct bytes kid, struct bytes secret);
void reading_add_token_key(struct reading *reading, int64_t app_id, const struct reading_token_key *key);
void reading_add_key(struct reading *reading, int64_t app_id, struct bytes id, struct bytes sha256, uint32_t scopes,
                     uint64_t expires_ms);
/* One reference; before as in snapshot_new(). The reading stays the caller's. */
struct snapshot *reading_snapshot(const struct reading *reading, uint64_t version, const struct snapshot *before);
/* Wipe the secrets, free the memory. */
void reading_reset(struct reading *reading);

#endif
