#include "wire/http2_impl.h"

#include <stdlib.h>

#define GOAWAY_BYTES 17
#define TABLE_BYTES 4096 /* of headers that a connection remembers, each way */

/* ---- streams and their phases ---- */

static void ungrant(struct http2 *http2)
{
    http2->granted = NULL;
    if (list_empty(&http2->streams[HTTP2_STARVED]))
        return;
    struct http2_stream *next = container_of(http2->streams[HTTP2_STARVED].next, struct http2_stream, node);
    http2_grant(next);
}

void http2_move(struct http2_stream *stream, enum http2_phase phase)
{
    struct http2 *http2 = stream->http2;
    http2->counts[stream->phase]--;
    list_remove(&stream->node);
    stream->phase = phase;
    stream->since_ms = http2->now_ms;
    http2->counts[phase]++;
    list_push_back(&http2->streams[phase], &stream->node);
}

void http2_grant(struct http2_stream *stream)
{
    struct http2 *http2 = stream->http2;
    http2->granted = stream;
    http2_move(stream, HTTP2_READING);
    /* Both fail only for streams that are gone, and for want of memory, which the session tells of again. */
    (void)nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, stream->id, HTTP2_GRANTED_WINDOW);
    (void)nghttp2_session_consume_stream(http2->session, stream->id, stream->withheld);
    stream->withheld = 0;
}

static void drop_request(struct http2_stream *stream)
{
    stream->http2->held -= stream->head.len + stream->body.len;
    bytes_reset(&stream->head);
    bytes_reset(&stream->body);
}

static bool is_read(const struct http2_stream *stream)
{
    return stream->phase == HTTP2_READING || stream->phase == HTTP2_STARVED;
}

void http2_settle(struct http2_stream *stream)
{
    if (!is_read(stream))
        return;
    http2_move(stream, HTTP2_READY);
    if (stream->http2->granted == stream)
        ungrant(stream->http2);
}

void http2_refuse(struct http2_stream *stream, unsigned status, const char *message)
{
    if (!is_read(stream) || stream->refusal.status != 0)
        return;
    stream->refusal = (struct http_refusal){status, message};
    drop_request(stream);
}

struct http2_stream *http2_open_stream(struct http2 *http2, int32_t id)
{
    struct http2_stream *stream = object_zalloc(sizeof *stream);
    stream->http2 = http2;
    stream->id = id;
    stream->phase = HTTP2_READING;
    stream->since_ms = http2->now_ms;
    http2->counts[HTTP2_READING]++;
    list_push_back(&http2->streams[HTTP2_READING], &stream->node);
    return stream;
}

void http2_free_stream(struct http2_stream *stream)
{
    struct http2 *http2 = stream->http2;
    http2->counts[stream->phase]--;
    list_remove(&stream->node);
    drop_request(stream);
    http2->unsent -= stream->answer.len - stream->answer_at;
    bytes_reset(&stream->answer);
    if (http2->granted == stream)
        ungrant(http2);
    free(stream);
}

/* ---- life ---- */

static nghttp2_session *new_session(struct http2 *http2)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;
    petrel_assert(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    http2_recv_set(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, TABLE_BYTES);
    /* The library's own limits stand behind ours, of which the peer is told ENHANCE_YOUR_CALM. */
    nghttp2_option_set_stream_reset_rate_limit(option, 2 * HTTP2_RESETS_BURST, 2 * HTTP2_RESETS_PER_S);
    petrel_assert(nghttp2_session_server_new2(&session, callbacks, http2, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

struct http2 *http2_new(const struct http2_limits *limits, uint64_t now_ms)
{
    struct http2 *http2 = object_zalloc(sizeof *http2);
    http2->magic = HTTP2_MAGIC;
    http2->limits = *limits;
    http2->now_ms = now_ms;
    http2->resets = (struct http2_bucket){1000ULL * HTTP2_RESETS_BURST, now_ms};
    http2->idle_frames = (struct http2_bucket){1000ULL * HTTP2_IDLE_FRAMES_BURST, now_ms};
    for (size_t i = 0; i < HTTP2_PHASES; i++)
        list_init(&http2->streams[i]);
    http2->session = new_session(http2);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    petrel_assert(nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                          sizeof settings / sizeof settings[0]) == 0);
    petrel_assert(
        nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0, HTTP2_CONNECTION_WINDOW) == 0);
    return http2;
}

void http2_free(struct http2 **inside)
{
    struct http2 *http2 = *inside;
    *inside = NULL;
    if (http2 == NULL)
        return;
    object_check(http2, HTTP2_MAGIC);
    nghttp2_session_del(http2->session); /* says nothing of the streams that are left */
    struct list *node, *tmp;
    http2->granted = NULL;
    LIST_FOREACH(node, tmp, &http2->streams[HTTP2_STARVED])
    http2_move(container_of(node, struct http2_stream, node), HTTP2_READING); /* so that none is granted in its turn */
    for (size_t i = 0; i < HTTP2_PHASES; i++) {
        LIST_FOREACH(node, tmp, &http2->streams[i])
        http2_free_stream(container_of(node, struct http2_stream, node));
    }
    petrel_assert(http2->held == 0 && http2->unsent == 0);
    http2->magic = 0;
    free(http2);
}

/* ---- bytes ---- */

/* The session can't go on: the peer is told why, and nothing else. */
static void break_off(struct http2 *http2, int code)
{
    if (http2->verdict == NGHTTP2_NO_ERROR) {
        http2->verdict = NGHTTP2_INTERNAL_ERROR;
        if (code == NGHTTP2_ERR_FLOODED)
            http2->verdict = NGHTTP2_ENHANCE_YOUR_CALM;
        else if (code == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
            http2->verdict = NGHTTP2_PROTOCOL_ERROR;
    }
    http2->broken = true;
}

void http2_feed(struct http2 *http2, struct bytes in, uint64_t now_ms)
{
    object_check(http2, HTTP2_MAGIC);
    http2->now_ms = now_ms;
    if (http2->broken || in.len == 0)
        return;
    const int32_t block_stream = http2->block_stream;
    const uint64_t blocks = http2->blocks;
    const ssize_t taken = nghttp2_session_mem_recv(http2->session, in.ptr, in.len);
    if (taken < 0) {
        break_off(http2, (int)taken);
        return;
    }
    petrel_assert((size_t)taken == in.len); /* none of our callbacks pauses it */
    if (block_stream == 0 || http2->block_stream == 0 || http2->blocks != blocks)
        return; /* none of it, or an end of it, was of a head that goes on */
    http2->block_bytes += in.len;
    if (http2->block_bytes > HTTP2_BLOCK_MAX) {
        http2->verdict = NGHTTP2_ENHANCE_YOUR_CALM;
        break_off(http2, 0);
    }
}

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

/* By our own hand, since the session is not to be used after it has failed. All that went out before were whole frames. */
static void put_goaway(struct http2 *http2, struct bytebuf *out)
{
    uint8_t frame[GOAWAY_BYTES] = {0, 0, 8, NGHTTP2_GOAWAY};
    put_u32(frame + 9, (uint32_t)nghttp2_session_get_last_proc_stream_id(http2->session));
    put_u32(frame + 13, http2->verdict);
    bytes_append(out, frame, sizeof frame);
}

void http2_output(struct http2 *http2, struct bytebuf *out, size_t enough, uint64_t now_ms)
{
    object_check(http2, HTTP2_MAGIC);
    http2->now_ms = now_ms;
    while (!http2->broken && out->len < enough) {
        const uint8_t *frame;
        const ssize_t len = nghttp2_session_mem_send(http2->session, &frame);
        if (len < 0)
            break_off(http2, (int)len);
        if (len <= 0)
            break;
        bytes_append(out, frame, (size_t)len);
    }
    if (!http2->broken || http2->told)
        return;
    http2->told = true;
    put_goaway(http2, out);
}

bool http2_over(const struct http2 *http2)
{
    if (http2->broken)
        return http2->told;
    return !nghttp2_session_want_read(http2->session) && !nghttp2_session_want_write(http2->session);
}

/* Nothing was done for it, so that it may be asked again elsewhere. */
static void send_away(struct http2 *http2, enum http2_phase phase)
{
    struct list *node, *tmp;
    LIST_FOREACH(node, tmp, &http2->streams[phase])
    {
        const int32_t id = container_of(node, struct http2_stream, node)->id;
        (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    }
}

void http2_finish(struct http2 *http2)
{
    object_check(http2, HTTP2_MAGIC);
    if (http2->broken)
        return;
    send_away(http2, HTTP2_READING);
    send_away(http2, HTTP2_STARVED);
    send_away(http2, HTTP2_READY);
    (void)nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(http2->session), NGHTTP2_NO_ERROR, NULL, 0);
}

/* ---- requests ---- */

uint32_t http2_next(struct http2 *http2)
{
    object_check(http2, HTTP2_MAGIC);
    petrel_assert(http2->standing == NULL);
    if (http2->broken || list_empty(&http2->streams[HTTP2_READY]))
        return 0;
    struct http2_stream *stream = container_of(http2->streams[HTTP2_READY].next, struct http2_stream, node);
    http2_move(stream, HTTP2_TAKEN);
    http2->standing = stream;
    if (stream->refusal.status == 0)
        http2_head_stand(stream);
    return (uint32_t)stream->id;
}

const struct http_request *http2_request(const struct http2 *http2)
{
    petrel_assert(http2->standing != NULL);
    return http2->standing->gone || http2->standing->refusal.status != 0 ? NULL : &http2->request;
}

const struct http_refusal *http2_refusal(const struct http2 *http2)
{
    petrel_assert(http2->standing != NULL);
    return http2->standing->refusal.status != 0 ? &http2->standing->refusal : NULL;
}

void http2_done(struct http2 *http2)
{
    struct http2_stream *stream = http2->standing;
    petrel_assert(stream != NULL);
    http2->standing = NULL;
    if (stream->gone)
        http2_free_stream(stream);
    else
        drop_request(stream);
}

bool http2_wants(const struct http2 *http2, uint32_t stream)
{
    return !http2->broken && nghttp2_session_get_stream_user_data(http2->session, (int32_t)stream) != NULL;
}

/* ---- what is held, and deadlines ---- */

uint32_t http2_whole(const struct http2 *http2)
{
    return http2->counts[HTTP2_READY] + http2->counts[HTTP2_TAKEN] + http2->counts[HTTP2_ANSWERING];
}

uint32_t http2_streams(const struct http2 *http2)
{
    return http2->counts[HTTP2_READING] + http2->counts[HTTP2_STARVED] + http2_whole(http2) +
           http2->counts[HTTP2_LINGERING];
}

size_t http2_held(const struct http2 *http2)
{
    return http2->held;
}

size_t http2_unsent(const struct http2 *http2)
{
    return http2->unsent;
}

static const struct http2_stream *first(const struct http2 *http2, enum http2_phase phase)
{
    const struct list *head = &http2->streams[phase];
    return list_empty(head) ? NULL : container_of(head->next, struct http2_stream, node);
}

static uint64_t earlier(uint64_t due_ms, uint64_t since_ms, uint64_t timeout_ms)
{
    return due_ms == 0 || since_ms + timeout_ms < due_ms ? since_ms + timeout_ms : due_ms;
}

uint64_t http2_due_ms(const struct http2 *http2, uint64_t timeout_ms)
{
    const struct http2_stream *reading = first(http2, HTTP2_READING);
    const struct http2_stream *answering = first(http2, HTTP2_ANSWERING);
    const struct http2_stream *lingering = first(http2, HTTP2_LINGERING);
    uint64_t due_ms = 0;
    if (http2->block_stream != 0)
        due_ms = earlier(due_ms, http2->block_began_ms, timeout_ms);
    if (reading != NULL)
        due_ms = earlier(due_ms, reading->since_ms, timeout_ms);
    if (answering != NULL)
        due_ms = earlier(due_ms, answering->since_ms, timeout_ms);
    if (lingering != NULL)
        due_ms = earlier(due_ms, lingering->since_ms, HTTP2_LINGER_MS);
    return due_ms;
}

/* Where the peer gave us room, it is not the one who keeps the answer waiting. */
static bool is_blocked(const struct http2_stream *stream)
{
    nghttp2_session *session = stream->http2->session;
    return nghttp2_session_get_remote_window_size(session) <= 0 ||
           nghttp2_session_get_stream_remote_window_size(session, stream->id) <= 0;
}

/* The first of the phase, where it is late. */
static struct http2_stream *late(struct http2 *http2, enum http2_phase phase, uint64_t timeout_ms)
{
    struct list *head = &http2->streams[phase];
    struct http2_stream *stream = container_of(head->next, struct http2_stream, node);
    return list_empty(head) || stream->since_ms + timeout_ms > http2->now_ms ? NULL : stream;
}

/* Or not, and wait anew; a reset takes effect when it goes out. */
static void reset(struct http2_stream *stream, bool is_due, uint32_t code)
{
    if (is_due)
        (void)nghttp2_submit_rst_stream(stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, code);
    http2_move(stream, stream->phase);
}

void http2_expire(struct http2 *http2, uint64_t now_ms, uint64_t timeout_ms)
{
    struct http2_stream *stream;
    object_check(http2, HTTP2_MAGIC);
    http2->now_ms = now_ms;
    if (http2->block_stream != 0 && http2->block_began_ms + timeout_ms <= now_ms) {
        http2->verdict = NGHTTP2_ENHANCE_YOUR_CALM; /* until its end nothing else can come */
        break_off(http2, 0);
    }
    if (http2->broken)
        return;
    while ((stream = late(http2, HTTP2_READING, timeout_ms)) != NULL) {
        http2_refuse(stream, 408, "the request was not whole in time");
        http2_settle(stream);
    }
    while ((stream = late(http2, HTTP2_ANSWERING, timeout_ms)) != NULL)
        reset(stream, is_blocked(stream), NGHTTP2_CANCEL);
    while ((stream = late(http2, HTTP2_LINGERING, HTTP2_LINGER_MS)) != NULL)
        reset(stream, true, NGHTTP2_NO_ERROR);
}

void http2_excuse(struct http2 *http2, uint64_t now_ms)
{
    struct list *node, *tmp;
    http2->now_ms = now_ms;
    if (http2->block_stream != 0)
        http2->block_began_ms = now_ms;
    LIST_FOREACH(node, tmp, &http2->streams[HTTP2_READING])
    container_of(node, struct http2_stream, node)->since_ms = now_ms;
}

void http2_shed(struct http2 *http2, const char *message)
{
    /* One that ends grants the next, which then is being read. */
    while (http2->counts[HTTP2_READING] + http2->counts[HTTP2_STARVED] > 0) {
        const enum http2_phase phase = http2->counts[HTTP2_READING] > 0 ? HTTP2_READING : HTTP2_STARVED;
        struct http2_stream *stream = container_of(http2->streams[phase].next, struct http2_stream, node);
        http2_refuse(stream, 503, message);
        http2_settle(stream);
    }
}
