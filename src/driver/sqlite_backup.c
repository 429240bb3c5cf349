/* Online backups of a connection's file, by SQLite's own backup interface. */
#include "base/err.h"
#include "base/log.h"
#include "driver/sqlite_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKUP_MAGIC OBJECT_MAGIC('s', 'q', 'b', 'k')

struct sqlite_backup {
    uint32_t magic;
    struct sqlite *from;
    char *path;
    sqlite3 *to;
    sqlite3_backup *copy; /* NULL once complete */
    bool complete;
};

static int fail(const struct sqlite_backup *backup, int rc)
{
    int err = sqlite_error_of(rc, sqlite_errno_of(backup->to));
    log_at(LOG_WARN, "sqlite", "backup failed", LOG_STR("file", backup->path),
           LOG_STR("error", sqlite3_errmsg(backup->to)), LOG_NUM("code", rc));
    return err != 0 ? err : PETREL_E_IO;
}

/* The new name is durable only with its directory. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *folder = object_strndup(slash == NULL ? "." : path, len);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 || fsync(fd) != 0 ? err_from_errno(errno) : 0;
    if (fd >= 0)
        close(fd);
    free(folder);
    return err;
}

static int begin(struct sqlite_backup *backup)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(backup->path, &backup->to, flags, NULL);
    petrel_assert(backup->to != NULL);
    /* Half a copy is worth nothing, so it needs no journal of its own; synchronous=FULL makes the end of it durable. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(backup->to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL;", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return fail(backup, rc);
    backup->copy = sqlite3_backup_init(backup->to, "main", backup->from->handle, "main");
    return backup->copy == NULL ? fail(backup, sqlite3_extended_errcode(backup->to)) : 0;
}

int sqlite_backup_begin(struct sqlite_backup **out, struct sqlite *db, const char *path)
{
    object_check(db, SQLITE_OBJECT_MAGIC);
    *out = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? PETREL_E_EXISTS : err_from_errno(errno);
    close(fd);
    struct sqlite_backup *backup = object_zalloc(sizeof *backup);
    backup->magic = BACKUP_MAGIC;
    backup->from = db;
    backup->path = object_strdup(path);
    int err = begin(backup);
    if (err != 0) {
        sqlite_backup_end(&backup);
        return err;
    }
    *out = backup;
    return 0;
}

int sqlite_backup_step(struct sqlite_backup *backup, uint32_t pages)
{
    object_check(backup, BACKUP_MAGIC);
    petrel_assert(backup->copy != NULL);
    int rc = sqlite3_backup_step(backup->copy, (int)pages);
    if (rc == SQLITE_OK)
        return 1;
    if (rc != SQLITE_DONE)
        return fail(backup, rc);
    rc = sqlite3_backup_finish(backup->copy);
    backup->copy = NULL;
    if (rc != SQLITE_OK)
        return fail(backup, rc);
    int err = sync_directory(backup->path);
    backup->complete = err == 0;
    return err;
}

void sqlite_backup_end(struct sqlite_backup **out)
{
    struct sqlite_backup *backup = *out;
    if (backup == NULL)
        return;
    object_check(backup, BACKUP_MAGIC);
    if (backup->copy != NULL)
        sqlite3_backup_finish(backup->copy);
    int rc = sqlite3_close(backup->to);
    petrel_assert(rc == SQLITE_OK);
    if (!backup->complete)
        unlink(backup->path);
    backup->magic = 0;
    free(backup->path);
    free(backup);
    *out = NULL;
}
