#include "api/api_query.h"

#include "base/err.h"

#include <stdlib.h>

int api_query_text(const struct http_request *request, const char *name, struct api_query_text *out,
                   struct api_error *error)
{
    struct bytebuf value = {0};
    int rc = http_query_get(request->query, name, &value);
    out->text[0] = '\0';
    if (rc == 0 && value.len > API_QUERY_TEXT_MAX)
        rc = PETREL_E_TOO_LARGE;
    if (rc == 0) {
        memcpy(out->text, value.ptr, value.len);
        out->text[value.len] = '\0';
    }
    bytes_reset(&value);
    if (rc == 0 || rc == PETREL_E_NOT_FOUND)
        return 0;
    return api_error_set(error, API_ERROR_INVALID, name, "must be at most %d bytes, with well-formed escapes",
                         API_QUERY_TEXT_MAX);
}

int api_query_page(const struct http_request *request, uint32_t given_default, uint32_t max, struct api_query_page *out,
                   struct api_error *error)
{
    struct api_query_text limit;
    int rc = api_query_text(request, "cursor", &out->cursor, error);
    if (rc == 0)
        rc = api_query_text(request, "limit", &limit, error);
    if (rc != 0)
        return rc;
    out->limit = given_default;
    if (limit.text[0] == '\0')
        return 0;
    char *end;
    const unsigned long value = strtoul(limit.text, &end, 10);
    const bool digits = limit.text[0] >= '0' && limit.text[0] <= '9' && *end == '\0';
    if (!digits || value < 1 || value > max)
        return api_error_set(error, API_ERROR_INVALID, "limit", "must be from 1 to %u", max);
    out->limit = (uint32_t)value;
    return 0;
}
