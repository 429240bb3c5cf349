#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>

static const struct table_column columns[] = {
    {"KEY-ID", "id", TABLE_TEXT},
    {"LABEL", "label", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TIME},
    {"REVOKED", "revoked_at", TABLE_TIME},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

enum command_exit command_key_create(const struct invocation *call)
{
    struct admin *admin;
    json_t *key = NULL;
    json_t *body = json_object();
    const char *label = invocation_text(call, "label");
    if (label != NULL && json_object_set_new(body, "label", json_string(label)) != 0) {
        json_decref(body);
        return command_fail(COMMAND_USAGE, "--label is not UTF-8");
    }
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", json_incref(body), &key, "/admin/v1/apps/%s/keys",
                             invocation_argument(call, 0));
    json_decref(body);
    admin_close(&admin);
    if (code != COMMAND_OK)
        return code;
    if (invocation_json(call)) {
        table_print_json(key);
    } else {
        /* The key alone on standard output, so that it can be put where it belongs without being seen. */
        puts(json_string_value(json_object_get(key, "key")));
        fputs("petrelctl: keep it now, it is shown this once\n", stderr);
    }
    json_decref(key);
    return COMMAND_OK;
}

enum command_exit command_key_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *keys = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_list(admin, "keys", 0, &keys, "/admin/v1/apps/%s/keys", invocation_argument(call, 0));
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(keys);
    else if (code == COMMAND_OK)
        table_print(columns, COLUMNS, keys, "no keys; make one with `petrelctl key create APP`");
    json_decref(keys);
    return code;
}

enum command_exit command_key_revoke(const struct invocation *call)
{
    struct admin *admin;
    char question[256];
    snprintf(question, sizeof question, "Revoke the key %.64s of the app %.64s, for ever?",
             invocation_argument(call, 1), invocation_argument(call, 0));
    enum command_exit code = command_confirm(call, question);
    if (code != COMMAND_OK)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "DELETE", NULL, NULL, "/admin/v1/apps/%s/keys/%s", invocation_argument(call, 0),
                             invocation_argument(call, 1));
    admin_close(&admin);
    return code;
}
