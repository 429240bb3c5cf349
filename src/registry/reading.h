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
    size_t secrets_at; /* the app of the last secret, of the last key */
    size_t keys_at;
};

/* First all apps, then secrets and keys, each kind by app_id. A row of no app, or that is not of its form, is left out. */
void reading_add_app(struct reading *reading, int64_t app_id, struct bytes name, uint64_t key_window_ms);
void reading_add_secret(struct reading *reading, int64_t app_id, struct bytes kid, struct bytes secret);
void reading_add_key(struct reading *reading, int64_t app_id, struct bytes id, struct bytes sha256);
/* One reference. The reading stays the caller's. */
struct snapshot *reading_snapshot(const struct reading *reading, uint64_t version);
/* Wipe the secrets, free the memory. */
void reading_reset(struct reading *reading);

#endif
