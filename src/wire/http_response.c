#include "wire/http.h"

#include <http_parser.h>

#define STATUS_NO_CONTENT 204
#define STATUS_NOT_MODIFIED 304
#define STATUS_UNAUTHORIZED 401

void http_response_write(const struct http_response *response, struct bytebuf *out)
{
    unsigned status = response->status;
    struct bytes body = response->content_type != NULL ? response->body : (struct bytes){NULL, 0};
    bytes_printf(out, "HTTP/1.1 %u %s\r\n", status, http_status_str((enum http_status)status));
    if (response->content_type != NULL)
        bytes_printf(out, "Content-Type: %s\r\n", response->content_type);
    if (status != STATUS_NO_CONTENT && status != STATUS_NOT_MODIFIED)
        bytes_printf(out, "Content-Length: %zu\r\n", body.len);
    if (response->retry_after_s > 0)
        bytes_printf(out, "Retry-After: %u\r\n", response->retry_after_s);
    if (response->allow != NULL)
        bytes_printf(out, "Allow: %s\r\n", response->allow);
    if (response->more != NULL)
        bytes_append_str(out, response->more);
    if (status == STATUS_UNAUTHORIZED)
        bytes_append_str(out, "WWW-Authenticate: Bearer\r\n");
    bytes_append_str(out, response->keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    if (!response->head_only)
        bytes_append(out, body.ptr, body.len);
}
