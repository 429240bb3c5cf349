#include "system/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

bool raw_open(struct raw *raw, const char *address, int receive_bytes)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = RAW_WAIT_S};
    char host[64];
    int one = 1;
    *raw = (struct raw){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    snprintf(host, sizeof host, "%s", address);
    char *colon = strrchr(host, ':');
    if (colon == NULL || raw->fd < 0)
        return false;
    *colon = '\0';
    peer.sin_port = htons((uint16_t)atoi(colon + 1));
    inet_pton(AF_INET, host, &peer.sin_addr);
    setsockopt(raw->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(raw->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (receive_bytes > 0)
        setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    return connect(raw->fd, (struct sockaddr *)&peer, sizeof peer) == 0;
}

void raw_close(struct raw *raw)
{
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
    session_codec_free(&raw->codec);
    bytes_reset(&raw->in);
}

void raw_reset(struct raw *raw)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    raw_close(raw);
}

bool raw_write(struct raw *raw, struct bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t done = send(raw->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes = bytes_of(bytes.ptr + done, bytes.len - (size_t)done);
    }
    return true;
}

bool raw_write_text(struct raw *raw, const char *text)
{
    return raw_write(raw, bytes_str(text));
}

void raw_shut(struct raw *raw)
{
    shutdown(raw->fd, SHUT_WR);
}

/* Bytes read; 0: an orderly end; -1 with errno. */
static ssize_t receive(struct raw *raw)
{
    uint8_t bytes[16384];
    ssize_t len;
    do
        len = recv(raw->fd, bytes, sizeof bytes, 0);
    while (len < 0 && errno == EINTR);
    if (len > 0)
        bytes_append(&raw->in, bytes, (size_t)len);
    return len;
}

bool raw_read(struct raw *raw)
{
    return receive(raw) > 0;
}

bool raw_read_end(struct raw *raw)
{
    ssize_t len;
    do
        len = receive(raw);
    while (len > 0);
    return len == 0 || errno == ECONNRESET;
}

bool raw_frame(struct raw *raw, struct session_frame *out)
{
    struct frame frame;
    if (raw->taken > 0)
        memmove(raw->in.ptr, raw->in.ptr + raw->taken, raw->in.len - raw->taken);
    raw->in.len -= raw->taken;
    raw->taken = 0;
    for (;;) {
        struct bytes rest = bytes_view(&raw->in);
        if (frame_take(&rest, FRAME_BODY_MAX, &frame) == 0) {
            raw->taken = raw->in.len - rest.len;
            break;
        }
        if (!raw_read(raw))
            return false;
    }
    if (raw->codec == NULL)
        raw->codec = session_codec_new();
    return session_decode(raw->codec, &frame, out) == 0;
}

bool raw_frame_of(struct raw *raw, enum session_type type, struct session_frame *out)
{
    while (raw_frame(raw, out))
        if (out->type == type)
            return true;
    return false;
}

bool raw_connect(struct raw *raw, const char *token, uint64_t attempt, struct position position)
{
    struct session_connect connect = {.version = SESSION_PROTOCOL_VERSION,
                                      .token = bytes_str(token),
                                      .attempt = attempt,
                                      .position = position,
                                      .client = bytes_str("raw/1")};
    struct bytebuf frame = {0};
    struct session_frame answer;
    session_encode_connect(&frame, &connect);
    bool written = raw_write(raw, bytes_view(&frame));
    bytes_reset(&frame);
    return written && raw_frame(raw, &answer) && answer.type == SESSION_CONNECTED;
}

bool raw_ping(struct raw *raw, uint64_t echo)
{
    struct bytebuf frame = {0};
    struct session_frame answer;
    session_encode_ping(&frame, echo);
    bool written = raw_write(raw, bytes_view(&frame));
    bytes_reset(&frame);
    return written && raw_frame_of(raw, SESSION_PONG, &answer) && answer.echo == echo;
}

uint32_t raw_error(struct raw *raw)
{
    struct session_frame frame;
    return raw_frame_of(raw, SESSION_ERROR, &frame) ? frame.error.code : 0;
}
