/* http_answer.h: one HTTP/1.1 answer, for who asked, sans-I/O, on http-parser: bytes in, status and body out.
 *
 * For a request that said "Connection: close": what follows the answer is not looked at. Every size is bounded before it is taken. */
#ifndef PETREL_WIRE_HTTP_ANSWER_H
#define PETREL_WIRE_HTTP_ANSWER_H

#include "base/bytes.h"

struct http_answer;

enum http_answer_event {
    HTTP_ANSWER_MORE,  /* feed more, or say that the connection ended */
    HTTP_ANSWER_WHOLE, /* status and body stand */
    HTTP_ANSWER_BAD,   /* not HTTP, or larger than is taken; it stays so */
};

/* max_body in bytes, however it is coded. One owner thread. */
struct http_answer *http_answer_new(size_t max_body);
void http_answer_free(struct http_answer **answer);

enum http_answer_event http_answer_feed(struct http_answer *answer, struct bytes in);
/* The connection ended: where a body's length was not told, that is its end. */
enum http_answer_event http_answer_end(struct http_answer *answer);

/* Of a whole answer; the body borrows from it. */
unsigned http_answer_status(const struct http_answer *answer);
struct bytes http_answer_body(const struct http_answer *answer);

#endif
