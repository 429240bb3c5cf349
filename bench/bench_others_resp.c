/* Redis's protocol, as far as Pub/Sub takes it. */
#include "bench_others.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 3
#define PART_MAX 65536 /* bytes */

static void put_parts(struct bytebuf *out, size_t count, const struct bytes *parts)
{
    bytes_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        bytes_printf(out, "$%zu\r\n", parts[i].len);
        bytes_append(out, parts[i].ptr, parts[i].len);
        bytes_append(out, "\r\n", 2);
    }
}

static void hello(struct bytebuf *out, const char *name, bool subscriber)
{
    if (subscriber)
        put_parts(out, 3, (struct bytes[]){bytes_str("SUBSCRIBE"), bytes_str(name), bytes_str(BENCH_OTHERS_ALL)});
}

static void publish(struct bytebuf *out, const char *to, struct bytes data)
{
    put_parts(out, 3, (struct bytes[]){bytes_str("PUBLISH"), bytes_str(to), data});
}

static void ack(struct bytebuf *out, uint16_t id)
{
    (void)out, (void)id;
}

static void ping(struct bytebuf *out)
{
    put_parts(out, 1, (struct bytes[]){bytes_str("PING")});
}

/* The number of a line like "*3\r\n", -1 when it is none; the line's length, 0 while it is partial. */
static size_t take_line(struct bytes in, size_t at, long *number)
{
    const uint8_t *end = at < in.len ? memchr(in.ptr + at, '\n', in.len - at) : NULL;
    if (end == NULL)
        return 0;
    const uint8_t *digit = in.ptr + at + 1;
    *number = digit < end && *digit >= '0' && *digit <= '9' ? 0 : -1;
    for (; digit < end && *digit >= '0' && *digit <= '9' && *number <= PART_MAX; digit++)
        *number = *number * 10 + (*digit - '0');
    return (size_t)(end + 1 - in.ptr) - at;
}

static void judge(const struct bytes *parts, long last, struct bench_others_event *event)
{
    if (bytes_equal(parts[0], bytes_str("message"))) {
        event->what = BENCH_OTHERS_MESSAGE;
        event->data = parts[2];
    } else if (bytes_equal(parts[0], bytes_str("pong"))) {
        event->what = BENCH_OTHERS_TAKEN;
    } else if (bytes_equal(parts[0], bytes_str("subscribe")) && last == 2) {
        event->what = BENCH_OTHERS_READY;
    }
}

static ssize_t take(struct bytes in, struct bench_others_event *event)
{
    long count = 0, number = 0;
    size_t at = take_line(in, 0, &count);
    if (at == 0)
        return 0;
    if (in.ptr[0] == ':') { /* how many a PUBLISH reached */
        event->what = BENCH_OTHERS_TAKEN;
        return (ssize_t)at;
    }
    struct bytes parts[PARTS_MAX] = {{0}};
    if (in.ptr[0] != '*' || count < 1 || count > PARTS_MAX)
        return -1;
    for (long i = 0; i < count; i++) {
        const size_t begin = at, line = take_line(in, at, &number);
        if (line == 0)
            return 0;
        at += line;
        if (in.ptr[begin] != '$')
            continue;
        if (number < 0 || number > PART_MAX)
            return -1;
        if (in.len < at + (size_t)number + 2)
            return 0;
        parts[i] = bytes_of(in.ptr + at, (size_t)number);
        at += (size_t)number + 2;
    }
    judge(parts, number, event);
    return (ssize_t)at;
}

const struct bench_others_codec bench_others_resp = {hello, publish, ack, ping, ping, take, true};
