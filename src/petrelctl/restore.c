#include "petrelctl/restore.h"

#include "base/err.h"
#include "base/object.h"
#include "driver/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES 262144
#define SETS_MAX 1000 /* of old files kept */

/* What a backup consists of: the same files as in backends.c of petreld. */
static const struct {
    const char *name;
    uint32_t application_id;
} parts[] = {{"store.db", 0x50745374}, {"topics.db", 0x50745470}, {"registry.db", 0x50745267}};
#define PARTS (sizeof parts / sizeof parts[0])

/* A database and what SQLite keeps beside it. */
static const char *const companions[] = {"", "-wal", "-shm"};
#define COMPANIONS (sizeof companions / sizeof companions[0])

struct restore {
    int from; /* directories */
    int to;
    int lock;
    const char *from_path;
    const char *to_path;
    uid_t owner; /* of the directory: who the server runs as */
    gid_t group;
    char suffix[32];
};

static enum command_exit complain(const char *folder, const char *name, const char *what)
{
    return command_fail(COMMAND_FAILED, "%s/%s %s: %s", folder, name, what, strerror(errno));
}

/* As root, what is made belongs to the directory's owner: the server does not run as root. */
static int give_away(const struct restore *restore, int fd)
{
    return geteuid() == 0 ? fchown(fd, restore->owner, restore->group) : 0;
}

static void copy_name(size_t part, char out[NAME_MAX])
{
    snprintf(out, NAME_MAX, ".%s.restore", parts[part].name);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno != EINTR)
            return -1;
        bytes += done > 0 ? done : 0;
        len -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

/* 0, or -1 with errno; *reading says which of the two files it is about. */
static int copy_bytes(int in, int out, bool *reading)
{
    char *buffer = object_alloc(COPY_BYTES);
    ssize_t len = 1;
    int rc = 0;
    while (rc == 0 && len > 0) {
        do
            len = read(in, buffer, COPY_BYTES);
        while (len < 0 && errno == EINTR);
        *reading = len < 0;
        rc = len < 0 ? -1 : write_all(out, buffer, (size_t)len);
    }
    int kept = errno;
    free(buffer);
    errno = kept;
    return rc;
}

static enum command_exit copy_part(const struct restore *restore, size_t part)
{
    char name[NAME_MAX];
    copy_name(part, name);
    int in = openat(restore->from, parts[part].name, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return complain(restore->from_path, parts[part].name, "can't be read; is that a backup?");
    int out = openat(restore->to, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum command_exit code = COMMAND_OK;
    bool reading = false;
    if (out < 0 || give_away(restore, out) != 0)
        code = complain(restore->to_path, name, "can't be made");
    else if (copy_bytes(in, out, &reading) != 0 || fsync(out) != 0)
        code = reading ? complain(restore->from_path, parts[part].name, "can't be read")
                       : complain(restore->to_path, name, "can't be written");
    close(in);
    if (out >= 0)
        close(out);
    return code;
}

static enum command_exit check_part(const struct restore *restore, size_t part)
{
    char name[NAME_MAX], path[PATH_MAX];
    copy_name(part, name);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", restore->to_path, name) >= sizeof path)
        return command_fail(COMMAND_FAILED, "%s is too long a path", restore->to_path);
    int err = sqlite_check_file(path, parts[part].application_id);
    const char *what = err == PETREL_E_UNSUPPORTED ? "is not this part of a Petrel backup"
                       : err == PETREL_E_INVALID   ? "is damaged, or no database"
                                                   : err_text(err);
    return err == 0 ? COMMAND_OK
                    : command_fail(COMMAND_FAILED, "%s/%s %s; nothing was changed", restore->from_path,
                                   parts[part].name, what);
}

static enum command_exit take_directory(struct restore *restore)
{
    struct stat info;
    restore->from = open(restore->from_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->from < 0)
        return command_fail(COMMAND_FAILED, "the backup %s can't be opened: %s", restore->from_path, strerror(errno));
    if (mkdir(restore->to_path, 0700) != 0 && errno != EEXIST)
        return command_fail(COMMAND_FAILED, "the data directory %s can't be made: %s", restore->to_path,
                            strerror(errno));
    restore->to = open(restore->to_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->to < 0 || fstat(restore->to, &info) != 0)
        return command_fail(COMMAND_FAILED, "the data directory %s can't be opened: %s", restore->to_path,
                            strerror(errno));
    restore->owner = info.st_uid;
    restore->group = info.st_gid;
    restore->lock = openat(restore->to, "petreld.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (restore->lock < 0 || give_away(restore, restore->lock) != 0)
        return complain(restore->to_path, "petreld.lock", "can't be made");
    if (flock(restore->lock, LOCK_EX | LOCK_NB) == 0)
        return COMMAND_OK;
    if (errno != EWOULDBLOCK)
        return complain(restore->to_path, "petreld.lock", "can't be taken");
    return command_fail(COMMAND_FAILED, "a petreld runs on %s; stop it first, its stores can't be exchanged under it",
                        restore->to_path);
}

enum command_exit restore_begin(struct restore **out, const char *from, const char *to)
{
    struct restore *restore = object_zalloc(sizeof *restore);
    *restore = (struct restore){.from = -1, .to = -1, .lock = -1, .from_path = from, .to_path = to};
    enum command_exit code = take_directory(restore);
    for (size_t i = 0; code == COMMAND_OK && i < PARTS; i++)
        code = copy_part(restore, i);
    for (size_t i = 0; code == COMMAND_OK && i < PARTS; i++)
        code = check_part(restore, i);
    if (code != COMMAND_OK)
        restore_end(&restore);
    *out = restore;
    return code;
}

static bool is_there(const struct restore *restore, const char *name)
{
    return faccessat(restore->to, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether any part, or a companion of one, is there under this suffix. */
static bool any_there(const struct restore *restore, const char *suffix)
{
    for (size_t i = 0; i < PARTS * COMPANIONS; i++) {
        char name[NAME_MAX];
        snprintf(name, sizeof name, "%s%s%s", parts[i / COMPANIONS].name, companions[i % COMPANIONS], suffix);
        if (is_there(restore, name))
            return true;
    }
    return false;
}

bool restore_replaces(const struct restore *restore)
{
    return any_there(restore, "");
}

static enum command_exit choose_suffix(struct restore *restore)
{
    snprintf(restore->suffix, sizeof restore->suffix, ".before-restore");
    for (int i = 2; any_there(restore, restore->suffix); i++) {
        if (i > SETS_MAX)
            return command_fail(COMMAND_FAILED, "%s holds %d sets of old stores; remove some", restore->to_path,
                                SETS_MAX);
        snprintf(restore->suffix, sizeof restore->suffix, ".before-restore.%d", i);
    }
    return COMMAND_OK;
}

static enum command_exit set_aside(const struct restore *restore, size_t part)
{
    for (size_t i = 0; i < COMPANIONS; i++) {
        char name[NAME_MAX], aside[NAME_MAX];
        snprintf(name, sizeof name, "%s%s", parts[part].name, companions[i]);
        snprintf(aside, sizeof aside, "%.200s%s", name, restore->suffix);
        if (renameat(restore->to, name, restore->to, aside) != 0 && errno != ENOENT)
            return complain(restore->to_path, name, "can't be set aside");
    }
    return COMMAND_OK;
}

/* From here on a start of the server, whatever it finds, begins a new epoch. */
static enum command_exit lay_mark(const struct restore *restore)
{
    int fd = openat(restore->to, "restored", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum command_exit code = COMMAND_OK;
    if (fd < 0 || give_away(restore, fd) != 0 || fsync(fd) != 0 || fsync(restore->to) != 0)
        code = complain(restore->to_path, "restored", "can't be made");
    if (fd >= 0)
        close(fd);
    return code;
}

enum command_exit restore_commit(struct restore *restore, const char **kept)
{
    enum command_exit code = choose_suffix(restore);
    if (code == COMMAND_OK)
        code = lay_mark(restore);
    for (size_t i = 0; code == COMMAND_OK && i < PARTS; i++) {
        char name[NAME_MAX];
        copy_name(i, name);
        code = set_aside(restore, i);
        if (code == COMMAND_OK && renameat(restore->to, name, restore->to, parts[i].name) != 0)
            code = complain(restore->to_path, parts[i].name, "can't be put in place");
    }
    if (code == COMMAND_OK && fsync(restore->to) != 0)
        code = command_fail(COMMAND_FAILED, "%s can't be written to the disk: %s", restore->to_path, strerror(errno));
    *kept = restore->suffix;
    return code;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void restore_end(struct restore **ref)
{
    struct restore *restore = *ref;
    *ref = NULL;
    if (restore == NULL)
        return;
    /* Without the lock the copies may be another restore's. */
    for (size_t i = 0; restore->lock >= 0 && flock(restore->lock, LOCK_EX | LOCK_NB) == 0 && i < PARTS; i++) {
        char name[NAME_MAX];
        copy_name(i, name);
        unlinkat(restore->to, name, 0);
    }
    close_fd(restore->lock);
    close_fd(restore->to);
    close_fd(restore->from);
    free(restore);
}
