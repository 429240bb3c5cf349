/* api_query.h: what stands behind the '?'. Private to this room. */
#ifndef PETREL_API_API_QUERY_H
#define PETREL_API_API_QUERY_H

#include "api/api_error.h"
#include "wire/http.h"

#define API_QUERY_TEXT_MAX 256

/* One parameter, decoded; empty when it is not given. */
struct api_query_text {
    char text[API_QUERY_TEXT_MAX + 1];
};

/* 0, or negative with *error set: a bad escape, or longer than API_QUERY_TEXT_MAX. */
int api_query_text(const struct http_request *request, const char *name, struct api_query_text *out,
                   struct api_error *error);

/* ?limit= (1 .. max, else given_default) and ?cursor=. */
struct api_query_page {
    uint32_t limit;
    struct api_query_text cursor;
};
int api_query_page(const struct http_request *request, uint32_t given_default, uint32_t max, struct api_query_page *out,
                   struct api_error *error);

#endif
