#include "petrelctl/admin.h"
#include "petrelctl/table.h"

#include "petrel/client.h"

#include <stdio.h>
#include <stdlib.h>

static const struct table_column columns[] = {
    {"NODE", "name", TABLE_TEXT},
    {"VERSION", "version", TABLE_TEXT},
    {"STARTED", "started_at", TABLE_TIME},
    {"UP FOR", "uptime_s", TABLE_SPAN_S},
    {"READY", "ready", TABLE_TEXT},
    {"REASON", "reason", TABLE_TEXT},
    {"LOOPS", "loops", TABLE_TEXT},
    {"APPS", "apps", TABLE_TEXT},
    {"SESSIONS", "sessions", TABLE_TEXT},
    {"CONNECTIONS", "connections", TABLE_TEXT},
    {"SENDS ACCEPTED", "sends", TABLE_TEXT},
    {"SENDS REFUSED", "sends_refused", TABLE_TEXT},
    {"PUSHES WRITTEN", "pushes", TABLE_TEXT},
    {"ACKS READ", "acks", TABLE_TEXT},
    {"STORE COMMITS", "store_commits", TABLE_TEXT},
    {"STORE JOURNAL", "store_journal_bytes", TABLE_BYTES},
    {"STORE FULL", "store_full", TABLE_TEXT},
};

enum command_exit command_status(const struct invocation *call)
{
    struct admin *admin;
    json_t *status = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &status, "/admin/v1/status");
    admin_close(&admin);
    if (code == COMMAND_OK && invocation_json(call))
        table_print_json(status);
    else if (code == COMMAND_OK)
        table_print_pairs(columns, sizeof columns / sizeof columns[0], status);
    json_decref(status);
    return code;
}

enum command_exit command_version(const struct invocation *call)
{
    if (invocation_json(call))
        printf("{\n  \"version\": \"%s\"\n}\n", petrel_version());
    else
        printf("petrelctl %s\n", petrel_version());
    return COMMAND_OK;
}
