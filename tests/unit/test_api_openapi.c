/* The three places that list the API say the same: the tables in src/api, README.md, openapi.json. That real answers are as
 * documented, api_rig_ask() checks with every request of the other tests. */
#include "api/api_json.h"
#include "api/api_routes.h"
#include "unit/api_doc.h"
#include "unit/api_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

static char *read_readme(void)
{
    FILE *file = fopen(PETREL_SOURCE_DIR "/src/api/README.md", "r");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, file) > 0);
    (void)fclose(file);
    return text;
}

static json_t *operation_of(const json_t *doc, const struct api_route *route)
{
    char method[16];
    size_t i = 0;
    for (; route->method_text[i] != '\0'; i++)
        method[i] = (char)(route->method_text[i] | 0x20);
    method[i] = '\0';
    return json_object_get(json_object_get(json_object_get(doc, "paths"), route->pattern), method);
}

static void every_route_is_documented_and_nothing_else(void **state)
{
    (void)state;
    json_t *doc = api_doc_load();
    char *readme = read_readme();
    size_t routes = 0;
    for (const struct api_route *route; (route = api_routes_at(routes)) != NULL; routes++) {
        char row[256];
        (void)snprintf(row, sizeof row, "| `%s %s` |", route->method_text, route->pattern);
        if (strstr(readme, row) == NULL)
            fail_msg("README.md has no row %s", row);
        json_t *operation = operation_of(doc, route);
        if (operation == NULL)
            fail_msg("openapi.json lacks %s %s", route->method_text, route->pattern);
        json_t *security = json_object_get(operation, "security");
        const size_t ways = route->access == API_ACCESS_OPEN ? 0 : route->access == API_ACCESS_APP ? 2 : 1;
        assert_int_equal(json_array_size(security), ways);
    }
    size_t documented = 0;
    const char *path;
    json_t *operations;
    json_object_foreach(json_object_get(doc, "paths"), path, operations) documented += json_object_size(operations);
    assert_int_equal(documented, routes);
    free(readme);
    json_decref(doc);
}

static void every_error_is_documented(void **state)
{
    (void)state;
    json_t *doc = api_doc_load();
    char *readme = read_readme();
    json_t *schemas = json_object_get(json_object_get(doc, "components"), "schemas");
    json_t *error = json_object_get(json_object_get(json_object_get(schemas, "Error"), "properties"), "error");
    json_t *names = json_object_get(json_object_get(json_object_get(error, "properties"), "status"), "enum");
    size_t errors = 0;
#define CHECK_ERROR(name, http, retry, text)                                                                           \
    {                                                                                                                  \
        char row[96];                                                                                                  \
        (void)snprintf(row, sizeof row, "| %d | `%s` | %s |", http, #name, (retry) > 0 ? #retry " s" : "");            \
        if (strstr(readme, row) == NULL)                                                                               \
            fail_msg("README.md has no row %s", row);                                                                  \
        assert_string_equal(json_string_value(json_array_get(names, errors)), #name);                                  \
        errors++;                                                                                                      \
    }
    API_ERROR_TABLE(CHECK_ERROR)
#undef CHECK_ERROR
    assert_int_equal(json_array_size(names), errors);
    free(readme);
    json_decref(doc);
}

/* Every reference of the document leads somewhere, and every answer but an error has a description and a type. */
static void check_references(const json_t *doc, json_t *node)
{
    (void)api_doc_resolve(doc, node);
    const char *key;
    json_t *member;
    size_t index;
    json_object_foreach(node, key, member) check_references(doc, member);
    json_array_foreach(node, index, member) check_references(doc, member);
}

static void references_lead_somewhere(void **state)
{
    (void)state;
    json_t *doc = api_doc_load();
    check_references(doc, doc);
    json_decref(doc);
}

/* What the document says a message may hold is what the server takes: each member is known to it, none is unknown. */
static void the_documented_fields_are_the_fields(void **state)
{
    (void)state;
    struct api_rig *rig = calloc(1, sizeof *rig);
    api_rig_open(rig, NULL);
    json_t *doc = api_doc_load();
    json_t *schemas = json_object_get(json_object_get(doc, "components"), "schemas");
    static const struct {
        const char *schema;
        enum api_kind kind;
        const char *path;
        const char *wrap;
        const char *prefix;
    } bodies[] = {
        {"Message", API_SEND, "/v1/apps/shop/messages", "{\"%s\":[]}", ""},
        {"Target", API_SEND, "/v1/apps/shop/messages", "{\"to\":{\"%s\":[]}}", "to."},
        {"NewDevice", API_SEND, "/v1/apps/shop/users/u/devices", "{\"%s\":[]}", ""},
        {"NewApp", API_ADMIN, "/admin/v1/apps", "{\"%s\":[]}", ""},
        {"NewKey", API_ADMIN, "/admin/v1/apps/shop/keys", "{\"%s\":[]}", ""},
        {"NewBackup", API_ADMIN, "/admin/v1/backup", "{\"%s\":[]}", ""},
        {"NewTokenKey", API_ADMIN, "/admin/v1/apps/shop/token-keys", "{\"%s\":[]}", ""},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const char *name;
        json_t *property;
        json_object_foreach(json_object_get(json_object_get(schemas, bodies[i].schema), "properties"), name, property)
        {
            char body[128];
            char field[64];
            /* An array is right for none but `data`, which then misses its `to`. */
            (void)snprintf(body, sizeof body, bodies[i].wrap, name);
            (void)snprintf(field, sizeof field, "%s%s", bodies[i].prefix, name);
            struct api_reply reply = api_rig_ask(rig, bodies[i].kind, "POST", bodies[i].path, body);
            assert_int_equal(reply.status, 400);
            const char *expected = strcmp(name, "data") == 0 ? "to" : field;
            assert_string_equal(api_client_text(&reply, "error.field"), expected);
            assert_null(strstr(api_client_text(&reply, "error.message"), "unknown"));
            api_client_free(&reply);
        }
    }
    json_decref(doc);
    api_rig_close(rig);
    free(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_documented_and_nothing_else),
        cmocka_unit_test(every_error_is_documented),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(the_documented_fields_are_the_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
