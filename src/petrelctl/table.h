/* table.h: JSON as people read it: rows under headings, or one thing as pairs.
 *
 * column  a heading, where its value is in a row, and how it is written
 *
 * Values that are absent are "-". Control characters in what a server says never reach the terminal. */
#ifndef PETREL_PETRELCTL_TABLE_H
#define PETREL_PETRELCTL_TABLE_H

#include <jansson.h>

enum table_format {
    TABLE_TEXT,   /* strings, numbers, yes and no as they are; arrays of strings with commas; the rest as JSON */
    TABLE_NUMBER, /* to the right */
    TABLE_TIME,   /* "2026-01-31T12:34:56.789Z", shown in the local time zone */
    TABLE_SPAN_S, /* seconds */
    TABLE_BYTES,
};

struct table_column {
    const char *heading;
    const char *key; /* "position.seq": keys with dots between */
    enum table_format format;
};

/* The value at a dotted key; NULL: there is none. Borrowed. */
const json_t *table_at(const json_t *object, const char *key);
/* Headings, then a row for each element, on standard output; empty says what there are none of. */
void table_print(const struct table_column *columns, size_t count, const json_t *rows, const char *empty);
/* A line for each column: heading and value. */
void table_print_pairs(const struct table_column *columns, size_t count, const json_t *object);
/* Indented JSON and a line end. */
void table_print_json(const json_t *value);

#endif
