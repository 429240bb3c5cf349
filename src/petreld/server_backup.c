#include "petreld/server_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "base/object.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One backup: the parts one after the other, each to its file, then done. */
struct run {
    struct server *server;
    struct loop *home;
    size_t part;
    void (*done)(void *arg, int status);
    void *arg;
    char path[PATH_MAX]; /* of the part under way */
    char directory[];
};

/* Half a backup is none, and would be in the way of the next to that directory. */
static void remove_parts(const struct run *run)
{
    size_t count;
    const struct backends_part *parts = backends_parts(&run->server->backends, &count);
    char path[PATH_MAX];
    for (size_t i = 0; i < count; i++) {
        int len = snprintf(path, sizeof path, "%s/%s", run->directory, parts[i].file);
        if (len > 0 && (size_t)len < sizeof path)
            unlink(path);
    }
    rmdir(run->directory);
}

static void end_run(struct run *run, int status)
{
    if (status == 0)
        status = datadir_sync_parent(run->directory);
    if (status != 0)
        remove_parts(run);
    log_at(status == 0 ? LOG_INFO : LOG_ERROR, "backup", status == 0 ? "backup complete" : "backup failed",
           LOG_STR("directory", run->directory), LOG_STR("status", err_name(status)));
    run->done(run->arg, status);
    free(run);
}

static int copy_next(struct run *run);

static void on_copied(void *arg, int status)
{
    struct run *run = arg;
    size_t count;
    backends_parts(&run->server->backends, &count);
    if (status == 0 && ++run->part < count)
        status = copy_next(run);
    else if (status == 0)
        run->part = SIZE_MAX;
    if (status != 0 || run->part == SIZE_MAX)
        end_run(run, status);
}

static int copy_next(struct run *run)
{
    size_t count;
    const struct backends_part *part = &backends_parts(&run->server->backends, &count)[run->part];
    int len = snprintf(run->path, sizeof run->path, "%s/%s", run->directory, part->file);
    if (len < 0 || (size_t)len >= sizeof run->path)
        return PETREL_E_TOO_LARGE;
    return part->backup(&run->server->backends, run->home, run->path, on_copied, run);
}

int server_backup_run(void *ctx, struct loop *home, const char *directory, void (*done)(void *arg, int status),
                      void *arg)
{
    size_t parts;
    (void)backends_parts(&((struct server *)ctx)->backends, &parts);
    if (parts == 0)
        return PETREL_E_UNSUPPORTED;
    if (mkdir(directory, 0700) != 0) {
        int errnum = errno;
        log_at(LOG_ERROR, "backup", "the directory can't be made", LOG_STR("directory", directory),
               LOG_STR("error", strerror(errnum)));
        return errnum == EEXIST ? PETREL_E_EXISTS : err_from_errno(errnum);
    }
    size_t len = strlen(directory);
    struct run *run = object_zalloc(sizeof *run + len + 1);
    run->server = ctx;
    run->home = home;
    run->done = done;
    run->arg = arg;
    memcpy(run->directory, directory, len);
    int err = copy_next(run);
    if (err != 0) {
        rmdir(directory);
        free(run);
    }
    return err;
}
