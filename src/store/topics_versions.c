#include "store/topics_versions.h"

#include "base/hash.h"
#include "base/object.h"

#include <stdlib.h>

#define SIZE_FIRST 64U

void topics_versions_init(struct topics_versions *versions, uint64_t seed)
{
    *versions = (struct topics_versions){.seed = seed};
}

void topics_versions_reset(struct topics_versions *versions)
{
    free(versions->places);
    bytes_reset(&versions->changes);
    *versions = (struct topics_versions){.seed = versions->seed};
}

static uint8_t *put(uint8_t *at, struct bytes text)
{
    memcpy(at, text.ptr, text.len);
    at[text.len] = 0;
    return at + text.len + 1;
}

uint64_t topics_versions_hash(const struct topics_versions *versions, const struct peer_target *device)
{
    uint8_t key[ROUTE_APP_MAX + ROUTE_USER_MAX + ROUTE_DEVICE_MAX + 3];
    petrel_assert(device->app.len <= ROUTE_APP_MAX && device->user.len <= ROUTE_USER_MAX &&
                  device->device.len <= ROUTE_DEVICE_MAX);
    const uint8_t *end = put(put(put(key, device->app), device->user), device->device);
    return hash_bytes(bytes_of(key, (size_t)(end - key)), versions->seed);
}

/* Where it stands, or would. There is room for one more. */
static size_t find(const struct topics_versions *versions, uint64_t hash)
{
    size_t at = hash & (versions->size - 1);
    while (versions->places[at].version != 0 && versions->places[at].hash != hash)
        at = (at + 1) & (versions->size - 1);
    return at;
}

uint64_t topics_versions_get(const struct topics_versions *versions, uint64_t hash)
{
    return versions->count > 0 ? versions->places[find(versions, hash)].version : 0;
}

static void grow(struct topics_versions *versions)
{
    struct topics_version *old = versions->places;
    const size_t old_size = versions->size;
    versions->size = old_size == 0 ? SIZE_FIRST : old_size * 2;
    versions->places = object_zalloc(versions->size * sizeof *versions->places);
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].version != 0)
            versions->places[find(versions, old[i].hash)] = old[i];
    }
    free(old);
}

/* Those behind it that had to give way to it come nearer, so that no search ends before them. */
static void take_out(struct topics_versions *versions, size_t hole)
{
    const size_t mask = versions->size - 1;
    for (size_t at = (hole + 1) & mask; versions->places[at].version != 0; at = (at + 1) & mask) {
        const size_t home = versions->places[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        versions->places[hole] = versions->places[at];
        hole = at;
    }
    versions->places[hole].version = 0;
    versions->count--;
}

static void change(struct topics_versions *versions, uint64_t hash, uint64_t version)
{
    if (version != 0 && versions->count >= versions->size / 4 * 3)
        grow(versions);
    if (versions->size == 0)
        return;
    const size_t at = find(versions, hash);
    const bool stands = versions->places[at].version != 0;
    if (version == 0) {
        if (stands)
            take_out(versions, at);
        return;
    }
    versions->places[at] = (struct topics_version){hash, version};
    versions->count += !stands;
}

void topics_versions_set(struct topics_versions *versions, uint64_t hash, uint64_t version)
{
    const struct topics_version was = {hash, topics_versions_get(versions, hash)};
    bytes_append(&versions->changes, &was, sizeof was);
    change(versions, hash, version);
}

void topics_versions_keep(struct topics_versions *versions)
{
    versions->changes.len = 0;
}

void topics_versions_undo(struct topics_versions *versions)
{
    while (versions->changes.len > 0) {
        struct topics_version was;
        versions->changes.len -= sizeof was;
        memcpy(&was, versions->changes.ptr + versions->changes.len, sizeof was);
        change(versions, was.hash, was.version);
    }
}
