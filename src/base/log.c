#include "base/log.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_VALUE_MAX 256
/* What is kept free for the end of a line that had to be cut. */
#define LOG_TAIL_MAX 24

static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error"};
static const char *const FORMAT_NAMES[] = {"text", "json"};

static void write_to_stderr(void *ctx, const char *line, size_t len)
{
    (void)ctx;
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* there is nowhere left to complain */
}

static struct {
    log_sink_fn *sink;
    void *ctx;
    _Atomic enum log_level level;
    _Atomic enum log_format format;
} log_global = {write_to_stderr, NULL, LOG_INFO, LOG_TEXT};

void log_set_sink(log_sink_fn *sink, void *ctx)
{
    log_global.sink = sink != NULL ? sink : write_to_stderr;
    log_global.ctx = ctx;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_global.level, level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&log_global.format, format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return level >= atomic_load_explicit(&log_global.level, memory_order_relaxed);
}

static int find_name(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], text) == 0)
            return (int)i;
    }
    return PETREL_E_INVALID;
}

int log_parse_level(const char *text, enum log_level *level)
{
    int found = find_name(LEVEL_NAMES, sizeof LEVEL_NAMES / sizeof LEVEL_NAMES[0], text);
    if (found < 0)
        return found;
    *level = (enum log_level)found;
    return 0;
}

int log_parse_format(const char *text, enum log_format *format)
{
    int found = find_name(FORMAT_NAMES, sizeof FORMAT_NAMES / sizeof FORMAT_NAMES[0], text);
    if (found < 0)
        return found;
    *format = (enum log_format)found;
    return 0;
}

struct line {
    char text[LOG_LINE_MAX];
    size_t len;
    bool full; /* something did not fit; nothing more is added */
};

static void put(struct line *line, const char *text, size_t len)
{
    if (line->full || len > LOG_LINE_MAX - LOG_TAIL_MAX - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_escape(struct line *line, uint8_t c, enum log_format format)
{
    char escape[8];
    if (c == '"' || c == '\\')
        (void)snprintf(escape, sizeof escape, "\\%c", c);
    else if (c == '\n')
        (void)snprintf(escape, sizeof escape, "\\n");
    else if (format == LOG_TEXT)
        (void)snprintf(escape, sizeof escape, "\\x%02x", c);
    else if (c < 0x80)
        (void)snprintf(escape, sizeof escape, "\\u%04x", c);
    else /* JSON has no way to write a byte that is no character */
        (void)snprintf(escape, sizeof escape, "\\ufffd");
    put_str(line, escape);
}

/* Control characters and what is not UTF-8 never reach a terminal or a JSON reader as they are. */
static void put_quoted(struct line *line, const char *text, enum log_format format)
{
    struct bytes rest = bytes_of(text, strnlen(text, LOG_VALUE_MAX + 1));
    bool cut = rest.len > LOG_VALUE_MAX;
    if (cut)
        rest.len = LOG_VALUE_MAX;
    put(line, "\"", 1);
    while (rest.len > 0) {
        size_t len = utf8_char_len(rest);
        if (len == 0 && cut && rest.len < 4)
            break; /* a character that the cut went through */
        uint8_t c = rest.ptr[0];
        size_t taken = len == 0 ? 1 : len;
        bool as_is = utf8_printable(bytes_of(rest.ptr, taken)) && c != '"' && c != '\\';
        if (as_is)
            put(line, (const char *)rest.ptr, len);
        else
            put_escape(line, c, format);
        if (!as_is && len == 2) /* U+0080-009F: one escape for each byte */
            put_escape(line, rest.ptr[1], format);
        rest = bytes_of(rest.ptr + taken, rest.len - taken);
    }
    put_str(line, cut ? "...\"" : "\"");
}

static bool is_plain(const char *text)
{
    size_t len = strnlen(text, LOG_VALUE_MAX + 1);
    if (len == 0 || len > LOG_VALUE_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return true;
}

static void put_field(struct line *line, const struct log_field *field, enum log_format format)
{
    char number[24];
    if (format == LOG_JSON) {
        put_str(line, ",");
        put_quoted(line, field->key, format);
        put_str(line, ":");
    } else {
        put_str(line, " ");
        put_str(line, field->key);
        put_str(line, "=");
    }
    if (field->text == NULL) {
        (void)snprintf(number, sizeof number, "%" PRId64, field->number);
        put_str(line, number);
    } else if (format == LOG_TEXT && is_plain(field->text)) {
        put_str(line, field->text);
    } else {
        put_quoted(line, field->text, format);
    }
}

static void put_head(struct line *line, enum log_level level, enum log_format format, const char *area,
                     const char *event)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(clock_system()), time);
    if (format == LOG_JSON) {
        put_str(line, "{\"time\":");
        put_quoted(line, time, format);
        put_str(line, ",\"level\":");
        put_quoted(line, LEVEL_NAMES[level], format);
        put_str(line, ",\"area\":");
        put_quoted(line, area, format);
        put_str(line, ",\"event\":");
        put_quoted(line, event, format);
        return;
    }
    put_str(line, time);
    put_str(line, " ");
    put_str(line, LEVEL_NAMES[level]);
    put_str(line, " ");
    put_str(line, area);
    put_str(line, ": ");
    put_str(line, event);
}

void log_write(enum log_level level, const char *area, const char *event, const struct log_field *fields, size_t count)
{
    if (!log_enabled(level))
        return;
    enum log_format format = atomic_load_explicit(&log_global.format, memory_order_relaxed);
    struct line line = {.len = 0, .full = false};
    put_head(&line, level, format, area, event);
    for (size_t i = 0; i < count && !line.full; i++) {
        size_t before = line.len;
        put_field(&line, &fields[i], format);
        if (line.full)
            line.len = before; /* whole fields only, so that JSON stays JSON */
    }
    const char *tail = format == LOG_JSON ? "}\n" : "\n";
    if (line.full)
        tail = format == LOG_JSON ? ",\"cut\":\"...\"}\n" : " ...\n";
    memcpy(line.text + line.len, tail, strlen(tail));
    line.len += strlen(tail);
    log_global.sink(log_global.ctx, line.text, line.len);
}
