/* MQTT 3.1.1, as far as these clients speak it. */
#include "bench_others.h"

#include <string.h>

#define CONNECT 0x10
#define CONNACK 0x20
#define PUBLISH 0x30
#define PUBACK 0x40
#define SUBSCRIBE 0x82
#define SUBACK 0x90
#define PINGREQ 0xC0
#define PINGRESP 0xD0
#define QOS1 0x02
#define TYPE(byte) ((byte)&0xF0)

static void put_byte(struct bytebuf *out, unsigned byte)
{
    const uint8_t one = (uint8_t)byte;
    bytes_append(out, &one, 1);
}

static void put_u16(struct bytebuf *out, unsigned value)
{
    put_byte(out, value >> 8);
    put_byte(out, value & 0xFF);
}

static void put_text(struct bytebuf *out, const char *text)
{
    put_u16(out, (unsigned)strlen(text));
    bytes_append(out, text, strlen(text));
}

static void put_header(struct bytebuf *out, unsigned type, size_t len)
{
    put_byte(out, type);
    for (; len >= 128; len /= 128)
        put_byte(out, (unsigned)(len % 128) | 0x80);
    put_byte(out, (unsigned)len);
}

static void hello(struct bytebuf *out, const char *name, bool subscriber, unsigned qos)
{
    put_header(out, CONNECT, 2 + 4 + 1 + 1 + 2 + 2 + strlen(name));
    put_text(out, "MQTT");
    put_byte(out, 4); /* the protocol's level */
    put_byte(out, 2); /* a clean session */
    put_u16(out, 0);  /* no keep-alive */
    put_text(out, name);
    if (!subscriber)
        return;
    put_header(out, SUBSCRIBE, 2 + 3 + strlen(name) + 3 + strlen(BENCH_OTHERS_ALL));
    put_u16(out, 1);
    put_text(out, name);
    put_byte(out, qos);
    put_text(out, BENCH_OTHERS_ALL);
    put_byte(out, qos);
}

static void hello_qos1(struct bytebuf *out, const char *name, bool subscriber)
{
    hello(out, name, subscriber, 1);
}

static void hello_qos0(struct bytebuf *out, const char *name, bool subscriber)
{
    hello(out, name, subscriber, 0);
}

/* One is under way at a time, so one id will do. */
static void publish_qos1(struct bytebuf *out, const char *to, struct bytes data)
{
    put_header(out, PUBLISH | QOS1, 2 + strlen(to) + 2 + data.len);
    put_text(out, to);
    put_u16(out, 1);
    bytes_append(out, data.ptr, data.len);
}

static void publish_qos0(struct bytebuf *out, const char *to, struct bytes data)
{
    put_header(out, PUBLISH, 2 + strlen(to) + data.len);
    put_text(out, to);
    bytes_append(out, data.ptr, data.len);
}

static void ack(struct bytebuf *out, uint16_t id)
{
    put_header(out, PUBACK, 2);
    put_u16(out, id);
}

static void ping(struct bytebuf *out)
{
    put_header(out, PINGREQ, 0);
}

static bool take_publish(uint8_t type, struct bytes body, struct bench_others_event *event)
{
    const size_t id = (type & QOS1) != 0 ? 2 : 0;
    const size_t head = body.len >= 2 ? 2 + ((size_t)body.ptr[0] << 8 | body.ptr[1]) + id : SIZE_MAX;
    if (head > body.len)
        return false;
    event->what = BENCH_OTHERS_MESSAGE;
    event->data = bytes_of(body.ptr + head, body.len - head);
    if (id > 0)
        event->id = (uint16_t)(body.ptr[head - 2] << 8 | body.ptr[head - 1]);
    return true;
}

static ssize_t take(struct bytes in, struct bench_others_event *event)
{
    size_t len = 0, at = 1;
    for (unsigned shift = 0;; shift += 7) {
        if (at >= in.len)
            return 0;
        if (shift > 21)
            return -1;
        len |= (size_t)(in.ptr[at] & 0x7F) << shift;
        if ((in.ptr[at++] & 0x80) == 0)
            break;
    }
    if (in.len < at + len)
        return 0;
    const struct bytes body = bytes_of(in.ptr + at, len);
    switch (TYPE(in.ptr[0])) {
    case CONNACK:
        if (len != 2 || body.ptr[1] != 0)
            return -1;
        break;
    case SUBACK:
        event->what = BENCH_OTHERS_READY;
        break;
    case PUBACK:
    case PINGRESP:
        event->what = BENCH_OTHERS_TAKEN;
        break;
    case PUBLISH:
        if (!take_publish(in.ptr[0], body, event))
            return -1;
        break;
    default:
        return -1;
    }
    return (ssize_t)(at + len);
}

const struct bench_others_codec bench_others_mqtt_qos1 = {hello_qos1, publish_qos1, ack, ping, ping, take, true};
const struct bench_others_codec bench_others_mqtt_qos0 = {hello_qos0, publish_qos0, ack, ping, ping, take, false};
