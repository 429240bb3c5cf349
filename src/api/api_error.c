#include "api/api_error.h"

#include "api/api_json.h"
#include "base/err.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

struct row {
    const char *status;
    unsigned http;
    uint32_t retry_s;
    const char *text;
};

static const struct row rows[] = {[API_ERROR_NONE] = {"OK", 200, 0, ""},
#define API_ERROR_ROW(name, http, retry, text) [API_ERROR_##name] = {#name, http, retry, text},
                                  API_ERROR_TABLE(API_ERROR_ROW)
#undef API_ERROR_ROW
};

/* What each petrel_err is to a client. A code that is not here is our own mistake: INTERNAL. */
static const struct {
    int err;
    enum api_error_kind kind;
} mapping[] = {
    {PETREL_E_INVALID, API_ERROR_INVALID},
    {PETREL_E_TOO_LARGE, API_ERROR_TOO_LARGE},
    {PETREL_E_NOT_FOUND, API_ERROR_NOT_FOUND},
    {PETREL_E_EXISTS, API_ERROR_EXISTS},
    {PETREL_E_CONFLICT, API_ERROR_CONFLICT},
    {PETREL_E_UNREGISTERED, API_ERROR_UNREGISTERED},
    {PETREL_E_REVOKED, API_ERROR_UNREGISTERED},
    {PETREL_E_ALREADY_DELIVERED, API_ERROR_ALREADY_DELIVERED},
    {PETREL_E_RATE_LIMITED, API_ERROR_RATE_LIMITED},
    {PETREL_E_BUSY, API_ERROR_BUSY},
    {PETREL_E_LOCKED, API_ERROR_BUSY},
    {PETREL_E_FULL, API_ERROR_FULL},
    {PETREL_E_CLOSING, API_ERROR_UNAVAILABLE},
    {PETREL_E_UNAVAILABLE, API_ERROR_UNAVAILABLE},
    {PETREL_E_TIMEOUT, API_ERROR_UNAVAILABLE},
    {PETREL_E_CANCELLED, API_ERROR_UNAVAILABLE},
    {PETREL_E_UNSUPPORTED, API_ERROR_UNSUPPORTED},
};

/* Cut a text that snprintf() may have cut inside a character. */
static void cut_to_characters(char *text)
{
    struct bytes rest = bytes_str(text);
    while (rest.len > 0) {
        size_t len = utf8_char_len(rest);
        if (len == 0)
            break;
        rest = bytes_of(rest.ptr + len, rest.len - len);
    }
    text[strlen(text) - rest.len] = '\0';
}

int api_error_set(struct api_error *error, enum api_error_kind kind, const char *field, const char *format, ...)
{
    error->kind = kind;
    error->retry_after_s = 0;
    (void)snprintf(error->field, sizeof error->field, "%s", field != NULL ? field : "");
    if (format == NULL) {
        (void)snprintf(error->message, sizeof error->message, "%s", rows[kind].text);
    } else {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
    }
    cut_to_characters(error->field);
    cut_to_characters(error->message);
    return PETREL_E_INVALID;
}

void api_error_from(struct api_error *error, int err, bool wrote, const char *field)
{
    enum api_error_kind kind = API_ERROR_INTERNAL;
    for (size_t i = 0; i < sizeof mapping / sizeof mapping[0]; i++) {
        if (mapping[i].err == err)
            kind = mapping[i].kind;
    }
    if (wrote && (err == PETREL_E_UNAVAILABLE || err == PETREL_E_TIMEOUT))
        kind = API_ERROR_UNKNOWN_OUTCOME;
    const bool about_field = rows[kind].http < 500 && kind != API_ERROR_RATE_LIMITED;
    (void)api_error_set(error, kind, about_field ? field : NULL, NULL);
}

void api_error_from_http(struct api_error *error, unsigned http, const char *message)
{
    enum api_error_kind kind = API_ERROR_BAD_REQUEST;
    for (size_t i = sizeof rows / sizeof rows[0] - 1; i > 0; i--) {
        if (rows[i].http == http)
            kind = (enum api_error_kind)i;
    }
    (void)api_error_set(error, kind, NULL, "%s", message);
}

unsigned api_error_http(enum api_error_kind kind)
{
    return rows[kind].http;
}

uint32_t api_error_retry_s(const struct api_error *error)
{
    return error->retry_after_s != 0 ? error->retry_after_s : rows[error->kind].retry_s;
}

const char *api_error_status(enum api_error_kind kind)
{
    return rows[kind].status;
}

void api_error_render(const struct api_error *error, uint32_t line, struct bytebuf *out)
{
    bytes_printf(out, "{\"error\":{\"code\":%u,\"status\":\"%s\",\"message\":", rows[error->kind].http,
                 rows[error->kind].status);
    api_json_put_text(out, bytes_str(error->message));
    if (error->field[0] != '\0') {
        bytes_append_str(out, ",\"field\":");
        api_json_put_text(out, bytes_str(error->field));
    }
    if (line > 0)
        bytes_printf(out, ",\"line\":%u", line);
    bytes_append_str(out, "}}");
}
