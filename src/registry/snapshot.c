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
    struct snapshot_app *apps;
    struct snapshot_key *keys;
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

struct snapshot *snapshot_new(uint64_t version, const struct snapshot_app *apps, size_t apps_count,
                              const struct snapshot_key *keys, size_t keys_count)
{
    petrel_assert(apps_count < UINT32_MAX && keys_count < UINT32_MAX);
    struct snapshot *snapshot = object_zalloc(sizeof *snapshot);
    snapshot->magic = SNAPSHOT_MAGIC;
    atomic_init(&snapshot->refs, 1);
    snapshot->version = version;
    /* Whoever asks chooses what is looked up, so the seed is nobody's to know. */
    rng_secret(&snapshot->seed, sizeof snapshot->seed);
    snapshot->apps_count = apps_count;
    snapshot->keys_count = keys_count;
    snapshot->apps = copy_of(apps, apps_count, sizeof *apps);
    snapshot->keys = copy_of(keys, keys_count, sizeof *keys);
    build(snapshot);
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    object_check(snapshot, SNAPSHOT_MAGIC);
    if (atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(snapshot->apps, snapshot->apps_count * sizeof snapshot->apps[0]);
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

/* The id within the text of a key; absent when the text is not of that form. */
static struct bytes id_of(struct bytes key_text)
{
    const size_t prefix = sizeof KEY_PREFIX - 1;
    if (key_text.len != KEY_TEXT_LEN || memcmp(key_text.ptr, KEY_PREFIX, prefix) != 0 ||
        key_text.ptr[prefix + KEY_ID_LEN] != '_')
        return (struct bytes){NULL, 0};
    return bytes_of(key_text.ptr + prefix, KEY_ID_LEN);
}

const struct snapshot_app *snapshot_find_key(const struct snapshot *snapshot, struct bytes key_text)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    const struct bytes id = id_of(key_text);
    const struct snapshot_key *key = id.ptr != NULL ? find_id(snapshot, id) : NULL;
    if (key == NULL)
        return NULL;
    /* The digest covers the whole text, so the form of the secret part needs no look of its own. */
    uint8_t digest[DIGEST_SHA256_BYTES];
    digest_sha256(key_text, digest);
    return digest_equal(digest, key->sha256) ? &snapshot->apps[key->app] : NULL;
}

bool snapshot_may_gain_key(const struct snapshot *snapshot, struct bytes key_text)
{
    object_check(snapshot, SNAPSHOT_MAGIC);
    const struct bytes id = id_of(key_text);
    return id.ptr != NULL && find_id(snapshot, id) == NULL;
}
