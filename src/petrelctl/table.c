#include "petrelctl/table.h"

#include "base/bytes.h"
#include "base/object.h"
#include "petrelctl/human.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GAP 2 /* spaces between columns */

const json_t *table_at(const json_t *object, const char *key)
{
    while (object != NULL && *key != '\0') {
        char name[64];
        size_t len = strcspn(key, ".");
        petrel_assert(len < sizeof name);
        memcpy(name, key, len);
        name[len] = '\0';
        object = json_object_get(object, name);
        key += len;
        key += *key == '.';
    }
    return object;
}

static bool is_list_of_strings(const json_t *value)
{
    size_t i;
    json_t *item;
    if (!json_is_array(value))
        return false;
    json_array_foreach((json_t *)value, i, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return true;
}

static char *list_text(const json_t *list)
{
    struct bytebuf out = {0};
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item)
    {
        if (i > 0)
            bytes_append_str(&out, ", ");
        bytes_append(&out, json_string_value(item), json_string_length(item));
    }
    char *text = out.len > 0 ? human_safe(bytes_view(&out)) : object_strdup("-");
    bytes_reset(&out);
    return text;
}

static char *plain_text(const json_t *value)
{
    if (value == NULL || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0))
        return object_strdup("-");
    if (json_is_string(value))
        return human_safe(bytes_of(json_string_value(value), json_string_length(value)));
    if (json_is_boolean(value))
        return object_strdup(json_is_true(value) ? "yes" : "no");
    if (is_list_of_strings(value))
        return list_text(value);
    char *raw = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    petrel_assert(raw != NULL);
    char *text = human_safe(bytes_str(raw));
    free(raw);
    return text;
}

static char *local_time(const json_t *value)
{
    struct tm parts = {0};
    char text[HUMAN_SIZE];
    if (!json_is_string(value) || strptime(json_string_value(value), "%Y-%m-%dT%H:%M:%S", &parts) == NULL)
        return plain_text(value);
    return object_strdup(human_time((uint64_t)timegm(&parts) * 1000, text));
}

/* The caller frees it. */
static char *cell_text(const struct table_column *column, const json_t *row)
{
    const json_t *value = table_at(row, column->key);
    json_int_t number = json_integer_value(value);
    char text[HUMAN_SIZE];
    if (column->format == TABLE_TIME)
        return local_time(value);
    if (column->format == TABLE_SPAN_S && number >= 0 && json_is_integer(value))
        return object_strdup(human_span((uint64_t)number * 1000, text));
    if (column->format == TABLE_BYTES && number >= 0 && json_is_integer(value))
        return object_strdup(human_bytes((uint64_t)number, text));
    return plain_text(value);
}

/* Characters, not bytes: a name may be in any script. */
static size_t width(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void print_padded(const char *text, size_t room, bool right, bool last)
{
    size_t own = width(text);
    int pad = own < room ? (int)(room - own) : 0;
    if (right)
        printf("%*s%s", pad, "", text);
    else
        printf("%s%*s", text, last ? 0 : pad, "");
    if (!last)
        printf("%*s", GAP, "");
}

void table_print(const struct table_column *columns, size_t count, const json_t *rows, const char *empty)
{
    size_t rows_count = json_array_size(rows);
    if (rows_count == 0) {
        printf("%s\n", empty);
        return;
    }
    char **cells = object_alloc(rows_count * count * sizeof *cells);
    size_t *widths = object_alloc(count * sizeof *widths);
    for (size_t c = 0; c < count; c++) {
        widths[c] = width(columns[c].heading);
        for (size_t r = 0; r < rows_count; r++) {
            char *text = cells[r * count + c] = cell_text(&columns[c], json_array_get(rows, r));
            widths[c] = width(text) > widths[c] ? width(text) : widths[c];
        }
    }
    for (size_t c = 0; c < count; c++)
        print_padded(columns[c].heading, widths[c], columns[c].format == TABLE_NUMBER, c + 1 == count);
    putchar('\n');
    for (size_t i = 0; i < rows_count * count; i++) {
        size_t c = i % count;
        print_padded(cells[i], widths[c], columns[c].format == TABLE_NUMBER, c + 1 == count);
        if (c + 1 == count)
            putchar('\n');
        free(cells[i]);
    }
    free(widths);
    free(cells);
}

void table_print_pairs(const struct table_column *columns, size_t count, const json_t *object)
{
    size_t room = 0;
    for (size_t i = 0; i < count; i++)
        room = width(columns[i].heading) > room ? width(columns[i].heading) : room;
    for (size_t i = 0; i < count; i++) {
        char *text = cell_text(&columns[i], object);
        print_padded(columns[i].heading, room, false, false);
        printf("%s\n", text);
        free(text);
    }
}

void table_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}
