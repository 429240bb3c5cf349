/* The TLS is that of streams (src/loop), which lets go of OpenSSL's object after the handshake: a device costs as little here as its
 * session does in the server. It is used without a loop that runs: bytes in, bytes out. */
#include "bench_device.h"

#include "base/err.h"
#include "loop/tls_conn.h"
#include "loop/tls_loop.h"
#include "wire/websocket.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define HOST "localhost"
#define ANSWER_MAX 4096U /* of the upgrade's answer */
/* Of a close: session codes stand as they are. */
#define SESSION_CODES_FROM 3000U
#define SESSION_CODES_END 4000U
#define CLOSED "the server closed the connection"
#define NOT_WRITTEN "TLS can't be written"

static const char UPGRADE[] =
    "GET /v1/session HTTP/1.1\r\nHost: " HOST "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: petrel.v1\r\n\r\n";

static const struct bench_options *options_of(const struct work *work)
{
    return &work->fleet->bench->options;
}

void bench_device_wire_init(struct work *work)
{
    struct bench *bench = work->fleet->bench;
    if (!options_of(work)->tls)
        return;
    /* Whoever comes back brings a ticket; where nobody does, no device waits for one. */
    const struct tls_client_config config = {
        .insecure = true,
        .sessions = bench->storms || bench->soaks,
        .alpn = {options_of(work)->ws ? TLS_ALPN_HTTP_1_1 : TLS_ALPN_PETREL_1},
        .compact = true,
    };
    char why[TLS_WHY_SIZE];
    if (loop_new(&work->loop, &(struct loop_config){0}) != 0)
        bench_die(bench, "no loop can be made: %s", strerror(errno));
    if (tls_client_new(&work->client, &config, why) != 0)
        bench_die(bench, "%s", why);
    work->tls = tls_loop_of(work->loop);
}

/* ---- out ---- */

static bool send_raw(const struct device *device, struct bytes bytes)
{
    return send(device->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL) == (ssize_t)bytes.len;
}

/* What TLS itself has to say. */
static bool send_out(const struct work *work, const struct device *device)
{
    struct bytebuf *out = &work->tls->out;
    const bool sent = out->len == 0 || send_raw(device, bytes_view(out));
    out->len = 0;
    return sent;
}

static bool send_data(const struct work *work, const struct device *device, struct bytes data)
{
    if (device->tls == NULL)
        return send_raw(device, data);
    if (data.len > TLS_DATA_MAX)
        return false;
    memcpy(work->tls->seal + TLS_SEAL_AT, data.ptr, data.len);
    const struct bytes sealed = tls_conn_seal(device->tls, data.len);
    return sealed.len > 0 && send_raw(device, sealed);
}

static bool send_packet(struct work *work, const struct device *device, enum websocket_opcode opcode,
                        struct bytes payload)
{
    const uint32_t mask = (uint32_t)rng_u64(&work->rng);
    work->packet.len = 0;
    websocket_put(&work->packet, opcode, true, (const uint8_t *)&mask, payload);
    return send_data(work, device, bytes_view(&work->packet));
}

bool bench_device_wire_write(struct work *work, struct device *device)
{
    const struct bytes frame = bytes_view(&work->frame);
    return options_of(work)->ws ? send_packet(work, device, WEBSOCKET_BINARY, frame) : send_data(work, device, frame);
}

/* ---- the beginning ---- */

static void begin_session(struct work *work, struct device *device)
{
    if (!options_of(work)->ws)
        bench_device_link_hello(work, device);
    else if (!send_data(work, device, bytes_str(UPGRADE)))
        bench_device_link_lost(work, device, "the upgrade can't be written");
}

bool bench_device_wire_prepare(struct work *work, struct device *device)
{
    if (work->tls == NULL)
        return false;
    const int rc = tls_conn_connect(&device->tls, work->tls, NULL, work->client, HOST, buf_bytes(device->ticket));
    if (rc != 0)
        bench_die(work->fleet->bench, "a TLS connection can't begin: %s", err_text(rc));
    device->hello = buf_copy(bytes_view(&work->tls->out));
    work->tls->out.len = 0;
    return true;
}

void bench_device_wire_open(struct work *work, struct device *device)
{
    device->state = DEVICE_GREETING;
    bench_device_link_watch(work, device, EPOLLIN);
    if (work->tls == NULL) {
        begin_session(work, device);
        return;
    }
    const bool sent = send_raw(device, buf_bytes(device->hello));
    buf_unref(device->hello);
    device->hello = NULL;
    if (!sent)
        bench_device_link_lost(work, device, NOT_WRITTEN);
}

/* ---- in ---- */

static const char *take_frames(struct work *work, struct device *device, struct bytes data)
{
    return bench_device_hear(work, device, data) == 0 ? NULL : "a bad frame";
}

/* What a close says that no frame before it did. */
static const char *on_close(struct device *device, uint16_t code)
{
    if (device->told == 0 && code >= SESSION_CODES_FROM && code < SESSION_CODES_END)
        device->told = code;
    return CLOSED;
}

static const char *take_packets(struct work *work, struct device *device, struct bytes data)
{
    struct websocket_reader reader = device->packet != NULL ? *device->packet : (struct websocket_reader){0};
    const char *why = NULL;
    struct websocket_event event = {.kind = WEBSOCKET_EVENT_PIECE};
    while (why == NULL && event.kind != WEBSOCKET_EVENT_MORE) {
        websocket_read(&reader, WEBSOCKET_CLIENT, FRAME_BODY_MAX, &data, &work->scratch, &event);
        if (event.kind == WEBSOCKET_EVENT_PIECE)
            why = take_frames(work, device, event.payload);
        else if (event.kind == WEBSOCKET_EVENT_PING && !send_packet(work, device, WEBSOCKET_PONG, event.payload))
            why = "a pong can't be written";
        else if (event.kind == WEBSOCKET_EVENT_CLOSE)
            why = on_close(device, event.code);
        else if (event.kind == WEBSOCKET_EVENT_BROKEN)
            why = event.reason;
    }
    if (websocket_reader_idle(&reader) || why != NULL) {
        free(device->packet);
        device->packet = NULL;
        return why;
    }
    if (device->packet == NULL && (device->packet = malloc(sizeof *device->packet)) == NULL)
        bench_die(work->fleet->bench, "memory is out");
    *device->packet = reader;
    return NULL;
}

/* The answer to the upgrade; a server says nothing more before it has heard CONNECT. */
static const char *take_upgrade(struct work *work, struct device *device, struct bytes data)
{
    static const char good[] = "HTTP/1.1 101 ", end[] = "\r\n\r\n";
    struct bytebuf *answer = &device->answer;
    bytes_append(answer, data.ptr, data.len);
    const bool whole = answer->len >= strlen(end) && memcmp(answer->ptr + answer->len - strlen(end), end, 4) == 0;
    if (!whole)
        return answer->len < ANSWER_MAX ? NULL : "the answer to the upgrade has no end";
    if (memcmp(answer->ptr, good, strlen(good) < answer->len ? strlen(good) : answer->len) != 0)
        return "the upgrade to WebSocket was refused";
    bytes_reset(answer);
    device->upgraded = true;
    bench_device_link_hello(work, device);
    return NULL;
}

static const char *take(struct work *work, struct device *device, struct bytes data)
{
    if (!options_of(work)->ws)
        return take_frames(work, device, data);
    return device->upgraded ? take_packets(work, device, data) : take_upgrade(work, device, data);
}

static void keep_ticket(struct work *work, struct device *device)
{
    struct bytebuf *session = &work->tls->session;
    if (session->len == 0)
        return;
    buf_unref(device->ticket);
    device->ticket = buf_copy(bytes_view(session));
    session->len = 0;
}

static const char *take_records(struct work *work, struct device *device, size_t len)
{
    const bool was_open = tls_conn_open(device->tls);
    struct bytes data;
    const int rc = tls_conn_read(device->tls, work->data, len, &data);
    keep_ticket(work, device);
    if (!send_out(work, device))
        return NOT_WRITTEN;
    if (!was_open && tls_conn_open(device->tls))
        begin_session(work, device);
    if (device->fd < 0)
        return NULL; /* lost meanwhile */
    const char *why = data.len > 0 ? take(work, device, data) : NULL;
    if (why != NULL || rc == 0)
        return why;
    return rc == PETREL_E_EOF ? CLOSED : "the server breaks TLS";
}

const char *bench_device_wire_read(struct work *work, struct device *device)
{
    const size_t partial = device->tls != NULL ? tls_conn_partial(device->tls, work->data) : 0;
    const ssize_t got = recv(device->fd, work->data + partial, sizeof work->data - partial, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (got <= 0)
        return got == 0 ? CLOSED : strerror(errno);
    if (device->tls != NULL)
        return take_records(work, device, partial + (size_t)got);
    return take(work, device, bytes_of(work->data, (size_t)got));
}

/* ---- the end ---- */

void bench_device_wire_farewell(struct work *work, struct device *device)
{
    if (device->tls == NULL)
        return;
    tls_conn_close(device->tls);
    (void)send_out(work, device); /* a server that takes no more sees the end all the same */
}

void bench_device_wire_close(struct device *device)
{
    if (device->tls != NULL)
        tls_conn_free(device->tls);
    buf_unref(device->hello);
    free(device->packet);
    bytes_reset(&device->answer);
    device->tls = NULL;
    device->hello = NULL;
    device->packet = NULL;
    device->upgraded = false;
}

void bench_device_wire_rest(const struct work *work)
{
    if (work->tls != NULL)
        (void)malloc_trim(0);
}
