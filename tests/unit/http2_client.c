#include "unit/http2_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

void http2_client_open_with(struct http2_client *client, struct api_rig *rig, uint32_t window, bool hold_windows)
{
    memset(client, 0, sizeof *client);
    api_client_open(&client->plain, rig->ports[API_SEND]);
    http2_peer_open(&client->peer, window, hold_windows);
    (void)snprintf(client->authorization, sizeof client->authorization, "Bearer %s", rig->key);
    client->headers[0] = "authorization";
    client->headers[1] = client->authorization;
}

void http2_client_open(struct http2_client *client, struct api_rig *rig)
{
    http2_client_open_with(client, rig, NGHTTP2_INITIAL_WINDOW_SIZE, false);
}

void http2_client_close(struct http2_client *client)
{
    http2_peer_close(&client->peer);
    api_client_close(&client->plain);
}

size_t http2_client_ask(struct http2_client *client, const char *method, const char *path, struct bytes body)
{
    const struct http2_peer_ask ask = {.method = method, .path = path, .headers = client->headers, .body = body};
    return http2_peer_ask(&client->peer, &ask);
}

size_t http2_client_send(struct http2_client *client, const char *device)
{
    char *body = client->bodies[client->peer.count];
    (void)snprintf(body, sizeof client->bodies[0], "{\"to\":{\"user\":\"ann\",\"device\":\"%s\"},\"data\":1}", device);
    return http2_client_ask(client, "POST", "/v1/apps/shop/messages", bytes_str(body));
}

void http2_client_flush(struct http2_client *client)
{
    struct bytebuf out = {0};
    http2_peer_say(&client->peer, &out);
    for (size_t at = 0; at < out.len && !client->ended;) {
        const ssize_t sent = send(client->plain.fd, out.ptr + at, out.len - at, MSG_NOSIGNAL);
        client->ended = sent < 0; /* what it said before may still be read */
        at += sent > 0 ? (size_t)sent : 0;
    }
    bytes_reset(&out);
}

bool http2_client_turn(struct http2_client *client)
{
    uint8_t in[65536];
    http2_client_flush(client);
    const ssize_t got = recv(client->plain.fd, in, sizeof in, 0);
    if (got <= 0) {
        client->ended = true;
        return false;
    }
    http2_peer_hear(&client->peer, bytes_of(in, (size_t)got));
    http2_client_flush(client);
    return true;
}

const struct http2_peer_stream *http2_client_wait(struct http2_client *client, size_t at)
{
    const struct http2_peer_stream *stream = &client->peer.streams[at];
    while (!stream->closed && !stream->ended) {
        if (!http2_client_turn(client))
            fail_msg("the connection ended before stream %zu did", at);
    }
    return stream;
}

void http2_client_expect(struct http2_client *client, size_t at, unsigned status, const char *part)
{
    const struct http2_peer_stream *stream = http2_client_wait(client, at);
    const struct bytebuf *body = &stream->body;
    if (stream->status != status || memmem(body->ptr, body->len, part, strlen(part)) == NULL)
        fail_msg("expected %u with %s, got %u: %.*s", status, part, stream->status, (int)body->len,
                 (const char *)body->ptr);
}

void http2_client_expect_end(struct http2_client *client, uint32_t code)
{
    while (http2_client_turn(client))
        continue;
    assert_true(client->peer.went_away);
    assert_int_equal(client->peer.goaway, code);
}
