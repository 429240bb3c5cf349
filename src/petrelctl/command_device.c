#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>

static const struct table_column registered[] = {
    {"USER", "user", TABLE_TEXT},
    {"DEVICE", "device", TABLE_TEXT},
    {"ADDRESS", "address", TABLE_TEXT},
    {"TOKEN", "token", TABLE_TEXT},
    {"TOKEN EXPIRES", "expires_at", TABLE_TIME},
};

static const struct table_column columns[] = {
    {"DEVICE", "device", TABLE_TEXT},      {"PLATFORM", "platform", TABLE_TEXT},  {"CREATED", "created_at", TABLE_TIME},
    {"UPDATED", "updated_at", TABLE_TIME}, {"REVOKED", "revoked_at", TABLE_TIME},
};

static bool set_text(json_t *body, const char *key, const char *text)
{
    return text == NULL || json_object_set_new(body, key, json_string(text)) == 0;
}

enum command_exit command_device_register(const struct invocation *call)
{
    struct admin *admin;
    json_t *device = NULL;
    json_t *body = json_object();
    uint64_t ttl_ms = invocation_number(call, "token-ttl", 0);
    bool valid = set_text(body, "device", invocation_text(call, "device")) &&
                 set_text(body, "platform", invocation_text(call, "platform"));
    if (!valid || (ttl_ms > 0 && ttl_ms < 1000)) {
        json_decref(body);
        return command_fail(COMMAND_USAGE, valid ? "--token-ttl: a token lives for a second or more"
                                                 : "--device or --platform is not UTF-8");
    }
    if (ttl_ms > 0)
        json_object_set_new(body, "token_ttl", json_integer((json_int_t)(ttl_ms / 1000)));
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "POST", json_incref(body), &device, "/v1/apps/%s/users/%s/devices",
                             invocation_argument(call, 0), invocation_argument(call, 1));
    json_decref(body);
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(device);
    else if (code == COMMAND_OK)
        table_print_pairs(registered, sizeof registered / sizeof registered[0], device);
    json_decref(device);
    return code;
}

enum command_exit command_device_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *devices = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_list(admin, "devices", 0, &devices, "/v1/apps/%s/users/%s/devices", invocation_argument(call, 0),
                          invocation_argument(call, 1));
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(devices);
    else if (code == COMMAND_OK)
        table_print(columns, sizeof columns / sizeof columns[0], devices,
                    "no devices; make one with `petrelctl device register APP USER`");
    json_decref(devices);
    return code;
}

enum command_exit command_device_revoke(const struct invocation *call)
{
    struct admin *admin;
    char question[512];
    snprintf(question, sizeof question, "Revoke the device %.64s of %.128s, app %.64s?", invocation_argument(call, 2),
             invocation_argument(call, 1), invocation_argument(call, 0));
    enum command_exit code = command_confirm(call, question);
    if (code != COMMAND_OK)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "DELETE", NULL, NULL, "/v1/apps/%s/users/%s/devices/%s",
                             invocation_argument(call, 0), invocation_argument(call, 1), invocation_argument(call, 2));
    admin_close(&admin);
    return code;
}

enum command_exit command_user_revoke(const struct invocation *call)
{
    static const struct table_column revoked[] = {
        {"USER", "user", TABLE_TEXT},
        {"DEVICES", "devices", TABLE_TEXT},
        {"REVOKED", "revoked_at", TABLE_TIME},
    };
    struct admin *admin;
    json_t *answer = NULL;
    char question[512];
    snprintf(question, sizeof question, "Revoke all devices of %.128s, app %.64s?", invocation_argument(call, 1),
             invocation_argument(call, 0));
    enum command_exit code = command_confirm(call, question);
    if (code != COMMAND_OK)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "DELETE", NULL, &answer, "/v1/apps/%s/users/%s", invocation_argument(call, 0),
                             invocation_argument(call, 1));
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(answer);
    else if (code == COMMAND_OK)
        table_print_pairs(revoked, sizeof revoked / sizeof revoked[0], answer);
    json_decref(answer);
    return code;
}
