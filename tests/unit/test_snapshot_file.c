#include "base/err.h"
#include "lib/tmpdir.h"
#include "registry/snapshot_file.h"
#include "wire/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SOURCE "db.example:3306/petrel"
#define KEY "pk_00000000000000ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
#define FILE_MAX 65536

struct place {
    struct tmpdir tmp;
    char path[TMPDIR_PATH_MAX + 16];
    struct snapshot *snapshot;
};

static int open_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    struct snapshot_app apps[2] = {{.name = "demo", .key_window_ms = 7, .secrets_count = 1}, {.name = "shop"}};
    struct snapshot_key key = {.id = "00000000000000ab", .app = 1};
    memset(apps[0].secrets[0].secret, 0x5a, sizeof apps[0].secrets[0].secret);
    digest_sha256(bytes_str(KEY), key.sha256);
    struct snapshot_public_key public_key = {.app = 1, .algorithm = TOKEN_ES256, .kid = "phones", .der_len = 3};
    memcpy(public_key.der, "der", 3);
    const struct snapshot_content content = {.apps = apps,
                                             .apps_count = 2,
                                             .keys = &key,
                                             .keys_count = 1,
                                             .public_keys = &public_key,
                                             .public_keys_count = 1};
    place->snapshot = snapshot_new(42, &content, NULL);
    assert_true(tmpdir_make(&place->tmp));
    snprintf(place->path, sizeof place->path, "%s/copy", place->tmp.path);
    *state = place;
    return 0;
}

static int close_place(void **state)
{
    struct place *place = *state;
    snapshot_unref(place->snapshot);
    tmpdir_remove(&place->tmp);
    free(place);
    return 0;
}

static bool is_usable(const struct place *place, const char *source)
{
    struct snapshot *snapshot;
    const int status = snapshot_file_read(place->path, source, &snapshot);
    assert_true(status == 0 ? snapshot != NULL : status == PETREL_E_NOT_FOUND && snapshot == NULL);
    snapshot_unref(snapshot);
    return status == 0;
}

static void what_was_written_is_read(void **state)
{
    struct place *place = *state;
    struct snapshot *read;
    struct stat st;
    assert_false(is_usable(place, SOURCE));
    for (int again = 0; again < 2; again++)
        assert_int_equal(snapshot_file_write(place->path, SOURCE, place->snapshot), 0);
    assert_int_equal(snapshot_file_read(place->path, SOURCE, &read), 0);
    assert_int_equal(snapshot_version(read), 42);
    assert_int_equal(snapshot_apps_count(read), 2);
    assert_memory_equal(snapshot_app_at(read, 0), snapshot_app_at(place->snapshot, 0), sizeof(struct snapshot_app));
    const struct snapshot_app *shop = snapshot_key_app(read, snapshot_find_key(read, bytes_str(KEY)));
    assert_string_equal(shop->name, "shop");
    size_t count;
    const struct snapshot_public_key *public_keys = snapshot_public_keys(read, shop, &count);
    assert_int_equal(count, 1);
    assert_memory_equal(public_keys, snapshot_public_key_at(place->snapshot, 0), sizeof *public_keys);
    snapshot_unref(read);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void another_source_has_no_copy(void **state)
{
    struct place *place = *state;
    assert_int_equal(snapshot_file_write(place->path, SOURCE, place->snapshot), 0);
    assert_false(is_usable(place, "db.example:3306/other"));
    assert_true(is_usable(place, SOURCE));
}

static void an_empty_registry_has_a_copy(void **state)
{
    struct place *place = *state;
    struct snapshot *empty = snapshot_new(1, &(struct snapshot_content){0}, NULL);
    assert_int_equal(snapshot_file_write(place->path, SOURCE, empty), 0);
    assert_true(is_usable(place, SOURCE));
    snapshot_unref(empty);
}

static size_t load(const struct place *place, uint8_t *bytes)
{
    FILE *file = fopen(place->path, "rb");
    assert_non_null(file);
    const size_t len = fread(bytes, 1, FILE_MAX, file);
    fclose(file);
    assert_in_range(len, 1, FILE_MAX - 1);
    return len;
}

static void save(const struct place *place, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(place->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void a_damaged_copy_is_none(void **state)
{
    struct place *place = *state;
    static uint8_t bytes[FILE_MAX];
    assert_int_equal(snapshot_file_write(place->path, SOURCE, place->snapshot), 0);
    const size_t len = load(place, bytes);
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= 0x10;
        save(place, bytes, len);
        if (at < sizeof "petrel snapshot 1" || at >= 24) /* what pads the first field says nothing */
            assert_false(is_usable(place, SOURCE));
        bytes[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < len; cut += 7) {
        save(place, bytes, cut);
        assert_false(is_usable(place, SOURCE));
    }
    save(place, bytes, len + 1);
    assert_false(is_usable(place, SOURCE));
    save(place, bytes, len);
    assert_true(is_usable(place, SOURCE));
}

static void a_copy_that_cannot_be_written_leaves_the_last(void **state)
{
    struct place *place = *state;
    char beside[TMPDIR_PATH_MAX + 32], within[TMPDIR_PATH_MAX + 48];
    assert_int_equal(snapshot_file_write(place->path, SOURCE, place->snapshot), 0);
    /* A folder that is not empty where the new one is to be made. */
    snprintf(beside, sizeof beside, "%s.new", place->path);
    snprintf(within, sizeof within, "%s/x", beside);
    assert_int_equal(mkdir(beside, 0700), 0);
    assert_int_equal(mkdir(within, 0700), 0);
    assert_int_equal(snapshot_file_write(place->path, "elsewhere", place->snapshot), PETREL_E_IO);
    assert_true(is_usable(place, SOURCE));
    assert_int_equal(rmdir(within), 0);
    assert_int_equal(rmdir(beside), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)
    const struct CMUnitTest tests[] = {
        CASE(what_was_written_is_read),
        CASE(another_source_has_no_copy),
        CASE(an_empty_registry_has_a_copy),
        CASE(a_damaged_copy_is_none),
        CASE(a_copy_that_cannot_be_written_leaves_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
