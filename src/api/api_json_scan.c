#include "api/api_json_scan.h"

#include "base/object.h"
#include "base/utf8.h"

#define LEVELS_MAX 6
#define NAMES_MAX 16 /* of an object inside of the one that is read */
#define DIGITS_MAX 15

/* What is left of the text. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool take(struct scan *scan, uint8_t c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

/* The same with space around it. */
static bool take_mark(struct scan *scan, uint8_t c)
{
    skip_space(scan);
    if (!take(scan, c))
        return false;
    skip_space(scan);
    return true;
}

/* One character of a string that is more than itself. */
static bool take_special(struct scan *scan, bool *escaped)
{
    if (*scan->at == '\\') {
        *escaped = true;
        scan->at += 2;
        return scan->at <= scan->end && strchr("\"\\/bfnrt", scan->at[-1]) != NULL && scan->at[-1] != '\0';
    }
    const size_t len = utf8_char_len(bytes_of(scan->at, (size_t)(scan->end - scan->at)));
    const bool valid = len > 0 && *scan->at >= 0x20;
    scan->at += len;
    return valid;
}

/* A string; *text is what stands between its quotes. */
static bool take_string(struct scan *scan, struct bytes *text, bool *escaped)
{
    *escaped = false;
    if (!take(scan, '"'))
        return false;
    const uint8_t *begin = scan->at;
    while (scan->at < scan->end && *scan->at != '"') {
        const uint8_t c = *scan->at;
        if (c >= 0x20 && c < 0x80 && c != '\\')
            scan->at++;
        else if (!take_special(scan, escaped))
            return false;
    }
    *text = bytes_of(begin, (size_t)(scan->at - begin));
    return take(scan, '"');
}

static bool take_name(struct scan *scan, struct bytes *name)
{
    bool escaped;
    return take_string(scan, name, &escaped) && !escaped && take_mark(scan, ':');
}

static size_t take_digits(struct scan *scan)
{
    const uint8_t *begin = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return (size_t)(scan->at - begin);
}

/* No exponent: it may be out of any reader's range. */
static bool take_number(struct scan *scan)
{
    (void)take(scan, '-');
    const bool zero = scan->at < scan->end && *scan->at == '0';
    const size_t whole = take_digits(scan);
    if (whole == 0 || whole > DIGITS_MAX || (zero && whole > 1))
        return false;
    if (take(scan, '.')) {
        const size_t fraction = take_digits(scan);
        if (fraction == 0 || fraction > DIGITS_MAX)
            return false;
    }
    return scan->at == scan->end || (*scan->at != 'e' && *scan->at != 'E');
}

static bool take_word(struct scan *scan, const char *word)
{
    const size_t len = strlen(word);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return false;
    scan->at += len;
    return true;
}

static bool take_value(struct scan *scan, int level);

static bool take_array(struct scan *scan, int level)
{
    if (!take_mark(scan, '['))
        return false;
    if (take(scan, ']'))
        return true;
    do {
        if (!take_value(scan, level))
            return false;
    } while (take_mark(scan, ','));
    return take(scan, ']');
}

static bool is_among(struct bytes name, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(name, names[i]))
            return true;
    }
    return false;
}

static bool take_object(struct scan *scan, int level)
{
    struct bytes names[NAMES_MAX];
    size_t count = 0;
    if (!take_mark(scan, '{'))
        return false;
    if (take(scan, '}'))
        return true;
    do {
        if (count == NAMES_MAX || !take_name(scan, &names[count]) || is_among(names[count], names, count) ||
            !take_value(scan, level))
            return false;
        count++;
    } while (take_mark(scan, ','));
    return take(scan, '}');
}

static bool take_value(struct scan *scan, int level)
{
    struct bytes text;
    bool escaped;
    if (level == LEVELS_MAX || scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '"':
        return take_string(scan, &text, &escaped);
    case '{':
        return take_object(scan, level + 1);
    case '[':
        return take_array(scan, level + 1);
    case 't':
        return take_word(scan, "true");
    case 'f':
        return take_word(scan, "false");
    case 'n':
        return take_word(scan, "null");
    default:
        return take_number(scan);
    }
}

/* ---- fields ---- */

static bool read_text(struct scan *scan, const struct api_json_field *field, struct bytes *out)
{
    bool escaped;
    return take_string(scan, out, &escaped) && !escaped && (field->max == 0 || out->len <= field->max);
}

static bool read_uint(struct scan *scan, const struct api_json_field *field, struct api_json_uint *out)
{
    const uint8_t *begin = scan->at;
    if (!take_number(scan))
        return false;
    uint64_t value = 0;
    for (; begin < scan->at; begin++) {
        if (*begin < '0' || *begin > '9')
            return false;
        value = value * 10 + (uint64_t)(*begin - '0');
    }
    *out = (struct api_json_uint){.given = true, .value = value};
    return value >= field->min && value <= field->max;
}

static bool read_bool(struct scan *scan, bool *out)
{
    *out = scan->at < scan->end && *scan->at == 't';
    return take_word(scan, *out ? "true" : "false");
}

static bool read_part(struct scan *scan, struct api_json_part *out)
{
    const uint8_t *begin = scan->at;
    if (!take_value(scan, 1))
        return false;
    *out = (struct api_json_part){.text = bytes_of(begin, (size_t)(scan->at - begin))};
    return true;
}

static bool read_value(struct scan *scan, const struct api_json_field *field, void *to)
{
    switch (field->type) {
    case API_JSON_TEXT:
        return read_text(scan, field, to);
    case API_JSON_UINT:
        return read_uint(scan, field, to);
    case API_JSON_BOOL:
        return read_bool(scan, to);
    case API_JSON_OBJECT:
        return scan->at < scan->end && *scan->at == '{' && read_part(scan, to);
    case API_JSON_ANY:
        return read_part(scan, to);
    case API_JSON_UNSUPPORTED:
        return false;
    }
    return false;
}

static size_t find_field(const struct api_json_field *fields, size_t count, struct bytes name)
{
    size_t i = 0;
    while (i < count && !bytes_equal_str(name, fields[i].name))
        i++;
    return i;
}

static bool read_members(struct scan *scan, const struct api_json_field *fields, size_t count, void *out)
{
    uint32_t seen = 0;
    if (take(scan, '}'))
        return true;
    do {
        struct bytes name;
        if (!take_name(scan, &name))
            return false;
        const size_t i = find_field(fields, count, name);
        if (i == count || (seen >> i & 1) != 0 || !read_value(scan, &fields[i], (char *)out + fields[i].offset))
            return false;
        seen |= UINT32_C(1) << i;
    } while (take_mark(scan, ','));
    return take(scan, '}');
}

bool api_json_scan(struct bytes text, const struct api_json_field *fields, size_t count, void *out)
{
    petrel_assert(count <= API_JSON_SCAN_FIELDS);
    struct scan scan = {text.ptr, text.ptr + text.len};
    if (!take_mark(&scan, '{') || !read_members(&scan, fields, count, out))
        return false;
    skip_space(&scan);
    return scan.at == scan.end;
}
