#include "driver/sqlite_wal.h"

#include "base/object.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536

struct sqlite_wal {
    sqlite3_vfs vfs;
    sqlite3_vfs *below; /* the default */
    char name[32];
};

/* A WAL that is open. SQLite has the memory for it, and for the default VFS's file behind it. */
struct wal {
    sqlite3_file base;
    uint8_t *piece; /* what is kept, of PIECE_BYTES; NULL before the first write */
    int kept;
    sqlite3_int64 offset; /* where it begins in the file */
};

static struct wal *wal_of(sqlite3_file *file)
{
    return container_of(file, struct wal, base);
}

static sqlite3_file *real(struct wal *wal)
{
    return (sqlite3_file *)(void *)(wal + 1);
}

/* Whatever could not be written is not tried again: SQLite rolls the commit back. */
static int put(struct wal *wal)
{
    const int kept = wal->kept;
    wal->kept = 0;
    return kept > 0 ? real(wal)->pMethods->xWrite(real(wal), wal->piece, kept, wal->offset) : SQLITE_OK;
}

static int wal_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    struct wal *wal = wal_of(file);
    const bool follows = wal->kept > 0 && offset == wal->offset + wal->kept && len <= PIECE_BYTES - wal->kept;
    const int rc = follows ? SQLITE_OK : put(wal);
    if (rc != SQLITE_OK)
        return rc;
    if (len > PIECE_BYTES)
        return real(wal)->pMethods->xWrite(real(wal), data, len, offset);
    if (wal->piece == NULL)
        wal->piece = object_alloc(PIECE_BYTES);
    if (wal->kept == 0)
        wal->offset = offset;
    memcpy(wal->piece + wal->kept, data, (size_t)len);
    wal->kept += len;
    return SQLITE_OK;
}

static int wal_close(sqlite3_file *file)
{
    struct wal *wal = wal_of(file);
    const int rc = put(wal);
    const int closed = real(wal)->pMethods->xClose(real(wal));
    free(wal->piece);
    wal->piece = NULL;
    return rc != SQLITE_OK ? rc : closed;
}

static int wal_read(sqlite3_file *file, void *data, int len, sqlite3_int64 offset)
{
    const int rc = put(wal_of(file));
    return rc != SQLITE_OK ? rc : real(wal_of(file))->pMethods->xRead(real(wal_of(file)), data, len, offset);
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    const int rc = put(wal_of(file));
    return rc != SQLITE_OK ? rc : real(wal_of(file))->pMethods->xTruncate(real(wal_of(file)), size);
}

static int wal_sync(sqlite3_file *file, int flags)
{
    const int rc = put(wal_of(file));
    return rc != SQLITE_OK ? rc : real(wal_of(file))->pMethods->xSync(real(wal_of(file)), flags);
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
    const int rc = put(wal_of(file));
    return rc != SQLITE_OK ? rc : real(wal_of(file))->pMethods->xFileSize(real(wal_of(file)), size);
}

static int wal_lock(sqlite3_file *file, int level)
{
    return real(wal_of(file))->pMethods->xLock(real(wal_of(file)), level);
}

static int wal_unlock(sqlite3_file *file, int level)
{
    return real(wal_of(file))->pMethods->xUnlock(real(wal_of(file)), level);
}

static int wal_check_lock(sqlite3_file *file, int *is_locked)
{
    return real(wal_of(file))->pMethods->xCheckReservedLock(real(wal_of(file)), is_locked);
}

static int wal_control(sqlite3_file *file, int op, void *arg)
{
    return real(wal_of(file))->pMethods->xFileControl(real(wal_of(file)), op, arg);
}

static int wal_sector(sqlite3_file *file)
{
    return real(wal_of(file))->pMethods->xSectorSize(real(wal_of(file)));
}

static int wal_device(sqlite3_file *file)
{
    return real(wal_of(file))->pMethods->xDeviceCharacteristics(real(wal_of(file)));
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = wal_close,
                                           .xRead = wal_read,
                                           .xWrite = wal_write,
                                           .xTruncate = wal_truncate,
                                           .xSync = wal_sync,
                                           .xFileSize = wal_size,
                                           .xLock = wal_lock,
                                           .xUnlock = wal_unlock,
                                           .xCheckReservedLock = wal_check_lock,
                                           .xFileControl = wal_control,
                                           .xSectorSize = wal_sector,
                                           .xDeviceCharacteristics = wal_device};

static int open_file(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags)
{
    sqlite3_vfs *below = container_of(vfs, struct sqlite_wal, vfs)->below;
    if ((flags & SQLITE_OPEN_WAL) == 0)
        return below->xOpen(below, path, file, flags, out_flags);
    struct wal *wal = wal_of(file);
    *wal = (struct wal){.base.pMethods = NULL};
    memset(real(wal), 0, (size_t)below->szOsFile);
    const int rc = below->xOpen(below, path, real(wal), flags, out_flags);
    if (real(wal)->pMethods != NULL)
        wal->base.pMethods = &methods;
    return rc;
}

struct sqlite_wal *sqlite_wal_new(void)
{
    struct sqlite_wal *wal = object_zalloc(sizeof *wal);
    wal->below = sqlite3_vfs_find(NULL);
    wal->vfs = *wal->below;
    snprintf(wal->name, sizeof wal->name, "petrel-%p", (void *)wal);
    wal->vfs.zName = wal->name;
    wal->vfs.pNext = NULL;
    wal->vfs.szOsFile = wal->below->szOsFile + (int)sizeof(struct wal);
    wal->vfs.xOpen = open_file;
    if (sqlite3_vfs_register(&wal->vfs, 0) == SQLITE_OK)
        return wal;
    free(wal);
    return NULL;
}

void sqlite_wal_free(struct sqlite_wal **wal)
{
    if (*wal != NULL)
        sqlite3_vfs_unregister(&(*wal)->vfs);
    free(*wal);
    *wal = NULL;
}

const char *sqlite_wal_name(const struct sqlite_wal *wal)
{
    return wal->name;
}
