#include "base/err.h"
#include "driver/sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define APPLICATION 0x50544c54

static const char *const versions[] = {
    "CREATE TABLE note (id INTEGER PRIMARY KEY, body BLOB)",
    "ALTER TABLE note ADD COLUMN title TEXT",
};

static const struct sqlite_schema schema = {
    .name = "test", .application_id = APPLICATION, .versions_count = 2, .versions = versions};

struct fixture {
    char folder[64];
    char path[96];
    char copy[96];
    struct sqlite *db;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/petrel-sqlite-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/db", fixture->folder);
    snprintf(fixture->copy, sizeof fixture->copy, "%s/copy", fixture->folder);
    assert_int_equal(sqlite_open(&fixture->db, fixture->path, &schema), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    sqlite_close(&fixture->db);
    const char *const names[] = {"db", "db-wal", "db-shm", "copy", "copy-wal", "copy-shm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", fixture->folder, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture);
    return 0;
}

static int insert(struct sqlite *db, struct sqlite_stmt *stmt, int64_t id, struct bytes body)
{
    int err = sqlite_begin(db);
    if (err != 0)
        return err;
    sqlite_bind_int(stmt, 1, id);
    sqlite_bind_blob(stmt, 2, body);
    err = sqlite_run(stmt);
    if (err != 0) {
        sqlite_rollback(db);
        return err;
    }
    return sqlite_commit(db);
}

static int64_t count(struct sqlite *db)
{
    struct sqlite_stmt *stmt = sqlite_prepare(db, "SELECT count(*) FROM note");
    assert_int_equal(sqlite_step(stmt), 1);
    int64_t rows = sqlite_column_int(stmt, 0);
    sqlite_reset(stmt);
    return rows;
}

static void test_rows_survive_closing(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_stmt *stmt = sqlite_prepare(fixture->db, "INSERT INTO note (id, body) VALUES (?1, ?2)");
    assert_int_equal(insert(fixture->db, stmt, 1, bytes_str("body")), 0);
    assert_int_equal(sqlite_last_rowid(fixture->db), 1);
    assert_int_equal(sqlite_changes(fixture->db), 1);
    assert_int_equal(insert(fixture->db, stmt, 2, bytes_of("", 0)), 0);
    assert_int_equal(insert(fixture->db, stmt, 3, (struct bytes){NULL, 0}), 0);
    sqlite_close(&fixture->db);
    assert_int_equal(sqlite_open(&fixture->db, fixture->path, &schema), 0);

    stmt = sqlite_prepare(fixture->db, "SELECT body, title FROM note ORDER BY id");
    assert_int_equal(sqlite_step(stmt), 1);
    assert_true(bytes_equal_str(sqlite_column_blob(stmt, 0), "body"));
    assert_null(sqlite_column_text(stmt, 1).ptr);
    assert_int_equal(sqlite_step(stmt), 1);
    assert_non_null(sqlite_column_blob(stmt, 0).ptr);
    assert_int_equal(sqlite_column_blob(stmt, 0).len, 0);
    assert_int_equal(sqlite_step(stmt), 1);
    assert_null(sqlite_column_blob(stmt, 0).ptr);
    assert_int_equal(sqlite_step(stmt), 0);
    sqlite_reset(stmt);
}

/* A server that went down on a full disk must come up on it. */
static void test_opening_again_needs_no_room(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_stmt *stmt = sqlite_prepare(fixture->db, "INSERT INTO note (id, body) VALUES (?1, ?2)");
    assert_int_equal(insert(fixture->db, stmt, 1, bytes_str("body")), 0);
    sqlite_close(&fixture->db);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int err = sqlite_open(&fixture->db, fixture->path, &schema);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(err, 0);
}

static void test_constraint_is_exists_and_rolls_back(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_stmt *stmt = sqlite_prepare(fixture->db, "INSERT INTO note (id, body) VALUES (?1, ?2)");
    assert_int_equal(insert(fixture->db, stmt, 1, bytes_str("a")), 0);
    assert_int_equal(insert(fixture->db, stmt, 1, bytes_str("b")), PETREL_E_EXISTS);
    assert_int_equal(insert(fixture->db, stmt, 2, bytes_str("c")), 0);
    assert_int_equal(count(fixture->db), 2);
}

static void test_one_owner_and_mode(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite *second = NULL;
    assert_int_equal(sqlite_open(&second, fixture->path, &schema), PETREL_E_LOCKED);
    assert_null(second);
    struct stat st;
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_foreign_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    sqlite_close(&fixture->db);
    struct sqlite_schema other = schema;
    other.application_id = 7;
    assert_int_equal(sqlite_open(&fixture->db, fixture->path, &other), PETREL_E_UNSUPPORTED);
    struct sqlite_schema older = schema;
    older.versions_count = 1;
    assert_int_equal(sqlite_open(&fixture->db, fixture->path, &older), PETREL_E_UNSUPPORTED);
    FILE *file = fopen(fixture->copy, "w");
    assert_non_null(file);
    for (int i = 0; i < 200; i++)
        fputs("this is not a database\n", file);
    fclose(file);
    assert_int_equal(sqlite_open(&fixture->db, fixture->copy, &schema), PETREL_E_INVALID);
    assert_int_equal(sqlite_open(&fixture->db, "/nonexistent/folder/db", &schema), PETREL_E_NOT_FOUND);
    assert_null(fixture->db);
}

static void test_migration_goes_on_where_it_was(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_schema older = schema;
    older.versions_count = 1;
    struct sqlite *db = NULL;
    assert_int_equal(sqlite_open(&db, fixture->copy, &older), 0);
    assert_int_equal(sqlite_exec(db, "INSERT INTO note (id, body) VALUES (9, 'old')"), 0);
    sqlite_close(&db);
    assert_int_equal(sqlite_open(&db, fixture->copy, &schema), 0);
    assert_int_equal(sqlite_exec(db, "UPDATE note SET title = 'new' WHERE id = 9"), 0);
    assert_int_equal(sqlite_changes(db), 1);
    sqlite_close(&db);
}

static void test_file_shrinks(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_stmt *stmt = sqlite_prepare(fixture->db, "INSERT INTO note (id, body) VALUES (?1, ?2)");
    static const uint8_t block[65536];
    for (int64_t i = 0; i < 64; i++)
        assert_int_equal(insert(fixture->db, stmt, i, bytes_of(block, sizeof block)), 0);
    assert_true(sqlite_file_bytes(fixture->db) > 4 << 20);
    assert_int_equal(sqlite_exec(fixture->db, "DELETE FROM note"), 0);
    uint64_t before = sqlite_free_pages(fixture->db);
    assert_true(before > 900);
    assert_int_equal(sqlite_shrink(fixture->db, 100), 0);
    assert_int_equal(sqlite_free_pages(fixture->db), before - 100);
    assert_int_equal(sqlite_shrink(fixture->db, 100000), 0);
    assert_int_equal(sqlite_free_pages(fixture->db), 0);
    assert_true(sqlite_file_bytes(fixture->db) < 1 << 20);
}

static void test_backup_has_what_was_written_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_stmt *stmt = sqlite_prepare(fixture->db, "INSERT INTO note (id, body) VALUES (?1, ?2)");
    static const uint8_t block[16384];
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(insert(fixture->db, stmt, i, bytes_of(block, sizeof block)), 0);

    struct sqlite_backup *backup = NULL;
    assert_int_equal(sqlite_backup_begin(&backup, fixture->db, fixture->copy), 0);
    int64_t next = 100;
    int more;
    while ((more = sqlite_backup_step(backup, 20)) == 1)
        assert_int_equal(insert(fixture->db, stmt, next++, bytes_str("meanwhile")), 0);
    assert_int_equal(more, 0);
    sqlite_backup_end(&backup);
    assert_true(next > 105);

    struct sqlite *copy = NULL;
    assert_int_equal(sqlite_open(&copy, fixture->copy, &schema), 0);
    assert_int_equal(count(copy), next);
    sqlite_close(&copy);
    assert_int_equal(sqlite_backup_begin(&backup, fixture->db, fixture->copy), PETREL_E_EXISTS);
    assert_null(backup);
}

static void test_backup_given_up_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_backup *backup = NULL;
    assert_int_equal(sqlite_backup_begin(&backup, fixture->db, fixture->copy), 0);
    assert_int_equal(sqlite_backup_step(backup, 1), 1);
    sqlite_backup_end(&backup);
    assert_int_equal(access(fixture->copy, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_survive_closing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opening_again_needs_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_constraint_is_exists_and_rolls_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_owner_and_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_migration_goes_on_where_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_shrinks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_backup_has_what_was_written_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_backup_given_up_leaves_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
