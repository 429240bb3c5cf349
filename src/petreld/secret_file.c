#include "petreld/secret_file.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const char *path, int err, const char *why)
{
    log_at(LOG_ERROR, "server", "a secret can't be read", LOG_STR("file", path), LOG_STR("why", why));
    return err;
}

int secret_file_read(const char *path, char *out, size_t size)
{
    out[0] = '\0';
    if (path[0] == '\0')
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int errnum = errno;
        return refuse(path, err_from_errno(errnum), strerror(errnum));
    }
    struct stat info;
    ssize_t len = fstat(fd, &info) == 0 ? read(fd, out, size) : -1;
    int errnum = errno;
    close(fd);
    if (len < 0)
        return refuse(path, err_from_errno(errnum), strerror(errnum));
    if ((info.st_mode & 077) != 0)
        return refuse(path, PETREL_E_FORBIDDEN, "others than its owner may read it; chmod 600");
    if ((size_t)len == size)
        return refuse(path, PETREL_E_TOO_LARGE, "too long");
    out[len] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return 0;
}
