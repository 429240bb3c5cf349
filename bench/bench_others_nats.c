/* NATS's text protocol, as far as these clients speak it. */
#include "bench_others.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server answers in order: the first PONG says that the subscriptions stand. */
static void hello(struct bytebuf *out, const char *name, bool subscriber)
{
    bytes_append_str(out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
    if (subscriber)
        bytes_printf(out, "SUB %s 1\r\nSUB " BENCH_OTHERS_ALL " 2\r\nPING\r\n", name);
}

static void publish(struct bytebuf *out, const char *to, struct bytes data)
{
    bytes_printf(out, "PUB %s %zu\r\n", to, data.len);
    bytes_append(out, data.ptr, data.len);
    bytes_append_str(out, "\r\n");
}

static void ack(struct bytebuf *out, uint16_t id)
{
    (void)out, (void)id;
}

static void ping(struct bytebuf *out)
{
    bytes_append_str(out, "PING\r\n");
}

static void pong(struct bytebuf *out)
{
    bytes_append_str(out, "PONG\r\n");
}

static bool begins(struct bytes in, const char *word)
{
    return in.len >= strlen(word) && memcmp(in.ptr, word, strlen(word)) == 0;
}

/* "MSG subject sid bytes", then the bytes. */
static ssize_t take_message(struct bytes in, size_t line, struct bench_others_event *event)
{
    char text[128];
    size_t len;
    snprintf(text, sizeof text, "%.*s", (int)line, (const char *)in.ptr);
    if (sscanf(text, "MSG %*s %*s %zu", &len) != 1 || len > 65536)
        return -1;
    if (in.len < line + len + 2)
        return 0;
    event->what = BENCH_OTHERS_MESSAGE;
    event->data = bytes_of(in.ptr + line, len);
    return (ssize_t)(line + len + 2);
}

static ssize_t take(struct bytes in, struct bench_others_event *event)
{
    const uint8_t *end = memchr(in.ptr, '\n', in.len);
    if (end == NULL)
        return 0;
    const size_t line = (size_t)(end + 1 - in.ptr);
    if (begins(in, "MSG "))
        return take_message(in, line, event);
    if (begins(in, "-ERR"))
        return -1;
    if (begins(in, "PONG"))
        event->what = BENCH_OTHERS_TAKEN;
    else if (begins(in, "PING"))
        event->what = BENCH_OTHERS_ASKED;
    return (ssize_t)line;
}

const struct bench_others_codec bench_others_nats = {hello, publish, ack, ping, pong, take, false};
