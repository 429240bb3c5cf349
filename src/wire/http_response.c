#include "wire/http.h"

#include <http_parser.h>

#define STATUS_NO_CONTENT 204
#define STATUS_NOT_MODIFIED 304
#define STATUS_UNAUTHORIZED 401

static void put_number(struct bytebuf *out, size_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    bytes_append(out, digits + at, sizeof digits - at);
}

/* Piece by piece: a format's interpreter would cost more than the rest of an answer. */
static void put_text(struct bytebuf *out, const char *name, const char *value)
{
    bytes_append_str(out, name);
    bytes_append_str(out, value);
    bytes_append(out, "\r\n", 2);
}

static void put_count(struct bytebuf *out, const char *name, size_t value)
{
    bytes_append_str(out, name);
    put_number(out, value);
    bytes_append(out, "\r\n", 2);
}

void http_response_write(const struct http_response *response, struct bytebuf *out)
{
    unsigned status = response->status;
    struct bytes body = response->content_type != NULL ? response->body : (struct bytes){NULL, 0};
    bytes_append_str(out, "HTTP/1.1 ");
    put_number(out, status);
    put_text(out, " ", http_status_str((enum http_status)status));
    if (response->content_type != NULL)
        put_text(out, "Content-Type: ", response->content_type);
    if (status != STATUS_NO_CONTENT && status != STATUS_NOT_MODIFIED)
        put_count(out, "Content-Length: ", body.len);
    if (response->retry_after_s > 0)
        put_count(out, "Retry-After: ", response->retry_after_s);
    if (response->allow != NULL)
        put_text(out, "Allow: ", response->allow);
    if (response->more != NULL)
        bytes_append_str(out, response->more);
    if (status == STATUS_UNAUTHORIZED)
        bytes_append_str(out, "WWW-Authenticate: Bearer\r\n");
    bytes_append_str(out, response->keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    if (!response->head_only)
        bytes_append(out, body.ptr, body.len);
}
