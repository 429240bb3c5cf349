/* The contract of registry.h: apps, API keys, what is stored. Changes of apps and the audit are in test_registry_change.c, devices in
 * test_registry_devices.c. */
#include "contract/registry_rig.h"

#include <string.h>

#define DAY_MS 86400000

/* ---- apps ---- */

static void a_fresh_registry_publishes_an_empty_snapshot(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    assert_int_equal(world.snapshots, 1);
    assert_int_equal(snapshot_apps_count(world.snapshot), 0);
    registry_rig_close(&world);
}

static void an_app_is_made_shown_and_published_before_done(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const uint64_t version = snapshot_version(world.snapshot);
    struct registry_ask *ask = registry_rig_ask_new("demo");
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->app_create), 0);
    assert_int_equal(ask->request.out.count, 1);
    assert_string_equal(ask->apps[0].name, "demo");
    assert_int_equal(ask->apps[0].created_ms, WALL_MS);
    assert_int_equal(ask->apps[0].secrets_count, 1);
    assert_int_equal(ask->apps[0].key_window_ms, DAY_MS);

    assert_true(snapshot_version(ask->snapshot) > version);
    const struct snapshot_app *app = snapshot_find_app(ask->snapshot, bytes_str("demo"));
    assert_non_null(app);
    assert_int_equal(app->key_window_ms, DAY_MS);
    assert_int_equal(app->secrets_count, 1);
    assert_int_equal(strlen(app->secrets[0].kid), 16);
    assert_int_equal(strspn(app->secrets[0].kid, "0123456789abcdef"), 16);
    const uint8_t zeros[SNAPSHOT_SECRET_BYTES] = {0};
    assert_memory_not_equal(app->secrets[0].secret, zeros, sizeof zeros);
    registry_rig_ask_free(ask);

    ask = registry_rig_ask_new("demo");
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->app_list), 0);
    assert_int_equal(ask->request.out.count, 1);
    assert_string_equal(ask->apps[0].name, "demo");
    registry_rig_ask_free(ask);
    registry_rig_close(&world);
}

static void app_names_are_checked_and_unique(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), PETREL_E_EXISTS);
    const char *const bad[] = {NULL, "", "Demo", "-demo", "a b", "d\xc3\xa9mo"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(registry_rig_create_app(&world, bad[i]), PETREL_E_INVALID);
    assert_int_equal(snapshot_apps_count(world.snapshot), 1);
    registry_rig_close(&world);
}

static void apps_are_listed_by_pages(void **state)
{
    struct registry_rig world;
    registry_rig_open(&world, *state);
    const char *const names[] = {"cherry", "apple", "banana", "date", "elder"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(registry_rig_create_app(&world, names[i]), 0);
    registry_op_fn *op = world.registry->ops->app_list;
    struct registry_ask *page = registry_rig_list(&world, op, NULL, NULL, NULL, 2);
    assert_int_equal(page->request.out.count, 2);
    assert_true(page->request.out.more);
    assert_string_equal(page->apps[0].name, "apple");
    assert_string_equal(page->apps[1].name, "banana");
    registry_rig_ask_free(page);
    page = registry_rig_list(&world, op, NULL, NULL, "banana", 3);
    assert_int_equal(page->request.out.count, 3);
    assert_false(page->request.out.more);
    assert_string_equal(page->apps[2].name, "elder");
    registry_rig_ask_free(page);
    const uint32_t bad[] = {0, REGISTRY_PAGE_MAX + 1};
    for (size_t i = 0; i < 2; i++) {
        page = registry_rig_list(&world, op, NULL, NULL, NULL, bad[i]);
        assert_int_equal(page->request.status, PETREL_E_INVALID);
        assert_int_equal(page->request.out.count, 0);
        registry_rig_ask_free(page);
    }
    page = registry_rig_list(&world, op, "fig", NULL, NULL, 2);
    assert_int_equal(page->request.status, PETREL_E_NOT_FOUND);
    registry_rig_ask_free(page);
    registry_rig_close(&world);
}

static void a_deleted_app_takes_its_keys_and_devices_along(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_open(&world, *state);
    const struct registry_ops *ops = world.registry->ops;
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "phone"), 0);
    assert_true(registry_rig_key_opens(&world, text, "demo"));

    assert_int_equal(registry_rig_delete_app(&world, "demo"), 0);
    assert_false(registry_rig_key_opens(&world, text, "demo"));
    assert_int_equal(snapshot_apps_count(world.snapshot), 1);
    assert_int_equal(registry_rig_delete_app(&world, "demo"), PETREL_E_NOT_FOUND);
    assert_int_equal(registry_rig_device(&world, ops->device_register, "demo", "ada", "phone"), PETREL_E_NOT_FOUND);

    /* The inboxes of its users may still be in the store: nobody else gets the name. */
    assert_int_equal(registry_rig_create_app(&world, "demo"), PETREL_E_EXISTS);
    assert_int_equal(registry_rig_create_app(&world, "demo2"), 0);
    registry_rig_close(&world);
}

/* ---- keys ---- */

static void a_key_is_shown_once_and_only_its_digest_is_stored(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), PETREL_E_NOT_FOUND);
    assert_string_equal(text, "");
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", "backend of \xc3\xa9t\xc3\xa9", text, id), 0);

    assert_int_equal(strlen(text), 3 + 16 + 1 + 43);
    assert_memory_equal(text, "pk_", 3);
    assert_memory_equal(text + 3, id, 16);
    assert_int_equal(text[19], '_');
    assert_int_equal(strspn(text + 20, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
    assert_true(registry_rig_key_opens(&world, text, "demo"));

    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->key_list, "demo", NULL, NULL, 10);
    assert_int_equal(rows->request.out.count, 1);
    assert_string_equal(rows->keys[0].id, id);
    assert_string_equal(rows->keys[0].app, "demo");
    assert_string_equal(rows->keys[0].label, "backend of \xc3\xa9t\xc3\xa9");
    assert_int_equal(rows->keys[0].created_ms, WALL_MS);
    assert_int_equal(rows->keys[0].revoked_ms, 0);
    assert_string_equal(rows->request.out.key_text, "");
    registry_rig_ask_free(rows);

    assert_true(world.fixture->holds(&world, bytes_str(id))); /* else the search proves nothing */
    assert_false(world.fixture->holds(&world, bytes_str(text + 20)));
    registry_rig_close(&world);
}

static void labels_are_checked(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    char label[REGISTRY_LABEL_MAX + 2];
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    memset(label, 'x', sizeof label);
    label[REGISTRY_LABEL_MAX + 1] = '\0';
    assert_int_equal(registry_rig_create_key(&world, "demo", label, text, id), PETREL_E_INVALID);
    label[REGISTRY_LABEL_MAX] = '\0';
    assert_int_equal(registry_rig_create_key(&world, "demo", label, text, id), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", "two\nlines", text, id), PETREL_E_INVALID);
    assert_int_equal(registry_rig_create_key(&world, "demo", "\xff", text, id), PETREL_E_INVALID);
    registry_rig_close(&world);
}

static struct registry_ask *revoke_key(struct registry_rig *world, const char *app, const char *id)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    ask->request.in.key_id = bytes_str(id);
    (void)registry_rig_ask(world, ask, world->registry->ops->key_revoke);
    return ask;
}

static void a_revoked_key_opens_nothing_from_done_on(void **state)
{
    struct registry_rig world;
    char first[REGISTRY_KEY_TEXT_MAX], second[REGISTRY_KEY_TEXT_MAX], id[17], other_id[17];
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", "a", first, id), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", "b", second, other_id), 0);

    struct registry_ask *ask = revoke_key(&world, "other", id);
    assert_int_equal(ask->request.status, PETREL_E_NOT_FOUND);
    registry_rig_ask_free(ask);
    ask = revoke_key(&world, "demo", "0123");
    assert_int_equal(ask->request.status, PETREL_E_NOT_FOUND);
    registry_rig_ask_free(ask);
    assert_true(registry_rig_key_opens(&world, first, "demo"));

    clock_manual_advance(&world.clock, 500);
    ask = revoke_key(&world, "demo", id);
    assert_int_equal(ask->request.status, 0);
    assert_int_equal(ask->keys[0].revoked_ms, WALL_MS + 500);
    assert_null(snapshot_find_key(ask->snapshot, bytes_str(first)));
    assert_non_null(snapshot_find_key(ask->snapshot, bytes_str(second)));
    registry_rig_ask_free(ask);

    clock_manual_advance(&world.clock, 500);
    ask = revoke_key(&world, "demo", id);
    assert_int_equal(ask->request.status, 0);
    assert_int_equal(ask->keys[0].revoked_ms, WALL_MS + 500);
    registry_rig_ask_free(ask);
    registry_rig_close(&world);
}

static void keys_are_listed_by_pages(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17], last[17] = "";
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    uint32_t seen = 0;
    bool more = true;
    while (more) {
        struct registry_ask *page = registry_rig_list(&world, world.registry->ops->key_list, "demo", NULL, last, 2);
        assert_int_equal(page->request.status, 0);
        for (uint32_t i = 0; i < page->request.out.count; i++, seen++) {
            assert_true(strcmp(page->keys[i].id, last) > 0);
            memcpy(last, page->keys[i].id, sizeof last);
        }
        more = page->request.out.more;
        assert_true(seen <= 5);
        registry_rig_ask_free(page);
    }
    assert_int_equal(seen, 5);
    struct registry_ask *none = registry_rig_list(&world, world.registry->ops->key_list, "nobody", NULL, NULL, 2);
    assert_int_equal(none->request.status, PETREL_E_NOT_FOUND);
    registry_rig_ask_free(none);
    registry_rig_close(&world);
}

/* ---- what is stored ---- */

static void what_was_written_is_there_after_reopening(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    struct snapshot_secret secret;
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    assert_int_equal(registry_rig_device(&world, world.registry->ops->device_register, "demo", "ada", "phone"), 0);
    secret = snapshot_find_app(world.snapshot, bytes_str("demo"))->secrets[0];
    const uint64_t version = snapshot_version(world.snapshot);

    registry_rig_reopen(&world);
    assert_true(registry_rig_key_opens(&world, text, "demo"));
    assert_true(snapshot_version(world.snapshot) >= version);
    assert_memory_equal(&snapshot_find_app(world.snapshot, bytes_str("demo"))->secrets[0], &secret, sizeof secret);
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->device_list, "demo", "ada", NULL, 10);
    assert_int_equal(rows->request.out.count, 1);
    registry_rig_ask_free(rows);
    registry_rig_close(&world);
}

/* FULL where the disk says so; over a file size limit it may look like any failed write. */
static bool is_refusal(int status)
{
    return status == PETREL_E_FULL || status == PETREL_E_UNAVAILABLE;
}

static void a_full_disk_refuses_writes_and_nothing_else(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    world.fixture->fill(&world, true);
    const int created = registry_rig_create_app(&world, "other");
    const int keyed = registry_rig_create_key(&world, "demo", NULL, text, id);
    const bool shown = text[0] != '\0';
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->app_list, NULL, NULL, NULL, 10);
    const uint64_t apps = snapshot_apps_count(world.snapshot);
    world.fixture->fill(&world, false);

    assert_true(is_refusal(created));
    assert_true(is_refusal(keyed));
    assert_false(shown);
    assert_int_equal(rows->request.status, 0);
    assert_int_equal(rows->request.out.count, 1);
    assert_int_equal(apps, 1);
    registry_rig_ask_free(rows);
    assert_int_equal(registry_rig_create_app(&world, "other"), 0);
    assert_int_equal(snapshot_apps_count(world.snapshot), 2);
    registry_rig_close(&world);
}

static void a_refresh_is_answered_with_the_newest_snapshot_in_place(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    registry_rig_open(&world, *state);
    assert_int_equal(registry_rig_refresh(&world), 0);
    assert_int_equal(registry_rig_create_app(&world, "demo"), 0);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    const uint32_t seen = world.snapshots;
    assert_int_equal(registry_rig_refresh(&world), 0);
    assert_true(registry_rig_key_opens(&world, text, "demo"));
    assert_int_equal(world.snapshots, seen); /* nothing had changed */
    registry_rig_close(&world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_fresh_registry_publishes_an_empty_snapshot),
        cmocka_unit_test(an_app_is_made_shown_and_published_before_done),
        cmocka_unit_test(app_names_are_checked_and_unique),
        cmocka_unit_test(apps_are_listed_by_pages),
        cmocka_unit_test(a_deleted_app_takes_its_keys_and_devices_along),
        cmocka_unit_test(a_key_is_shown_once_and_only_its_digest_is_stored),
        cmocka_unit_test(labels_are_checked),
        cmocka_unit_test(a_revoked_key_opens_nothing_from_done_on),
        cmocka_unit_test(keys_are_listed_by_pages),
        cmocka_unit_test(what_was_written_is_there_after_reopening),
        cmocka_unit_test(a_refresh_is_answered_with_the_newest_snapshot_in_place),
        cmocka_unit_test(a_full_disk_refuses_writes_and_nothing_else),
    };
    return registry_rig_run(cases, sizeof cases / sizeof cases[0]);
}
