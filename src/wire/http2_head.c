/* The head of a request: what nghttp2 has checked by RFC 9113, held against the limits that HTTP/1.1 has here. */
#include "wire/http2_impl.h"
#include "wire/http_head.h"

#define HEADER_OVERHEAD 32 /* that HTTP/2 counts for each */

static struct bytes bytes_at(const struct http2_stream *stream, struct http2_span span)
{
    return bytes_of(stream->head.ptr + span.at, span.len);
}

static struct http2_span keep(struct http2_stream *stream, struct bytes text)
{
    const struct http2_span span = {(uint32_t)stream->head.len, (uint32_t)text.len};
    bytes_append(&stream->head, text.ptr, text.len);
    stream->http2->held += text.len;
    return span;
}

void http2_head_add(struct http2_stream *stream, struct bytes name, struct bytes value)
{
    stream->listed += name.len + value.len + HEADER_OVERHEAD;
    if (stream->listed > HTTP_HEAD_MAX)
        http2_refuse(stream, 431, "the head is larger than is accepted");
    if (stream->refusal.status != 0)
        return;
    if (bytes_equal_str(name, ":method")) {
        stream->method = keep(stream, value);
    } else if (bytes_equal_str(name, ":path")) {
        if (value.len > HTTP_TARGET_MAX)
            http2_refuse(stream, 414, "the request target is too long");
        else
            stream->target = keep(stream, value);
    } else if (name.len > 0 && name.ptr[0] != ':') {
        if (stream->headers_count == HTTP_HEADERS_MAX) {
            http2_refuse(stream, 431, "too many headers");
            return;
        }
        stream->names[stream->headers_count] = keep(stream, name);
        stream->values[stream->headers_count++] = keep(stream, value);
    }
}

static enum http_request_method method_of(struct bytes text)
{
    static const struct {
        const char *text;
        enum http_request_method method;
    } KNOWN[] = {{"GET", HTTP_METHOD_GET},
                 {"HEAD", HTTP_METHOD_HEAD},
                 {"POST", HTTP_METHOD_POST},
                 {"PUT", HTTP_METHOD_PUT},
                 {"DELETE", HTTP_METHOD_DELETE}};
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (bytes_equal_str(text, KNOWN[i].text))
            return KNOWN[i].method;
    }
    return HTTP_METHOD_OTHER;
}

/* Made of a head that is whole, with the memory for its headers. NULL, or what is wrong with its target. */
static const char *make(const struct http2_stream *stream, struct http_request *request,
                        struct http_header headers[HTTP_HEADERS_MAX])
{
    for (uint32_t i = 0; i < stream->headers_count; i++)
        headers[i] = (struct http_header){bytes_at(stream, stream->names[i]), bytes_at(stream, stream->values[i])};
    const struct bytes method = bytes_at(stream, stream->method);
    *request = (struct http_request){
        .method = method_of(method),
        .method_text = method,
        .headers_count = stream->headers_count,
        .headers = headers,
        .body = bytes_view(&stream->body),
        .keep_alive = true,
    };
    return http_head_split(request, bytes_at(stream, stream->target));
}

void http2_head_stand(struct http2_stream *stream)
{
    (void)make(stream, &stream->http2->request, stream->http2->headers); /* has been judged */
}

/* The body's length as it was announced; 0 when it was not. nghttp2 has seen that it is a number. */
static uint64_t announced(const struct http_request *request)
{
    const struct bytes text = http_request_header(request, "content-length");
    uint64_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (length > UINT64_MAX / 10 - 1)
            return UINT64_MAX;
        length = length * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return length;
}

static void go_on(struct http2_stream *stream)
{
    const nghttp2_nv line = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "100", 7, 3,
                             NGHTTP2_NV_FLAG_NONE};
    (void)nghttp2_submit_headers(stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, &line, 1, NULL);
}

void http2_head_check(struct http2_stream *stream, bool has_body)
{
    if (stream->refusal.status == 0 && stream->target.len == 0)
        http2_refuse(stream, 501, "CONNECT is not served");
    if (stream->refusal.status != 0)
        return;
    struct http_header headers[HTTP_HEADERS_MAX]; /* the connection's may be lent */
    struct http_request request;
    const char *fault = make(stream, &request, headers);
    const struct bytes expect = http_request_header(&request, "expect");
    if (fault != NULL)
        http2_refuse(stream, 400, fault);
    else if (expect.ptr != NULL && !http_head_is_continue(expect))
        http2_refuse(stream, 417, "only the expectation '100-continue' can be met");
    else if (announced(&request) > stream->http2->limits.max_body)
        http2_refuse(stream, 413, "the body is larger than is accepted");
    else if (expect.ptr != NULL && has_body)
        go_on(stream);
}
