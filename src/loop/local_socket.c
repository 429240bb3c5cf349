#include "loop/local_socket.h"

#include "base/err.h"
#include "base/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct local_socket {
    dev_t device;
    ino_t inode;
    char path[];
};

static int address_of(const char *path, struct sockaddr_un *out)
{
    const size_t len = strlen(path);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof out->sun_path)
        return PETREL_E_INVALID;
    memcpy(out->sun_path, path, len + 1);
    return 0;
}

/* Whoever else would clear the place of a dead socket waits: else the second would remove the first's new one. */
static int lock_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? object_strdup(".")
                   : slash == path ? object_strdup("/")
                                   : object_strndup(path, (size_t)(slash - path));
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fd : err_from_errno(errno);
    free(folder);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        rc = err_from_errno(errno);
        (void)close(fd);
    }
    return rc;
}

/* 0: nobody answers there. */
static int is_dead(const struct sockaddr_un *address)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    const int errnum = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    (void)close(fd);
    if (errnum == ECONNREFUSED)
        return 0;
    return errnum == 0 || errnum == EAGAIN ? PETREL_E_EXISTS : err_from_errno(errnum);
}

static int clear(const struct sockaddr_un *address)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0)
        return errno == ENOENT ? 0 : err_from_errno(errno);
    if (!S_ISSOCK(info.st_mode))
        return PETREL_E_INVALID;
    const int rc = is_dead(address);
    if (rc != 0)
        return rc;
    return unlink(address->sun_path) == 0 || errno == ENOENT ? 0 : err_from_errno(errno);
}

/* The mode of the socket itself is that of its file, so that there is no moment in which others may connect. */
static int place(int fd, const struct sockaddr_un *address, uint32_t group, int backlog)
{
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return err_from_errno(errno);
    bool done = listen(fd, backlog) == 0;
    if (done && group != LOCAL_SOCKET_NOBODY)
        done = lchown(address->sun_path, (uid_t)-1, group) == 0 &&
               chmod(address->sun_path, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) == 0;
    const int rc = done ? 0 : err_from_errno(errno);
    if (!done)
        (void)unlink(address->sun_path);
    return rc;
}

int local_socket_listen(struct local_socket **out, int fd, const char *path, uint32_t group, int backlog)
{
    struct sockaddr_un address;
    int rc = address_of(path, &address);
    const int folder = rc == 0 ? lock_folder(path) : rc;
    if (folder < 0)
        return folder;
    rc = clear(&address);
    if (rc == 0)
        rc = place(fd, &address, group, backlog);
    struct stat info;
    if (rc == 0 && lstat(path, &info) != 0)
        rc = err_from_errno(errno);
    (void)close(folder);
    if (rc != 0)
        return rc;
    struct local_socket *file = object_zalloc(sizeof *file + strlen(path) + 1);
    file->device = info.st_dev;
    file->inode = info.st_ino;
    memcpy(file->path, path, strlen(path) + 1);
    *out = file;
    return 0;
}

void local_socket_remove(struct local_socket **inside)
{
    struct local_socket *file = *inside;
    struct stat info;
    *inside = NULL;
    if (file == NULL)
        return;
    if (lstat(file->path, &info) == 0 && info.st_dev == file->device && info.st_ino == file->inode)
        (void)unlink(file->path);
    free(file);
}
