#include "wire/http.h"

#include "base/err.h"

#include <strings.h>

struct bytes http_request_header(const struct http_request *request, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < request->headers_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (header->name.len == len && strncasecmp((const char *)header->name.ptr, name, len) == 0)
            return header->value;
    }
    return (struct bytes){NULL, 0};
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int unescape(struct bytes in, bool plus_is_space, struct bytebuf *out)
{
    size_t before = out->len;
    bytes_reserve(out, in.len);
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = in.len - i > 2 ? hex_digit(in.ptr[i + 1]) : -1;
            int low = in.len - i > 2 ? hex_digit(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                out->len = before;
                return PETREL_E_INVALID;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        out->ptr[out->len++] = c;
    }
    return 0;
}

int http_unescape(struct bytes in, struct bytebuf *out)
{
    return unescape(in, false, out);
}

/* Take the part of *in up to the separator, and the separator. */
static struct bytes take_until(struct bytes *in, char separator)
{
    const uint8_t *end = in->len > 0 ? memchr(in->ptr, separator, in->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - in->ptr) : in->len;
    struct bytes part = bytes_of(in->ptr, len);
    size_t taken = end != NULL ? len + 1 : len;
    *in = bytes_of(in->ptr + taken, in->len - taken);
    return part;
}

int http_query_get(struct bytes query, const char *name, struct bytebuf *out)
{
    struct bytebuf key = {0};
    int rc = PETREL_E_NOT_FOUND;
    while (rc == PETREL_E_NOT_FOUND && query.len > 0) {
        struct bytes value = take_until(&query, '&');
        struct bytes raw_key = take_until(&value, '=');
        key.len = 0;
        if (unescape(raw_key, true, &key) == 0 && bytes_equal_str(bytes_view(&key), name))
            rc = unescape(value, true, out);
    }
    bytes_reset(&key);
    return rc;
}
