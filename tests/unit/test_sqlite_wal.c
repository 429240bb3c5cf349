/* How a WAL reaches its file: what lies in the default VFS's place counts, and fails when it is told to. */
#include "base/err.h"
#include "base/object.h"
#include "driver/sqlite.h"
#include "lib/tmpdir.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOB_BYTES 20000

static const char *const versions[] = {"CREATE TABLE note (id INTEGER PRIMARY KEY, body BLOB)"};
static const struct sqlite_schema schema = {
    .name = "test", .application_id = 0x50544c54, .versions_count = 1, .versions = versions};

/* The WAL files' calls. */
static struct {
    int writes;
    int unsynced; /* writes since the last sync */
    int fails;    /* the next write, with this; 0: it does not */
} wal;

static sqlite3_vfs counting;
static sqlite3_vfs *unix_vfs;
static sqlite3_io_methods counted;
static const sqlite3_io_methods *uncounted;

static int count_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    const int rc = wal.fails;
    wal.fails = SQLITE_OK;
    wal.writes++;
    wal.unsynced++;
    return rc != SQLITE_OK ? rc : uncounted->xWrite(file, data, len, offset);
}

static int count_sync(sqlite3_file *file, int flags)
{
    wal.unsynced = 0;
    return uncounted->xSync(file, flags);
}

static int count_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out)
{
    const int rc = unix_vfs->xOpen(vfs, path, file, flags, out);
    if (rc != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0)
        return rc;
    uncounted = file->pMethods;
    counted = *uncounted;
    counted.xWrite = count_write;
    counted.xSync = count_sync;
    file->pMethods = &counted;
    return SQLITE_OK;
}

static int count_all(void **state)
{
    (void)state;
    unix_vfs = sqlite3_vfs_find(NULL);
    counting = *unix_vfs;
    counting.zName = "counting";
    counting.xOpen = count_open;
    return sqlite3_vfs_register(&counting, 1);
}

struct scene {
    struct tmpdir dir;
    char path[TMPDIR_PATH_MAX + 16];
    struct sqlite *db;
};

static void open_db(struct scene *scene)
{
    assert_int_equal(sqlite_open(&scene->db, scene->path, &schema), 0);
}

static void open_scene(struct scene *scene)
{
    assert_true(tmpdir_make(&scene->dir));
    snprintf(scene->path, sizeof scene->path, "%s/db", scene->dir.path);
    open_db(scene);
}

static void close_scene(struct scene *scene)
{
    sqlite_close(&scene->db);
    tmpdir_remove(&scene->dir);
}

static uint8_t byte_of(int64_t id, size_t place)
{
    return (uint8_t)(id * 7 + (int64_t)(place / 13));
}

static int insert(struct scene *scene, int64_t id, size_t len)
{
    uint8_t *body = object_alloc(len);
    for (size_t i = 0; i < len; i++)
        body[i] = byte_of(id, i);
    struct sqlite_stmt *stmt = sqlite_prepare(scene->db, "INSERT INTO note VALUES (?1, ?2)");
    sqlite_bind_int(stmt, 1, id);
    sqlite_bind_blob(stmt, 2, bytes_of(body, len));
    const int err = sqlite_run(stmt);
    free(body);
    return err;
}

static int commit_one(struct scene *scene, int64_t id, size_t len)
{
    assert_int_equal(sqlite_begin(scene->db), 0);
    assert_int_equal(insert(scene, id, len), 0);
    wal.writes = 0;
    return sqlite_commit(scene->db);
}

/* -1: there is no such row. */
static int64_t length_of(struct scene *scene, int64_t id)
{
    struct sqlite_stmt *stmt = sqlite_prepare(scene->db, "SELECT body FROM note WHERE id = ?1");
    sqlite_bind_int(stmt, 1, id);
    int64_t len = -1;
    if (sqlite_step(stmt) == 1) {
        const struct bytes body = sqlite_column_blob(stmt, 0);
        for (size_t i = 0; i < body.len; i++)
            assert_int_equal(body.ptr[i], byte_of(id, i));
        len = (int64_t)body.len;
    }
    sqlite_reset(stmt);
    return len;
}

static void a_commit_is_one_write_and_a_sync(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    for (int64_t id = 1; id <= 3; id++) {
        assert_int_equal(commit_one(&scene, id, BLOB_BYTES), 0);
        assert_int_equal(wal.writes, 1);
        assert_int_equal(wal.unsynced, 0);
    }
    close_scene(&scene);
}

/* As a crash would leave it: the files as they are after the commit's answer. */
static void what_is_committed_is_in_the_file(void **state)
{
    (void)state;
    struct scene scene;
    char command[5 * TMPDIR_PATH_MAX];
    open_scene(&scene);
    assert_int_equal(commit_one(&scene, 1, BLOB_BYTES), 0);
    assert_int_equal(commit_one(&scene, 2, 10 * BLOB_BYTES), 0);
    assert_int_equal(wal.unsynced, 0);
    snprintf(command, sizeof command, "cp %s %s.crashed && cp %s-wal %s.crashed-wal", scene.path, scene.path,
             scene.path, scene.path);
    assert_int_equal(system(command), 0);
    sqlite_close(&scene.db);
    strcat(scene.path, ".crashed");
    open_db(&scene);
    assert_int_equal(length_of(&scene, 1), BLOB_BYTES);
    assert_int_equal(length_of(&scene, 2), 10 * BLOB_BYTES);
    close_scene(&scene);
}

/* What the cache has no room for goes to the WAL before the commit, and is read from there. */
static void what_is_kept_back_can_be_read(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    assert_int_equal(sqlite_exec(scene.db, "PRAGMA cache_size = 2"), 0);
    assert_int_equal(sqlite_begin(scene.db), 0);
    for (int64_t id = 1; id <= 20; id++) {
        assert_int_equal(insert(&scene, id, BLOB_BYTES), 0);
        assert_int_equal(length_of(&scene, (id + 1) / 2), BLOB_BYTES);
    }
    assert_int_equal(sqlite_commit(scene.db), 0);
    sqlite_close(&scene.db);
    open_db(&scene);
    for (int64_t id = 1; id <= 20; id++)
        assert_int_equal(length_of(&scene, id), BLOB_BYTES);
    close_scene(&scene);
}

/* It is told by the commit, with what the write had to say; what was there before is there, and the next one is as any other. */
static void a_write_that_fails_fails_the_commit(void **state)
{
    (void)state;
    static const struct {
        int rc;
        int err;
    } faults[] = {{SQLITE_FULL, PETREL_E_FULL}, {SQLITE_IOERR_WRITE, PETREL_E_IO}};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct scene scene;
        open_scene(&scene);
        assert_int_equal(commit_one(&scene, 1, BLOB_BYTES), 0);
        wal.fails = faults[i].rc;
        assert_int_equal(commit_one(&scene, 2, BLOB_BYTES), faults[i].err);
        assert_int_equal(length_of(&scene, 2), -1);
        assert_int_equal(commit_one(&scene, 3, BLOB_BYTES), 0);
        sqlite_close(&scene.db);
        open_db(&scene);
        assert_int_equal(length_of(&scene, 1), BLOB_BYTES);
        assert_int_equal(length_of(&scene, 2), -1);
        assert_int_equal(length_of(&scene, 3), BLOB_BYTES);
        close_scene(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_one_write_and_a_sync),
        cmocka_unit_test(what_is_committed_is_in_the_file),
        cmocka_unit_test(what_is_kept_back_can_be_read),
        cmocka_unit_test(a_write_that_fails_fails_the_commit),
    };
    return cmocka_run_group_tests(tests, count_all, NULL);
}
