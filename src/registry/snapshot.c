#include "registry/snapshot.h"

#include "base/hash.h"
#include "base/object.h"
#include "base/rng.h"
#include "wire/digest.h"

#include <stdlib.h>

#define SNAPSHOT_MAGIC OBJECT_MAGIC('R', 'S', 'N', 'P')
#define KEY_PREFIX "pk_"
#define KEY_ID_LEN 16
#define KEY_SECRET_LEN 43
#define KEY_TEXT_LEN (sizeof KEY_PREFIX - 1 + KEY_ID_LEN + 1 + KEY_SECRET_LEN)

/* Open addressing at a load of at most a half; a slot holds an index + 1, 0 is empty. Never changed once it is built. */
struct index {
    uint32_t *slots;
    size_t mask;
    size_t probes; /* slots looked at for the key that took longest: no key is further away */
};

struct snapshot {
    uint32_t magic;
    atomic_uint refs;
    uint64_t version;
    uint64_t seed;
    size_t apps_count;
    size_t keys_count;
    size_t public_keys_count;
    struct snapshot_app *apps;
    struct snapshot_key *keys;
    struct snapshot_public_key *public_keys;
    struct rate_meter **app_meters; /* each with a reference */
    struct rate_meter **key_meters;
    struct index by_name;
    struct index by_id;
};

static void *copy_of(const void *from, size_t count, size_t size)
{
    void *copy = object_zalloc(count > 0 ? count * size : 1);
    if (count > 0)
        memcpy(copy, from, count * size);
    return copy;
}

static void index_init(struct index *index, size_t count)
{
    size_t size = 2;
    while (size < count * 2)
        size *= 2;
    index->slots = object_zalloc(size * sizeof index->slots[0]);
    index->mask = size - 1;
    index->probes = 0;
}

static void index_add(struct index *index, uint64_t hash, size_t value)
{
    size_t probes = 1;
    size_t slot = (size_t)hash & index->mask;
    for (; index->slots[slot] != 0; probes++)
        slot = (slot + 1) & index->mask;
    index->slots[slot] = (uint32_t)(value + 1);
    if (probes > index->probes)
        index->probes = probes;
}

static void build(struct snapshot *snapshot)
{
    index_init(&snapshot->by_name, snapshot->apps_count);
    for (size_t i = 0; i < snapshot->apps_count; i++) {
        const struct snapshot_app *app = &snapshot->apps[i];
        petrel_assert(app->secrets_count <= SNAPSHOT_SECRETS_MAX);
        index_add(&snapshot->by_name, hash_bytes(bytes_str(app->name), snapshot->seed), i);
    }
    index_init(&snapshot->by_id, snapshot->keys_count);
    for (size_t i = 0; i < snapshot->keys_count; i++) {
        const struct snapshot_key *key = &snapshot->keys[i];
        petrel_assert(key->app < snapshot->apps_count);
        index_add(&snapshot->by_id, hash_bytes(bytes_str(key->id), snapshot->seed), i);
    }
}

static const struct snapshot_key *find_id(const struct snapshot *snapshot, struct bytes id)
{
    const struct index *index = &snapshot->by_id;
    size_t slot = (size_t)hash_bytes(id, snapshot->seed) & index->mask;
    for (size_t i = 0; i < index->probes && index->slots[slot] != 0; i++) {
        const struct snapshot_key *key = &snapshot->keys[index->slots[slot] - 1];
        if (bytes_equal_str(id, key->id))
            return key;
        slot = (slot + 1) & index->mask;
    }
    return NULL;
}

/* The app's or key's own of `before`, or a new one. */
static void take_meters(struct snapshot *snapshot, const struct snapshot *before)
{
    snapshot->app_meters = object_zalloc((snapshot->apps_count + 1) * sizeof snapshot->app_meters[0]);
    for (size_t i = 0; i < snapshot->apps_count; i++) {
        const struct bytes name = bytes_str(snapshot->apps[i].name);
        const struct snapshot_app *was = before != NULL ? snapshot_find_app(before, name) : NULL;
        snapshot->app_meters[i] = was != NULL ? rate_meter_ref(snapshot_app_meter(before, was)) : rate_meter_new();
    }
    snapshot->key_meters = object_zalloc((snapshot->keys_count + 1) * sizeof snapshot->key_meters[0]);
    for (size_t i = 0; i < snapshot->keys_count; i++) {
        const struct snapshot_key *was = before != NULL ? find_id(before, bytes_str(snapshot->keys[i].id)) : NULL;
        snapshot->key_meters[i] = was != NULL ? rate_meter_ref(snapshot_key_meter(before, was)) : rate_meter_new();
    }
}

struct snapshot *snapshot_new(uint64_t version, const struct snapshot_content *content, const struct snapshot *before)
{
    petrel_assert(content->apps_count < UINT32_MAX && content->keys_count < UINT32_MAX);
    struct snapshot *snapshot = object_zalloc(sizeof *snapshot);
    snapshot->magic = SNAPSHOT_MAGIC;
    atomic_init(&snapshot->refs, 1);
    snapshot->version = version;
    /* Whoever asks chooses what is looked up, so the seed is nobody's to know. */
    rng_secret(&snapshot->seed, sizeof snapshot->seed);
    snapshot->apps_count = content->apps_count;
    snapshot->keys_count = content->keys_count;
    snapshot->public_keys_count = content->public_keys_count;
    snapshot->apps = copy_of(content->apps, content->apps_count, sizeof *content->apps);
    snapshot->keys = copy_of(content->keys, content->keys_count, sizeof *content->keys);
    snapshot->public_keys = copy_of(content->public_keys, content->public_keys_count, sizeof *content->public_keys);
    build(snapshot);
    take_meters(snapshot, before);
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

static void free_meters(struct rate_meter **meters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rate_meter_unref(meters[i]);
    free(meters);
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    object_check(snapshot, SNAPSHOT_MAGIC);
    if (atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(snapshot->apps, snapshot->apps_count * sizeof snapshot->apps[0]);
    free_meters(snapshot->app_meters, snapshot->apps_count);
    free_meters(snapshot->key_meters, snapshot->keys_count);
    free(snapshot->public_keys);
    free(snapshot->apps);
    free(snapshot->keys);
    free(snapshot->by_name.slots);
    free(snapshot->by_id.slots);
    snapshot->magic = 0;
    free(snapshot);
}

uint64_t snapshot_version(const struct snapshot *snapshot)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    return snapshot->version;
}

size_t snapshot_public_keys_count(const struct snapshot *snapshot)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    return snapshot->public_keys_count;
}

const struct snapshot_public_key *snapshot_public_key_at(const struct snapshot *snapshot, size_t index)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    petrel_assert(index < snapshot->public_keys_count);
    return &snapshot->public_keys[index];
}

size_t snapshot_apps_count(const struct snapshot *snapshot)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    return snapshot->apps_count;
}

const struct snapshot_app *snapshot_app_at(const struct snapshot *snapshot, size_t index)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    petrel_assert(index < snapshot->apps_count);
    return &snapshot->apps[index];
}

size_t snapshot_keys_count(const struct snapshot *snapshot)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    return snapshot->keys_count;
}

const struct snapshot_key *snapshot_key_at(const struct snapshot *snapshot, size_t index)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    petrel_assert(index < snapshot->keys_count);
    return &snapshot->keys[index];
}

const struct snapshot_app *snapshot_find_app(const struct snapshot *snapshot, struct bytes name)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    if (name.len == 0 || name.len > ROUTE_APP_MAX)
        return NULL;
    const struct index *index = &snapshot->by_name;
    size_t slot = (size_t)hash_bytes(name, snapshot->seed) & index->mask;
    for (size_t i = 0; i < index->probes && index->slots[slot] != 0; i++) {
        const struct snapshot_app *app = &snapshot->apps[index->slots[slot] - 1];
        if (bytes_equal_str(name, app->name))
            return app;
        slot = (slot + 1) & index->mask;
    }
    return NULL;
}

/* The id within the text of a key; absent when the text is not of that form. */
static struct bytes id_of(struct bytes key_text)
{
    const size_t prefix = sizeof KEY_PREFIX - 1;
    if (key_text.len != KEY_TEXT_LEN || memcmp(key_text.ptr, KEY_PREFIX, prefix) != 0 ||
        key_text.ptr[prefix + KEY_ID_LEN] != '_')
        return (struct bytes){NULL, 0};
    return bytes_of(key_text.ptr + prefix, KEY_ID_LEN);
}

const struct snapshot_key *snapshot_find_key(const struct snapshot *snapshot, struct bytes key_text)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    const struct bytes id = id_of(key_text);
    const struct snapshot_key *key = id.ptr != NULL ? find_id(snapshot, id) : NULL;
    if (key == NULL)
        return NULL;
    /* The digest covers the whole text, so the form of the secret part needs no look of its own. */
    uint8_t digest[DIGEST_SHA256_BYTES];
    digest_sha256(key_text, digest);
    return digest_equal(digest, key->sha256) ? key : NULL;
}

const struct snapshot_app *snapshot_key_app(const struct snapshot *snapshot, const struct snapshot_key *key)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    return &snapshot->apps[key->app];
}

struct rate_meter *snapshot_app_meter(const struct snapshot *snapshot, const struct snapshot_app *app)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    petrel_assert(app >= snapshot->apps && app < snapshot->apps + snapshot->apps_count);
    return snapshot->app_meters[app - snapshot->apps];
}

struct rate_meter *snapshot_key_meter(const struct snapshot *snapshot, const struct snapshot_key *key)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    petrel_assert(key >= snapshot->keys && key < snapshot->keys + snapshot->keys_count);
    return snapshot->key_meters[key - snapshot->keys];
}

const struct snapshot_secret *snapshot_signer(const struct snapshot_app *app, uint64_t now_ms)
{
    for (uint32_t i = app->secrets_count; i > 1; i--) {
        if (app->secrets[i - 1].created_ms + SNAPSHOT_SIGNS_AFTER_MS <= now_ms)
            return &app->secrets[i - 1];
    }
    return app->secrets_count > 0 ? &app->secrets[0] : NULL;
}

const struct snapshot_public_key *snapshot_public_keys(const struct snapshot *snapshot, const struct snapshot_app *app,
                                                       size_t *count)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    const uint32_t index = (uint32_t)(app - snapshot->apps);
    size_t first = 0, end = snapshot->public_keys_count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (snapshot->public_keys[middle].app < index)
            first = middle + 1;
        else
            end = middle;
    }
    for (end = first; end < snapshot->public_keys_count && snapshot->public_keys[end].app == index;)
        end++;
    *count = end - first;
    return &snapshot->public_keys[first];
}

bool snapshot_may_gain_key(const struct snapshot *snapshot, struct bytes key_text)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    const struct bytes id = id_of(key_text);
    return id.ptr != NULL && find_id(snapshot, id) == NULL;
}
