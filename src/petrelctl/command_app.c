#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>
#include <stdlib.h>

static const struct table_column columns[] = {
    {"APP", "name", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TIME},
    {"SECRETS", "secrets", TABLE_NUMBER},
    {"PUBLIC KEYS", "public_keys", TABLE_NUMBER},
    {"IDEMPOTENCY", "idempotency_window_s", TABLE_SPAN_S},
    /* of one app only */
    {"ORIGINS", "origins", TABLE_TEXT},
    {"CONNECTS", "connects_per_second", TABLE_NUMBER},
    {"RATE", "usage.rate", TABLE_NUMBER},
    {"RATE LEFT", "usage.left", TABLE_NUMBER},
    {"REFUSED", "usage.refused", TABLE_NUMBER},
};
#define COLUMNS (sizeof columns / sizeof columns[0])
#define LIST_COLUMNS (COLUMNS - 5)

static const struct table_column key_columns[] = {
    {"KEY-ID", "id", TABLE_TEXT},
    {"RATE", "rate", TABLE_NUMBER},
    {"RATE LEFT", "left", TABLE_NUMBER},
    {"REFUSED", "refused", TABLE_NUMBER},
};

static enum command_exit print_app(const struct invocation *call, enum command_exit code, json_t *app)
{
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(app);
    else if (code == COMMAND_OK)
        table_print_pairs(columns, table_at(app, "usage") != NULL ? COLUMNS : LIST_COLUMNS, app);
    if (code == COMMAND_OK && !invocation_json(call) && json_array_size(table_at(app, "usage.keys")) > 0) {
        putchar('\n');
        table_print(key_columns, sizeof key_columns / sizeof key_columns[0], table_at(app, "usage.keys"), "");
    }
    json_decref(app);
    return code;
}

enum command_exit command_app_create(const struct invocation *call)
{
    struct admin *admin;
    json_t *app = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", json_pack("{s:s}", "name", invocation_argument(call, 0)), &app,
                             "/admin/v1/apps");
    admin_close(&admin);
    return print_app(call, code, app);
}

enum command_exit command_app_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *apps = NULL, *app;
    size_t i;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_list(admin, "apps", 0, &apps, "/admin/v1/apps");
    admin_close(&admin);
    if (code != COMMAND_OK)
        return code;
    if (invocation_flag(call, "names")) {
        json_array_foreach(apps, i, app)
        {
            puts(json_string_value(json_object_get(app, "name")));
        }
    } else if (invocation_json(call)) {
        table_print_json(apps);
    } else {
        table_print(columns, LIST_COLUMNS, apps, "no apps; make one with `petrelctl app create NAME`");
    }
    json_decref(apps);
    return COMMAND_OK;
}

enum command_exit command_app_show(const struct invocation *call)
{
    struct admin *admin;
    json_t *app = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &app, "/admin/v1/apps/%s", invocation_argument(call, 0));
    admin_close(&admin);
    return print_app(call, code, app);
}

enum command_exit command_app_limit(const struct invocation *call)
{
    struct admin *admin;
    json_t *app = NULL;
    json_t *body = json_pack("{s:I, s:I}", "rate", (json_int_t)invocation_number(call, "rate", 0), "key_rate",
                             (json_int_t)invocation_number(call, "key-rate", 0));
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "PUT", json_incref(body), &app, "/admin/v1/apps/%s/limits",
                             invocation_argument(call, 0));
    json_decref(body);
    admin_close(&admin);
    return print_app(call, code, app);
}

enum command_exit command_app_set(const struct invocation *call)
{
    struct admin *admin;
    json_t *app = NULL;
    const char *origins = invocation_text(call, "origins");
    json_t *body = json_pack("{s:s, s:I}", "origins", origins != NULL ? origins : "", "connects_per_second",
                             (json_int_t)invocation_number(call, "connects", 0));
    if (body == NULL)
        return command_fail(COMMAND_USAGE, "--origins: not UTF-8");
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "PUT", json_incref(body), &app, "/admin/v1/apps/%s/edge",
                             invocation_argument(call, 0));
    json_decref(body);
    admin_close(&admin);
    return print_app(call, code, app);
}

enum command_exit command_app_delete(const struct invocation *call)
{
    struct admin *admin;
    char question[256];
    snprintf(question, sizeof question, "Delete the app %.64s with its keys and devices, for ever?",
             invocation_argument(call, 0));
    enum command_exit code = command_confirm(call, question);
    if (code != COMMAND_OK)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "DELETE", NULL, NULL, "/admin/v1/apps/%s", invocation_argument(call, 0));
    admin_close(&admin);
    return code;
}

enum command_exit command_app_secrets(const struct invocation *call)
{
    static const struct table_column secrets_columns[] = {
        {"KID", "kid", TABLE_TEXT},
        {"ALG", "alg", TABLE_TEXT},
        {"SECRET", "secret", TABLE_TEXT},
    };
    struct admin *admin;
    json_t *answer = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &answer, "/admin/v1/apps/%s/secrets", invocation_argument(call, 0));
    admin_close(&admin);
    const json_t *secrets = json_object_get(answer, "secrets");
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(secrets);
    else if (code == COMMAND_OK)
        table_print(secrets_columns, sizeof secrets_columns / sizeof secrets_columns[0], secrets, "no secrets");
    json_decref(answer);
    return code;
}
