/* A backend's bytes: the HTTP reader finds the same requests however they arrive, within its limits. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/http.h"

#define MAX_BODY 4096

/* What was read, so that two ways of arriving can be compared. */
struct trace {
    struct bytebuf seen;
    bool refused;
};

static void note(struct trace *trace, const struct http_request *request)
{
    bool starred = bytes_equal_str(request->path, "*");
    petrel_assert(starred || (request->path.len > 0 && request->path.ptr[0] == '/'));
    petrel_assert(request->path.len + request->query.len <= HTTP_TARGET_MAX);
    petrel_assert(request->headers_count <= HTTP_HEADERS_MAX && request->body.len <= MAX_BODY);
    bytes_put_u8(&trace->seen, (uint8_t)request->method);
    bytes_put_u8(&trace->seen, request->keep_alive);
    bytes_put_blob(&trace->seen, request->path);
    bytes_put_blob(&trace->seen, request->query);
    bytes_put_blob(&trace->seen, request->body);
    for (size_t i = 0; i < request->headers_count; i++) {
        bytes_put_blob(&trace->seen, request->headers[i].name);
        bytes_put_blob(&trace->seen, request->headers[i].value);
    }
    struct bytebuf value = {0};
    (void)http_query_get(request->query, "q", &value);
    (void)http_unescape(request->path, &value);
    bytes_reset(&value);
}

static void feed(struct http_reader *reader, struct bytes in, struct trace *trace)
{
    while (in.len > 0 && !trace->refused) {
        enum http_reader_event event = http_reader_feed(reader, &in);
        if (event == HTTP_READER_REQUEST) {
            note(trace, http_reader_request(reader));
            http_reader_next(reader);
        } else if (event == HTTP_READER_REFUSED) {
            unsigned status = http_reader_refusal(reader)->status;
            petrel_assert(status >= 400 && status < 600);
            trace->refused = true;
        }
    }
}

static struct trace read_in_steps(struct bytes stream, size_t step)
{
    struct http_reader *reader = http_reader_new(MAX_BODY);
    struct trace trace = {{0}, false};
    for (size_t at = 0; at < stream.len; at += step) {
        size_t len = stream.len - at < step ? stream.len - at : step;
        feed(reader, bytes_of(stream.ptr + at, len), &trace);
    }
    http_reader_free(&reader);
    return trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes stream = bytes_of(data, size);
    struct trace whole = read_in_steps(stream, size + 1);
    struct trace pieces = read_in_steps(stream, 3);
    petrel_assert(whole.refused == pieces.refused);
    petrel_assert(bytes_equal(bytes_view(&whole.seen), bytes_view(&pieces.seen)));
    bytes_reset(&whole.seen);
    bytes_reset(&pieces.seen);
    return 0;
}
