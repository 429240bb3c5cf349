#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or an errno. */
static int write_all(int fd, struct bytes data)
{
    while (data.len > 0) {
        const ssize_t done = write(fd, data.ptr, data.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return errno;
        data = bytes_of(data.ptr + done, data.len - (size_t)done);
    }
    return fsync(fd) == 0 ? 0 : errno;
}

static int write_beside(const char *path, struct bytes data)
{
    (void)unlink(path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    const int error = write_all(fd, data);
    return close(fd) == 0 || error != 0 ? error : errno;
}

int file_replace(const char *path, struct bytes content)
{
    char beside[PATH_MAX];
    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside)
        return ENAMETOOLONG;
    int error = write_beside(beside, content);
    if (error == 0 && rename(beside, path) != 0)
        error = errno;
    if (error != 0)
        (void)unlink(beside);
    return error;
}

bool file_read(const char *path, size_t max, struct bytebuf *out)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= max;
    size_t left = ok ? (size_t)st.st_size : 0;
    if (ok)
        (void)bytes_reserve(out, left + 1);
    while (ok && left > 0) {
        const ssize_t got = read(fd, out->ptr + out->len, left);
        ok = got > 0;
        out->len += ok ? (size_t)got : 0;
        left -= ok ? (size_t)got : 0;
    }
    close(fd);
    return ok;
}
