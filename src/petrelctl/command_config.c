#include "petrelctl/admin.h"
#include "petrelctl/table.h"

static const struct table_column columns[] = {
    {"KEY", "key", TABLE_TEXT},
    {"VALUE", "written", TABLE_TEXT},
    {"DEFAULT", "default", TABLE_TEXT},
    {"WHAT IT DOES", "text", TABLE_TEXT},
};

/* {"session.port": {...}, ...} as rows. */
static json_t *as_rows(const json_t *config)
{
    json_t *rows = json_array(), *entry;
    const char *key;
    json_object_foreach((json_t *)config, key, entry)
    {
        json_t *row = json_copy(entry);
        json_object_set_new(row, "key", json_string(key));
        json_array_append_new(rows, row);
    }
    return rows;
}

enum command_exit command_config_show(const struct invocation *call)
{
    struct admin *admin;
    json_t *config = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &config, "/admin/v1/config");
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call)) {
        table_print_json(config);
    } else if (code == COMMAND_OK) {
        json_t *rows = as_rows(config);
        table_print(columns, sizeof columns / sizeof columns[0], rows, "no configuration");
        json_decref(rows);
    }
    json_decref(config);
    return code;
}
