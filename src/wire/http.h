/* http.h: HTTP/1.1 for a server, sans-I/O, on http-parser: bytes in, requests out; a writer for responses.
 *
 * Requests are handed over whole (head and body) in the order they came. Pipelining: the parser goes on to the next request
 * when the owner says so, and stops with HTTP_PAUSED in between, so that at most one request is held. Every size is
 * bounded before it is taken. */
#ifndef PETREL_WIRE_HTTP_H
#define PETREL_WIRE_HTTP_H

#include "base/bytes.h"

#define HTTP_HEAD_MAX 16384    /* request line and all headers */
#define HTTP_HEADERS_MAX 64    /* header lines */
#define HTTP_TARGET_MAX 4096

enum http_method { HTTP_METHOD_GET, HTTP_METHOD_HEAD, HTTP_METHOD_POST, HTTP_METHOD_PUT, HTTP_METHOD_DELETE, HTTP_METHOD_OTHER };

struct http_header {
    struct bytes name; /* as sent */
    struct bytes value;
};

/* A whole request. All bytes borrow from the parser until http_parser_next(). */
struct http_request {
    enum http_method method;
    struct bytes method_text;
    struct bytes path;  /* the target up to '?', percent-escapes left in place */
    struct bytes query; /* after '?'; absent when there is none */
    size_t headers_count;
    const struct http_header *headers;
    struct bytes body;
    bool keep_alive;
};

/* Why a request is refused before it is whole. The owner answers with the status and closes. */
struct http_refusal {
    unsigned status; /* 400, 413, 414, 417, 431, 501, 505 */
    const char *message;
};

enum http_event {
    HTTP_MORE,          /* everything was taken; feed more when it comes */
    HTTP_REQUEST,       /* a whole request stands in http_parser_request(); feed the rest after http_parser_next() */
    HTTP_REFUSED,       /* http_parser_refusal() says why; the parser takes nothing more */
    HTTP_WANT_CONTINUE, /* the head asked "Expect: 100-continue" and is acceptable: write HTTP_CONTINUE_TEXT, then feed the rest */
};

#define HTTP_CONTINUE_TEXT "HTTP/1.1 100 Continue\r\n\r\n"

struct http_parser_state; /* "struct http_parser" is the library's */

/* max_body in bytes, for Content-Length and for chunked bodies. */
struct http_parser_state *http_parser_new(size_t max_body);
void http_parser_free(struct http_parser_state **parser);

/* Take bytes from the front of *in until something happens. */
enum http_event http_parser_feed(struct http_parser_state *parser, struct bytes *in);
const struct http_request *http_parser_request(const struct http_parser_state *parser);
const struct http_refusal *http_parser_refusal(const struct http_parser_state *parser);
/* Done with the request: forget it, be ready for the next. */
void http_parser_next(struct http_parser_state *parser);
/* Whether a request is partly read: its connection then has a deadline. */
bool http_parser_busy(const struct http_parser_state *parser);

/* The value of the header, names compared without case; absent when there is none. */
struct bytes http_request_header(const struct http_request *request, const char *name);
/* The query parameter `name`, percent-decoded and '+' as space, appended to out. 0, PETREL_E_NOT_FOUND, PETREL_E_INVALID. */
int http_query_get(struct bytes query, const char *name, struct bytebuf *out);
/* Percent-decode a path segment into out. 0 or PETREL_E_INVALID (bad escape, or an escaped NUL). */
int http_unescape(struct bytes in, struct bytebuf *out);

struct http_response {
    unsigned status;
    const char *content_type; /* NULL: no body */
    struct bytes body;
    uint32_t retry_after_s; /* 0: none */
    const char *allow;      /* for 405; NULL: none */
    bool keep_alive;
    bool head_only; /* answer to HEAD: lengths without the body */
};
/* Append the response: status line, Date-less minimal headers, Content-Length, body. */
void http_response_write(const struct http_response *response, struct bytebuf *out);

#endif
