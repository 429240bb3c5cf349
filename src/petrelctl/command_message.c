#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>
#include <string.h>

static const struct table_column columns[] = {
    {"ID", "id", TABLE_TEXT},
    {"APP", "app", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"POSITION", "position.seq", TABLE_TEXT},
    {"EPOCH", "position.epoch", TABLE_TEXT},
    {"EXPIRES", "expires_at", TABLE_TIME},
};

static const struct table_column device_columns[] = {
    {"DEVICE", "device", TABLE_TEXT},
    {"ACKED", "acked", TABLE_TEXT},
};

static bool is_known(const json_t *message)
{
    const char *state = json_string_value(json_object_get(message, "state"));
    return state != NULL && strcmp(state, "UNKNOWN") != 0;
}

static enum command_exit ask(struct admin *admin, const char *app, const char *id, json_t **message)
{
    enum command_exit code = admin_request(admin, "GET", NULL, message, "/v1/apps/%s/messages/%s", app, id);
    if (code == COMMAND_OK)
        json_object_set_new(*message, "app", json_string(app));
    return code;
}

/* An id names a target, not an app: each app is asked until one knows the message. */
static enum command_exit search(struct admin *admin, const char *id, json_t **message)
{
    json_t *apps = NULL, *app;
    size_t i;
    enum command_exit code = admin_list(admin, "apps", 0, &apps, "/admin/v1/apps");
    json_array_foreach(apps, i, app)
    {
        if (code != COMMAND_OK || is_known(*message))
            break;
        json_decref(*message);
        code = ask(admin, json_string_value(json_object_get(app, "name")), id, message);
    }
    json_decref(apps);
    return code;
}

static void print_message(const json_t *message)
{
    const json_t *devices = json_object_get(message, "devices");
    table_print_pairs(columns, sizeof columns / sizeof columns[0], message);
    if (json_array_size(devices) == 0)
        return;
    putchar('\n');
    table_print(device_columns, sizeof device_columns / sizeof device_columns[0], devices, "");
}

enum command_exit command_message_show(const struct invocation *call)
{
    struct admin *admin;
    json_t *message = NULL;
    const char *app = invocation_text(call, "app");
    const char *id = invocation_argument(call, 0);
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = app != NULL ? ask(admin, app, id, &message) : search(admin, id, &message);
    admin_close(&admin);
    if (code == COMMAND_OK && !is_known(message))
        code = command_fail(COMMAND_NOT_FOUND,
                            "the message is unknown: it was never accepted, or what became of it is forgotten "
                            "by now (inbox.fate)");
    else if (code == COMMAND_OK && invocation_json(call))
        table_print_json(message);
    else if (code == COMMAND_OK)
        print_message(message);
    json_decref(message);
    return code;
}
