#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>

static const struct table_column columns[] = {
    {"SESSION", "id", TABLE_TEXT},    {"APP", "app", TABLE_TEXT},     {"USER", "user", TABLE_TEXT},
    {"DEVICE", "device", TABLE_TEXT}, {"SINCE", "since", TABLE_TIME}, {"ADDRESS", "address", TABLE_TEXT},
    {"CLIENT", "client", TABLE_TEXT}, {"SENT", "at.seq", TABLE_TEXT}, {"ACKED", "acked", TABLE_TEXT},
    {"BEHIND", "behind", TABLE_TEXT},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

static enum command_exit list(struct admin *admin, const struct invocation *call, json_t **sessions)
{
    const char *app = invocation_text(call, "app"), *user = invocation_text(call, "user");
    const char *node = invocation_text(call, "node");
    const uint64_t limit = invocation_number(call, "limit", 0);
    /* An empty value is none. */
    return admin_list(admin, "sessions", limit, sessions, "/admin/v1/sessions?app=%s&user=%s&node=%s",
                      app != NULL ? app : "", user != NULL ? user : "", node != NULL ? node : "");
}

enum command_exit command_sessions_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *sessions = NULL;
    if (invocation_text(call, "user") != NULL && invocation_text(call, "app") == NULL)
        return command_fail(COMMAND_USAGE, "--user needs --app: users belong to an app");
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = list(admin, call, &sessions);
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(sessions);
    else if (code == COMMAND_OK)
        table_print(columns, COLUMNS, sessions, "no sessions");
    json_decref(sessions);
    return code;
}

enum command_exit command_sessions_show(const struct invocation *call)
{
    struct admin *admin;
    json_t *session = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &session, "/admin/v1/sessions/%s", invocation_argument(call, 0));
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(session);
    else if (code == COMMAND_OK)
        table_print_pairs(columns, COLUMNS, session);
    json_decref(session);
    return code;
}

enum command_exit command_sessions_kick(const struct invocation *call)
{
    struct admin *admin;
    char question[256];
    snprintf(question, sizeof question, "Close the session %.128s?", invocation_argument(call, 0));
    enum command_exit code = command_confirm(call, question);
    if (code != COMMAND_OK)
        return code;
    code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "DELETE", NULL, NULL, "/admin/v1/sessions/%s", invocation_argument(call, 0));
    admin_close(&admin);
    return code;
}
