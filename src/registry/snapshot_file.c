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

#define FORM "petrel snapshot 1"
#define BYTES_MAX (1U << 30)

/* Then the apps, then the keys, as they are in memory: the file is read by the build that wrote it, or by none. */
struct header {
    char form[24];
    uint8_t sha256[DIGEST_SHA256_BYTES]; /* of all that follows this field */
    uint8_t source[DIGEST_SHA256_BYTES];
    uint32_t app_bytes;
    uint32_t key_bytes;
    uint64_t version;
    uint64_t apps_count;
    uint64_t keys_count;
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
                            .version = snapshot_version(snapshot),
                            .apps_count = snapshot_apps_count(snapshot),
                            .keys_count = snapshot_keys_count(snapshot)};
    const size_t apps_bytes = header.apps_count * sizeof(struct snapshot_app);
    const size_t keys_bytes = header.keys_count * sizeof(struct snapshot_key);
    digest_sha256(bytes_str(source), header.source);
    (void)bytes_reserve(out, sizeof header + apps_bytes + keys_bytes); /* never moves: secrets are left nowhere else */
    bytes_append(out, &header, sizeof header);
    for (size_t i = 0; i < header.apps_count; i++)
        bytes_append(out, snapshot_app_at(snapshot, i), sizeof(struct snapshot_app));
    for (size_t i = 0; i < header.keys_count; i++)
        bytes_append(out, snapshot_key_at(snapshot, i), sizeof(struct snapshot_key));
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
        header->key_bytes != sizeof(struct snapshot_key) || header->apps_count > BYTES_MAX ||
        header->keys_count > BYTES_MAX)
        return false;
    if (file.len != sizeof *header + header->apps_count * header->app_bytes + header->keys_count * header->key_bytes)
        return false;
    hash_content(file, digest);
    if (!digest_equal(digest, header->sha256))
        return false;
    digest_sha256(bytes_str(source), digest);
    return digest_equal(digest, header->source);
}

/* Copies, since what stands in a file is aligned for nothing. */
static struct snapshot *decode(const struct header *header, const uint8_t *content)
{
    const size_t apps_bytes = header->apps_count * sizeof(struct snapshot_app);
    const size_t keys_bytes = header->keys_count * sizeof(struct snapshot_key);
    struct snapshot_app *apps = object_alloc(apps_bytes + 1);
    struct snapshot_key *keys = object_alloc(keys_bytes + 1);
    memcpy(apps, content, apps_bytes);
    memcpy(keys, content + apps_bytes, keys_bytes);
    struct snapshot *snapshot = snapshot_new(header->version, apps, header->apps_count, keys, header->keys_count);
    explicit_bzero(apps, apps_bytes);
    free(apps);
    free(keys);
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
