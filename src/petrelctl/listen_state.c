#include "petrelctl/listen_state.h"

#include "base/bytes.h"
#include "base/object.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool same(const json_t *file, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(file, key));
    return text != NULL && strcmp(text, value) == 0;
}

static bool unpack(const json_t *file, struct petrel_state *position)
{
    const char *text = json_string_value(json_object_get(file, "state"));
    struct bytebuf raw = {0};
    bool valid = text != NULL && bytes_get_base64url(bytes_str(text), &raw) == 0 &&
                 petrel_state_unpack(raw.ptr, raw.len, position) == 0;
    bytes_reset(&raw);
    return valid;
}

static enum command_exit take(struct listen_state *state, const json_t *file)
{
    const char *device = json_string_value(json_object_get(file, "device"));
    if (device == NULL || strlen(device) >= sizeof state->device || !unpack(file, &state->position))
        return command_fail(COMMAND_FAILED, "%s is no state file of petrelctl listen", state->path);
    if (!same(file, "app", state->app) || !same(file, "user", state->user) ||
        (state->device[0] != '\0' && strcmp(state->device, device) != 0))
        return command_fail(COMMAND_FAILED, "%s is the state of another device; each device needs a file of its own",
                            state->path);
    snprintf(state->device, sizeof state->device, "%s", device);
    return COMMAND_OK;
}

enum command_exit listen_state_load(struct listen_state *state)
{
    if (state->path == NULL)
        return COMMAND_OK;
    json_error_t error;
    FILE *file = fopen(state->path, "re");
    if (file == NULL)
        return errno == ENOENT ? COMMAND_OK
                               : command_fail(COMMAND_FAILED, "%s can't be read: %s", state->path, strerror(errno));
    json_t *content = json_loadf(file, 0, &error);
    fclose(file);
    enum command_exit code = take(state, content);
    json_decref(content);
    return code;
}

static int sync_folder(const char *path)
{
    char *copy = object_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;
    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

static int write_file(const char *path, const json_t *content)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    bool written = json_dumpfd(content, fd, JSON_INDENT(2)) == 0 && fsync(fd) == 0;
    written = close(fd) == 0 && written;
    return written && rename(temporary, path) == 0 && sync_folder(path) == 0 ? 0 : -1;
}

enum command_exit listen_state_save(const struct listen_state *state)
{
    if (state->path == NULL)
        return COMMAND_OK;
    uint8_t packed[PETREL_STATE_BYTES];
    struct bytebuf text = {0};
    bytes_put_base64url(&text, bytes_of(packed, petrel_state_pack(&state->position, packed)));
    json_t *content = json_pack("{s:s, s:s, s:s, s:s%}", "app", state->app, "user", state->user, "device",
                                state->device, "state", (const char *)text.ptr, text.len);
    int rc = content != NULL ? write_file(state->path, content) : -1;
    int failed = errno;
    json_decref(content);
    bytes_reset(&text);
    return rc == 0 ? COMMAND_OK
                   : command_fail(COMMAND_FAILED, "%s can't be written: %s", state->path, strerror(failed));
}
