#include "registry/snapshot_file.h"

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/object.h"
#include "wire/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FORM "petrel snapshot 3"
#define BYTES_MAX (1U << 30)

/* Then the apps, the keys, the public keys, as they are in memory: the file is read by the build that wrote it, or by none. */
struct header {
    char form[24];
    uint8_t sha256[DIGEST_SHA256_BYTES]; /* of all that follows this field */
    uint8_t source[DIGEST_SHA256_BYTES];
    uint32_t app_bytes;
    uint32_t key_bytes;
    uint64_t public_key_bytes;
    uint64_t version;
    uint64_t apps_count;
    uint64_t keys_count;
    uint64_t public_keys_count;
};

#define HASHED_AT (offsetof(struct header, sha256) + DIGEST_SHA256_BYTES)

static void hash_content(struct bytes file, uint8_t digest[DIGEST_SHA256_BYTES])
{
    digest_sha256(bytes_of(file.ptr + HASHED_AT, file.len - HASHED_AT), digest);
}

/* ---- writing ---- */

static void encode(const char *source, const struct snapshot *snapshot, struct bytebuf *out)
{
    struct header header = {.form = FORM,
                            .app_bytes = sizeof(struct snapshot_app),
                            .key_bytes = sizeof(struct snapshot_key),
                            .public_key_bytes = sizeof(struct snapshot_public_key),
                            .version = snapshot_version(snapshot),
                            .apps_count = snapshot_apps_count(snapshot),
                            .keys_count = snapshot_keys_count(snapshot),
                            .public_keys_count = snapshot_public_keys_count(snapshot)};
    const size_t apps_bytes = header.apps_count * sizeof(struct snapshot_app);
    const size_t keys_bytes = header.keys_count * sizeof(struct snapshot_key);
    const size_t public_bytes = header.public_keys_count * sizeof(struct snapshot_public_key);
    digest_sha256(bytes_str(source), header.source);
    (void)bytes_reserve(out, sizeof header + apps_bytes + keys_bytes +
                                 public_bytes); /* never moves: secrets are left nowhere else */
    bytes_append(out, &header, sizeof header);
    for (size_t i = 0; i < header.apps_count; i++)
        bytes_append(out, snapshot_app_at(snapshot, i), sizeof(struct snapshot_app));
    for (size_t i = 0; i < header.keys_count; i++)
        bytes_append(out, snapshot_key_at(snapshot, i), sizeof(struct snapshot_key));
    for (size_t i = 0; i < header.public_keys_count; i++)
        bytes_append(out, snapshot_public_key_at(snapshot, i), sizeof(struct snapshot_public_key));
    hash_content(bytes_view(out), out->ptr + offsetof(struct header, sha256));
}

int snapshot_file_write(const char *path, const char *source, const struct snapshot *snapshot)
{
    struct bytebuf file = {0};
    encode(source, snapshot, &file);
    const int error = file_replace(path, bytes_view(&file));
    explicit_bzero(file.ptr, file.len);
    bytes_reset(&file);
    if (error == 0)
        return 0;
    log_at(LOG_WARN, "registry", "the snapshot's copy can't be written", LOG_STR("path", path),
           LOG_STR("error", strerror(error)));
    return error == ENOSPC || error == EDQUOT ? PETREL_E_FULL : PETREL_E_IO;
}

/* ---- reading ---- */

/* Whether it is whole, of this layout, and of that source. */
static bool is_ours(struct bytes file, const char *source, struct header *header)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    if (file.len < sizeof *header)
        return false;
    memcpy(header, file.ptr, sizeof *header);
    if (memcmp(header->form, FORM, sizeof FORM) != 0 || header->app_bytes != sizeof(struct snapshot_app) ||
        header->key_bytes != sizeof(struct snapshot_key) ||
        header->public_key_bytes != sizeof(struct snapshot_public_key) || header->apps_count > BYTES_MAX ||
        header->keys_count > BYTES_MAX || header->public_keys_count > BYTES_MAX)
        return false;
    if (file.len != sizeof *header + header->apps_count * header->app_bytes + header->keys_count * header->key_bytes +
                        header->public_keys_count * header->public_key_bytes)
        return false;
    hash_content(file, digest);
    if (!digest_equal(digest, header->sha256))
        return false;
    digest_sha256(bytes_str(source), digest);
    return digest_equal(digest, header->source);
}

/* A copy, since what stands in a file is aligned for nothing. */
static void *take(const uint8_t **at, size_t count, size_t size)
{
    void *copy = object_alloc(count * size + 1);
    memcpy(copy, *at, count * size);
    *at += count * size;
    return copy;
}

static struct snapshot *decode(const struct header *header, const uint8_t *content)
{
    struct snapshot_app *apps = take(&content, header->apps_count, sizeof *apps);
    struct snapshot_key *keys = take(&content, header->keys_count, sizeof *keys);
    struct snapshot_public_key *public_keys = take(&content, header->public_keys_count, sizeof *public_keys);
    const struct snapshot_content parts = {.apps = apps,
                                           .apps_count = header->apps_count,
                                           .keys = keys,
                                           .keys_count = header->keys_count,
                                           .public_keys = public_keys,
                                           .public_keys_count = header->public_keys_count};
    struct snapshot *snapshot = snapshot_new(header->version, &parts, NULL);
    explicit_bzero(apps, header->apps_count * sizeof *apps);
    free(apps);
    free(keys);
    free(public_keys);
    return snapshot;
}

int snapshot_file_read(const char *path, const char *source, struct snapshot **out)
{
    struct bytebuf file = {0};
    struct header header;
    const bool ok = file_read(path, BYTES_MAX, &file) && is_ours(bytes_view(&file), source, &header);
    *out = ok ? decode(&header, file.ptr + sizeof header) : NULL;
    if (file.ptr != NULL)
        explicit_bzero(file.ptr, file.len);
    bytes_reset(&file);
    return ok ? 0 : PETREL_E_NOT_FOUND;
}
