#include "loop/descriptors.h"

#include "base/err.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

/* Mail to any loop of the process is an eventfd's write, and epoll sets, alarms and libuv's signal pipe are known by number: all of these
 * have no type of file but that of a pipe. A copy of a socket or file would keep it open after its owner closed it. */
static bool wakes_loops(const struct stat *info)
{
    return (info->st_mode & S_IFMT) == 0 || S_ISFIFO(info->st_mode);
}

int descriptors_unshare(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || unshare(CLONE_FILES) != 0)
        return PETREL_E_IO;
    for (int fd = STDERR_FILENO + 1; (rlim_t)fd < limit.rlim_cur; fd++) {
        struct stat info;
        if (fstat(fd, &info) == 0 && !wakes_loops(&info))
            (void)close(fd);
    }
    return 0;
}
