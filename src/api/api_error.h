/* api_error.h: what the API refuses with: the one table of HTTP code, stable `status` and text. Private to this room.
 *
 * To add an error: a line here, its row in README.md (a test compares the two), its status in openapi.json. */
#ifndef PETREL_API_API_ERROR_H
#define PETREL_API_API_ERROR_H

#include "base/bytes.h"

/* number is the HTTP code, retry the seconds of Retry-After (0: none). The first of an HTTP code stands for refusals that come
 * from the HTTP reader, which knows codes only. */
#define API_ERROR_TABLE(X)                                                                                             \
    X(BAD_REQUEST, 400, 0, "the request is not HTTP/1.1 as this server takes it")                                      \
    X(INVALID_JSON, 400, 0, "the body is not the JSON that is asked for")                                              \
    X(INVALID, 400, 0, "a value is not of the form or range that is asked for")                                        \
    X(UNSUPPORTED, 400, 0, "not supported by this version")                                                            \
    X(FAILED_PRECONDITION, 400, 0, "this server is not set up for that")                                               \
    X(UNAUTHENTICATED, 401, 0, "an Authorization header with a valid Bearer key is asked for")                         \
    X(KEY_EXPIRED, 401, 0, "the key's time is over")                                                                   \
    X(FORBIDDEN, 403, 0, "the key does not belong to this app")                                                        \
    X(MISSING_SCOPE, 403, 0, "the key was not given the scope for this")                                               \
    X(NOT_FOUND, 404, 0, "no such thing")                                                                              \
    X(UNREGISTERED, 404, 0, "the target has no such device")                                                           \
    X(METHOD_NOT_ALLOWED, 405, 0, "this path does not serve that method; see Allow")                                   \
    X(REQUEST_TIMEOUT, 408, 0, "the request was not whole in time")                                                    \
    X(CONFLICT, 409, 0, "the idempotency key was used with another message for this target")                           \
    X(EXISTS, 409, 0, "a thing of that name exists already")                                                           \
    X(ALREADY_DELIVERED, 409, 0, "the message may have reached a device already")                                      \
    X(TOO_MANY_DEVICES, 409, 0, "the user has as many devices as are allowed")                                         \
    X(TOO_MANY_KEYS, 409, 0, "the app has as many keys of that kind as are allowed")                                   \
    X(TOO_LARGE, 413, 0, "larger than the limit that applies")                                                         \
    X(URI_TOO_LONG, 414, 0, "the request's target is too long")                                                        \
    X(EXPECTATION_FAILED, 417, 0, "no expectation but 100-continue is met")                                            \
    X(RATE_LIMITED, 429, 5, "too many messages for this target; try again later")                                      \
    X(TOO_MANY_REQUESTS, 429, 1, "over the limit of requests a second; try again later")                               \
    X(HEADERS_TOO_LARGE, 431, 0, "the request's headers are too many or too large")                                    \
    X(INTERNAL, 500, 0, "an error of the server's own")                                                                \
    X(NOT_IMPLEMENTED, 501, 0, "the request uses a part of HTTP that is not served")                                   \
    X(UNAVAILABLE, 503, 2, "the service behind this does not answer; try again later")                                 \
    X(BUSY, 503, 1, "as much work is under way as is allowed; try again later")                                        \
    X(UNKNOWN_OUTCOME, 503, 1, "no answer in time: it may have happened; try again, with the same Idempotency-Key")    \
    X(NO_REGISTRY, 503, 60, "this node keeps no registry; ask a node with the role api or message")                    \
    X(STORE_FULL, 503, 5, "the store takes no more at the moment; nothing was written; try again later")               \
    X(HTTP_VERSION, 505, 0, "HTTP/1.1 and HTTP/1.0 are served")                                                        \
    X(FULL, 507, 30, "the store is full; try again later")

enum api_error_kind {
    API_ERROR_NONE,
#define API_ERROR_ENUM(name, http, retry, text) API_ERROR_##name,
    API_ERROR_TABLE(API_ERROR_ENUM)
#undef API_ERROR_ENUM
};

#define API_ERROR_FIELD_MAX 96
#define API_ERROR_MESSAGE_MAX 240

struct api_error {
    enum api_error_kind kind;
    uint32_t retry_after_s;          /* 0: as the table says */
    char field[API_ERROR_FIELD_MAX]; /* empty: none */
    char message[API_ERROR_MESSAGE_MAX];
};

/* Fill it: field may be NULL; format NULL: the table's text. Too long texts are cut between characters. Always returns a
 * negative petrel_err, so that a check reads `return api_error_set(...)`. */
int api_error_set(struct api_error *error, enum api_error_kind kind, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* From a petrel_err that a port answered. wrote: the operation would have changed something, so that no answer means an
 * unknown outcome. field names what NOT_FOUND, UNREGISTERED, EXISTS and the like are about; may be NULL. */
void api_error_from(struct api_error *error, int err, bool wrote, const char *field);

/* From a code of the HTTP reader (http_refusal) and its text. */
void api_error_from_http(struct api_error *error, unsigned http, const char *message);

unsigned api_error_http(enum api_error_kind kind);
/* Seconds of Retry-After; 0: none. */
uint32_t api_error_retry_s(const struct api_error *error);
/* "NOT_FOUND" */
const char *api_error_status(enum api_error_kind kind);

/* Append {"error":{...}}; line 0: none, else the line of a batch it is about. */
void api_error_render(const struct api_error *error, uint32_t line, struct bytebuf *out);

#endif
