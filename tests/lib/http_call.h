/* http_call.h: one HTTP request and its answer, over libcurl; connections are kept from one call to the next. */
#ifndef PETREL_TESTS_HTTP_CALL_H
#define PETREL_TESTS_HTTP_CALL_H

#include <jansson.h>

struct http_call {
    void *curl;   /* made at the first call */
    long status;  /* of the last call; 0: no answer */
    long retry_s; /* its Retry-After; 0: none */
    json_t *body; /* of the last call; NULL: none, or no JSON */
    char *text;   /* as it came */
    size_t text_len;
};

/* authority is "host:port", path begins with '/', bearer may be NULL, json_body too. Returns the status, 0 for no answer within
 * 30 s. {0} is ready. */
long http_call(struct http_call *call, const char *method, const char *authority, const char *path, const char *bearer,
               const char *json_body);
/* The text in the last answer's member, or "". */
const char *http_call_text(const struct http_call *call, const char *member);
void http_call_reset(struct http_call *call);

#endif
