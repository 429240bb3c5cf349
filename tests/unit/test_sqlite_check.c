#include "base/err.h"
#include "driver/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define APPLICATION 0x50544c54

static const char *const versions[] = {"CREATE TABLE note (id INTEGER PRIMARY KEY, body BLOB)"};
static const struct sqlite_schema schema = {
    .name = "test", .application_id = APPLICATION, .versions_count = 1, .versions = versions};

struct fixture {
    char folder[64];
    char path[128]; /* of a closed database with some pages */
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/petrel-check-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    /* A name that would be cut short or misread as part of a URI. */
    snprintf(fixture->path, sizeof fixture->path, "%s/a%%20b?c#d", fixture->folder);
    struct sqlite *db;
    assert_int_equal(sqlite_open(&db, fixture->path, &schema), 0);
    assert_int_equal(sqlite_begin(db), 0);
    assert_int_equal(sqlite_exec(db, "INSERT INTO note (body) VALUES (zeroblob(20000)), (zeroblob(20000))"), 0);
    assert_int_equal(sqlite_commit(db), 0);
    sqlite_close(&db);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    unlink(fixture->path);
    rmdir(fixture->folder); /* fails, and so does the next assertion, when the check left something behind */
    assert_int_not_equal(access(fixture->folder, F_OK), 0);
    free(fixture);
    return 0;
}

static void overwrite(const char *path, long at, int byte, size_t len)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
}

static void test_whole(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION), 0);
}

static void test_leaves_the_file_alone(void **state)
{
    struct fixture *fixture = *state;
    struct stat before, after;
    assert_int_equal(chmod(fixture->path, 0400), 0);
    assert_int_equal(stat(fixture->path, &before), 0);
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION), 0);
    assert_int_equal(stat(fixture->path, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_size, after.st_size);
}

static void test_another_application(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION + 1), PETREL_E_UNSUPPORTED);
}

static void test_absent(void **state)
{
    struct fixture *fixture = *state;
    char path[160];
    snprintf(path, sizeof path, "%s.none", fixture->path);
    assert_int_equal(sqlite_check_file(path, APPLICATION), PETREL_E_NOT_FOUND);
}

static void test_damaged(void **state)
{
    struct fixture *fixture = *state;
    overwrite(fixture->path, 4096 + 8, 0xff, 2000);
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION), PETREL_E_INVALID);
}

static void test_cut_short(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(truncate(fixture->path, 3 * 4096), 0);
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION), PETREL_E_INVALID);
}

static void test_no_database(void **state)
{
    struct fixture *fixture = *state;
    overwrite(fixture->path, 0, 'x', 4096);
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION), PETREL_E_INVALID);
    assert_int_equal(truncate(fixture->path, 0), 0);
    assert_int_equal(sqlite_check_file(fixture->path, APPLICATION), PETREL_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaves_the_file_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_application, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_database, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
