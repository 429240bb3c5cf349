#include "base/object.h"
#include "registry/snapshot.h"
#include "wire/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define APPS 300
#define KEYS 2000

struct fill {
    struct snapshot_app apps[APPS];
    struct snapshot_key keys[KEYS];
    char texts[KEYS][64];
};

/* Key i belongs to app i % APPS. */
static struct fill *new_fill(void)
{
    struct fill *fill = object_zalloc(sizeof *fill);
    for (unsigned i = 0; i < APPS; i++) {
        struct snapshot_app *app = &fill->apps[i];
        snprintf(app->name, sizeof app->name, "app-%u", i);
        app->key_window_ms = 1000 + i;
        app->secrets_count = 1;
        snprintf(app->secrets[0].kid, sizeof app->secrets[0].kid, "%016x", i);
        memset(app->secrets[0].secret, (int)i, sizeof app->secrets[0].secret);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        struct snapshot_key *key = &fill->keys[i];
        snprintf(key->id, sizeof key->id, "%016x", i * 7919);
        snprintf(fill->texts[i], sizeof fill->texts[i], "pk_%s_%043u", key->id, i);
        digest_sha256(bytes_str(fill->texts[i]), key->sha256);
        key->app = i % APPS;
    }
    return fill;
}

static struct snapshot *snapshot_of(uint64_t version, const struct snapshot_app *apps, size_t apps_count,
                                    const struct snapshot_key *keys, size_t keys_count)
{
    const struct snapshot_content content = {
        .apps = apps, .apps_count = apps_count, .keys = keys, .keys_count = keys_count};
    return snapshot_new(version, &content, NULL);
}

static void sha256_is_the_published_one(void **state)
{
    (void)state;
    /* FIPS 180-2, appendix B.1 */
    static const uint8_t of_abc[DIGEST_SHA256_BYTES] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
        0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t digest[DIGEST_SHA256_BYTES];
    digest_sha256(bytes_str("abc"), digest);
    assert_memory_equal(digest, of_abc, sizeof digest);
    assert_true(digest_equal(digest, of_abc));
    digest[31] ^= 1;
    assert_false(digest_equal(digest, of_abc));
}

static void every_app_and_key_is_found(void **state)
{
    (void)state;
    struct fill *fill = new_fill();
    struct snapshot *snapshot = snapshot_of(9, fill->apps, APPS, fill->keys, KEYS);
    assert_int_equal(snapshot_version(snapshot), 9);
    assert_int_equal(snapshot_apps_count(snapshot), APPS);
    for (size_t i = 0; i < APPS; i++) {
        const struct snapshot_app *app = snapshot_find_app(snapshot, bytes_str(fill->apps[i].name));
        assert_non_null(app);
        assert_memory_equal(app, &fill->apps[i], sizeof *app);
        assert_ptr_not_equal(app, &fill->apps[i]);
        assert_string_equal(snapshot_app_at(snapshot, i)->name, fill->apps[i].name);
    }
    for (size_t i = 0; i < KEYS; i++) {
        const struct snapshot_key *key = snapshot_find_key(snapshot, bytes_str(fill->texts[i]));
        assert_non_null(key);
        assert_string_equal(snapshot_key_app(snapshot, key)->name, fill->apps[i % APPS].name);
    }
    snapshot_unref(snapshot);
    free(fill);
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct fill *fill = new_fill();
    struct snapshot *snapshot = snapshot_of(1, fill->apps, APPS, fill->keys, KEYS);
    char long_name[ROUTE_APP_MAX + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const names[] = {"", "app-300", "app-", "App-1", "app-1 ", long_name};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_null(snapshot_find_app(snapshot, bytes_str(names[i])));
    assert_null(snapshot_find_app(snapshot, (struct bytes){NULL, 0}));
    assert_null(snapshot_find_key(snapshot, (struct bytes){NULL, 0}));
    assert_null(snapshot_find_key(snapshot, bytes_str("")));
    snapshot_unref(snapshot);
    free(fill);
}

/* Each single character of a key counts, also those whose place alone says where the secret begins. */
static void a_key_with_any_character_changed_is_refused(void **state)
{
    (void)state;
    struct fill *fill = new_fill();
    struct snapshot *snapshot = snapshot_of(1, fill->apps, APPS, fill->keys, KEYS);
    char text[80];
    snprintf(text, sizeof text, "%s", fill->texts[5]);
    const size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        text[i] ^= 1;
        assert_null(snapshot_find_key(snapshot, bytes_of(text, len)));
        text[i] ^= 1;
        assert_null(snapshot_find_key(snapshot, bytes_of(text, i)));
    }
    assert_non_null(snapshot_find_key(snapshot, bytes_of(text, len)));
    text[len] = '0';
    assert_null(snapshot_find_key(snapshot, bytes_of(text, len + 1)));
    /* The id of one key with the secret of another. */
    snprintf(text, sizeof text, "pk_%s_%s", fill->keys[6].id, fill->texts[5] + 20);
    assert_null(snapshot_find_key(snapshot, bytes_str(text)));
    snapshot_unref(snapshot);
    free(fill);
}

static void an_empty_one_finds_nothing(void **state)
{
    (void)state;
    struct snapshot *snapshot = snapshot_of(0, NULL, 0, NULL, 0);
    assert_int_equal(snapshot_apps_count(snapshot), 0);
    assert_null(snapshot_find_app(snapshot, bytes_str("demo")));
    assert_null(
        snapshot_find_key(snapshot, bytes_str("pk_0000000000000000_0000000000000000000000000000000000000000000")));
    snapshot_unref(snapshot);
    snapshot_unref(NULL);
}

static void it_lives_until_the_last_reference(void **state)
{
    (void)state;
    struct snapshot_app app = {.name = "demo"};
    struct snapshot *snapshot = snapshot_of(1, &app, 1, NULL, 0);
    assert_ptr_equal(snapshot_ref(snapshot), snapshot);
    snapshot_unref(snapshot);
    assert_non_null(snapshot_find_app(snapshot, bytes_str("demo")));
    snapshot_unref(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_the_published_one),    cmocka_unit_test(every_app_and_key_is_found),
        cmocka_unit_test(what_is_not_there_is_not_found), cmocka_unit_test(a_key_with_any_character_changed_is_refused),
        cmocka_unit_test(an_empty_one_finds_nothing),     cmocka_unit_test(it_lives_until_the_last_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
