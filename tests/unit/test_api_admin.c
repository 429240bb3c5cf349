/* The admin API: apps, keys, sessions, the node. */
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_rig(void **state)
{
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    api_rig_close(*state);
    free(*state);
    return 0;
}

static struct api_reply ask(struct api_rig *rig, const char *method, const char *path, const char *body,
                            unsigned status)
{
    struct api_reply reply = api_rig_ask(rig, API_ADMIN, method, path, body);
    if (reply.status != status)
        fail_msg("expected %u, got %u: %s", status, reply.status, reply.body);
    return reply;
}

static void apps_come_and_go(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "POST", "/admin/v1/apps", "{\"name\":\"news\"}", 201);
    assert_string_equal(api_client_text(&reply, "name"), "news");
    assert_int_equal(json_integer_value(api_client_at(&reply, "idempotency_window_s")), 86400);
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps", "{\"name\":\"news\"}", 409, "EXISTS", "name");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps", "{\"name\":\"No\"}", 400, "INVALID", "name");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps", "{}", 400, "INVALID", "name");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps", "", 400, "INVALID_JSON", NULL);
    reply = ask(rig, "GET", "/admin/v1/apps/news", NULL, 200);
    assert_string_equal(api_client_text(&reply, "name"), "news");
    assert_int_equal(json_integer_value(api_client_at(&reply, "secrets")), 1);
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/apps/news/secrets", NULL, 200);
    assert_int_equal(strlen(api_client_text(&reply, "secrets.0.secret")), 43); /* 32 bytes in base64url */
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/apps?limit=2", NULL, 200);
    assert_string_equal(api_client_text(&reply, "apps.0.name"), "news");
    assert_string_equal(api_client_text(&reply, "cursor"), "other");
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/apps?limit=2&cursor=other", NULL, 200);
    assert_string_equal(api_client_text(&reply, "apps.0.name"), "shop");
    assert_null(api_client_at(&reply, "cursor"));
    api_client_free(&reply);
    reply = ask(rig, "DELETE", "/admin/v1/apps/news", NULL, 200);
    assert_true(json_is_true(api_client_at(&reply, "deleted")));
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "GET", "/admin/v1/apps/news", NULL, 404, "NOT_FOUND", "app");
    api_rig_expect_error(rig, API_ADMIN, "DELETE", "/admin/v1/apps/news", NULL, 404, "NOT_FOUND", "app");
}

static void a_deleted_app_takes_its_keys_along(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "DELETE", "/admin/v1/apps/shop", NULL, 200);
    api_client_free(&reply);
    api_rig_expect_error(rig, API_SEND, "POST", "/v1/apps/shop/messages", "{}", 401, "UNAUTHENTICATED", NULL);
}

static void keys_are_shown_once(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply made = ask(rig, "POST", "/admin/v1/apps/shop/keys", NULL, 201);
    const char *key = api_client_text(&made, "key");
    const char *id = api_client_text(&made, "id");
    assert_memory_equal(key, "pk_", 3);
    assert_memory_equal(key + 3, id, 16);
    struct api_reply reply = ask(rig, "GET", "/admin/v1/apps/shop/keys", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&reply, "keys")), 2);
    assert_null(api_client_at(&reply, "keys.0.key"));
    assert_null(strstr(reply.body, key));
    api_client_free(&reply);
    char path[96];
    (void)snprintf(path, sizeof path, "/admin/v1/apps/other/keys/%s", id);
    api_rig_expect_error(rig, API_ADMIN, "DELETE", path, NULL, 404, "NOT_FOUND", "id"); /* another app's */
    (void)snprintf(path, sizeof path, "/admin/v1/apps/shop/keys/%s", id);
    reply = ask(rig, "DELETE", path, NULL, 200);
    assert_non_null(api_client_text(&reply, "revoked_at"));
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "DELETE", "/admin/v1/apps/shop/keys/0123456789abcdef0", NULL, 404, "NOT_FOUND",
                         "id");
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/apps/shop/keys", "{\"label\":\"\\u0007\"}", 400, "INVALID",
                         "label");
    api_client_free(&made);
}

static void sessions_are_walked_shown_and_kicked(void **state)
{
    struct api_rig *rig = *state;
    api_rig_publish(rig);
    struct api_reply page = ask(rig, "GET", "/admin/v1/sessions?limit=1", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&page, "sessions")), 1);
    assert_string_equal(api_client_text(&page, "sessions.0.user"), "ann");
    char path[128];
    (void)snprintf(path, sizeof path, "/admin/v1/sessions?limit=1&cursor=%s", api_client_text(&page, "cursor"));
    struct api_reply next = ask(rig, "GET", path, NULL, 200);
    assert_string_equal(api_client_text(&next, "sessions.0.user"), "bob");
    assert_null(api_client_at(&next, "cursor"));
    api_client_free(&next);
    next = ask(rig, "GET", "/admin/v1/sessions?app=shop&user=bob", NULL, 200);
    assert_int_equal(json_array_size(api_client_at(&next, "sessions")), 1);
    (void)snprintf(path, sizeof path, "/admin/v1/sessions/%s", api_client_text(&next, "sessions.0.id"));
    api_client_free(&next);
    api_client_free(&page);
    struct api_reply one = ask(rig, "GET", path, NULL, 200);
    assert_string_equal(api_client_text(&one, "device"), "tab");
    api_client_free(&one);
    one = ask(rig, "DELETE", path, NULL, 200);
    assert_true(json_is_true(api_client_at(&one, "kicked")));
    api_client_free(&one);
    api_rig_wait_evictions(rig, 1);
    assert_int_equal(rig->script.evict.code, SESSION_CODE_KICKED);
    assert_int_equal(rig->script.evict.route.slot, 8);
    assert_int_equal(rig->script.evict.route.generation, 5);
    /* The slot may have another session by now. */
    path[strlen(path) - 1] = '6';
    api_rig_expect_error(rig, API_ADMIN, "DELETE", path, NULL, 404, "NOT_FOUND", "id");
    static const char *const none[] = {"x", "1-4d-0-8", "1-4d-0-8-5-", "2-4d-0-8-5", "1-4d-1-8-5", "1-4e-0-8-5"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        (void)snprintf(path, sizeof path, "/admin/v1/sessions/%s", none[i]);
        api_rig_expect_error(rig, API_ADMIN, "GET", path, NULL, 404, "NOT_FOUND", "id");
    }
    static const char *const cursors[] = {"1", "1-2", "a-b-c", "1-2-3x", "1-99999999-1"};
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        (void)snprintf(path, sizeof path, "/admin/v1/sessions?cursor=%s", cursors[i]);
        api_rig_expect_error(rig, API_ADMIN, "GET", path, NULL, 400, "INVALID", "cursor");
    }
}

static void the_node_tells_about_itself(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "GET", "/admin/v1/status", NULL, 200);
    assert_string_equal(api_client_text(&reply, "name"), "rig");
    assert_int_equal(json_integer_value(api_client_at(&reply, "apps")), 2);
    assert_true(json_is_true(api_client_at(&reply, "ready")));
    api_client_free(&reply);
    rig->unready = true;
    reply = ask(rig, "GET", "/admin/v1/status", NULL, 200);
    assert_string_equal(api_client_text(&reply, "reason"), "the disk is full");
    api_client_free(&reply);
    reply = ask(rig, "GET", "/admin/v1/config", NULL, 200);
    assert_int_equal(json_integer_value(json_object_get(reply.json, "api.port")), 7480);
    api_client_free(&reply);
}

static void certificates_are_shown_and_read_again(void **state)
{
    struct api_rig *rig = *state;
    for (int i = 0; i < 2; i++) {
        struct api_reply reply = i == 0 ? ask(rig, "GET", "/admin/v1/certificates", NULL, 200)
                                        : ask(rig, "POST", "/admin/v1/reload", NULL, 200);
        const json_t *list = json_object_get(reply.json, "certificates");
        assert_int_equal(json_array_size(list), 1);
        const json_t *first = json_array_get(list, 0);
        assert_string_equal(json_string_value(json_object_get(first, "names")), "push.test");
        assert_string_equal(json_string_value(json_object_get(first, "use")), "nodes");
        assert_string_equal(json_string_value(json_object_get(first, "not_after")), "2027-01-15T08:00:00.000Z");
        api_client_free(&reply);
    }
    rig->reload_status = PETREL_E_INVALID;
    api_rig_expect_error(rig, API_ADMIN, "POST", "/admin/v1/reload", NULL, 400, "FAILED_PRECONDITION", NULL);
}

#define BACKUP "/admin/v1/backup"
#define DIRECTORY "{\"directory\":\"/srv/copy\"}"

static void backups(void **state)
{
    struct api_rig *rig = *state;
    struct api_reply reply = ask(rig, "POST", BACKUP, DIRECTORY, 200);
    assert_string_equal(api_client_text(&reply, "directory"), "/srv/copy");
    api_client_free(&reply);
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, "{\"directory\":\"copy\"}", 400, "INVALID", "directory");
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, "{}", 400, "INVALID", "directory");
    rig->backup = PETREL_E_EXISTS;
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, DIRECTORY, 409, "EXISTS", "directory");
    rig->backup = PETREL_E_NOT_FOUND;
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, DIRECTORY, 404, "NOT_FOUND", "directory");
    rig->backup = PETREL_E_FORBIDDEN;
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, DIRECTORY, 400, "FAILED_PRECONDITION", "directory");
    rig->backup = PETREL_E_IO;
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, DIRECTORY, 500, "INTERNAL", "directory");
    rig->backup = PETREL_E_BUSY;
    rig->backup_refused = true;
    api_rig_expect_error(rig, API_ADMIN, "POST", BACKUP, DIRECTORY, 503, "BUSY", NULL);
}

static void an_empty_admin_token_opens_nothing(void **state)
{
    (void)state;
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &(struct loop_config){0}), 0);
    struct api_config config = api_role_defaults();
    config.kind = API_ADMIN;
    config.admin_token = "";
    struct api_role *role = NULL;
    const struct api_host host = {0};
    assert_int_equal(api_role_new(&role, loop, NULL, NULL, NULL, NULL, NULL, &host, &config), PETREL_E_INVALID);
    assert_null(role);
    loop_free(&loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(apps_come_and_go, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_deleted_app_takes_its_keys_along, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(certificates_are_shown_and_read_again, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(keys_are_shown_once, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(sessions_are_walked_shown_and_kicked, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(the_node_tells_about_itself, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(backups, open_rig, close_rig),
        cmocka_unit_test(an_empty_admin_token_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
