#include "api/api_json.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"

#include <inttypes.h>

/* ---- reading ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The bytes of the string token that text begins with, its quotes included. */
static size_t string_token_len(struct bytes text)
{
    size_t at = 1;
    while (at < text.len && text.ptr[at] != '"')
        at += text.ptr[at] == '\\' ? 2 : 1;
    return at + 1 < text.len ? at + 1 : text.len;
}

/* jansson recurses by depth; a body of brackets is refused before it is let near. */
static int check_depth(struct bytes text, struct api_error *error)
{
    int depth = 0;
    unsigned line = 1;
    size_t line_start = 0;
    for (size_t at = 0; at < text.len; at++) {
        uint8_t c = text.ptr[at];
        if (c == '"') {
            at += string_token_len(bytes_of(text.ptr + at, text.len - at)) - 1;
        } else if (c == '{' || c == '[') {
            if (++depth > API_JSON_DEPTH_MAX)
                return api_error_set(error, API_ERROR_INVALID_JSON, NULL,
                                     "line %u, column %zu: nested deeper than %d levels", line, at - line_start + 1,
                                     API_JSON_DEPTH_MAX);
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == '\n') {
            line++;
            line_start = at + 1;
        }
    }
    return 0;
}

json_t *api_json_parse(struct bytes text, struct api_error *error)
{
    if (text.len == 0) {
        (void)api_error_set(error, API_ERROR_INVALID_JSON, NULL,
                            "line 1, column 1: the body is empty, an object is expected");
        return NULL;
    }
    if (check_depth(text, error) != 0)
        return NULL;
    json_error_t where;
    json_t *value =
        json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (value == NULL) {
        (void)api_error_set(error, API_ERROR_INVALID_JSON, NULL, "line %d, column %d: %s", where.line, where.column,
                            where.text);
        return NULL;
    }
    if (!json_is_object(value)) {
        (void)api_error_set(error, API_ERROR_INVALID_JSON, NULL, "an object is expected, not %s",
                            api_json_type_text(value));
        json_decref(value);
        return NULL;
    }
    return value;
}

const char *api_json_type_text(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

/* A field's value on its way in. */
struct place {
    char name[API_ERROR_FIELD_MAX]; /* as errors show it, with its prefix */
    const struct api_json_field *field;
    json_t *value;
    void *to;
    struct api_error *error;
};

static int wrong_type(const struct place *place, const char *expected)
{
    return api_error_set(place->error, API_ERROR_INVALID, place->name, "must be %s, is %s", expected,
                         api_json_type_text(place->value));
}

static int read_text(const struct place *place)
{
    if (!json_is_string(place->value))
        return wrong_type(place, "a string");
    struct bytes text = bytes_of(json_string_value(place->value), json_string_length(place->value));
    if (place->field->max > 0 && text.len > place->field->max)
        return api_error_set(place->error, API_ERROR_INVALID, place->name,
                             "must be at most %" PRIu64 " bytes long, is %zu", place->field->max, text.len);
    *(struct bytes *)place->to = text;
    return 0;
}

static int read_uint(const struct place *place)
{
    if (!json_is_integer(place->value))
        return wrong_type(place, "an integer");
    json_int_t value = json_integer_value(place->value);
    if (value < 0 || (uint64_t)value < place->field->min || (uint64_t)value > place->field->max)
        return api_error_set(place->error, API_ERROR_INVALID, place->name,
                             "must be from %" PRIu64 " to %" PRIu64 ", is %" JSON_INTEGER_FORMAT, place->field->min,
                             place->field->max, value);
    *(struct api_json_uint *)place->to = (struct api_json_uint){.given = true, .value = (uint64_t)value};
    return 0;
}

static int read_value(const struct place *place)
{
    switch (place->field->type) {
    case API_JSON_TEXT:
        return read_text(place);
    case API_JSON_UINT:
        return read_uint(place);
    case API_JSON_BOOL:
        if (!json_is_boolean(place->value))
            return wrong_type(place, "true or false");
        *(bool *)place->to = json_is_true(place->value);
        return 0;
    case API_JSON_OBJECT:
        if (!json_is_object(place->value))
            return wrong_type(place, "an object");
        *(struct api_json_part *)place->to = (struct api_json_part){.tree = place->value};
        return 0;
    case API_JSON_ANY:
        *(struct api_json_part *)place->to = (struct api_json_part){.tree = place->value};
        return 0;
    case API_JSON_UNSUPPORTED:
        return api_error_set(place->error, API_ERROR_UNSUPPORTED, place->name, "is not supported by this version");
    }
    return PETREL_E_INTERNAL;
}

static const struct api_json_field *find_field(const struct api_json_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

int api_json_read(const json_t *object, const char *prefix, const struct api_json_field *fields, size_t count,
                  void *out, struct api_error *error)
{
    const char *name;
    json_t *value;
    /* The library's walk wants a json_t that it could change; it does not. */
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        struct place place = {.field = find_field(fields, count, name), .value = value, .error = error};
        (void)snprintf(place.name, sizeof place.name, "%s%s", prefix, name);
        if (place.field == NULL)
            return api_error_set(error, API_ERROR_INVALID, place.name, "unknown field");
        place.to = (char *)out + place.field->offset;
        int rc = read_value(&place);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- a member as it was written ---- */

/* The bytes of the value that text begins with (valid JSON), appended to out without whitespace between tokens. */
static size_t put_value(struct bytebuf *out, struct bytes text)
{
    int depth = 0;
    size_t plain = 0; /* from here to at: copied in one piece */
    size_t at = 0;
    while (at < text.len) {
        uint8_t c = text.ptr[at];
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (is_space(c)) {
            if (out != NULL)
                bytes_append(out, text.ptr + plain, at - plain);
            plain = at + 1;
        }
        at += c == '"' ? string_token_len(bytes_of(text.ptr + at, text.len - at)) : 1;
    }
    if (out != NULL)
        bytes_append(out, text.ptr + plain, at - plain);
    return at;
}

void api_json_put_member(struct bytebuf *out, struct bytes text, size_t index)
{
    size_t at = 0;
    while (text.ptr[at] != '{')
        at++;
    for (size_t member = 0; at < text.len; member++) {
        at++; /* the brace or the comma */
        while (is_space(text.ptr[at]))
            at++;
        at += string_token_len(bytes_of(text.ptr + at, text.len - at)); /* the name */
        while (text.ptr[at] != ':')
            at++;
        at++;
        at += put_value(member == index ? out : NULL, bytes_of(text.ptr + at, text.len - at));
        if (member == index)
            return;
    }
}

void api_json_put_compact(struct bytebuf *out, struct bytes value)
{
    if (value.ptr[0] == '"')
        bytes_append(out, value.ptr, value.len); /* one token */
    else
        (void)put_value(out, value);
}

/* ---- writing ---- */

static void put_escaped(struct bytebuf *out, uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        bytes_append(out, (const char[]){'\\', (char)c}, 2);
        break;
    case '\n':
        bytes_append(out, "\\n", 2);
        break;
    default:
        bytes_printf(out, "\\u%04x", c);
    }
}

void api_json_put_text(struct bytebuf *out, struct bytes text)
{
    bytes_append(out, "\"", 1);
    size_t plain = 0; /* from here to at: copied as it is */
    size_t at = 0;
    while (at < text.len) {
        size_t len = utf8_char_len(bytes_of(text.ptr + at, text.len - at));
        const uint8_t c = text.ptr[at];
        if (len > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            at += len;
            continue;
        }
        bytes_append(out, text.ptr + plain, at - plain);
        if (len == 0)
            bytes_append_str(out, "\xef\xbf\xbd");
        else
            put_escaped(out, c);
        plain = ++at;
    }
    bytes_append(out, text.ptr + plain, at - plain);
    bytes_append(out, "\"", 1);
}

void api_json_put_time(struct bytebuf *out, const char *name, uint64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    const bool first = out->len > 0 && out->ptr[out->len - 1] == '{';
    bytes_printf(out, "%s\"%s\":\"%s\"", first ? "" : ",", name, clock_format(wall_ms, text));
}
