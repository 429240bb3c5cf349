#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>
#include <string.h>

static const struct table_column columns[] = {
    {"KEY-ID", "id", TABLE_TEXT},          {"LABEL", "label", TABLE_TEXT},        {"SCOPES", "scopes", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TIME}, {"EXPIRES", "expires_at", TABLE_TIME}, {"REVOKED", "revoked_at", TABLE_TIME},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

/* Names by commas as a list; whether they are scopes the server knows. */
static json_t *list_of(const char *names)
{
    json_t *list = json_array();
    while (*names != '\0') {
        const size_t len = strcspn(names, ",");
        json_array_append_new(list, json_stringn(names, len));
        names += len;
        names += *names == ',';
    }
    return list;
}

/* What the options ask for; NULL: one of them is wrong, and *code says so. */
static json_t *new_key(const struct invocation *call, enum command_exit *code)
{
    json_t *body = json_object();
    const char *label = invocation_text(call, "label");
    const char *scope = invocation_text(call, "scope");
    const uint64_t expires_ms = invocation_number(call, "expires", 0);
    if (label != NULL && json_object_set_new(body, "label", json_string(label)) != 0)
        *code = command_fail(COMMAND_USAGE, "--label is not UTF-8");
    else if (invocation_text(call, "expires") != NULL && expires_ms < 1000)
        *code = command_fail(COMMAND_USAGE, "--expires: a key lives for a second or more");
    else
        *code = COMMAND_OK;
    if (scope != NULL)
        json_object_set_new(body, "scopes", list_of(scope));
    if (expires_ms > 0)
        json_object_set_new(body, "expires_in", json_integer((json_int_t)(expires_ms / 1000)));
    if (*code == COMMAND_OK)
        return body;
    json_decref(body);
    return NULL;
}

enum command_exit command_key_create(const struct invocation *call)
{
    struct admin *admin;
    json_t *key = NULL;
    enum command_exit code;
    json_t *body = new_key(call, &code);
    if (body == NULL)
        return code;
    code = admin_open(&admin, call);
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
