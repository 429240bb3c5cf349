#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include <stdio.h>
#include <time.h>

#define ROWS 100
#define SECOND_MS 1000U

static const struct table_column columns[] = {
    {"AT", "at", TABLE_TIME},           {"WHO", "who", TABLE_TEXT}, {"FROM", "origin", TABLE_TEXT},
    {"ACTION", "action", TABLE_TEXT},   {"APP", "app", TABLE_TEXT}, {"TARGET", "target", TABLE_TEXT},
    {"OUTCOME", "outcome", TABLE_TEXT},
};

enum command_exit command_audit(const struct invocation *call)
{
    struct admin *admin;
    json_t *rows = NULL;
    char since[32] = "";
    const char *app = invocation_text(call, "app");
    const uint64_t age_s = invocation_number(call, "since", 0) / SECOND_MS;
    const uint64_t now_s = (uint64_t)time(NULL);
    if (invocation_text(call, "since") != NULL)
        snprintf(since, sizeof since, "%llu", (unsigned long long)(age_s < now_s ? now_s - age_s : 0));
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_list(admin, "audit", invocation_number(call, "limit", ROWS), &rows,
                          "/admin/v1/audit?app=%s&since=%s", app != NULL ? app : "", since);
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(rows);
    else if (code == COMMAND_OK)
        table_print(columns, sizeof columns / sizeof columns[0], rows, "nothing was done");
    json_decref(rows);
    return code;
}
