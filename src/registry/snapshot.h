/* snapshot.h: what the hot paths need of the registry, immutable and shared: apps with their token secrets, live API keys.
 * Lookups are by hash, allocate nothing and lock nothing. */
#ifndef PETREL_REGISTRY_SNAPSHOT_H
#define PETREL_REGISTRY_SNAPSHOT_H

#include "base/buf.h"
#include "base/route.h"

#define SNAPSHOT_SECRETS_MAX 4
#define SNAPSHOT_SECRET_BYTES 32

struct snapshot_secret {
    char kid[17];
    uint8_t secret[SNAPSHOT_SECRET_BYTES];
};
struct snapshot_app {
    char name[ROUTE_APP_MAX + 1];
    uint64_t key_window_ms;
    uint32_t secrets_count; /* the first one signs */
    struct snapshot_secret secrets[SNAPSHOT_SECRETS_MAX];
};
struct snapshot_key {
    char id[17];
    uint8_t sha256[32]; /* of the whole key text */
    uint32_t app;       /* index into apps */
};

struct snapshot;

/* Takes copies of both arrays. One reference. version grows with every change of the registry. Any thread. */
struct snapshot *snapshot_new(uint64_t version, const struct snapshot_app *apps, size_t apps_count,
                              const struct snapshot_key *keys, size_t keys_count);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* The last reference wipes the secrets. NULL is fine. */
void snapshot_unref(struct snapshot *snapshot);

uint64_t snapshot_version(const struct snapshot *snapshot);
size_t snapshot_apps_count(const struct snapshot *snapshot);
const struct snapshot_app *snapshot_app_at(const struct snapshot *snapshot, size_t index);
size_t snapshot_keys_count(const struct snapshot *snapshot);
const struct snapshot_key *snapshot_key_at(const struct snapshot *snapshot, size_t index);
/* NULL when there is none of that name. */
const struct snapshot_app *snapshot_find_app(const struct snapshot *snapshot, struct bytes name);
/* The app that the API key belongs to; NULL when it is malformed, unknown or revoked. Compared in constant time. */
const struct snapshot_app *snapshot_find_key(const struct snapshot *snapshot, struct bytes key_text);
/* Whether the text has the form of a key and the snapshot none of its id: a newer snapshot may know it. */
bool snapshot_may_gain_key(const struct snapshot *snapshot, struct bytes key_text);

#endif
