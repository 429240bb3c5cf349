#include "wire/http_answer.h"

#include "base/object.h"
#include "wire/http.h"

#include <http_parser.h>
#include <limits.h>
#include <stdlib.h>

#define ANSWER_MAGIC OBJECT_MAGIC('H', 'T', 'A', 'N')
/* Chunks of one byte are framed by five. */
#define FRAMED_PER_BYTE 6

struct http_answer {
    uint32_t magic;
    enum http_answer_event event;
    http_parser parser;
    size_t max_body;
    size_t fed;
    struct bytebuf body;
};

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http_answer *answer = parser->data;
    if (len > answer->max_body - answer->body.len)
        return -1;
    bytes_append(&answer->body, at, len);
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct http_answer *answer = parser->data;
    /* ULLONG_MAX is http-parser's word for a length that was not told. */
    bool too_large = parser->content_length != ULLONG_MAX && parser->content_length > answer->max_body;
    parser->upgrade = 0; /* none was asked for */
    return too_large || parser->status_code < 200 ? -1 : 0;
}

static int on_message_complete(http_parser *parser)
{
    struct http_answer *answer = parser->data;
    answer->event = HTTP_ANSWER_WHOLE;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings SETTINGS = {
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

struct http_answer *http_answer_new(size_t max_body)
{
    struct http_answer *answer = object_zalloc(sizeof *answer);
    answer->magic = ANSWER_MAGIC;
    answer->max_body = max_body;
    http_parser_init(&answer->parser, HTTP_RESPONSE);
    answer->parser.data = answer;
    return answer;
}

void http_answer_free(struct http_answer **answer)
{
    struct http_answer *gone = *answer;
    *answer = NULL;
    if (gone == NULL)
        return;
    object_check(gone, ANSWER_MAGIC);
    bytes_reset(&gone->body);
    gone->magic = 0;
    free(gone);
}

/* len 0 is http-parser's word for the end of the connection. */
static enum http_answer_event run(struct http_answer *answer, const char *bytes, size_t len)
{
    size_t taken = http_parser_execute(&answer->parser, &SETTINGS, bytes, len);
    if (answer->event == HTTP_ANSWER_MORE && (taken != len || HTTP_PARSER_ERRNO(&answer->parser) != HPE_OK))
        answer->event = HTTP_ANSWER_BAD;
    return answer->event;
}

enum http_answer_event http_answer_feed(struct http_answer *answer, struct bytes in)
{
    object_check(answer, ANSWER_MAGIC);
    if (answer->event != HTTP_ANSWER_MORE || in.len == 0)
        return answer->event;
    if (in.len > HTTP_HEAD_MAX + FRAMED_PER_BYTE * answer->max_body - answer->fed)
        return answer->event = HTTP_ANSWER_BAD;
    answer->fed += in.len;
    return run(answer, (const char *)in.ptr, in.len);
}

enum http_answer_event http_answer_end(struct http_answer *answer)
{
    object_check(answer, ANSWER_MAGIC);
    if (answer->event == HTTP_ANSWER_MORE)
        run(answer, "", 0);
    return answer->event == HTTP_ANSWER_WHOLE ? HTTP_ANSWER_WHOLE : HTTP_ANSWER_BAD;
}

unsigned http_answer_status(const struct http_answer *answer)
{
    petrel_assert(answer->event == HTTP_ANSWER_WHOLE);
    return answer->parser.status_code;
}

struct bytes http_answer_body(const struct http_answer *answer)
{
    petrel_assert(answer->event == HTTP_ANSWER_WHOLE);
    return bytes_view(&answer->body);
}
