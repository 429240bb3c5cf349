#include "base/object.h"
#include "wire/http.h"
#include "wire/http_head.h"
#include "wire/http_lines.h"

#include <http_parser.h>
#include <stdlib.h>

/* What frames chunks may be so much, and so many times the data: one byte a chunk costs five. */
#define FRAMING_MAX HTTP_HEAD_MAX
#define FRAMING_PER_BYTE 8
/* A body's memory above this is given back between requests. */
#define BODY_KEPT 16384

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_WHOLE, PHASE_REFUSED };

/* A run of bytes in the head, as offsets: the head moves while it grows. */
struct span {
    size_t at;
    size_t len;
};

struct header_span {
    struct span name;
    struct span value;
};

struct http_reader {
    uint32_t magic; /* HTRD */
    enum phase phase;
    size_t max_body;
    http_parser parser;
    struct http_lines lines;
    struct bytebuf head;
    struct bytebuf body;
    bool complete;          /* the parser saw the end of the message */
    bool in_value;          /* the last piece of a header was of its value */
    bool head_over;         /* the parser saw the end of the head */
    bool chunked;           /* as the parser understood it */
    bool keep_alive;        /* as the parser understood it */
    const uint8_t *framing; /* within one feed: from here on, bytes that are no chunk's data */
    size_t framing_len;     /* of the message so far */
    struct span target;
    size_t headers_count;
    struct header_span spans[HTTP_HEADERS_MAX];
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_request request;
    struct http_refusal refusal;
};

#define READER_MAGIC OBJECT_MAGIC('H', 'T', 'R', 'D')

/* The first refusal stands. Returns non-zero, which stops the parser when a callback returns it. */
static int refuse(struct http_reader *reader, unsigned status, const char *message)
{
    if (reader->phase != PHASE_REFUSED)
        reader->refusal = (struct http_refusal){status, message};
    reader->phase = PHASE_REFUSED;
    return -1;
}

static struct bytes bytes_at(const struct http_reader *reader, struct span span)
{
    return bytes_of(reader->head.ptr + span.at, span.len);
}

/* The pieces of one run follow each other without a hole, since folded headers are refused. */
static void extend(const struct http_reader *reader, struct span *span, const char *at, size_t len)
{
    if (span->len == 0)
        span->at = (size_t)((const uint8_t *)at - reader->head.ptr);
    span->len += len;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    extend(reader, &reader->target, at, len);
    return reader->target.len > HTTP_TARGET_MAX ? refuse(reader, 414, "the request target is too long") : 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    if (reader->head_over)
        return 0; /* a trailer: nothing here wants one */
    if (reader->headers_count == 0 || reader->in_value) {
        if (reader->headers_count == HTTP_HEADERS_MAX)
            return refuse(reader, 431, "too many headers");
        reader->spans[reader->headers_count++] = (struct header_span){0};
        reader->in_value = false;
    }
    extend(reader, &reader->spans[reader->headers_count - 1].name, at, len);
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    if (reader->head_over)
        return 0;
    if (reader->headers_count == 0)
        return refuse(reader, 400, "a header has no name");
    reader->in_value = true;
    extend(reader, &reader->spans[reader->headers_count - 1].value, at, len);
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct http_reader *reader = parser->data;
    reader->head_over = true;
    reader->chunked = (parser->flags & F_CHUNKED) != 0;
    reader->keep_alive = http_should_keep_alive(parser) != 0;
    /* A wish to upgrade is a header like others: the owner grants it or answers in HTTP. */
    parser->upgrade = 0;
    return 0;
}

static int on_chunk_header(http_parser *parser)
{
    struct http_reader *reader = parser->data;
    return parser->content_length > reader->max_body - reader->body.len
               ? refuse(reader, 413, "the body is larger than is accepted")
               : 0;
}

/* Look at the bytes up to `end` that are no data. */
static int take_framing(struct http_reader *reader, const uint8_t *end)
{
    struct bytes framing = bytes_of(reader->framing, (size_t)(end - reader->framing));
    reader->framing_len += framing.len;
    if (reader->framing_len > FRAMING_MAX + FRAMING_PER_BYTE * reader->body.len)
        return refuse(reader, 400, "chunk headers are larger than is accepted");
    const char *fault = http_lines_chunk(&reader->lines, framing);
    return fault != NULL ? refuse(reader, 400, fault) : 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http_reader *reader = parser->data;
    if (len > reader->max_body - reader->body.len)
        return refuse(reader, 413, "the body is larger than is accepted");
    if (reader->chunked) {
        const uint8_t *data = (const uint8_t *)at;
        if (take_framing(reader, data) != 0)
            return -1;
        reader->framing = data + len;
        reader->lines = (struct http_lines){.want_line_end = true};
    }
    bytes_append(&reader->body, at, len);
    return 0;
}

static int on_message_complete(http_parser *parser)
{
    struct http_reader *reader = parser->data;
    reader->complete = true;
    http_parser_pause(parser, 1); /* bytes after it belong to the next request */
    return 0;
}

static const http_parser_settings SETTINGS = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void begin(struct http_reader *reader)
{
    http_parser_init(&reader->parser, HTTP_REQUEST);
    reader->parser.data = reader;
    reader->phase = PHASE_HEAD;
    reader->lines = (struct http_lines){0};
    reader->head.len = 0;
    reader->body.len = 0;
    reader->complete = false;
    reader->in_value = false;
    reader->head_over = false;
    reader->chunked = false;
    reader->framing_len = 0;
    reader->target = (struct span){0};
    reader->headers_count = 0;
}

struct http_reader *http_reader_new(size_t max_body)
{
    struct http_reader *reader = object_zalloc(sizeof *reader);
    reader->magic = READER_MAGIC;
    reader->max_body = max_body;
    begin(reader);
    return reader;
}

void http_reader_free(struct http_reader **reader)
{
    if (*reader == NULL)
        return;
    object_check(*reader, READER_MAGIC);
    bytes_reset(&(*reader)->head);
    bytes_reset(&(*reader)->body);
    (*reader)->magic = 0;
    free(*reader);
    *reader = NULL;
}

/* What the library calls an error, as a status of ours. */
static int refuse_errno(struct http_reader *reader, enum http_errno code)
{
    switch (code) {
    case HPE_INVALID_METHOD:
        return refuse(reader, 501, "no such method");
    case HPE_INVALID_VERSION:
        return refuse(reader, 505, "only HTTP/1.1 and HTTP/1.0 are served");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(reader, 501, "only the transfer coding 'chunked' is served");
    case HPE_HEADER_OVERFLOW:
        return refuse(reader, 431, "the head is larger than is accepted");
    default:
        return refuse(reader, 400, http_errno_description(code));
    }
}

/* Run the parser over the bytes. 0 with how many it took, or refused. */
static int execute(struct http_reader *reader, struct bytes in, size_t *taken)
{
    *taken = http_parser_execute(&reader->parser, &SETTINGS, (const char *)in.ptr, in.len);
    if (reader->phase == PHASE_REFUSED)
        return -1;
    enum http_errno code = HTTP_PARSER_ERRNO(&reader->parser);
    if (code != HPE_OK && !(code == HPE_PAUSED && reader->complete))
        return refuse_errno(reader, code);
    return 0;
}

static void take(struct bytes *in, size_t count)
{
    *in = bytes_of(in->ptr + count, in->len - count);
}

static struct bytes trim(struct bytes value)
{
    while (value.len > 0 && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static enum http_request_method method_of(unsigned method)
{
    switch (method) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case HTTP_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    default:
        return HTTP_METHOD_OTHER;
    }
}

/* The head is whole and stays where it is from now on: make the request of it, and judge it. 0 or refused. */
static int accept_head(struct http_reader *reader, struct http_head *head)
{
    for (size_t i = 0; i < reader->headers_count; i++) {
        reader->headers[i].name = bytes_at(reader, reader->spans[i].name);
        reader->headers[i].value = trim(bytes_at(reader, reader->spans[i].value));
    }
    reader->request = (struct http_request){
        .method = method_of(reader->parser.method),
        .method_text = bytes_str(http_method_str((enum http_method)reader->parser.method)),
        .headers_count = reader->headers_count,
        .headers = reader->headers,
        .keep_alive = reader->keep_alive,
    };
    struct http_refusal refusal;
    if (!http_head_check(&reader->request, bytes_at(reader, reader->target), reader->parser.http_major,
                         reader->parser.http_minor, head, &refusal))
        return refuse(reader, refusal.status, refusal.message);
    if (head->chunked != reader->chunked)
        return refuse(reader, 400, "Transfer-Encoding is malformed");
    if (head->has_length && !reader->complete && reader->parser.content_length > reader->max_body)
        return refuse(reader, 413, "the body is larger than is accepted");
    return 0;
}

static enum http_reader_event finish(struct http_reader *reader)
{
    reader->phase = PHASE_WHOLE;
    reader->request.body = bytes_view(&reader->body);
    return HTTP_READER_REQUEST;
}

static enum http_reader_event feed_head(struct http_reader *reader, struct bytes *in)
{
    size_t room = HTTP_HEAD_MAX - reader->head.len;
    struct bytes view = bytes_of(in->ptr, in->len < room ? in->len : room);
    size_t taken;
    const char *fault = http_lines_head(&reader->lines, view, &taken);
    if (fault != NULL) {
        refuse(reader, 400, fault);
        return HTTP_READER_REFUSED;
    }
    size_t before = reader->head.len;
    bytes_append(&reader->head, in->ptr, taken);
    take(in, taken);
    size_t parsed;
    if (execute(reader, bytes_of(reader->head.ptr + before, taken), &parsed) != 0)
        return HTTP_READER_REFUSED;
    if (parsed != taken || reader->head_over != reader->lines.ended) {
        refuse(reader, 400, "the head is malformed");
        return HTTP_READER_REFUSED;
    }
    if (!reader->lines.ended && reader->head.len == HTTP_HEAD_MAX) {
        if (reader->lines.count == 0)
            refuse(reader, 414, "the request line is too long");
        else
            refuse(reader, 431, "the head is larger than is accepted");
        return HTTP_READER_REFUSED;
    }
    if (!reader->lines.ended)
        return HTTP_READER_MORE;
    struct http_head head;
    if (accept_head(reader, &head) != 0)
        return HTTP_READER_REFUSED;
    if (reader->complete)
        return finish(reader);
    reader->phase = PHASE_BODY;
    reader->lines = (struct http_lines){0};
    return head.expects_continue ? HTTP_READER_WANT_CONTINUE : HTTP_READER_MORE;
}

static enum http_reader_event feed_body(struct http_reader *reader, struct bytes *in)
{
    if (in->len == 0)
        return HTTP_READER_MORE; /* to the parser, no bytes would mean the end of the stream */
    reader->framing = in->ptr;
    size_t parsed;
    int rc = execute(reader, *in, &parsed);
    if (rc == 0 && reader->chunked)
        rc = take_framing(reader, in->ptr + parsed);
    reader->framing = NULL;
    if (rc != 0)
        return HTTP_READER_REFUSED;
    take(in, parsed);
    return reader->complete ? finish(reader) : HTTP_READER_MORE;
}

enum http_reader_event http_reader_feed(struct http_reader *reader, struct bytes *in)
{
    object_check(reader, READER_MAGIC);
    if (reader->phase == PHASE_REFUSED)
        return HTTP_READER_REFUSED;
    if (reader->phase == PHASE_WHOLE)
        return HTTP_READER_REQUEST;
    if (in->len == 0)
        return HTTP_READER_MORE;
    if (reader->phase == PHASE_HEAD) {
        enum http_reader_event event = feed_head(reader, in);
        if (event != HTTP_READER_MORE || reader->phase == PHASE_HEAD)
            return event;
    }
    return feed_body(reader, in);
}

const struct http_request *http_reader_request(const struct http_reader *reader)
{
    return reader->phase == PHASE_WHOLE ? &reader->request : NULL;
}

const struct http_refusal *http_reader_refusal(const struct http_reader *reader)
{
    return reader->phase == PHASE_REFUSED ? &reader->refusal : NULL;
}

void http_reader_next(struct http_reader *reader)
{
    object_check(reader, READER_MAGIC);
    petrel_assert(reader->phase == PHASE_WHOLE);
    if (reader->body.cap > BODY_KEPT)
        bytes_reset(&reader->body);
    begin(reader);
}

bool http_reader_busy(const struct http_reader *reader)
{
    bool begun = reader->lines.count > 0 || reader->lines.line_len > 0;
    return reader->phase == PHASE_BODY || (reader->phase == PHASE_HEAD && begun);
}
