#include "limit_frames.h"

#include "bench_fleet.h"

#include "base/object.h"

#include <stdlib.h>
#include <string.h>

#define STAMP (BENCH_STAMP_BYTES - 1)
#define DATA_MAX 8192
#define NUMBER_DIGITS 8 /* of users, as petrel-bench names them */
/* Two seqs of five bytes each that differ in all of them: where the seq stands in a frame is where the two frames differ. */
#define SEQ_FIRST UINT64_C(0x10204080)
#define SEQ_OTHER UINT64_C(0x7efdfbf7f)
#define SEQ_BYTES 5

/* How the frame of a message with so many bytes of data looks. */
struct shape {
    _Atomic(struct shape *) next;
    size_t data_len;
    size_t seq_at;
    size_t stamp_at;
    struct bytebuf frame;
};

struct limit_frames {
    struct bytebuf connected;
    _Atomic(uint64_t) seq;
    _Atomic(struct shape *) shapes;
};

struct limit_push {
    atomic_uint refs;
    size_t len;
    size_t seq_at; /* where its number goes */
    uint8_t bytes[];
};

static void encode(struct bytebuf *out, size_t data_len, uint64_t seq)
{
    char data[DATA_MAX + 3];
    data[0] = data[data_len + 1] = '"';
    memset(data + 1, 'x', data_len);
    memset(data + 1, '0', STAMP);
    struct session_message message = {.id = {{1}},
                                      .is_json = true,
                                      .body = bytes_of((const uint8_t *)data, data_len + 2),
                                      .sent_ms = UINT64_C(1700000000000),
                                      .expires_ms = UINT64_C(1700000000000)};
    struct buf *encoded = session_encode_message(&message);
    session_encode_push(out, 0, (struct position){.epoch = 1, .seq = seq}, 0, buf_bytes(encoded));
    buf_unref(encoded);
}

static struct shape *shape_new(size_t data_len)
{
    struct shape *shape = object_zalloc(sizeof *shape);
    struct bytebuf other = {0};
    shape->data_len = data_len;
    encode(&shape->frame, data_len, SEQ_FIRST);
    encode(&other, data_len, SEQ_OTHER);
    petrel_assert(shape->frame.len == other.len);
    while (shape->frame.ptr[shape->seq_at] == other.ptr[shape->seq_at])
        shape->seq_at++;
    bytes_reset(&other);
    static const char zeros[STAMP + 1] = "00000000000000000000000000000000";
    const uint8_t *stamp = memmem(shape->frame.ptr, shape->frame.len, zeros, STAMP);
    petrel_assert(stamp != NULL);
    shape->stamp_at = (size_t)(stamp - shape->frame.ptr);
    return shape;
}

/* Shapes are few and stay. */
static const struct shape *shape_of(struct limit_frames *frames, size_t data_len)
{
    struct shape *first = atomic_load(&frames->shapes);
    for (struct shape *shape = first; shape != NULL; shape = atomic_load(&shape->next))
        if (shape->data_len == data_len)
            return shape;
    struct shape *fresh = shape_new(data_len);
    do
        atomic_store(&fresh->next, first);
    while (!atomic_compare_exchange_weak(&frames->shapes, &first, fresh));
    return fresh;
}

struct limit_frames *limit_frames_new(void)
{
    struct limit_frames *frames = object_zalloc(sizeof *frames);
    struct session_connected connected = {.verdict = SESSION_NEW,
                                          .position = {.epoch = 1, .seq = 1},
                                          .heartbeat_s = 240,
                                          .max_frame_bytes = FRAME_BODY_DEFAULT,
                                          .server_time_ms = UINT64_C(1700000000000),
                                          .node = bytes_str("limit")};
    session_encode_connected(&frames->connected, &connected);
    atomic_store(&frames->seq, SEQ_FIRST);
    return frames;
}

void limit_frames_free(struct limit_frames **frames)
{
    struct limit_frames *old = *frames;
    *frames = NULL;
    for (struct shape *shape = old != NULL ? atomic_load(&old->shapes) : NULL, *next; shape != NULL; shape = next) {
        next = atomic_load(&shape->next);
        bytes_reset(&shape->frame);
        free(shape);
    }
    if (old != NULL)
        bytes_reset(&old->connected);
    free(old);
}

struct bytes limit_frames_connected(const struct limit_frames *frames)
{
    return bytes_view(&frames->connected);
}

size_t limit_frames_pong(const struct frame *ping, uint8_t *out, size_t size)
{
    if (ping->body.len + FRAME_HEADER_BYTES > size)
        return 0;
    frame_header(out, SESSION_PONG, (uint32_t)ping->body.len);
    memcpy(out + FRAME_HEADER_BYTES, ping->body.ptr, ping->body.len);
    return ping->body.len + FRAME_HEADER_BYTES;
}

/* So many digits and no more: in a CONNECT the next byte is the tag of another field, which may look like one. */
static bool number_behind(struct bytes text, const char *word, uint32_t *number)
{
    const uint8_t *at = memmem(text.ptr, text.len, word, strlen(word));
    if (at == NULL || (size_t)(text.ptr + text.len - at) < strlen(word) + NUMBER_DIGITS)
        return false;
    at += strlen(word);
    *number = 0;
    for (size_t i = 0; i < NUMBER_DIGITS; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *number = *number * 10 + (uint32_t)(at[i] - '0');
    }
    return true;
}

bool limit_frames_user(struct bytes connect, uint32_t *user)
{
    return number_behind(connect, "bench-", user);
}

bool limit_frames_request(const char *text, size_t len, struct bytes *body)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = end != NULL ? strcasestr(text, "\r\ncontent-length:") : NULL;
    if (length == NULL)
        return false;
    *body = bytes_of(end + 4, strtoul(length + 17, NULL, 10));
    return body->len <= len - (size_t)(end + 4 - text);
}

struct limit_push *limit_frames_push(struct limit_frames *frames, struct bytes body, struct limit_target *target)
{
    static const char key[] = "\"data\":\"";
    const uint8_t *data = memmem(body.ptr, body.len, key, sizeof key - 1);
    if (data == NULL)
        return NULL;
    data += sizeof key - 1;
    const uint8_t *end = memchr(data, '"', (size_t)(body.ptr + body.len - data));
    const size_t data_len = end != NULL ? (size_t)(end - data) : 0;
    if (data_len < STAMP || data_len > DATA_MAX)
        return NULL;
    target->all = !number_behind(body, "user-", &target->user);
    const struct shape *shape = shape_of(frames, data_len);
    struct limit_push *push = object_alloc(sizeof *push + shape->frame.len);
    atomic_init(&push->refs, 1);
    push->len = shape->frame.len;
    push->seq_at = shape->seq_at;
    memcpy(push->bytes, shape->frame.ptr, push->len);
    memcpy(push->bytes + shape->stamp_at, data, STAMP);
    return push;
}

void limit_push_number(struct limit_frames *frames, struct limit_push *push)
{
    uint64_t seq = atomic_fetch_add(&frames->seq, 1) + 1;
    for (size_t i = 0; i < SEQ_BYTES; i++, seq >>= 7)
        push->bytes[push->seq_at + i] = (uint8_t)((seq & 0x7f) | (i + 1 < SEQ_BYTES ? 0x80 : 0));
}

struct limit_push *limit_push_of(struct bytes data)
{
    struct limit_push *push = object_alloc(sizeof *push + data.len);
    atomic_init(&push->refs, 1);
    push->len = data.len;
    push->seq_at = 0;
    memcpy(push->bytes, data.ptr, data.len);
    return push;
}

struct bytes limit_push_bytes(const struct limit_push *push)
{
    return bytes_of(push->bytes, push->len);
}

void limit_push_ref(struct limit_push *push)
{
    atomic_fetch_add(&push->refs, 1);
}

void limit_push_unref(struct limit_push *push)
{
    if (atomic_fetch_sub(&push->refs, 1) == 1)
        free(push);
}
