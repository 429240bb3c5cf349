/* http.h: HTTP/1.1 for a server, sans-I/O, on http-parser: bytes in, requests out; a writer for responses.
 *
 * Requests are handed over whole (head and body) in the order they came. Pipelining: the reader takes nothing past a whole
 * request until its owner says so, so that at most one request is held. Every size is bounded before it is taken.
 *
 * Stricter than http-parser, which (as packaged) takes what other servers in a row might read in another way: bare CR or LF,
 * folded headers, control characters, two lengths, a length together with chunks, chunk ends that are no line ends, and
 * codings other than chunked are refused. The names here keep clear of the library's own (enum http_method, HTTP_GET ...). */
#ifndef PETREL_WIRE_HTTP_H
#define PETREL_WIRE_HTTP_H

#include "base/bytes.h"

#define HTTP_HEAD_MAX 16384 /* request line and all headers */
#define HTTP_HEADERS_MAX 64 /* header lines */
#define HTTP_TARGET_MAX 4096

enum http_request_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OTHER,
};

struct http_header {
    struct bytes name; /* as sent */
    struct bytes value;
};

/* A whole request. All bytes borrow from the reader until http_reader_next(). */
struct http_request {
    enum http_request_method method;
    struct bytes method_text;
    struct bytes path;  /* the target up to '?', percent-escapes left in place; begins with '/', or is "*" */
    struct bytes query; /* after '?'; absent when there is none */
    size_t headers_count;
    const struct http_header *headers;
    struct bytes body;
    bool keep_alive;
};

/* Why a request is refused before it is whole. The owner answers with the status and closes. */
struct http_refusal {
    unsigned status;     /* 400, 413, 414, 417, 431, 501, 505 */
    const char *message; /* static storage */
};

enum http_reader_event {
    HTTP_READER_MORE,    /* everything was taken; feed more when it comes */
    HTTP_READER_REQUEST, /* a whole request stands in http_reader_request(); feed the rest after http_reader_next() */
    HTTP_READER_REFUSED, /* http_reader_refusal() says why; the reader takes nothing more */
    HTTP_READER_WANT_CONTINUE, /* "Expect: 100-continue", and the head is fine: write HTTP_CONTINUE_TEXT, feed the rest */
};

#define HTTP_CONTINUE_TEXT "HTTP/1.1 100 Continue\r\n\r\n"

/* One connection's requests. One owner thread. */
struct http_reader;

/* max_body in bytes, for Content-Length and for chunked bodies. */
struct http_reader *http_reader_new(size_t max_body);
void http_reader_free(struct http_reader **reader);

/* Take bytes from the front of *in until something happens. */
enum http_reader_event http_reader_feed(struct http_reader *reader, struct bytes *in);
/* NULL unless a whole request stands. */
const struct http_request *http_reader_request(const struct http_reader *reader);
/* NULL unless refused. */
const struct http_refusal *http_reader_refusal(const struct http_reader *reader);
/* Done with the request that stands: forget it, be ready for the next. */
void http_reader_next(struct http_reader *reader);
/* Whether a request is partly read: its connection then has a deadline. */
bool http_reader_busy(const struct http_reader *reader);

/* The value of the first header of that name, names compared without case; absent when there is none. */
struct bytes http_request_header(const struct http_request *request, const char *name);
/* The first query parameter `name`, percent-decoded and '+' as space, appended to out. 0; PETREL_E_NOT_FOUND;
 * PETREL_E_INVALID: a bad escape or an escaped NUL in its value. out is as it was unless 0. */
int http_query_get(struct bytes query, const char *name, struct bytebuf *out);
/* Percent-decode a path segment, appending to out. 0 or PETREL_E_INVALID (bad escape, or an escaped NUL; out as it was). */
int http_unescape(struct bytes in, struct bytebuf *out);

struct http_response {
    unsigned status;
    const char *content_type; /* NULL: no body */
    struct bytes body;
    uint32_t retry_after_s; /* 0: none */
    const char *allow;      /* for 405; NULL: none */
    const char *more;       /* further headers, each with its line end; NULL: none */
    bool keep_alive;
    bool head_only; /* answer to HEAD: lengths without the body */
};
/* Append the response: status line, minimal headers without Date, Content-Length, body. A 401 says WWW-Authenticate: Bearer. */
void http_response_write(const struct http_response *response, struct bytebuf *out);

#endif
