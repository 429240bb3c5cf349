#include "driver/sqlite.h"

#include "base/err.h"
#include "base/log.h"
#include "driver/sqlite_private.h"
#include "driver/sqlite_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A WAL that grew in a burst is cut back to this when it starts over. */
#define WAL_KEEP_BYTES (8 * 1024 * 1024)

struct sqlite_stmt {
    struct list node;
    struct sqlite *db;
    sqlite3_stmt *handle;
};

int sqlite_error_of(int rc, int errnum)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return PETREL_E_FULL;
    case SQLITE_CONSTRAINT:
        return PETREL_E_EXISTS;
    case SQLITE_NOMEM:
        return PETREL_E_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return PETREL_E_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PETREL_E_LOCKED;
    case SQLITE_IOERR:
        /* SQLite knows ENOSPC itself, but not quotas and file size limits. A failed fsync stays an I/O error whatever
         * its errno: the bytes may or may not have reached the disk, which FULL would deny. */
        if (rc == SQLITE_IOERR_WRITE && (errnum == EFBIG || errnum == EDQUOT || errnum == ENOSPC))
            return PETREL_E_FULL;
        return PETREL_E_IO;
    default:
        return PETREL_E_IO;
    }
}

int sqlite_errno_of(sqlite3 *handle)
{
    int errnum = 0;
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc == SQLITE_OK && wal != NULL && wal->pMethods != NULL)
        wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &errnum);
    if (errnum == 0)
        sqlite3_file_control(handle, "main", SQLITE_FCNTL_LAST_ERRNO, &errnum);
    return errnum;
}

int sqlite_report(const struct sqlite *db, int rc, const char *what)
{
    int errnum = (rc & 0xff) == SQLITE_IOERR ? sqlite_errno_of(db->handle) : 0;
    int err = sqlite_error_of(rc, errnum);
    if (err != 0 && err != PETREL_E_EXISTS)
        log_at(LOG_WARN, "sqlite", "operation failed", LOG_STR("what", what), LOG_STR("file", db->path),
               LOG_STR("error", sqlite3_errmsg(db->handle)), LOG_NUM("code", rc), LOG_NUM("errno", errnum));
    return err;
}

int sqlite_exec(struct sqlite *db, const char *sql)
{
    object_check(db, SQLITE_OBJECT_MAGIC);
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    petrel_assert((rc & 0xff) != SQLITE_ERROR && (rc & 0xff) != SQLITE_MISUSE);
    return sqlite_report(db, rc, sql);
}

/* The first column of the first row, as a number; 0 when there is none. */
static int query_number(struct sqlite *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    *out = 0;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    int done = sqlite3_finalize(stmt);
    return sqlite_report(db, rc == SQLITE_ROW || rc == SQLITE_DONE ? done : rc, sql);
}

/* SQLite would make the file with the umask's mode; its WAL inherits whatever mode the file has. */
static int make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        int err = err_from_errno(errno);
        log_at(LOG_ERROR, "sqlite", "cannot open the file", LOG_STR("file", path), LOG_NUM("errno", errno));
        return err;
    }
    close(fd);
    return 0;
}

/* The order matters: the lock before anything is looked at, auto_vacuum before the first page is written (and only then: in
 * a file that has pages it writes one, for which a full disk has no room), WAL after both. */
static int take(struct sqlite *db)
{
    int64_t pages = 0;
    int err = sqlite_exec(db, "PRAGMA locking_mode = EXCLUSIVE");
    if (err == 0)
        err = query_number(db, "PRAGMA page_count", &pages);
    if (err == 0 && pages == 0)
        err = sqlite_exec(db, "PRAGMA auto_vacuum = INCREMENTAL");
    if (err == 0)
        err = sqlite_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;");
    if (err == 0)
        err = sqlite_exec(db, "BEGIN EXCLUSIVE; COMMIT;");
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA journal_size_limit = %d", WAL_KEEP_BYTES);
    return err == 0 ? sqlite_exec(db, limit) : err;
}

static int check_owner(struct sqlite *db, const struct sqlite_schema *schema, int64_t *version)
{
    int64_t application, objects;
    int err = query_number(db, "PRAGMA application_id", &application);
    if (err == 0)
        err = query_number(db, "PRAGMA user_version", version);
    if (err == 0)
        err = query_number(db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (err != 0)
        return err;
    bool fresh = application == 0 && *version == 0 && objects == 0;
    if (!fresh && (uint32_t)application != schema->application_id) {
        log_at(LOG_ERROR, "sqlite", "the file belongs to another application", LOG_STR("file", db->path),
               LOG_STR("expected", schema->name));
        return PETREL_E_UNSUPPORTED;
    }
    if (*version < 0 || *version > (int64_t)schema->versions_count) {
        log_at(LOG_ERROR, "sqlite", "the file was written by a newer version", LOG_STR("file", db->path),
               LOG_NUM("schema", *version), LOG_NUM("known", schema->versions_count));
        return PETREL_E_UNSUPPORTED;
    }
    return 0;
}

/* Each step is a transaction with its version number, so that a crash between two steps is just a later start. */
static int migrate(struct sqlite *db, const struct sqlite_schema *schema, int64_t version)
{
    for (size_t i = (size_t)version; i < schema->versions_count; i++) {
        char mark[128];
        snprintf(mark, sizeof mark, "PRAGMA user_version = %zu; PRAGMA application_id = %d;", i + 1,
                 (int)schema->application_id);
        int err = sqlite_begin(db);
        if (err != 0)
            return err;
        err = sqlite_exec(db, schema->versions[i]);
        if (err == 0)
            err = sqlite_exec(db, mark);
        if (err == 0)
            err = sqlite_commit(db);
        if (err != 0) {
            sqlite_rollback(db);
            return err;
        }
        log_at(LOG_INFO, "sqlite", "schema migrated", LOG_STR("schema", schema->name), LOG_NUM("version", i + 1));
    }
    return 0;
}

static int set_up(struct sqlite *db, const struct sqlite_schema *schema)
{
    int64_t version;
    int err = take(db);
    if (err != 0)
        return err;
    err = check_owner(db, schema, &version);
    if (err != 0)
        return err;
    db->begin = sqlite_prepare(db, "BEGIN IMMEDIATE");
    db->commit = sqlite_prepare(db, "COMMIT");
    db->rollback = sqlite_prepare(db, "ROLLBACK");
    db->free_pages = sqlite_prepare(db, "PRAGMA freelist_count");
    return migrate(db, schema, version);
}

int sqlite_open(struct sqlite **out, const char *path, const struct sqlite_schema *schema)
{
    *out = NULL;
    int err = make_file(path);
    if (err != 0)
        return err;
    struct sqlite *db = object_zalloc(sizeof *db);
    db->magic = SQLITE_OBJECT_MAGIC;
    db->path = object_strdup(path);
    size_t size = strlen(path) + sizeof "-wal";
    db->wal_path = object_alloc(size);
    snprintf(db->wal_path, size, "%s-wal", path);
    list_init(&db->stmts);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    db->wal = sqlite_wal_new();
    petrel_assert(db->wal != NULL);
    int rc = sqlite3_open_v2(path, &db->handle, flags, sqlite_wal_name(db->wal));
    petrel_assert(db->handle != NULL);
    err = rc == SQLITE_OK ? set_up(db, schema) : sqlite_report(db, rc, "open");
    if (err != 0) {
        log_at(LOG_ERROR, "sqlite", "cannot open the database", LOG_STR("file", path), LOG_STR("why", err_text(err)));
        sqlite_close(&db);
        return err;
    }
    *out = db;
    return 0;
}

void sqlite_close(struct sqlite **out)
{
    struct sqlite *db = *out;
    if (db == NULL)
        return;
    object_check(db, SQLITE_OBJECT_MAGIC);
    struct list *node;
    while ((node = list_pop_front(&db->stmts)) != NULL) {
        struct sqlite_stmt *stmt = container_of(node, struct sqlite_stmt, node);
        sqlite3_finalize(stmt->handle);
        free(stmt);
    }
    int rc = sqlite3_close(db->handle);
    petrel_assert(rc == SQLITE_OK);
    sqlite_wal_free(&db->wal);
    db->magic = 0;
    free(db->wal_path);
    free(db->path);
    free(db);
    *out = NULL;
}

int sqlite_begin(struct sqlite *db)
{
    return sqlite_run(db->begin);
}

int sqlite_commit(struct sqlite *db)
{
    int err = sqlite_run(db->commit);
    if (err != 0)
        sqlite_rollback(db);
    return err;
}

void sqlite_rollback(struct sqlite *db)
{
    /* Some errors have ended the transaction already. */
    if (sqlite3_get_autocommit(db->handle) == 0)
        sqlite_run(db->rollback);
}

struct sqlite_stmt *sqlite_prepare(struct sqlite *db, const char *sql)
{
    object_check(db, SQLITE_OBJECT_MAGIC);
    struct sqlite_stmt *stmt = object_zalloc(sizeof *stmt);
    stmt->db = db;
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle, NULL);
    if (rc != SQLITE_OK)
        log_at(LOG_ERROR, "sqlite", "a statement does not compile", LOG_STR("sql", sql),
               LOG_STR("error", sqlite3_errmsg(db->handle)));
    petrel_assert(rc == SQLITE_OK);
    list_push_back(&db->stmts, &stmt->node);
    return stmt;
}

void sqlite_bind_int(struct sqlite_stmt *stmt, int index, int64_t value)
{
    int rc = sqlite3_bind_int64(stmt->handle, index, value);
    petrel_assert(rc == SQLITE_OK);
}

void sqlite_bind_text(struct sqlite_stmt *stmt, int index, struct bytes text)
{
    int rc = text.ptr == NULL ? sqlite3_bind_null(stmt->handle, index)
                              : sqlite3_bind_text64(stmt->handle, index, (const char *)text.ptr, text.len,
                                                    SQLITE_STATIC, SQLITE_UTF8);
    petrel_assert(rc == SQLITE_OK);
}

void sqlite_bind_blob(struct sqlite_stmt *stmt, int index, struct bytes blob)
{
    int rc = blob.ptr == NULL ? sqlite3_bind_null(stmt->handle, index)
                              : sqlite3_bind_blob64(stmt->handle, index, blob.ptr, blob.len, SQLITE_STATIC);
    petrel_assert(rc == SQLITE_OK);
}

int sqlite_step(struct sqlite_stmt *stmt)
{
    int rc = sqlite3_step(stmt->handle);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    petrel_assert((rc & 0xff) != SQLITE_MISUSE);
    return sqlite_report(stmt->db, rc, sqlite3_sql(stmt->handle));
}

int64_t sqlite_column_int(struct sqlite_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

/* SQLite gives NULL for an empty value too; only the type tells it from an absent one. */
static struct bytes column(struct sqlite_stmt *stmt, int index, const void *ptr)
{
    if (sqlite3_column_type(stmt->handle, index) == SQLITE_NULL)
        return (struct bytes){NULL, 0};
    return bytes_of(ptr != NULL ? ptr : "", (size_t)sqlite3_column_bytes(stmt->handle, index));
}

struct bytes sqlite_column_text(struct sqlite_stmt *stmt, int index)
{
    return column(stmt, index, sqlite3_column_text(stmt->handle, index));
}

struct bytes sqlite_column_blob(struct sqlite_stmt *stmt, int index)
{
    return column(stmt, index, sqlite3_column_blob(stmt->handle, index));
}

void sqlite_reset(struct sqlite_stmt *stmt)
{
    /* Its result repeats the last step's error, which that step has returned. */
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
}

int sqlite_run(struct sqlite_stmt *stmt)
{
    int result;
    do {
        result = sqlite_step(stmt);
    } while (result == 1);
    sqlite_reset(stmt);
    return result;
}

int64_t sqlite_last_rowid(struct sqlite *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t sqlite_changes(struct sqlite *db)
{
    return sqlite3_changes64(db->handle);
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t sqlite_file_bytes(struct sqlite *db)
{
    return size_of(db->path) + size_of(db->wal_path);
}

uint64_t sqlite_free_pages(struct sqlite *db)
{
    uint64_t pages = sqlite_step(db->free_pages) == 1 ? (uint64_t)sqlite_column_int(db->free_pages, 0) : 0;
    sqlite_reset(db->free_pages);
    return pages;
}

int sqlite_shrink(struct sqlite *db, uint32_t pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%u)", pages);
    int err = sqlite_exec(db, sql);
    if (err != 0)
        return err;
    /* The file itself gets shorter only when the WAL that says so is copied into it. */
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return sqlite_report(db, rc, "wal checkpoint");
}
