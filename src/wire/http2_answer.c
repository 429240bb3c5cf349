/* Answers on their way out. */
#include "wire/http2_impl.h"

#define LINES_MAX 6
#define NUMBER_SIZE 24
#define STATUS_NO_CONTENT 204
#define STATUS_NOT_MODIFIED 304
#define STATUS_UNAUTHORIZED 401

/* The head of an answer, and the memory of its numbers. */
struct lines {
    nghttp2_nv at[LINES_MAX];
    size_t count;
    char numbers[LINES_MAX][NUMBER_SIZE];
};

/* The texts live until the head is submitted, which copies them. */
static void put_text(struct lines *lines, const char *name, const char *value)
{
    petrel_assert(lines->count < LINES_MAX);
    lines->at[lines->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = strlen(value),
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

static void put_number(struct lines *lines, const char *name, size_t value)
{
    char *text = lines->numbers[lines->count];
    char digits[NUMBER_SIZE];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(text, digits + at, sizeof digits - at);
    put_text(lines, name, text);
}

static void put_head(struct lines *lines, const struct http_response *response, size_t body_len)
{
    const unsigned status = response->status;
    put_number(lines, ":status", status);
    if (response->content_type != NULL)
        put_text(lines, "content-type", response->content_type);
    if (status != STATUS_NO_CONTENT && status != STATUS_NOT_MODIFIED)
        put_number(lines, "content-length", body_len);
    if (response->retry_after_s > 0)
        put_number(lines, "retry-after", response->retry_after_s);
    if (response->allow != NULL)
        put_text(lines, "allow", response->allow);
    if (status == STATUS_UNAUTHORIZED)
        put_text(lines, "www-authenticate", "Bearer");
}

/* The session has room for so much of the answer. */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room, uint32_t *flags,
                       nghttp2_data_source *source, void *ctx)
{
    struct http2 *http2 = ctx;
    struct http2_stream *stream = source->ptr;
    const size_t left = stream->answer.len - stream->answer_at;
    const size_t len = left < room ? left : room;
    (void)session, (void)id;
    memcpy(out, stream->answer.ptr + stream->answer_at, len);
    stream->answer_at += len;
    http2->unsent -= len;
    if (len == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    http2_move(stream, HTTP2_ANSWERING); /* the peer made room for it: it is waited for anew */
    return (ssize_t)len;
}

void http2_answer(struct http2 *http2, uint32_t id, const struct http_response *response, struct bytebuf *body)
{
    object_check(http2, HTTP2_MAGIC);
    struct http2_stream *stream =
        http2->broken ? NULL : nghttp2_session_get_stream_user_data(http2->session, (int32_t)id);
    if (stream == NULL) {
        bytes_reset(body);
        return;
    }
    petrel_assert(stream->phase == HTTP2_TAKEN);
    struct lines lines = {.count = 0};
    const size_t body_len = response->content_type != NULL ? response->body.len : 0;
    put_head(&lines, response, body_len);
    const bool has_data = body_len > 0 && !response->head_only;
    if (has_data) {
        stream->answer = *body;
        http2->unsent += stream->answer.len;
        *body = (struct bytebuf){0};
    } else {
        bytes_reset(body);
    }
    http2_move(stream, HTTP2_ANSWERING);
    const nghttp2_data_provider data = {.source = {.ptr = stream}, .read_callback = on_read};
    (void)nghttp2_submit_response(http2->session, stream->id, lines.at, lines.count, has_data ? &data : NULL);
}
