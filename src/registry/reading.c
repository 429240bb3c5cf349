#include "registry/reading.h"

#include "base/object.h"
#include "registry/row.h"

#include <stdlib.h>

/* Room for one more: doubled when count has reached a power of two. */
static void *room_for_one(void *array, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    return object_realloc(array, (count == 0 ? 1 : count * 2) * size);
}

void reading_add_app(struct reading *reading, int64_t app_id, struct bytes name, uint64_t key_window_ms,
                     const struct snapshot_limits *limits)
{
    petrel_assert(reading->keys_count == 0 && reading->secrets_at == 0);
    const size_t place = reading->apps_count++;
    reading->app_ids = room_for_one(reading->app_ids, place, sizeof reading->app_ids[0]);
    reading->apps = room_for_one(reading->apps, place, sizeof reading->apps[0]);
    struct snapshot_app *app = &reading->apps[place];
    memset(app, 0, sizeof *app);
    reading->app_ids[place] = app_id;
    row_text(name, app->name, sizeof app->name);
    app->key_window_ms = key_window_ms;
    app->limits = *limits;
}

void reading_set_edge(struct reading *reading, uint32_t connects_per_second, struct bytes origins)
{
    petrel_assert(reading->apps_count > 0);
    struct snapshot_edge *edge = &reading->apps[reading->apps_count - 1].edge;
    edge->connects_per_second = connects_per_second;
    row_text(origins, edge->origins, sizeof edge->origins);
}

/* Rows come in the order of their app's number, as the apps did: walk both. False: no such app. */
static bool walk_to(const struct reading *reading, int64_t app_id, size_t *place)
{
    while (*place < reading->apps_count && reading->app_ids[*place] < app_id)
        (*place)++;
    return *place < reading->apps_count && reading->app_ids[*place] == app_id;
}

static void add_secret(struct snapshot_app *app, struct bytes kid, struct bytes secret, uint64_t created_ms)
{
    if (secret.len != SNAPSHOT_SECRET_BYTES || app->secrets_count == SNAPSHOT_SECRETS_MAX)
        return;
    struct snapshot_secret *to = &app->secrets[app->secrets_count++];
    row_text(kid, to->kid, sizeof to->kid);
    memcpy(to->secret, secret.ptr, sizeof to->secret);
    to->created_ms = created_ms;
}

void reading_add_secret(struct reading *reading, int64_t app_id, struct bytes kid, struct bytes secret)
{
    if (walk_to(reading, app_id, &reading->secrets_at))
        add_secret(&reading->apps[reading->secrets_at], kid, secret, 0);
}

static void add_public_key(struct reading *reading, enum token_algorithm algorithm,
                           const struct reading_token_key *from)
{
    struct snapshot_public_key key = {.app = (uint32_t)reading->token_keys_at,
                                      .algorithm = algorithm,
                                      .created_ms = from->created_ms,
                                      .der_len = (uint16_t)from->material.len};
    if (from->material.len == 0 || from->material.len > sizeof key.der)
        return;
    row_text(from->kid, key.kid, sizeof key.kid);
    memcpy(key.der, from->material.ptr, from->material.len);
    reading->public_keys = room_for_one(reading->public_keys, reading->public_keys_count, sizeof key);
    reading->public_keys[reading->public_keys_count++] = key;
}

void reading_add_token_key(struct reading *reading, int64_t app_id, const struct reading_token_key *key)
{
    enum token_algorithm algorithm;
    if (!token_public_algorithm_find(key->algorithm, &algorithm) || !walk_to(reading, app_id, &reading->token_keys_at))
        return;
    if (algorithm == TOKEN_HS256)
        add_secret(&reading->apps[reading->token_keys_at], key->kid, key->material, key->created_ms);
    else
        add_public_key(reading, algorithm, key);
}

void reading_add_key(struct reading *reading, int64_t app_id, struct bytes id, struct bytes sha256, uint32_t scopes,
                     uint64_t expires_ms)
{
    struct snapshot_key key = {.scopes = scopes, .expires_ms = expires_ms};
    if (sha256.len != sizeof key.sha256 || !walk_to(reading, app_id, &reading->keys_at))
        return;
    row_text(id, key.id, sizeof key.id);
    memcpy(key.sha256, sha256.ptr, sizeof key.sha256);
    key.app = (uint32_t)reading->keys_at;
    reading->keys = room_for_one(reading->keys, reading->keys_count, sizeof key);
    reading->keys[reading->keys_count++] = key;
}

struct snapshot *reading_snapshot(const struct reading *reading, uint64_t version, const struct snapshot *before)
{
    const struct snapshot_content content = {.apps = reading->apps,
                                             .apps_count = reading->apps_count,
                                             .keys = reading->keys,
                                             .keys_count = reading->keys_count,
                                             .public_keys = reading->public_keys,
                                             .public_keys_count = reading->public_keys_count};
    return snapshot_new(version, &content, before);
}

void reading_reset(struct reading *reading)
{
    if (reading->apps != NULL)
        explicit_bzero(reading->apps, reading->apps_count * sizeof reading->apps[0]);
    free(reading->apps);
    free(reading->app_ids);
    free(reading->keys);
    free(reading->public_keys);
    *reading = (struct reading){0};
}
