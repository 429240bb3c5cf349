/* api_json.h: JSON bodies, read by a table of fields, and the pieces that answers are written with. On jansson. Private to
 * this room.
 *
 * Every refusal names the field or the place. Objects with a name twice, unknown fields, more than one value, more than
 * API_JSON_DEPTH_MAX levels and numbers beyond 64 bits (or a double) are refused. */
#ifndef PETREL_API_API_JSON_H
#define PETREL_API_API_JSON_H

#include "api/api_error.h"

#include <jansson.h>

#define API_JSON_DEPTH_MAX 64

/* Parse one object. NULL with *error set. Free with json_decref(). text is at most some 64 KiB: jansson takes up to fifty
 * times as much memory, so callers bound it. */
json_t *api_json_parse(struct bytes text, struct api_error *error);

enum api_json_type {
    API_JSON_TEXT,        /* struct bytes, borrowed from the tree; absent when the field is */
    API_JSON_UINT,        /* struct api_json_uint; min <= value <= max */
    API_JSON_BOOL,        /* bool; left alone when the field is absent */
    API_JSON_OBJECT,      /* struct api_json_part; absent when the field is */
    API_JSON_ANY,         /* the same, for any value, null too */
    API_JSON_UNSUPPORTED, /* known, and refused with UNSUPPORTED */
};

struct api_json_uint {
    bool given;
    uint64_t value;
};

/* A value that is looked at later: api_json_read() gives its tree, api_json_scan() its text as it was written. Absent: neither. */
struct api_json_part {
    json_t *tree;
    struct bytes text;
};

struct api_json_field {
    const char *name;
    enum api_json_type type;
    size_t offset; /* of the value in `out` */
    uint64_t min;  /* of a number */
    uint64_t max;  /* of a number; of a text: bytes, 0: any */
};

/* Read object's fields into the struct at out, which is zeroed or holds defaults. prefix goes before names in errors ("to.").
 * 0, or negative with *error set. */
int api_json_read(const json_t *object, const char *prefix, const struct api_json_field *fields, size_t count,
                  void *out, struct api_error *error);

/* The type of a value, with its article, for errors: "a string". */
const char *api_json_type_text(const json_t *value);

/* Append the text of the member that json_object_iter order puts at `index`, as api_json_put_compact(). text was parsed by
 * api_json_parse(). */
void api_json_put_member(struct bytebuf *out, struct bytes text, size_t index);
/* Append a value's text without the whitespace between its tokens: what a sender wrote reaches devices as written, numbers to the last
 * digit. */
void api_json_put_compact(struct bytebuf *out, struct bytes value);

/* Append text in quotes, escaped; what is not UTF-8 becomes U+FFFD. */
void api_json_put_text(struct bytebuf *out, struct bytes text);
/* Append ,"name":"2026-01-31T12:34:56.789Z", without the comma when the object has just begun. */
void api_json_put_time(struct bytebuf *out, const char *name, uint64_t wall_ms);

#endif
