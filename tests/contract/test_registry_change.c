/* The contract of registry.h and registry_audit.h: what changes of an app that is there, what limits a key, what operators did. */
#include "contract/registry_rig.h"

#include "unit/token_samples.h"

#include <string.h>

#define SECOND_MS 1000
#define DAY_MS UINT64_C(86400000)

/* ---- keys that sign tokens ---- */

static struct registry_ask *change_asked(struct registry_rig *world, enum registry_change change, const char *kid)
{
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.change = change;
    ask->request.in.kid = bytes_str(kid);
    (void)registry_rig_ask(world, ask, world->registry->ops->app_change);
    return ask;
}

static int change(struct registry_rig *world, enum registry_change what, const char *kid)
{
    struct registry_ask *ask = change_asked(world, what, kid);
    const int status = ask->request.status;
    registry_rig_ask_free(ask);
    return status;
}

static int add_public(struct registry_rig *world, const char *app, const char *kid, const char *pem)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    struct bytebuf der = {0};
    const char *why;
    assert_int_equal(token_public_from_pem(bytes_str(pem), &ask->request.in.algorithm, &der, &why), 0);
    ask->request.in.change = REGISTRY_CHANGE_PUBLIC_ADD;
    ask->request.in.kid = bytes_str(kid);
    ask->request.in.der = bytes_view(&der);
    const int status = registry_rig_ask(world, ask, world->registry->ops->app_change);
    registry_rig_ask_free(ask);
    bytes_reset(&der);
    return status;
}

static const struct snapshot_app *app_of(const struct registry_rig *world)
{
    return snapshot_find_app(world->snapshot, bytes_str("demo"));
}

static void open_with_app(struct registry_rig *world, void **state)
{
    registry_rig_open(world, *state);
    assert_int_equal(registry_rig_create_app(world, "demo"), 0);
}

static void a_new_secret_signs_when_all_nodes_can_know_it(void **state)
{
    struct registry_rig world;
    char old[17], new[17];
    open_with_app(&world, state);
    strcpy(old, app_of(&world)->secrets[0].kid);
    struct registry_ask *ask = change_asked(&world, REGISTRY_CHANGE_SECRET_ADD, "");
    assert_int_equal(ask->request.status, 0);
    assert_int_equal(ask->apps[0].secrets_count, 2);
    registry_rig_ask_free(ask);
    const struct snapshot_app *app = app_of(&world);
    assert_int_equal(app->secrets_count, 2);
    strcpy(new, app->secrets[1].kid);
    assert_string_not_equal(old, new);
    assert_memory_not_equal(app->secrets[0].secret, app->secrets[1].secret, SNAPSHOT_SECRET_BYTES);
    assert_int_equal(app->secrets[1].created_ms, WALL_MS);
    assert_string_equal(snapshot_signer(app, WALL_MS + SNAPSHOT_SIGNS_AFTER_MS - 1)->kid, old);
    assert_string_equal(snapshot_signer(app, WALL_MS + SNAPSHOT_SIGNS_AFTER_MS)->kid, new);

    assert_int_equal(change(&world, REGISTRY_CHANGE_KEY_RETIRE, old), 0);
    assert_int_equal(app_of(&world)->secrets_count, 1);
    assert_string_equal(snapshot_signer(app_of(&world), WALL_MS)->kid, new);
    registry_rig_reopen(&world);
    assert_int_equal(app_of(&world)->secrets_count, 1);
    assert_string_equal(app_of(&world)->secrets[0].kid, new);
    assert_int_equal(change(&world, REGISTRY_CHANGE_KEY_RETIRE, new), 0);
    assert_null(snapshot_signer(app_of(&world), WALL_MS));
    registry_rig_close(&world);
}

static void secrets_are_four_at_most(void **state)
{
    struct registry_rig world;
    open_with_app(&world, state);
    for (int i = 1; i < SNAPSHOT_SECRETS_MAX; i++)
        assert_int_equal(change(&world, REGISTRY_CHANGE_SECRET_ADD, ""), 0);
    const uint64_t version = snapshot_version(world.snapshot);
    assert_int_equal(change(&world, REGISTRY_CHANGE_SECRET_ADD, ""), PETREL_E_TOO_LARGE);
    assert_int_equal(snapshot_version(world.snapshot), version);
    assert_int_equal(app_of(&world)->secrets_count, SNAPSHOT_SECRETS_MAX);
    registry_rig_close(&world);
}

static void public_keys_come_and_go(void **state)
{
    struct registry_rig world;
    size_t count;
    open_with_app(&world, state);
    assert_int_equal(registry_rig_create_app(&world, "before"), 0);
    assert_int_equal(add_public(&world, "before", "b", TOKEN_SAMPLES_PEM_EC_OTHER), 0);
    assert_int_equal(add_public(&world, "demo", "ec", TOKEN_SAMPLES_PEM_EC), 0);
    clock_manual_advance(&world.clock, SECOND_MS);
    assert_int_equal(add_public(&world, "demo", "a large one", TOKEN_SAMPLES_PEM_RSA_4096), 0);
    assert_int_equal(add_public(&world, "demo", "ec", TOKEN_SAMPLES_PEM_EC_OTHER), PETREL_E_EXISTS);
    assert_int_equal(add_public(&world, "demo", app_of(&world)->secrets[0].kid, TOKEN_SAMPLES_PEM_EC), PETREL_E_EXISTS);
    assert_int_equal(add_public(&world, "demo", "", TOKEN_SAMPLES_PEM_EC), PETREL_E_INVALID);
    assert_int_equal(add_public(&world, "demo", "a\nb", TOKEN_SAMPLES_PEM_EC), PETREL_E_INVALID);
    assert_int_equal(add_public(&world, "none", "ec", TOKEN_SAMPLES_PEM_EC), PETREL_E_NOT_FOUND);
    for (int again = 0; again < 2; again++) {
        const struct snapshot_public_key *keys = snapshot_public_keys(world.snapshot, app_of(&world), &count);
        assert_int_equal(count, 2);
        assert_string_equal(keys[0].kid, "ec");
        assert_int_equal(keys[0].algorithm, TOKEN_ES256);
        assert_string_equal(keys[1].kid, "a large one");
        assert_int_equal(keys[1].algorithm, TOKEN_RS256);
        assert_int_equal(keys[1].created_ms, WALL_MS + SECOND_MS);
        struct token_public *key = token_public_new(TOKEN_RS256, bytes_of(keys[1].der, keys[1].der_len));
        assert_non_null(key);
        token_public_free(key);
        assert_int_equal(app_of(&world)->secrets_count, 1);
        registry_rig_reopen(&world);
    }
    assert_int_equal(add_public(&world, "demo", "c", TOKEN_SAMPLES_PEM_EC), 0);
    assert_int_equal(add_public(&world, "demo", "d", TOKEN_SAMPLES_PEM_EC), 0);
    assert_int_equal(add_public(&world, "demo", "e", TOKEN_SAMPLES_PEM_EC), PETREL_E_TOO_LARGE);
    assert_int_equal(change(&world, REGISTRY_CHANGE_KEY_RETIRE, "ec"), 0);
    assert_int_equal(change(&world, REGISTRY_CHANGE_KEY_RETIRE, "ec"), PETREL_E_NOT_FOUND);
    assert_int_equal(change(&world, REGISTRY_CHANGE_KEY_RETIRE, ""), PETREL_E_NOT_FOUND);
    assert_int_equal(change(&world, (enum registry_change)77, ""), PETREL_E_INVALID);
    (void)snapshot_public_keys(world.snapshot, app_of(&world), &count);
    assert_int_equal(count, 3);
    assert_int_equal(registry_rig_delete_app(&world, "demo"), 0);
    assert_int_equal(snapshot_public_keys_count(world.snapshot), 1);
    registry_rig_close(&world);
}

/* ---- limits ---- */

static void limits_are_kept_and_meters_go_on(void **state)
{
    struct registry_rig world;
    char text[REGISTRY_KEY_TEXT_MAX], id[17];
    const struct rate_limit limit = {.per_second = 1, .burst = 2};
    open_with_app(&world, state);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, text, id), 0);
    assert_int_equal(app_of(&world)->limits.per_second, 0);
    struct rate_meter *meter = snapshot_app_meter(world.snapshot, app_of(&world));
    struct rate_meter *key_meter =
        snapshot_key_meter(world.snapshot, snapshot_find_key(world.snapshot, bytes_str(text)));
    assert_ptr_not_equal(meter, key_meter);
    assert_int_equal(rate_meter_take(meter, &limit, SECOND_MS), 0);

    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.change = REGISTRY_CHANGE_LIMITS;
    ask->request.in.limits = (struct snapshot_limits){.per_second = RATE_PER_SECOND_MAX, .key_per_second = 7};
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->app_change), 0);
    assert_int_equal(ask->apps[0].limits.per_second, RATE_PER_SECOND_MAX);
    assert_int_equal(ask->apps[0].limits.key_per_second, 7);
    registry_rig_ask_free(ask);
    assert_int_equal(app_of(&world)->limits.per_second, RATE_PER_SECOND_MAX);
    assert_int_equal(app_of(&world)->limits.key_per_second, 7);
    /* Another snapshot, the same meters: a change of the registry refills nothing. */
    assert_ptr_equal(snapshot_app_meter(world.snapshot, app_of(&world)), meter);
    assert_int_equal(rate_meter_left(meter, &limit, SECOND_MS), 1);
    assert_ptr_equal(snapshot_key_meter(world.snapshot, snapshot_find_key(world.snapshot, bytes_str(text))), key_meter);
    registry_rig_reopen(&world);
    assert_int_equal(app_of(&world)->limits.key_per_second, 7);
    registry_rig_close(&world);
}

/* ---- what devices meet where they connect ---- */

static void origins_and_connects_are_kept(void **state)
{
    static const char *const wrong[] = {
        "app.example",         "https://app.example/", "https://",           "://x",
        "https://a b",         "https://*.example",    "https://a.example,", ",https://a.example",
        "https://a.example, ,"};
    struct registry_rig world;
    open_with_app(&world, state);
    assert_string_equal(app_of(&world)->edge.origins, "");
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.change = REGISTRY_CHANGE_EDGE;
    ask->request.in.edge =
        (struct snapshot_edge){.connects_per_second = 40, .origins = "https://a.example, https://b.example:8443"};
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->app_change), 0);
    assert_string_equal(ask->apps[0].edge.origins, "https://a.example, https://b.example:8443");
    assert_int_equal(ask->apps[0].edge.connects_per_second, 40);
    registry_rig_ask_free(ask);
    registry_rig_reopen(&world);
    assert_string_equal(app_of(&world)->edge.origins, "https://a.example, https://b.example:8443");
    assert_int_equal(app_of(&world)->edge.connects_per_second, 40);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ask = registry_rig_ask_new("demo");
        ask->request.in.change = REGISTRY_CHANGE_EDGE;
        (void)snprintf(ask->request.in.edge.origins, sizeof ask->request.in.edge.origins, "%s", wrong[i]);
        assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->app_change), PETREL_E_INVALID);
        registry_rig_ask_free(ask);
    }
    assert_int_equal(app_of(&world)->edge.connects_per_second, 40);
    assert_int_equal(registry_rig_delete_app(&world, "demo"), 0);
    registry_rig_close(&world);
}

/* ---- what limits a key ---- */

static void keys_have_scopes_and_an_end(void **state)
{
    struct registry_rig world;
    char all[REGISTRY_KEY_TEXT_MAX], text[REGISTRY_KEY_TEXT_MAX], id[17];
    open_with_app(&world, state);
    assert_int_equal(registry_rig_create_key(&world, "demo", NULL, all, id), 0);
    struct registry_ask *ask = registry_rig_ask_new("demo");
    ask->request.in.scopes = SNAPSHOT_SCOPE_SEND | SNAPSHOT_SCOPE_READ;
    ask->request.in.expires_ms = WALL_MS + DAY_MS;
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->key_create), 0);
    assert_int_equal(ask->keys[0].scopes, SNAPSHOT_SCOPE_SEND | SNAPSHOT_SCOPE_READ);
    assert_int_equal(ask->keys[0].expires_ms, WALL_MS + DAY_MS);
    strcpy(text, ask->request.out.key_text);
    strcpy(id, ask->keys[0].id);
    registry_rig_ask_free(ask);
    registry_rig_reopen(&world);
    const struct snapshot_key *key = snapshot_find_key(world.snapshot, bytes_str(text));
    assert_int_equal(key->scopes, SNAPSHOT_SCOPE_SEND | SNAPSHOT_SCOPE_READ);
    assert_int_equal(key->expires_ms, WALL_MS + DAY_MS);
    key = snapshot_find_key(world.snapshot, bytes_str(all));
    assert_int_equal(key->scopes, 0);
    assert_int_equal(key->expires_ms, 0);
    struct registry_ask *rows = registry_rig_list(&world, world.registry->ops->key_list, "demo", NULL, NULL, 10);
    assert_int_equal(rows->request.out.count, 2);
    const size_t which = strcmp(rows->keys[0].id, id) == 0 ? 0 : 1;
    assert_int_equal(rows->keys[which].expires_ms, WALL_MS + DAY_MS);
    assert_int_equal(rows->keys[1 - which].scopes, 0);
    registry_rig_ask_free(rows);

    ask = registry_rig_ask_new("demo");
    ask->request.in.scopes = SNAPSHOT_SCOPES_ALL + 1;
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->key_create), PETREL_E_INVALID);
    registry_rig_ask_free(ask);
    ask = registry_rig_ask_new("demo");
    ask->request.in.expires_ms = WALL_MS;
    assert_int_equal(registry_rig_ask(&world, ask, world.registry->ops->key_create), PETREL_E_INVALID);
    registry_rig_ask_free(ask);
    registry_rig_close(&world);
}

/* ---- the audit ---- */

static int note(struct registry_rig *world, const char *app, const char *target)
{
    struct registry_audit_row row = {
        .who = "admin.token", .origin = "127.0.0.1:9", .node = "one", .action = "keys.create", .outcome = "OK"};
    strcpy(row.app, app);
    strcpy(row.target, target);
    struct registry_ask *ask = registry_rig_ask_new(NULL);
    ask->request.in.audit = &row;
    const int status = registry_rig_ask(world, ask, world->registry->audit->add);
    registry_rig_ask_free(ask);
    return status;
}

static struct registry_ask *read_audit(struct registry_rig *world, const char *app, uint64_t since_ms,
                                       const char *after, uint32_t limit)
{
    struct registry_ask *ask = registry_rig_ask_new(app);
    ask->request.in.since_ms = since_ms;
    ask->request.in.limit = limit;
    if (after != NULL)
        ask->request.in.after = bytes_str(after);
    (void)registry_rig_ask(world, ask, world->registry->audit->list);
    return ask;
}

static void actions_are_kept_the_newest_first(void **state)
{
    struct registry_rig world;
    char target[REGISTRY_AUDIT_TARGET_MAX + 1], cursor[24];
    open_with_app(&world, state);
    const uint32_t snapshots = world.snapshots;
    for (int i = 0; i < 5; i++) {
        snprintf(target, sizeof target, "key-%d", i);
        assert_int_equal(note(&world, i % 2 == 0 ? "demo" : "", target), 0);
        clock_manual_advance(&world.clock, SECOND_MS);
    }
    assert_int_equal(world.snapshots, snapshots); /* nobody's business but who asks */
    registry_rig_reopen(&world);
    struct registry_ask *page = read_audit(&world, NULL, 0, NULL, 2);
    assert_int_equal(page->request.status, 0);
    assert_int_equal(page->request.out.count, 2);
    assert_true(page->request.out.more);
    assert_string_equal(page->audit[0].target, "key-4");
    assert_int_equal(page->audit[0].at_ms, WALL_MS + 4 * SECOND_MS);
    assert_string_equal(page->audit[0].who, "admin.token");
    assert_string_equal(page->audit[0].origin, "127.0.0.1:9");
    assert_string_equal(page->audit[0].node, "one");
    assert_string_equal(page->audit[0].action, "keys.create");
    assert_string_equal(page->audit[0].app, "demo");
    assert_string_equal(page->audit[0].outcome, "OK");
    snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)page->audit[1].id);
    registry_rig_ask_free(page);
    page = read_audit(&world, NULL, 0, cursor, 10);
    assert_int_equal(page->request.out.count, 3);
    assert_false(page->request.out.more);
    assert_string_equal(page->audit[0].target, "key-2");
    registry_rig_ask_free(page);
    page = read_audit(&world, "demo", WALL_MS + SECOND_MS, NULL, 10);
    assert_int_equal(page->request.out.count, 2);
    assert_string_equal(page->audit[1].target, "key-2");
    registry_rig_ask_free(page);
    static const char *const bad[] = {"x", "1x", "9999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        page = read_audit(&world, NULL, 0, bad[i], 10);
        assert_int_equal(page->request.status, PETREL_E_INVALID);
        registry_rig_ask_free(page);
    }
    registry_rig_close(&world);
}

static void what_is_too_old_goes_as_new_comes(void **state)
{
    struct registry_rig world;
    open_with_app(&world, state);
    assert_int_equal(note(&world, "demo", "old"), 0);
    clock_manual_advance(&world.clock, REGISTRY_AUDIT_DAYS * DAY_MS);
    assert_int_equal(note(&world, "demo", "new"), 0);
    struct registry_ask *page = read_audit(&world, NULL, 0, NULL, 10);
    assert_int_equal(page->request.out.count, 2); /* old to the millisecond */
    registry_rig_ask_free(page);
    clock_manual_advance(&world.clock, 1);
    assert_int_equal(note(&world, "demo", "newer"), 0);
    page = read_audit(&world, NULL, 0, NULL, 10);
    assert_int_equal(page->request.out.count, 2);
    assert_string_equal(page->audit[1].target, "new");
    registry_rig_ask_free(page);
    registry_rig_close(&world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_new_secret_signs_when_all_nodes_can_know_it),
        cmocka_unit_test(secrets_are_four_at_most),
        cmocka_unit_test(public_keys_come_and_go),
        cmocka_unit_test(limits_are_kept_and_meters_go_on),
        cmocka_unit_test(origins_and_connects_are_kept),
        cmocka_unit_test(keys_have_scopes_and_an_end),
        cmocka_unit_test(actions_are_kept_the_newest_first),
        cmocka_unit_test(what_is_too_old_goes_as_new_comes),
    };
    return registry_rig_run(cases, sizeof cases / sizeof cases[0]);
}
