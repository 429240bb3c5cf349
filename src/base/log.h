/* log.h: one line per event, as text or as a JSON object, to one sink.
 *
 * The sink is the process's only mutable global: a log line must get out from anywhere. Lines are formatted on the
 * calling thread into a fixed buffer and handed to the sink whole; the default sink writes to stderr. Fields are
 * key, value pairs so that text and JSON say the same. Secrets (tokens, keys, bodies) are never given to the log. */
#ifndef PETREL_BASE_LOG_H
#define PETREL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

#define LOG_LINE_MAX 2048 /* a longer line is cut, and says so with a final "..." */

/* Takes one whole line with its '\n'. Called on any thread, also concurrently. */
typedef void log_sink_fn(void *ctx, const char *line, size_t len);

/* Before other threads start, or from the one thread that owns the process's set-up. NULL: stderr again. */
void log_set_sink(log_sink_fn *sink, void *ctx);
/* Any thread, any time. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* 0 or PETREL_E_INVALID: "debug" "info" "warn" "error"; "text" "json". */
int log_parse_level(const char *text, enum log_level *level);
int log_parse_format(const char *text, enum log_format *format);

/* A field. Values are text or numbers; text is escaped and cut at 256 bytes. */
struct log_field {
    const char *key;
    const char *text; /* when not NULL; else number */
    int64_t number;
};

#define LOG_STR(key_, value_) ((struct log_field){.key = (key_), .text = (value_) != NULL ? (value_) : "-"})
#define LOG_NUM(key_, value_) ((struct log_field){.key = (key_), .number = (int64_t)(value_)})

/* area: the room that speaks ("session"); event: a fixed text for people, no variable parts; then count fields. */
void log_write(enum log_level level, const char *area, const char *event, const struct log_field *fields, size_t count);

bool log_enabled(enum log_level level);

/* log_at(LOG_WARN, "store", "commit failed", LOG_STR("file", path), LOG_NUM("code", rc)); at least one field. */
#define log_at(level, area, event, ...)                                                                                \
    do {                                                                                                               \
        if (log_enabled(level)) {                                                                                      \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                                      \
            log_write(level, area, event, log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);                    \
        }                                                                                                              \
    } while (0)
#define log_event(level, area, event) log_write(level, area, event, NULL, 0)

#endif
