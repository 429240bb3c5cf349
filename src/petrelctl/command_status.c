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
    {"ROLES", "roles", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"READY", "ready", TABLE_TEXT},
    {"REASON", "reason", TABLE_TEXT},
    {"LINKS", "links_text", TABLE_TEXT},
    {"STORE", "store", TABLE_TEXT},
    {"REGISTRY", "registry", TABLE_TEXT},
    {"DISCOVERY", "discovery", TABLE_TEXT},
    {"WARNINGS", "warnings_text", TABLE_TEXT},
    {"LOOPS", "loops", TABLE_TEXT},
    {"APPS", "apps", TABLE_TEXT},
    {"SESSIONS", "sessions", TABLE_TEXT},
    {"CONNECTIONS", "connections", TABLE_TEXT},
    {"CONNECTS REFUSED", "overloaded", TABLE_TEXT},
    {"LOOPS HOLDING BACK", "admission_held", TABLE_TEXT},
    {"MEMORY", "memory_bytes", TABLE_BYTES},
    {"MEMORY SHORT", "memory_short", TABLE_TEXT},
    {"SENDS ACCEPTED", "sends", TABLE_TEXT},
    {"SENDS REFUSED", "sends_refused", TABLE_TEXT},
    {"PUSHES WRITTEN", "pushes", TABLE_TEXT},
    {"ACKS READ", "acks", TABLE_TEXT},
    {"STORE COMMITS", "store_commits", TABLE_TEXT},
    {"STORE JOURNAL", "store_journal_bytes", TABLE_BYTES},
    {"STORE FULL", "store_full", TABLE_TEXT},
};

/* What the table shows of a thing that has parts. */
static void add_texts(json_t *status)
{
    const json_t *links = json_object_get(status, "links");
    json_t *texts = json_array();
    size_t i;
    json_t *warning;
    json_object_set_new(status, "links_text",
                        json_sprintf("%lld of %lld up, %lld callers",
                                     (long long)json_integer_value(json_object_get(links, "up")),
                                     (long long)json_integer_value(json_object_get(links, "wanted")),
                                     (long long)json_integer_value(json_object_get(links, "callers"))));
    json_array_foreach(json_object_get(status, "warnings"), i, warning)
    {
        const char *what = json_string_value(json_object_get(warning, "what"));
        const char *text = json_string_value(json_object_get(warning, "text"));
        json_array_append_new(texts, json_sprintf("%s: %s", what != NULL ? what : "", text != NULL ? text : ""));
    }
    json_object_set_new(status, "warnings_text", texts);
}

enum command_exit command_status(const struct invocation *call)
{
    struct admin *admin;
    json_t *status = NULL;
    enum command_exit code = admin_open(&admin, call);
    if (code == COMMAND_OK)
        code = admin_request(admin, "GET", NULL, &status, "/admin/v1/status");
    admin_close(&admin);
    if (code == COMMAND_OK && !invocation_json(call))
        add_texts(status);
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
