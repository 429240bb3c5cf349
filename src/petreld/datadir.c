#include "petreld/datadir.h"

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/object.h"
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct datadir {
    int lock_fd;
    char token[DATADIR_TOKEN_SIZE];
    char path[];
};

static int complain(const char *event, const char *path, int errnum)
{
    log_at(LOG_ERROR, "datadir", event, LOG_STR("path", path), LOG_STR("error", strerror(errnum)));
    return err_from_errno(errnum);
}

void datadir_path(const struct datadir *dir, const char *name, char *out, size_t size)
{
    int len = snprintf(out, size, "%s/%s", dir->path, name);
    petrel_assert(len > 0 && (size_t)len < size);
}

int datadir_sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    char *folder = object_strndup(slash == NULL ? "." : path, len);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int errnum = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    int err = errnum != 0 ? complain("a directory can't be made durable", folder, errnum) : 0;
    free(folder);
    return err;
}

int datadir_write(const struct datadir *dir, const char *name, struct bytes content)
{
    char path[PATH_MAX];
    datadir_path(dir, name, path, sizeof path);
    const int errnum = file_replace(path, content);
    return errnum != 0 ? complain("a file can't be written", path, errnum) : datadir_sync_parent(path);
}

int datadir_read(const struct datadir *dir, const char *name, size_t max, struct bytebuf *out)
{
    char path[PATH_MAX];
    datadir_path(dir, name, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return PETREL_E_NOT_FOUND;
    if (fd < 0)
        return complain("a file can't be read", path, errno);
    const size_t before = out->len;
    ssize_t len;
    do {
        len = read(fd, bytes_reserve(out, max + 1), max + 1);
        out->len += len > 0 ? (size_t)len : 0;
    } while ((len > 0 && out->len - before <= max) || (len < 0 && errno == EINTR));
    const int errnum = len < 0 ? errno : out->len - before > max ? EFBIG : 0;
    close(fd);
    return errnum != 0 ? complain("a file can't be read", path, errnum) : 0;
}

bool datadir_has(const struct datadir *dir, const char *name)
{
    char path[PATH_MAX];
    datadir_path(dir, name, path, sizeof path);
    return access(path, F_OK) == 0;
}

void datadir_remove(const struct datadir *dir, const char *name)
{
    char path[PATH_MAX];
    datadir_path(dir, name, path, sizeof path);
    if (unlink(path) != 0 && errno != ENOENT)
        complain("a file can't be removed", path, errno);
}

/* The token of an earlier start, or a new one. Its file is for its owner only, or it is refused: others may know it. */
static int load_token(struct datadir *dir)
{
    char path[PATH_MAX];
    datadir_path(dir, "admin.token", path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return complain("the admin token can't be read", path, errno);
    if (fd < 0) {
        uint8_t secret[32];
        struct bytebuf text = {0};
        rng_secret(secret, sizeof secret);
        bytes_put_base64url(&text, bytes_of(secret, sizeof secret));
        petrel_assert(text.len < sizeof dir->token);
        memcpy(dir->token, text.ptr, text.len);
        bytes_append_str(&text, "\n");
        int err = datadir_write(dir, "admin.token", bytes_view(&text));
        bytes_reset(&text);
        return err;
    }
    struct stat info;
    ssize_t len = fstat(fd, &info) == 0 ? read(fd, dir->token, sizeof dir->token - 1) : -1;
    close(fd);
    if (len >= 0)
        dir->token[strcspn(dir->token, "\r\n")] = '\0';
    if (len < 0 || (info.st_mode & 077) != 0 || strlen(dir->token) < 16) {
        log_at(LOG_ERROR, "datadir",
               "admin.token must hold 16 characters or more and be readable by its owner only; mend it or remove it",
               LOG_STR("path", path));
        return PETREL_E_FORBIDDEN;
    }
    return 0;
}

static int lock(struct datadir *dir)
{
    char path[PATH_MAX];
    datadir_path(dir, "petreld.lock", path, sizeof path);
    dir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (dir->lock_fd < 0)
        return complain("the lock can't be made", path, errno);
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return complain("the lock can't be taken", path, errno);
    log_at(LOG_ERROR, "datadir", "another petreld runs on this data directory", LOG_STR("path", dir->path));
    return PETREL_E_LOCKED;
}

int datadir_open(struct datadir **out, const char *path)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return complain("the data directory can't be made", path, errno);
    char *real = realpath(path, NULL);
    if (real == NULL)
        return complain("the data directory can't be used", path, errno);
    int unsure = made ? datadir_sync_parent(real) : 0;
    if (unsure != 0) {
        free(real);
        return unsure;
    }
    size_t len = strlen(real);
    struct datadir *dir = object_zalloc(sizeof *dir + len + 1);
    memcpy(dir->path, real, len);
    free(real);
    dir->lock_fd = -1;
    int err = len + 32 < PATH_MAX ? lock(dir) : PETREL_E_TOO_LARGE;
    if (err == 0)
        err = load_token(dir);
    if (err != 0) {
        if (dir->lock_fd >= 0)
            close(dir->lock_fd);
        free(dir);
        return err;
    }
    *out = dir;
    return 0;
}

void datadir_close(struct datadir **dir_ref)
{
    struct datadir *dir = *dir_ref;
    *dir_ref = NULL;
    if (dir == NULL)
        return;
    datadir_remove(dir, "petreld.json");
    close(dir->lock_fd);
    memset(dir->token, 0, sizeof dir->token);
    free(dir);
}

const char *datadir_token(const struct datadir *dir)
{
    return dir->token;
}
