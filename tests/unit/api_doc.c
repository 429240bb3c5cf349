#include "unit/api_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

json_t *api_doc_load(void)
{
    json_error_t error;
    json_t *doc = json_load_file(PETREL_SOURCE_DIR "/src/api/openapi.json", JSON_REJECT_DUPLICATES, &error);
    if (doc == NULL)
        fail_msg("openapi.json, line %d: %s", error.line, error.text);
    return doc;
}

json_t *api_doc_resolve(const json_t *doc, json_t *node)
{
    const char *ref = json_string_value(json_object_get(node, "$ref"));
    if (ref == NULL)
        return node;
    char kind[32];
    char name[64];
    assert_int_equal(sscanf(ref, "#/components/%31[^/]/%63s", kind, name), 2);
    node = json_object_get(json_object_get(json_object_get(doc, "components"), kind), name);
    if (node == NULL)
        fail_msg("%s leads nowhere", ref);
    return node;
}

/* Whether path, which may have a query, is of the pattern; literal segments win over parameters. */
static bool matches(const char *pattern, const char *path)
{
    size_t path_len = strcspn(path, "?");
    const char *end = path + path_len;
    while (*pattern != '\0' && path < end) {
        const size_t part = strcspn(pattern + 1, "/");
        const char *slash = memchr(path + 1, '/', (size_t)(end - path - 1));
        const size_t len = (size_t)((slash != NULL ? slash : end) - path - 1);
        if (pattern[1] != '{' && (part != len || strncmp(pattern + 1, path + 1, len) != 0))
            return false;
        pattern += part + 1;
        path += len + 1;
    }
    return *pattern == '\0' && path == end;
}

json_t *api_doc_operation(const json_t *doc, const char *method, const char *path)
{
    char lower[16] = "";
    for (size_t i = 0; method[i] != '\0' && i + 1 < sizeof lower; i++)
        lower[i] = (char)(method[i] | 0x20);
    const char *pattern;
    json_t *operations;
    json_t *found = NULL;
    json_object_foreach(json_object_get(doc, "paths"), pattern, operations)
    {
        json_t *operation = json_object_get(operations, strcmp(lower, "head") == 0 ? "get" : lower);
        if (operation != NULL && matches(pattern, path) && (found == NULL || strchr(pattern, ':') != NULL))
            found = operation;
    }
    return found;
}

static void check_value(const json_t *doc, json_t *schema, json_t *value, const char *name);

static void check_object(const json_t *doc, const json_t *schema, json_t *value, const char *name)
{
    size_t index;
    json_t *wanted;
    json_array_foreach(json_object_get(schema, "required"), index, wanted)
    {
        if (json_object_get(value, json_string_value(wanted)) == NULL)
            fail_msg("%s lacks '%s'", name, json_string_value(wanted));
    }
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member)
    {
        json_t *property = json_object_get(json_object_get(schema, "properties"), key);
        if (property == NULL && json_is_false(json_object_get(schema, "additionalProperties")))
            fail_msg("%s has '%s', which is not documented", name, key);
        if (property != NULL)
            check_value(doc, property, member, key);
    }
}

static bool is_of_type(const char *type, const json_t *value)
{
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value));
}

static void check_value(const json_t *doc, json_t *schema, json_t *value, const char *name)
{
    schema = api_doc_resolve(doc, schema);
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type == NULL)
        return;
    if (!is_of_type(type, value))
        fail_msg("%s is not of the type %s", name, type);
    size_t index;
    json_t *item;
    bool listed = json_object_get(schema, "enum") == NULL;
    json_array_foreach(json_object_get(schema, "enum"), index, item) listed = listed || json_equal(item, value);
    if (!listed)
        fail_msg("%s is '%s', which is not documented", name, json_string_value(value));
    if (json_is_object(value))
        check_object(doc, schema, value, name);
    json_array_foreach(value, index, item) check_value(doc, json_object_get(schema, "items"), item, name);
}

/* A result line of a batch is one of two schemas, told apart by its member. */
static void check_lines(const json_t *doc, const json_t *schema, const char *body)
{
    for (const char *line = body; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        assert_int_equal(line[len], '\n');
        json_t *value = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(value);
        const size_t which = json_object_get(value, "error") != NULL ? 1 : 0;
        check_value(doc, json_array_get(json_object_get(schema, "oneOf"), which), value, "line");
        json_decref(value);
        line += len + 1;
    }
}

static bool is_of_any_route(const json_t *doc, unsigned status)
{
    size_t index;
    json_t *listed;
    json_array_foreach(json_object_get(doc, "x-statuses-of-any-route"), index, listed)
    {
        if (json_integer_value(listed) == status)
            return true;
    }
    return false;
}

static void check_body(const json_t *doc, json_t *response, const struct api_reply *reply)
{
    char type[128];
    assert_true(api_client_header(reply, "Content-Type", type, sizeof type));
    type[strcspn(type, ";")] = '\0';
    json_t *content = json_object_get(json_object_get(response, "content"), type);
    if (content == NULL)
        fail_msg("the type %s is not documented", type);
    json_t *schema = json_object_get(content, "schema");
    if (reply->json != NULL)
        check_value(doc, schema, reply->json, "answer");
    else if (strcmp(type, "application/x-ndjson") == 0)
        check_lines(doc, schema, reply->body);
}

void api_doc_check(const char *method, const char *path, const struct api_reply *reply)
{
    json_t *doc = api_doc_load();
    json_t *operation = api_doc_operation(doc, method, path);
    char status[8];
    (void)snprintf(status, sizeof status, "%u", reply->status);
    json_t *response = json_object_get(json_object_get(operation, "responses"), status);
    if (response == NULL && !is_of_any_route(doc, reply->status))
        fail_msg("%s %s: %s is not documented: %s", method, path, status, reply->body);
    if (response != NULL && strcmp(method, "HEAD") != 0)
        check_body(doc, api_doc_resolve(doc, response), reply);
    if (response == NULL)
        check_value(doc, json_object_get(json_object_get(json_object_get(doc, "components"), "schemas"), "Error"),
                    reply->json, "error");
    json_decref(doc);
}
