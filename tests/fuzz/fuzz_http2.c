/* A backend's bytes after the preface of HTTP/2: the same requests are found however they arrive, within the limits; and whatever
 * happens in between, what is said back are frames, and nothing is kept of what is over.
 *
 * The first byte chooses the pieces, and what is done between them. */
#include "base/object.h"
#include "fuzz/fuzz.h"
#include "wire/http2.h"

#define MAX_BODY 4096
#define MAX_STREAMS 5
#define TIMEOUT_MS 100
#define FRAME_HEAD 9
#define GOAWAY 7
#define UNANSWERED_MAX 8

static const struct http2_limits limits = {.max_body = MAX_BODY, .max_streams = MAX_STREAMS};

static void note(struct bytebuf *seen, const struct http_request *request)
{
    petrel_assert(request->path.len > 0 && (request->path.ptr[0] == '/' || request->path.ptr[0] == '*'));
    petrel_assert(request->path.len + request->query.len <= HTTP_TARGET_MAX);
    petrel_assert(request->headers_count <= HTTP_HEADERS_MAX && request->body.len <= MAX_BODY);
    bytes_put_u8(seen, (uint8_t)request->method);
    bytes_put_blob(seen, request->method_text);
    bytes_put_blob(seen, request->path);
    bytes_put_blob(seen, request->query);
    bytes_put_blob(seen, request->body);
    for (size_t i = 0; i < request->headers_count; i++) {
        bytes_put_blob(seen, request->headers[i].name);
        bytes_put_blob(seen, request->headers[i].value);
    }
}

/* The request that stands, or its refusal. */
static void look(struct http2 *http2, struct bytebuf *seen)
{
    const struct http_refusal *refusal = http2_refusal(http2);
    if (refusal != NULL) {
        petrel_assert(refusal->status >= 400 && refusal->status < 600 && refusal->message[0] != '\0');
        bytes_put_u32(seen, refusal->status);
    } else {
        note(seen, http2_request(http2));
    }
}

static struct http2 *open_connection(void)
{
    struct http2 *http2 = http2_new(&limits, 1);
    http2_feed(http2, bytes_str(HTTP2_PREFACE), 1);
    return http2;
}

/* All requests of a stream that says nothing back. */
static struct bytebuf read_in_steps(struct bytes stream, size_t step)
{
    struct http2 *http2 = open_connection();
    struct bytebuf seen = {0};
    for (size_t at = 0; at < stream.len; at += step) {
        const size_t len = stream.len - at < step ? stream.len - at : step;
        http2_feed(http2, bytes_of(stream.ptr + at, len), 1);
    }
    while (http2_next(http2) != 0) {
        look(http2, &seen);
        http2_done(http2);
    }
    http2_free(&http2);
    return seen;
}

static size_t payload_len(const uint8_t head[FRAME_HEAD])
{
    return (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
}

static bool says_goaway(struct bytes stream)
{
    for (size_t at = 0; stream.len - at >= FRAME_HEAD; at += FRAME_HEAD + payload_len(stream.ptr + at)) {
        if (stream.ptr[at + 3] == GOAWAY)
            return true;
        if (stream.len - at - FRAME_HEAD < payload_len(stream.ptr + at))
            break;
    }
    return false;
}

/* What is said is whole frames, but for the last. */
static void check_frames(struct bytes said)
{
    for (size_t at = 0; at < said.len;) {
        petrel_assert(said.len - at >= FRAME_HEAD);
        const uint8_t *head = said.ptr + at;
        const size_t len = payload_len(head);
        petrel_assert(len <= 16384 && head[3] <= 8 && said.len - at - FRAME_HEAD >= len);
        at += FRAME_HEAD + len;
    }
}

static void answer(struct http2 *http2, uint32_t stream, size_t len)
{
    struct bytebuf body = {0};
    (void)bytes_reserve(&body, len + 1);
    memset(body.ptr, 'a', len);
    body.len = len;
    const struct http_response response = {.status = 200, .content_type = "text/plain", .body = bytes_view(&body)};
    http2_answer(http2, stream, &response, &body);
    petrel_assert(body.ptr == NULL);
}

/* Answers are late, of all sizes; time passes; output is taken now and then. */
static void live(struct bytes stream, uint8_t how)
{
    struct http2 *http2 = open_connection();
    struct bytebuf seen = {0};
    struct bytebuf said = {0};
    uint32_t unanswered[UNANSWERED_MAX];
    size_t count = 0;
    const size_t step = 1 + (size_t)how % 64;
    uint64_t now_ms = 1;
    for (size_t at = 0; at < stream.len && !http2_over(http2); at += step) {
        const size_t len = stream.len - at < step ? stream.len - at : step;
        now_ms += how >> 6;
        http2_feed(http2, bytes_of(stream.ptr + at, len), now_ms);
        uint32_t next = count < UNANSWERED_MAX ? http2_next(http2) : 0;
        if (next != 0) {
            look(http2, &seen);
            http2_done(http2);
            unanswered[count++] = next;
        }
        if (count > 0 && at % 5 == 0)
            answer(http2, unanswered[--count], stream.ptr[at] * 300U);
        if (at % 3 == 0)
            http2_output(http2, &said, said.len + 1 + stream.ptr[at] * 100U, now_ms);
        if (at % 7 == 0 && http2_due_ms(http2, TIMEOUT_MS) != 0)
            http2_expire(http2, now_ms, TIMEOUT_MS);
        if (stream.ptr[at] == 0x7f && (how & 1) != 0)
            http2_finish(http2);
        petrel_assert(http2_held(http2) <= (MAX_STREAMS + 1) * (HTTP_HEAD_MAX + MAX_BODY));
        petrel_assert(http2_whole(http2) <= http2_streams(http2) && http2_streams(http2) <= 2 * MAX_STREAMS);
    }
    http2_output(http2, &said, SIZE_MAX, now_ms);
    check_frames(bytes_view(&said));
    http2_free(&http2);
    bytes_reset(&seen);
    bytes_reset(&said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct bytes stream = bytes_of(data + 1, size - 1);
    struct bytebuf whole = read_in_steps(stream, size);
    struct bytebuf pieces = read_in_steps(stream, 3);
    /* A head that does not end, and a peer that goes on after it said that it leaves, are cut off a little sooner or later. */
    if (size <= HTTP2_BLOCK_MAX && !says_goaway(stream))
        petrel_assert(bytes_equal(bytes_view(&whole), bytes_view(&pieces)));
    bytes_reset(&whole);
    bytes_reset(&pieces);
    live(stream, data[0]);
    return 0;
}
