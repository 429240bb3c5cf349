#include "petrelctl/admin.h"
#include "petrelctl/table.h"

static const struct table_column columns[] = {
    {"TOPIC", "topic", TABLE_TEXT},
};

static enum command_exit change(const struct invocation *call, const char *method)
{
    struct admin *admin;
    json_t *answer = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, method, NULL, &answer, "/v1/apps/%s/users/%s/devices/%s/topics/%s",
                             invocation_argument(call, 0), invocation_argument(call, 1), invocation_argument(call, 2),
                             invocation_argument(call, 3));
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(answer);
    json_decref(answer);
    return code;
}

enum command_exit command_topic_subscribe(const struct invocation *call)
{
    return change(call, "PUT");
}

enum command_exit command_topic_unsubscribe(const struct invocation *call)
{
    return change(call, "DELETE");
}

enum command_exit command_topic_list(const struct invocation *call)
{
    struct admin *admin;
    json_t *answer = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &answer, "/v1/apps/%s/users/%s/devices/%s/topics",
                             invocation_argument(call, 0), invocation_argument(call, 1), invocation_argument(call, 2));
    admin_close(&admin);
    json_t *topics = json_object_get(answer, "topics");
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(topics);
    else if (code == COMMAND_OK)
        table_print(columns, sizeof columns / sizeof columns[0], topics,
                    "no topics; it follows `all`, as every device does");
    json_decref(answer);
    return code;
}
