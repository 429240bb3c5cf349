#include "petrelctl/admin.h"
#include "petrelctl/table.h"

static const struct table_column columns[] = {
    {"FILE", "file", TABLE_TEXT}, {"HOSTS", "names", TABLE_TEXT},     {"KEY", "key", TABLE_TEXT},
    {"USE", "use", TABLE_TEXT},   {"FROM", "not_before", TABLE_TIME}, {"UNTIL", "not_after", TABLE_TIME},
};

static enum command_exit ask(const struct invocation *call, const char *method, const char *path)
{
    struct admin *admin;
    json_t *answer = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, method, NULL, &answer, path);
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(answer);
    else if (code == COMMAND_OK)
        table_print(columns, sizeof columns / sizeof columns[0], json_object_get(answer, "certificates"),
                    "no certificates: TLS is not served");
    json_decref(answer);
    return code;
}

enum command_exit command_cert_show(const struct invocation *call)
{
    return ask(call, "GET", "/admin/v1/certificates");
}

enum command_exit command_reload(const struct invocation *call)
{
    return ask(call, "POST", "/admin/v1/reload");
}
